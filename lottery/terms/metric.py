"""Say what is measured of a net: which end is better, how it is written, what counts as a change.

A task names its metrics; run.json keeps them, so that whoever reads results needs no task. Where a
run.json says nothing (it is older) the metric is accuracy. Imports no torch.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

CHOICES = {
    "better": ("higher", "lower"),
    "unit": ("share", "number", "points"),
    "of": ("unit", "dense", "span"),
    "mean": ("plain", "log"),
    "error": ("one_minus", "itself", "loss", "ceiling_minus"),
}
CEILING = 100.0  # of points
FIGURES, PLAIN = 4, (1e-4, 1e6)  # that count of a number; sizes that are written without exponent
LONGEST, LARGEST = 40, 1e300  # characters of a name; size of a chance level
SPLITS = {"train": "training", "val": "validation", "test": "test"}
BEST = "best_"  # in front of a column: at the step of early stopping
START = "start_"  # before the first step of a level: right after pruning, and rewinding if any
EXTREME = {"higher": max, "lower": min}


@dataclass(frozen=True)
class Metric:
    """What a task measures of a net on a split, as plain data.

    `unit`: a share of 0 to 1 is written in per cent, points go from 0 to 100, a number is written
    as it is. `tolerance` is what counts as no difference: in that unit, or a share `of` the dense
    net's value or of the `span` from chance to it. Replicates are averaged as they are (`plain`) or
    by their logarithms. `error` is what scaling laws fit: 1 - value, the value itself, the loss, or
    the ceiling - value. Raises ValueError for words that are none of these.
    """

    name: str  # as in test_<name>
    better: str = "higher"
    unit: str = "number"
    tolerance: float = 0.0
    of: str = "unit"
    mean: str = "plain"
    error: str = "one_minus"
    trials: int = 0

    def __post_init__(self) -> None:
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(
                    f"metric {self.name}: {field} is {getattr(self, field)!r}, not one of "
                    f"{', '.join(known)}"
                )
        if not self.name.isidentifier() or len(self.name) > LONGEST:
            raise ValueError(f"metric {self.name!r}: its name is to be one word")
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"metric {self.name}: a tolerance is 0 or more, not {self.tolerance}")

    @property
    def higher(self) -> bool:
        """Whether more of it is better."""
        return self.better == "higher"

    @property
    def label(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    @property
    def percent(self) -> bool:
        """Whether values are shares, which people read as per cent."""
        return self.unit == "share"

    @property
    def lopsided(self) -> bool:
        """Whether an interval of it has no half: that of a mean of logarithms, or of a share."""
        return self.mean == "log" or self.trials > 0

    @property
    def in_points(self) -> bool:
        """Whether differences are called points, hundredths of what is best."""
        return self.unit != "number"

    @property
    def scale(self) -> int:
        """What a value is multiplied by to be shown."""
        return 100 if self.percent else 1

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends beyond which no value lies, as shown; a reward may be below 0."""
        if self.in_points:
            return 0.0, CEILING
        return (-math.inf if self.higher else 0.0), math.inf

    def gain(self, value: float, reference: float) -> float:
        """Return how much better a value is than a reference, in the metric's unit; + is better."""
        return value - reference if self.higher else reference - value

    def best(self, values: Iterable[float]) -> float:
        """Return the best of values, NaN left out; NaN of none."""
        return EXTREME[self.better]((v for v in values if not math.isnan(v)), default=math.nan)

    def average(self, values: Sequence[float]) -> float:
        """Return the mean over replicates, by logarithms where the metric says so; NaN of none."""
        some = [value for value in values if not math.isnan(value)]
        if not some:
            return math.nan
        if self.mean == "log" and min(some) > 0:
            return math.exp(fmean(map(math.log, some)))
        return fmean(some)

    def allowance(self, dense: float, chance: float | None = None) -> float:
        """Return the tolerance in the metric's unit, for a dense net of this value.

        Of a span without a known chance level it is a share of the dense net's value.
        """
        if self.of == "unit":
            return self.tolerance
        origin = chance if self.of == "span" and chance is not None else 0.0
        return self.tolerance * abs(dense - origin)

    def error_of(self, value: float, loss: float) -> float:
        """Return the error that goes with a value: what falls towards 0 as a net gets better."""
        if self.error == "one_minus":
            return 1 - value
        if self.error == "ceiling_minus":
            return CEILING - value
        return loss if self.error == "loss" else value

    def shown(self, value: float | None, sign: str = "", beside: float | None = None) -> str:
        """Return a value for people, without its unit; "" for none.

        Shares in per cent and points have two decimals, numbers four digits that count. A
        difference has the `sign` + where it is above 0, and as many decimals as what it stands
        `beside`.
        """
        if value is None or math.isnan(value):
            return ""
        if self.unit != "number" or math.isinf(value):
            return f"{self.scale * value:{sign}.2f}"
        size = abs(value if beside is None else beside)
        if not PLAIN[0] <= size < PLAIN[1] and size:
            return f"{value:{sign}.{FIGURES}g}"
        decimals = max(0, FIGURES - 1 - math.floor(math.log10(size))) if size else 0
        return f"{value:{sign}.{decimals}f}"

    def said(self, value: float | None) -> str:
        """Return a value with its unit: 97.22 %, or 30.12; "" for none."""
        text = self.shown(value)
        return f"{text} %" if text and self.percent else text

    def apart(self, difference: float) -> str:
        """Return a difference in words: 0.5 points, or 0.302."""
        text = f"{self.scale * difference:.4g}"
        return f"{text} point{'s'[text == '1' :]}" if self.in_points else text

    def slack(self) -> str:
        """Return the tolerance in words: 0.5 points, or 1 % of dense."""
        if self.of == "unit":
            return self.apart(self.tolerance)
        span = "the way from chance to dense"
        return f"{100 * self.tolerance:.4g} % of {'dense' if self.of == 'dense' else span}"

    def data(self) -> dict[str, Any]:
        """Return the metric as it stands in run.json."""
        return asdict(self)


