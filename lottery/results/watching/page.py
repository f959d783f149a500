"""Make the live page: one HTML file whose script asks its server alone, and obeys nothing else."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from lottery.machine.version import __version__
from lottery.results.plotting.looks import SERIES, looks
from lottery.results.reports.page import LIFTED, checksum, environment, read
from lottery.wording.text import near, printable

EVERY = 2.0  # seconds between two questions of the page


class Page:
    """The page, and the policy that its browser is to hold it to."""

    def __init__(self, outputs: Path, words: Sequence[str], every: float = EVERY) -> None:
        style = read("report.css") + read("watch.css") + palette()
        script = read("watch.js") + read("watch_curves.js")
        self.policy = (
            f"default-src 'none'; style-src 'sha256-{checksum(style)}'; "
            f"script-src 'sha256-{checksum(script)}'; connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        text = (
            environment()
            .get_template("watch.html")
            .render(
                place=printable(near(outputs)),
                words=[printable(word) for word in words],
                version=__version__,
                looks=markers(),
                every=every,
                style=Markup(style),  # noqa: S704 (files of the package)
                script=Markup(script),  # noqa: S704 (files of the package)
            )
        )
        self.html = text.encode(errors="backslashreplace")


KINDS = looks([str(place) for place in range(SERIES)])


def palette() -> str:
    """Return the colours and dashes of lines as CSS: those of figures, lifted where it is dark."""
    rules = []
    for place, look in KINDS.items():
        lifted = LIFTED.get(look.colour.lower())
        colour = f"var({lifted}, {look.colour})" if lifted else look.colour
        dashes = "none" if look.dashes == "-" else " ".join(f"{2 * d:g}" for d in look.dashes[1])
        rules.append(f".look{place} {{ --line-colour: {colour}; --dashes: {dashes}; }}")
    return "\n".join(rules) + "\n"


def markers() -> str:
    """Return the marker of each look, hollow ones with a - in front."""
    return " ".join("-" * look.hollow + look.marker for look in KINDS.values())
