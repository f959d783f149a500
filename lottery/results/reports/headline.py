"""Say what several configs show together: who keeps up with dense longest, and with which net."""

import math
from collections.abc import Sequence

from lottery.results import stats
from lottery.results.reports import findings
from lottery.results.reports.findings import Reached
from lottery.results.reports.one import Member
from lottery.results.reports.sheets import Tile, kept, several
from lottery.terms.metric import ACCURACY

SIDE_BY_SIDE = 6  # configs that are the columns of a table; more of them are its rows


def ranked(members: Sequence[Member]) -> list[Member]:
    """Return configs with those first that keep up with the best dense net longest.

    Those that measure the same stand together.
    """
    names = [member.by.metric.name for member in members]
    return sorted(
        members,
        key=lambda one: (
            names.index(one.by.metric.name),
            findings.sort_key(one.rows, least(one, members)),
        ),
    )


def families(members: Sequence[Member]) -> list[list[Member]]:
    """Return configs apart by what they measure: no others can be compared."""
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(member.by.metric.name, []).append(member)
    return list(found.values())


def least(member: Member, members: Sequence[Member]) -> float:
    """Return the merit that a ticket has to have that counts: the best net's, less the tolerance.

    No bar where that net is the config's own, be it of more replicates or fewer.
    """
    top = best_dense(member, members)
    if not top or top is member or keys(top) & keys(member):
        return -math.inf
    return merit(top) - top.by.tolerance


def best_dense(member: Member, members: Sequence[Member]) -> Member | None:
    """Return the config of the best dense net on the data of a config; None without any.

    Of configs that share a dense net the one with most replicates of it stands for them.
    """
    own = (member.group.data, member.by.column)
    rivals = [m for m in members if (m.group.data, m.by.column) == own]
    return max(nets(counted(rivals)), key=merit, default=None)


def counted(members: Sequence[Member]) -> list[Member]:
    """Return the configs whose dense net is a measure: those judged, or all where none is.

    One replicate alone may be lucky.
    """
    return [m for m in members if judged(m)] or list(members)


def judged(member: Member) -> bool:
    """Say whether a config has a verdict at some level."""
    return any(row.judged for row in member.rows)


def nets(members: Sequence[Member]) -> list[Member]:
    """Return a config for each dense net: of those that share one, that of most replicates."""
    found: list[Member] = []
    known = [m for m in members if not math.isnan(merit(m))]
    for member in sorted(known, key=lambda m: -len(m.group.levels[0])):
        if not any(keys(member) & keys(other) for other in found):
            found.append(member)
    return found


def keys(member: Member) -> set[str]:
    """Return what a config's dense nets are called in the store, one a replicate."""
    rows = member.group.levels.get(0, {}).values()
    return {str(row["key"]) for row in rows if row.get("key")}


def merit(member: Member) -> float:
    """Return the merit of the dense net of a config; NaN for none."""
    dense = findings.dense_of(member.rows)
    return dense.merit if dense else math.nan


def said(row: Reached | None, member: Member) -> str:
    """Return what a level reached, with its unit."""
    return member.by.metric.said(row.reached[0]) if row else ""


def dense_said(member: Member) -> str:
    """Return what the dense net of a config reached, with its unit."""
    return said(findings.dense_of(member.rows), member)


def holding(members: Sequence[Member]) -> list[tuple[Reached, Member]]:
    """Return the sparsest match of each config that reaches the best dense net too."""
    found = ((findings.sparsest(m.rows, least(m, members)), m) for m in members)
    return [(row, m) for row, m in found if row]


def sentences(members: Sequence[Member]) -> list[str]:
    """Return the finding of a comparison: who keeps up longest, and who was judged.

    Of configs that measure different things, one after another.
    """
    apart = families(members)
    if len(apart) == 1:
        return of_family(members)
    return [f"{f[0].by.title}: {text}" for f in apart for text in of_family(f)]


