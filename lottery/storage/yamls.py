"""Read YAML as data, and nothing but data."""

from typing import Any

import yaml

DEEPEST = 50  # lists and mappings within each other, in a config
LARGEST = 100_000  # values of a config, each alias counted as what it stands for
PLAIN = "tag:yaml.org,2002:"  # before the name of a kind that YAML itself has
KINDS = {f"{PLAIN}{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")}
SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there


def parse(written: str | bytes) -> Any:
    """Return what YAML says: mappings, lists, text, numbers; raises yaml.YAMLError."""
    return yaml.load(written, Loader=SAFE)  # noqa: S506 (one of the safe ones)


def refuse_tricks(written: str | bytes) -> None:
    """Raise ValueError for what a config.yaml of ours never holds.

    Aliases multiply (nine lines of them fill any memory), tags ask for more than data, and deep
    nesting is work without end.
    """
    if aliases(written, tags=set()):
        raise ValueError("it has an alias")


def aliases(written: str | bytes, tags: set[str]) -> int:
    """Return how many aliases YAML has; raises ValueError for deep nesting and other tags."""
    depth = found = 0
    for event in yaml.parse(written, Loader=SAFE):
        found += isinstance(event, yaml.AliasEvent)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!") and tag not in tags:
            raise ValueError(f"it has the tag {tag.replace(PLAIN, '!!')}, which is no data")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
    return found


def decoded(data: bytes) -> str:
    """Return the text of a config that a person wrote; raises ValueError for what is none.

    It may begin with a byte order mark, and use aliases for up to LARGEST values.
    """
    try:
        written = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not in UTF-8; save the file in UTF-8") from None
    if aliases(written, KINDS):
        count(yaml.compose(written, Loader=SAFE), {}, set())
    return written


def count(node: yaml.Node | None, known: dict[int, int], around: set[int]) -> int:
    """Return how many values a node of YAML stands for; raises ValueError for too many."""
    if id(node) in around:
        raise ValueError("an alias in it stands for what it is in")
    if id(node) not in known:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        around.add(id(node))
        known[id(node)] = 1 + sum(count(child, known, around) for child in children)
        around.discard(id(node))
    if known[id(node)] > LARGEST:
        raise ValueError(f"its aliases stand for more than {LARGEST:,} values")
    return known[id(node)]
