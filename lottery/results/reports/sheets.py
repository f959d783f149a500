"""The parts of a page as data: sections of words, tables, figures and commands. No HTML."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lottery.results.stats import SAME
from lottery.terms.metric import Metric
from lottery.wording.text import MINUS

SCALES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""),
          (1e-3, "m"), (1e-6, "µ"))  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What stands in a cell of a table, and the number it is sorted by (None: by its text)."""

    text: str = ""
    order: float | None = None
    reach: str = ""  # half of an interval, beside the number: ± 0.42
    tone: str = ""  # good, bad or quiet


@dataclass(frozen=True)
class Column:
    """The head of a column; numbers stand to the right."""

    title: str
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table; `label` is for the fold that it stands in, "" where it is in the open."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    label: str = ""
    by_first: bool = False  # its rows stand in the order of the first column


@dataclass(frozen=True)
class Picture:
    """An inline drawing, what it shows, and how it is told to those who cannot see it."""

    svg: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page that folds."""

    anchor: str
    title: str
    words: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    commands: Sequence[tuple[str, str]] = ()  # what it does, what to type
    open: bool = True


@dataclass(frozen=True)
class Tile:
    """One number that matters, large."""

    value: str
    title: str
    note: str = ""


@dataclass(frozen=True)
class Part:
    """What there is to say of one config."""

    anchor: str
    title: str
    about: str
    place: str  # under outputs/
    finding: Sequence[str]
    tiles: Sequence[Tile]
    sections: Sequence[Section]


@dataclass(frozen=True)
class Report:
    """All that stands on the page."""

    title: str
    about: str
    place: str
    finding: Sequence[str]
    tiles: Sequence[Tile]
    problems: Sequence[str]
    sections: Sequence[Section]
    parts: Sequence[Part]
    made: str
    version: str


def filled(sections: Iterable[Section]) -> list[Section]:
    """Return the sections in which something stands, without empty tables and columns."""
    kept = [
        replace(s, tables=[without_blanks(table) for table in s.tables if table.rows])
        for s in sections
    ]
    return [s for s in kept if s.words or s.pictures or s.tables or s.commands]


def without_blanks(table: Table) -> Table:
    """Return a table without the columns in which no row has anything."""
    full = [at for at in range(len(table.columns)) if any(row[at].text for row in table.rows)]
    rows = [[row[at] for at in full] for row in table.rows]
    return replace(table, columns=[table.columns[at] for at in full], rows=rows)


def words(value: object, tone: str = "") -> Cell:
    """Return a cell of text."""
    return Cell("" if missing(value) else str(value), tone=tone)


def number(value: Any, digits: int = 0, sign: bool = False) -> Cell:
    """Return a cell of one number with that many digits behind the point; empty for none."""
    if missing(value):
        return Cell()
    return Cell(figure(value, digits, sign), float(value))


def share(value: Any) -> Cell:
    """Return a cell of a density; empty for none."""
    return Cell() if missing(value) else Cell(density(value), float(value))


def spread(mean: Any, low: Any, high: Any, metric: Metric, sign: bool = False) -> Cell:
    """Return a cell of a mean of a metric with half its interval; empty for none.

    One with a `sign` is a mean of differences, and says where those are all the same.
    """
    if mean is None or math.isnan(mean):
        return Cell()
    reach = around(mean, low, high, replace(metric, mean="plain", trials=0) if sign else metric)
    reach = f"({SAME})" if sign and reach and low == high else reach
    return Cell(measured(mean, metric, sign), float(mean), reach)


def around(mean: Any, low: Any, high: Any, metric: Metric) -> str:
    """Return half of an interval, ± 0.42, or the ends of one that has none; "" for none."""
    if missing(low) or missing(high):
        return ""
    if metric.lopsided:
        return f"[{measured(low, metric)} to {measured(high, metric)}]"
    return f"± {measured((high - low) / 2, metric, beside=mean)}"


def measured(value: Any, metric: Metric, sign: bool = False, beside: float | None = None) -> str:
    """Return a value of a metric without its unit, or with a `sign` a difference."""
    if metric.in_points and math.isfinite(value):
        return figure(metric.scale * value, 2, sign)
    text = metric.shown(value, "+" if sign else "", beside)
    return text.replace("-", MINUS)


def missing(value: object) -> bool:
    """Say whether there is nothing to show."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def figure(value: float, digits: int = 0, sign: bool = False) -> str:
    """Return a number for people: thousands apart, a true minus, no minus before a zero."""
    text = f"{abs(value):,.{digits}f}"
    zero = not text.strip("0.,")
    if value < 0 and not zero:
        return MINUS + text
    return f"+{text}" if sign and not zero else text


def density(value: float) -> str:
    """Return a density with four decimals, or three digits that count: 0.2622, 0.0123, 0.00123."""
    places = max(4, 2 - math.floor(math.log10(value))) if 0 < value < 1 else 4
    return f"{value:.{places}f}"


def kept(value: float) -> str:
    """Return a density as the share of weights: 26.2 %."""
    share = 100 * value
    digits = 1 if share >= 1 or share <= 0 else 1 - math.floor(math.log10(share))
    return f"{share:.{digits}f}".removesuffix(".0") + " %"


def times(value: float) -> str:
    """Return a compression: 3.81×, 38.1×."""
    return f"{figure(value, 2 if value < 10 else 1 if value < 100 else 0)}×"


def scale(values: Iterable[Any]) -> tuple[float, str]:
    """Return by what a column of large numbers is divided, and the prefix that says so."""
    most = max((abs(float(v)) for v in values if not missing(v)), default=0.0)
    return next(((by, prefix) for by, prefix in SCALES if most >= by), (1.0, ""))


def several(count: int, one: str) -> str:
    """Return a count with its noun: 1 level, 3 levels."""
    return f"{count:,} {one}{'s' * (count != 1)}"


def duration(seconds: Any) -> str:
    """Return a time for people: 12.3 s, 4 min 10 s, 3 h 20 min, 2 d 4 h."""
    if missing(seconds):
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, smaller, below in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {smaller}"
    return f"{whole // 60} min {whole % 60} s"
