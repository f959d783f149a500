"""Find where a level of two runs parts, from what both have kept of it."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms.kept import mask_of, ticket_on, variant_of
from lottery.terms.mask import Mask
from lottery.terms.snapshots import state_file, unpack
from lottery.terms.step import Step
from lottery.terms.ticket import State, Ticket
from lottery.terms.trees import form

KEPT = re.compile(r"(\d+)it\.safetensors")
GIVEN = ("step", "epoch", "lr")  # columns of the curve that follow from the settings
MEAN = "train_loss"  # the column that is a mean over the steps since the row before
WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes an element


@dataclass(frozen=True)
class Gap:
    """The first tensor of several that is not the same in two runs, to the bit."""

    name: str
    index: tuple[int, ...]  # of the first element that differs
    values: tuple[float, float]  # there
    count: int  # elements that differ
    total: int
    most: float  # the largest difference

    @property
    def place(self) -> str:
        """The element in words: layers.0.weight[2, 0]."""
        return self.name + (f"[{', '.join(map(str, self.index))}]" if self.index else "")

    def __str__(self) -> str:
        a, b = (f"{value:.9g}" for value in self.values)
        share = f"{self.count:,} of {self.total:,} elements differ"
        return f"{self.place} is {a} in A, {b} in B; {share}, by {self.most:.3g} at most"


@dataclass(frozen=True)
class Parting:
    """Where two runs part within a level; `lines` are for people.

    All that both kept up to step `after` is the same, and something of step `by` is not. They are
    None where the runs part before the first step, in their tickets.
    """

    lines: tuple[str, ...]
    after: int | None = None
    by: int | None = None


@dataclass(frozen=True)
class Kept:
    """What one run kept of a level."""

    shelf: Shelf

    @cached_property
    def ticket(self) -> Ticket:
        return ticket_on(self.shelf)

    @cached_property
    def mask(self) -> Mask:
        """The mask at the end."""
        return mask_of(self.shelf)

    @property
    def order(self) -> list[str]:
        """The names of all weights in the model's order."""
        return list(self.ticket.weights)

    @cached_property
    def rows(self) -> dict[int, dict[str, str]]:
        """The rows of the curve by their step; raises DamagedError."""
        lines = csv.DictReader(io.StringIO(self.shelf.read_text("curve.csv")))
        try:
            return {int(row["step"]): row for row in lines}
        except (KeyError, ValueError, csv.Error) as error:
            raise self.shelf.damaged(self.shelf.path / "curve.csv", "it is no curve") from error

    @cached_property
    def steps(self) -> set[int]:
        """The steps whose state was kept, the end among them."""
        found = map(KEPT.fullmatch, self.shelf.manifest()["files"])
        return {int(match[1]) for match in found if match} | {self.ticket.span.stop}

    def state(self, step: int) -> State:
        """Return a state that was kept; the end has a mask and no optimizer."""
        end = step == self.ticket.span.stop
        name = "end.safetensors" if end else state_file(step)
        state = unpack(self.shelf.read_tensors(name)[0], Step(step, 1))
        return State(state.step, state.weights, None, self.mask) if end else state

    def mean_since(self, step: int) -> int:
        """Return the step of the row before that of `step`."""
        return max((s for s in self.rows if s < step), default=step)


def compare(one: Kept, other: Kept) -> Parting | None:
    """Return where a level of two runs parts; None where all that both kept is the same."""
    apart = tuple(tickets_apart(one, other))
    if apart:
        return Parting(apart)
    lines = [*variants_apart(one.ticket, other.ticket)]
    after, by, curve = one.ticket.span.start, None, ""
    for step in sorted((one.steps & other.steps) | (one.rows.keys() & other.rows.keys())):
        weights = states_apart(one, other, step) if step in one.steps & other.steps else ""
        row = "" if curve else rows_apart(one, other, step)
        lines += [f"step {step}: {text}" for text in (weights, row) if text]
        curve = curve or row
        if by is None and (weights or row):
            by = step
        elif by is None:
            after = step
        if weights:
            break
    stops = (one.ticket.span.stop, other.ticket.span.stop)
    if by is None and stops[0] != stops[1]:
        by = min(stops)
        lines.append(f"A trains up to step {stops[0]}, B up to step {stops[1]}")
    return None if by is None else Parting(tuple(lines), after, by)