ACCURACY = Metric("accuracy", unit="share", tolerance=0.005)
LOSS = Metric("loss", better="lower", error="loss")  # every task has one beside its metrics


@dataclass(frozen=True)
class Measured:
    """A column that holds a metric, or a loss: of which split, and when."""

    metric: Metric
    split: str
    best: bool = False  # at the step of early stopping
    start: bool = False  # before the first step of training

    @property
    def label(self) -> str:
        """The column in words: validation accuracy at early stop."""
        when = " at early stop" * self.best + " before training" * self.start
        return f"{SPLITS[self.split]} {self.metric.label}{when}"


def metrics_of(record: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Return the metrics that a run.json names, the first that of its verdicts.

    Accuracy where it names none, and where what it says cannot be read.
    """
    found = record.get("metrics")
    known = {field.name for field in fields(Metric)}
    try:
        made = tuple(
            Metric(**{k: v for k, v in each.items() if k in known}) for each in found or ()
        )
    except (TypeError, ValueError, AttributeError, OverflowError):
        made = ()
    return made or (ACCURACY,)


def chance_of(record: Mapping[str, Any]) -> float | None:
    """Return the value of the first metric that needs no net, which a run.json names; else None."""
    found = record.get("chance")
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) <= LARGEST else None


def measured(column: str, metrics: Iterable[Metric]) -> Measured | None:
    """Return what a column such as best_val_accuracy measures; None for one of no metric."""
    plain = column.removeprefix(BEST).removeprefix(START)
    before = column.removesuffix(plain)
    split, _, name = plain.partition("_")
    if split not in SPLITS or before not in ("", BEST, START):
        return None
    for metric in (*metrics, LOSS):
        if metric.name == name:
            return Measured(metric, split, before == BEST, before == START)
    return None
