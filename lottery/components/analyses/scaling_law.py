"""Fit the error of pruned nets by depth, width and density, and choose a net by it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from lottery.errors import UsageError
from lottery.results import axes, scaling
from lottery.results.scaling import Law, Numbers, Points
from lottery.terms.analysis import Levels, Reported, Row, Rows
from lottery.terms.metric import CEILING, Metric

SHOWN = 4  # levels that a note names

@dataclass(frozen=True)
class Place:
    """A level of a config: means over its replicates, and what it is a place of."""

    config: str
    depth: float
    width: float
    data: float
    of: Reported  # of one replicate
    replicates: int
    error: dict[str, float]
    dense: dict[str, float]
    noise: float  # variance of a replicate's relative error on the reported split; NaN for one
    held: bool


def scaling_law(
    levels: Levels, *, depth: str | None, width: str | None, data: str | None,
    held_out: str | None, target: float | None,
) -> Rows:  # fmt: skip
    """Fit the law of Rosenfeld et al. 2021 per config and to all of them together.

    A point is a pruned level of a config, its error and that of its dense net the means over
    replicates; dense levels give e_np and are no points themselves, as the law is given their
    error. Least squares of (law - error) / error from several starts. `depth`, `width` and `data`
    name settings (None: a guess): of a list the depth is its length, the width its first entry;
    data of 0 is all there is. What `held_out` says is kept out of every fit; e_np of a config is
    measured there, too. Mean and standard deviation of the relative error are in per cent.
    Intervals are 95 %, from the standard deviation of the joint fit's residuals.

    What is reported was fitted to test errors; the net for a `target` error is chosen by a joint
    fit to validation errors. Raises UsageError for fewer points than constants, settings that the
    runs have not, and a `held_out` that holds nothing out.
    """
    if target is not None and not target > 0:
        raise UsageError(f"scaling_law.target={target} is no error; type scaling_law.target=0.05")
    every = [*{each.config: each.settings for each in levels}.values()]
    keys = {"depth": depth, "width": width, "data": data}
    used = {axis: axes.key_of(axis, typed, every, "scaling_law") for axis, typed in keys.items()}
    pruned = [each for each in levels if each.level]
    splits = [split for split in ("test", "val") if any(good(each, split) for each in pruned)]
    sound = [each for each in pruned if usable(each, splits)]
    if not sound:
        raise UsageError("scaling_law: no pruned level has an error; lottery ls shows the runs")
    tell_left_out([each for each in levels if not usable(each, splits)], levels)
    tell_others(every, [*used.values()], levels)
    report, choice = splits[0], splits[-1]
    if target is not None and choice == "test":
        levels.note("there are no validation errors, so that nets are chosen by test errors")
    held = axes.condition(held_out, every, used, "scaling_law.held_out")
    places = [*gathered(sound, used, held, report)]
    if held_out and not any(place.held for place in places):
        raise UsageError(f"scaling_law.held_out={held_out} holds no level out; type another value")
    joint, own = fitted(places, report, levels.metric), fitted_each(places, report, levels)
    points = points_of(places, report)
    errors = joint.deviation(points)
    kept = np.array([not place.held for place in places])
    mean, deviation = scaling.spread(errors[kept])
    table = [summary("joint", joint, report, errors, kept, (mean, deviation), points)]
    table += [summary("joint, held out", None, report, errors, ~kept, (mean, deviation), points)]
    single = np.array([own_deviation(place, own, report) for place in places])
    table += [summary("each config", None, report, single, kept, None, points)]
    table += [summary("each config, held out", None, report, single, ~kept, None, points)]
    table += seeds(places, report)
    found = {
        "": [row for row in table if row["points"]],
        "nets": [],
        "configs": [*configs(places, own, report)],
        "points": [*rows_of(places, joint, own, report, (mean, deviation))],
    }
    if target is not None:
        found["nets"] = nets(places, choice, joint, report, target, levels)
    return found


def good(level: Reported, split: str) -> bool:
    """Say whether an error, and that of the dense net, can be fitted."""
    return all(0 < each[split] < math.inf for each in (level.error, level.dense))


def usable(level: Reported, splits: Sequence[str]) -> bool:
    """Say whether a level has an error that can be fitted, on every split that some have."""
    return all(good(level, split) for split in splits)


def tell_left_out(some: Sequence[Reported], levels: Levels) -> None:
    """Name the levels whose error is 0 or no number, in a line."""
    wrong = [f"{each.run} level {each.level}" for each in some]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" * (len(wrong) > SHOWN)
        levels.note(
            f"left out, as an error (of the level, or its dense net) is 0 or none: "
            f"{', '.join(wrong[:SHOWN])}{more}"
        )


def tell_others(every: Sequence[Mapping[str, Any]], known: Sequence[str], levels: Levels) -> None:
    """Say in which settings that the law does not know the configs differ, too."""
    keys = [key for key in dict.fromkeys(k for s in every for k in s) if key not in known]
    other = [key for key in keys if any(s.get(key) != every[0].get(key) for s in every)]
    if other:
        levels.note(f"the runs also differ in {', '.join(other)}, which the law does not know")


def gathered(
    levels: Sequence[Reported], used: Mapping[str, str], held: Callable[[Reported], bool],
    split: str,
) -> Iterator[Place]:  # fmt: skip
    """Yield the pruned levels of configs, replicates as means."""
    groups: dict[tuple[str, int], list[Reported]] = {}
    for level in levels:
        groups.setdefault((level.config, level.level), []).append(level)
    for (config, _), some in groups.items():
        first = some[0]
        at = {a: axes.number(first.settings[k], a) if k else 1.0 for a, k in used.items()}
        error = {s: fmean(each.error[s] for each in some) for s in first.error}
        dense = {s: fmean(each.dense[s] for each in some) for s in first.dense}
        shares = [each.error[split] / error[split] for each in some]
        noise = stdev(shares) ** 2 if len(some) > 1 else math.nan
        depth, width, data = (at[axis] or math.nan for axis in ("depth", "width", "data"))
        here = held(first)
        yield Place(config, depth, width, data, first, len(some), error, dense, noise, here)


def points_of(places: Sequence[Place], split: str) -> Points:
    """Return places as points of a split."""
    rows = [(p.of.density, p.depth, p.width, p.dense[split], p.error[split]) for p in places]
    return Points(*np.array(rows, dtype=float).reshape(-1, 5).T)


def ceiling(metric: Metric) -> float:
    """Return the largest error that a metric can have."""
    if metric.error == "ceiling_minus":
        return CEILING
    return 1.0 if metric.percent and metric.error != "loss" else math.inf


def fitted(places: Sequence[Place], split: str, metric: Metric) -> Law:
    """Return the law of what is not held out; raises UsageError for too few points."""
    points = points_of([place for place in places if not place.held], split)
    try:
        return scaling.fit(points, joint=True, ceiling=ceiling(metric))
    except ValueError as error:
        raise UsageError(
            f"scaling_law: {error}; name more runs, or hold fewer levels out"
        ) from error


def fitted_each(places: Sequence[Place], split: str, levels: Levels) -> dict[str, Law]:
    """Return the law of each config that has enough levels for one of its own."""
    laws: dict[str, Law] = {}
    few = 0
    for config in dict.fromkeys(place.config for place in places):
        points = points_of([p for p in places if p.config == config and not p.held], split)
        if len(points) < len(scaling.constants(points, joint=False)):
            few += 1
        else:
            laws[config] = scaling.fit(points, ceiling=ceiling(levels.metric))
    if few:
        levels.note(f"{few} configs have too few levels in the fit for one of their own")
    return laws


def own_deviation(place: Place, own: Mapping[str, Law], split: str) -> float:
    """Return the relative deviation of a place from the law of its own config; NaN without one."""
    law = own.get(place.config)
    return float(law.deviation(points_of([place], split))[0]) if law else math.nan


def summary(
    name: str, law: Law | None, split: str, errors: Numbers, which: np.ndarray,
    residual: tuple[float, float] | None, points: Points,
) -> Row:  # fmt: skip
    """Return a row of the table: how far a fit is off on some of the points."""
    some = errors[which]
    mean, deviation = scaling.spread(some)
    row: Row = {"fit": name, "split": split, "points": int(np.isfinite(some).sum())}
    row |= {"mean_percent": 100 * mean, "deviation_percent": 100 * deviation}
    if residual:
        measured = points.error[which]
        low, high = scaling.interval(measured * (1 + some), *residual)
        inside = (low <= measured) & (measured <= high)
        row["inside_percent"] = 100 * float(inside.mean()) if len(some) else math.nan
    return row | (vars(law) if law else {})


def seeds(places: Sequence[Place], split: str) -> list[Row]:
    """Return a row on what replicates differ by; none where there is one of each."""
    noise = [place.noise for place in places if not math.isnan(place.noise)]
    row = {"fit": "one replicate to another", "split": split, "points": len(noise)}
    return [row | {"deviation_percent": 100 * math.sqrt(fmean(noise))}] if noise else []


def configs(places: Sequence[Place], own: Mapping[str, Law], split: str) -> Iterator[Row]:
    """Yield the constants of each config's own law, and how far it is off where it was fitted."""
    for config, law in own.items():
        some = [place for place in places if place.config == config]
        fit = points_of([place for place in some if not place.held], split)
        mean, deviation = scaling.spread(law.deviation(fit))
        yield {
            **where(some[0]),
            f"{split}_dense": some[0].dense[split],
            **{name: getattr(law, name) for name in ("gamma", "p", "e_up")},
            "mean_percent": 100 * mean,
            "deviation_percent": 100 * deviation,
        }


