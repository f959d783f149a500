"""Take the words of other tools for what they mean here, or say in a line what to type.

`synonyms` has the words. What is plain is rewritten before a config is composed, so that run ids,
files and printed commands hold our own words alone. Imports neither torch nor hydra.
"""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from lottery import synonyms
from lottery.composing import FLAGS, MULTIRUN, takes_value
from lottery.errors import UsageError
from lottery.looking import defaults
from lottery.looking.settings import Known, chosen, in_order, known
from lottery.spelling import alike, plain
from lottery.synonyms import Answer

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
STEP = re.compile(r"(?:\d+ep)?(?:\d+it)?|end|\d+/\d+|0?\.\d+")
TRUE, FALSE = ("true", "yes", "on", "1", ""), ("false", "no", "off", "none", "null")
FIRST = ("experiment", "model", "dataset", "prune", "schedule", "rewind")  # groups of bare words
STEPS = ("train.length", "train.warmup", "evaluate_every", "checkpoint_every", "rewind.to")
MOST = 6  # options in an answer
NAMELESS = "VALUE"  # stands in an answer for a value that was not typed
HALF = ("16", "16mixed", "fp16", "float16", "half", "16true")


@dataclass
class Said:
    """What a word comes to: the words in place of it, and where it is not plain, the answer."""

    words: list[str]
    why: str = ""  # with what to type, where that is several things
    command: str = ""  # another one than that which was typed
    choice: bool = False  # an option of a group was asked for


