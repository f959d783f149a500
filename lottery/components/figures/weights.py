"""Distributions of weights before and after training, kept and pruned."""

from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lottery.errors import UsageError
from lottery.results.plotting import charts, trends
from lottery.results.plotting.source import Chart, Source

TAIL = 0.001  # share of weights that may lie outside of the histograms, at both ends together
STAGES = {"start": "before", "end": "after"}
DENSE, TICKET = "dense", "ticket"


def weights(runs: Source, *, level: int, layer: str, bins: int, log: bool) -> Chart:
    """Draw histograms of the prunable weights of one experiment, means over its replicates.

    Above the dense net, below the ticket of a level; left before training, right after it. In the
    dense net the weights that the ticket keeps are told from those that it has not. Raises
    UsageError for several experiments, a level that is not there, and a pattern that fits no layer.
    """
    if bins < 2:
        raise UsageError(f"weights: bins={bins} is below 2")
    levels = trends.rows_of(runs.levels, "weights")
    rows = trends.at_level(levels, level, "weights")
    found: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for row in rows.to_dict("records"):
        mask = {k: v for k, v in runs.mask(row).items() if fits(k, layer)}
        if not mask:
            names = ", ".join(k.removesuffix(".weight") for k in runs.mask(row))
            raise UsageError(f"weights: no layer fits layer={layer} (there are: {names})")
        for at in STAGES:
            for net, whose in nets(row, levels):
                tensors = runs.weights(whose, at)
                for name, keep in mask.items():
                    found.setdefault((net, at, "kept"), []).append(tensors[name][keep])
                    if net == DENSE and row["density"] < 1:
                        found.setdefault((net, at, "pruned"), []).append(tensors[name][~keep])
    joint = {key: np.concatenate(values) for key, values in found.items()}
    table = counted(joint, bins, len(rows))
    return drawn(table, charts.short(100 * rows["density"].mean()), log), table


def nets(row: dict[Any, Any], levels: pd.DataFrame) -> list[tuple[str, dict[Any, Any]]]:
    """Return the nets to draw of a replicate: the dense one, where there is one, and the ticket."""
    dense = trends.dense_of(levels.assign(branch=""))
    own = dense[dense["replicate"] == row["replicate"]].to_dict("records")
    nets = [(DENSE, net) for net in own]
    return nets if own and row["level"] == 0 else [*nets, (TICKET, row)]


def fits(name: str, pattern: str) -> bool:
    """Say whether a layer's name, with or without .weight, fits a pattern."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix(".weight"), pattern)


def counted(
    found: dict[tuple[str, str, str], np.ndarray], bins: int, replicates: int
) -> pd.DataFrame:
    """Return a row a bin: net, stage, kept or pruned, its ends, weights of a replicate in the mean.

    The bins are the same everywhere; two more, without end, hold the few that lie outside.
    """
    everything = np.concatenate(list(found.values()))
    reach = float(np.quantile(np.abs(everything), 1 - TAIL)) or 1.0
    edges = np.array([-np.inf, *np.linspace(-reach, reach, bins + 1), np.inf])
    parts = []
    for (net, at, which), values in found.items():
        counts, _ = np.histogram(values, edges)
        said = {"net": net, "training": STAGES[at], "which": which, "replicates": replicates}
        mean = counts / replicates if replicates > 1 else counts
        ends = {"low": edges[:-1], "high": edges[1:], "count": mean}
        parts.append(pd.DataFrame(said | ends))
    return pd.concat(parts, ignore_index=True)


def drawn(table: pd.DataFrame, density: str, log: bool) -> Figure:
    """Return the histograms: a row a net, a column a stage."""
    nets = [net for net in (DENSE, TICKET) if (table["net"] == net).any()]
    names = {DENSE: "dense net", TICKET: f"ticket, {density} % kept"}
    table = table[np.isfinite(table["low"]) & np.isfinite(table["high"])]
    figure = Figure()
    figure.set_figheight(figure.get_figheight() * (0.45 + 0.42 * len(nets)))
    grid = figure.subplots(len(nets), 2, sharex=True, sharey="row", squeeze=False)
    for line, net in zip(grid, nets, strict=True):
        for axes, stage in zip(line, STAGES.values(), strict=True):
            part = table[(table["net"] == net) & (table["training"] == stage)]
            for which, colour, style in (
                ("pruned", charts.COLOURS[1], {"fill": False, "linestyle": (0, (2, 1))}),
                ("kept", charts.COLOURS[0], {"fill": True, "alpha": 0.45}),
            ):
                rows = part[part["which"] == which]
                if len(rows):
                    edges = [*rows["low"], rows["high"].iloc[-1]]
                    label = "pruned" if which == "pruned" else "kept in the ticket"
                    axes.stairs(rows["count"], edges, color=colour, label=label, **style)
            axes.set_xlim(table["low"].min(), table["high"].max())
            axes.xaxis.set_major_locator(MaxNLocator(4))
            if log:
                axes.set_yscale("log")
            if net == nets[0]:
                axes.set_title(f"{stage} training")
            if net == nets[-1]:
                axes.set_xlabel("weight")
        several = (table["replicates"] > 1).any()
        what = "weights of a replicate" if several else "number of weights"
        line[0].set_ylabel(f"{names[net]}\n{what}")
        charts.thousands(line[0].yaxis)
    if TICKET in nets:
        charts.legend(figure, grid[0][0])
    return figure
