"""Time a few steps of a run, in memory only, and see what memory they take."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from lottery.experiment.levels import key_of
from lottery.experiment.run import Run
from lottery.experiment.sizes import plain
from lottery.planning.forecast import spread
from lottery.training.loop import Training, precision, steps
from lottery.training.monitor import layer_report
from lottery.training.start import prepare

WARM = 3  # steps that are not timed
LEAST, MOST = 5, 60  # steps that are
LONG = 2.0  # seconds after which LEAST suffice


@dataclass(frozen=True)
class Timing:
    """What a step of the dense net takes on a device; a masked one takes as long."""

    device: str
    threads: int
    steps: int  # that were timed
    step: float  # seconds
    evaluated: float  # seconds an example
    level: float  # seconds that a level takes to make its mask, its key and its report
    memory: dict[str, int]  # bytes of weights, gradients, optimizer and activations

    def seconds(self, steps: float, evaluated: int = 0, levels: int = 0) -> float:
        """Return the time of so many steps, evaluated examples and levels, nothing written."""
        return steps * self.step + evaluated * self.evaluated + levels * self.level


def timed(run: Run) -> Timing:
    """Train the dense net for a few real steps and evaluate a batch; nothing is written."""
    training = prepare(run.parts, run.task, run.settled.dense, run.data_seed())
    last = min(WARM + MOST, training.total.iteration)
    first, clock = 0, time.perf_counter()
    for done in steps(training, last):
        if done == min(WARM, last - 1):
            wait(run)
            first, clock = done, time.perf_counter()
        elif done >= first + LEAST and time.perf_counter() - clock > LONG:
            break
    wait(run)
    spent = time.perf_counter() - clock
    return Timing(
        device=str(run.task.device),
        threads=torch.get_num_threads(),
        steps=training.step - first,
        step=spent / (training.step - first),
        evaluated=evaluation(run, training),
        level=once_a_level(run, training),
        memory=memory(run, training),
    )


def evaluation(run: Run, training: Training) -> float:
    """Return the seconds that an example takes to be evaluated; 0 where there is none to."""
    split = next((s for s in ("val", "test") if run.task.size(s)), None)
    if split is None:
        return 0.0
    training.model.eval()
    batch = next(run.task.batches(split, 0, training.seed))
    given = run.task.inputs(batch)
    with torch.no_grad(), precision(training.recipe, run.task.device):
        training.model(*given)
        wait(run)
        clock = time.perf_counter()
        training.model(*given)
        wait(run)
    return (time.perf_counter() - clock) / run.task.count(batch)


def once_a_level(run: Run, training: Training) -> float:
    """Return the seconds of what is done once a level, in memory: a mask, its key, the report."""
    clock = time.perf_counter()
    if run.parts.levels:
        spread(run, run.dense, run.settled.density(run.parts.levels), rising=True)
    key_of(run, training.ticket)
    layer_report(
        training.model, run.task, training.mask, training.ticket.weights, run.fresh().weights
    )
    return time.perf_counter() - clock


def memory(run: Run, training: Training) -> dict[str, int]:
    """Return the bytes that a step holds, with what a real batch keeps for its backward pass."""
    model = training.model
    model.train()
    kept: dict[int, int] = {}
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = next(run.task.batches("train", 0, training.seed))
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        precision(training.recipe, run.task.device),
    ):
        loss = run.task.loss(model, batch)  # holds what was saved, until it is let go
    del loss
    slots = (v for state in training.optimizer.state.values() for v in state.values())
    gradients = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return {
        "weights": plain(model.state_dict()),
        "gradients": plain(gradients),
        "optimizer": sum(v.numel() * v.element_size() for v in slots if isinstance(v, Tensor)),
        "activations": sum(kept.values()),
    }


def wait(run: Run) -> None:
    """Wait for a GPU to be done."""
    if run.task.device.type == "cuda":
        torch.cuda.synchronize(run.task.device)