@dataclass
class Line:
    """The words of `lottery run` or `plan`, one after the other taken for what they mean."""

    command: str
    waiting: list[str]
    known: Known
    sweep: bool
    said: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remember what was typed."""
        self.typed = tuple(self.waiting)

    def read(self) -> None:
        """Take all the words."""
        while self.waiting:
            word = self.waiting.pop(0)
            if word in MULTIRUN or word.partition("=")[0] in FLAGS:
                taken = [word, *(self.waiting[:1] if takes_value(word, self.waiting) else ())]
                del self.waiting[: len(taken) - 1]
                self.said.append(Said(taken))
            elif word.startswith("-") and word != "-":
                self.said.append(self.flag(word))
            elif "=" in word and not word.startswith("="):
                key, _, value = word.partition("=")
                if not value and self.bare_next():
                    self.said.append(self.spaced(key, self.waiting.pop(0), word))
                else:
                    self.said.append(self.setting(key, value) or Said([word]))
            else:
                self.said.append(self.bare(word))

    def bare_next(self) -> bool:
        """Say whether a word follows that is neither a flag nor KEY=VALUE."""
        return bool(self.waiting) and "=" not in self.waiting[0] and self.waiting[0][:1] != "-"

    def spaced(self, key: str, value: str, typed: str) -> Said:
        """Return what KEY VALUE, or KEY = VALUE, comes to."""
        found = self.setting(key, value) or Said([f"{key}={value}"])
        return Said(found.words, found.why or f"{typed}: write KEY=VALUE, without spaces")

    def flag(self, word: str) -> Said:
        """Return what --key value, --key=value or -k comes to; as it is where nobody knows it."""
        name, equals, value = word.lstrip("-").partition("=")
        long = word.startswith("--")
        key = name if long else synonyms.SHORT.get(name, name)
        given, on = bool(equals), value or "true"
        if not equals and self.bare_next():
            given, on = True, self.waiting[0]
        if key.startswith("no-") and not self.setting(key, on) and not given:
            key, on = key.removeprefix("no-"), "false"
        found = self.setting(key, on)
        if found is None:
            return Said([word])
        if given and not equals:
            self.waiting.pop(0)
        if found.why or found.command or found.words[:1] == ["-v"]:
            return found if found.why else Said(found.words, f"{word}: not here", found.command)
        return Said(found.words, "settings have no dashes")

    def bare(self, word: str) -> Said:
        """Return what a word that is no KEY=VALUE comes to; as it is where nobody knows it."""
        if self.waiting and self.waiting[0] == "=" and len(self.waiting) > 1:
            self.waiting.pop(0)
            return self.spaced(word, self.waiting.pop(0), f"{word} = ")
        if word.endswith(":") and self.bare_next():
            return self.spaced(word[:-1], self.waiting.pop(0), word)
        key, colon, value = word.partition(":")
        if colon and value and (found := self.setting(key, value)):
            return Said(found.words, found.why or f"{word}: write KEY=VALUE", found.command)
        if option := self.known.option_of_any(word, FIRST):
            return Said([option], f"'{word}' is an option: write GROUP=NAME")
        if re.search(r"\.ya?ml$", word):
            return self.answer(word, NAMELESS, _answers()["config"])
        if self.bare_next() and (found := self.setting(word, self.waiting[0])):
            self.waiting.pop(0)
            return Said(found.words, found.why or f"{word}: write KEY=VALUE, without spaces")
        if plain(word) in _answers():
            return self.answer(word, NAMELESS, _answers()[plain(word)])
        return Said([word])

    def setting(self, key: str, value: str) -> Said | None:
        """Return what KEY=VALUE comes to; None where nobody knows such a key."""
        if key[:1] in "+~" or "@" in key or key.startswith("hydra"):
            return Said([f"{key}={value}"])
        if group := self.known.group(key):
            return self.chosen(group, value, f"{key}={value}")
        *above, last = key.split(".")
        if above and last in ("name", "type") and (named := self.named(".".join(above), value)):
            return named
        if (real := self.known.setting(key)) and not self.scalar_for_node(real, value):
            return self.valued(real, value, key)
        whole = plain(key)
        number = NUMBER.fullmatch(value.split(",")[0])
        if (group := self.known.group(key.replace(".", "/"))) and not number:
            return self.chosen(group, value, f"{key}={value}")
        ends = self.known.ending(key)
        if len(ends) == 1 and last in ("net", "classes", "channels"):  # of what was chosen
            return self.valued(ends[0], value, key)
        if above and (found := self.by_table(whole, value, f"{key}={value}")):
            return found
        found = self.by_table(plain(last), value, f"{key}={value}")
        if found and above and not ends and not found.why:
            target = re.split(r"[./]", found.words[0].partition("=")[0]) if found.words else []
            if in_order([plain(part) for part in above], map(plain, target[:-1])):
                return found
            slips = [p for p in above if p not in self.known.parts and alike(p, self.known.parts)]
            if slips and any(k.rpartition(".")[2] == last for k in self.known.settings):
                return None  # a slip of the hand, for which letters count
            return Said(found.words, f"{key} is {found.words[0].partition('=')[0]} here")
        if found:
            others = [e for e in ends if not any(w.startswith(f"{e}=") for w in found.words)]
            others = [e for e in others if f"{e}=" not in found.why]
            if others and found.why:
                also = " or ".join(shlex.quote(f"{e}={value}") for e in others)
                return Said(found.words, f"{found.why}, or {also}", found.command)
            return found
        if len(ends) == 1:
            return self.valued(ends[0], value, key)
        if ends:
            told = " or ".join(f"{e}={value}" for e in ends)
            return Said([f"{ends[0]}={value}"], f"{key} may be {told}")
        return self.elsewhere(key, value) or self.higher(above, last, value, key)

    def named(self, above: str, value: str) -> Said | None:
        """Return the option that the name of a component is, where it is one: optimizer.name."""
        group = self.known.group(above.replace(".", "/"))
        group = group or self.known.group(above.rpartition(".")[2])
        group = group or _table("GROUPS").get(plain(above.rpartition(".")[2]))
        group = group or next((g for g in self.known.groups if g.endswith(f"/{above}")), None)
        if not group or not (self.known.option(group, value) or plain(value) in _options(group)):
            return None
        if any(word.startswith(f"{group}=") for word in self.typed):
            return None  # of what was chosen, the component
        return self.chosen(group, value, f"{above}.name={value}")

    def higher(self, above: Sequence[str], last: str, value: str, typed: str) -> Said | None:
        """Return what stands at the top, or below host, and was looked for below another key."""
        if (
            not above
            or last == "name"
            or not {*map(plain, above)} & {*map(plain, self.known.parts)}
        ):
            return None
        top = [key for key in self.known.settings if key in (last, f"host.{last}")]
        group = self.known.group(last)
        if not top and not group:
            return None
        said = self.valued(top[0], value, last) if top else self.chosen(group or "", value, typed)
        return Said(said.words, said.why or f"{typed} is {said.words[0].partition('=')[0]} here")

    def scalar_for_node(self, key: str, value: str) -> bool:
        """Say whether a key of settings got one value: train.lr=0.01, train.optimizer=adam."""
        return key in self.known.nodes and not value.startswith("{")

    def by_table(self, name: str, value: str, typed: str) -> Said | None:
        """Return what a word of the tables comes to; None where it is in none."""
        number = bool(NUMBER.fullmatch(value.split(",")[0]))
        parts = {plain(g.rpartition("/")[2]): g for g in self.known.groups if g.count("/") == 1}
        if name in parts and not number and value[:1] != "$":
            return self.chosen(parts[name], value, typed)
        if name in _table("GROUPS") and not (number and name in _table("SETTINGS")):
            return self.chosen(_table("GROUPS")[name], value, typed)
        if name in _table("SETTINGS"):
            real = _table("SETTINGS")[name]
            if real not in self.known.settings:
                return self.absent(real, typed) or self.elsewhere(real, value)
            if real.endswith(".lr") and not number and not value.startswith(("[", "$")):
                return self.chosen("train/lr", value, typed)
            if real == "data" and (option := self.known.option("dataset", value)):
                return Said([f"dataset={option}"], "data is a folder, dataset what lies there")
            if real == "name" and self.known.option("experiment", value):
                return Said([f"experiment={self.known.option('experiment', value)}"])
            return self.valued(real, value, typed.partition("=")[0])
        if name in _counted():
            return self.counted(*_counted()[name], value)
        if name in ("gpu", "gpus", "device", "cuda") and re.fullmatch(r"\[?\d+(,\d+)+\]?", value):
            each = ",".join(f"cuda:{n}" for n in re.findall(r"\d+", value))
            several = self.answer(typed, value, _answers()["ngpus"])
            return Said([f"host.device={each}"]) if self.sweep else several
        if name == "gpus" and value.isdigit() and int(value) > 1:
            return self.answer(typed, value, _answers()["ngpus"])
        if name in _table("SWITCHES"):
            return self.switched(name, _table("SWITCHES")[name], value, typed)
        if shares := self.shares(name, value, typed):
            return shares
        if name in plains(synonyms.SEVERAL):
            listed = re.findall(r"\d+", value)
            if len(listed) == 1 and value.isdigit():
                listed = [str(n) for n in range(min(int(value), 20))]
            which = ",".join(listed or ["0", "1", "2"])
            return Said(["-m", f"replicate={which}"], f"{typed}: repetitions are replicates")
        if name in _answers():
            if value.lower() in FALSE and _answers()[name] is _answers()["fp16"]:
                return Said(["train.precision=fp32"])
            if value.lower() in FALSE and name in plains(synonyms.OFF):
                chosen_too = any(board in name for board in self.known.choices.get("log", ()))
                return Said([], f"{typed}: log= brings it in" if chosen_too else "")
            return self.answer(typed, value, _answers()[name])
        return None

    def answer(self, typed: str, value: str, answer: Answer) -> Said:
        """Return the answer of a table, the first of its choices in place of the word."""
        why, choices = answer
        value = value if value not in ("", "true") else NAMELESS
        told = []
        if any("[{v}ep]" in words for words, _ in choices):
            value = "ep,".join(part.strip() for part in value.strip("[]").split(","))
        for words, when in choices:
            made = re.sub(
                r"(\d(?:ep|it))(?:ep|it)\b",
                r"\1",
                words.format(v=value if "'" in words else shlex.quote(value)),
            )
            told.append((made, when))
        first = shlex.split(told[0][0])
        command = first.pop(0).removesuffix(":") if first and first[0].endswith(":") else ""
        reasons = f"{typed}: {why}"
        if len(told) > 1:
            each = [f"{words} ({when})" if when else words for words, when in told]
            reasons += f": {', '.join(each[:-1])} or {each[-1]}"
        elif not why and not command:
            reasons = ""
        if first and not command and self.known.ending(typed.partition("=")[0]):
            reasons = reasons or f"{typed}: {told[0][1]} is {told[0][0]}"
        return Said(first, reasons, command)

    def chosen(self, group: str, value: str, typed: str, known: Sequence[str] = ()) -> Said:
        """Return what GROUP=VALUE comes to: the options by their own names."""
        names = split(value) if value[:1] != "[" else split(value[1:-1])
        if "(" in value or "{" in value or "$" in value:
            return Said([f"{group}={value}"])
        if group in ("rewind",) and STEP.fullmatch(value) and value[:1].isdigit():
            return Said(["rewind=step", f"rewind.to={value}"], f"{typed}: {synonyms.REWINDS}")
        found = []
        for name in names:
            bare = plain(name)
            option = self.known.option(group, name) or _options(group).get(bare)
            if option is None and bare in _choices(group):
                return replace(self.answer(typed, name, _choices(group)[bare]), choice=True)
            inside_of = re.match(r"torchvision[./:](?:models[./:])?(\w+)$", name)
            if option is None and group == "model" and (bare in _nets() or inside_of):
                bare = plain(inside_of[1]) if inside_of else bare
                net = _nets().get(bare) or (inside_of[1] if inside_of else bare)
                words = ["model=torchvision", f"model.net={net}"]
                return Said(words, f"{typed}: that is a net of torchvision", choice=True)
            if option is None and group == "model" and re.search(r"\.(py|\w+)$|:", name):
                return self.answer(typed, name, _choices(group)["mine"])
            if option is None and group == "dataset" and "/" in name:
                folder = f"dataset.path={Path(name).expanduser().absolute()}"
                return Said(["dataset=image_folder", folder], f"{typed}: pictures lie in a folder")
            if option is None and group == "experiment" and len(names) == 1:
                return Said([f"{group}={name}"])
            found.append(option or name)
        several = len(found) > 1 and not self.sweep and group in ("branch", "log")
        inside = ",".join(found)
        word = f"{group}=[{inside}]" if several or value[:1] == "[" else f"{group}={inside}"
        return Said([word], choice=True)

    def valued(self, key: str, value: str, typed: str) -> Said:
        """Return KEY=VALUE with the value as we write it: a list in brackets, cuda for gpu."""
        option = self.known.option("dataset", value) if key == "data" else None
        if option and not Path(value).exists():
            return Said([f"dataset={option}"], f"data={value}: that is the folder of data sets")
        if key == "host.device" and value.isdigit():
            value = f"cuda:{value}"
        if key == "train.precision" and plain(value) in HALF:
            return self.answer(f"{typed}={value}", value, _answers()["fp16"])
        if key in STEPS and key not in (typed, f"{typed}s") and re.fullmatch(r"[1-9]\d*", value):
            each = [f"{key}={value}{unit}" for unit in ("ep", "it")]
            return Said(each[:1], f"{typed}={value}: {each[0]} (epochs) or {each[1]} (steps)")
        names = _values(key)
        if names:
            value = ",".join(names.get(plain(part), part) for part in split(value))
        default = self.known.settings.get(key)
        if isinstance(default, list) and value and not self.sweep and value[0] not in "[{\"'$":
            value = f"[{value}]"
        return Said([f"{key}={value}"])

    def counted(self, key: str, unit: str, value: str) -> Said:
        """Return KEY=VALUE of a count of epochs or steps."""
        parts = []
        for part in split(value):
            number = float(part) if NUMBER.fullmatch(part) else None
            whole = number is not None and number.is_integer() and bool(unit)
            parts.append(f"{int(number or 0)}{unit}" if whole else part)
        return Said([f"{key}={','.join(parts)}"])

    def switched(self, name: str, setting: str, value: str, typed: str) -> Said:
        """Return what a word comes to that is on or off; a number may be that of a GPU."""
        key = setting.partition("=")[0]
        if name == "gpu" and value.isdigit():
            return Said([f"host.device=cuda:{value}"])
        if value.startswith("cuda"):
            return Said([f"host.device={value}"])
        if value.lower() in FALSE or (value == "0" and name != "cuda"):
            off = {
                "host.device=cuda": "host.device=cpu",
                "train.precision=bf16": "train.precision=fp32",
            }
            said = off.get(setting, f"{key}=false" if setting.endswith("=true") else "")
            on = [self.known.settings.get(key), *self.known.choices.get(key, ())]
            if not said and setting.partition("=")[2] in on:
                return Said([], f"{typed}: {setting} comes with another word of this line")
            return Said([said] if said else [])
        if value == "0":
            told = "host.device=cuda:0 (the first GPU) or host.device=cpu"
            return Said(["host.device=cuda:0"], f"{typed}: {told}")
        if value.lower() in TRUE or value.isdigit():
            return Said([setting])
        return self.valued(key, value, name) if key in self.known.settings else Said([setting])

    def shares(self, name: str, value: str, typed: str) -> Said | None:
        """Return the answer for a density, a sparsity or a compression: that is a schedule."""
        kinds = {"REMOVED": 0, "REMOVED_EACH": 0, "KEPT": 1, "TIMES": 2, "EACH_LEVEL": 0}
        kind = next((k for k in kinds if name in plains(getattr(synonyms, k))), None)
        if kind is None:
            return None
        kept = [density(part, kinds[kind]) for part in split(value.strip("[]"))]
        listed = ",".join(f"{share:.6g}" for share in kept)
        keep = f"schedule.keep={kept[0]:.6g}"
        if kind == "EACH_LEVEL" and len(kept) == 1:
            if "schedule.keep" in self.known.settings:
                return Said([keep])
            return Said(["schedule=geometric", keep], f"{typed}: the schedule keeps a share")
        words = ["schedule=listed", f"schedule.densities=[{listed}]"]
        known_share = all(share(part, kinds[kind]) for part in split(value.strip("[]")))
        told = f"{typed}: densities are a schedule here, a level each"
        told += "" if known_share else f", {listed} say"
        if kind == "REMOVED_EACH" or plain(name) == "pruningratio":
            told += f": {' '.join(words)} (in the end) or {keep} (kept at every level)"
        return Said(words, told)

    def elsewhere(self, key: str, value: str) -> Said | None:
        """Return the answer for a setting that other options of a group have; None for none."""
        where: dict[str, list[str]] = {}  # setting -> the options that have it
        for option, real in self.known.elsewhere(key).items():
            where.setdefault(real, []).append(option)
        if not where:
            return None
        if "dataset.workers" in where and plain(key).endswith("workers"):
            return self.absent("dataset.workers", f"{key}={value}")
        known = {*synonyms.SETTINGS, "train.optimizer.momentum"}
        each = sorted(where, key=lambda real: (real not in known, len(where[real])))
        told = [f"{real} belongs to {either(where[real])}" for real in each]
        parent, _, last = each[0].rpartition(".")
        options = where[each[0]]
        first = next((o for o in options if not self.needs_path(o)), options[0])
        group = first.partition("=")[0]
        now = self.known.choices.get(group, ["?"])[0]
        said = self.valued(each[0], value, key).words[0]
        why = f"{parent} has no setting '{last}' with {group}={now}; {', '.join(told)}"
        return Said([first, said], why)

    def needs_path(self, option: str) -> bool:
        """Say whether an option reads files that one has to have: pictures in a folder."""
        group, _, name = option.partition("=")
        return "path" in (defaults.option(group, name, self.known.places) or {})

    def absent(self, real: str, typed: str) -> Said | None:
        """Return the answer for what some options need no setting of; None for others."""
        if real != "dataset.workers":
            return None
        data = self.known.choices.get("dataset", ["?"])[0]
        why = f"{typed}: {data} lies in memory, nobody loads it; threads of torch are host.threads"
        return Said([], why)


def either(words: Sequence[str]) -> str:
    """Return words as people list what can be chosen: a, b or c; of many the first few."""
    if len(words) > MOST:
        words = [*words[: MOST - 1], f"{len(words) - MOST + 1} others"]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def density(text: str, kind: int) -> float:
    """Return the share that is kept, an example where the text says none."""
    return share(text, kind) or 0.1


def share(text: str, kind: int) -> float:
    """Return the share kept, where text is that removed, kept, or a compression; 0 for none."""
    match = NUMBER.fullmatch(text.strip().rstrip("%xX"))
    if not match:
        return 0.0
    number = float(match[0])
    if kind == 2:
        return 1 / number if number >= 1 else 0.0
    number = number / 100 if number > 1 or "%" in text else number
    found = 1 - number if kind == 0 else number
    return round(found, 9) if 0 < found <= 1 else 0.0


def fitted(words: Sequence[str], levels: Any) -> list[str]:
    """Return words in which the levels asked for are as many as the densities listed."""
    asked = next((w for w in reversed(words) if w.startswith("levels=")), f"levels={levels}")
    listed = next((w for w in words if w.startswith("schedule.densities=[")), "")
    count = int(asked[7:]) if asked[7:].isdigit() else 0
    densities = listed.partition("[")[2].rstrip("]").split(",")
    if not listed or "schedule=listed" not in words or count in (len(densities), 0):
        return [w for w in words if not (listed and w == "levels=0")]
    if len(densities) > 1:
        return [w for w in words if not w.startswith("levels=")] + ["levels=null"]
    keep = f"schedule.keep={float(densities[0]) ** (1 / count):.6g}"
    return [{"schedule=listed": "schedule=geometric", listed: keep}.get(w, w) for w in words]


def split(value: str) -> list[str]:
    """Return the parts of a value between commas that stand in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in value:
        if letter in "\"'" and quote in ("", letter):
            quote = "" if quote else letter
        depth += (letter in "[{(") - (letter in "]})") if not quote else 0
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def plains(words: str) -> list[str]:
    """Return words of a table without case, - and _."""
    return [plain(word) for word in words.split()]


