"""Take the words of other tools for what they mean here, or say in a line what to type.

`synonyms` has the words. What is plain is rewritten before a config is composed, so that run ids,
files and printed commands hold our own words alone. What an answer tells to type was composed
first. Imports neither torch nor hydra, but for that.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence

from lottery.config.answers import commands as words_of_commands
from lottery.config.answers.line import Line
from lottery.config.answers.said import NAMELESS, Asked
from lottery.config.answers.shares import fitted
from lottery.config.compose import FLAGS, MULTIRUN
from lottery.config.composed import Composed
from lottery.config.settings import chosen, known
from lottery.errors import UsageError

HELD = {"DIR", NAMELESS}  # stand in what is to be typed for what nobody has typed


def meant(command: str, words: Sequence[str], before: Sequence[str] = ()) -> list[str]:
    """Return the words of a run as we write them; raises UsageError where one is not plain.

    `before` are further words of the command, which stand before those of the run.
    """
    line = read(words)
    reasons = list(dict.fromkeys(said.why for said in line.said if said.why))
    if reasons:
        none = all(said.why and not said.words for said in line.said if said.choice)
        nothing = any(said.choice for said in line.said) and none
        typed = [] if nothing else corrected(command, line, before)
        refused = complaint(typed[len(before) + 1 :]) if typed[:1] == [command] else ""
        told = refused or (f"type: {shlex.join(['lottery', *typed])}" if typed else "")
        raise UsageError(f"{command}: {'; '.join([*reasons, *([told] if told else [])])}")
    return [word for said in line.said for word in said.words]


def telling(
    typed: Sequence[str], words: Sequence[str], job: Callable[[Composed], None]
) -> Callable[[Composed], None]:
    """Return a job that first tells a person, once, what words of theirs were taken for."""
    changed = [word for word in words if word not in typed]

    def call(composed: Composed) -> None:
        if changed:
            print(f"lottery: taken as {shlex.join(changed)}", file=sys.stderr)
            changed.clear()
        job(composed)

    return call


def read(words: Sequence[str]) -> Line:
    """Return the words of a run, each taken for what it means."""
    sweep, seen = any(w in MULTIRUN for w in words), list(words)
    line = Line(Asked(known(seen), sweep, tuple(words)), list(words))
    line.read()
    seen = [word for said in line.said if said.choice or not said.why for word in said.words]
    if chosen(seen, line.asked.known.places) != line.asked.known.choices:  # by optimizer=adam, say
        line = Line(Asked(known(seen), sweep, tuple(words)), list(words))
        line.read()
    return line


def corrected(command: str, line: Line, before: Sequence[str] = ()) -> list[str]:
    """Return the command, and its words, as one would type it."""
    asked = line.asked.known
    others = [said.command for said in line.said if said.command]
    found = [word for said in line.said for word in said.words]
    answered = [word for said in line.said if said.why for word in said.words]
    made = dict.fromkeys(w for w in found if w not in MULTIRUN)
    choices = [w for w in answered if asked.group(w.partition("=")[0])]
    order = [*answered, *(w for w in made if w not in answered), *choices]
    last = {w.partition("=")[0]: w for w in order if "=" in w}  # what was typed, and chosen, counts
    made = {w: None for w in made if last.get(w.partition("=")[0], w) == w}
    flags = ["-m"] if any(w in MULTIRUN for w in found) else []
    if others and others[0] in ("help", "version"):
        return ["version"] if others[0] == "version" else ["run", "--help"]
    whole = fitted([*made], asked.settings.get("levels"))
    return [*(others or [command])[:1], *before, *flags, *whole]


def complaint(words: Sequence[str]) -> str:
    """Return why words of a run that are to be told cannot be composed; "" where they can."""
    flags = {word.partition("=")[0] for word in words} & {*FLAGS} - {"--config-dir", "-cd"}
    held = {part for word in words for part in word.split("=")} & HELD
    if flags or held or "--help" in words:
        return ""
    from lottery.config.compose import compose_each  # hydra, for an answer alone

    try:
        compose_each(words, settled)
    except UsageError as error:  # a file that is told of may have to be made first
        return "" if str(error).startswith("start.path:") else str(error)
    return ""


def settled(job: Composed) -> None:
    """Raise UsageError where the config of a job cannot be filled in."""
    _ = job.settings


def command_meant(
    word: str, rest: Sequence[str], commands: Sequence[str], newest: Callable[[], str]
) -> tuple[str, list[str]]:
    """Return the command and the words that a word in its place stands for, where that is plain.

    `newest` names the newest run there is, "" for none. Raises UsageError with what to type where
    it is not plain, and where nobody knows the word.
    """

    def correct(command: str, words: Sequence[str]) -> str:
        return shlex.join(["lottery", *corrected(command, read(words))])

    return words_of_commands.command_meant(word, rest, commands, correct, newest)
