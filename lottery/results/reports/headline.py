"""Say what several configs show together: who keeps dense accuracy longest, against which net."""

import math
from collections.abc import Sequence

from lottery.results import stats
from lottery.results.reports import findings
from lottery.results.reports.findings import Reached
from lottery.results.reports.one import Member
from lottery.results.reports.sheets import Tile, kept, missing, percent, several

SIDE_BY_SIDE = 6  # configs that are the columns of a table; more of them are its rows


def ranked(members: Sequence[Member], tolerance: float) -> list[Member]:
    """Return configs with those first that hold the accuracy of the best dense net longest."""
    return sorted(
        members, key=lambda one: findings.sort_key(one.rows, least(one, members, tolerance))
    )


def least(member: Member, members: Sequence[Member], tolerance: float) -> float:
    """Return what a ticket has to reach that counts: the best dense net, less the tolerance.

    No bar where that net is the config's own, be it of more replicates or fewer.
    """
    top = best_dense(member, members)
    if not top or top is member or keys(top) & keys(member):
        return -math.inf
    return dense_mean(top) - tolerance


def best_dense(member: Member, members: Sequence[Member]) -> Member | None:
    """Return the config of the best dense net on the data of a config; None without any.

    Of configs that share a dense net the one with most replicates of it stands for them.
    """
    rivals = [m for m in members if (m.group.data, m.split) == (member.group.data, member.split)]
    return max(nets(counted(rivals)), key=dense_mean, default=None)


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
    known = [m for m in members if not missing(dense_mean(m))]
    for member in sorted(known, key=lambda m: -len(m.group.levels[0])):
        if not any(keys(member) & keys(other) for other in found):
            found.append(member)
    return found


def keys(member: Member) -> set[str]:
    """Return what a config's dense nets are called in the store, one a replicate."""
    rows = member.group.levels.get(0, {}).values()
    return {str(row["key"]) for row in rows if row.get("key")}


def dense_mean(member: Member) -> float:
    """Return the mean accuracy of the dense net of a config; NaN for none."""
    dense = findings.dense_of(member.rows)
    return dense.accuracy[0] if dense else math.nan


def holding(members: Sequence[Member], tolerance: float) -> list[tuple[Reached, Member]]:
    """Return the sparsest match of each config that reaches the best dense net too."""
    found = ((findings.sparsest(m.rows, least(m, members, tolerance)), m) for m in members)
    return [(row, m) for row, m in found if row]


def sentences(members: Sequence[Member], tolerance: float) -> list[str]:
    """Return the finding of a comparison: who keeps dense accuracy longest, and who was judged."""
    known = [m for m in members if judged(m)]
    good = holding(members, tolerance)
    said = [furthest(good, len(members))] if good else []
    weak = [m for m in known if m not in [one for _, one in good] and findings.sparsest(m.rows)]
    none = [m.title for m in known if not findings.sparsest(m.rows)]
    if known and not good:
        none_of = "and the best of these" if weak else "at any pruned level"
        said.append(f"No config is shown to match its dense net {none_of}.")
    if weak:
        said.append(trained_badly(weak, members, tolerance))
    if none and good:
        said.append(f"Without a pruned level that is shown to match dense: {listed(none)}.")
    if len({data for m in members for data in m.group.data}) > 1:
        said.append(
            "Not all of them were trained on the same data, so their accuracies do not compare."
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
    """Return the sentence on the config that keeps dense accuracy longest."""
    found, first = min(good, key=lambda pair: (pair[0].density, -pair[0].accuracy[0]))
    verb = "beats" if found.verdict == stats.BEATS else "still matches"
    dense = findings.dense_of(first.rows)
    net = f"its dense net ({findings.with_reach(dense)})" if dense else "its dense net"
    return (
        f"Of {several(count, 'config')}, {first.title} goes furthest: with "
        f"{kept(found.density)} of its weights it {verb} {net}: "
        f"{findings.with_reach(found)} {first.split} accuracy over {found.count} replicates."
    )


def trained_badly(weak: Sequence[Member], members: Sequence[Member], tolerance: float) -> str:
    """Return the sentence on configs that match a dense net of their own, and it is no good one."""
    named = []
    for member in weak[:SIDE_BY_SIDE]:
        found = findings.sparsest(member.rows)
        share = kept(found.density) if found else ""
        accuracy = percent(found.accuracy[0]) if found else ""
        net = percent(dense_mean(member))
        named.append(f"{member.title} ({accuracy} at {share} of the weights, dense {net})")
    more = f"; {len(weak) - len(named)} more" if len(weak) > len(named) else ""
    top = best_dense(weak[0], members)
    best = f" ({percent(dense_mean(top))}, {top.title})" if top else ""
    return (
        f"Matching only a dense net of their own, with more than {findings.points(tolerance)} less "
        f"than the best one{best}: {'; '.join(named)}{more}."
    )


def listed(titles: Sequence[str]) -> str:
    """Return the names of configs in a line, or how many they are."""
    return "; ".join(titles) if len(titles) <= SIDE_BY_SIDE else several(len(titles), "config")


def tiles(members: Sequence[Member], tolerance: float) -> list[Tile]:
    """Return the numbers that matter most."""
    made = []
    if good := holding(members, tolerance):
        row, member = min(good, key=lambda pair: pair[0].density)
        made.append(Tile(kept(row.density), "Matches dense down to", member.title))
    if len(dense := nets(counted(members))) > 1:
        top = max(dense, key=dense_mean)
        made.append(Tile(percent(dense_mean(top)), "Best dense net", top.title))
    tops = [(r, m) for m in members if (r := findings.best(m.rows))]
    if tops:
        among = [r for r, _ in tops]
        row = findings.best(among) or among[0]
        member = next(m for r, m in tops if r is row)
        how = findings.picked([r for m in members for r in m.rows], member.split)
        where = [member.title, f"at {kept(row.density)} of the weights", *([how] if how else [])]
        made.append(Tile(percent(row.accuracy[0]), "Best ticket", ", ".join(where)))
    runs = sum(len(m.runs.folders) for m in members)
    made.append(Tile(str(len(members)), "Configs", several(runs, "run")))
    return made
