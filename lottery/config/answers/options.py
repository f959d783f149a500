"""What GROUP=NAME comes to: an option by its own name, by another tool's, or an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lottery.config import defaults
from lottery.config.answers import tables
from lottery.config.answers.said import Asked, Said, answer, split
from lottery.wording import synonyms
from lottery.wording.spelling import plain

STEP = re.compile(r"(?:\d+ep)?(?:\d+it)?|end|\d+/\d+|0?\.\d+")
EPOCH = re.compile(r"(?:epoch|ep|e|k|step|it)[_=]?(\d+)")
FIRST = ("experiment", "model", "dataset", "prune", "schedule", "rewind")  # groups of bare words
PARTS = ("train/optimizer", "train/lr", "prune/structure", "prune/allocation", "branch", "log")
SHORTEST = 3  # letters of a word that may mean something where it is no option
BOOLEAN = ("true", "false", "yes", "no", "on", "off", "none", "null", "auto", "default", "all")


def chosen(asked: Asked, group: str, value: str, typed: str) -> Said:
    """Return what GROUP=VALUE comes to: the options by their own names."""
    names = split(value) if value[:1] != "[" else split(value[1:-1])
    call = re.fullmatch(r"([\w.-]+)\(\)", value)
    if not call and any(sign in value for sign in "({$"):
        return Said([f"{group}={value}"])
    if value[:1] == "[" and group not in defaults.LISTS.values() and all(names):
        words = [f"{group}={','.join(own_option(asked, group, name) or name for name in names)}"]
        why = f"{typed}: several options are a sweep, a run each"
        return Said(words if asked.sweep else ["-m", *words], why)
    found: list[str] = []
    for name in names:
        one = option(asked, group, name, typed)
        if isinstance(one, Said):
            if len(names) > 1 and one.why and one.words:  # of several the one that is in question
                rest = [*found, *names[len(found) + 1 :]]
                return replace(one, words=instead(asked, group, name, one, rest, value))
            return one
        found.append(one)
    several = len(found) > 1 and not asked.sweep and group in ("branch", "log")
    inside = ",".join(found)
    word = f"{group}=[{inside}]" if several or value[:1] == "[" else f"{group}={inside}"
    return Said([word], choice=True)


def instead(
    asked: Asked, group: str, name: str, said: Said, rest: Sequence[str], typed: str
) -> list[str]:
    """Return the words for several options of which one, `name`, was answered by `said`."""
    own = [real for one in rest if (real := asked.known.option(group, one))]
    means = tables.choices(group).get(plain(name), ("", []))[1]
    alone = [words.partition("=")[2] for words, _ in means if words.startswith(f"{group}=")]
    new = [one for one in alone if one.isidentifier() and one not in own][:1]
    inside = ",".join([*own, *new])
    return [f"{group}=[{inside}]" if typed[:1] == "[" else f"{group}={inside}"] if inside else []


def option(asked: Asked, group: str, name: str, typed: str) -> str | Said:
    """Return the option of a group that a name is, or what is to be said of it; else the name."""
    if own := own_option(asked, group, name):
        return own
    bare = plain(name)
    if group == "rewind" and (found := rewound(name, typed)):
        return found
    if bare in tables.choices(group):
        return replace(answer(asked, typed, name, tables.choices(group)[bare]), choice=True)
    if group == "model" and (net := torchvision(name)):
        words = ["model=torchvision", f"model.net={net}"]
        return Said(words, f"{typed}: that is a net of torchvision", choice=True)
    if found := with_setting(asked, group, name, typed):
        return found
    last = re.split(r"[./:]", name.removesuffix("()"))[-1]
    if last != name and (own := own_option(asked, group, last)):
        return own if "/" not in name or group == "experiment" else in_place(group, own, typed)
    if found := weights(group, name, typed):
        return found
    if group == "model" and re.search(r"\.(py|\w+)$|[:/]|\(\)$", name):
        return answer(asked, typed, name, tables.choices(group)["mine"])
    if group == "dataset" and "/" in name:
        folder = f"dataset.path={Path(name).expanduser().absolute()}"
        if "://" in name:
            return Said([], f"{typed}: a data set has a name, or is a folder of pictures here")
        return Said(["dataset=image_folder", folder], f"{typed}: pictures lie in a folder")
    if group == "model" and (found := with_data(asked, name, typed)):
        return found
    if group != "experiment" and (found := of_another(asked, group, name, typed)):
        return found
    return name


def own_option(asked: Asked, group: str, name: str) -> str | None:
    """Return the option of a group that a name is, by its own words or by another tool's."""
    return asked.known.option(group, name) or tables.options(group).get(plain(name))


def in_place(group: str, own: str, typed: str) -> Said:
    """Return the answer for an option that was typed with a place before it."""
    return Said([f"{group}={own}"], f"{typed}: an option has no place before it", choice=True)


