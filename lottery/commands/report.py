"""Write a report: one HTML file that opens anywhere and asks for nothing from the network.

usage: lottery report [RUN...] [KEY=VALUE...] [to=FILE.html] [tolerance=0.005]
                      [correction=holm|none] [outputs=DIR]

RUN is a path, an id or the start of one, or a run's name, with all of its replicates; add
/replicate_1 to pick one. KEY=VALUE keeps runs by a column of `lottery ls` or a setting:
prune=imp,random train.batch_size=64. No RUN: all runs.

One config makes a page of its curve, levels, layers, cost, controls, settings, environment and
commands; several are compared first. FILE is by default report.html in the folder that holds the
configs: outputs/NAME/ID for one of them, outputs/NAME or outputs for several. `tolerance` is how
much worse than dense a ticket may be and still match it, by default the metric's own (0.005 of
accuracy). Of many levels some would seem to beat dense
or to fall below by chance, so verdicts are corrected over the levels of a config (Holm);
correction=none takes each for itself.
"""

from pathlib import Path

from lottery.commands import one_of, selection, tolerance
from lottery.errors import DiskError, UsageError
from lottery.results import stats
from lottery.wording.text import near, printable

KNOWN = {"to": "", "tolerance": "", "correction": "holm", "outputs": "outputs"}
SUFFIXES = (".html", ".htm")


def main(arguments: list[str]) -> int:
    """Write the page and say where it is; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    from lottery.results.choice import choose
    from lottery.results.naming import none_there

    refuse_place(chosen["to"])
    correction = one_of(chosen, "correction", stats.CORRECTIONS, "report")
    folders = choose(Path(chosen["outputs"]), words, "report")
    if not folders:
        raise UsageError(f"report: {none_there(Path(chosen['outputs']))}")
    from lottery.results.facts import Facts
    from lottery.results.measures import known
    from lottery.results.reports import gather, page
    from lottery.wording.text import in_words

    allowed = tolerance(chosen, known(map(Facts, folders)), "report")
    report = gather.gather(folders, allowed, correction)
    made = page.html(report)
    place = Path(chosen["to"]) if chosen["to"] else gather.usual_place(folders)
    write(place, made, bool(chosen["to"]))
    for line in report.problems:
        print(printable(line))
    print(f"{printable(near(place))} ({in_words(len(made))})")
    return 0


def refuse_place(to: str) -> None:
    """Raise UsageError for a place that is none of a page."""
    if to and (not to.lower().endswith(SUFFIXES) or Path(to).is_dir()):
        hint = f"{to.rstrip('/')}/report.html" if Path(to).is_dir() else f"{to}.html"
        raise UsageError(f"report: to={to} is no HTML file; type to={hint}")


def write(place: Path, made: bytes, asked: bool) -> None:
    """Write the page, whole or not at all; a file that is no page of ours is left alone."""
    from lottery.results.reports.page import is_ours
    from lottery.storage import disk

    if place.exists() and place.stat().st_size and not is_ours(place):
        raise UsageError(
            f"report: {place} is there and no report of lottery; name another: to=FILE.html"
        )
    try:
        disk.make_folder(place.absolute().parent)
        disk.write(place, made)
    except DiskError as error:
        if asked:
            raise
        raise DiskError(
            f"{str(error).partition(';')[0]}; name another place: to=FILE.html"
        ) from error
