"""Gather the levels of runs into lines: a config each, means over its replicates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from lottery.results import stats
from lottery.results.labels import labels_of
from lottery.results.order import natural
from lottery.results.plotting.looks import SERIES
from lottery.results.reports.sheets import around, kept
from lottery.results.watching.rows import Entry
from lottery.terms.metric import SPLITS, Metric
from lottery.wording.text import printable

MOST = 6  # facets that are drawn
Config = Path  # outputs/NAME/ID
Facet = tuple[str, str, str, str]  # data, net, metric, split


@dataclass
class Line:
    """One config as a line, and when it last changed."""

    facet: Facet
    points: list[list[Any]]
    at: float  # seconds since 1970, of the newest of its runs
    dense: dict[int, float] = field(default_factory=dict)  # what each replicate's reached
    label: str = ""
    version: int = 0


def points(members: Sequence[Entry], metric: Metric) -> list[list[Any]]:
    """Return the levels of a config: density and mean in the unit shown, interval, words, whole.

    `whole` is whether all replicates that were begun have the level. What is infinite is left out.
    """
    by_level: dict[int, list[tuple[float, float]]] = {}
    for member in members:
        for level, density, value in member.levels:
            by_level.setdefault(level, []).append((density, value))
    found = []
    for _, pairs in sorted(by_level.items()):
        density = fmean(d for d, _ in pairs)
        mean, low, high = stats.reach([value for _, value in pairs], metric)
        if not math.isfinite(mean):
            continue
        count = f", {len(pairs)} replicates" if len(pairs) > 1 else ""
        words = (
            f"{kept(density)} of weights: {metric.shown(mean)} {around(mean, low, high, metric)}"
        )
        shown = scaled((mean, low, high), metric)
        whole = len(pairs) == len(members)
        found.append([100 * density, *shown, f"{words.rstrip()}{count}", whole])
    return found


def scaled(reach: Sequence[float], metric: Metric) -> list[float | None]:
    """Return a mean and its interval in the unit shown, within what the metric can be."""
    least, most = metric.bounds
    mean, *ends = (metric.scale * value for value in reach)
    inside = [mean, *(min(max(end, least), most) for end in ends)]
    return [value if math.isfinite(value) else None for value in inside]


def dense_of(members: Sequence[Entry]) -> dict[int, float]:
    """Return what the dense net of each replicate reached."""
    return {
        member.run.replicate: value
        for member in members
        for level, density, value in member.levels
        if level == 0 and density == 1
    }


def shared(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Say whether two configs began with the same dense nets, as far as both have them."""
    both = one.keys() & other.keys()
    return bool(both) and all(one[k] == other[k] for k in both)


@dataclass
class Lines:
    """The lines of all configs, and the few of each facet that are drawn."""

    every: dict[Config, Line] = field(default_factory=dict)
    slots: dict[Facet, list[Config | None]] = field(default_factory=dict)
    metrics: dict[Facet, Metric] = field(default_factory=dict)

    def put(self, config: Config, members: Sequence[Entry], version: int, at: float) -> None:
        """Draw a config anew by its runs; without a level there is nothing to draw."""
        able = [m for m in members if m.state not in ("damaged", "unreadable")]
        first = next((m for m in able if m.levels), None)
        before = self.every.pop(config, None)
        if first is None:
            return
        facet, metric = first.facet, first.run.metric
        alike = [m for m in able if m.facet == facet or not m.levels]
        made = points(alike, metric)
        if made:
            self.metrics[facet] = metric
            label = before.label if before else ""
            self.every[config] = Line(facet, made, at, dense_of(alike), label, version)

    def name(self, first: Mapping[Config, Entry], version: int) -> dict[Config, str]:
        """Give every config the few words that tell it from the others of its facet.

        Returns those of all configs, also without a line.
        """
        found: dict[Config, str] = {}
        groups: dict[tuple[str, ...], dict[Config, Entry]] = {}
        for config, entry in first.items():
            groups.setdefault(entry.facet[:3], {})[config] = entry
        for group in groups.values():
            said = labels_of({(c.parent.name, c.name): entry.run for c, entry in group.items()})
            found |= {c: said[c.parent.name, c.name] for c in group}
        for config, line in self.every.items():
            label = found.get(config, printable(config.parent.name))
            if label != line.label:
                line.label, line.version = label, version
        return found

    def choose(self, version: int) -> None:
        """Give the lines that are drawn a look each, which they keep while they are drawn."""
        by_facet: dict[Facet, list[Config]] = {}
        for config, line in self.every.items():
            by_facet.setdefault(line.facet, []).append(config)
        newest = {f: max(self.every[c].at for c in some) for f, some in by_facet.items()}
        kept_facets = sorted(sorted(by_facet, key=lambda f: -newest[f])[:MOST])
        slots = {}
        for facet in kept_facets:
            some = sorted(by_facet[facet], key=lambda c: (-self.every[c].at, c))[:SERIES]
            some.sort(key=lambda c: (natural(self.every[c].label), c))
            held = [c if c in some else None for c in self.slots.get(facet, [None] * SERIES)]
            for config in some:
                if config not in held:
                    held[held.index(None)] = config
                    self.every[config].version = version
            slots[facet] = held
        self.slots = slots

    def since(self, version: int) -> list[dict[str, Any]]:
        """Return the lines that are drawn and have changed since a version, for the page."""
        drawn = [c for held in self.slots.values() for c in held if c is not None]
        return [
            {"id": printable(c), "label": one.label, "points": one.points}
            for c in drawn
            if (one := self.every[c]).version > version
        ]

    def facets(self) -> list[dict[str, Any]]:
        """Return what is drawn together, for the page: titles, units, and the line of each look."""
        found = []
        for facet, held in self.slots.items():
            dataset, model, _, split = facet
            metric = self.metrics[facet]
            count = sum(line.facet == facet for line in self.every.values())
            found.append(
                {
                    "id": printable("/".join(facet)),
                    "title": printable(f"{model} on {dataset}"),
                    "measure": f"{SPLITS[split]} {metric.label}",
                    "unit": "%" if metric.percent else "",
                    "higher": metric.higher,
                    "logarithmic": metric.mean == "log",
                    "dense": self.dense(held, metric),
                    "lines": [None if c is None else printable(c) for c in held],
                    "more": count - sum(c is not None for c in held),
                }
            )
        return found

    def dense(self, held: Sequence[Config | None], metric: Metric) -> list[dict[str, Any]]:
        """Return the dense nets of lines, for the page: mean, interval, and the look of one alone.

        Lines share a net where they have a replicate in common and all of these reached the same.
        """
        nets: list[tuple[dict[int, float], list[int]]] = []
        for look, config in enumerate(held):
            own = self.every[config].dense if config is not None else {}
            same = [net for net in nets if shared(net[0], own)]
            nets = [net for net in nets if net not in same]
            if own:
                values = {k: v for net in same for k, v in net[0].items()} | own
                nets.append((values, [look, *(one for net in same for one in net[1])]))
        found = []
        for values, looks in nets:
            reach = stats.reach([*values.values()], metric)
            if math.isfinite(reach[0]):
                mean, low, high = scaled(reach, metric)
                alone = looks[0] if len(nets) > 1 and len(looks) == 1 else None
                found.append({"mean": mean, "low": low, "high": high, "look": alone})
        return found

    @property
    def hidden(self) -> int:
        """How many facets are not drawn."""
        return len({line.facet for line in self.every.values()}) - len(self.slots)
