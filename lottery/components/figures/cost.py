"""Accuracy against what it cost."""

from matplotlib.axes import Axes
from pandas import DataFrame

from lottery.errors import UsageError
from lottery.results.plotting import charts, columns, trends
from lottery.results.plotting.source import Chart, Source

AUTO = ("ticket_macs_kept", "ticket_steps", "ticket_seconds", "training_macs_kept", "seconds")


def cost(
    runs: Source, *, x: str, y: str, branch: list[str], every: bool, ylim: list[float]
) -> Chart:
    """Draw `y` against a cost of each level, on a logarithmic axis, dense nets as lines across.

    The axis says how many weights the ends of the lines keep. Raises UsageError where no level is
    finished, and for columns and branches that are not there.
    """
    levels = trends.rows_of(runs.levels, "cost")
    pruned = levels[levels["level"] > 0] if (levels["level"] > 0).any() else levels
    if x == "auto":
        x = next((c for c in AUTO if c in levels and pruned[c].notna().any()), "seconds")
    for name, rows in pruned.groupby("series", sort=False) if x in pruned else ():
        if rows[x].isna().all() and x.startswith("ticket_"):
            runs.note(f"{name}: left out, what its ticket cost is not known (rewind=ticket)")

    if not x.startswith("ticket_"):
        runs.note(f"{x} is of each level alone: the search for its ticket is not in it")

    def prepare(axes: Axes, table: DataFrame) -> None:
        if not (table[x] > 0).any():
            raise UsageError(f"cost: {x} is 0 at every level, so that there is no cost to draw")
        charts.logarithmic(axes, "x", table[x])
        last = table.groupby("line", sort=False)["density"].last()
        ends = list(dict.fromkeys(charts.short(d) for d in sorted(last, reverse=True)))
        said = " or ".join(ends) if len(ends) < 3 else f"{ends[0]} to {ends[-1]}"
        axes.set_xlabel(f"{columns.words(x)}\n(lines run down to {said} % of the weights)")

    return trends.trend(runs, "cost", x, y, branch, every, prepare, ylim)
