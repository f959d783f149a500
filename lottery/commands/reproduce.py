"""Make a figure or table of a paper again: its numbers beside ours, and its claims judged.

usage: lottery reproduce                          what there is
       lottery reproduce PAPER[:FIGURE][,...]     what it would run
       lottery reproduce PAPER[:FIGURE][,...] budget=smoke|short|paper [train=false]
                         [format=table|csv|json|markdown|latex] [KEY=VALUE...] [outputs=DIR]

`all` stands for all of them. smoke takes seconds on small digits, and shows that everything works;
short takes minutes to hours on one machine; paper is what the authors ran. Of each budget it is
said in what it is not the paper's, and only of paper whether a published number was met. Claims, as
that one method beats another, are judged at every budget, by paired tests over replicates.

  lottery reproduce lth:figure_4 budget=smoke
  lottery reproduce retraining budget=short data=~/data host.workers=4    settings of lottery run

Runs land in outputs/reproduce_PAPER_FIGURE_BUDGET: interrupted, the same command goes on.
train=false trains nothing, and shows what is there. One of your own is a yaml file like those in
lottery/results/papers: lottery reproduce mine.yaml budget=smoke
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import one_of, options, yes
from lottery.errors import UsageError
from lottery.wording.text import printable

if TYPE_CHECKING:
    import pandas as pd

    from lottery.results.reproductions import Reproduction

KNOWN = {"budget": "", "train": "true", "format": "table", "outputs": "outputs"}


def main(arguments: list[str]) -> int:
    """List, tell or make reproductions; return the exit code."""
    own = [w for w in arguments if "=" not in w or w.partition("=")[0] in KNOWN]
    words, chosen = options(own, __doc__, KNOWN)
    if words is None:
        return 0
    more = [word for word in arguments if word not in own]
    from lottery.results import reproductions
    from lottery.results.formats import FORMATS, wrapped

    form = one_of(chosen, "format", FORMATS, "reproduce")
    if not words:
        if more or chosen["budget"]:
            asked = shlex.join([*more, *[f"budget={chosen['budget']}"] * bool(chosen["budget"])])
            raise UsageError(f"reproduce: say what: lottery reproduce all {asked}")
        print(wrapped(listed()))
        return 0
    every = reproductions.named(words)
    if not chosen["budget"]:
        print(wrapped("\n\n".join(map(told, every))))
        return 0
    budget = one_of(chosen, "budget", reproductions.BUDGETS, "reproduce")
    train, codes = yes(chosen, "train", "reproduce"), []
    for number, made in enumerate(every):
        if budget not in made.budgets:
            there = " or ".join(f"budget={word}" for word in made.budgets)
            raise UsageError(f"reproduce: {made.name} has no budget={budget}; type {there}")
        code = trained(made, budget, chosen["outputs"], more) if train else 0
        codes.append(code)
        print("\n" * bool(number) + shown(made, budget, Path(chosen["outputs"]), form))
    return next((code for code in codes if code), 0)


def commands(made: Reproduction, budget: str, outputs: str, more: list[str]) -> list[list[str]]:
    """Return the words of `lottery run` that make a reproduction, a command each."""
    where = [f"name={made.folder(budget)}", *[f"outputs={outputs}"] * (outputs != "outputs")]
    return [["-m", *words, *where, *more] for words in made.budgets[budget].runs]


def asked(made: Reproduction, budget: str, outputs: str) -> list[list[str]]:
    """Return the words of `lottery analyze` that ask all runs of a reproduction."""
    where = [f"name={made.folder(budget)}", *[f"outputs={outputs}"] * (outputs != "outputs")]
    each = made.budgets[budget].analyses
    return [[*where, f"analysis={name}", *words] for name, *words in each]


def trained(made: Reproduction, budget: str, outputs: str, more: list[str]) -> int:
    """Run what a reproduction needs, or what is missing of it; return the first exit code but 0."""
    from lottery.commands import analyze, run

    codes = []
    for words in commands(made, budget, outputs, more):
        print(printable(f"lottery run {shlex.join(words)}"), flush=True)
        codes.append(run.main(words))
    for words in asked(made, budget, outputs):
        print(printable(f"lottery analyze {shlex.join(words)}"), flush=True)
        codes.append(analyze.main(words))
    return next((code for code in codes if code), 0)


def shown(made: Reproduction, budget: str, outputs: Path, form: str) -> str:
    """Return the numbers of a reproduction beside the paper's, and what became of its claims."""
    from lottery.results import formats
    from lottery.results.reproduced import Measured, claims_table, numbers_table

    found = Measured(made, budget, outputs, {"bench": benched})
    rows, claims = found.rows(), found.judged()
    notes = [f"{made.name}: {made.paper}", f"published: {made.source}"]
    if differs := made.budgets[budget].differs:
        notes.append(f"here: {differs}; published numbers stand beside ours for orientation")
    notes.append(
        "claims: differences replicate by replicate with their 95 % interval, above 0 as claimed; "
        f"paired t-tests, Holm over all {len(claims)}"
    )
    notes += [f"note: {label} is not there: {why}" for label, why in found.lacking.items()]
    if form == "csv":
        print(*map(printable, notes), sep="\n", file=sys.stderr)
        return formats.comma_separated(rows)
    if form == "json":
        plain = [{k: v for k, v in row.items() if k != "unit"} for row in claims]
        return formats.as_json({"rows": rows, "claims": plain, "notes": notes})
    tables = [(made.shows, numbers_table(found, rows)), ("", claims_table(found, claims))]
    return formats.page(tables, notes, form)


def benched(folder: Path) -> pd.DataFrame:
    """Return sizes and latencies of the last level of a run, a row: size.compacted.bytes, ..."""
    import pandas as pd

    from lottery.experiment.measuring import describe
    from lottery.experiment.recorded_run import finished
    from lottery.machine.devices import pick_device

    level = finished(folder, -1, "", "reproduce")
    report = describe(level, "", pick_device("auto"), batch=1, repeats=20, warm=3)
    return pd.DataFrame([flat(report)])


def flat(tree: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Return a tree as one row, with dotted keys."""
    row: dict[str, Any] = {}
    for key, value in tree.items():
        row |= flat(value, f"{head}{key}.") if isinstance(value, dict) else {f"{head}{key}": value}
    return row


def listed() -> str:
    """Return what can be reproduced, a line each."""
    from lottery.results import reproductions
    from lottery.results.formats import aligned

    every = reproductions.named(["all"])
    rows = [[made.name, made.shows, ", ".join(made.budgets)] for made in every]
    table = aligned(("reproduction", "what it shows", "budgets"), rows)
    return f"{table}\n\nlottery reproduce NAME says what it runs; with budget=smoke it does"


def told(made: Reproduction) -> str:
    """Return what a reproduction is: its claims, its numbers, and what each budget runs."""
    lines = [f"{made.name}: {made.shows}", f"  {made.paper}", f"  published: {made.source}", ""]
    lines += [f"  claim: {claim.say}" for claim in made.claims]
    for budget in made.budgets:
        differs = made.budgets[budget].differs
        lines += ["", f"  budget={budget}{f': {differs}' if differs else ''}"]
        each = commands(made, budget, "outputs", [])
        lines += [f"    lottery run {shlex.join(words)}" for words in each]
        each = asked(made, budget, "outputs")
        lines += [f"    lottery analyze {shlex.join(words)}" for words in each]
    return "\n".join(map(printable, lines))
