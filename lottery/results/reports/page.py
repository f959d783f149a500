"""Make one HTML file of a report: nothing fetched, and nothing from the disk obeyed."""

import base64
import hashlib
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import jinja2
from markupsafe import Markup

from lottery.results.reports.sheets import Report
from lottery.storage.files import read_plain
from lottery.wording.text import in_html

GENERATOR = b'<meta name="generator" content="lottery '
LONGEST_HEAD = 4096  # bytes, within which that line stands
TEMPLATES = "lottery.results.reports"
# What a drawing is made of. Whatever else a name in it might smuggle in is refused.
TAGS = {"svg", "g", "defs", "path", "use", "text", "tspan", "image", "clipPath", "rect", "circle",
        "ellipse", "line", "polyline", "polygon", "style", "title", "desc", "linearGradient",
        "stop", "pattern", "marker", "symbol"}  # fmt: skip
REFERENCE = re.compile(r"#[\w.:-]+|data:image/png;base64,[A-Za-z0-9+/=\s]*")
LIFTED = {"#0072b2": "--blue", "#009e73": "--green"}  # too dark on black: report.css has both
FETCHES = re.compile(r"@import|expression|url\((?!\s*['\"]?#)", re.IGNORECASE)


def html(report: Report) -> bytes:
    """Return the page of a report as UTF-8.

    Everything that the data says is escaped, and what a reader cannot see in it (control
    characters, marks that turn the direction of writing) is spelled out.
    """
    script, style = read("report.js"), read("report.css")
    page = environment().get_template("report.html")
    text = page.render(
        report=report,
        style=Markup(style),  # noqa: S704 (a file of the package)
        script=Markup(script),  # noqa: S704 (a file of the package)
        script_sum=checksum(script),
    )
    return text.encode(errors="backslashreplace")


def environment() -> jinja2.Environment:
    """Return jinja2 set up so that a template can neither forget to escape nor miss a name."""
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=visible,
    )
    made.filters["drawing"] = drawing
    return made


def visible(value: object) -> object:
    """Return what a template is about to write with unprintable characters spelled out."""
    return value if isinstance(value, Markup) else Markup(in_html(value))  # noqa: S704 (escaped)


def read(name: str) -> str:
    """Return a file of the templates' folder."""
    return (resources.files(TEMPLATES) / "templates" / name).read_text(encoding="utf-8")


def checksum(script: str) -> str:
    """Return the sha256 of a script as a Content-Security-Policy names it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def is_ours(path: Path) -> bool:
    """Say whether a file is a page that this made."""
    try:
        return GENERATOR in read_plain(path)[:LONGEST_HEAD]
    except (OSError, ValueError):
        return False


def drawing(svg: str) -> Markup:
    """Return an inline drawing to be written as it is; raises ValueError for more than a drawing.

    A figure holds names from the disk, and its own writer escapes them; this does not take its
    word for it.
    """
    if "<!" in svg or "<?" in svg:
        raise ValueError("a figure holds a declaration")
    for element in ElementTree.fromstring(svg).iter():  # noqa: S314 (no declaration: no entities)
        for complaint in complaints(element):
            raise ValueError(f"a figure holds {complaint}")
    for colour, name in LIFTED.items():
        svg = svg.replace(colour, f"var({name}, {colour})")
    return Markup(svg)  # noqa: S704 (it was just read, element by element)


def complaints(element: ElementTree.Element) -> Iterator[str]:
    """Yield what in an element is none of a drawing."""
    tag = element.tag.rpartition("}")[2]
    if tag not in TAGS:
        yield f"an element <{tag}>"
    if tag == "style" and FETCHES.search(element.text or ""):
        yield "a style that fetches"
    for name, value in element.attrib.items():
        plain = name.rpartition("}")[2].lower()
        if plain.startswith("on"):
            yield f"the handler {plain}"
        if plain in ("href", "src") and not REFERENCE.fullmatch(value.strip()):
            yield f"a reference to {value[:40]!r}"
        if FETCHES.search(value):
            yield f"a {plain} that fetches"
