"""Lay rows out for people and for programs: table, CSV, JSON, Markdown."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from lottery.errors import UsageError
from lottery.storage.tables import table
from lottery.wording import printable

FORMATS = ("table", "csv", "json", "markdown")


def check(format: str, asked_by: str) -> str:
    """Return a format's name; raises UsageError for another."""
    if format not in FORMATS:
        raise UsageError(f"{asked_by}: format={format} is none of {', '.join(FORMATS)}")
    return format


def aligned(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> str:
    """Return cells as columns of a terminal; the columns named in `right` end on the right."""
    lines = [list(heads), *([printable(c) for c in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    push = [head in {*right} for head in heads]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, push, strict=True)
        ).rstrip()
        for line in lines
    )


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> str:
    """Return cells as a table of Markdown."""
    rules = ["---:" if head in {*right} else "---" for head in heads]
    escaped = [[printable(c).replace("|", "\\|") for c in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, rules, *escaped])


def comma_separated(rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return rows as CSV; `columns` are there even without a row."""
    if not rows:
        return ",".join(columns)
    return table(list(rows)).decode().rstrip("\n")


def as_json(value: Any) -> str:
    """Return a value as JSON; a number that is not finite is null."""
    return json.dumps(plain(value), indent=1, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value made of what JSON knows."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item"):  # a number of numpy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def about(seconds: float | None) -> str:
    """Return a length of time for people, in its largest unit: 40 s, 3 min, 5 h, 2 d."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
SMALL = ((1, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def short(value: float, unit: str = "") -> str:
    """Return a number for people: whole ones below a million with commas, others as 1.17 G.

    Seconds keep their unit, whatever their size.
    """
    if unit == "s":
        return f"{value:,.0f} s" if abs(value) >= 100 else f"{value:.3g} s"
    if not unit and (abs(value) < 1000 or (float(value).is_integer() and abs(value) < 1e6)):
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"
    fitting = (pair for pair in (*LARGE, *SMALL) if abs(value) >= pair[0])
    size, prefix = next(fitting, SMALL[-1])
    return f"{value / size:.3g} {prefix}{unit}".rstrip() if value else f"0 {unit}"
