"""Say which command makes one run, where it was one of a sweep. Imports neither torch nor hydra."""

import contextlib
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lottery.config import defaults
from lottery.config.compose import is_sweep
from lottery.results import filters
from lottery.results.facts import Facts
from lottery.storage.yamls import parse
from lottery.wording.text import near, outputs_word

ELSEWHERE = ("outputs", "data", "host", "loggers")  # of a machine, and of no number of the run
SAME_BITS = ("data", "host.threads", "host.deterministic")  # of those, on the same machine
LEFT_OUT = ("rewind", "schedule", "start")  # what a ticket stands for
OF_THE_RUN = (
    "name", "levels", "levels_until", "branches", "branch_levels", "analyses", "analysis_levels",
    "sanity", "strict",
)  # fmt: skip
PLAIN = re.compile(r"[\w./:+%@-]+", re.ASCII)  # what hydra takes as text without quotes


def of_sweep(command: str) -> bool:
    """Say whether a recorded command made several runs."""
    return is_sweep(words_of(command))


def words_of(command: str) -> list[str]:
    """Return the words of a recorded command, which anyone may have written."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def alone(run: Facts) -> str:
    """Return the command that makes this run and no other.

    That is the recorded one, "" where there is none of ours, or for one of a sweep its options and
    the settings that differ from theirs, without places and devices of the machine that it ran on.
    """
    typed = str(run.record.get("command", ""))
    if not of_sweep(typed) or not run.choices or not run.settings:
        return typed
    asked = run.record.get("levels_asked")  # by the longest command; config.yaml has the first
    settings = run.settings | ({"levels": asked} if isinstance(asked, int) else {})
    words = config_dir(run) + words_for(settings, run.choices, own=places(run))
    return shlex.join(["lottery", "run", *words])


def words_for(
    settings: Mapping[str, Any],
    choices: Mapping[str, str],
    also: Sequence[str] = (),
    own: Sequence[Path] = (),
) -> list[str]:
    """Return the options and settings of a run as typed, without places and devices.

    `also` are settings of those that are wanted all the same, `own` where its options come from.
    """
    words = [word for word in defaults.options(choices, own) if not word.startswith("host=")]
    if branches := settings.get("branches"):
        words.append(f"branch={spelled(list(branches))}")
    return words + [
        f"{key}={spelled(value)}"
        for key, (value, _) in defaults.changed(settings, choices, own).items()
        if key in also or key.partition(".")[0] not in ELSEWHERE
    ]


def places(run: Facts) -> tuple[Path, ...]:
    """Return the folders that the options of a run come from, its own ones among them."""
    return defaults.places(words_of(str(run.record.get("command", ""))))


def config_dir(run: Facts) -> list[str]:
    """Return the words of a run's command that name a folder of its own options."""
    words = words_of(str(run.record.get("command", "")))
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in defaults.CONFIG_DIR and (equals or place + 1 < len(words)):
            return ["--config-dir", value or words[place + 1]]
    return []


def from_ticket(run: Facts, path: Path, about: Mapping[str, Any]) -> str:
    """Return the command that trains a ticket of a run as the run did, from the file at `path`.

    Data, recipe, method and the step are those of the run; `about` is what the file says. With the
    same data the level that it trains is, to the bit, that of the run.
    """
    choices = {k: v for k, v in run.choices.items() if k not in ("experiment", *LEFT_OUT)}
    settings = {k: v for k, v in run.settings.items() if k not in (*LEFT_OUT, *OF_THE_RUN)}
    words = config_dir(run)
    words += words_for(settings, choices, SAME_BITS, places(run))
    words += [*rewinding(path, about), "levels=1"]
    return shlex.join(["lottery", "run", *words]) + outputs_word(run.folder.parents[2])


def rewinding(path: Path, about: Mapping[str, Any]) -> list[str]:
    """Return the words that start a run from a ticket file, which says `about` itself."""
    words = ["rewind=ticket", f"rewind.path={spelled(near(path))}"]
    if about.get("weights") == "end":
        return [*words, "rewind.weights=end"]
    step = about.get("step")
    return words + ([] if step is None else [f"rewind.to={step}" + "it" * isinstance(step, int)])


def spelled(value: Any) -> str:
    """Return a value as hydra reads it back: text in quotes where it would be something else."""
    if isinstance(value, list):
        return f"[{','.join(map(spelled, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{k}:{spelled(v)}' for k, v in value.items())}}}"  # patterns bare
    if not isinstance(value, str):
        return filters.spelled(value)
    if PLAIN.fullmatch(value) and same(value):
        return value
    doubled = re.sub(r'(\\+)(?="|$)', r"\1\1", value)  # backslashes elsewhere stand for themselves
    return '"' + doubled.replace('"', '\\"') + '"'


def same(text: str) -> bool:
    """Say whether text without quotes stays that text, and is no number, like 1e-4."""
    with contextlib.suppress(ValueError):
        float(text)
        return False
    with contextlib.suppress(yaml.YAMLError):
        return bool(parse(text) == text)
    return False
