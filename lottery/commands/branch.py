"""Train follow-ups of a finished run: controls of its levels.

usage: lottery branch RUN branch=NAME[,NAME...] [levels=3,7] [NAME.SETTING=VALUE...] [log=[NAME]]
                      [outputs=DIR]

RUN is a path, an id or a name, as `lottery ls` shows it, or filters (prune=imp), which name one
config; without /replicate_K or replicate=K all its replicates.
levels are those that get the branches, 0 the dense one; by default all pruned ones that are
finished. The settings of a branch are in conf/branch/NAME.yaml:
lottery branch RUN branch=shuffle shuffle.scope=globally
They are logged to where the run was; log=[tensorboard] to there instead, log=[] to nowhere.
"""

import shlex
from pathlib import Path

from lottery.commands import as_made, example, override, selection, sets, whole_numbers
from lottery.errors import UsageError
from lottery.results import choice

KNOWN = {"branch": "", "levels": "", "log": "", "outputs": "outputs"}


def main(arguments: list[str]) -> int:
    """Train the branches on every replicate of the run; return the exit code."""
    plain = [word for word in arguments if not sets(word, "branch")]
    words, chosen = selection(plain, __doc__, KNOWN)
    if words is None:
        return 0
    if not words or not chosen["branch"]:
        typed = example(words, chosen, "branch")
        asked = chosen["branch"] or "shuffle"
        raise UsageError(f"branch: name one run and a branch: {typed} branch={asked}")
    from lottery.config import build
    from lottery.experiment import launch
    from lottery.results import results

    nodes = {name: build.branch(name) for name in chosen["branch"].strip("[]").split(",")}
    override(nodes, [word for word in arguments if sets(word, "branch")], "branch")
    wanted = whole_numbers(chosen["levels"], "levels", "branch")
    for folder in choice.replicates(Path(chosen["outputs"]), words, "branch"):
        settings = as_made(folder, "branch")
        done = len(results.metrics(folder)) - 1
        if done < 0 or max(wanted, default=1) > done:
            raise UsageError(
                f"branch: {folder} has {max(done, 0)} finished pruned levels; give some of them as "
                "levels=1,2 (levels=0 is the dense net) or let the run go on first"
            )
        settings |= {
            "branches": nodes,
            "branch_levels": wanted or None,
            "levels": done,
            "levels_until": None,
        }
        if chosen["log"]:
            names = [name for name in chosen["log"].strip("[]").split(",") if name]
            settings["loggers"] = {name: build.option("log", name) for name in names}
        typed = shlex.join(["lottery", "branch", *arguments])
        name = folder.parents[1].name
        launch.launch(settings, build.parts(settings), name, typed, {}, follow=True)
    return 0
