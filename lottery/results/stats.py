"""Say what replicates show: means with 95 % intervals, paired tests, verdicts. Imports no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from lottery.terms.metric import ACCURACY, Metric

TOLERANCE = ACCURACY.tolerance  # what is smaller than that counts as no difference
ROUNDING = 1e-12  # values that differ by less, relative to the largest or to 1, are equal
LEAST = 3  # replicates for a verdict
ALPHA = 0.05  # the share of families without any true difference that may hold a wrong verdict
CORRECTIONS = ("holm", "none")  # over the levels of a config, or each for itself
MATCHES = "matches dense"
BEATS = "beats dense"
FALLS = "falls below"
UNCLEAR = "unclear"
SAME = "all differences the same"  # no spread, and so no test: in place of a verdict
RULE = """\
{change} dense: {difference}, mean and 95 % interval
  beats dense    the mean is more than the tolerance above, and p is below 0.05
  falls below    the mean is more than the tolerance below, and p is below 0.05
  matches dense  else, where the whole interval is no more than the tolerance below 0
  unclear        everything else: more replicates would tell"""


def rule(metric: Metric) -> list[str]:
    """Return how verdicts come about, and what counts as no difference, a line each."""
    other = "that of the same replicate's dense level"
    difference = (
        f"{metric.label} minus {other}"
        if metric.higher
        else f"{metric.label} of the same replicate's dense level minus its own (+ is better)"
    )
    said = RULE.format(change=change_to(metric), difference=difference)
    return [*said.splitlines(), f"  tolerance      {metric.slack()}"]


def change_to(metric: Metric | None) -> str:
    """Return what a difference is called: + is better, also where less of a metric is."""
    return "change to" if metric is None or metric.higher else "gain over"


@dataclass(frozen=True)
class Tested:
    """What a paired t-test says of one level, alone and as one of several."""

    p: float  # two-sided, of this level alone; NaN where there is no test
    adjusted: float  # what a verdict goes by: over its family, or p where each stands for itself
    family: int  # how many levels it was corrected for; 0 where each stands for itself


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and the ends of its 95 % interval (Student's t, n - 1 degrees of freedom).

    Values that are not finite are left out. NaN for what there is not: the ends of fewer than two
    values, the mean of none.
    """
    some = finite(values)
    if not some:
        return math.nan, math.nan, math.nan
    mean = average(some)
    if len(some) < 2:
        return mean, math.nan, math.nan
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    reach = float(stdtrit(len(some) - 1, 0.975)) * error_of_mean(some)
    return mean, mean - reach, mean + reach


def reach(values: Sequence[float], metric: Metric | None = None) -> tuple[float, float, float]:
    """Return what `interval` does, by logarithms where the metric is averaged so.

    Of shares of trials it is Wilson's, over the trials of all values. One that is infinite makes
    the mean infinite, without an interval: to leave it out would flatter what diverged. Without a
    metric they are differences.
    """
    some = [value for value in values if not math.isnan(value)]
    if endless := {value for value in some if math.isinf(value)}:
        return (endless.pop() if len(endless) == 1 else math.nan), math.nan, math.nan
    if metric and metric.trials and some and 0 <= min(some) <= max(some) <= 1:
        return average(some), *wilson(average(some), metric.trials * len(some))
    if metric and metric.mean == "log" and some and min(some) > 0:
        mean, low, high = interval([math.log(value) for value in some])
        return exponential(mean), exponential(low), exponential(high)
    return interval(some)


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share of trials (Wilson 1927)."""
    z = 1.959963984540054  # leaves 2.5 % on either side of the normal distribution
    wide = 1 + z**2 / trials
    middle = (share + z**2 / (2 * trials)) / wide
    half = z / wide * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    return middle - half, middle + half


def exponential(value: float) -> float:
    """Return e to the power of a value; inf where that is too large a number."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def average(values: Sequence[float]) -> float:
    """Return the mean of finite values; inf where their sum is too large a number."""
    try:
        return fmean(values)
    except OverflowError:
        return math.copysign(math.inf, sum(values))


