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
        least, most = metric.bounds
        ends = [min(max(metric.scale * v, least), most) for v in (low, high)]
        shown = [v if math.isfinite(v) else None for v in (metric.scale * mean, *ends)]
        whole = len(pairs) == len(members)
        found.append([100 * density, *shown, f"{words.rstrip()}{count}", whole])
    return found


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
            self.every[config] = Line(facet, made, at, label, version)

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
                    "lines": [None if c is None else printable(c) for c in held],
                    "more": count - sum(c is not None for c in held),
                }
            )
        return found

    @property
    def hidden(self) -> int:
        """How many facets are not drawn."""
        return len({line.facet for line in self.every.values()}) - len(self.slots)
