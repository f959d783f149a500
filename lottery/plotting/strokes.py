"""Draw lines of means with their intervals, and what stands across them: the dense nets."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from lottery import stats
from lottery.plotting import charts
from lottery.plotting.charts import Look
from lottery.plotting.columns import EARLY, bounds, is_share
from lottery.plotting.source import Source

BANDS = 2  # lines whose intervals are bands; more of them would cover each other
APART = 1.3  # points of 1/72 inch, between the bars of two lines
REACH = 9.0  # points that the bars of all lines take side by side, at most
Net = tuple[set[str], set[str]]  # the lines that share a dense net, and its keys, one a replicate


def draw_line(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, look: Look, name: str, shift: float | None
) -> None:
    """Draw means with their intervals: `y` against `x`, as columns of `trends.summary`.

    The intervals are a band, or with `shift` bars, moved by so many points of 1/72 inch so that
    none hides another; the means stand where they are. A row whose `joined` is False begins anew.
    """
    across = rows[x].to_numpy(float)
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
    else:
        draw_bars(axes, across, (mean, low, high), look.colour, shift)


def draw_bars(
    axes: Axes, across: np.ndarray, interval: Sequence[np.ndarray], colour: str, shift: float
) -> None:
    """Draw intervals as bars, moved sideways by so many points, with room for them on the axes."""
    mean, low, high = interval
    ends = [(a, e) for y in (low, high) for a, e in zip(across, y, strict=True)]
    axes.update_datalim([end for end in ends if math.isfinite(end[1])] or [(across[0], mean[0])])
    beside = axes.transData + ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
    axes.errorbar(
        across, mean, [mean - low, high - mean], fmt="none", ecolor=colour, elinewidth=0.7,
        capsize=1.6, capthick=0.7, zorder=2, transform=beside,
    )  # fmt: skip


def shifts(lines: int, shared: bool) -> list[float | None]:
    """Return for each line by how many points its bars are moved; None for two, that bands suit.

    Where lines do not share their x, bars stay where they are.
    """
    if lines <= BANDS and shared:
        return [None] * lines
    if not shared:
        return [0.0] * lines
    apart = min(APART, REACH / lines)
    return [apart * (number - (lines - 1) / 2) for number in range(lines)]


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


def within(drawn: pd.DataFrame, y: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return means for drawing whose intervals end where values do: at 0, 100 %, the last step."""
    low, high = bounds(y)
    ends = [f"{y}_low", f"{y}_high"]
    if (drawn[y] < low).any():
        return drawn
    drawn[ends] = drawn[ends].clip(low, high)
    if y == EARLY and "step" in rows:
        length = "steps" if "steps" in rows and rows["steps"].notna().all() else "step"
        last = rows.groupby(["line", "level"])[length].max().to_dict()
        ceiling = pd.MultiIndex.from_frame(drawn[["line", "level"]]).map(last)
        drawn[ends] = drawn[ends].clip(upper=pd.Series(ceiling, drawn.index), axis=0)
    return drawn


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


def dense_lines(
    axes: Axes, nets: Sequence[Net], dense: pd.DataFrame, y: str, colours: Mapping[str, str],
    counts: bool,
) -> None:  # fmt: skip
    """Draw where the dense nets are: one band where all lines share theirs, else a line each.

    `dense` has the rows of level 0, `counts` asks for the number of replicates in the legend.
    """
    scale, name = 100 if is_share(y) else 1, "dense"
    line: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1}
    for names, keys in nets:
        values = scale * dense[dense["key"].isin(keys)].drop_duplicates("key")[y]
        mean, low, high = stats.interval(values.tolist())
        own = len(nets) > 1 and len(names) == 1
        axes.axhline(mean, color=colours[min(names)] if own else charts.INK, **line)
        if len(nets) == 1 and low == low:
            low, high = np.clip((low, high), *bounds(y))
            axes.axhspan(low, high, color=charts.INK, alpha=0.09, linewidth=0, zorder=0)
        if len(nets) == 1 and counts:
            name = f"dense (n={len(values)})"
    if nets:
        axes.plot([], [], color=charts.INK, label=name, **line)
