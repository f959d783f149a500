"""Say what a run or a sweep would train, share and take; writes nothing.

usage: lottery plan [OVERRIDE...] [time=no] [layers=yes] [power=WIDTH]
                    [format=table|json|commands]

The overrides are those of lottery run, with -m those of a sweep. Of each level: what it keeps, its
steps, and whether it is to be trained, shared with another run, or there already. The time is that
of the whole command: its start as this one's was, steps of which a few are trained here and now, in
memory (time=no leaves them out), and what each level writes. The memory is that of a step.
layers=yes lists what each layer keeps, where no score decides that. Levels are taken for the same
where their configs say so; masks that happen to be equal are found by the run alone. A level in the
midst of its training counts in full. Data that are not there are not fetched: their published sizes
and made-up images stand for them. format=commands prints the command of each run alone, a line
each, for xargs, GNU parallel or a queue; nothing is measured. Those that want the same dense net
lie apart, where that can be told.

power=0.01 prints instead how many replicates the 95 % interval of the mean (Student's t) takes to
be at most +- 0.01 in the metric's unit, a level, by the spread of the replicates on the disk; with
-m also of paired differences to the first config.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lottery.config.answers import meant, telling
from lottery.config.compose import compose_each, is_sweep
from lottery.errors import UsageError
from lottery.planning.plans import Plans
from lottery.results.formats import about, aligned, as_json, wrapped
from lottery.wording.text import in_words, near, printable, started

if TYPE_CHECKING:
    from lottery.planning.planned import Plan, Planned
    from lottery.planning.timing import Timing

CHOICES = {"time": ("yes", "no"), "layers": ("no", "yes"), "format": ("table", "json", "commands")}


def main(arguments: list[str]) -> int:
    """Plan the config that the overrides describe, or each of a sweep; return the exit code."""
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    rest, chosen = taken(arguments)
    words = meant("plan", rest)
    if chosen["power"]:
        return powers(rest, words, chosen)
    if chosen["format"] == "commands":
        return commands(rest, words)
    plans = Plans(timed=chosen["time"] == "yes", sweep=is_sweep(words))
    compose_each(words, telling(rest, words, plans.take))
    if not plans.each and not plans.refused:  # one of hydra's flags, as --cfg
        return 0
    if chosen["format"] == "json":
        print(as_json(plans.record()))
    elif plans.sweep:
        print(wrapped(sweep(plans)))
    else:
        print(wrapped(single(plans.each[0], chosen["layers"] == "yes")))
    return UsageError.code if plans.refused else 0


def taken(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the overrides, and the settings of this command; raises UsageError."""
    chosen = {key: words[0] for key, words in CHOICES.items()} | {"power": ""}
    rest = []
    for word in arguments:
        key, equals, value = word.partition("=")
        if equals and key == "power":
            chosen[key] = value or "nothing"
        elif not equals or key not in CHOICES:
            rest.append(word)
        elif value not in CHOICES[key]:
            raise UsageError(f"plan: {key}={value} is none of {', '.join(CHOICES[key])}")
        else:
            chosen[key] = value
    return rest, chosen


def commands(typed: list[str], words: list[str]) -> int:
    """Print the command of each run alone, all of them or none; return the exit code."""
    from lottery.experiment.dense import in_order
    from lottery.experiment.single import Singles, command

    singles = Singles()
    compose_each(words, telling(typed, words, singles.take))
    singles.check()
    for job in in_order(singles.each):
        print(command(job.words))
    return 0


def powers(typed: list[str], words: list[str], chosen: dict[str, str]) -> int:
    """Print how many replicates intervals of a width take; return the exit code."""
    from lottery.planning.power import Powers

    try:
        width = float(chosen["power"])
    except ValueError:
        width = 0.0
    if not (math.isfinite(width) and width > 0):
        raise UsageError(
            f"plan: power={chosen['power']} is no width of an interval; type power=0.01, in the "
            "metric's unit (accuracy: a share of 1)"
        )
    if chosen["format"] == "commands":
        raise UsageError("plan: power= counts replicates, and has no commands; type format=table")
    found = Powers(width)
    compose_each(words, telling(typed, words, found.take))
    if found.words:  # else one of hydra's flags, as --cfg
        print(as_json(found.record()) if chosen["format"] == "json" else wrapped(found.table()))
    return 0


def sweep(plans: Plans) -> str:
    """Return a line a job and what they come to, for people."""
    from lottery.planning.planned import SHARED, THERE, TRAIN

    heads: tuple[str, ...] = ("job", "train", "shared", "there", "steps", "time", "disk")
    lines = []
    for plan, told in zip(plans.each, plans.told(), strict=True):
        counts = plan.counts()
        lines.append(
            (
                told,
                *(str(counts[what]) for what in (TRAIN, SHARED, THERE)),
                f"{plan.steps(TRAIN):,}",
                in_time(plan.seconds(TRAIN)),
                in_words(plan.disk()),
            )
        )
    lines += [(words, "refused", "", "", "", "", "") for words, _ in plans.refused]
    total = plans.total()
    saved = f"{total[SHARED]} trainings ({total['steps_saved']:,} steps"
    if total["seconds_saved"] is not None:
        saved += f", {in_time(total['seconds_saved'])}"
    parts = [
        aligned(heads, lines, heads[1:]),
        "",
        f"{len(plans.each)} jobs: {counted(total, any(plan.may_end for plan in plans.each))}",
        f"saved by sharing: {saved})",
        steps_line(total["steps"], None, total["search_steps"], total["steps_replayed"]),
    ]
    if plans.each:
        parts += [
            data_line(missing)
            for missing in dict.fromkeys(p.missing for p in plans.each)
            if missing
        ]
        side_by_side = total["seconds_with_workers"]
        several = (
            f" with {total['workers']} workers, {in_time(total['seconds'])} one after the other"
        )
        parts += time_lines(
            list(plans.timings.values()),
            total["seconds"] if side_by_side is None else side_by_side,
            "" if side_by_side is None else several,
        )
        parts.append(disk_line(plans.each[0], total["disk"], total["disk_at_work"]))
    return "\n".join(parts)


