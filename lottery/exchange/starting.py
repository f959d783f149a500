"""Bring the weights of a file to step 0 of a net."""

import os
import shlex
from pathlib import Path

from torch import Tensor, nn

from lottery.config.contents import digest_of, file_in
from lottery.errors import UsageError
from lottery.exchange import foreign, transfer
from lottery.exchange.tickets import Portable
from lottery.nets.heads import Heads, heads
from lottery.storage.tensors import all_finite
from lottery.terms import mask as masks
from lottery.terms.prunable import layers
from lottery.terms.task import Task
from lottery.terms.ticket import State
from lottery.training.start import state_of
from lottery.wording.text import printable

COUNTER = "num_batches_tracked"  # which older files lack


def of_file(model: nn.Module, task: Task, path: Path, sha256: str | None) -> State:
    """Return the weights of a safetensors file as those of step 0 of a net; raises UsageError."""
    content = checked(path, sha256)
    if (file := file_in(path)).suffix != ".safetensors":
        raise UsageError(
            f"start.path: {printable(file)} is no .safetensors file, and others can run code; "
            f"type: lottery import {shlex.quote(str(file))} to=net.safetensors masks=zeros, then "
            "start.path=net.safetensors"
        )
    try:
        found = foreign.read(file, None, "start")
    except UsageError as error:
        raise UsageError(f"start.path: {str(error).removeprefix('import: ')}") from error
    checked(path, content)  # what was read is what the run is known by, or it was swapped meanwhile
    return fitted(model, task, Portable(found.weights, {}, found.about), path, content)


def checked(path: Path, sha256: str | None) -> str:
    """Return the sha256 of a file, which is to be this one; raises UsageError for another."""
    content = digest_of(path)
    if sha256 not in (None, content):
        raise UsageError(
            f"start.path: {printable(path)} has another content, sha256 {content}, than the run's "
            f"start.sha256={sha256}; put the file back, or leave start.sha256 out for another run"
        )
    return content


def fitted(model: nn.Module, task: Task, found: Portable, where: Path | str, content: str) -> State:
    """Return the state of step 0 with the weights of a file, what grows with the classes drawn.

    `model` is the initial net, as it was drawn. Raises UsageError unless all else fits by name and
    shape. Counters of BatchNorm that a file lacks are 0, and floats get the type of the net's.
    """
    drawn = state_of(model, task)
    own = drawn.weights
    weights: dict[str, Tensor] = {n: t for n, t in own.items() if n.endswith(COUNTER)}
    there = found.weights
    if from_file := getattr(model, "from_file", None):  # a net that files know by other names
        there = from_file(there, own)
    for name, tensor in there.items():
        here = own.get(name, tensor)
        floats = tensor.is_floating_point() and here.is_floating_point()
        weights[name] = tensor.to(here.dtype) if floats else tensor
    if not all_finite(weights):
        raise UsageError(f"start.path: {printable(where)}: a weight is not finite")
    same = all(n in weights and weights[n].shape == t.shape for n, t in own.items())
    known = None if same else of_classes(model, task)
    named = masks.names(model)
    values, _ = transfer.fitted(
        Portable(weights, {}, found.about), own, "auto", where, known, named, "start.path", "file"
    )
    fresh = [name for name, tensor in values.items() if tensor is own[name] and COUNTER not in name]
    place = os.path.abspath(where) if isinstance(where, Path) else where
    source = {"from": place, "sha256": content, "drawn": fresh}
    return State(drawn.step, values, source=source)


def of_classes(model: nn.Module, task: Task) -> Heads | None:
    """Return the parameters of the layers that make scores, and along which axis; None for none."""
    every, own = layers(model), model.state_dict()
    found = {name: frozenset({every[name].kind.outputs}) for name in heads(model, task)}
    for name in [*found]:
        beside = f"{name.rpartition('.')[0]}."
        found |= {
            other: frozenset({0})
            for other, tensor in own.items()
            if other.rpartition(".")[0] == beside[:-1] and tensor.dim() == 1
        }
    return found or None
