"""What SETTING=VALUE comes to: the value as we write it, or what it may be."""

from __future__ import annotations

import re
from pathlib import Path

from lottery.config.answers import tables
from lottery.config.answers.options import EPOCH, STEP
from lottery.config.answers.said import Asked, Said, answer, split
from lottery.config.answers.shares import NUMBER
from lottery.wording.spelling import plain

TRUE, FALSE = ("true", "yes", "on", "1", ""), ("false", "no", "off", "none", "null")
STEPS = ("train.length", "train.warmup", "evaluate_every", "checkpoint_every", "rewind.to")
HALF = ("16", "16mixed", "fp16", "float16", "half", "16true")
UNITS = re.compile(
    r"(\d+)\s*(?:(e|epochs?|ep)|(i|s|it|steps?|iters?|iterations?|batch(?:es)?))", re.I
)
RANGE = re.compile(r"(\d+)\s*(?:-|\.\.\.?|:|to)\s*(\d+)")
SEVERAL = "several values are a sweep, a run each"
MOST = 100  # values that a range is written out for


def valued(asked: Asked, key: str, value: str, typed: str) -> Said:
    """Return KEY=VALUE with the value as we write it: a list in brackets, cuda for gpu."""
    option = asked.known.option("dataset", value) if key == "data" else None
    if option and not Path(value).exists():
        return Said([f"dataset={option}"], f"data={value}: that is the folder of data sets")
    if key == "host.device" and re.fullmatch(r"\[?\d+\]?", value):
        value = f"cuda:{value.strip('[]')}"
    if key == "train.precision" and plain(value) in HALF:
        return answer(asked, f"{typed}={value}", value, tables.answers()["fp16"])
    if key in STEPS:
        value = in_units(value, seconds=key == "checkpoint_every")
        if key not in (typed, f"{typed}s") and re.fullmatch(r"[1-9]\d*", value):
            each = [f"{key}={value}{unit}" for unit in ("ep", "it")]
            return Said(each[:1], f"{typed}={value}: {each[0]} (epochs) or {each[1]} (steps)")
    default = asked.known.settings.get(key)
    if (ends := RANGE.fullmatch(value)) and is_count(key, default):
        return ranged(asked, key, int(ends[1]), int(ends[2]), f"{typed}={value}")
    single = is_count(key, default) or isinstance(default, int | float | str)
    if value[:1] == "[" and value[-1:] == "]" and single:
        words = [f"{key}={value[1:-1]}"]
        return Said(words if asked.sweep else ["-m", *words], f"{typed}: {SEVERAL}")
    if names := tables.values(key):
        value = ",".join(names.get(plain(part), part) for part in split(value))
    if isinstance(default, list) and value and not asked.sweep and value[0] not in "[{\"'$":
        value = f"[{value}]"
    return Said([f"{key}={value}"])


def is_count(key: str, default: object) -> bool:
    """Say whether a setting is a whole number."""
    return key in ("replicate", "levels") or (type(default) is int)


def ranged(asked: Asked, key: str, first: int, last: int, typed: str) -> Said:
    """Return what a range of whole numbers comes to: a sweep over them."""
    if not 0 < last - first < MOST:
        return Said([f"{key}={first}"], f"{typed}: that is no range of up to {MOST} numbers")
    each = f"{key}={','.join(map(str, range(first, last + 1)))}"
    return Said([each] if asked.sweep else ["-m", each], f"{typed}: values stand one by one")


def in_units(value: str, seconds: bool = False) -> str:
    """Return steps as we write them: 10ep for 10 epochs, 500it for 500 steps.

    What may be `seconds` is left alone where it is some: 60s.
    """
    parts = []
    for part in split(value):
        match, before = UNITS.fullmatch(part), EPOCH.fullmatch(part.lower())
        if seconds and re.fullmatch(r"[\d.]+s", part):
            pass
        elif match:
            part = f"{match[1]}{'ep' if match[2] else 'it'}"
        elif before:
            part = f"{before[1]}{'it' if part[:1].lower() in 'ksi' else 'ep'}"
        parts.append(part)
    return ",".join(parts)


def counted(key: str, unit: str, value: str) -> Said:
    """Return KEY=VALUE of a count of epochs or steps."""
    parts = []
    for part in split(value):
        number = float(part) if NUMBER.fullmatch(part) else None
        whole = number is not None and number.is_integer() and bool(unit)
        parts.append(f"{int(number or 0)}{unit}" if whole else in_units(part))
    return Said([f"{key}={','.join(parts)}"])


def switched(asked: Asked, name: str, setting: str, value: str, typed: str) -> Said:
    """Return what a word comes to that is on or off; a number may be that of a GPU."""
    key = setting.partition("=")[0]
    if name == "gpu" and value.isdigit():
        return Said([f"host.device=cuda:{value}"])
    if value.startswith("cuda") or re.fullmatch(r"\[\d+\]", value):
        return valued(asked, "host.device", value, typed)
    if value.lower() in FALSE or (value == "0" and name != "cuda"):
        off = {
            "host.device=cuda": "host.device=cpu",
            "train.precision=bf16": "train.precision=fp32",
        }
        said = off.get(setting, f"{key}=false" if setting.endswith("=true") else "")
        on = [asked.known.settings.get(key), *asked.known.choices.get(key, ())]
        if not said and setting.partition("=")[2] in on:
            return Said([], f"{typed}: {setting} comes with another word of this line")
        return Said([said] if said else [])
    if value == "0":
        told = "host.device=cuda:0 (the first GPU) or host.device=cpu"
        return Said(["host.device=cuda:0"], f"{typed}: {told}")
    if value.lower() in TRUE or value.isdigit():
        return Said([setting])
    return valued(asked, key, value, name) if key in asked.known.settings else Said([setting])


def is_step(value: str) -> bool:
    """Say whether a text is a step of training, or a number of them."""
    return bool(STEP.fullmatch(in_units(value)) or NUMBER.fullmatch(value))
