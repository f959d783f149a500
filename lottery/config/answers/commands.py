"""What a word in the place of a command comes to."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from lottery.config.answers import tables
from lottery.config.answers.options import FIRST
from lottery.config.settings import Known, known
from lottery.errors import UsageError
from lottery.wording.spelling import plain, suggestion
from lottery.wording.synonyms import LISTING, RESUMES

Correct = Callable[[str, Sequence[str]], str]  # the command that words of a run come to


def command_meant(
    word: str,
    rest: Sequence[str],
    commands: Sequence[str],
    correct: Correct,
    newest: Callable[[], str],
) -> tuple[str, list[str]]:
    """Return the command and the words that a word in its place stands for, where that is plain.

    `correct` makes a command of the words of a run, `newest` names the newest run there is, "" for
    none. Raises UsageError with what to type where the word is not plain, or nobody knows it.
    """
    name = plain(word)
    if (
        name == "list"
        and rest
        and plain(rest[0]) in {**tables.commands(), **tables.words_of("ALIASES")}
    ):
        return command_meant(rest[0], rest[1:], commands, correct, newest)
    if name == "lottery" and rest and rest[0] in commands:
        return rest[0], list(rest[1:])
    if rest and plain(rest[0]) in LISTING:  # runs list, image ls
        rest = rest[1:]
    if name in tables.words_of("ALIASES"):
        return tables.words_of("ALIASES")[name], list(rest)
    near = known(())
    if name in tables.commands():
        why, choices = tables.commands()[name]
        resumes = why.startswith(RESUMES)
        typed = typed_for(word, rest, choices, near, correct, newest, resumes)
        raise UsageError(f"there is no command '{word}': {why}; {typed}")
    option = near.option_of_any(word, FIRST)
    if option or ("=" in word and not word.startswith("-")):
        raise UsageError(f"'{word}' is no command; type: {correct('run', [word, *rest])}")
    hint = suggestion(word, commands)
    raise UsageError(f"there is no command '{word}'{hint} (there are: {', '.join(commands)})")


def typed_for(
    word: str,
    rest: Sequence[str],
    choices: Sequence[tuple[str, str]],
    near: Known,
    correct: Correct,
    newest: Callable[[], str],
    resumes: bool,
) -> str:
    """Return the commands to type in place of another tool's."""
    told = []
    names = [w for w in rest if "=" not in w and w[:1] != "-"]
    bare = [w for w in names if not near.option_of_any(w, FIRST)]
    figures = near.options("figure")
    for template, when in choices:
        if "{rest}" in template and resumes and (bare or not rest and newest()):
            template = "show {run}"
        made = template.format(
            run=shlex.join(names[:1]) or newest(), rest="{rest}", word=word,
            figure=next((r for r in rest if r in figures), "accuracy"),
        )  # fmt: skip
        typed = shlex.split(made.replace("{rest}", ""))
        if "{rest}" in made:
            ours = [w for w in rest if w not in bare]
            typed = shlex.split(correct(typed[0], [*typed[1:], *ours]))[1:]
        if typed[:1] in (["tail"], ["clean"]) and not names:
            typed = typed[:1]
        told.append(shlex.join(["lottery", *typed]) + (f" ({when})" if when else ""))
    return f"type: {' or '.join(told)}"
