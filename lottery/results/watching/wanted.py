"""Say which runs the words behind `lottery watch` keep, also of those that come later."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from lottery.errors import UsageError
from lottery.results.choice import fitting, is_filter, there_is, understood
from lottery.results.facts import Facts
from lottery.results.filters import Filter
from lottery.results.folders import absolute, among, matching
from lottery.results.naming import unknown
from lottery.wording.spelling import plain
from lottery.wording.text import printable


class Wanted:
    """The words: names of runs, of which one is to fit, and filters, all of which are to."""

    def __init__(self, outputs: Path, words: Sequence[str]) -> None:
        self.outputs = outputs
        self.words = list(words)
        self.typed = [word for word in words if is_filter(word, outputs)]
        self.names = [word for word in words if word not in self.typed]
        self.paths = [absolute(word) for word in self.names if os.path.isdir(word)]
        self.filters: list[Filter] | None = None  # once there are runs to read them by
        self.named: set[Path] = set()

    def roots(self) -> list[Path]:
        """Return the folders of runs that are to be looked through."""
        away = [f.parents[2] for word in self.names if os.path.isdir(word)
                for f in matching(self.outputs, word)]  # fmt: skip
        only_away = away and len(self.paths) == len(self.names)
        return list(dict.fromkeys([*away] if only_away else [absolute(self.outputs), *away]))

    def learn(self, folders: Collection[Path]) -> None:
        """Take note of which runs there are, since a name may be a part of theirs."""
        every = sorted(folders)
        self.named = {f for word in self.names for f in among(every, word)}
        self.named |= {f for f in every if any(p == f or p in f.parents for p in self.paths)}

    def settle(self, runs: Sequence[Facts]) -> list[str]:
        """Read the words by the runs that there are; return what fits none of them yet.

        Raises UsageError for a name that names nothing, and for a filter by what no run has.
        """
        for word in self.names:
            there = among([run.folder for run in runs], word) or os.path.isdir(word)
            if not there and not any(self.has(run, word) for run in runs):
                raise UsageError(f"watch: {unknown(self.outputs, word)}")
        self.filters = [understood(runs, word, "watch: ") for word in self.typed]
        return [
            f"no run with {printable(asked.word)} yet; {there_is(asked, runs)}"
            for asked in self.filters
            if not fitting(asked, [(run, run.values(asked.key)) for run in runs])
        ]

    def fits(self, run: Facts) -> bool:
        """Say whether a run is kept; none is before the words were read."""
        if self.filters is None:
            return False
        if self.names and run.folder not in self.named:
            words = [word for word in self.names if not os.path.isdir(word)]
            if not any(self.has(run, word) for word in words):
                return False
        found = [(asked, run.values(asked.key)) for asked in self.filters]
        return all(fitting(asked, [(run, values)]) for asked, values in found)

    @staticmethod
    def has(run: Facts, word: str) -> bool:
        """Say whether a word is a run's state, or an option that it was composed of."""
        return plain(word) in map(plain, (run.state, *run.choices.values()))
