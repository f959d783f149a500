"""Ask finished levels what they are: connected, stable, sharp, what layers bear, how they scale.

usage: lottery analyze RUN... analysis=NAME[,NAME...] [levels=0,3] [NAME.SETTING=VALUE...]
                       [outputs=DIR]

RUN is a path, an id or a name, as `lottery ls` shows it, or filters (prune=imp state=done); of each
all replicates, without /replicate_K or replicate=K.
levels are those that are asked, 0 the dense one; by default all that are finished. The settings of
an analysis are in conf/analysis/NAME.yaml:
lottery analyze RUN analysis=connectivity connectivity.points=10
What it needs is trained, and kept in the store; what it finds lies in analyses/ in the folder of
the run, and asked again it is there. `lottery run ... analysis=[NAME]` asks at the end of a run.
scaling_law is asked of the levels of all RUN together: it trains nothing, and what it finds lies in
analyses/ in the folder of their name, or in outputs/analyses/ where they have several.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lottery.commands import as_made, example, override, selection, sets, whole_numbers
from lottery.errors import UsageError
from lottery.results import choice
from lottery.wording.text import near

KNOWN = {"analysis": "", "levels": "", "outputs": "outputs"}


def main(arguments: list[str]) -> int:
    """Analyse every replicate of the runs; return the exit code."""
    typed_as, arguments = arguments, [word.removeprefix("analyses.") for word in arguments]
    plain = [word for word in arguments if not sets(word, "analysis")]
    words, chosen = selection(plain, __doc__, KNOWN)
    if words is None:
        return 0
    if not words or not chosen["analysis"].strip("[], "):
        typed = example(words, chosen, "analyze")
        asked = chosen["analysis"].strip("[], ") or "connectivity"
        raise UsageError(f"analyze: name runs and an analysis: {typed} analysis={asked}")
    from lottery.config import bind, build

    words_of = chosen["analysis"].strip("[]").split(",")
    names = list(dict.fromkeys(name.strip() for name in words_of if name.strip()))
    nodes = {name: build.option("analysis", name) for name in names}
    override(nodes, [word for word in arguments if sets(word, "analysis")], "analyze")
    wanted = whole_numbers(chosen["levels"], "levels", "analyze")
    folders = choice.choose(Path(chosen["outputs"]), words, "analyze")
    if not folders:
        raise UsageError(f"analyze: no run is called {shlex.join(words)}; lottery ls lists them")
    together = {name: node for name, node in nodes.items() if bind.of_several(node)}
    alone = {name: node for name, node in nodes.items() if name not in together}
    if alone:
        each(folders, alone, wanted, shlex.join(["lottery", "analyze", *typed_as]))
    for name, node in together.items():
        print(of_all(folders, name, node, wanted))
    return 0


def each(
    folders: Sequence[Path], nodes: dict[str, Any], wanted: list[int], typed: str
) -> None:  # fmt: skip
    """Analyse every run for itself, and print what was found over replicates."""
    from lottery.config import build
    from lottery.experiment import launch
    from lottery.results import analyses, results

    for folder in folders:
        settings = as_made(folder, "analyze")
        done = len(results.metrics(folder)) - 1
        if done < 0 or max(wanted, default=0) > done:
            raise UsageError(
                f"analyze: {folder} has {done + 1} finished levels, counted from 0; give some of "
                "them as levels=0,1 or let the run go on first"
            )
        settings |= {
            "analyses": nodes,
            "analysis_levels": wanted or None,
            "levels": done,
            "levels_until": None,
        }
        name = folder.parents[1].name
        launch.launch(settings, build.parts(settings), name, typed, {}, follow=True)
    for base in dict.fromkeys(folder.parent for folder in folders):
        several = [folder for folder in folders if folder.parent == base]
        if len(several) > 1:
            tables = "\n\n".join(analyses.texts(several, [*nodes]))
            print(f"\n{len(several)} replicates of {near(base)}\n\n{tables}")


def of_all(folders: Sequence[Path], name: str, node: dict[str, Any], wanted: list[int]) -> str:
    """Analyse the levels of all runs together; return what was found, for people."""
    from lottery.config import bind, build
    from lottery.experiment import across
    from lottery.results.across import text

    where = f"analyses.{name}"
    bound, code = bind.bind("analysis", node, where), bind.code_of("analysis", node["name"], where)
    return text(across.asked(folders, name, build.spelled(node), code, bound, wanted))
