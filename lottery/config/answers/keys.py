"""What KEY=VALUE comes to: by our own names at any depth, by other tools', or an answer."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

from lottery.config.answers import tables
from lottery.config.answers.braces import in_words
from lottery.config.answers.elsewhere import absent, board, either, elsewhere
from lottery.config.answers.options import BOOLEAN, chosen, groups_with, named, own_option
from lottery.config.answers.said import Asked, Said, answer
from lottery.config.answers.shares import NUMBER, shares
from lottery.config.answers.tables import plains
from lottery.config.answers.values import FALSE, TRUE, counted, is_step, switched, valued
from lottery.config.defaults import LAST
from lottery.config.settings import in_order
from lottery.wording import synonyms
from lottery.wording.spelling import ALIKE, alike, plain, similar

NAMES = ("name", "type", "target", "classpath")  # plain: under which a component is chosen
NUMBERS = re.compile(r"(?:[a-z]+\(|\[)?\s*[-+]?\.?\d", re.IGNORECASE)  # 0.1, [0.1,0.2], range(1,3)
QUOTED = re.compile(r"""(["'])([\w./*?%@$|+-]+)\1(?=\s*:)""")  # a key, as in JSON and YAML
HOME = re.compile(r"(^|,)(~\w*)(?=/|,|$)")  # no shell expands it behind KEY=
NEAR, SHORTEST = 0.83, 5  # how much of its letters a misspelt word shares, and how many it has


def setting(asked: Asked, key: str, value: str) -> Said | None:
    """Return what KEY=VALUE comes to; None where nobody knows such a key."""
    value = readable(value)
    if key[:1] in ("+", "~", "") or "@" in key or key.startswith("hydra"):
        return added(asked, key, value)
    if value[:1] in ("=", ">"):
        found = setting(asked, key, value.lstrip("=> "))
        return Said(found.words, found.why or f"{key}={value}: write KEY=VALUE") if found else None
    if value[:1] == "{" and (said := in_words(asked, key, value)):
        return said
    if group := asked.known.group(key):
        return chosen(asked, group, value, f"{key}={value}")
    *above, last = key.split(".")
    if above and plain(last) in NAMES and (found := named(asked, ".".join(above), value)):
        return found
    if (real := asked.known.setting(key)) and not scalar_for_node(asked, real, value):
        return valued(asked, real, value, key)
    whole = plain(key)
    number = NUMBER.fullmatch(value.split(",")[0])
    if (group := asked.known.group(key.replace(".", "/"))) and not number:
        return chosen(asked, group, value, f"{key}={value}")
    ends = asked.known.ending(key)
    if len(ends) == 1 and last in ("net", "classes", "channels"):  # of what was chosen
        return valued(asked, ends[0], value, key)
    if found := board(asked, key, value):
        return found
    if above and (found := by_table(asked, whole, value, f"{key}={value}")):
        return found
    found = by_table(asked, plain(last), value, f"{key}={value}")
    if found and above and not ends and not found.why:
        return below(asked, above, last, key, found)
    if found:
        return besides(found, ends, value)
    if len(ends) == 1:
        return valued(asked, ends[0], value, key)
    if ends:
        chosen_for = [e for e in ends if e.partition(".")[0] in named_words(asked)]
        ends = [*chosen_for, *(e for e in ends if e not in chosen_for)]
        told = " or ".join(f"{e}={value}" for e in ends)
        return Said([f"{ends[0]}={value}"], f"{key} may be {told}")
    found = elsewhere(asked, key, value) or higher(asked, above, last, value, key)
    return found or likely(asked, key, value)


def readable(value: str) -> str:
    """Return a value as hydra reads it: keys of {} without quotes, no ~ for the home folder."""
    if value[:1] == "{":
        return QUOTED.sub(r"\2", value)
    return HOME.sub(lambda found: found[1] + os.path.expanduser(found[2]), value)


def named_words(asked: Asked) -> set[str]:
    """Return the keys of the words of a line: what somebody chose is what further words are of."""
    return {word.partition("=")[0] for word in asked.typed}


def added(asked: Asked, key: str, value: str) -> Said:
    """Return what hydra's +KEY, ++KEY and ~KEY come to: as they are, where KEY is one of ours."""
    bare = key.lstrip("+")
    same = Said([f"{key}={value}"])
    if key[:1] != "+" or "@" in key or bare.startswith("hydra") or not bare:
        return same
    known = asked.known
    if known.group(bare) or known.setting(bare) or known.setting(bare.rpartition(".")[0]):
        return same
    found = setting(asked, bare, value)
    if not found or not found.words:
        return found or same
    here = found.words[0].partition("=")[0]
    return Said(found.words, found.why or f"{key} is {here} here", found.command)


def below(asked: Asked, above: list[str], last: str, key: str, found: Said) -> Said | None:
    """Return what the last part of a key comes to, which the others may not lead to."""
    target = re.split(r"[./]", found.words[0].partition("=")[0]) if found.words else []
    if in_order([plain(part) for part in above], map(plain, target[:-1])):
        return found
    slips = [p for p in above if p not in asked.known.parts and alike(p, asked.known.parts)]
    if slips and any(k.rpartition(".")[2] == last for k in asked.known.settings):
        return None  # a slip of the hand, for which letters count
    if not found.words:
        return found
    return Said(found.words, f"{key} is {found.words[0].partition('=')[0]} here")


def besides(found: Said, ends: Sequence[str], value: str) -> Said:
    """Return an answer, with the settings of that name that it leaves out."""
    others = [e for e in ends if not any(w.startswith(f"{e}=") for w in found.words)]
    groups = {w.partition("=")[0] for w in found.words}
    others = [e for e in others if f"{e}=" not in found.why and e.partition(".")[0] not in groups]
    if not others or not found.why or value[:1] == "[":
        return found
    also = " or ".join(shlex.quote(f"{e}={value}") for e in others)
    return Said(found.words, f"{found.why}, or {also}", found.command)


def by_table(asked: Asked, name: str, value: str, typed: str) -> Said | None:
    """Return what a word of the tables comes to; None where it is in none."""
    number = bool(NUMBERS.match(value))
    parts = {plain(g.rpartition("/")[2]): g for g in asked.known.groups if g.count("/") == 1}
    groups, settings = tables.words_of("GROUPS"), tables.words_of("SETTINGS")
    if name in parts and not (number and name in settings) and value[:1] != "$":
        return chosen(asked, parts[name], value, typed)
    if name in groups and not (number and name in settings):
        return chosen(asked, groups[name], value, typed)
    if name in settings:
        return by_synonym(asked, settings[name], value, typed, number)
    if name in tables.counted():
        return counted(*tables.counted()[name], value)
    devices = re.fullmatch(r"\[?\d+(,\d+)+\]?", value)
    if name in ("gpu", "gpus", "device", "cuda", "devices", "gpuids") and devices:
        each = ",".join(f"cuda:{n}" for n in re.findall(r"\d+", value))
        several = answer(asked, typed, value, tables.answers()["ngpus"])
        return Said([f"host.device={each}"]) if asked.sweep else several
    if name == "gpus" and value.isdigit() and int(value) > 1:
        return answer(asked, typed, value, tables.answers()["ngpus"])
    if name in tables.words_of("SWITCHES"):
        return switched(asked, name, tables.words_of("SWITCHES")[name], value, typed)
    if found := shares(asked, name, value, typed):
        return found
    if name in plains(synonyms.SEVERAL):
        listed = re.findall(r"\d+", value)
        if len(listed) == 1 and value.isdigit():
            listed = [str(n) for n in range(min(int(value), 20))]
        which = ",".join(listed or ["0", "1", "2"])
        return Said(["-m", f"replicate={which}"], f"{typed}: repetitions are replicates")
    return by_answer(asked, name, value, typed)


def by_synonym(asked: Asked, real: str, value: str, typed: str, number: bool) -> Said | None:
    """Return what another tool's name of one of our settings comes to."""
    if real not in asked.known.settings:
        return absent(asked, real, typed) or elsewhere(asked, real, value)
    if real.endswith(".lr") and not number and value[:1] != "$":
        return chosen(asked, "train/lr", value, typed)
    if real == "data" and (option := asked.known.option("dataset", value)):
        return Said([f"dataset={option}"], "data is a folder, dataset what lies there")
    if real == "name" and asked.known.option("experiment", value):
        return Said([f"experiment={asked.known.option('experiment', value)}"])
    return valued(asked, real, value, typed.partition("=")[0])


def by_answer(asked: Asked, name: str, value: str, typed: str) -> Said | None:
    """Return the answer to a word that is no setting of ours; None where there is none."""
    told = tables.answers().get(name)
    if told is None:
        return None
    off = value.lower() in FALSE
    if off and told is tables.answers()["fp16"]:
        return Said(["train.precision=fp32"])
    if (off or value == "[]") and name in plains(synonyms.OFF):
        chosen_too = any(one in name for one in asked.known.choices.get("log", ()))
        return Said([], f"{typed}: log= brings it in" if chosen_too else "")
    if told[0] == synonyms.RESUMES and ("/" in value or re.search(r"\.\w+$", value)):
        said = f"{typed}: {told[0]}; `lottery show {shlex.quote(value)}` prints that of a run"
        return Said([], said, choice=True)
    if told[0] == synonyms.REWINDS and not is_step(value):
        return chosen(asked, "rewind", value, typed)
    if told[0] == synonyms.PRETRAINED and re.search(r"\.\w+$", value):
        return chosen(asked, "start", value, typed)
    return answer(asked, typed, value, told)


def higher(asked: Asked, above: Sequence[str], last: str, value: str, typed: str) -> Said | None:
    """Return what stands elsewhere in the config, and was looked for below another key."""
    if not above or plain(last) in NAMES:
        return None
    ours = {*map(plain, above)} & {*map(plain, asked.known.parts)}
    ends = asked.known.ending(last)
    top = [key for key in ends if key in (last, f"host.{last}")]
    slip = any(alike(part, asked.known.parts) for part in above)
    foreign = not ours and (above[0] in synonyms.FOREIGN or not slip)
    found = top or (ends if foreign and len(ends) == 1 else [])
    group = asked.known.group(last)
    if not found and not group:
        return None
    if not ours and not foreign:
        return None
    said = (
        valued(asked, found[0], value, last) if found else chosen(asked, group or "", value, typed)
    )
    if not said.words:
        return said
    return Said(said.words, said.why or f"{typed} is {said.words[0].partition('=')[0]} here")


def likely(asked: Asked, key: str, value: str) -> Said | None:
    """Return what an unknown key may mean: by its parts, its value, then its letters."""
    *above, last = key.split(".")
    for place in (match.start() for match in re.finditer("[_-]", key)):
        path = f"{key[:place]}.{key[place + 1 :]}"
        if len(ends := asked.known.ending(path)) == 1:
            found = valued(asked, ends[0], value, path)
            return Said(found.words, found.why or f"{key} is {ends[0]} here", found.command)
    if not above and value.lower() in (*TRUE, *FALSE):
        where = groups_with(asked, key)
        each = [f"{group}={own_option(asked, group, key)}" for group in where]
        if each and value.lower() in FALSE:
            told = f"{each[0]} comes unless another is chosen (lottery run --help lists them)"
            mine = value.lower() in FALSE and own_option(asked, where[0], key)
            comes = mine in asked.known.choices.get(where[0], ())
            return Said([], f"{key}={value}: {told}" if comes else "", choice=comes)
        if each:
            return Said(each[:1], f"{key}={value}: that is an option, {either(each)}", choice=True)
    if meant := misspelt(asked, above, last, value, key):
        return meant
    if (not above or above[0] in synonyms.FOREIGN) and value.lower() not in BOOLEAN:
        each = [f"{group}={own_option(asked, group, value)}" for group in groups_with(asked, value)]
        if each:
            told = f"there is no setting '{key}'; '{value}' is an option: {either(each)}"
            return Said([], told, choice=True)
    return None


def misspelt(asked: Asked, above: list[str], last: str, value: str, key: str) -> Said | None:
    """Return what a word of other tools comes to that is misspelt by a letter or two."""
    own = {plain(name): name for name in asked.known.groups if "/" not in name}
    own |= {plain(name): name for key in asked.known.settings if (name := key.rpartition(".")[2])}
    word, words = plain(last), {**tables.all_words(), **own}
    near = max(words, key=lambda name: (similar(word, name), name in own))
    least = ALIKE if near in own else NEAR
    if len(word) < SHORTEST or similar(word, near) < least or near[:1] != word[:1]:
        return None
    if near == word or (above and near in own):
        return None  # `complaints` names what is near among those there
    meant = words[near]
    found = setting(asked, ".".join([*above, meant]), value)
    if not found or not (found.words or found.why):
        return None
    here = found.words[0].partition("=")[0] if found.words else ""
    also = f", which is {here} here" if here not in ("", meant) and not found.why else ""
    return Said(
        found.words, f"there is no setting '{key}'; did you mean '{meant}'{also}?", found.command
    )


def scalar_for_node(asked: Asked, key: str, value: str) -> bool:
    """Say whether a key of settings got one value: train.lr=0.01, train.optimizer=adam."""
    either = key.replace(".", "/") in LAST  # a value, or an option with settings
    return key in asked.known.nodes and not either and not value.startswith("{")
