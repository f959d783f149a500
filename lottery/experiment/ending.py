"""Say where a run ends that prunes until a ticket falls below its dense net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lottery.errors import UsageError
from lottery.experiment.levels import current
from lottery.experiment.run import Run
from lottery.storage.records import place
from lottery.terms import mask as masks
from lottery.terms.metric import Metric
from lottery.terms.parts import Parts


def bounded(run: Run) -> Run:
    """Return a run that was given no number of levels with the last that keeps a weight."""
    last, density_of = 1, run.settled.density
    while last < run.parts.levels and 0 < density_of(last) <= 1:
        here, after = (masks.count(density_of(n), run.dense) for n in (last, last + 1))
        if here <= 1 or after < 1:
            break
        last += 1
    last = min(last, run.parts.levels)
    run.watch.levels = last
    return replace(run, parts=replace(run.parts, levels=last))


def check_until(run: Run) -> None:
    """Raise UsageError where there is no validation split to tell by whether a ticket is below."""
    if run.parts.until and not run.task.size("val"):
        raise UsageError(
            "levels_until: there is no validation split to judge by, and test data choose no "
            "ticket; type dataset.validation=N, or levels=N without levels_until"
        )


def last_level(
    parts: Parts, outputs: Path, entries: Mapping[str, Mapping[str, Any]], metric: Metric
) -> int | None:
    """Return the level that ends a run, by what its manifest names; None where none does yet."""
    dense = current(outputs, entries.get(place(0), {}))
    if parts.until is None or dense is None:
        return None
    start = dense.manifest()["result"]
    for index in range(1, parts.levels + 1):
        shelf = current(outputs, entries.get(place(index), {}))
        if shelf is None:
            return None
        if parts.until.below(metric, shelf.manifest()["result"], start):
            return index
    return None
