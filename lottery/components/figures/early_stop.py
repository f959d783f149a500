"""The step at which the validation loss is lowest, against density."""

from lottery.results.plotting import charts, trends
from lottery.results.plotting.source import Chart, Source


def early_stop(
    runs: Source, *, x: str, y: str, branch: list[str], every: bool, ylim: list[float]
) -> Chart:
    """Draw `y` against the weights kept, as `accuracy` does: how soon a ticket has learned.

    Raises UsageError where no level is finished, and for columns and branches that are not there.
    """
    prepare = charts.density_axis_of(x, "early_stop")
    return trends.trend(runs, "early_stop", x, y, branch, every, prepare, ylim)