@cache
def _table(name: str) -> Mapping[str, str]:
    """Return a table of `synonyms` the other way round: word -> what it is here."""
    table: Mapping[str, str] = getattr(synonyms, name)
    return {word: real for real, words in table.items() for word in plains(words)}


@cache
def _counted() -> Mapping[str, tuple[str, str]]:
    return {word: real for real, words in synonyms.COUNTED.items() for word in plains(words)}


@cache
def _answers() -> Mapping[str, Answer]:
    return {word: told for words, told in synonyms.ANSWERS.items() for word in plains(words)}


@cache
def _words() -> Mapping[str, Answer]:
    return {word: told for words, told in synonyms.WORDS.items() for word in plains(words)}


@cache
def _options(group: str) -> Mapping[str, str]:
    table = synonyms.OPTIONS.get(group, {})
    return {word: real for real, words in table.items() for word in plains(words)}


@cache
def _choices(group: str) -> Mapping[str, Answer]:
    table = synonyms.CHOICES.get(group, {})
    return {word: told for words, told in table.items() for word in plains(words)}


@cache
def _values(key: str) -> Mapping[str, str]:
    table = synonyms.VALUES.get(key, {})
    return {word: real for real, words in table.items() for word in (plain(real), *plains(words))}


@cache
def _nets() -> Mapping[str, str]:
    table = synonyms.TORCHVISION
    return {word: net for net, words in table.items() for word in (plain(net), *plains(words))}


