"""Write rows as CSV."""

import csv
import io
import math
from typing import Any


def table(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as CSV; a number that there is not is an empty cell."""
    out = io.StringIO()
    columns = list(dict.fromkeys(key for entry in rows for key in entry))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for entry in rows:
        writer.writerow(
            {k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in entry.items()}
        )
    return out.getvalue().encode()
