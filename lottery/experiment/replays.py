"""Train a level of two runs again, side by side, until their weights part."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lottery.experiment.differences import Kept, first_gap, masks_apart
from lottery.experiment.run import Run
from lottery.machine.environment import differences, fingerprint
from lottery.terms.mask import Mask
from lottery.terms.step import parse
from lottery.training.loop import Training, set_rate_, steps
from lottery.training.start import prepare
from lottery.training.train import record


@dataclass
class Replay:
    """A level of one run on its way again, held against what the run kept of it.

    `stray` says what the replay first gave otherwise than it was kept, "" while nothing was.
    `seen` is the last step of which something was kept.
    """

    run: Run
    kept: Kept
    threads: int
    stray: str = ""
    seen: int = 0
    training: Training = field(init=False)

    def __post_init__(self) -> None:
        run, ticket = self.run, self.kept.ticket
        every = run.parts.recipe.evaluate_every
        self.every = parse(every, run.task.steps_per_epoch, run.length.iteration).iteration
        self.training = prepare(run.parts, run.task, ticket, run.data_seed(ticket.order))
        self.training.lowered = self.kept.shelf.manifest()["lowered"]
        self.start, self.stop = ticket.span.start, ticket.span.stop
        self.loop = steps(self.training, self.stop)
        run.watch.begin(0, self.stop - self.start, run.task)
        with threads(self.threads):
            set_rate_(self.training, self.start)
            self.row()

    def advance(self) -> None:
        """Take one step, and hold it against what was kept."""
        with threads(self.threads):
            step = next(self.loop)
            if step % self.every == 0 or step == self.stop:
                self.row()
        if step in self.kept.steps:
            self.seen = step
            gap = first_gap(self.kept.state(step).weights, self.weights(), self.kept.order)
            if gap and not self.stray:
                self.stray = f"step {step}, {gap.place}"

    def row(self) -> None:
        """Make a row of the curve, and hold it against the one that was kept."""
        record(self.training, self.run.watch)
        step = self.training.step
        kept = self.kept.rows.get(step, {})
        self.seen = step if kept else self.seen
        for column, value in self.training.curve[-1].items():
            text = "" if math.isnan(value) else str(value)
            if column in kept and kept[column] != text and not self.stray:
                self.stray = f"step {step}, {column} of the curve"

    def report(self, letter: str) -> str:
        """Say whether the replay gave again what was kept."""
        if not self.stray:
            return f"  {letter}: gives again all that was kept, up to step {self.seen}"
        made = self.kept.shelf.manifest()
        with threads(self.threads):
            here = differences(made["environment"], fingerprint(self.training.task.device))
        reasons = "; ".join([*made["drift"], *here])
        why = f" (it was trained in another environment: {reasons})" if reasons else ""
        return f"  {letter}: does not give again what was kept, first at {self.stray}{why}"

    def weights(self) -> dict[str, Tensor]:
        """Return the weights at this step, on the CPU; the next step may change them."""
        return {k: v.detach().cpu() for k, v in self.training.model.state_dict().items()}

    def mask(self) -> Mask:
        return {name: keep.cpu() for name, keep in self.training.mask.items()}


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(one: Replay, other: Replay, by: int) -> str:
    """Train both until they part, and at least up to step `by`; return in words what that showed.

    After every step weights are compared first, then masks. What was kept of step `by` is not the
    same, so where the replays are, one of them strays, and there is no more to be learnt.
    """
    found, last = "", one.start
    one.run.watch.begin(0, min(one.stop, other.stop) - one.start, one.run.task)
    for step in range(one.start + 1, min(one.stop, other.stop) + 1):
        one.advance()
        other.advance()
        one.run.watch.advance()
        if not found:
            found, last = apart(one, other), step
        if step >= by and (found or one.stray or other.stray):
            break
    one.run.watch.close()
    said = f"they part at step {last}: {found}" if found else f"the same up to step {last}"
    return "\n".join([f"replay: {said}", one.report("A"), other.report("B")])


def apart(one: Replay, other: Replay) -> str:
    """Say how the weights or the masks of two replays differ; "" where they do not."""
    if gap := first_gap(one.weights(), other.weights(), one.kept.order):
        return str(gap)
    why = masks_apart(one.mask(), other.mask())
    return f"mask: {why}" if why else ""
