"""Show what two runs differ in, and the first level, step and tensor at which they part.

usage: lottery diff RUN_A RUN_B [FILTER...] [levels=0,3] [replay=true] [outputs=DIR]

RUN is a path, an id or the start of one, a run's name, or a filter; add /replicate_1 to pick a
replicate. Filters that follow hold for both: lottery diff prune=imp prune=random replicate=0
Compares what both runs have kept of each level and branch: ticket, curve, states on the way, end.
That puts the first difference between two steps; with replay=true both train that level again, side
by side, to find the very step and tensor. Writes nothing under outputs/.

exit codes: 0 all that both runs have is the same, 1 they part
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import example, selection, whole_numbers, yes
from lottery.errors import DamagedError, UsageError
from lottery.wording.text import printable

if TYPE_CHECKING:
    from lottery.experiment.differences import Kept, Parting

KNOWN = {"levels": "", "replay": "false", "outputs": "outputs"}
LAST = 10**6  # after any level
PARTED = 1  # the exit code
SEEDS = ("replicate",)
BITS = ("host.device", "host.threads", "host.deterministic")
ABSENT = "(none)"


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    folder: Path

    @cached_property
    def levels(self) -> dict[str, dict[str, Any]]:
        """What the run's manifest says of its levels and branches."""
        from lottery.storage import records

        return records.levels(self.folder)

    @cached_property
    def record(self) -> dict[str, Any]:
        """What run.json says; raises DamagedError, with what to type."""
        from lottery.storage.records import read_run, resume_hint

        try:
            return read_run(self.folder)
        except DamagedError as error:
            raise DamagedError(f"{error}; {resume_hint(self.folder)}") from error

    def kept(self, place: str) -> Kept:
        """Return what the run kept of a level; raises UsageError where it cannot be read."""
        from lottery.experiment.differences import Kept
        from lottery.experiment.levels import current

        shelf = current(self.folder.parents[2], self.levels[place])
        if shelf is None:
            raise UsageError(
                f"diff: {place} of {self.folder} is not in the store, or was trained by another "
                "version of lottery; type the run's command again"
            )
        return Kept(shelf)


