"""Draw a figure of runs, and write it: PNG, SVG and PDF, with the table behind it."""

import dataclasses
import io
import math
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

from lottery.config import blame
from lottery.config.bind import bind, components, find, settings_of
from lottery.config.build import option
from lottery.config.defaults import file_of
from lottery.errors import UsageError
from lottery.results.plotting import charts, fonts
from lottery.results.plotting.material import Material
from lottery.results.plotting.panels import in_panels
from lottery.results.tidy import Runs
from lottery.storage import disk
from lottery.storage.files import read_plain
from lottery.wording.spelling import suggestion
from lottery.wording.text import in_csv, in_figure

WIDTHS = {"column": 3.3, "page": 6.75}  # inches, of a two-column paper
NARROWEST, WIDEST = 2.0, 20.0
SIGN = 2  # columns by which a table is known as one of this figure
PASSES = 2  # until the layout has settled
SHAPE = 0.76  # height over width of a column; a wider figure is not as much higher
DATELESS: dict[str, dict[str, Any]] = {  # the same data, the same bytes, and whose they are
    "png": {"Software": "lottery"},
    "svg": {"Date": None, "Creator": "lottery", "Format": None, "Type": None},
    "pdf": {"CreationDate": None, "Creator": "lottery", "Producer": None},
}
MARKS = {  # how that stands in a file
    "png": b"Software\0lottery",
    "svg": b"<dc:title>lottery</dc:title>",
    "pdf": b"/Creator (lottery)",
}
SUFFIXES = tuple(f".{kind}" for kind in DATELESS)
GLYPH = re.compile(r"Glyph (\d+) ")