def meant(command: str, words: Sequence[str]) -> list[str]:
    """Return the words of a run as we write them; raises UsageError where one is not plain."""
    line, typed = corrected(command, words)
    reasons = list(dict.fromkeys(said.why for said in line.said if said.why))
    if reasons:
        none = all(said.why and not said.words for said in line.said if said.choice)
        nothing = any(said.choice for said in line.said) and none
        raise UsageError(
            f"{command}: {'; '.join(reasons)}" + ("" if nothing else f"; type: {typed}")
        )
    return [word for said in line.said for word in said.words]


def taken_for(command: str, words: Sequence[str]) -> list[str]:
    """Return what `meant` does, and tell a person what other words were taken for."""
    found = meant(command, words)
    changed = [word for word in found if word not in words]
    if changed:
        print(f"lottery: taken as {shlex.join(changed)}", file=sys.stderr)
    return found


def corrected(command: str, words: Sequence[str]) -> tuple[Line, str]:
    """Return the words read, and the whole command as one would type it."""
    sweep, seen = any(w in MULTIRUN for w in words), list(words)
    line = Line(command, list(words), known(seen), sweep)
    line.read()
    seen = [word for said in line.said if said.choice or not said.why for word in said.words]
    if chosen(seen, line.known.places) != line.known.choices:  # by optimizer=adam, say
        line = Line(command, list(words), known(seen), sweep)
        line.read()
    others = [said.command for said in line.said if said.command]
    found = [word for said in line.said for word in said.words]
    answered = [word for said in line.said if said.why for word in said.words]
    made = dict.fromkeys(w for w in found if w not in MULTIRUN)
    choices = [w for w in answered if line.known.group(w.partition("=")[0])]
    order = [*answered, *(w for w in made if w not in answered), *choices]
    last = {w.partition("=")[0]: w for w in order if "=" in w}  # what was typed, and chosen, counts
    made = {w: None for w in made if last.get(w.partition("=")[0], w) == w}
    levels = line.known.settings.get("levels")
    flags = ["-m"] if any(w in MULTIRUN for w in found) else []
    if others and others[0] in ("help", "version"):
        return line, f"lottery {others[0]}" if others[0] == "version" else "lottery run --help"
    return line, shlex.join(
        ["lottery", *(others or [command])[:1], *flags, *fitted([*made], levels)]
    )