def of_family(members: Sequence[Member]) -> list[str]:
    """Return the finding on configs that measure the same."""
    known = [m for m in members if judged(m)]
    good = holding(members)
    said = [furthest(good, len(members))] if good else []
    weak = [m for m in known if m not in [one for _, one in good] and findings.sparsest(m.rows)]
    none = [m.title for m in known if not findings.sparsest(m.rows)]
    if known and not good:
        none_of = "and the best of these" if weak else "at any pruned level"
        said.append(f"No config is shown to match its dense net {none_of}.")
    if weak:
        said.append(trained_badly(weak, members))
    if none and good:
        said.append(f"Without a pruned level that is shown to match dense: {listed(none)}.")
    if len({data for m in members for data in m.group.data}) > 1:
        said.append(
            f"Not all of them were trained on the same data, so their {plural(members[0])} do not "
            "compare."
        )
    few = [m.title for m in members if m not in known]
    if few:
        said.append(
            f"Without a verdict, since that takes {stats.LEAST} replicates of a pruned level: "
            f"{listed(few)}."
        )
    if known:
        said.append(f"Verdicts: {findings.corrected([m.rows for m in known])}.")
    return said


def furthest(good: Sequence[tuple[Reached, Member]], count: int) -> str:
    """Return the sentence on the config that keeps up with dense longest."""
    found, first = min(good, key=lambda pair: (pair[0].density, -pair[0].merit))
    verb = "beats" if found.verdict == stats.BEATS else "still matches"
    dense = findings.dense_of(first.rows)
    net = f"its dense net ({findings.with_reach(dense, first.by)})" if dense else "its dense net"
    return (
        f"Of {several(count, 'config')}, {first.title} goes furthest: with "
        f"{kept(found.density)} of its weights it {verb} {net}: "
        f"{findings.with_reach(found, first.by)} {first.by.name} over {found.count} replicates."
    )


def plural(member: Member) -> str:
    """Return what a config was measured by, in the plural."""
    metric = member.by.metric
    return "accuracies" if metric.name == ACCURACY.name else f"values of {metric.label}"


def trained_badly(weak: Sequence[Member], members: Sequence[Member]) -> str:
    """Return the sentence on configs that match a dense net of their own, and it is no good one."""
    named = []
    for member in weak[:SIDE_BY_SIDE]:
        found = findings.sparsest(member.rows)
        share = kept(found.density) if found else ""
        reached, net = said(found, member), dense_said(member)
        named.append(f"{member.title} ({reached} at {share} of the weights, dense {net})")
    more = f"; {len(weak) - len(named)} more" if len(weak) > len(named) else ""
    top = best_dense(weak[0], members)
    slack = (top or weak[0]).by.slack
    fewer = "less" if weak[0].by.metric.higher else "more"
    best = f" ({dense_said(top)}, {top.title})" if top else ""
    return (
        f"Matching only a dense net of their own, with more than {slack} {fewer} "
        f"than the best one{best}: {'; '.join(named)}{more}."
    )


def listed(titles: Sequence[str]) -> str:
    """Return the names of configs in a line, or how many they are."""
    return "; ".join(titles) if len(titles) <= SIDE_BY_SIDE else several(len(titles), "config")


def tiles(members: Sequence[Member]) -> list[Tile]:
    """Return the numbers that matter most."""
    apart = families(members)
    made = [tile for family in apart for tile in tiles_of(family, len(apart) > 1)]
    runs = sum(len(m.runs.folders) for m in members)
    return [*made, Tile(str(len(members)), "Configs", several(runs, "run"))]


def tiles_of(members: Sequence[Member], named: bool) -> list[Tile]:
    """Return the numbers that matter most of configs that measure the same."""
    made, of = [], f", {members[0].by.metric.label}" if named else ""
    if good := holding(members):
        row, member = min(good, key=lambda pair: pair[0].density)
        made.append(Tile(kept(row.density), f"Matches dense down to{of}", member.title))
    if len(dense := nets(counted(members))) > 1:
        top = max(dense, key=merit)
        made.append(Tile(dense_said(top), f"Best dense net{of}", top.title))
    tops = [(r, m) for m in members if (r := findings.best(m.rows))]
    if tops:
        among = [r for r, _ in tops]
        row = findings.best(among) or among[0]
        member = next(m for r, m in tops if r is row)
        how = findings.picked([r for m in members for r in m.rows], member.by)
        where = [member.title, f"at {kept(row.density)} of the weights", *([how] if how else [])]
        made.append(Tile(said(row, member), f"Best ticket{of}", ", ".join(where)))
    return made
