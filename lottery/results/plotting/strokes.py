"""Draw lines of means with their intervals, and what stands across them: the dense nets."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lottery.results import stats
from lottery.results.plotting import charts
from lottery.results.plotting.charts import Look
from lottery.results.plotting.columns import (
    CLASSIFICATION,
    EARLY,
    Metrics,
    bounds,
    changed,
    metric_in,
)
from lottery.results.plotting.columns import scale as scale_of
from lottery.results.plotting.endings import End
from lottery.results.plotting.source import Source
from lottery.terms.metric import Metric

BANDS = 1  # lines whose intervals are bands; more of them would cover each other
APART = 4.0  # points of 1/72 inch between two lines side by side, at most
REACH = 0.6  # of the way from a level to the next, that all lines take side by side at most
MARKER = 3.4  # points; places nearer to each other than that cannot be told apart
AXES = 0.75  # of a figure's width, about
Net = tuple[set[str], set[str]]  # the lines that share a dense net, and its keys, one a replicate


def draw_lines(
    axes: Axes, table: pd.DataFrame, x: str, y: str, styles: Mapping[str, Look],
    names: Mapping[str, str],
) -> list[End]:  # fmt: skip
    """Draw a line of means with intervals for each of `styles`, as columns of `trends.summary`.

    Lines that share places on x stand beside each other there, markers with their bars. A line on
    its own has a band, where none of its places is apart. Returns where each ends.
    """
    beside = shifts(axes, table, x, list(styles))
    ends = []
    for name, look in styles.items():
        own = table[table["line"] == name]
        band = len(styles) <= BANDS and ("joined" not in own or bool(own["joined"].all()))
        draw_line(axes, own, x, y, look, names[name], None if band else beside[name])
        across = moved(axes, own[x], beside[name])
        last = int(np.argmax(axes.transData.transform([(each, 0) for each in across])[:, 0]))
        ends.append(End(names[name], float(across[last]), float(own[y].iloc[last]), look.colour))
    return ends


def draw_line(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, look: Look, name: str, shift: float | None
) -> None:
    """Draw means with their intervals: `y` against `x`, as columns of `trends.summary`.

    The intervals are a band, or with `shift` bars, moved together with their markers by so much of
    the scale of x. A row whose `joined` is False begins anew.
    """
    across = moved(axes, rows[x], shift or 0.0)
    mean, low, high = (rows[c].to_numpy(float) for c in (y, f"{y}_low", f"{y}_high"))
    breaks = (
        np.flatnonzero(~rows["joined"].to_numpy(bool)) if "joined" in rows else np.empty(0, int)
    )
    ends = [np.insert(values, breaks, math.nan) for values in (across, mean)]
    style: dict[str, Any] = {"color": look.colour, "linestyle": look.dashes, "zorder": 3}
    inside = {"markerfacecolor": "none"} if look.hollow else {"markeredgewidth": 0}
    axes.plot(*ends, marker=look.marker, label=name, **inside, **style)
    if shift is None:
        axes.fill_between(across, low, high, color=look.colour, alpha=0.18, linewidth=0, zorder=2)
    elif (known := np.isfinite(low)).any():
        reach = np.stack([mean - low, high - mean])[:, known]
        axes.errorbar(across[known], mean[known], reach, fmt="none", ecolor=look.colour,
                      elinewidth=0.7, capsize=1.6, capthick=0.7, zorder=2)  # fmt: skip


def shifts(axes: Axes, table: pd.DataFrame, x: str, names: Sequence[str]) -> dict[str, float]:
    """Return by how much of the scale of x each line is moved: 0 where none shares its places.

    Side by side they take `REACH` of the way from a level to the next, and `APART` points each at
    most; the axis makes room for them.
    """
    axes.update_datalim([(float(value), 0.0) for value in table[x]], updatey=False)
    axes.autoscale_view(scaley=False)
    scale = axes.xaxis.get_transform()
    on_scale = [
        scale.transform(table.loc[table["line"] == name, x].to_numpy(float)) for name in names
    ]
    left, right = scale.transform(np.array(axes.get_xlim(), float))
    point = (right - left) / (72 * AXES * charts.inches(axes))  # below 0 where x is turned
    if not meet(on_scale, abs(MARKER * point)):
        return dict.fromkeys(names, 0.0)
    gaps = [float(np.median(gap)) for each in on_scale if len(gap := np.diff(np.unique(each)))]
    room = REACH * min(gaps, default=math.inf) / (len(names) - 1)
    step = math.copysign(min(APART * abs(point), room), point)
    found = {name: step * (at - (len(names) - 1) / 2) for at, name in enumerate(names)}
    ends = np.concatenate([v + by for v, by in zip(on_scale, found.values(), strict=True)])
    inner, outer = (min, max) if point > 0 else (max, min)
    edge = 2 * MARKER * point
    wide = np.array([inner(left, inner(ends) - edge), outer(right, outer(ends) + edge)])
    axes.set_xlim(*scale.inverted().transform(wide))
    return found


def moved(axes: Axes, values: "pd.Series[float]", shift: float) -> np.ndarray:
    """Return values of x moved to the right by so much of its scale."""
    if not shift:
        return values.to_numpy(float)
    scale = axes.xaxis.get_transform()
    return np.asarray(scale.inverted().transform(scale.transform(values.to_numpy(float)) + shift))


def meet(places: Sequence[np.ndarray], near: float) -> bool:
    """Say whether two lines have a place that is the same but for `near`."""
    whose = np.repeat(range(len(places)), list(map(len, places)))
    all_of_them = np.concatenate(places)
    order = np.argsort(all_of_them, kind="stable")
    close = np.diff(all_of_them[order]) < near
    return bool((close & (np.diff(whose[order]) != 0)).any())


def counted(means: pd.DataFrame) -> dict[str, str]:
    """Return what each line is called in a legend: how many replicates it has, where they differ.

    Means over three replicates and a single number look the same otherwise.
    """
    names = [str(name) for name in means["line"].unique()]
    if means["replicates"].nunique() <= 1:
        return {name: name for name in names}
    said = {}
    for name in names:
        some = sorted(means.loc[means["line"] == name, "replicates"].unique())
        said[name] = f"{name} (n={' to '.join(map(str, dict.fromkeys((some[0], some[-1]))))})"
    return said


def within(
    drawn: pd.DataFrame, y: str, rows: pd.DataFrame, metrics: Metrics = CLASSIFICATION
) -> pd.DataFrame:
    """Return means for drawing whose intervals end where values do: at 0, 100 %, the last step."""
    low, high = bounds(y, metrics)
    ends = [f"{y}_low", f"{y}_high"]
    if (drawn[y] < low).any():
        return drawn
    drawn[ends] = drawn[ends].clip(low, high)
    if y == EARLY and "step" in rows:
        last = rows.groupby(["line", "level"])[length_in(rows)].max().to_dict()
        ceiling = pd.MultiIndex.from_frame(drawn[["line", "level"]]).map(last)
        drawn[ends] = drawn[ends].clip(upper=pd.Series(ceiling, drawn.index), axis=0)
    return drawn


def length_in(rows: pd.DataFrame) -> str:
    """Return the column that says how many steps a level was trained for."""
    return "steps" if "steps" in rows and rows["steps"].notna().all() else "step"


def joined(means: pd.DataFrame) -> list[bool]:
    """Say of each row whether a stroke leads to it from the row of its line before.

    None does over levels that the tickets have and a branch was not trained at.
    """
    found: list[bool] = []
    before: dict[str, int] = {}
    tickets = means[means["branch"] == ""].groupby(["name", "id"])["level"].unique()
    for row in means.to_dict("records"):
        last = before.get(row["line"], row["level"])
        there = tickets.get((row["name"], row["id"]), ())
        found.append(not any(last < level < row["level"] for level in there))
        before[row["line"]] = row["level"]
    return found


def say(runs: Source, drawn: pd.DataFrame, y: str, moved: bool) -> None:
    """Note which lines have no interval beside others that have one, and why bars stand apart."""
    most = drawn.groupby("line", sort=False)["replicates"].max()
    for name in most.index[most == 1] if (most > 1).any() else ():
        runs.note(f"{name}: 1 replicate, so it has no interval")
    bars = drawn[drawn[f"{y}_high"] > drawn[f"{y}_low"]]
    if moved and bars["line"].nunique() > 1:
        runs.note("bars of one density stand side by side, so that none hides another")


def reach(values: Sequence[float], y: str, metrics: Metrics) -> tuple[float, float, float]:
    """Return the mean of a column over replicates and the ends of its 95 % interval."""
    metric = metric_in(y, metrics)
    whole = None if changed(y, metrics) else metric
    return stats.reach(values, whole) if metric else stats.interval(values)


def chance_line(axes: Axes, chances: Collection[float], metric: Metric) -> list[End]:
    """Draw where no net is needed, thin, if that is one place within the axes; return its end."""
    places = {metric.scale * chance for chance in chances}
    low, high = axes.get_ylim()
    if len(places) != 1 or not low < min(places) < high:
        return []
    style: dict[str, Any] = {"linewidth": 0.5, "linestyle": (0, (1, 2)), "zorder": 1}
    axes.axhline(min(places), color=charts.INK, **style)
    axes.plot([], [], color=charts.INK, label="chance", **style)
    return [End("chance", axes.get_xlim()[1], min(places), charts.INK)]


def dense_lines(
    axes: Axes, nets: Sequence[Net], dense: pd.DataFrame, y: str, styles: Mapping[str, Look],
    counts: bool, metrics: Metrics = CLASSIFICATION,
) -> list[End]:  # fmt: skip
    """Draw where the dense nets are: one band where all lines share theirs, else a line each.

    `dense` has the rows of level 0, `counts` asks for the number of replicates. Returns where they
    end at the right.
    """
    scale, right = scale_of(y, metrics), axes.get_xlim()[1]
    line: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1}
    ends = []
    for names, keys in nets:
        values = scale * dense[dense["key"].isin(keys)].drop_duplicates("key")[y]
        mean, low, high = reach(values.tolist(), y, metrics)
        if not math.isfinite(mean):
            continue
        own = len(nets) > 1 and len(names) == 1
        colour = styles[min(names)].colour if own else charts.INK
        axes.axhline(mean, color=colour, **line)
        if len(nets) == 1 and high > low:
            low, high = np.clip((low, high), *bounds(y, metrics))
            high = min(high, dense[length_in(dense)].max()) if y == EARLY else high
            axes.axhspan(low, high, color=charts.INK, alpha=0.09, linewidth=0, zorder=0)
        ends.append(End(f"dense (n={len(values)})" if counts else "dense", right, mean, colour))
    if ends:
        label = ends[0].name if len(ends) == 1 else "dense"
        axes.plot([], [], color=charts.INK, label=label, **line)
    return ends
