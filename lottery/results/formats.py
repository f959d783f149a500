"""Lay rows out for people and for programs: table, CSV, JSON, Markdown, LaTeX."""

import json
import math
import os
import re
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from lottery.storage.tables import table
from lottery.wording.text import in_csv, in_latex, in_markdown, printable, private

BESIDE = re.compile(r" *\S+(?: \S+)*? {2,}")  # a word, and the gap to what stands beside it
PIECES = re.compile(  # words, those of a command in the midst of text together
    r"\S*\blottery [a-z]+(?: [^\s;,()]*[=/.0-9-][^\s;,()]*)*\S*|\S+"
)
SHORTEST, CUT = 24, "…"  # places that words keep; the head in place of columns without room
BEST = "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"  # before a cell that is bold where there is bold
FORMATS = ("table", "csv", "json", "markdown", "latex")


def aligned(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> str:
    """Return cells as columns of a terminal; the columns named in `right` end on the right."""
    lines = [[printable(c) for c in row] for row in (heads, *rows)]
    numbers = {*map(printable, right)}
    lines, heads = fitting(lines, numbers, room())
    widths = widths_of(lines)
    push = [head in numbers for head in heads]

    def padded(text: str, width: int, to_right: bool) -> str:
        blank = " " * (width - places(text))
        return blank + text if to_right else text + blank

    return "\n".join("  ".join(map(padded, line, widths, push)).rstrip() for line in lines)


def room() -> int | None:
    """Return the columns of the terminal; None where the output goes to a file or a program."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


def widths_of(lines: Sequence[Sequence[str]]) -> list[int]:
    """Return how many places each column takes."""
    return [max(map(places, column)) for column in zip(*lines, strict=True)]


def fitting(
    lines: list[list[str]], numbers: Container[str], most: int | None
) -> tuple[list[list[str]], list[str]]:
    """Return the lines of a table, the first its heads, that has room; and the heads.

    The longest words lose their middle; then columns go from the right, and a head … says so.
    """

    def over() -> int:
        widths = widths_of(lines)
        return max(0, sum(widths) + 2 * (len(widths) - 1) - (most or 0))

    if most is None or not over():
        return lines, lines[0]
    words = [i for i, head in enumerate(lines[0]) if head not in numbers]
    long = max(words, key=lambda i: widths_of(lines)[i], default=0)
    if words and widths_of(lines)[long] > SHORTEST:
        kept = max(SHORTEST, widths_of(lines)[long] - over())
        lines = [[*line[:long], shortened(line[long], kept), *line[long + 1 :]] for line in lines]
    while over() and len(lines[0]) > 2:
        gone = -2 if lines[0][-1] == CUT else -1
        lines = [[*line[:gone], CUT if line is lines[0] else ""] for line in lines]
    return lines, lines[0]


def places(text: str) -> int:
    """Return how many places of a terminal a text takes: two a wide sign, as of Chinese."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def shortened(text: str, most: int) -> str:
    """Return text without its middle where it takes more than `most` places."""
    if places(text) <= most:
        return text
    head, tail = "", ""
    for c in text:
        if places(head + c) + 1 > most - (most - 1) // 2:
            break
        head += c
    for c in reversed(text[len(head) :]):
        if places(head + tail + c) + 1 > most:
            break
        tail = c + tail
    return f"{head}…{tail}"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> str:
    """Return cells as a table of Markdown."""
    rules = ["---:" if head in {*right} else "---" for head in heads]
    lines = [[bold(in_markdown, c, "**{}**") for c in row] for row in (heads, rules, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> str:
    """Return cells as a tabular of LaTeX with the rules of the package booktabs."""
    columns = "".join("r" if head in {*right} else "l" for head in heads)
    cells = [[bold(in_latex, c, r"\textbf{{{}}}") for c in line] for line in [heads, *rows]]
    lines = [" & ".join(line) + r" \\" for line in cells]
    body = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])


def bold(escaped: Callable[[str], str], cell: str, form: str) -> str:
    """Return a cell, escaped, in bold where it is marked so."""
    plain = escaped(cell.removeprefix(BEST))
    return form.format(plain) if cell.startswith(BEST) else plain


def page(
    parts: Iterable[tuple[str, tuple[Sequence[str], Iterable[Sequence[str]], Iterable[str]]]],
    remarks: Sequence[str],
    format: str,
) -> str:
    """Return tables under their titles, and remarks below them, in one of the formats for people.

    Of a table its heads, rows and the columns that end on the right. Remarks are kept apart line by
    line: in Markdown as code, in LaTeX as comments, but for what the runs were warned of, which is
    printed in small letters.
    """
    lay = {"markdown": markdown, "latex": latex}.get(format, aligned)
    titled = {"markdown": "**{}**\n\n", "latex": "% {}\n"}.get(format, "{}\n\n")
    said = [
        (titled.format(printable(title)) if title else "") + lay(*table) for title, table in parts
    ]
    remarks = [printable(remark) for remark in remarks]
    below = {"markdown": ["```text", *remarks, "```"], "latex": [latex_remark(r) for r in remarks]}
    return "\n\n".join([*said, "\n".join(below.get(format, list(map(wrapped, remarks))))])


def wrapped(text: str) -> str:
    """Return text in lines that the terminal has room for.

    What stands beside a word stays beside it, and no command is broken but where a shell goes on.
    """
    most = room()
    return text if most is None else "\n".join(broken(line, most) for line in text.split("\n"))


def broken(line: str, most: int) -> str:
    """Return a line in several of at most so many places, as far as its words have room."""
    if places(line) <= most:
        return line
    start = BESIDE.match(line)
    beside = start[0] if start and places(start[0]) <= most // 2 else ""
    head = beside or line[: len(line) - len(line.lstrip())]
    inner = " " * places(head) if beside else f"{head}  "
    pieces, turn = PIECES.findall(line[len(head) :]), ""
    if line[len(head) :].startswith("lottery "):
        pieces, turn = shell_words(line[len(head) :]), " \\"
    lines = [head + pieces[0]]
    for piece in pieces[1:]:
        if places(f"{lines[-1]} {piece}{turn}") <= most:
            lines[-1] += f" {piece}"
        else:
            lines[-1] += turn
            lines.append(inner + piece)
    return "\n".join(lines)


def shell_words(command: str) -> list[str]:
    """Return the words of a command, quoted as in it; all of it as one where it is none."""
    try:
        words = [shlex.quote(word) for word in shlex.split(command)]
    except ValueError:
        return [command]
    return words if " ".join(words) == command else [command]


def latex_remark(text: str) -> str:
    """Return a remark below a table of LaTeX: a warning to be read, anything else as a comment."""
    if text.startswith("warned: "):
        return rf"\par{{\footnotesize {in_latex(text)}\par}}"
    return f"% {text}"


def comma_separated(rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return rows as CSV; `columns` are there even without a row."""
    if not rows:
        return ",".join(map(in_csv, columns))
    return table(list(rows)).decode().rstrip("\n")


def as_json(value: Any) -> str:
    """Return a value as JSON; a number that is not finite is null."""
    return json.dumps(private(plain(value)), indent=1, allow_nan=False)


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


FEWEST, FIGURES, SURE = 1e-4, 4, 2  # plain digits from, how many, and of what is not sure


def numeral(value: float, spread: float = math.nan, sign: str = "") -> str:
    """Return a number in plain digits: as far as its spread leaves them sure, or four that count.

    What would take too many zeros has an exponent. `sign` "+" is written before what is above 0.
    """
    if not math.isfinite(value):
        return str(value)
    known = math.isfinite(spread) and spread > 0
    size, figures = (spread, SURE) if known else (abs(value), FIGURES)
    if 0 < size < FEWEST:
        return f"{value:{sign}.{FIGURES}g}"
    after = max(0, figures - 1 - math.floor(math.log10(size))) if size else 0
    text = f"{value:{sign},.{after}f}"
    return text if known or "." not in text else text.rstrip("0").rstrip(".")


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
