"""What training cost as tables: a level alone, and its ticket with the search for it."""

import pandas as pd

from lottery.results.reports.sheets import Column, Table, number, scale, share
from lottery.results.reports.tables import mean_of

OWN = "this level alone"
SEARCH = "the ticket, with all that had to be trained or scored to find it"
COSTS = (  # title, column of the level alone, of the ticket, unit and whether it takes a prefix
    ("Steps", "steps", "ticket_steps", "", False),
    ("Examples", "examples", "ticket_examples", "", False),
    ("Training, dense", "training_macs", "ticket_macs", "MAC", True),
    ("Training, kept weights", "training_macs_kept", "ticket_macs_kept", "MAC", True),
    ("One example, dense", "macs", "", "MAC", True),
    ("One example, kept weights", "macs_kept", "", "MAC", True),
    ("Energy, estimate", "energy", "ticket_energy", "J", True),
    ("Wall time", "seconds", "ticket_seconds", "s", False),
)


def cost_tables(levels: pd.DataFrame) -> list[Table]:
    """Return what training cost, with the search and a level alone; [] where nothing is counted."""
    if "steps" not in levels:
        return []
    made = []
    for which, what, label in ((2, SEARCH, ""), (1, OWN, "Each level alone")):
        known = [row for row in COSTS if row[which] in levels]
        means = levels.groupby("level")[["density", *(str(row[which]) for row in known)]].mean()
        columns, parts = [], []
        for title, *names, unit, prefixed in known:
            values = means[names[which - 1]]
            by, letter = scale(values) if prefixed else (1.0, "")
            digits = 2 if prefixed else 1 if unit else 0
            columns.append(Column(title, letter + unit))
            parts.append([number(value / by, digits) for value in values])
        heads = [Column("Level"), Column("Density")]
        ends = zip(means.index, means["density"], *parts, strict=True)
        rows = [[number(level), share(density), *rest] for level, density, *rest in ends]
        caption = f"Cost of {what}" + mean_of(levels)
        made.append(Table(caption, [*heads, *columns], rows, label=label, by_first=True))
    return made