@dataclass(frozen=True)
class Drawn:
    """A figure, the table behind it, and what a reader of it has to know."""

    figure: Figure
    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    lacking: str = ""  # letters that no font here has: boxes, where a file holds no text

    def save(self, path: Path | str) -> list[Path]:
        """Write the figure as its suffix says (.png .svg .pdf), and the table as CSV beside it.

        Returns both paths. Raises UsageError for another suffix, a place among the records of a
        run, and where a file that is none of ours has the name of either.
        """
        path = Path(path)
        kind = check_suffix(path)
        beside = self.beside(path)
        disk.make_folder(path.absolute().parent)
        disk.write(path, self.render(kind))
        disk.write(beside, as_csv(self.table))
        return [path, beside]

    def beside(self, path: Path) -> Path:
        """Return where the table of a figure at `path` goes; raises UsageError as `save` does."""
        if (path.parent / "run.json").exists():
            raise UsageError(f"to={path}: {path.parent} is the folder of a run; choose another")
        place = path.with_suffix(".csv")
        if not is_ours(path, lambda held: MARKS[check_suffix(path)] in held):
            raise UsageError(
                f"to={path}: that is there and no figure that lottery drew; choose another name"
            )
        own = as_csv(self.table.iloc[:0, :SIGN]).rstrip()
        if not is_ours(place, lambda held: held.startswith(own)):
            raise UsageError(
                f"to={path}: the table of the figure would be {place}, and that is there and not "
                "the table of such a figure; choose another name"
            )
        return place

    def render(self, kind: str, transparent: bool = False) -> bytes:
        """Return the file of a kind: png, svg or pdf."""
        buffer = io.BytesIO()
        with styled(self.figure.get_figwidth()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", GLYPH.pattern)  # they are known: `lacking`
            self.figure.savefig(
                buffer, format=kind, metadata=DATELESS[kind], transparent=transparent
            )
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        """Show the figure in a notebook."""
        return self.render("png")

    def svg(self, prefix: str) -> str:
        """Return the figure for a page of HTML: an <svg> whose ink is the colour of the text.

        It is transparent, so it stands on light and dark alike; `prefix` makes its ids its own.
        """
        text = self.render("svg", transparent=True).decode()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
        text = re.sub(r'\bid="', f'id="{prefix}-', text)
        text = re.sub(r'(url\(|href=")#', rf"\g<1>#{prefix}-", text)
        text = text.replace(charts.INK, "currentColor")
        return text.replace("<svg", '<svg fill="currentColor" role="img"', 1)


def check_suffix(path: Path) -> str:
    """Return the kind of file that a path ends in; raises UsageError for one that is none."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in DATELESS:
        raise UsageError(f"to={path}: a figure is a file that ends in {', '.join(SUFFIXES)}")
    return kind


def is_ours(path: Path, known: Callable[[bytes], bool]) -> bool:
    """Say whether a path may be written: nothing is there, or nothing in it, or what is `known`."""
    if not os.path.lexists(path):
        return True
    try:
        held = read_plain(path)
    except (OSError, ValueError):
        return False
    return not held or known(held)


def figures() -> list[str]:
    """Return the names of the figures, installed ones included."""
    return components("figure")


def draw(
    name: str | Runs, runs: Runs | str, settings: Mapping[str, Any] | None = None, **more: Any
) -> Drawn:
    """Draw a figure of runs: draw("accuracy", runs, y="change", width="page"), or runs first.

    Keywords, or `settings`, are those of conf/figure/NAME.yaml that are to differ; `width` is one
    of every figure: column, page, or inches. `panels` names a key or two, "model,dataset": a panel
    each of their values, rows and columns, under one legend. Raises UsageError for a figure or a
    setting that is not there, and where the runs have nothing to draw.
    """
    if isinstance(name, Runs):
        name, runs = runs, name
    if not isinstance(name, str) or not isinstance(runs, Runs):
        raise UsageError('draw: give a figure and runs: lottery.draw("accuracy", lottery.load())')
    wanted = dict(settings or {}) | {key: listed(key, value) for key, value in more.items()}
    panels = wanted.pop("panels", "")
    keys = panels.strip("[]").split(",") if isinstance(panels, str) else panels
    keys = [key.strip() for key in keys if key.strip()]
    wide = width_of(wanted.pop("width", "") or ("page" if keys else "column"))
    function = bind("figure", defaults(name) | wanted, "figure")
    if not runs.folders:
        raise UsageError(f"{name}: there is no run to draw; lottery ls lists the runs")
    if keys:
        function = in_panels(name, function, runs, keys)
    drawn = laid_out(function, Material(runs), wide, ())
    if drawn.lacking and (families := fonts.having(drawn.lacking)):
        drawn = laid_out(function, Material(runs), wide, families)
    return drawn


def listed(key: str, value: Any) -> Any:
    """Return the value of a keyword: tuples are lists, and one branch is a list of it."""
    if key == "branch" and isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, tuple) else value


def laid_out(
    function: Callable[..., Any], material: Material, wide: float, families: Sequence[str]
) -> Drawn:
    """Return what a figure draws, its layout settled; `families` have the letters ours has not."""
    with styled(wide, families), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            figure, table = function(material)
        except Exception as error:  # noqa: BLE001 (a figure may be somebody else's)
            if (told := blame.in_words(error)) is error:
                raise
            raise told from error
        plain(figure)
        for _ in range(PASSES):
            figure.draw_without_rendering()
        figure.set_layout_engine("none")  # else each file that is written would move things a bit
    letters: dict[str, None] = {}
    for warning in said:
        text = str(warning.message)
        if found := GLYPH.match(text):
            letters[chr(int(found[1]))] = None
        elif text.startswith("constrained_layout not applied"):
            material.note("the names leave no room for the figure: width=page, or fewer runs")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename,
                                   warning.lineno)  # fmt: skip
    return Drawn(figure, table, list(dict.fromkeys(material.notes)), "".join(letters))


def plain(figure: Figure) -> None:
    """Let all text of a figure be safe to write and to read, wherever its names come from."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_locator(), FixedLocator):  # its words are set at each drawing
            words = [label.get_text() for label in axis.get_majorticklabels()]
            if (safe := [in_figure(word) for word in words]) != words:
                axis.set_ticks(axis.get_majorticklocs(), labels=safe)
    for text in figure.findobj(Text):
        if (line := in_figure(text.get_text())) != text.get_text():
            text.set_text(line)


def as_csv(table: pd.DataFrame) -> bytes:
    """Return the table behind a figure as CSV: numbers as they are, text as no formula."""
    text = [c for c in table if not pd.api.types.is_numeric_dtype(table[c])]
    safe = table.copy()
    for column in text:
        safe[column] = [in_csv(value) for value in table[column]]
    safe = safe.rename(columns=in_csv)
    return safe.to_csv(index=False, lineterminator="\n").encode()


def defaults(name: str) -> dict[str, Any]:
    """Return the settings of a figure as its yaml gives them, or a user's own function does.

    Raises UsageError for a figure that is not there.
    """
    if name not in figures():
        listed = ", ".join(figures())
        raise UsageError(
            f"there is no figure '{name}'{suggestion(name, figures())} (there are: {listed})"
        )
    if file_of("figure", name):
        return option("figure", name)
    own = settings_of(find("figure", name, "figure"))
    return {"name": name} | {k: v for k, (_, v) in own.items() if v is not dataclasses.MISSING}


def width_of(word: str | float) -> float:
    """Return a width in inches; raises UsageError for one that is none."""
    try:
        inches = WIDTHS[str(word)] if str(word) in WIDTHS else float(word)
    except ValueError:
        inches = 0.0
    if not NARROWEST <= inches <= WIDEST:
        raise UsageError(
            f"width={word}: it is column ({WIDTHS['column']} in), page ({WIDTHS['page']} in), or "
            f"inches from {NARROWEST:g} to {WIDEST:g}"
        )
    return inches


def styled(width: float, families: Sequence[str] = ()) -> Any:
    """Return a context in which matplotlib draws as ours do, whatever the user's own settings.

    `families` of fonts are asked for letters that ours has not.
    """
    size = {"figure.figsize": (width, SHAPE * math.sqrt(width * WIDTHS["column"]))}
    letters = {"font.family": [*charts.STYLE["font.family"], *families]}
    return matplotlib.style.context([charts.STYLE | size | letters], after_reset=True)