def rewound(name: str, typed: str) -> Said | None:
    """Return the answer for a rewind point that is a step, or a file; None for others."""
    if STEP.fullmatch(name) and name[:1].isdigit():
        return Said(["rewind=step", f"rewind.to={name}"], f"{typed}: {synonyms.REWINDS}")
    if match := EPOCH.fullmatch(name.lower()):
        unit = "it" if name[:1].lower() in "ksi" else "ep"
        return Said(["rewind=step", f"rewind.to={match[1]}{unit}"], f"{typed}: {synonyms.REWINDS}")
    if name.isdigit():
        if int(name) == 0:
            return Said(["rewind=init"], f"{typed}: the start is a rewind point of its own")
        told = f"rewind.to={name}ep (epochs) or rewind.to={name}it (steps)"
        return Said(["rewind=step", f"rewind.to={name}ep"], f"{typed}: {synonyms.REWINDS}: {told}")
    return None


def weights(group: str, name: str, typed: str) -> Said | None:
    """Return the answer for a file in the place of a rewind point or a net; None for others."""
    if group not in ("rewind", "model", "start"):
        return None
    made = str(Path(name).with_suffix(".safetensors").name)
    there = name.endswith(".safetensors")
    if not there and not re.search(r"\.(pth?|ckpt|bin|tar)$", name):
        return None
    place = name if there else made
    if group == "rewind":
        words, why = ["rewind=ticket", f"rewind.path={place}"], "a ticket is a rewind point"
        by = synonyms.IMPORTED
    else:
        words, why = ["start=pretrained", f"start.path={place}"], "weights in a file are a start"
        by = synonyms.STARTED
    return Said(words, f"{typed}: {why if there else by.format(path=name, to=made)}", choice=True)


def torchvision(name: str) -> str:
    """Return the net of torchvision that a name is; "" for none."""
    inside_of = re.match(r"torchvision[./:](?:models[./:])?(\w+)(?:\(\))?$", name)
    bare = plain(inside_of[1] if inside_of else name.removesuffix("()"))
    return tables.nets().get(bare, inside_of[1] if inside_of else "")


def with_setting(asked: Asked, group: str, name: str, typed: str) -> Said | None:
    """Return the answer for an option with a value of its first setting: step:2ep."""
    match = re.fullmatch(r"([\w-]+)[:@=]\s*([^:/\\]+)", name)
    own = own_option(asked, group, match[1]) if match else None
    node = defaults.option(group, own, asked.known.places) if own else None
    first = next((key for key in node or {} if key != "name"), "")
    if not match or not first or isinstance((node or {})[first], dict):
        return None
    words = [f"{group}={own}", f"{group.replace('/', '.')}.{first}={match[2]}"]
    return Said(words, f"{typed}: {first} is a setting of {own}", choice=True)


def with_data(asked: Asked, name: str, typed: str) -> Said | None:
    """Return the answer for a net and its data in one word, as cifar_resnet_20; None for others."""
    words = re.split(r"[_\s-]+", name)
    for cut in range(1, len(words)):
        for data, net in ((words[:cut], words[cut:]), (words[cut:], words[:cut])):
            there = own_option(asked, "dataset", "_".join(data))
            several = tables.choices("dataset").get(plain("".join(data)))
            there = there or (several[1][0][0].partition("=")[2] if several else None)
            own, seen = own_option(asked, "model", "_".join(net)), torchvision("_".join(net))
            if there and (own or seen):
                found = [f"model={own}"] if own else ["model=torchvision", f"model.net={seen}"]
                if not any(word.startswith("dataset=") for word in asked.typed):
                    found.append(f"dataset={there}")
                return Said(found, f"{typed}: a net and its data are two words", choice=True)
    return None


def of_another(asked: Asked, group: str, name: str, typed: str) -> Said | None:
    """Return the answer for a name that is no option of the group, but means something else."""
    bare = plain(name)
    if len(bare) < SHORTEST or bare in BOOLEAN:
        return None
    if where := groups_with(asked, name):
        each = [f"{one}={own_option(asked, one, name)}" for one in where]
        said = f"{typed}: {group} has no such option; {' and '.join(each)} is there"
        return Said(each[:1] if len(each) == 1 else [], said, choice=True)
    for other in PARTS + FIRST:
        if bare in tables.choices(other) and other != group:
            return answer(asked, typed, name, tables.choices(other)[bare])
    if bare in tables.answers():
        return answer(asked, typed, name, tables.answers()[bare])
    return None


def groups_with(asked: Asked, name: str) -> list[str]:
    """Return the groups of which a word is an option."""
    if len(plain(name)) < SHORTEST or plain(name) in BOOLEAN:
        return []
    return [group for group in (*FIRST, *PARTS) if own_option(asked, group, name)]


def named(asked: Asked, above: str, value: str) -> Said | None:
    """Return the option that the name of a component is, where it is one: optimizer.name."""
    group = asked.known.group(above.replace(".", "/"))
    group = group or asked.known.group(above.rpartition(".")[2])
    group = group or tables.words_of("GROUPS").get(plain(above.rpartition(".")[2]))
    group = group or next((g for g in asked.known.groups if g.endswith(f"/{above}")), None)
    value = value if not group or own_option(asked, group, value) else value.rpartition(".")[2]
    if not group or not own_option(asked, group, value):
        return None
    if any(word.startswith(f"{group}=") for word in asked.typed):
        return None  # of what was chosen, the component
    return chosen(asked, group, value, f"{above}.name={value}")
