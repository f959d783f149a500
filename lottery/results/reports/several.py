"""The sections about several configs: which settings differ, and what each of them reaches."""

from collections.abc import Sequence
from dataclasses import replace
from warnings import catch_warnings, simplefilter

from lottery.config.bind import own_components
from lottery.results import across, comparison
from lottery.results.comparison_tables import MARK, corrected
from lottery.results.facts import Facts
from lottery.results.order import rank
from lottery.results.plotting import charts
from lottery.results.reports import findings
from lottery.results.reports.headline import SIDE_BY_SIDE, families
from lottery.results.reports.one import Member, Problems, cost_caption, picture
from lottery.results.reports.provenance import travelling
from lottery.results.reports.sheets import (
    Cell,
    Column,
    Section,
    Table,
    filled,
    missing,
    number,
    several,
    share,
    spread,
    words,
)
from lottery.results.tidy import Runs
from lottery.storage.warned import kinds
from lottery.terms.metric import Metric

LARGE = 4.0  # inches of the first figure, so that its legend has room and a phone shows its text
LONGEST_TITLE = 60  # characters
SETTINGS = 12  # columns of settings, where configs are the rows


def about(members: Sequence[Member]) -> str:
    """Return what is compared, in a line."""
    whose = [m.group.facts.whose for m in members]
    shared = [w for key, w in whose[0].items() if key in ("model", "dataset", "method")
              and all(other[key] == w for other in whose)]  # fmt: skip
    runs = several(sum(len(m.runs.folders) for m in members), "run")
    levels = several(sum(len(m.runs.levels) for m in members), "level")
    return f"{', '.join([*shared, several(len(members), 'config'), runs, levels])}."


def title(members: Sequence[Member]) -> str:
    """Return what several configs are called together."""
    names = " / ".join(m.title for m in members)
    return names if len(names) <= LONGEST_TITLE else f"Comparison of {len(members)} configs"


def sections(
    members: Sequence[Member], tolerance: float | None, problems: Problems
) -> list[Section]:
    """Return the sections of the comparison, those of each metric apart."""
    apart = families(members)
    if len(apart) == 1:
        return of_family(members, tolerance, problems)
    return [
        replace(one, anchor=f"{one.anchor}-{at}", title=f"{one.title}, {f[0].by.metric.label}")
        for at, f in enumerate(apart, 1)
        for one in of_family(f, tolerance, problems, f"all{at}")
    ]


def of_family(
    members: Sequence[Member], tolerance: float | None, problems: Problems, anchor: str = "all"
) -> list[Section]:
    """Return the sections of the comparison; figures show as many configs as can be told apart."""
    made = [*curves(members, problems, anchor), *together(members, problems, anchor)]
    tables = [summary(members)]
    if len(members) <= SIDE_BY_SIDE:
        tables += common(members, tolerance)
    made.append(Section("comparison", "Comparison", tables=tables))
    if table := settings(members):
        made.append(Section("differences", "Settings that differ", tables=[table]))
    return filled(made)


def curves(members: Sequence[Member], problems: Problems, anchor: str) -> list[Section]:
    """Return the section of the figures; [] where nothing can be drawn."""
    shown = list(members[: charts.CLEAR])
    runs = Runs(tuple(folder for member in shown for folder in member.runs.folders))
    by = members[0].by
    text = f"{by.title} against the weights that are kept: mean and 95 % interval over replicates."
    large = picture("accuracy", runs, text, anchor, problems, {"width": LARGE})
    drawn = [replace(one, wide=True) for one in large]
    drawn += picture("early_stop", runs, "Step of the lowest validation loss.", anchor, problems)
    if "ticket_macs" in runs.levels:
        drawn += picture("cost", runs, cost_caption(runs), anchor, problems)
    note = (
        f"The figures show the first {len(shown)} configs of the table below, ranked by the "
        "sparsest level that matches dense, its own net and the best one, and then by the "
        f"{by.metric.label} of the best ticket; more could not be told apart."
    )
    said = [note] if len(members) > len(shown) else []
    return [Section("curves", "Curves", words=said, pictures=drawn)] if drawn else []


def together(members: Sequence[Member], problems: Problems, anchor: str) -> list[Section]:
    """Return the section of what analyses found of several of the runs; [] for nothing."""
    runs = Runs(tuple(folder for member in members for folder in member.runs.folders))
    with catch_warnings(record=True) as said:
        simplefilter("always")
        found = across.findings(runs.folders)
    problems += [str(warning.message) for warning in said]
    made, drawn = [], []
    for one in found:
        for word, (heads, rows, right) in across.tables(one):
            columns = [Column(head, numeric=head in right) for head in heads]
            cells = [[words(text) for text in row] for row in rows]
            made.append(Table(f"{one.title}{f': {word}' if word else ''}", columns, cells))
        if one.name in own_components("figure"):  # of an analysis' own name
            wanted = {"settings": str(one.record["settings"]).split()[1:], "width": LARGE}
            place = f"{anchor}{one.path.stem}"
            drawn += picture(one.name, runs, one.title, place, problems, wanted)
    notes = [line for one in found for line in one.record["notes"]]
    if not made:
        return []
    return [Section("together", "Analyses of several runs", notes, drawn, made)]


