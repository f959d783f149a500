"""Choose the few numbers of a config that a page shows large."""

import math
from collections.abc import Sequence

from lottery.results import stats
from lottery.results.reports import findings
from lottery.results.reports.findings import Measure, Reached
from lottery.results.reports.sheets import Tile, around, kept, times


def tiles(rows: Sequence[Reached], replicates: int, by: Measure) -> list[Tile]:
    """Return the numbers that matter most."""
    dense, top, found = findings.dense_of(rows), findings.best(rows), findings.sparsest(rows)
    made: list[Tile] = []
    if found:
        note = f"{times(found.compression)} fewer weights"
        made.append(Tile(kept(found.density), "Matches dense down to", note))
    elif top:
        judged = any(r.judged for r in rows)
        why = "shown at no level" if judged else f"needs {stats.LEAST} replicates"
        made.append(Tile("\N{EN DASH}", "Matches dense down to", why))
    for title, row in ((f"Dense {by.name}", dense), ("Best ticket", top)):
        if row and not math.isnan(row.merit):
            how = findings.picked(rows, by) if row is top else ""
            note = ", ".join(word for word in (beside(row, by), how) if word)
            made.append(Tile(by.metric.said(row.reached[0]), title, note))
    pruned = [r for r in rows if r.density < 1]
    if pruned:
        last = pruned[-1]
        made.append(Tile(kept(last.density), "Smallest density", f"level {last.level}"))
    made.append(Tile(str(replicates), "Replicates" if replicates != 1 else "Replicate"))
    return made


def beside(row: Reached, by: Measure) -> str:
    """Return what stands under a number: its interval, and the density of a pruned level."""
    reach = around(*row.reached, by.metric)
    where = f"at {kept(row.density)} of the weights" if row.density < 1 else ""
    return " ".join(word for word in (reach, where) if word)