def single(plan: Plan, layers: bool) -> str:
    """Return the plan of one run, for people."""
    from lottery.planning.planned import TRAIN

    heads: tuple[str, ...] = ("level", "density", "kept", "steps", "to score", "")
    lines: list[tuple[str, ...]] = [
        (
            str(row.index) + (f" {row.branch}" if row.branch else ""),
            f"{row.density:.4f}",
            f"{f'{plan.bound} ' if plan.bound and row.index else ''}{row.kept:,}/{plan.total:,}",
            f"{'at most ' if plan.at_most and row.index else ''}{row.steps:,}",
            scored(row),
            row.what + (f" ({row.by})" if row.by else ""),
        )
        for row in plan.rows
    ]
    if not any(row.scored.examples for row in plan.rows):
        heads, lines = drop(heads, 4), [drop(line, 4) for line in lines]
    parts = [near(plan.run.folder), aligned(heads, lines, heads[1:-1]), ""]
    parts += [by_layer(plan), ""] if layers else []
    parts += [f"levels: {counted(plan.counts(), plan.may_end)}"]
    if found := plan.moment:
        parts.append(f"scored: as a rule finds, at {found[0]} at the earliest, at most {found[1]}")
    scoring = plan.scored()
    parts.append(steps_line(plan.steps(TRAIN), plan.examples(), scoring.steps, plan.replayed()))
    if scoring.examples:
        parts.append(f"scoring: {scoring.examples:,} examples, searches included")
    parts += [data_line(plan.missing)] if plan.missing else []
    parts += [started(source)] if (source := plan.run.initial.source) else []
    parts += time_lines([plan.timing] if plan.timing else [], plan.seconds(TRAIN))
    parts.append(disk_line(plan, plan.disk(), plan.checkpoints()))
    return "\n".join(parts)


def drop(cells: tuple[str, ...], place: int) -> tuple[str, ...]:
    """Return cells without that at a place."""
    return cells[:place] + cells[place + 1 :]


def scored(row: Planned) -> str:
    """Return in words what the making of a level's mask takes."""
    if row.scored.steps:
        return f"{row.scored.steps:,} steps"
    return f"{row.scored.examples:,} examples" if row.scored.examples else ""


def counted(counts: dict[str, Any], at_most: bool) -> str:
    """Return how many levels and branches there are of each kind."""
    from lottery.planning.planned import SHARED, THERE, TRAIN

    most = "at most " * at_most
    return f"{most}{counts[TRAIN]} to train, {counts[SHARED]} shared, {counts[THERE]} already there"


def steps_line(steps: int, examples: int | None, search: int, replayed: int) -> str:
    """Return the line on steps."""
    more = [f"{examples:,} examples"] if examples is not None else []
    more += [f"{search:,} more to search masks"] if search else []
    more += [f"{replayed:,} more to states that nobody kept"] if replayed else []
    return ", ".join([f"steps: {steps:,}", *more])


def time_lines(timings: list[Timing], seconds: float | None, more: str = "") -> list[str]:
    """Return the lines on time and memory, of the largest net; none where nothing was timed."""
    if not timings:
        return []
    large = max(timings, key=lambda timing: sum(timing.memory.values()))
    threads = (
        f", {large.threads} thread{'s' * (large.threads > 1)}" if large.device == "cpu" else ""
    )
    memory = ", ".join(f"{name} {in_words(size)}" for name, size in large.memory.items())
    each = "a step of the largest net" if len(timings) > 1 else "a step"
    return [
        f"time: {in_time(seconds)}{more} ({1000 * large.step:.3g} ms {each}, timed over "
        f"{large.steps} on {large.device}{threads})",
        f"memory of a step: {in_words(sum(large.memory.values()))} ({memory}), and the data",
    ]


def data_line(missing: str) -> str:
    """Return the line on data that are not there."""
    return (
        f"data: {printable(missing)}: planned by its sizes and made-up images; which levels other "
        "runs have trained on it is not known"
    )


def in_time(seconds: float | None) -> str:
    """Return a length of time for people; empty where there is none."""
    if seconds and seconds < 1:
        return "under 1 s"
    return about(seconds)


def disk_line(plan: Plan, left: int, at_work: int) -> str:
    """Return the line on disk space, and whether it suffices."""
    from lottery.storage import disk

    free = disk.free(plan.run.outputs)
    short = "; that will not fit" if left + at_work > free else ""
    return (
        f"disk: at most {in_words(left)}, {in_words(at_work)} more at work; "
        f"{in_words(free)} free{short}"
    )


def by_layer(plan: Plan) -> str:
    """Return what each layer keeps at each level, for people."""
    rows = [row for row in plan.rows if not row.branch and row.layers]
    if len(rows) < 2:
        return "what each layer keeps is decided by the scores"
    heads = ("layer", *(f"level {row.index}" for row in rows))
    names = rows[0].layers or {}
    lines = [
        (name.removesuffix(".weight"), *(f"{(row.layers or {})[name]:,}" for row in rows))
        for name in names
    ]
    return aligned(heads, lines, heads[1:])
