"""Accuracy against density, over replicates, beside the dense net and the controls."""

from lottery.results.plotting import charts, trends
from lottery.results.plotting.source import Chart, Source


def accuracy(
    runs: Source, *, x: str, y: str, branch: list[str], every: bool, ylim: list[float]
) -> Chart:
    """Draw `y` against the weights kept: mean and 95 % interval over replicates, and the dense net.

    `y` is a column, or test, val, best_test ... of what the runs measure first.
    Raises UsageError where no level is finished, and for columns and branches that are not there.
    """
    prepare = charts.density_axis_of(x, "accuracy")
    return trends.trend(runs, "accuracy", x, y, branch, every, prepare, ylim, chance=True)
