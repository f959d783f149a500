"""Take the words of a search apart: what is its own, what it varies, and what each run is told."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lottery.config.answers import meant, read
from lottery.config.answers.said import split
from lottery.config.compose import FLAGS, MULTIRUN, compose_each, takes_value
from lottery.config.composed import Composed
from lottery.config.identity import flat, identity, run_folder
from lottery.errors import LotteryError, UsageError
from lottery.results.formats import FORMATS
from lottery.search.axes import FORMS, SPACE, Axis, axis
from lottery.search.goal import AT
from lottery.wording.spelling import suggestion

OWN = {"trials": "20", "goal": "", "at": "last", "seed": "0", "stop": "median", "sampler": "tpe",
       "format": "table"}  # fmt: skip
ONE_OF = {"at": AT, "stop": ("median", "none"), "sampler": ("tpe", "random"), "format": FORMATS}
OWN_DIR = ("--config-dir", "-cd")
REPLICATE, WORKERS = "replicate=", "workers="
GROUPS = ("model", "dataset", "prune")


@dataclass(frozen=True)
class Asked:
    """What a search was asked for."""

    own: dict[str, str]  # the settings of the search itself
    axes: tuple[Axis, ...]
    words: tuple[str, ...]  # those of each run, without its replicate
    replicates: tuple[str, ...]  # () for that of the config

    @property
    def trials(self) -> int:
        """How many trials there are to be."""
        return int(self.own["trials"])

    def composed(self, values: Sequence[str]) -> list[Composed]:
        """Return the configs of a trial, a replicate each; raises UsageError."""
        found: list[Composed] = []
        for replicate in self.replicates or ("",):
            more = [f"{REPLICATE}{replicate}"] if replicate else []
            compose_each([*self.words, *values, *more], found.append)
        for each in found:
            _ = each.settings
        return found

    def probes(self) -> list[tuple[str, ...]]:
        """Return the values that show whether the space can be: each once, the others at first."""
        first = [f"{a.key}={a.probes[0]}" for a in self.axes]
        each = [tuple(first)]
        for at, one in enumerate(self.axes):
            for value in one.probes[1:]:
                each.append((*first[:at], f"{one.key}={value}", *first[at + 1 :]))
        return each

    def identity(self, first: Sequence[Composed], column: str) -> dict[str, Any]:
        """Return what tells this search from others, by the configs of its first probe."""
        settings = first[0].settings
        kept = {key: self.own[key] for key in ("at", "seed", "stop", "sampler")}
        space = {a.key: a.text for a in self.axes}
        replicates = ",".join(str(one.settings["replicate"]) for one in first)
        more = {"levels": settings["levels"], "replicate": replicates}
        config = flat(identity(settings))
        told = {k: v for k, v in config.items() if k not in space and k != "name"}
        return {"space": space, "goal": column, **kept, **more, **told}


def asked(arguments: Sequence[str]) -> Asked:
    """Return what the words of a search ask for; raises UsageError. Nothing is composed yet."""
    own, spaces, words = apart(arguments)
    for key, known in ONE_OF.items():
        if own[key] not in known:
            hint = suggestion(own[key], known)
            raise UsageError(f"search: {key}={own[key]} is none of {', '.join(known)}{hint}")
    for key, least in (("trials", 1), ("seed", 0)):
        text = own[key]
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
            raise UsageError(f"search: {key}={text} is no whole number from {least} on")
    if not spaces:
        for word in words:
            start, _, rest = word.partition(".")
            if "=" in rest and suggestion(start, [SPACE[:-1]]):
                raise UsageError(f"search: {word}: did you mean {SPACE}{rest}? VALUES are {FORMS}")
        raise UsageError(
            f"search: no setting is to be chosen; type space.KEY= and {FORMS}, as in "
            "space.train.optimizer.lr=log:0.01:0.3 (runs are narrowed by what they are, as in "
            "`lottery ls prune=imp`)"
        )
    for word in words:
        refuse_several(word)
    before = [f"{k}={v}" for k, v in own.items() if v != OWN[k]]
    each = meant("search", words, [*spaces, *before])
    replicates = [w.removeprefix(REPLICATE) for w in each if w.startswith(REPLICATE)][-1:]
    plain = [word for word in each if not word.startswith(REPLICATE)]

    first = {a.key: f"{a.key}={a.probes[0]}" for a in (axis(w, lambda k, v: k) for w in spaces)}

    def whole(typed: str, value: str) -> str:
        others = [word for key, word in first.items() if key != typed]
        said = read([*plain, *others, f"{typed}={value}"]).said[-1]
        if said.why or len(said.words) != 1:
            raise UsageError(f"search: {SPACE}{typed}: {said.why or 'it is several settings'}")
        return said.words[0].partition("=")[0]

    axes = [axis(word, whole) for word in spaces]
    keys = [a.key for a in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(f"search: {SPACE}{key} stands there twice")
        if fixed := next((w for w in plain if w.lstrip("+").partition("=")[0] == key), None):
            raise UsageError(f"search: {key} is both fixed ({fixed}) and searched; leave one out")
    numbers = tuple(split(replicates[0])) if replicates else ()
    return Asked(own, tuple(axes), tuple(plain), tuple(n.strip() for n in numbers))


def apart(arguments: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the settings of the search, the words of its space, and those of its runs."""
    own, spaces, words, waiting = dict(OWN), [], [], list(arguments)
    while waiting:
        word = waiting.pop(0)
        key, equals, value = word.partition("=")
        if equals and key in OWN:
            own[key] = value
        elif word.startswith(SPACE):
            spaces.append(word)
        elif key in MULTIRUN:
            raise UsageError(
                f"search: {word} is for lottery run; type space.KEY=A,B for what is to be chosen"
            )
        elif key in FLAGS and key not in OWN_DIR:
            raise UsageError(f"search: {word} is for lottery run (lottery search --help)")
        elif key in OWN_DIR:
            words += [word, *([waiting.pop(0)] if takes_value(word, waiting) else [])]
        elif word.startswith(WORKERS):
            words.append(f"host.{word}")
        else:
            words.append(word)
    return own, spaces, words


def refuse_several(word: str) -> None:
    """Raise UsageError for a word with several values, of which a search is to choose."""
    key, equals, value = word.partition("=")
    if equals and not word.startswith(REPLICATE) and len(split(value)) > 1:
        raise UsageError(f"search: {word} has several values; to choose among them: {SPACE}{word}")


def named(found: Asked, composed: Composed) -> Asked:
    """Return the search with a name for its folder, where none was typed."""
    if composed.settings["name"]:
        return found
    varied = {a.key for a in found.axes}
    groups = ("experiment",) if composed.choices.get("experiment") else GROUPS
    choices = [composed.choices[group] for group in groups if group not in varied]
    name = "_".join(["search", *choices]).replace("/", "-")
    return replace(found, words=(*found.words, f"name={name}"))


def check(found: Asked) -> list[Composed]:
    """Compose and bind what shows whether a search can be; return the configs of the first probe.

    Nothing is read or written. Raises UsageError.
    """
    from lottery.config import build

    first: list[Composed] = []
    for values in found.probes():
        try:
            each = found.composed(values)
            build.parts(each[0].settings)
        except LotteryError as error:
            told = f"with {shlex.join(values)}: " if first else ""
            raise UsageError(f"search: {told}{error}") from error
        first = first or each
    if len({run_folder(one.settings, one.name) for one in first}) < len(first):
        raise UsageError(f"search: {REPLICATE}{','.join(found.replicates)} names one twice")
    return first
