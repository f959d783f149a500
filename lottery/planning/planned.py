"""Hold what one run would do: its levels, and what they come to."""

from dataclasses import dataclass, field

from lottery.experiment.cost import PASSES, Cost
from lottery.experiment.run import Run
from lottery.experiment.space import at_work, left_by
from lottery.planning.timing import Timing
from lottery.terms.step import Span, Step

TRAIN, SHARED, THERE = "train", "shared", "already there"
LEVEL = 0.1  # seconds that the files of a level take, a dozen, each synced to the disk
BYTES = 100e6  # of them that are packed, hashed and written a second


@dataclass(frozen=True)
class Planned:
    """One level or branch of a plan."""

    index: int
    branch: str
    density: float
    kept: int
    layers: dict[str, int] | None
    what: str  # train, shared or already there
    by: str  # who trains it, where that is another run
    span: Span
    examples: int
    evaluated: int  # examples that are looked at beside training
    scored: Cost  # what the making of its mask takes
    replayed: int  # steps, to states that nobody kept

    @property
    def steps(self) -> int:
        """The steps that its training has."""
        return self.span.stop - self.span.start


@dataclass
class Plan:
    """What one run would do."""

    run: Run
    overrides: tuple[str, ...]
    total: int  # prunable weights
    bound: str  # of `kept`: "" exact, or "at most", or "about"
    rows: list[Planned] = field(default_factory=list)
    timing: Timing | None = None
    ended: bool = False  # whether it has the level that ends it, by levels_until
    opening: float = 0.0  # seconds until its first step: imports, the config, the data, the checks

    @property
    def may_end(self) -> bool:
        """Whether a level may end it before its last, by levels_until."""
        return self.run.parts.until is not None and not self.ended

    @property
    def missing(self) -> str:
        """What of the data is not there, so that its published sizes stand for it; "" if it is."""
        return getattr(self.run.task, "missing", "")

    @property
    def moment(self) -> tuple[Step, Step] | None:
        """The first and the last step at which a rule may have level 1 scored; None without one."""
        settled, size = self.run.settled, self.run.length.steps_per_epoch
        if isinstance(self.run.parts.pruning.at, str) or not self.run.parts.levels:
            return None
        return Step(settled.earliest(1), size), Step(settled.scored_at(1), size)

    @property
    def at_most(self) -> bool:
        """Whether pruned levels may train fewer steps: they begin at the moment that is found."""
        found = self.moment
        return bool(found and found[0] < found[1] and self.run.settled.rewind.scored)

    def counts(self) -> dict[str, int]:
        """Return how many levels and branches there are of each kind."""
        return {w: sum(row.what == w for row in self.rows) for w in (TRAIN, SHARED, THERE)}

    def steps(self, *what: str) -> int:
        """Return the steps of the trainings of these kinds."""
        return sum(row.steps for row in self.rows if row.what in what)

    def examples(self) -> int:
        """Return the examples that will be trained on."""
        return sum(row.examples for row in self.rows if row.what == TRAIN)

    def scored(self) -> Cost:
        """Return what making masks will take; a shared level needs its mask too, to be found."""
        return sum((row.scored for row in self.rows if row.what != THERE), Cost())

    def replayed(self) -> int:
        """Return the steps that are trained again to reach states that nobody kept."""
        return sum(row.replayed for row in self.rows if row.what != THERE)

    def seconds(self, *what: str) -> float | None:
        """Return the time of the trainings of these kinds; None where nothing was timed.

        Each takes its steps, evaluations, and what is done once a level: its tables, hashes and
        files. To those that will be trained belongs what the command needs before the first step,
        and what makes the masks, whose gradients take as long as those of training.
        """
        if self.timing is None:
            return None
        rows = [row for row in self.rows if row.what in what]
        steps, evaluated = sum(r.steps for r in rows), sum(r.evaluated for r in rows)
        found = self.timing.seconds(steps, evaluated, len(rows))
        found += len(rows) * (LEVEL + left_by(self.run, 1) / BYTES)
        if TRAIN in what:
            found += self.opening
            step = PASSES * self.run.forward.macs * self.run.parts.recipe.batch_size
            found += self.timing.seconds(self.replayed() + self.scored().macs / step)
        return found

    def disk(self) -> int:
        """Return the bytes that will be left."""
        return left_by(self.run, self.counts()[TRAIN])

    def checkpoints(self) -> int:
        """Return the bytes of checkpoints while it is at work."""
        return at_work(self.run) if self.counts()[TRAIN] else 0