def paired(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the mean of a - b, the ends of its 95 % interval, and the p of a paired t-test.

    `a` and `b` are of the same replicates in the same order; a pair without a finite number on both
    sides is left out. p is two-sided, for the hypothesis that the mean is 0; NaN for fewer than two
    pairs, and where all the differences are equal, of which no test can say anything.
    """
    differences = finite([x - y for x, y in zip(a, b, strict=True)])
    return *interval(differences), chance(differences)


def chance(differences: Sequence[float]) -> float:
    """Return the p of a paired t-test of differences; NaN where there is none, or one is inf."""
    if len(differences) < 2 or any(map(math.isinf, differences)) or same(differences):
        return math.nan
    from scipy.special import stdtr  # type: ignore[import-untyped]

    t = average(differences) / error_of_mean(differences)
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


def tested(every: Sequence[Sequence[float]], correction: str = "holm") -> list[Tested]:
    """Return what paired t-tests say of each level, whose differences are one a replicate.

    The family is all levels of three replicates or more. One whose differences are all the same
    has no p, and is one of them all the same: else chance would say how many there are.
    """
    some = [[d for d in differences if not math.isnan(d)] for differences in every]
    alone = [chance(differences) for differences in some]
    if correction == "none":
        return [Tested(p, p, 0) for p in alone]
    counted = [
        math.nan if len(d) < LEAST else 1.0 if math.isnan(p) else p
        for d, p in zip(some, alone, strict=True)
    ]
    size = sum(not math.isnan(p) for p in counted)
    return [
        Tested(p, math.nan if math.isnan(p) else adjusted, size)
        for p, adjusted in zip(alone, holm(counted), strict=True)
    ]


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number; NaN stays, and is none of them.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure": the k-th lowest of n is
    multiplied by n - k + 1, and none is lower than the one before it, nor above 1. What is below
    0.05 then is wrong anywhere in at most 5 % of families, however they depend on each other.
    """
    order = sorted((i for i, p in enumerate(ps) if not math.isnan(p)), key=lambda i: ps[i])
    found, highest = [math.nan] * len(ps), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, ps[index] * (len(order) - place)))
        found[index] = highest
    return found


def corrected(fewest: int, most: int | None = None) -> str:
    """Say over how many levels verdicts are corrected; 0 is each for itself."""
    most = fewest if most is None else most
    if not most:
        return "each level for itself, not corrected for how many there are"
    return f"Holm over {most if fewest == most else f'{fewest} to {most}'} level{'s'[most < 2 :]}"


def verdict(
    differences: Sequence[float], tolerance: float = TOLERANCE, p: float | None = None
) -> str:
    """Return what differences to dense, one a replicate, say of a level; the rule is `RULE`.

    `p` is that of a family of levels; None for a level that stands for itself. Fewer than three
    replicates say nothing, and neither do differences that are all the same: the words say so. ""
    for none.
    """
    some = [d for d in differences if not math.isnan(d)]
    if len(some) < LEAST:
        return f"({len(some)} replicate{'s' if len(some) > 1 else ''})" if some else ""
    if any(map(math.isinf, some)):  # a net that diverged; no test can take that
        return FALLS if max(some) == -math.inf else BEATS if min(some) == math.inf else UNCLEAR
    if same(some):
        return SAME
    mean, low, _ = interval(some)
    if (chance(some) if p is None else p) < ALPHA and abs(mean) > tolerance:
        return BEATS if mean > 0 else FALLS
    return MATCHES if low >= -tolerance else UNCLEAR


def same(values: Sequence[float]) -> bool:
    """Say whether two values or more are all the same, but for rounding."""
    finite_ones = not any(map(math.isinf, values))
    return len(values) > 1 and finite_ones and error_of_mean(values) == 0


def finite(values: Sequence[float]) -> list[float]:
    """Return the values that are finite numbers."""
    return [float(value) for value in values if math.isfinite(value)]


def error_of_mean(values: Sequence[float]) -> float:
    """Return the standard error of the mean of two or more values; 0 where all are equal.

    Equal but for rounding counts: 0.9722 - 0.9694 and 0.9694 - 0.9666 are one image each.
    """
    if max(values) - min(values) <= ROUNDING * max(1, *map(abs, values)):
        return 0.0
    mean = average(values)
    try:
        spread = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    except OverflowError:  # perplexities of nets that diverged
        return math.inf
    return math.sqrt(spread / len(values))
