"""Accuracy at chosen densities against a setting that differs: a rewind step, a learning rate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results.plotting import charts, cuts, endings, strokes, trends
from lottery.results.plotting.columns import bounds, in_percent
from lottery.results.plotting.source import Chart, Source
from lottery.terms.step import parse
from lottery.wording.spelling import suggestion

REWIND = "rewind.to"
DECADE = 10.0  # values that span as much stand on a logarithmic axis
WHOSE = ["name", "id", "replicate"]
SAID = (
    "method",
    "model",
    "dataset",
    "rewind",
)  # columns that tell lines apart, the first ones first
FULL = 4  # groups of which each has a line a density; of more only the sparsest is drawn
KINDS = ("auto", "linear", "log")


def sensitivity(
    runs: Source, *, setting: str, y: str, at: list[float], near: float, every: bool, axis: str,
    ylim: list[float],
) -> Chart:  # fmt: skip
    """Draw `y` at a few densities against the values of a setting: mean and 95 % interval.

    A line a density, and a group of runs that differ in nothing but the setting. Steps of training
    (2ep, 500it, 0.1) are drawn as numbers of steps; where weights go back to their initial values
    that is step 0. Raises UsageError where no setting that is a number differs, and for densities
    that no two values have in common.
    """
    if axis not in KINDS:
        raise UsageError(f"sensitivity: axis={axis} is none of {', '.join(KINDS)}")
    if not 0 <= near < 1:
        raise UsageError(f"sensitivity: near={near} is no share of 1; 0.02 is 2 %")
    y = runs.column(y, "sensitivity")
    levels = trends.with_change(trends.rows_of(runs.levels, "sensitivity"), y, runs)
    trends.need(levels, y, "sensitivity", "y")
    values = numbers(runs, levels)
    key = chosen(values.groupby(alike(runs.settings)).nunique().max(), setting)
    levels = trends.from_start(levels, y, runs)
    levels = levels.merge(values[key].rename("value").reset_index(), on=WHOSE)
    for name in levels.loc[levels["value"].isna(), "series"].unique():
        runs.note(f"{name}: left out, its {key} is no number")
    levels = grouped(runs, levels.dropna(subset=["value", y]), key)
    levels = trends.complete(levels.assign(line=levels["series"]), runs, every)
    rows = spots(levels, at, near, runs)
    rows = rows.assign(setting=key)
    means = trends.summary(rows, ["line", "setting", "value"], ["density", y], runs.metrics)
    order = {name: place for place, name in enumerate(dict.fromkeys(rows["line"]))}
    means = means.sort_values(
        ["line", "value"], key=lambda c: c.map(order) if c.name == "line" else c
    )
    trends.few(rows.assign(series=rows["line"]), "line", "sensitivity")
    return drawn(means.reset_index(drop=True), key, y, axis, ylim, runs), means


def numbers(runs: Source, levels: pd.DataFrame) -> pd.DataFrame:
    """Return the settings that differ as numbers, a row a run: NaN for what is none."""
    settings = runs.settings.set_index(WHOSE)
    first = levels[levels["level"] == levels.groupby(WHOSE)["level"].transform("min")]
    clocks = first.set_index(WHOSE)[["step", "epoch"]].to_dict("index") if "epoch" in first else {}
    found = {}
    for key in [str(column) for column in settings if "." in str(column)]:
        values = zip(settings.index, settings[key], settings["rewind"], strict=True)
        found[key] = [
            number(back(value, rewind) if key == REWIND else value, clocks.get(who, {}))
            for who, value, rewind in values
        ]
    return pd.DataFrame(found, index=settings.index, dtype=float)


def back(value: Any, rewind: str) -> str:
    """Return the step that weights go back to; "" where they do not go back."""
    word = rewind.partition(" ")[0]
    return "0it" if word == "init" else str(value) if word == "step" else ""


def number(value: Any, clock: Mapping[Any, float]) -> float:
    """Return a setting as a number, a step of training as steps; NaN for anything else.

    `clock` has the last step of training and its epoch.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or not clock.get("epoch"):
        return math.nan
    try:
        each = round(clock["step"] / clock["epoch"])
        return float(parse(value, each, int(clock["step"])).iteration)
    except UsageError:
        return math.nan


def alike(settings: pd.DataFrame) -> "pd.Series[str]":
    """Return for each run what is the same in runs that a setting can be compared over.

    Settings that come with another method or model are no values of one.
    """
    words = [" ".join(map(str, row)) for row in settings[list(SAID[:3])].to_numpy()]
    return pd.Series(words, pd.MultiIndex.from_frame(settings[WHOSE]))


def chosen(counts: "pd.Series[int]", setting: str) -> str:
    """Return the setting to draw: as typed, or by its last words, or the only one that differs.

    `counts` says how many values each has. Raises UsageError where there is none, or several.
    """
    differing = [str(key) for key in counts.index if counts[key] > 1]
    listed = ", ".join(differing) or "none"
    if not differing:
        raise UsageError("sensitivity: these runs differ in no setting that is a number")
    if setting == "auto":
        found = [REWIND] if REWIND in differing and len(differing) > 1 else differing
    else:
        found = [k for k in differing if k == setting or k.endswith(f".{setting}")]
    if len(found) != 1:
        short = [key.rpartition(".")[2] for key in differing]
        near = suggestion(setting, [*differing, *short])
        other = f"setting={setting} is none that differs{near}"
        why = "several differ" if setting == "auto" else other
        raise UsageError(f"sensitivity: {why}; name one, as in setting={differing[0]}: {listed}")
    return found[0]


