"""Write a net for others, read it back, and put it in place where it computes the same."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lottery import seeds
from lottery.errors import UsageError
from lottery.exchange import placing, tickets
from lottery.exchange.forms import FORMS, Again, Source, compacted
from lottery.exchange.tickets import Portable

EXAMPLES = 100  # whose outputs are compared
TOLERANCE = 1e-5  # of the largest output, or absolute where that is below 1


class Report(NamedTuple):
    """How an export compares with the net."""

    difference: float  # of outputs, of `EXAMPLES` examples
    largest: float
    zeros: int  # pruned weights that are 0, where they have a place
    parameters: tuple[int, int] | None  # of the net and of the smaller one that was written
    size: int  # bytes


def write(source: Source, how: str, target: Path, smaller: bool) -> Report:
    """Write an export to `target`, which is not there yet; return how it compares.

    With `smaller` the program is that of the compacted net. It stands in its place whole or not at
    all: raises UsageError where its outputs differ by more than `TOLERANCE`, or a pruned weight is
    not 0.
    """
    placing.refuse_taken(target, "export")
    given = replace(source, net=compacted(source)) if smaller else source
    form = FORMS[how]
    with expressed(how):
        files = form.make(given)
    with placing.prepared(files, target, "export") as made:
        with expressed(how):
            again = form.read(given, made)
        small = again._replace(small=given.net) if smaller else again
        report = compare(source, small, sum(map(len, files.values())))
        placing.place(made, target, "export")
    return report


@contextlib.contextmanager
def expressed(how: str) -> Iterator[None]:
    """Keep to ourselves what libraries warn of their own code; turn their errors into one line."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (RuntimeError, ValueError, TypeError, AttributeError, TorchDynamoException) as error:
        why = tickets.first_line(error)
        raise UsageError(f"export: as={how} cannot express this model ({why})") from error


@torch.no_grad()
def compare(source: Source, again: Again, size: int) -> Report:
    """Return how an export of `size` bytes compares, read back, with the net; or UsageError."""
    batches = source.task.scoring_batches(seeds.generator(0, "export"), size=EXAMPLES)
    difference = largest = 0.0
    for x, _ in batches:
        one = source.net(x)
        largest = max(largest, float(one.abs().max()))
        for net in again.nets:
            difference = max(difference, gap(one, net(x)))
    if again.small is None:
        zeros, parameters = count_zeros(source.ticket, again.tensors), None
    else:
        zeros, parameters = 0, (count(source.net), count(again.small))
    return Report(difference, largest, zeros, parameters, size)


def count(net: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in net.parameters())


def gap(one: Tensor, other: Tensor) -> float:
    """Return by how much two outputs differ; raises UsageError for more than rounding."""
    difference = float((one - other).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(one.abs().max())):
        raise UsageError(
            f"export: read back, it computes something else than the net: outputs differ by "
            f"{difference:.2g}; nothing was written"
        )
    return difference


def count_zeros(ticket: Portable, tensors: dict[str, Tensor]) -> int:
    """Return how many pruned weights are 0 in an export, of the layers that it has by name.

    Raises UsageError for one that is not.
    """
    zeros = 0
    for name, keep in ticket.mask.items():
        found = tensors.get(name)
        if found is None or found.shape != keep.shape:
            continue
        pruned = found[~keep]
        if int(torch.count_nonzero(pruned)):
            raise UsageError(f"export: pruned weights of {name} are not 0; nothing was written")
        zeros += pruned.numel()
    return zeros
