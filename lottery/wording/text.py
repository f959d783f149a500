"""Say sizes, paths and commands to people: on one line, short, and safe to print and to type.

The one door for text out: `printable` on a terminal, `in_figure`, `in_csv`, `in_latex`,
`in_markdown`, `in_html`, and `private` for what is kept.
"""

import html
import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MINUS = "\N{MINUS SIGN}"
LONGEST_LINE = 80  # characters in a figure
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
MARKS = re.compile(  # what Markdown would take for more than text
    r"[|`*$~\[\]]|<(?=[A-Za-z/!?])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\\(?=[!-/:-@\[-`{-~])"
)
LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    "<": r"$<$", ">": r"$>$",
}  # fmt: skip
NEGATIVE = re.compile(r"(?<![\w.)-])-(?=\.?[0-9])")  # the sign of a number below 0
USER = re.compile(r"(?<=://)[^/\s]*@")
SECRET = re.compile(  # a parameter of a URI
    r"([?&][^=&\s]*(?:pass|pwd|token|secret|key|sig)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE
)
SHOWN = 4  # names in an error
LONGEST = 200  # characters of another library's error


def in_words(number: float) -> str:
    """Return a number of bytes for people: 12.3 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"


def printable(text: object) -> str:
    """Return text for a terminal: on one line, without a password, what one might obey spelled out.

    Names and settings may come from anywhere: a file name may hold line ends, escape sequences, or
    bytes that are no text. Every other medium below begins with this.
    """
    said = without_password(str(text))
    if said.isprintable():
        return said
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)


def in_figure(text: object) -> str:
    """Return text for a figure: its own line ends stay, and a very long line loses its middle."""
    half = LONGEST_LINE // 2
    lines = map(printable, str(text).split("\n"))
    return "\n".join(x if len(x) <= LONGEST_LINE else f"{x[:half]}…{x[-half:]}" for x in lines)


def in_csv(value: Any) -> Any:
    """Return what stands in a cell of CSV; text that a spreadsheet takes for a formula, quoted.

    `=cmd|...` runs a program where it is opened. Numbers stay numbers; NaN is an empty cell.
    """
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def in_latex(text: object) -> str:
    """Return text as LaTeX shows it."""
    said = "".join(LATEX.get(c, c) for c in printable(text))
    said = NEGATIVE.sub("$-$", said)  # else a hyphen
    return (
        f"{{{said[0]}}}{said[1:]}" if said[:1] in ("[", "*") and said else said
    )  # \\\\[ is a space


def in_markdown(text: object) -> str:
    """Return text for a cell of a table of Markdown."""
    return MARKS.sub(r"\\\g<0>", printable(text))


def in_html(text: object) -> str:
    """Return text for a page of HTML."""
    said = html.escape(printable(text))
    return said.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")  # as jinja writes them


def near(path: Path | str) -> str:
    """Return a path as short as it can be typed here."""
    absolute = os.path.abspath(path)
    inside = absolute.startswith(os.getcwd().rstrip(os.sep) + os.sep)
    return os.path.relpath(absolute) if inside else str(path)


def expanded(path: Path | str) -> Path:
    """Return where data may lie, ~ filled in; no place at all for a user who has no home folder.

    A container may give neither HOME nor a line in passwd, and needs none for the data it brings.
    """
    found = os.path.expanduser(path)
    return Path(f"/{found}" if found.startswith("~") else found)


def public(command: str) -> str:
    """Return a typed command as it may travel: without its loggers, and no URI with its password.

    Where a run is written besides its folder changes no number, and may name a private server.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    kept = (
        word for word in words if not word.lstrip("+~").startswith(("loggers.", "log=", "log@"))
    )
    return shlex.join(map(without_password, kept))


def without_password(text: str) -> str:
    """Return text in which no URI has its user and password, nor a key among its parameters."""
    if "://" not in text:
        return text
    return SECRET.sub(r"\1***", USER.sub("***@", text))


def private(data: Any) -> Any:
    """Return data that are to be kept, as of JSON or YAML, in which no URI has its password."""
    if isinstance(data, dict):
        return {private(key): private(value) for key, value in data.items()}
    if isinstance(data, list):
        return [private(value) for value in data]
    return without_password(data) if isinstance(data, str) else data


def rm(path: Path) -> str:
    """Return what to type to be rid of a file or a folder."""
    return f"rm -r {shlex.quote(near(path))}"


def outputs_word(outputs: Path) -> str:
    """Return the word, after a space, that names these outputs to a command; none for the usual."""
    if os.path.abspath(outputs) == os.path.abspath("outputs"):
        return ""
    return f" outputs={shlex.quote(str(outputs))}"


def started(source: Mapping[str, Any]) -> str:
    """Say which file the weights of step 0 are from, and what of them is drawn anew."""
    more = f"; drawn anew: {some(source['drawn'])}" if source["drawn"] else ""
    place, sha = printable(source["from"]), source["sha256"][:10]
    return f"step 0: the weights of {place} (sha256 {sha}...){more}"


def unmasked(sizes: Mapping[str, int]) -> str:
    """Say which tensors of two or more axes no mask reaches: dense at every level, not counted."""
    names = list(sizes)
    listed = names if len(names) <= 6 else [*names[:4], f"... {len(names) - 5} more", names[-1]]
    return (
        f"not pruned, and no part of the density: {printable(', '.join(listed))} "
        f"({sum(sizes.values()):,} weights)"
    )


def some(names: Iterable[str]) -> str:
    """Return a few names, safe to print."""
    listed = list(map(printable, names))
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def first_line(error: Exception) -> str:
    """Return the first line of an error, safe to print."""
    lines = str(error).splitlines() or [type(error).__name__]
    return printable(lines[0].removeprefix("it is no tensor file of ours: "))[:LONGEST]