def main(arguments: list[str]) -> int:
    """Print how the runs differ; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    if len(words) < 2:
        typed = example((), chosen, "diff", 2)
        raise UsageError(f"diff: name two runs (lottery ls lists them), as in: {typed}")
    replay = yes(chosen, "replay", "diff")
    wanted = whole_numbers(chosen["levels"], "levels", "diff")
    one, other = (Side(folder) for folder in named(Path(chosen["outputs"]), words))
    say(f"A  {one.folder}", f"B  {other.folder}", "", *circumstances(one, other), "")
    first = walk(one, other, wanted)
    if first is None:
        say("", "no difference")
        return 0
    place, parting = first
    say("", f"{place}: {where(parting)}", *(f"  {line}" for line in parting.lines))
    if replay:
        say("", *replayed(one, other, place, parting).splitlines())
    return PARTED


def named(outputs: Path, words: Sequence[str]) -> Iterator[Path]:
    """Yield the folders of the two runs that the first two words name; the others are filters."""
    from lottery.results import choice

    for word in words[2:]:
        if not choice.is_filter(word, outputs):
            raise UsageError(f"diff: two runs are compared, and '{word}' is a third")
    for word in words[:2]:
        yield choice.one(outputs, [word, *words[2:]], "diff")


def say(*lines: str) -> None:
    """Print lines; what stands in them may come from elsewhere."""
    from lottery.results.formats import wrapped

    for line in lines:
        print(wrapped(printable(line)))


def circumstances(one: Side, other: Side) -> Iterator[str]:
    """Yield what two runs differ in beside their numbers: settings, environment, data."""
    from lottery.config.identity import as_before, flat, identity, normalised
    from lottery.storage.settings import read_settings

    a, b = (normalised(as_before(read_settings(side.folder))) for side in (one, other))
    decides = {**flat(identity(a)), **flat(identity(b))}
    rows = [(*row, weight(row[0], decides)) for row in differing(flat(a), flat(b))]
    yield from section("settings", rows)
    made = [side.record.get("environment", {}) for side in (one, other)]
    yield from section("environment", [(*row, "") for row in differing(*made)])
    data = [{"fingerprint": side.record.get("data")} for side in (one, other)]
    yield from section("data", [(*row, "") for row in differing(*data)])
    code = [side.record.get("code", {}) for side in (one, other)]
    if any(code):
        yield from section("source of components", [(*row, "") for row in differing(*code)])


def weight(key: str, decides: Mapping[str, Any]) -> str:
    """Say what a setting that is no part of a run's identity can change; "" for one that is."""
    if key in decides:
        return ""
    if key in SEEDS:
        return "other seeds"
    return "may move the last bits" if key in BITS else "changes no number of a level"


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose values differ, with both."""
    for key in dict.fromkeys([*a, *b]):
        if a.get(key, ABSENT) != b.get(key, ABSENT):
            yield key, spelled(a.get(key, ABSENT)), spelled(b.get(key, ABSENT))


def spelled(value: Any) -> str:
    """Return a value in words."""
    return value if isinstance(value, str) else json.dumps(value)


def section(title: str, rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    """Yield a table of what differs, a line each."""
    if not rows:
        yield f"{title}: the same"
        return
    lines = [(f"{title}: not the same", "A", "B", "")]
    lines += [(f"  {key}", a, b, why) for key, a, b, why in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    for *cells, why in lines:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        yield "  ".join([*padded, why]).rstrip()


def walk(one: Side, other: Side, wanted: list[int]) -> tuple[str, Parting] | None:
    """Print a line for each level and branch; return the first at which the runs part.

    Raises UsageError where they have none in common.
    """
    known = sorted({*one.levels, *other.levels}, key=order_of)
    known = [place for place in known if not wanted or order_of(place)[0] in wanted]
    both = [place for place in known if place in one.levels and place in other.levels]
    if not both:
        asked = f" among levels={','.join(map(str, wanted))}" if wanted else ""
        raise UsageError(f"diff: no level{asked} is finished in both runs; let them go on first")
    partings = {}
    for place in both:
        shared = same_place(one, other, place)
        found = None if shared else compared(one, other, place)
        if found is not None:
            partings[place] = found
        say(f"{place:<18}  {where(found) if found else 'shared' if shared else 'the same'}")
    for letter, side in (("A", one), ("B", other)):
        alone = [place for place in known if place in side.levels and place not in both]
        if alone:
            say(f"in {letter} alone: {', '.join(alone)}")
    return next(iter(partings.items()), None)


def order_of(place: str) -> tuple[int, str]:
    """Return level and branch of a place; a level comes before its branches, analyses come last."""
    from lottery.storage.records import position

    return position(place) or (LAST, place)


def same_place(one: Side, other: Side, place: str) -> bool:
    """Say whether a level of both runs is one and the same in one store."""
    outputs = {side.folder.parents[2].resolve() for side in (one, other)}
    return len(outputs) == 1 and one.levels[place]["key"] == other.levels[place]["key"]


def compared(one: Side, other: Side, place: str) -> Parting | None:
    """Return where a level of two runs parts; None where all that both kept is the same."""
    from lottery.experiment.differences import compare

    return compare(one.kept(place), other.kept(place))


def where(parting: Parting) -> str:
    """Return between which steps two runs part, in words."""
    if parting.by is None:
        return "they part before the first step, in the ticket"
    if parting.by == parting.after:
        return f"they part at step {parting.by}"
    return f"the same up to step {parting.after}, they part by step {parting.by}"


def replayed(one: Side, other: Side, place: str, parting: Parting) -> str:
    """Train a level of both runs again until they part; return what that showed."""
    if parting.by is None:
        return "replay: not needed, since they part before the first step"
    from lottery.experiment.recorded_run import reopen
    from lottery.experiment.replays import Replay, side_by_side

    pair = []
    for side in (one, other):
        kept = side.kept(place)
        run, threads = reopen(side.folder, kept)
        pair.append(Replay(run, kept, threads))
    return side_by_side(pair[0], pair[1], parting.by)