def tickets_apart(one: Kept, other: Kept) -> Iterator[str]:
    """Yield a line for each way in which two tickets differ."""
    a, b = one.ticket, other.ticket
    if why := unlike(a.weights, b.weights):
        yield f"the tensors cannot be compared: {why}"
        return
    if why := masks_apart(a.mask, b.mask):
        yield f"mask of the ticket: {why}"
    if gap := first_gap(a.weights, b.weights, one.order):
        yield f"weights of the ticket: {gap}"
    if a.span.start != b.span.start:
        yield f"the training schedule: A begins at its step {a.span.start}, B at {b.span.start}"


def variants_apart(one: Ticket, other: Ticket) -> Iterator[str]:
    """Yield a line for each way in which equal weights and masks are trained otherwise."""
    theirs = variant_of(other)
    for name, value in variant_of(one).items():
        if value != theirs[name]:
            yield f"{name}: {value} in A, {theirs[name]} in B"


def states_apart(one: Kept, other: Kept, step: int) -> str:
    """Say how the states at a step differ, their weights first; "" where they do not."""
    a, b = one.state(step), other.state(step)
    if gap := first_gap(a.weights, b.weights, one.order):
        return f"weights: {gap}"
    if why := masks_apart(a.mask or one.ticket.mask, b.mask or other.ticket.mask):
        return f"mask: {why}"
    mine, theirs = a.optimizer or {}, b.optimizer or {}
    if why := unlike(mine, theirs):
        return f"state of the optimizer: {why}"
    gap = first_gap(mine, theirs, sorted(mine))
    return f"state of the optimizer: {gap}" if gap else ""


def rows_apart(one: Kept, other: Kept, step: int) -> str:
    """Say which column of the curve is the first to differ at a step; "" for none, or no row.

    A mean over the steps since the row before is compared where both have that row.
    """
    a, b = one.rows.get(step, {}), other.rows.get(step, {})
    apart = () if one.mean_since(step) == other.mean_since(step) else (MEAN,)
    for column in a:
        if column in b and column not in (*GIVEN, *apart) and a[column] != b[column]:
            return f"curve: {column} is {a[column] or 'none'} in A, {b[column] or 'none'} in B"
    return ""


def unlike(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """Say why tensors cannot be compared one by one; "" where they can."""
    for name in (*one, *other):
        if name not in one or name not in other:
            return f"{name} is in {'A' if name in one else 'B'} alone"
    for name, tensor in one.items():
        if form(tensor) != form(other[name]):
            return f"{name} is {form(tensor)} in A, {form(other[name])} in B"
    return ""


def first_gap(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], order: Sequence[str]
) -> Gap | None:
    """Return how the first tensor in `order` differs that does; None where all are the same bits.

    The tensors are on the CPU, alike in names and shapes.
    """
    for name in order:
        a, b = one[name].contiguous(), other[name].contiguous()
        word = WORDS[a.element_size()]
        odd = (a.reshape(-1).view(word) != b.reshape(-1).view(word)).nonzero().reshape(-1)
        if not len(odd):
            continue
        at = int(odd[0])
        place = torch.unravel_index(torch.tensor(at), a.shape) if a.shape else ()
        values = a.reshape(-1)[odd].double(), b.reshape(-1)[odd].double()
        return Gap(
            name=name,
            index=tuple(int(i) for i in place),
            values=(values[0][0].item(), values[1][0].item()),
            count=len(odd),
            total=a.numel(),
            most=float((values[0] - values[1]).abs().max()),
        )
    return None


def masks_apart(one: Mask, other: Mask) -> str:
    """Say how two masks differ, and in which layer first; "" where they do not."""
    if why := unlike(one, other):
        return why
    gap = first_gap(one, other, list(one))
    if gap is None:
        return ""
    count = sum(int((one[name] != other[name]).count_nonzero()) for name in one)
    return (
        f"{count:,} of {masks.total(one):,} weights differ (A keeps {masks.kept(one):,}, "
        f"B {masks.kept(other):,}), first {gap.place}, which {'A' if gap.values[0] else 'B'} keeps"
    )
