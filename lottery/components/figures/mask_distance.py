"""How far the masks are apart that a rule looked at in training, as in You et al. 2020, fig. 3."""

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lottery.errors import UsageError
from lottery.results.plotting import charts
from lottery.results.plotting.source import Chart, Source

MOST = 4  # panels
FOUND = "#D55E00"  # the row of the moment


def mask_distance(
    runs: Source, *, of: str, level: list[int], replicate: int | None, top: float
) -> Chart:
    """Draw the normalised Hamming distance of every two masks, a panel a level, of one run.

    Masks are named for the epoch that they were made at; the row of the moment that the rule `of`
    found is framed. Raises UsageError where no such run is there, or several configs are.
    """
    pairs, moments = runs.analysis(f"{of}_distances"), runs.analysis(of)
    if not len(pairs):
        raise UsageError(
            f"mask_distance: these runs have no masks that {of} looked at; type: lottery run "
            f"prune/at={of} ..."
        )
    if pairs["series"].nunique() > 1 or pairs["settings"].nunique() > 1:
        named = ", ".join(sorted(set(pairs["series"])))
        raise UsageError(f"mask_distance: draws one config, these are several ({named})")
    chosen = int(pairs["replicate"].min()) if replicate is None else replicate
    there = sorted(pairs.loc[pairs["replicate"] == chosen, "level"].unique())
    levels = level or there
    if lacking := [str(each) for each in levels if each not in there]:
        raise UsageError(
            f"mask_distance: there are no masks of replicate {chosen}, level "
            f"{', '.join(lacking) or 'any'}"
        )
    if len(levels) > MOST:
        raise UsageError(
            f"mask_distance: {len(levels)} levels, of which {MOST} have room; type "
            f"level=[{','.join(map(str, levels[:MOST]))}]"
        )
    if pairs["replicate"].nunique() > 1:
        runs.note(f"masks of replicate {chosen}")
    one = pairs[(pairs["replicate"] == chosen) & pairs["level"].isin(levels)]
    at = moments[moments["replicate"] == chosen]
    found = dict(zip(at["level"], at["epoch"], strict=True))
    table = one[["level", "density", "epoch", "other_epoch", "distance"]]
    return drawn(table.reset_index(drop=True), levels, found, top), table


def drawn(table: pd.DataFrame, levels: list[int], found: dict[int, float], top: float) -> Figure:
    """Return the panels side by side, with one bar for all."""
    norm = Normalize(0, top or float(table["distance"].max()) or 1.0)
    figure = Figure()
    wide = figure.get_figwidth()
    figure.set_figheight(wide / len(levels) + 0.9)
    axes = figure.subplots(1, len(levels), squeeze=False)[0]
    for panel, index in zip(axes, levels, strict=True):
        rows = table[table["level"] == index]
        epochs = sorted({*rows["epoch"], *rows["other_epoch"]})
        place = {epoch: number for number, epoch in enumerate(epochs)}
        cells = np.zeros((len(epochs), len(epochs)))
        for row in rows.to_dict("records"):
            one, other = place[row["epoch"]], place[row["other_epoch"]]
            cells[one, other] = cells[other, one] = row["distance"]
        panel.pcolormesh(cells, norm=norm, cmap=charts.MAP, edgecolors="none", rasterized=True)
        panel.set_box_aspect(1)
        panel.invert_yaxis()
        charts.bare(panel)
        each = max(1, -(-len(epochs) // 6))
        marks = range(each - 1, len(epochs), each)
        words = [charts.short(epochs[number]) for number in marks]
        panel.set_xticks([number + 0.5 for number in marks], words)
        panel.set_yticks([number + 0.5 for number in marks], words)
        if index in found:
            at = place[found[index]]
            corners = [0, len(epochs), len(epochs), 0, 0], [at, at, at + 1, at + 1, at]
            panel.plot(*corners, color=FOUND, linewidth=1.2, clip_on=False)
        density = charts.short(100 * float(rows["density"].iloc[0]))
        when = f", found at epoch {charts.short(found[index])}" if index in found else ""
        panel.set_title(f"{density} % kept{when}", fontsize=7)
        panel.set_xlabel("mask of epoch")
    axes[0].set_ylabel("mask of epoch")
    bar = figure.colorbar(
        ScalarMappable(norm, charts.MAP), ax=list(axes), location="bottom", aspect=40, shrink=0.7
    )
    bar.outline.set_linewidth(0.4)
    bar.set_label("share of weights that differ")
    return figure
