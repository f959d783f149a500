"""Try on a net what a level does to it, before anything is trained."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.graph import evaluating
from lottery.nets.taking import check_scores, tried
from lottery.terms import seeds
from lottery.terms.copying import load_
from lottery.terms.task import Batch, Task, restore_
from lottery.terms.task_checks import check_example, check_loss
from lottery.terms.trees import mapped, tensors
from lottery.wording.settings import named

NEAR = 1e-4  # of the largest score: how far apart a GPU may give the same ones


def try_training(
    model: nn.Module,
    task: Task,
    optimizer: torch.optim.Optimizer,
    weights: Mapping[str, Tensor],
    examples: int,
    whole: bool = False,
) -> None:
    """Raise UsageError unless a net trains on so many examples as a level is to train.

    It gives scores for each, in training and in evaluation, for one example alone too; all of its
    state is in `weights`, its state_dict, so that the same batch gives the same scores again once
    that is loaded; the optimizer takes its gradients. Leaves the net after a step. Between calls
    buffers are put back; `whole` puts back all, as it takes where a forward moves a parameter.
    """
    load = partial(put_back, model, weights, task, whole)
    batch = check_example(task, examples)
    before = facts(model)
    first = evaluated(model, batch, task)
    check_facts(before, model)
    load()
    model.train()
    with drawing_from_torch():
        one = copied(tried(model, task, task.inputs(batch)))
    check_scores(one, examples, task)
    check_facts(before, model)
    load()
    seen: list[tuple[Any, Any]] = []
    hook = model.register_forward_hook(
        lambda net, given, made: seen.append((copied(given), copied(made)))
    )
    try:
        with named("dataset"):  # the net has taken its inputs already
            loss = task.loss(model, batch)
    finally:
        hook.remove()
    check_loss(task, loss)
    check_facts(before, model)
    if not loss.requires_grad:
        raise UsageError(
            "model: its scores depend on none of the parameters that are trained; let its forward "
            "use them with gradients"
        )
    with named("model"):
        loss.backward()  # type: ignore[no-untyped-call]
    load()
    given = task.inputs(batch)  # the loss may call the net otherwise, with what it remembers
    again = [made for called, made in seen[:1] if same(called, given)]
    if not (all(same(one, made) for made in again) and same(first, evaluated(model, batch, task))):
        if not whole:
            put_back(model, weights, task, True)
            return try_training(model, task, optimizer, weights, examples, whole=True)
        raise UsageError(
            "model: for the same examples, weights and seed it gives other scores at another call, "
            "by what no state_dict has (a counter, a generator of its own, a buffer with "
            "persistent=False), so a run that was stopped would go on as another; keep it in a "
            "buffer (register_buffer), and draw from torch's global generator"
        )
    check_sparse(model)
    with named("train.optimizer"):
        optimizer.step()
    return None


@torch.no_grad()
def put_back(model: nn.Module, weights: Mapping[str, Tensor], task: Task, whole: bool) -> None:
    """Put buffers, or the `whole` net, back into the first state, the task and the generators."""
    restore_(task, {})
    if whole:
        load_(model, weights)
    for name, buffer in model.named_buffers():
        if name in weights:
            buffer.copy_(weights[name])
    seeds.seed_global("trial")


def evaluated(model: nn.Module, batch: Batch, task: Task) -> Any:
    """Return the outputs in evaluation mode: of one example, where the net takes one."""
    seeds.seed_global("trial")
    one = task.cut(batch, 0, 1)
    with evaluating(model), torch.no_grad():
        try:
            made, number = tried(model, task, task.inputs(one)), 1
        except UsageError:
            made, number = tried(model, task, task.inputs(batch)), task.count(batch)
    check_scores(made, number, task)
    return made


def copied(made: Any) -> Any:
    """Return what a net gave, in memory of its own."""
    return mapped(made, lambda t: t.detach().clone())


def same(one: Any, other: Any) -> bool:
    """Say whether two calls gave the same outputs: to the bit on a CPU."""
    ones, others = [*tensors(one)], [*tensors(other)]
    return len(ones) == len(others) and all(map(same_numbers, ones, others))


def same_numbers(one: Tensor, other: Tensor) -> bool:
    """Say the same of two tensors."""
    if torch.equal(one, other):
        return True
    near = 0.0
    if one.device.type != "cpu" and one.numel() and one.is_floating_point():
        near = NEAR * float(one.detach().abs().max())
    same_form = one.shape == other.shape and one.dtype == other.dtype
    return same_form and torch.allclose(one, other, rtol=0.0, atol=near, equal_nan=True)


@contextmanager
def drawing_from_torch() -> Iterator[None]:
    """Raise UsageError where numbers were drawn that no seed of a step reaches."""
    before = (random.getstate(), np.random.get_state()[1:3])  # type: ignore[index]
    yield
    after = (random.getstate(), np.random.get_state()[1:3])  # type: ignore[index]
    drawn = "random" if before[0] != after[0] else "numpy.random"
    if drawn == "random" or not all(map(np.array_equal, before[1], after[1])):
        raise UsageError(
            f"model: its forward draws from {drawn}, which no seed of a step reaches, so a step "
            "could not be repeated; let it draw from torch (torch.rand)"
        )


def facts(model: nn.Module) -> dict[str, tuple[Any, ...]]:
    """Return what loading a state_dict does not change: which tensors there are, of what form."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    found: dict[str, tuple[Any, ...]] = {
        name: ("parameter", id(p), p.requires_grad, p.dtype, p.device, tuple(p.shape))
        for name, p in parameters.items()
    }
    for name, b in model.named_buffers(remove_duplicate=False):
        found[name] = ("buffer", 0, False, b.dtype, b.device, tuple(b.shape))
    return found


def check_facts(before: Mapping[str, tuple[Any, ...]], model: nn.Module) -> None:
    """Raise UsageError where a forward has changed more than the values of tensors."""
    after = facts(model)
    for name in (*before, *after):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        words = (
            "its kind",
            "the parameter itself",
            "requires_grad",
            "its type",
            "its device",
            "its shape",
        )
        what = (
            next(w for w, a, b in zip(words, old, new, strict=True) if a != b)
            if old and new
            else "whether it is there"
        )
        raise UsageError(
            f"model: its forward changes {name}: {what}, so a state of it could not be loaded "
            "again; settle that in the function that makes the net"
        )


def check_sparse(model: nn.Module) -> None:
    """Raise UsageError for gradients that are sparse tensors, which no mask can be laid on."""
    for name, p in model.named_parameters():
        if p.grad is not None and p.grad.layout is not torch.strided:
            raise UsageError(
                f"model: the gradient of {name} is a sparse tensor, which cannot be masked; make "
                "its layer with sparse=False"
            )
