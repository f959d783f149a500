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

Runs land in outputs/reproduce_PAPER_FIGURE_BUDGET, those of other settings in a folder that names
them: interrupted, the same command goes on. train=false trains nothing, and shows what is there.
One of your own is a yaml file like those in lottery/results/papers:
  lottery reproduce mine.yaml budget=smoke
"""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import one_of, options, yes
from lottery.errors import UsageError
from lottery.wording.text import printable

if TYPE_CHECKING:
    import pandas as pd

    from lottery.results.reproduced import Measured
    from lottery.results.reproductions import Reproduction

KNOWN = {"budget": "", "train": "true", "format": "table", "outputs": "outputs"}
PROGRAMS = ("csv", "json")  # formats of which nothing else may stand on stdout


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
    if taken := [word for word in more if word.partition("=")[0] == "name"]:
        raise UsageError(f"reproduce: {taken[0]}: its runs have a name; outputs= is another place")
    if not chosen["budget"]:
        print(wrapped("\n\n".join(told(made, chosen["outputs"], more) for made in every)))
        return 0
    budget = one_of(chosen, "budget", reproductions.BUDGETS, "reproduce")
    train, codes = yes(chosen, "train", "reproduce"), []
    some = [made for made in every if budget in made.budgets]
    if not some:
        there = " or ".join(f"budget={word}" for word in every[0].budgets)
        raise UsageError(f"reproduce: {every[0].name} has no budget={budget}; type {there}")
    for left in (made.name for made in every if made not in some):
        print(printable(f"note: {left} has no budget={budget}, and is left out"), file=sys.stderr)
    found = []
    for made in some:
        with redirect_stdout(sys.stderr if form in PROGRAMS else sys.stdout):
            codes.append(trained(made, budget, chosen["outputs"], more) if train else 0)
        found.append(gathered(made, budget, Path(chosen["outputs"]), more))
        if form not in PROGRAMS:
            print("\n" * (len(found) > 1) + page(found[-1], form))
    if form in PROGRAMS:
        print(for_programs(found, form))
    return next((code for code in codes if code), 0)


def commands(made: Reproduction, budget: str, outputs: str, more: list[str]) -> list[list[str]]:
    """Return the words of `lottery run` that make a reproduction, a command each."""
    where = [f"name={made.folder(budget, more)}", *[f"outputs={outputs}"] * (outputs != "outputs")]
    return [["-m", *words, *where, *more] for words in made.budgets[budget].runs]


def asked(made: Reproduction, budget: str, outputs: str, more: list[str]) -> list[list[str]]:
    """Return the words of `lottery analyze` that ask all runs of a reproduction."""
    where = [f"name={made.folder(budget, more)}", *[f"outputs={outputs}"] * (outputs != "outputs")]
    each = made.budgets[budget].analyses
    return [[*where, f"analysis={name}", *words] for name, *words in each]


def trained(made: Reproduction, budget: str, outputs: str, more: list[str]) -> int:
    """Run what a reproduction needs, or what is missing of it; return the first exit code but 0."""
    from lottery.commands import analyze, run

    codes = []
    for words in commands(made, budget, outputs, more):
        print(printable(f"lottery run {shlex.join(words)}"), flush=True)
        codes.append(run.main(words))
    for words in asked(made, budget, outputs, more):
        print(printable(f"lottery analyze {shlex.join(words)}"), flush=True)
        codes.append(analyze.main(words))
    return next((code for code in codes if code), 0)


@dataclass(frozen=True)
class Found:
    """What came out of a reproduction: numbers, claims, and how to read them."""

    made: Reproduction
    measured: Measured
    rows: list[dict[str, Any]]
    claims: list[dict[str, Any]]
    notes: list[str]


def gathered(made: Reproduction, budget: str, outputs: Path, more: list[str]) -> Found:
    """Return the numbers of a reproduction beside the paper's, and what became of its claims."""
    from lottery.results.reproduced import Measured
    from lottery.results.reproductions import changing

    measured = Measured(made, budget, outputs, {"bench": benched}, more)
    rows, claims = measured.rows(), measured.judged()
    notes = [f"{made.name}: {made.paper}", f"published: {made.source}"]
    differs = [made.budgets[budget].differs, shlex.join(changing(more))]
    if here := "; ".join(filter(None, differs)):
        notes.append(f"here: {here}; published numbers stand beside ours for orientation")
    family = max((claim["family"] for claim in claims), default=0)
    notes.append(
        "claims: differences replicate by replicate with their 95 % interval, above 0 as claimed"
        + f"; paired t-tests, Holm over {family}" * bool(family)
    )
    notes += [f"note: {label} is not there: {why}" for label, why in measured.lacking.items()]
    return Found(made, measured, rows, claims, notes)


def page(found: Found, form: str) -> str:
    """Return a reproduction for people."""
    from lottery.results import formats
    from lottery.results.reproduced import claims_table, numbers_table

    tables = [(found.made.shows, numbers_table(found.measured, found.rows))] * bool(found.rows)
    tables += [("", claims_table(found.measured, found.claims))]
    return formats.page(tables, found.notes, form)


def for_programs(every: list[Found], form: str) -> str:
    """Return reproductions as one table (notes and claims go to stderr), or as JSON: a list of
    several, one as it is.
    """
    from lottery.results import formats

    if form == "csv":
        for found in every:
            lines = [f"claim: {c['claim']} at {c['at']}: {c['verdict']}" for c in found.claims]
            print(*map(printable, [*found.notes, *lines]), sep="\n", file=sys.stderr)
        rows = [{"reproduction": f.made.name} | row for f in every for row in f.rows]
        return formats.comma_separated(rows)
    plain = [
        {
            "reproduction": found.made.name,
            "rows": found.rows,
            "claims": [{k: v for k, v in c.items() if k != "unit"} for c in found.claims],
            "notes": found.notes,
        }
        for found in every
    ]
    return formats.as_json(plain if len(plain) > 1 else plain[0])


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


def told(made: Reproduction, outputs: str, more: list[str]) -> str:
    """Return what a reproduction is: its claims, its numbers, and what each budget runs."""
    lines = [f"{made.name}: {made.shows}", f"  {made.paper}", f"  published: {made.source}", ""]
    lines += [f"  claim: {claim.say}" for claim in made.claims]
    for budget in made.budgets:
        differs = made.budgets[budget].differs
        lines += ["", f"  budget={budget}{f': {differs}' if differs else ''}"]
        each = commands(made, budget, outputs, more)
        lines += [f"    lottery run {shlex.join(words)}" for words in each]
        each = asked(made, budget, outputs, more)
        lines += [f"    lottery analyze {shlex.join(words)}" for words in each]
    return "\n".join(map(printable, lines))
