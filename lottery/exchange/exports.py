"""Write a net for others, read it back, and put it in place where it computes the same."""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lottery.errors import LotteryError, UsageError
from lottery.exchange import placing
from lottery.exchange.forms import FORMS, Again, Source, compacted
from lottery.exchange.rounding import tolerance
from lottery.exchange.tickets import Portable
from lottery.terms import seeds
from lottery.terms.task_checks import examples
from lottery.terms.trees import first, form
from lottery.wording.text import first_line

EXAMPLES = 100  # whose outputs are compared
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Report(NamedTuple):
    """How an export compares with the net."""

    difference: float  # of outputs, of `EXAMPLES` examples
    largest: float
    rounding: float  # how far apart outputs may be: see `rounding.tolerance`
    zeros: int  # pruned weights that are 0, where they have a place
    parameters: tuple[int, int] | None  # of the net and of the smaller one that was written
    size: int  # bytes


def write(source: Source, how: str, target: Path, smaller: bool) -> Report:
    """Write an export to `target`; return how it compares.

    With `smaller` the program is that of the compacted net. It stands in its place whole or not at
    all: raises UsageError where its outputs differ by more than rounding, a pruned weight is not 0,
    or something else stands there. The very same, as a killed command leaves it, is as good as new.
    """
    placing.refuse_taken(target, "export", same_as_new=True)
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
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # torch logs of nets that look at values
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (LotteryError, OSError, MemoryError):
        raise
    except Exception as error:
        why = COLOURS.sub("", first_line(root(error)))
        raise UsageError(f"export: as={how} cannot express this model ({why})") from error
    finally:
        logging.disable(before)


def root(error: Exception) -> Exception:
    """Return the error that others were raised from."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


@torch.no_grad()
def compare(source: Source, again: Again, size: int) -> Report:
    """Return how an export of `size` bytes compares, read back, with the net; or UsageError."""
    found = examples(source.task, seeds.generator(0, "export"), size=EXAMPLES)
    batches = [source.task.inputs(batch) for batch in found]
    outputs = [first(source.net(*given)) for given in batches]
    largest = max(float(one.abs().max()) for one in outputs)
    bound = tolerance(source.fresh, batches, outputs)
    difference = 0.0
    for given, one in zip(batches, outputs, strict=True):
        for net in again.nets:
            difference = max(difference, gap(one, first(net(*given)), bound))
    if again.small is None:
        zeros, parameters = count_zeros(source.ticket, again.tensors), None
    else:
        zeros, parameters = 0, (count(source.net), count(again.small))
    return Report(difference, largest, bound, zeros, parameters, size)


def count(net: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in net.parameters())


def gap(one: Tensor, other: Tensor, bound: float) -> float:
    """Return by how much two outputs differ; raises UsageError for more than `bound`."""
    if one.shape != other.shape or one.dtype != other.dtype:
        raise UsageError(
            f"export: read back, its outputs are {form(other)}, the net's "
            f"{form(one)}; nothing was written"
        )
    difference = float((one - other).abs().max())
    if not difference <= bound:
        raise UsageError(
            f"export: read back, it computes something else than the net: outputs differ by "
            f"{difference:.2g}; nothing was written (rounding would make {bound:.1g} at most)"
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
