"""Say how runs' numbers are called and written, by the metrics that they were measured with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lottery.errors import UsageError
from lottery.terms.metric import ACCURACY, BEST, LOSS, SPLITS, START, Metric, measured

if TYPE_CHECKING:
    from lottery.results.facts import Facts

CHANGE = "change"  # to the dense net of the same replicate; of another column change_COLUMN
GAP = "gap"  # of training to test at the end of a level: gap_accuracy, gap_loss
MOST = 3  # configs of each metric that a line names


def known(runs: Iterable[Facts]) -> tuple[Metric, ...]:
    """Return the metrics of runs, each name once; accuracy where no record can be read."""
    found: dict[str, Metric] = {}
    for run in runs:
        for metric in run.metrics if run.record.get("state") != "damaged" else ():
            found.setdefault(metric.name, metric)
    return tuple(found.values()) or (ACCURACY,)


def metric_of(column: str, metrics: Iterable[Metric]) -> Metric | None:
    """Return the metric that a column holds; None for a loss, and for anything else."""
    found = measured(column, metrics)
    return found.metric if found and found.metric is not LOSS else None


def column_of(word: str, metric: Metric) -> str:
    """Return the column of a metric that test, val, best_test ... stand for; others as they are."""
    plain = word.removeprefix(f"{CHANGE}_")
    short = plain.removeprefix(BEST).removeprefix(START) in SPLITS or plain == GAP
    if plain == START.removesuffix("_"):
        word, short = f"{word}_test", True
    return f"{word}_{metric.name}" if short else word


def gap_of(column: str, metrics: Iterable[Metric]) -> Metric | None:
    """Return the metric, or loss, of which a column is the gap; None for any other column."""
    name = column.removeprefix(f"{GAP}_")
    return next((m for m in (*metrics, LOSS) if m.name == name != column), None)


def gaps(row: Mapping[str, Any] | Any, metrics: Iterable[Metric]) -> dict[str, Any]:
    """Return how much better a level, or a table of levels, does in training than on the test set.

    A column gap_NAME each metric, and loss, that both splits have; above 0: training is better.
    """
    found = {}
    for metric in (*metrics, LOSS):
        train, test = (row.get(f"{split}_{metric.name}") for split in ("train", "test"))
        if train is not None and test is not None:
            found[f"{GAP}_{metric.name}"] = metric.gain(train, test)
    return found


def written_as(column: str, metrics: Iterable[Metric]) -> Metric | None:
    """Return the metric in whose unit a column is written, also where it holds a gap of it."""
    metrics = tuple(metrics)
    of = gap_of(column, metrics)
    if of is None or of is LOSS:
        return metric_of(column, metrics)
    return replace(of, mean="plain", trials=0)


def titled(column: str, metrics: Iterable[Metric]) -> str:
    """Return what a column is called over a table: test accuracy in %."""
    metrics = tuple(metrics)
    if of := gap_of(column, metrics):
        order = "training minus test" if of.higher else "test minus training"
        return f"gap, {order} {of.label}{' in points' * of.in_points}"
    found = measured(column, metrics)
    said = found.label if found and found.start else column.replace("_", " ")
    return said + " in %" * bool(found and found.metric.percent)


def resolved(word: str, runs: Sequence[Facts], asked_by: str, option: str) -> str:
    """Return the column that a word stands for in all of some runs, test where they were tested.

    Raises UsageError where the word stands for another metric in each.
    """
    by_name: dict[str, list[str]] = {}
    short = word == CHANGE or column_of(word, ACCURACY) != word
    for run in runs if short else ():
        if run.record.get("state") != "damaged":
            by_name.setdefault(run.metric.name, []).append(run.folder.parent.name)
    if len(by_name) < 2:
        return column_of(word, known(runs)[0])
    said = "; ".join(f"{name}: {few(idents)}" for name, idents in by_name.items())
    raise UsageError(
        f"{asked_by}: these runs measure different things ({said}); name those of one, as in "
        f"id={next(iter(by_name.values()))[0]}, or a column that all have: {option}=test_loss"
    )


def few(idents: Sequence[str]) -> str:
    """Return ids of configs, each once, not too many of them."""
    each = list(dict.fromkeys(idents))
    more = f" and {len(each) - MOST} more" if len(each) > MOST else ""
    return ", ".join(each[:MOST]) + more


def head(column: str, metrics: Iterable[Metric]) -> str:
    """Return the head of a column in a table of runs: test %, test perplexity, or its own name."""
    found = measured(column, metrics)
    if not found or found.best or found.metric is LOSS:
        return column
    name = "" if found.metric.name == ACCURACY.name else f" {found.metric.label}"
    return f"{found.split}{name}{' %' if found.metric.percent else ''}"