def where(place: Place) -> Row:
    """Return of which config a row is."""
    size = "all" if math.isinf(place.data) else f"{place.data:g}"
    return {"config": place.config, "depth": place.depth, "width": place.width, "data": size}


def rows_of(
    places: Sequence[Place], joint: Law, own: Mapping[str, Law], split: str,
    residual: tuple[float, float],
) -> Iterator[Row]:  # fmt: skip
    """Yield what was measured and predicted at each place."""
    points = points_of(places, split)
    predicted = points.error * (1 + joint.deviation(points))
    low, high = scaling.interval(predicted, *residual)
    for n, place in enumerate(places):
        law = own.get(place.config)
        alone = points.error[n] * (1 + own_deviation(place, own, split)) if law else math.nan
        yield {
            **where(place),
            "level": place.of.level,
            "density": place.of.density,
            "kept": place.of.kept,
            "replicates": place.replicates,
            "held_out": "yes" if place.held else "no",
            f"{split}_dense": place.dense[split],
            f"{split}_error": place.error[split],
            f"{split}_predicted": float(predicted[n]),
            f"{split}_low": float(low[n]),
            f"{split}_high": float(high[n]),
            f"{split}_alone": float(alone),
            "deviation_percent": 100 * float(predicted[n] / points.error[n] - 1),
        }


