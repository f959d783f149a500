"""Fit the scaling law of pruned nets (Rosenfeld et al. 2021) to errors. Imports no torch.

e(d) = e_np |(d - j p (e_up / e_np)^(1/gamma)) / (d - j p)|^gamma, j the imaginary unit, with e_np
the error of the dense net: e_np where d is large, e_up where it is small, between them a power law
of slope -gamma. Of one configuration d is its density; of several d is the invariant
m = depth^phi width^psi density, and the size of the data set counts through e_np alone.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
GAMMAS, UPS = (0.5, 2.0), (1.0, 4.0)  # where fits begin: slopes, e_up as a multiple
SHARES = (0.1, 0.6)  # ... and the quantiles of log m at which the error begins to rise
STEEPEST, FARTHEST, SLOPES = 20.0, 12.0, 10.0  # bounds: gamma, log p beyond the data, |phi|, |psi|
SPARSEST, HALVINGS = 1e-6, 60  # density to which a net is looked for, by halving in its logarithm
INSIDE = 1e-6  # of its bounds a start is to be
NORMAL = 1.959964  # standard deviations on either side of 95 %


@dataclass(frozen=True)
class Points:
    """Errors with what they are fitted by: arrays of one length, all above 0.

    Depth and width are as a config counts them; `dense` is the error of the dense net.
    """

    density: Numbers
    depth: Numbers
    width: Numbers
    dense: Numbers
    error: Numbers

    def __len__(self) -> int:
        return len(self.error)

    def pick(self, which: NDArray[np.bool_]) -> "Points":
        """Return some of the points."""
        fields = (self.density, self.depth, self.width, self.dense, self.error)
        return Points(*(each[which] for each in fields))


@dataclass(frozen=True)
class Law:
    """The constants of a law; phi and psi are 0 where depth and width do not count."""

    gamma: float
    p: float
    e_up: float
    phi: float = 0.0
    psi: float = 0.0

    def error(self, density: Numbers, depth: Numbers, width: Numbers, dense: Numbers) -> Numbers:
        """Return the errors that the law gives."""
        invariant = self.phi * np.log(depth) + self.psi * np.log(width) + np.log(density)
        return np.exp(log_error(invariant, np.log(dense), self.gamma, self.p, self.e_up))

    def deviation(self, points: Points) -> Numbers:
        """Return (error by the law - error) / error, of each point."""
        found = self.error(points.density, points.depth, points.width, points.dense)
        return found / points.error - 1

    def density(self, target: float, depth: float, width: float, dense: float) -> float | None:
        """Return the smallest density that gives an error of `target`; None for none up to 1.

        It is looked for down to `SPARSEST`.
        """
        at = np.array([depth]), np.array([width]), np.array([dense])

        def over(log_density: float) -> bool:
            return float(self.error(np.exp([log_density]), *at)[0]) > target

        low, high = float(np.log(SPARSEST)), 0.0
        if over(high):
            return None
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if over(middle) else (low, middle)
        return float(np.exp(high))


def log_error(invariant: Numbers, dense: Numbers, gamma: float, p: float, e_up: float) -> Numbers:
    """Return the logarithm of the law, of the logarithms of the invariant and of e_np."""
    low = 2 * np.log(p)
    high = low + 2 / gamma * (np.log(e_up) - dense)
    rise = np.logaddexp(2 * invariant, high) - np.logaddexp(2 * invariant, low)
    found: Numbers = dense + gamma / 2 * rise
    return found


def constants(points: Points, joint: bool) -> list[str]:
    """Return the constants that are fitted: phi and psi of what differs among the points."""
    named = {"phi": points.depth, "psi": points.width} if joint else {}
    more = [name for name, values in named.items() if len(np.unique(values)) > 1]
    return ["gamma", "p", "e_up", *more]


def fit(points: Points, joint: bool = False, ceiling: float = np.inf) -> Law:
    """Return the law of least squares of the relative deviation, the best of several starts.

    `ceiling` is the largest that e_up may be. Where nets were not pruned until their error stays
    where it is, e_up is hardly determined, and what is found is often that.

    Raises ValueError for fewer points than constants.
    """
    from scipy.optimize import least_squares  # type: ignore[import-untyped]  # slow to load

    names = constants(points, joint)
    if len(points) < len(names):
        raise ValueError(f"{len(points)} points are fewer than the {len(names)} constants")
    depth, width = np.log(points.depth), np.log(points.width)
    middle = np.array([depth.mean(), width.mean()])  # so that p does not move with phi and psi
    density, dense = np.log(points.density), np.log(points.dense)
    axes = {"phi": depth - middle[0], "psi": width - middle[1]}
    used = [axes[name] for name in names[3:]]

    def invariant(slopes: Iterable[float]) -> Numbers:
        found: Numbers = density + sum((s * axis for s, axis in zip(slopes, used)), 0 * density)
        return found

    def residual(x: Numbers) -> Numbers:
        gamma, p, e_up = np.exp(x[:3])
        found = log_error(invariant(x[3:]), dense, gamma, p, e_up)
        deviation: Numbers = np.exp(np.minimum(found, 50)) / points.error - 1
        return deviation

    largest = np.log(points.error.max())
    reach = density.min() - FARTHEST, density.max() + FARTHEST
    smallest = np.log(points.error.min()) - FARTHEST
    low = [-np.log(STEEPEST), reach[0], smallest, *[-SLOPES] * len(used)]
    highest = min(largest + FARTHEST, float(np.log(ceiling)))
    high = [np.log(STEEPEST), reach[1], max(highest, largest), *[SLOPES] * len(used)]
    best = None
    for gamma, up, share, slope in itertools.product(
        GAMMAS, UPS, SHARES, (0.0, 1.0) if used else (0.0,)
    ):
        slopes = [slope] * len(used)
        begin = np.quantile(invariant(slopes), share)
        start = np.array([np.log(gamma), begin, largest + np.log(up), *slopes])
        start = np.clip(start, np.add(low, INSIDE), np.subtract(high, INSIDE))
        found = least_squares(residual, start, bounds=(low, high), x_scale="jac", max_nfev=200)
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None  # there is a start
    gamma, p, e_up = np.exp(best.x[:3])
    slopes_of = dict(zip(names[3:], map(float, best.x[3:])))
    phi, psi = slopes_of.get("phi", 0.0), slopes_of.get("psi", 0.0)
    scale = np.exp(phi * middle[0] + psi * middle[1])
    return Law(float(gamma), float(p * scale), float(e_up), phi, psi)


def spread(deviations: Numbers) -> tuple[float, float]:
    """Return mean and standard deviation of relative deviations; NaN where there are too few."""
    some = deviations[np.isfinite(deviations)]
    mean = float(some.mean()) if len(some) else float("nan")
    return mean, float(some.std(ddof=1)) if len(some) > 1 else float("nan")


def interval(predicted: Numbers, mean: float, deviation: float) -> tuple[Numbers, Numbers]:
    """Return the 95 % interval of an error that the law predicts, from the residuals' spread.

    With relative deviations x = (law - error) / error that are normal, error = law / (1 + x);
    without an upper end where x may be -1.
    """
    low = predicted / max(1 + mean + NORMAL * deviation, 1e-9)
    rest = 1 + mean - NORMAL * deviation
    return low, predicted / rest if rest > 0 else np.full_like(predicted, np.inf)