def command_meant(word: str, rest: Sequence[str], commands: Sequence[str]) -> tuple[str, list[str]]:
    """Return the command and the words that a word in its place stands for, where that is plain.

    Raises UsageError with what to type where it is not, and where nobody knows the word.
    """
    name = plain(word)
    if name == "list" and rest and plain(rest[0]) in _words():
        return command_meant(rest[0], rest[1:], commands)
    if name == "lottery" and rest and rest[0] in commands:
        return rest[0], list(rest[1:])
    if name in _table("ALIASES"):
        return _table("ALIASES")[name], list(rest)
    near = known(())
    if name in _words():
        why, choices = _words()[name]
        raise UsageError(
            f"there is no command '{word}': {why}; {typed_for(word, rest, choices, near)}"
        )
    option = near.option_of_any(word, FIRST)
    if option or ("=" in word and not word.startswith("-")):
        line, typed = corrected("run", [word, *rest])
        raise UsageError(f"'{word}' is no command; type: {typed}")
    from lottery.spelling import suggestion

    hint = suggestion(word, commands)
    raise UsageError(f"there is no command '{word}'{hint} (there are: {', '.join(commands)})")


def typed_for(
    word: str, rest: Sequence[str], choices: Sequence[tuple[str, str]], near: Known
) -> str:
    """Return the commands to type in place of another tool's."""
    told = []
    bare = [w for w in rest if "=" not in w and w[:1] != "-" and not near.option_of_any(w, FIRST)]
    figures = near.options("figure")
    for template, when in choices:
        if "{rest}" in template and bare:
            template = "show {run}"
        made = template.format(
            run=shlex.join(rest) or "RUN", rest="{rest}", word=word,
            figure=next((r for r in rest if r in figures), "accuracy"),
        )  # fmt: skip
        typed = shlex.split(made.replace("{rest}", ""))
        if "{rest}" in made:
            typed = shlex.split(corrected(typed[0], [*typed[1:], *rest])[1])[1:]
        if made.startswith("tail") and not rest:
            typed = ["tail"]
        told.append(shlex.join(["lottery", *typed]) + (f" ({when})" if when else ""))
    return f"type: {' or '.join(told)}"