def nets(
    places: Sequence[Place], choice: str, joint: Law, report: str, target: float, levels: Levels
) -> list[Row]:
    """Return the configs that reach an error once pruned, fewest kept weights first.

    Each at the smallest density at which the joint fit to the errors of `choice` gives the target.
    `range` says whether that lies among the densities that were measured of the config.
    """
    law = fitted(places, choice, levels.metric)
    fit = points_of([place for place in places if not place.held], choice)
    residual = scaling.spread(law.deviation(fit))
    of_config: dict[str, list[Place]] = {}
    for place in places:
        of_config.setdefault(place.config, []).append(place)
    rows = []
    for some in of_config.values():
        first = some[0]
        density = law.density(target, first.depth, first.width, first.dense[choice])
        if density is None:
            continue
        at = np.array([density]), np.array([first.depth]), np.array([first.width])
        low, high = scaling.interval(law.error(*at, np.array([first.dense[choice]])), *residual)
        shown = float(joint.error(*at, np.array([first.dense[report]]))[0])
        measured = min(place.of.density for place in some) <= density
        rows.append(
            {
                **where(first),
                "density": density,
                "kept": math.ceil(density * first.of.total),
                f"{choice}_error": target,
                f"{choice}_low": float(low[0]),
                f"{choice}_high": float(high[0]),
                f"{report}_predicted": shown,
                "range": "measured" if measured else "extrapolated",
            }
        )
    if not rows:
        best = min(place.dense[choice] for place in places)
        levels.note(
            f"no net reaches a {choice} error of {levels.metric.said(target)}; the best dense one "
            f"has {levels.metric.said(best)}"
        )
    return sorted(rows, key=lambda row: row["kept"])
