"""Write rows as CSV."""

import csv
import io
from typing import Any

from lottery.wording.text import FORMULA, in_csv

__all__ = ["FORMULA", "table"]


def table(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as CSV; a number that there is not is an empty cell."""
    out = io.StringIO()
    columns = list(dict.fromkeys(key for entry in rows for key in entry))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([in_csv(column) for column in columns])
    for entry in rows:
        writer.writerow([in_csv(entry.get(column, "")) for column in columns])
    return out.getvalue().encode()
