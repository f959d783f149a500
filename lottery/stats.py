"""Say what replicates show: means with 95 % intervals, paired tests, verdicts. Imports no torch."""

import math
from collections.abc import Sequence
from statistics import fmean

TOLERANCE = 0.005  # half a point of accuracy: what is smaller than that counts as no difference
ROUNDING = 1e-12  # values that differ by less, relative to the largest or to 1, are equal
LEAST = 3  # replicates for a verdict
MATCHES = "matches dense"
BEATS = "beats dense"
FALLS = "falls below"
UNCLEAR = "unclear"
RULE = """\
change to dense: accuracy minus that of the same replicate's dense level, mean and 95 % interval
  beats dense    the interval is above 0, and the mean is more than the tolerance above
  falls below    the interval is below 0, and the mean is more than the tolerance below
  matches dense  else, where the whole interval is no more than the tolerance below 0
  unclear        everything else: more replicates would tell"""


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and the ends of its 95 % interval (Student's t, n - 1 degrees of freedom).

    Values that are not finite are left out. NaN for what there is not: the ends of fewer than two
    values, the mean of none.
    """
    some = finite(values)
    if not some:
        return math.nan, math.nan, math.nan
    mean = fmean(some)
    if len(some) < 2:
        return mean, math.nan, math.nan
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    reach = float(stdtrit(len(some) - 1, 0.975)) * error_of_mean(some)
    return mean, mean - reach, mean + reach


def paired(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the mean of a - b, the ends of its 95 % interval, and the p of a paired t-test.

    `a` and `b` are of the same replicates in the same order; a pair without a finite number on both
    sides is left out. p is two-sided, for the hypothesis that the mean is 0; NaN for fewer than two
    pairs, and where all the differences are equal, of which no test can say anything.
    """
    differences = finite([x - y for x, y in zip(a, b, strict=True)])
    mean, low, high = interval(differences)
    if len(differences) < 2 or error_of_mean(differences) == 0:
        return mean, low, high, math.nan
    from scipy.special import stdtr  # type: ignore[import-untyped]

    t = mean / error_of_mean(differences)
    return mean, low, high, float(2 * stdtr(len(differences) - 1, -abs(t)))


def verdict(differences: Sequence[float], tolerance: float = TOLERANCE) -> str:
    """Return what differences to dense, one a replicate, say of a level; the rule is `RULE`.

    Fewer than three replicates say nothing, and the words say so: two that agree by chance have an
    interval of no width. "" for none.
    """
    some = finite(differences)
    if len(some) < LEAST:
        return f"({len(some)} replicate{'s' if len(some) > 1 else ''})" if some else ""
    mean, low, high = interval(some)
    if low > 0 and mean > tolerance:
        return BEATS
    if high < 0 and mean < -tolerance:
        return FALLS
    return MATCHES if low >= -tolerance else UNCLEAR


def finite(values: Sequence[float]) -> list[float]:
    """Return the values that are finite numbers."""
    return [float(value) for value in values if math.isfinite(value)]


def error_of_mean(values: Sequence[float]) -> float:
    """Return the standard error of the mean of two or more values; 0 where all are equal.

    Equal but for rounding counts: 0.9722 - 0.9694 and 0.9694 - 0.9666 are one image each.
    """
    if max(values) - min(values) <= ROUNDING * max(1, *map(abs, values)):
        return 0.0
    mean = fmean(values)
    spread = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(spread / len(values))
