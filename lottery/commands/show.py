"""Show one run: its levels, layers, cost, settings, branches, state.

usage: lottery show RUN [FILTER...] [layers=all] [correction=holm|none] [format=text|json]
                    [outputs=DIR]

RUN is a path, an id or the start of one, or a run's name or a part of it; add /replicate_1 to pick
a replicate, or filters as for `lottery ls`: lottery show prune=random replicate=1

Settings are listed where they differ from the yaml files of the options that were chosen. Of a
large net layers=all shows every layer and level, layers=NAME[,NAME...] some (* for anything).
Verdicts of controls are corrected over their levels (Holm); correction=none takes each for itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import example, one_of, selection
from lottery.errors import UsageError
from lottery.results import stats

if TYPE_CHECKING:
    from lottery.results.facts import Facts

KNOWN = {"layers": "", "correction": "holm", "format": "text", "outputs": "outputs"}


def main(arguments: list[str]) -> int:
    """Print the run; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    format = one_of(chosen, "format", ("text", "json"), "show")
    correction = one_of(chosen, "correction", stats.CORRECTIONS, "show")
    from lottery.results import choice
    from lottery.results.facts import Facts
    from lottery.storage.settings import read_settings

    found = choice.choose(Path(chosen["outputs"]), words, "show") if not words else ()
    if len(found) > 1:
        typed = example((), chosen, "show")
        raise UsageError(f"show: name one run (lottery ls lists them), as in: {typed}")
    run = Facts(choice.one(Path(chosen["outputs"]), words, "show"))
    if format == "json":
        from lottery.results.formats import as_json

        read_settings(run.folder)
        print(as_json(everything(run, correction)))
        return 0
    from lottery.results.formats import wrapped
    from lottery.results.sections import sections

    for section in sections(run, chosen["layers"], correction):
        print(wrapped(section))
    read_settings(run.folder)  # after all that can be said: DamagedError, with what to type
    return 0


def everything(run: Facts, correction: str) -> dict[str, Any]:
    """Return all that is known of a run, for a program."""
    from lottery.config import defaults
    from lottery.results import origins, results, retyped
    from lottery.results.sections import judged

    own = retyped.places(run)
    changed = defaults.changed(run.settings, run.choices, own) if run.choices else {}
    verdicts, why = judged(run, correction)
    return {
        "run": run.row,
        "record": run.record,
        "settings": run.flat,
        "changed": {k: {"value": v, "default": d} for k, (v, d) in changed.items()},
        "levels": results.metrics(run.folder).to_dict("records"),
        "layers": results.read_table(run.folder, "layers.csv").to_dict("records"),
        "branches": results.branches(run.folder).to_dict("records"),
        "trained_by": origins.trainers(run),
        "sanity": verdicts,
        "sanity_not_judged": why or None,
    }
