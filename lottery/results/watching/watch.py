"""Hold what a live page shows of runs, and say what has changed since a page asked last."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lottery.errors import UsageError
from lottery.results.facts import WHOSE, Facts, at_work
from lottery.results.folders import absolute
from lottery.results.naming import none_there
from lottery.results.watching.jobs import Jobs
from lottery.results.watching.lines import Lines
from lottery.results.watching.live import Signs
from lottery.results.watching.rows import Entry, entry, key_of
from lottery.results.watching.tree import TURN, Seen, Tree
from lottery.results.watching.wanted import Wanted
from lottery.storage import records
from lottery.wording.text import near, printable

EVERY = 1.0  # seconds between two looks at the disk, however many pages ask
FORGOTTEN = 1000  # runs that are gone, of which pages are told; older pages get all anew
TOLD = 20  # lines of what cannot be read


class Watch:
    """What there is of the runs under a folder that some words keep. Writes nothing."""

    def __init__(self, outputs: Path, words: Sequence[str], every: float = EVERY) -> None:
        self.outputs = absolute(outputs.expanduser())
        self.named = near(self.outputs)  # as people see it
        self.wanted = Wanted(outputs.expanduser(), words)
        self.tree = Tree(self.wanted.roots())
        self.every, self.due = every, 0.0
        self.facts: dict[Path, Facts] = {}  # of every run that there is
        self.entries: dict[Path, Entry] = {}  # of those that are kept
        self.rows: dict[str, tuple[int, dict[str, Any]]] = {}  # in the order of their versions
        self.gone: list[tuple[int, str]] = []
        self.counts: Counter[str] = Counter()
        self.members: dict[Path, set[Path]] = {}  # of each config
        self.labels: dict[Path, str] = {}
        self.working: set[Path] = set()
        self.lines, self.signs, self.jobs = Lines(), Signs(), Jobs()
        self.first: dict[Path, Entry] = {}  # of each config, a sound one
        self.facets: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []  # jobs without a run
        self.version = self.oldest = 0
        self.remarks: list[str] = []
        self.guard = threading.Lock()

    def begin(self) -> list[str]:
        """Look at everything for the first time; return what fits none of the words yet.

        Raises UsageError for a word that names nothing, and for a filter by what no run has.
        """
        with self.guard:
            self.look()
        return self.remarks

    def since(self, version: int) -> dict[str, Any]:
        """Return what a page is to show anew that has what there was at a version; 0: all."""
        with self.guard:
            if time.monotonic() >= self.due:
                self.look()
            whole = not self.oldest <= version <= self.version or version == 0
            version = 0 if whole else version
            rows = []
            for changed, row in reversed(self.rows.values()):
                if changed <= version:
                    break
                rows.append(row)
            gone = [key for at, key in self.gone if at > version and key not in self.rows]
            return {
                "version": self.version,
                "whole": whole,
                "counts": {state: n for state, n in self.counts.items() if n},
                "rows": rows,
                "gone": [] if whole else gone,
                "live": [self.signs.read(self.facts[f]) for f in sorted(self.working)],
                "facets": self.facets,
                "hidden": self.lines.hidden,
                "lines": self.lines.since(version),
                "jobs": [] if self.wanted.words else self.failed,
                "told": [*self.remarks, *self.tree.told.values()][:TOLD],
                "none": "" if self.facts else self.nothing(),
            }

    def nothing(self) -> str:
        """Say that there are no runs, and what to type."""
        try:
            return printable(none_there(Path(self.named)))
        except FileNotFoundError:  # the folder that the command was typed in is gone as well
            return f"there are no runs under {printable(self.named)}"

    def log(self, key: str) -> Path | None:
        """Return the log of the run, or of the job, that a page calls so; None for none."""
        with self.guard:
            found = (e.log for e in self.entries.values() if key_of(e.run.folder) == key)
            return next(found, None) or self.jobs.log(key)

    def look(self) -> None:
        """Look at the disk, and take up what has changed."""
        seen = self.tree.look(self.working, TURN)
        stale = self.stale(seen)
        gone = seen.gone & self.facts.keys()
        fresh = stale - self.facts.keys()
        self.facts |= {folder: Facts(folder) for folder in stale}
        for folder in gone:
            del self.facts[folder]
        if fresh or gone:
            self.wanted.learn(self.facts)
        if fresh and self.settled():
            stale |= self.facts.keys()  # none of them was kept before
        jobs = self.jobs.take(seen)
        changed = self.take(stale | gone, self.version + 1)
        if changed or jobs:
            self.version += 1
            self.failed = self.jobs.failed(self.entries.values())
        self.due = time.monotonic() + self.every

    def stale(self, seen: Seen) -> set[Path]:
        """Return the runs whose files have changed, or whose process has begun or ended."""
        found = {folder for folder, changed in seen.runs.items() if changed}
        for folder in seen.runs.keys() & self.facts.keys() - found:
            run = self.facts[folder]
            unsure = run.record.get("state") == "running"
            if unsure and at_work(folder) != (run.state == "running"):
                found.add(folder)
        return found

    def settled(self) -> bool:
        """Read the words of the command by the runs; say whether that is done now, not before."""
        if self.wanted.filters is not None:
            return False
        try:
            self.remarks = self.wanted.settle(list(self.facts.values()))
        except UsageError as error:
            if not self.due:  # at the first look
                raise
            self.remarks = [str(error)]
        return self.wanted.filters is not None

    def take(self, stale: set[Path], version: int) -> bool:
        """Take up runs that may be new, changed or gone: their rows, their counts, their lines.

        Says whether any of them is.
        """
        configs = set()
        for folder in sorted(stale):
            run = self.facts.get(folder)
            now = entry(run) if run is not None and self.kept(run) else None
            before = self.entries.get(folder)
            if before == now or (before and now and before.shown == now.shown):
                continue
            configs.add(folder.parent)
            if before is not None:
                self.drop(folder, before)
            if now is not None:
                self.add(folder, now, version)
            else:
                self.gone.append((version, key_of(folder)))
        while len(self.gone) > FORGOTTEN:
            self.oldest = self.gone.pop(0)[0]
        if configs:
            self.signs.forget(self.working)
            self.draw(configs, version)
        return bool(configs)

    def drop(self, folder: Path, before: Entry) -> None:
        """Forget what a run was."""
        del self.entries[folder]
        self.counts[before.state] -= 1
        self.working.discard(folder)
        self.members[folder.parent].discard(folder)
        del self.rows[key_of(folder)]

    def add(self, folder: Path, now: Entry, version: int) -> None:
        """Take up what a run is."""
        self.entries[folder] = now
        self.counts[now.state] += 1
        self.members.setdefault(folder.parent, set()).add(folder)
        if now.state == "running":
            self.working.add(folder)
        self.show(now, version)

    def kept(self, run: Facts) -> bool:
        """Say whether the words keep a run; one of which nothing can be said is kept."""
        try:
            return self.wanted.fits(run)
        except Exception:  # noqa: BLE001 (an odd record; its row says what is odd)
            return True

    def show(self, now: Entry, version: int) -> None:
        """Put the row of a run at the end, as the newest."""
        row = now.row | {"label": self.labels.get(now.run.folder.parent, "")}
        key = row["id"]
        self.rows.pop(key, None)
        self.rows[key] = version, row

    def draw(self, configs: set[Path], version: int) -> None:
        """Draw the lines of configs anew, and name all of them where that has to change."""
        drawn, renamed = set(self.lines.every), False
        for config in configs:
            members = [self.entries[f] for f in sorted(self.members.get(config, ()))]
            newest = max((e.row.get("ended") or time.time() for e in members), default=0.0)
            self.lines.put(config, members, version, newest)
            before, now = self.first.pop(config, None), spokesman(members)
            renamed |= naming(before) != naming(now)
            if now is None:
                self.members.pop(config, None)
                self.labels.pop(config, None)
            else:
                self.first[config] = now
        if renamed or set(self.lines.every) != drawn:
            self.name(version)
        if configs:
            self.lines.choose(version)
            self.facets = self.lines.facets()

    def name(self, version: int) -> None:
        """Give every config the few words that tell it from the others."""
        for config, label in self.lines.name(self.first, version).items():
            if label != self.labels.get(config):
                self.labels[config] = label
                for folder in self.members[config]:
                    self.show(self.entries[folder], version)


def spokesman(some: Sequence[Entry]) -> Entry | None:
    """Return the first sound one of the runs of a config, or the first."""
    sound = (e for e in some if e.state not in ("damaged", records.UNREAD))
    return next(sound, some[0] if some else None)


def naming(one: Entry | None) -> object:
    """Return what the name of a config is made of."""
    whose = one.run.whose if one else {}
    return one and (one.facet[:3], [whose[key] for key in WHOSE if key != "replicate"])
