"""The sections about one config: what is drawn and tabled of its replicates."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.errors import DamagedError, DiskError, LotteryError, UsageError
from lottery.results import analyses, sanity, tidy
from lottery.results.comparison import Group, gathered
from lottery.results.facts import Facts
from lottery.results.plotting import drawing
from lottery.results.reports import controls, costs, findings, provenance, tables
from lottery.results.reports.findings import Reached
from lottery.results.reports.sheets import (
    Column,
    Part,
    Picture,
    Section,
    Table,
    filled,
    kept,
    several,
    words,
)
from lottery.results.reports.tiles import tiles
from lottery.results.tidy import Runs
from lottery.wording import text as wording

Problems = list[str]
BROKEN = (TypeError, ValueError, KeyError, OverflowError)  # what odd numbers do to a figure
MOST_BRANCHES = 5  # lines beside the tickets that one figure can tell apart


@dataclass(frozen=True)
class Member:
    """One config: its replicates, what it is called, what they reached."""

    title: str
    runs: Runs
    group: Group
    rows: Sequence[Reached]
    by: findings.Measure  # what they are judged by
    correction: str  # of verdicts, over the levels


def member(title: str, folders: Sequence[Path], tolerance: float | None, correction: str) -> Member:
    """Return the replicates of one config with what they reached."""
    group = gathered(title, folders)
    rows = findings.reached(group, tolerance, correction)
    by = findings.measure(group, tolerance)
    return Member(title, Runs(tuple(folders)), group, rows, by, correction)


def picture(
    name: str,
    runs: Runs,
    caption: str,
    anchor: str,
    problems: Problems,
    settings: Mapping[str, Any] | None = None,
) -> list[Picture]:
    """Return a figure of the runs as a list of one; [] where there is nothing to draw.

    Damage that only the figure meets is added to `problems`.
    """
    try:
        drawn = drawing.draw(name, runs, settings)
        svg = drawn.svg("-".join([anchor, name, *(settings or ())]))
    except UsageError:
        return []
    except (LotteryError, *BROKEN) as error:
        problems.append(f"The figure '{name}' is left out: {error}")
        return []
    notes = "".join(f" {note[:1].upper()}{note[1:].removesuffix('.')}." for note in drawn.notes)
    return [Picture(svg, caption + notes)]


def part(
    member: Member,
    anchor: str,
    tolerance: float | None,
    problems: Problems,
    masks: pd.DataFrame,
    figures: bool = True,
) -> Part:
    """Return all there is to say of one config; `figures` asks for its drawings too.

    `masks` are the overlaps among all the runs of the page.
    """
    runs, rows = member.runs, member.rows
    facts = [Facts(folder) for folder in runs.folders]

    def draw(name: str, caption: str, **settings: Any) -> list[Picture]:
        if not figures:
            return []
        return picture(name, runs, caption, anchor, problems, settings)

    made = [
        *provenance.warnings(facts),
        *reached(member, draw),
        *layers(runs, facts, draw),
        *cost(runs, draw),
        *beside(member, tolerance, draw),
        *analysed(member, problems),
        *(learning(member, anchor, problems) if figures else ()),
        *overlaps(member, masks),
        *provenance.sections(facts),
    ]
    sections = [replace(one, anchor=f"{anchor}-{one.anchor}") for one in filled(made)]
    return Part(
        anchor,
        member.title,
        about(facts, rows),
        f"{facts[0].whose['name']}/{facts[0].whose['id']}",
        findings.sentences(rows, member.by) + standing(facts),
        tiles(rows, len(facts), member.by),
        sections,
    )


def about(facts: Sequence[Facts], rows: Sequence[Reached]) -> str:
    """Return what a config is, in a line."""
    whose = facts[0].whose
    done = several(len([r for r in rows if r.density < 1]), "pruned level")
    down = (
        f" down to {kept(rows[-1].density)} of the weights" if rows and rows[-1].density < 1 else ""
    )
    return (
        f"{whose['method']} on {whose['model']} and {whose['dataset']}, rewind {whose['rewind']}; "
        f"{several(len(facts), 'replicate')}, {done}{down}."
    )


def standing(facts: Sequence[Facts]) -> list[str]:
    """Return a sentence for each state other than done that replicates are in."""
    states: dict[str, list[str]] = {}
    for one in facts:
        states.setdefault(one.state, []).append(str(one.whose["replicate"]))
    return [
        f"Replicate{'s' if len(who) > 1 else ''} {', '.join(who)}: {state}. Here are the levels "
        "that are finished so far."
        for state, who in states.items()
        if state != "done"
    ]


def reached(member: Member, draw: Callable[..., list[Picture]]) -> Iterator[Section]:
    """Yield the curve and the levels."""
    runs = member.runs
    caption = f"{member.by.title} against the weights that are kept" + (
        ": mean and 95 % interval over replicates." if len(runs.folders) > 1 else "."
    )
    drawn = draw("accuracy", caption)
    drawn += draw("early_stop", "Step of the lowest validation loss, against the same.")
    if drawn:
        yield Section("accuracy", f"{member.by.title} against density", pictures=drawn)
    yield Section(
        "levels",
        "Levels",
        words=tables.shared_words(runs.levels),
        tables=[
            tables.level_table(runs.levels, member.rows, member.by),
            tables.replicate_table(
                [Facts(folder).row for folder in runs.folders], member.by.metric
            ),
        ],
    )


def layers(
    runs: Runs, facts: Sequence[Facts], draw: Callable[..., list[Picture]]
) -> Iterator[Section]:
    """Yield what became of the layers, and what no mask reaches."""
    left = [wording.unmasked(one.record["unmasked"]) for one in facts if one.record.get("unmasked")]
    text = [f"{line[:1].upper()}{line[1:]}." for line in left[:1]]  # replicates are of one net
    if "layer" in runs.layers:
        drawn = draw("layers", "Density of each layer at each level.")
        some = [tables.layer_table(runs.layers), tables.density_table(runs.layers)]
        yield Section("layers", "Layers", words=text, pictures=drawn, tables=some)


def cost(runs: Runs, draw: Callable[..., list[Picture]]) -> Iterator[Section]:
    """Yield what training took, where it was counted."""
    if some := costs.cost_tables(runs.levels):
        drawn = draw("cost", cost_caption(runs))
        text = "Counted, not measured, apart from the wall time; energy is an estimate for 45 nm."
        yield Section("cost", "Cost", words=[text], pictures=drawn, tables=some)


def cost_caption(runs: Runs) -> str:
    """Return what the figure of the cost shows: with the search, where what that took is known."""
    pruned = runs.levels[runs.levels["level"] > 0]
    known = [c for c in pruned if str(c).startswith("ticket_") and pruned[c].notna().any()]
    what = "the ticket cost, search included" if known or not len(pruned) else "each level cost"
    return f"{findings.capital(runs.metrics[0].label)} against what {what}."


def beside(
    member: Member, tolerance: float | None, draw: Callable[..., list[Picture]]
) -> Iterator[Section]:
    """Yield branches, and what the controls among them say of the method."""
    runs = member.runs
    if "branch" not in runs.branches:
        return
    known = list(runs.branches["branch"].unique())
    drawn = (
        draw("accuracy", "Tickets and their controls.", branch=["all"])
        if len(known) <= MOST_BRANCHES
        else []
    )
    if judged := sanity.judge(runs.folders, tolerance, member.correction):
        text = (
            "A method that chooses weights makes tickets that beat their own masks at other "
            "positions; one that does not has chosen layer densities only (Frankle et al. 2021, "
            "section 5)."
        )
        yield Section(
            "sanity",
            "Sanity",
            words=[text],
            pictures=drawn,
            tables=[controls.sanity_table(judged, member.by)],
        )
        drawn = []
    some = [controls.branch_table(runs.branches, runs.levels, member.by.metric)]
    yield Section("branches", "Branches", pictures=drawn, tables=some, open=not judged)


def analysed(member: Member, problems: Problems) -> Iterator[Section]:
    """Yield what analyses found of the levels."""
    made = []
    try:
        for title, (heads, rows, right) in analyses.of_config(member.runs.folders):
            columns = [Column(head, numeric=head in right) for head in heads]
            cells = [[words(text) for text in row] for row in rows]
            made.append(Table(title, columns, cells))
    except (DamagedError, DiskError) as error:
        problems.append(f"What analyses found is left out: {error}")
    if made:
        said = "Means over replicates, and half of a 95 % interval."
        yield Section("analyses", "Analyses", words=[said], tables=made)


def learning(member: Member, anchor: str, problems: Problems) -> Iterator[Section]:
    """Yield how the levels learned; replicates whose curves are damaged go among the problems."""
    sound = []
    for folder in member.runs.folders:
        try:
            sound += [folder] if list(tidy.curves(folder)) else []
        except (DamagedError, DiskError) as error:
            where = "/".join(folder.parts[-3:])
            problems.append(f"{where}: its learning curves are left out: {error}")
    runs = Runs(tuple(sound))
    if drawn := picture("curves", runs, "Learning curves, one a level.", anchor, problems):
        yield Section("learning", "Learning curves", pictures=drawn)


def overlaps(member: Member, masks: pd.DataFrame) -> Iterator[Section]:
    """Yield how far masks are those of the other configs of the page."""
    whose = member.group.facts.whose
    if len(own := masks[(masks["id"] == whose["id"]) & (masks["name"] == whose["name"])]):
        yield Section("masks", "Masks beside others", tables=[controls.overlap_table(own)])
