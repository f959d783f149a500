"""The sections about how a config was made: settings, environment, commands."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lottery.config import defaults
from lottery.results import retyped
from lottery.results.facts import Facts
from lottery.results.filters import shortened
from lottery.results.reports.sheets import Column, Section, Table, words
from lottery.wording.text import printable, public, without_password

ENVIRONMENT = ("torch", "device", "gpu", "threads", "deterministic", "machine", "capability",
               "python", "platform", "host", "lottery", "git")  # fmt: skip


def sections(facts: Sequence[Facts]) -> list[Section]:
    """Return what replicates of one config were made with, where, and by which commands."""
    return [*settings(facts[0]), environment(facts), *reproduce(facts)]


def warnings(facts: Sequence[Facts]) -> list[Section]:
    """Return what the replicates were warned of, each line once; [] where nothing was."""
    said: dict[str, list[str]] = {}
    for one in facts:
        for warning in one.warnings:
            said.setdefault(warning.line, []).append(str(one.replicate))
    rows = [[words(line), words(", ".join(who))] for line, who in said.items()]
    heads = [Column("Warning", numeric=False), Column("Replicates", numeric=False)]
    made = Table("What the replicates were warned of", heads, rows)
    return [Section("warnings", "Warnings", tables=[made])] if rows else []


def settings(one: Facts) -> Iterator[Section]:
    """Yield the settings of a config: its options, what differs from theirs, and all of them."""
    if not one.flat:
        return
    heads = [Column(head, numeric=False) for head in ("Setting", "Value", "Default")]
    own = retyped.places(one)
    options = " ".join(w for w in defaults.options(one.choices, own) if not w.startswith("log="))
    text, some = ([f"Options: {options}."] if options else []), []
    known = defaults.changed(one.settings, one.choices, own) if one.choices else {}
    changed = without_boards(known)
    if changed:
        rows = [
            [words(key), words(travelling(value), "text"), words(travelling(old), "text quiet")]
            for key, (value, old) in changed.items()
        ]
        some.append(Table("Settings that differ from the defaults of these options", heads, rows))
    elif one.choices:
        text.append("No setting differs from the defaults of these options.")
    every = [
        [words(key), words(travelling(value), "text")]
        for key, value in without_boards(one.flat).items()
    ]
    some.append(Table("All settings", heads[:2], every, label=f"All {len(every)} settings"))
    yield Section("settings", "Settings", words=text, tables=some)


def without_boards(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings but for where a run is written besides, which may be a private place."""
    return {k: v for k, v in settings.items() if k.partition(".")[0] != "loggers"}


def travelling(value: object) -> str:
    """Return a value of a setting as a page may take it along: short, and without a password."""
    return without_password(shortened(value))


def environment(facts: Sequence[Facts]) -> Section:
    """Return on what the replicates ran, and what has changed on the way."""
    rows = []
    for key in ENVIRONMENT:
        said: dict[str, list[str]] = {}
        for one in facts:
            found = one.record.get(key, one.record.get("environment", {}).get(key))
            if found is not None:
                said.setdefault(str(found), []).append(str(one.whose["replicate"]))
        if said:
            rows.append([words(key), words(among(said, len(facts)), "text")])
    drift = [
        f"Changed in replicate {one.whose['replicate']}: {line}"
        for one in facts
        for line in one.record.get("drift", [])
    ]
    text = Table(
        "Where it ran", [Column("What", numeric=False), Column("Value", numeric=False)], rows
    )
    return Section("environment", "Environment", words=drift, tables=[text], open=bool(drift))


def among(said: Mapping[str, Sequence[str]], total: int) -> str:
    """Return values in a line, with the replicates that have each where they differ."""
    if len(said) == 1 and len(next(iter(said.values()))) == total:
        return next(iter(said))
    return "; ".join(f"{value} (replicate {', '.join(who)})" for value, who in said.items())


def reproduce(facts: Sequence[Facts]) -> Iterator[Section]:
    """Yield what was typed, each command once, with the replicates that it made."""
    made: dict[str, list[str]] = {}
    later: dict[str, list[str]] = {}
    for one in facts:
        replicate = str(one.whose["replicate"])
        if command := one.record.get("command"):
            made.setdefault(public(str(command)), []).append(replicate)
        for command in one.record.get("followed_by", []):
            later.setdefault(public(str(command)), []).append(replicate)

    def which(replicates: Sequence[str]) -> str:
        return f"replicate{'s' if len(replicates) > 1 else ''} {', '.join(replicates)}"

    listed = [(f"Makes {which(who)}", printable(command)) for command, who in made.items()]
    listed += [(f"Then, on {which(who)}", printable(command)) for command, who in later.items()]
    text = "Typed in the folder that holds outputs/. What is there already is not trained again."
    if listed:
        yield Section("reproduce", "Reproduce", words=[text], commands=listed)
