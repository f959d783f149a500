"""Start a training: its net, its optimizer, at the state that a ticket names."""

import traceback
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lottery.config.settings import usual_dataset, usual_model
from lottery.errors import UsageError
from lottery.nets.taking import channels_last_, taken
from lottery.storage.tensors import load_optimizer_
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.copying import load_
from lottery.terms.parts import Parts
from lottery.terms.step import Step, parse
from lottery.terms.task import Task, restore_, zero_sum
from lottery.terms.ticket import State, Ticket
from lottery.training.held import held_values
from lottery.training.loop import Training
from lottery.wording.settings import named as saying

WANTED = {  # what a model asks a task for -> in words
    "input_shape": "images", "outputs": "images", "vocabulary": "words", "features": "features",
    "actions": "actions", "classes": "classes", "bptt": "next words", "padding": "lines of words",
    "answer": "sentences", "longest": "sentences", "nets": "many nets at once",
}  # fmt: skip


def prepare(
    parts: Parts,
    task: Task,
    ticket: Ticket,
    seed: int,
    state: State | None = None,
    model: nn.Module | None = None,
) -> Training:
    """Return a training of `ticket` at its start, or at `state`; of `model`, or a new one."""
    model = model or build(parts, task)
    load_(model, ticket.weights if state is None else state.weights)
    model.to(task.device)
    if getattr(task, "channels_last", False):
        channels_last_(model)
    restore_(task, ticket.memory if state is None else state.memory)
    now = (state and state.mask) or ticket.mask
    mask = {name: now[name].to(task.device) for name in ticket.mask}  # in the model's order
    if not ticket.held:
        masks.apply_(model, mask)
    parameters = dict(model.named_parameters())
    named = dict(model.named_parameters(remove_duplicate=False))
    for name in ticket.frozen:
        if name in named:  # else it is a buffer
            named[name].requires_grad_(False)
    trained = [(name, p) for name, p in parameters.items() if p.requires_grad]
    if not trained:
        raise UsageError(
            "model: none of its parameters is trained (each has requires_grad=False); let its "
            "function leave some as they are"
        )
    with saying("train.optimizer"):
        optimizer = parts.recipe.optimizer(trained)
    if state is not None and state.optimizer is not None:
        load_optimizer_(optimizer, state.optimizer)
    return Training(
        model=model,
        optimizer=optimizer,
        task=task,
        parts=parts,
        ticket=ticket,
        recipe=parts.recipe,
        seed=seed,
        total=length(parts, task),
        mask=mask,
        held=held_values(ticket, parameters),
        bases=[group["lr"] for group in optimizer.param_groups],
        step=ticket.span.start if state is None else state.step.iteration,
        loss_sum=zero_sum(task.device),
        broken=torch.zeros((), dtype=torch.int64, device=task.device),
        update=parts.pruning.update,
        moved=state is not None and state.mask is not None,
    )


def at_state(training: Training, state: State) -> Training:
    """Return another training of the same ticket, at a state."""
    return prepare(training.parts, training.task, training.ticket, training.seed, state)


def build(parts: Parts, task: Task, seed: int = 0) -> nn.Module:
    """Return a new model on the CPU, its initial weights drawn from `seed`."""
    try:
        with seeds.drawing(seed):
            return taken(parts.model(task), task)
    except AttributeError as error:
        if error.obj is not task or own_code(error, task):
            raise
        asked, wanted = parts.model_settings["name"], WANTED.get(str(error.name), error.name)
        model, dataset = usual_model(parts.dataset_name), usual_dataset(asked)
        fitting = [f"model={model}"] * bool(model) + [f"dataset={dataset}"] * bool(dataset)
        todo = f"type {' or '.join(fitting)}" if fitting else f"choose a model of {task.world}"
        raise UsageError(
            f"model={asked} asks for {wanted}, and this dataset has {task.world}; {todo}"
        ) from error


def standing(parts: Parts, task: Task, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return the model with these weights, on the task's device and in evaluation mode."""
    net = build(parts, task)
    load_(net, weights)
    net.to(task.device)
    if getattr(task, "channels_last", False):
        channels_last_(net)
    return net.eval()


def own_code(error: Exception, task: Task) -> bool:
    """Say whether an error was raised in the code of a task itself."""
    frames = traceback.walk_tb(error.__traceback__)
    return [frame.f_locals.get("self") for frame, _ in frames][-1] is task


def state_of(model: nn.Module, task: Task) -> State:
    """Return the weights of a net as those of step 0."""
    weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
    return State(Step(0, task.steps_per_epoch), weights)


def length(parts: Parts, task: Task) -> Step:
    """Return the length of a whole training."""
    size = task.steps_per_epoch
    total = parse(parts.recipe.length, size, where="train.length")
    if total.iteration < 1:
        raise UsageError("train.length: training needs one step or more, like 15ep or 500it")
    return total
