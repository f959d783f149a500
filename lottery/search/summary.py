"""Say what came out of a search: its trials by rank, and the command of the best."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from lottery.results.formats import aligned, as_json, comma_separated, page
from lottery.search.asked import REPLICATE
from lottery.search.study import DENSITIES, ENDED, FAILED, RUNS, as_dense
from lottery.search.trials import Trials, alone, ranked, stopped_at
from lottery.wording.text import near, outputs_word, printable

STATES = {"COMPLETE": "done", "PRUNED": "stopped", "FAIL": "failed"}


def rows(trials: Trials, place: Path) -> list[dict[str, Any]]:
    """Return a row a trial that came to an end: the best first, then those stopped, then failed."""
    ended = trials.study.ended
    best = ranked(ended, trials.goal)
    others = [t for t in ended if t.state != ENDED[0]]
    found = []
    for rank, trial in enumerate([*best, *sorted(others, key=lambda t: (t.state, t.number))], 1):
        done, runs = trial.state == ENDED[0], trial.user_attrs.get(RUNS, [])
        state = STATES[trial.state.name]
        found.append(
            {
                "rank": rank if done else None,
                "trial": trial.number,
                trials.goal.column: trial.value,
                "state": state,
                "level": stopped_at(trial) if trial.intermediate_values else None,
                **dict(word.split("=", 1) for word in trials.words_of(trial)),
                "folder": near(folder(place, runs)) if runs else "",
                "error": trial.user_attrs.get(FAILED, [""])[0],
            }
        )
    return found


def folder(place: Path, runs: list[str]) -> Path:
    """Return the folder of a trial's run, or that of its replicates."""
    return place / runs[0] if len(runs) == 1 else (place / runs[0]).parent


def summary(trials: Trials, place: Path, outputs: Path, format: str) -> tuple[str, list[str]]:
    """Return the table of a search, and the lines below it."""
    found = rows(trials, place)
    said = below(trials, place, outputs)
    if format == "csv":
        return comma_separated(found), said
    if format == "json":
        return as_json({"goal": trials.goal.column, "at": trials.goal.at, "trials": found}), said
    heads = ("rank", "trial", trials.goal.column, "state", "values", "folder")
    lines = [
        (
            str(row["rank"] or ""),
            str(row["trial"]),
            trials.goal.shown(row[trials.goal.column]),
            told(row),
            " ".join(f"{axis.key}={row[axis.key]}" for axis in trials.asked.axes),
            row["folder"],
        )
        for row in found
    ]
    if format == "table":
        return aligned(heads, lines, heads[:3]), said
    return page([("", (heads, lines, heads[:3]))], said, format), []


def typed(trials: Trials, words: tuple[str, ...]) -> str:
    """Return the command that does a trial's run alone, or the sweep of its replicates."""
    numbers = trials.asked.replicates
    one = trials.asked.composed(words)[0]
    if len(numbers) < 2:
        return alone(one)
    kept = tuple(word for word in one.words if not word.startswith(REPLICATE))
    return alone(replace(one, words=(*kept, f"{REPLICATE}{','.join(numbers)}")), ["-m"])


def told(row: dict[str, Any]) -> str:
    """Return how a trial ended, in words."""
    return f"stopped after level {row['level']}" if row["state"] == "stopped" else row["state"]


def below(trials: Trials, place: Path, outputs: Path) -> list[str]:
    """Return what stands below the table: the failures, the best trial and what to type."""
    ended, goal = trials.study.ended, trials.goal
    failed: dict[str, list[str]] = {}
    for trial in ended:
        if FAILED in trial.user_attrs:
            failed.setdefault(trial.user_attrs[FAILED][0], []).append(str(trial.number))
    said = [f"failed: trial {', '.join(numbers)}: {why}" for why, numbers in failed.items()]
    open_ = len(trials.study.left())
    said += [f"{open_} more were begun and go on with the same command"] if open_ else []
    best = ranked(ended, goal)
    if not best:
        return [*said, "no trial is done"]
    runs = best[0].user_attrs.get(RUNS, [])
    words = trials.words_of(best[0])
    if not all(as_dense(best[0], other, trials.levels) for other in best):
        ends = [100 * t.user_attrs[DENSITIES][-1] for t in best if DENSITIES in t.user_attrs]
        said.append(
            f"trials end with {min(ends):.3g} to {max(ends):.3g} % of the weights: the best may "
            "be the least pruned, so search for one density at a time"
        )
    said.append(f"best: trial {best[0].number}, {goal.column} {goal.shown(best[0].value)}, by")
    said.append(f"  {typed(trials, words)}")
    if runs:
        named = shlex.quote(
            "/".join([place.name, *Path(runs[0]).parts[: 2 if len(runs) == 1 else 1]])
        )
        said.append(
            "its test numbers, to be looked at once, as nothing was chosen by them: "
            f"lottery show {named}{outputs_word(outputs)}"
        )
    return list(map(printable, said))