def grouped(runs: Source, levels: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return levels with the group of each: what its run is beside the setting, in words."""
    settings = runs.settings
    family = f"{key.partition('.')[0]}." if key == REWIND else key
    others = [c for c in map(str, settings) if "." in c and not c.startswith(family)]
    shown = [c for c in SAID if not (key == REWIND and c == "rewind")]
    own = settings.assign(kind=["|".join(map(str, row)) for row in settings[others].to_numpy()])
    own = own[own.set_index(WHOSE).index.isin(levels.set_index(WHOSE).index)]
    first = own.drop_duplicates("kind").set_index("kind")
    named = pd.Series("", first.index)
    for column in [c for c in (*shown, *others) if first[c].map(str).nunique() > 1]:
        if named.nunique() == len(named):
            break
        word = first[column].map(str) if column in SAID else (
            f"{column.rpartition('.')[2]} " + first[column].map(str))  # fmt: skip
        named = named.where(named == "", named + ", ") + word
    return levels.merge(own.assign(group=own["kind"].map(named))[[*WHOSE, "group"]], on=WHOSE)


def spots(levels: pd.DataFrame, at: Sequence[float], near: float, runs: Source) -> pd.DataFrame:
    """Return the rows of the levels to draw, with the line that each is on.

    A level stands for a density that it misses by the share `near` of it at most.
    """
    means = levels.groupby(["series", "level"], sort=False)["density"].mean()
    wanted = [float(d) for d in at] or common(means, near, levels["group"].nunique() <= FULL)
    parts = []
    for density in wanted:
        apart = (means / density - 1).abs()
        best = apart[apart <= near + 1e-9].groupby(level="series").idxmin()
        rows = levels[pd.MultiIndex.from_frame(levels[["series", "level"]]).isin(best)]
        lacking = [name for name in levels["series"].unique() if name not in best.index]
        if not len(rows):
            raise UsageError(
                f"sensitivity: no level keeps {density:g} of the weights within {near:g}"
            )
        if lacking:
            runs.note(f"{', '.join(lacking)}: no level at {charts.short(100 * density)} %")
        parts.append(named(rows, density))
    return pd.concat(parts).drop_duplicates(["line", "value", "replicate"])


def named(rows: pd.DataFrame, density: float) -> pd.DataFrame:
    """Return the rows of a density with their lines; a dense net that groups share is one line."""
    shared = density == 1 and (rows.groupby(["value", "replicate"])["key"].nunique() == 1).all()
    word = "dense" if density == 1 else f"{charts.short(100 * density)} % kept"
    plain = shared or not rows["group"].any()
    return rows.assign(line=word if plain else rows["group"] + f", {word}")


def common(means: "pd.Series[float]", near: float, several: bool) -> list[float]:
    """Return densities that every config reached: the ends, and one between; or the lowest.

    `means` has a density a series and level. Raises UsageError where there is none.
    """
    by_series = [own.tolist() for _, own in means.groupby(level="series", sort=False)]
    shared = [
        d for d in sorted(set(by_series[0]), reverse=True)
        if all(any(abs(e / d - 1) <= near for e in own) for own in by_series)
    ]  # fmt: skip
    if not shared:
        raise UsageError(
            "sensitivity: these runs have no density in common; name some, as in at=[0.2,0.5] "
            "near=0.1"
        )
    if not several:
        return shared[-1:]
    return list(dict.fromkeys([shared[0], shared[len(shared) // 2], shared[-1]]))


def drawn(
    means: pd.DataFrame, key: str, y: str, axis: str, ylim: Sequence[float], runs: Source
) -> Figure:
    """Return the figure: a line a group and density, the dense net in ink."""
    table = in_percent(means, [y], runs.metrics)
    table = trends.finite(table, y, runs, "sensitivity", "value")
    ends_of_y = bounds(y, runs.metrics)
    if not (table[y] < ends_of_y[0]).any():
        interval = [f"{y}_low", f"{y}_high"]
        table[interval] = table[interval].clip(*ends_of_y)
    figure, axes = charts.canvas()
    names = strokes.counted(table)
    styles = charts.looks([name for name in names if name != "dense"])
    if "dense" in names:
        styles["dense"] = charts.Look(charts.INK, "", charts.DASHES[1], hollow=False)
    prepare(axes, table["value"], key, axis)
    ends = strokes.draw_lines(axes, table, "value", y, styles, names)
    if not ylim:
        cuts.cut(axes, table, y, [], runs)
    charts.y_axis(axes, y, ylim, runs.metrics)
    endings.name_lines(figure, axes, ends)
    return figure


def prepare(axes: Any, values: "pd.Series[float]", key: str, axis: str) -> None:
    """Scale and label the axis of the setting: logarithmic where its values span a decade."""
    steps = {REWIND: "step that weights go back to", "train.length": "training steps"}
    axes.set_xlabel(steps.get(key, key))
    positive = values[values > 0]
    wide = len(positive) > 1 and positive.max() / positive.min() >= DECADE
    if axis == "linear" or (axis == "auto" and not wide) or (values < 0).any() or not len(positive):
        return
    if len(positive) == len(values):
        charts.logarithmic(axes, "x", values)
    else:
        charts.with_zero(axes, positive)
