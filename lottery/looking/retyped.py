"""Say which command makes one run, where it was one of a sweep. Imports neither torch nor hydra."""

import contextlib
import re
import shlex
from typing import Any

import yaml

from lottery.composing import is_sweep
from lottery.looking import defaults, filters
from lottery.looking.facts import Facts
from lottery.storage.yamls import parse

ELSEWHERE = ("outputs", "data", "host", "loggers")  # of a machine, and of no number of the run
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

    That is the recorded one, or for one of a sweep its options and the settings that differ from
    theirs, without places and devices of the machine that it ran on.
    """
    typed = str(run.record.get("command", "?"))
    if not of_sweep(typed) or not run.choices or not run.settings:
        return typed
    words = [word for word in defaults.options(run.choices) if not word.startswith("host=")]
    if branches := run.settings.get("branches"):
        words.append(f"branch={spelled(list(branches))}")
    asked = run.record.get("levels_asked")  # by the longest command; config.yaml has the first
    settings = run.settings | ({"levels": asked} if isinstance(asked, int) else {})
    changed = defaults.changed(settings, run.choices)
    words += [
        f"{key}={spelled(value)}"
        for key, (value, _) in changed.items()
        if key.partition(".")[0] not in ELSEWHERE
    ]
    return shlex.join(["lottery", "run", *words])


def spelled(value: Any) -> str:
    """Return a value as hydra reads it back: text in quotes where it would be something else."""
    if isinstance(value, list):
        return f"[{','.join(map(spelled, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{spelled(k)}:{spelled(v)}' for k, v in value.items())}}}"
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
