"""Read YAML as data, and nothing but data."""

from typing import Any

import yaml

DEEPEST = 50  # lists and mappings within each other, in a config
SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there


def parse(written: str | bytes) -> Any:
    """Return what YAML says: mappings, lists, text, numbers; raises yaml.YAMLError."""
    return yaml.load(written, Loader=SAFE)  # noqa: S506 (one of the safe ones)


def refuse_tricks(written: str | bytes) -> None:
    """Raise ValueError for what a config.yaml of ours never holds.

    Aliases multiply (nine lines of them fill any memory), tags ask for more than data, and deep
    nesting is work without end.
    """
    depth = 0
    for event in yaml.parse(written, Loader=SAFE):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has an alias")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise ValueError(f"it has the tag {tag}")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