def summary(members: Sequence[Member]) -> Table:
    """Return a row a config: what it reached, and where it still matches dense."""
    made = []
    for member in members:
        pick = (findings.dense_of, findings.sparsest, findings.best)
        dense, found, top = (choose(member.rows) for choose in pick)
        last = member.rows[-1] if member.rows else None
        made.append(
            [
                words(member.title),
                number(len(member.runs.folders)),
                words(", ".join(kinds(w for f in member.runs.folders for w in Facts(f).warnings))),
                spread(*dense.reached, member.by.metric) if dense else Cell(),
                *(
                    cell
                    for row in (found, top, last)
                    for cell in (
                        share(row.density) if row else Cell(),
                        spread(*row.reached, member.by.metric) if row else Cell(),
                    )
                ),
            ]
        )
    unit, label = members[0].by.unit, members[0].by.metric.label
    columns = [
        Column("Config", numeric=False),
        Column("Replicates"),
        Column("Warnings", numeric=False),
        Column("Dense", unit),
        Column("Sparsest match", "density"),
        Column("reaches", unit),
        Column("Best ticket", "density"),
        Column("reaches", unit),
        Column("Sparsest level", "density"),
        Column("reaches", unit),
    ]
    split = "/".join(dict.fromkeys(m.by.split for m in members))
    ways = dict.fromkeys(how for m in members if (how := findings.picked(m.rows, m.by)))
    note = (
        "Sparsest match: of its own dense net. In the order of the sparsest match that reaches the "
        "best dense net too, then of the best ticket."
        if any(findings.sparsest(m.rows) for m in members)
        else "In the order of the best ticket."
    ) + (f" Best ticket: {' or '.join(ways)}." if ways else "")
    return Table(f"What each config reached, {split} {label}", columns, made, note=note)


def common(members: Sequence[Member], tolerance: float | None) -> list[Table]:
    """Return what was reached at the densities that configs share, and paired differences.

    The differences are to the first of the configs, over the replicates that both have.
    """
    by = members[0].by
    groups = [replace(m.group, label=m.title) for m in members]
    rows = comparison.compare(groups, by.column, tolerance, correction=members[0].correction)
    spots: list[tuple[float, dict[int, dict[str, object]]]] = []
    for levels in comparison.common(groups):
        anchor = next(iter(sorted(levels)))
        own = {
            at: next(r for r in rows if (r["run"], r["level"]) == (groups[at].label, level))
            for at, level in levels.items()
        }
        spots.append((groups[anchor].density(levels[anchor]), own))
    if not spots:
        return []
    first, *rest = members
    heads = [Column("Density"), *(Column(m.title, by.unit) for m in members)]
    means = [
        [
            share(key),
            *(marked(own.get(at), by.metric) for at in range(len(members))),
        ]
        for key, own in spots
    ]
    starred = any(row["warnings"] for _, own in spots for row in own.values())
    note = f"{MARK} a replicate was warned at that level: see the config's warnings."
    caption = f"{by.title} at densities that configs share"
    made = [Table(caption, heads, means, note=note if starred else "")]
    gaps = [
        [share(key), *(x for at in range(1, len(members)) for x in against(own.get(at), by.metric))]
        for key, own in spots
        if any(not missing(own[at]["difference"]) for at in own)
    ]
    if gaps:
        columns = [c for m in rest for c in (Column(m.title, by.apart), Column("p"))]
        tested = any(not missing(row["p_adjusted"]) for row in rows)
        note = f"p: two-sided paired t-test, {corrected(groups, rows)}." if tested else ""
        verb = "Difference to" if by.metric.higher else "Gain over"
        caption = f"{verb} {first.title}, replicate by replicate{by.sign}"
        made.append(Table(caption, [Column("Density"), *columns], gaps, note=note))
    return made


def marked(row: dict[str, object] | None, metric: Metric) -> Cell:
    """Return the mean of a row, with a mark where a replicate was warned at that level."""
    shown = spread(row["mean"], row["low"], row["high"], metric) if row else Cell()
    return replace(shown, reach=f"{shown.reach}{MARK}") if row and row["warnings"] else shown


def against(row: dict[str, object] | None, metric: Metric) -> tuple[Cell, Cell]:
    """Return a paired difference and the p of its test; empty for none."""
    mean, low, high = (row[f"difference{end}"] if row else None for end in ("", "_low", "_high"))
    p = row["p_adjusted"] if row else None
    tiny = isinstance(p, float) and p < 0.001  # not so for NaN
    chance = Cell("< 0.001", p) if tiny else number(p, 3)  # type: ignore[arg-type]
    return spread(mean, low, high, metric, sign=True), chance


def settings(members: Sequence[Member]) -> Table | None:
    """Return the settings that differ: configs as columns while they are few, else as rows."""
    found = comparison.differing([m.group for m in members])
    title = "Settings that decide the numbers and are not the same"
    names = [m.title for m in members]
    if not found:
        return None
    if len(members) <= SIDE_BY_SIDE:
        rows = [[words(key), *map(value, values)] for key, values in found.items()]
        heads = [Column(head, numeric=False) for head in ("Setting", *names)]
        return Table(title, heads, rows)
    keys = list(found)[:SETTINGS]
    sorted_ones = sorted(range(len(names)), key=lambda at: [rank(found[key][at]) for key in keys])
    rows = [[words(names[at]), *(value(found[key][at]) for key in keys)] for at in sorted_ones]
    more = f" (the first {SETTINGS} of {len(found)})" if len(found) > SETTINGS else ""
    return Table(title + more, [Column(k, numeric=False) for k in ("Config", *keys)], rows)


def value(setting: object) -> Cell:
    """Return a setting in a cell; a number is sorted as one."""
    counts = isinstance(setting, int | float) and not isinstance(setting, bool)
    text = "" if setting is None else travelling(setting)
    return Cell(text, float(setting) if counts else None)  # type: ignore[arg-type]
