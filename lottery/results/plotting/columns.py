"""Say what the columns of tables are to a reader of a figure: their words, units and bounds."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from lottery.results import measures, stats
from lottery.results.measures import CHANGE
from lottery.terms.metric import ACCURACY, Metric, measured

EARLY = "best_step"  # the step of the lowest validation loss


Metrics = Sequence[Metric]  # of the runs, the first that of figures
CLASSIFICATION = (ACCURACY,)


def metric_in(column: str, metrics: Metrics = CLASSIFICATION) -> Metric | None:
    """Return the metric that a column holds, or the end of its interval, or the change of it."""
    plain = column.removesuffix("_low").removesuffix("_high")
    return measures.metric_of(changed(plain, metrics) or plain, metrics)


def is_share(column: str, metrics: Metrics = CLASSIFICATION) -> bool:
    """Say whether a column holds shares of 1, which people read as per cent."""
    if changed(column, metrics) or gap(column, metrics):
        return False
    metric = metric_in(column, metrics)
    plain = column.removesuffix("_low").removesuffix("_high")
    return metric.percent if metric else plain.endswith("density")


def changed(column: str, metrics: Metrics = CLASSIFICATION) -> str:
    """Return the column whose change to dense a column holds; "" for any other column."""
    if column == CHANGE:
        return f"test_{metrics[0].name}"
    return column.removeprefix(f"{CHANGE}_") if column.startswith(f"{CHANGE}_") else ""


def gap(column: str, metrics: Metrics = CLASSIFICATION) -> Metric | None:
    """Return the metric, or loss, of which a column holds the gap of training to test."""
    return measures.gap_of(column.removesuffix("_low").removesuffix("_high"), metrics)


def scale(column: str, metrics: Metrics = CLASSIFICATION) -> int:
    """Return what the values of a column are multiplied by to be drawn."""
    of = gap(column, metrics)
    return 100 if is_share(column, metrics) or (of and of.percent) else 1


def in_points(column: str, metrics: Metrics = CLASSIFICATION) -> bool:
    """Say whether a column holds differences in points: hundredths of what is best."""
    if of := gap(column, metrics):
        return of.in_points and not changed(column, metrics)
    metric = metric_in(column, metrics)
    return bool(changed(column, metrics) and metric and metric.in_points)


def by_logarithm(column: str, metrics: Metrics = CLASSIFICATION) -> bool:
    """Say whether a column is averaged by its logarithms."""
    metric = metric_in(column, metrics)
    return bool(metric and metric.mean == "log" and not changed(column, metrics))


WORDS = {
    "best_step": "early-stop step of the level",
    "best_val_loss": "lowest validation loss",
    "step": "training step",
    "epoch": "epoch",
    "lr": "learning rate",
    "effective_density": "effective density",
    "macs": "multiply-accumulates an example, dense",
    "macs_kept": "multiply-accumulates an example",
    "training_macs": "multiply-accumulates of training the level, dense",
    "training_macs_kept": "multiply-accumulates of training the level",
    "steps": "training steps of the level",
    "examples": "examples of the level",
    "seconds": "seconds of training the level",
    "energy": "energy of training the level (J, estimate)",
    "ticket_macs": "multiply-accumulates, search included, dense",
    "ticket_macs_kept": "multiply-accumulates, search included",
    "ticket_steps": "training steps, search included",
    "ticket_examples": "examples seen, search included",
    "ticket_seconds": "seconds, search included",
    "ticket_energy": "energy, search included (J, estimate)",
}


def words(column: str, metrics: Metrics = CLASSIFICATION) -> str:
    """Return a column's name for an axis."""
    if of := changed(column, metrics):
        found = measured(of, metrics)
        what = "" if column == CHANGE else f"{name(of, metrics)}: "
        unit = " (points)" if in_points(column, metrics) else ""
        return f"{what}{stats.change_to(found.metric if found else None)} dense{unit}"
    if gap(column, metrics):
        said = measures.titled(column, metrics).removeprefix("gap, ")
        return said.replace(" in points", " (points)")
    return name(column, metrics) + " (%)" * is_share(column, metrics)


def name(column: str, metrics: Metrics) -> str:
    """Return a column's name in words, without its unit."""
    found = measured(column, metrics)
    said = found.label if found else column.replace("_", " ")
    return WORDS.get(column, said)


def in_percent(
    table: pd.DataFrame, columns: Iterable[str], metrics: Metrics = CLASSIFICATION
) -> pd.DataFrame:
    """Return a table for drawing, in which columns of shares are per cent."""
    drawn = table.copy()
    for column in dict.fromkeys(columns):
        for each in (column, f"{column}_low", f"{column}_high"):
            if each in drawn and scale(column, metrics) != 1:
                drawn[each] = scale(column, metrics) * drawn[each]
    return drawn


def bounds(column: str, metrics: Metrics = CLASSIFICATION) -> tuple[float, float]:
    """Return the ends, as drawn, beyond which no value of a column can lie.

    An interval of Student's t knows nothing of them.
    """
    if changed(column, metrics) or gap(column, metrics):
        return (-math.inf, math.inf)
    if metric := metric_in(column, metrics):
        return metric.bounds
    return (0.0, 100.0 if is_share(column, metrics) else math.inf)
