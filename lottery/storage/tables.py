"""Write rows as CSV."""

import csv
import io
import math
from typing import Any

from lottery.wording import printable

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def table(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as CSV; a number that there is not is an empty cell."""
    out = io.StringIO()
    columns = list(dict.fromkeys(key for entry in rows for key in entry))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([cell(column) for column in columns])
    for entry in rows:
        writer.writerow([cell(entry.get(column, "")) for column in columns])
    return out.getvalue().encode()


def cell(value: Any) -> Any:
    """Return what stands in a cell; text that a spreadsheet would take for a formula, quoted.

    Names and settings may come from anywhere: `=cmd|...` runs a program where it is opened, and a
    line end or an escape sequence is spelled out.
    """
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(FORMULA) else text
