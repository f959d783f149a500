"""Gather many runs into tidy pandas tables: one row an observation. Imports no torch."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.errors import DamagedError, DiskError, UsageError
from lottery.results import across, analyses, measures, overlaps, results
from lottery.results.choice import choose
from lottery.results.facts import WHOSE, Facts, columns, reached, recorded, spokesman
from lottery.results.folders import lost
from lottery.results.order import deciding, differing
from lottery.storage import records
from lottery.terms.metric import ACCURACY, SPLITS, Metric
from lottery.wording.text import in_html, printable

HIDDEN = ("levels_asked", "started", "ended", "seconds", "left", "folder")  # in a notebook
MOST = 60  # runs that a notebook shows
NUMBERS = ("density", "seconds", "left")  # of a run, or NaN
TIMES = ("started", "ended")
REACHED = """
    density sparsity compression kept total step epoch {train} {val} {test} best_step {best_val}
    {best_test} {start_val} {start_test} rollbacks seconds examples_per_second
    effective_density collapsed_layers
    steps examples macs macs_kept training_macs training_macs_kept energy ticket_steps
    ticket_examples ticket_macs ticket_macs_kept ticket_seconds ticket_energy shared key"""
EMPTY = {  # the columns of a table in which no run has a row
    "levels": f"level {REACHED}",
    "branches": f"level branch settings {REACHED}",
    "layers": "level compression layer kept total density effective dead_outputs outputs collapsed "
    "sign_changes moved moved_relative overlap by_chance",
    "overlaps": "level density other_run other_id other_level overlap by_chance",
    "curves": "level branch step epoch lr train_loss {val} {test}",
}
WHOLE = {"level", "kept", "total", "step", "best_step", "other_level"}
YES_OR_NO = {"shared", "collapsed"}


@dataclass(frozen=True)
class Runs:
    """Runs on the disk. Each table is read when it is asked for, and then kept.

    Every table begins with name, id, replicate, model, dataset, method, rewind: whose row it is.
    Densities, accuracies and overlaps are shares of 1, times are seconds, losses are means over
    examples; columns are called by what the runs measure, as in test_accuracy. What is not known is
    NaN. A run whose table is damaged is left out of that table with a warning, and stands in `runs`
    as damaged.
    """

    folders: tuple[Path, ...]

    def __repr__(self) -> str:
        names = sorted({folder.parent.parent.name for folder in self.folders})
        shown = ", ".join(map(printable, names[:4])) + (", ..." if len(names) > 4 else "")
        return f"<Runs: {len(self.folders)} of {shown or 'nothing'}>"

    def _repr_html_(self) -> str:
        """Show the runs in a notebook: a line a run, everything from the disk escaped."""
        shown = [facts.row for facts in self._facts[:MOST]]
        columns = [c for c in self._columns if c not in HIDDEN]
        filled = [c for c in columns if any(row.get(c) not in (None, "") for row in shown)]
        heads = "".join(f"<th>{in_html(measures.head(c, self.metrics))}</th>" for c in filled)
        lines = [
            f"<tr>{''.join(f'<td>{cell(c, row.get(c), self.metrics)}</td>' for c in filled)}</tr>"
            for row in shown
        ]
        more = len(self.folders) - len(shown)
        said = f"{len(self.folders)} runs" + (f", {more} more than are shown" if more else "")
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        return f"{table if shown else ''}<p>{said}</p>"

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """What the runs measured, each once, that of verdicts first."""
        return measures.known(self._facts)

    def column(self, word: str, asked_by: str = "load") -> str:
        """Return the column that test, val, best_test ... stand for: that of the first metric.

        Raises UsageError where the runs do not measure the same.
        """
        return measures.resolved(word, self._facts, asked_by, "y")

    @property
    def chances(self) -> set[float]:
        """The values of the first metric that need no net, where they are known."""
        return {facts.chance for facts in self._facts if facts.chance is not None}

    @property
    def _columns(self) -> tuple[str, ...]:
        return columns(self.metrics)

    @cached_property
    def left_out(self) -> dict[str, list[str]]:
        """Which runs each table that was read so far leaves out, and why."""
        return {}

    @cached_property
    def _facts(self) -> list[Facts]:
        return [Facts(folder) for folder in self.folders]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row a run: how far it came, what it reached, its state, its folder.

        levels (pruned ones that are done), levels_asked; density, val_accuracy and test_accuracy
        (or what else is measured) of the last level; state (running, done, stopped, killed, failed,
        damaged); started and ended (times in UTC), seconds at work, left (seconds to the end, while
        it is running), warnings (their kinds in words; "" where there are none), folder.
        """
        rows = [facts.row | self._whose(facts) for facts in self._facts]
        numbers = dict.fromkeys((*NUMBERS, *reached(self.metrics)), float)
        found = pd.DataFrame(rows, columns=list(self._columns)).astype(numbers)
        for column in TIMES:
            found[column] = pd.to_datetime(
                found[column], format="ISO8601", utc=True, errors="coerce"
            )
        return found

    @cached_property
    def warnings(self) -> pd.DataFrame:
        """A row a warning of a run: level (NaN where it is about none), branch, kind, text."""
        rows = [{**facts.whose, **asdict(one)} for facts in self._facts for one in facts.warnings]
        columns = [*WHOSE, "level", "branch", "kind", "text"]
        return pd.DataFrame(rows, columns=columns).astype({"level": float})

    @cached_property
    def settings(self) -> pd.DataFrame:
        """A row a run: the settings in which the runs differ, a column each (train.optimizer.lr).

        Values are as in config.yaml: numbers, text, lists; None for a setting that is null or that
        a run does not have. `runs.levels.merge(runs.settings)` has them in every row of a table.
        """
        some = [deciding(facts) for facts in self._facts]
        columns = {key: pd.Series(values) for key, values in differing(some).items()}
        whose = pd.DataFrame([facts.whose for facts in self._facts], columns=list(WHOSE))
        return pd.concat([whose, pd.DataFrame(columns)], axis=1)

    @cached_property
    def levels(self) -> pd.DataFrame:
        """A row a level of a run: metrics.csv of all of them.

        level (0 is dense), density, sparsity, compression, kept, total; step and epoch at the end
        of training; loss and accuracy of train, val and test there, and best_* at the step of the
        lowest validation loss, and start_* before the first step; seconds; shared (trained by
        another run), key (in the store).
        """
        return self._all("levels", results.metrics)

    @cached_property
    def branches(self) -> pd.DataFrame:
        """A row a branch of a level: branches.csv of all of them.

        The columns of `levels`, and branch (its name) and settings (in words).
        """
        return self._all("branches", results.branches)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """A row a layer of a level: layers.csv of all of them.

        level, layer, kept, total, density; effective (weights on a path from input to output),
        dead_outputs, outputs, collapsed; sign_changes, moved and moved_relative of the weights in
        training; overlap with the mask of the level before (intersection over union), by_chance.
        """
        return self._all("layers", lambda f: results.read_table(f, "layers.csv"))

    @cached_property
    def overlaps(self) -> pd.DataFrame:
        """A row a level and other run among these that began from the same dense net.

        level, density; other_run, other_id, other_level; overlap of the two masks (intersection
        over union), by_chance. Of a run whose levels are gone it is the overlaps.csv that earlier
        versions wrote.
        """
        found = overlaps.Overlaps(self.folders)

        def rows_of(folder: Path) -> pd.DataFrame:
            if folder in found.errors:
                raise found.errors[folder]
            if folder in found.rows:
                return pd.DataFrame(found.rows[folder])
            return results.read_table(folder, "overlaps.csv")

        return self._all("overlaps", rows_of)

    @property
    def analyses(self) -> list[str]:
        """The tables that analyses have left, by name: connectivity, connectivity_line, ..."""
        own = (name for each in self.folders for name in analyses.found(each))
        return list(dict.fromkeys([*own, *across.names(self.folders)]))

    def analysis(self, name: str) -> pd.DataFrame:
        """Return what an analysis found: a row a level and whatever it tells apart there.

        settings (in words), mask (ticket, or a control), the numbers that its docs name, and key,
        the level's in the store. Empty where no run has it. Of an analysis of several runs the
        rows are its own, with the settings in front.
        """
        if len(of_all := across.rows(self.folders, name)):
            return of_all
        found = self._all(name, lambda folder: analyses.rows(folder, name))
        return found if len(found) else pd.DataFrame(columns=[*WHOSE, "level", "settings"])

    @cached_property
    def curves(self) -> pd.DataFrame:
        """A row an evaluation: curve.csv of every level and branch.

        level, branch ("" for the level itself), step, epoch, loss and accuracy of each split.
        """
        return self._all("curves", lambda folder: joined(list(curves(folder))))

    def _whose(self, facts: Facts) -> dict[str, Any]:
        """Return whose a run is; one of a damaged record is called as its sound replicates are."""
        if facts.record.get("state") != "damaged":
            return facts.whose
        beside = [f for f in self.folders if f.parent == facts.folder.parent]
        return spokesman(beside).whose | {"replicate": facts.replicate}

    def _all(self, which: str, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
        tables, whose = [], []
        for facts in self._facts:
            try:
                recorded(facts.folder)
                table = read(facts.folder)
            except (DamagedError, DiskError) as error:
                line = f"{facts.folder} is left out: {error}"
                self.left_out.setdefault(which, []).append(line)
                warnings.warn(line, stacklevel=3)
                continue
            if len(table):
                tables.append(table.rename(columns={c: f"own_{c}" for c in WHOSE if c in table}))
                whose += [facts.whose] * len(table)
        if not tables:
            return empty(which, self.metrics) if which in EMPTY else pd.DataFrame()
        return pd.concat([pd.DataFrame(whose), joined(tables)], axis=1)


def cell(column: str, value: object, metrics: Sequence[Metric] = (ACCURACY,)) -> str:
    """Return a cell of a table in a notebook: text that is escaped, accuracies in per cent."""
    if value is None or value == "":
        return ""
    if (metric := measures.metric_of(column, metrics)) and isinstance(value, float):
        return metric.shown(value)
    return in_html(f"{value:.4g}" if isinstance(value, float) else value)


def load(outputs: Path | str = "outputs", *words: str) -> Runs:
    """Return the runs under `outputs` that the words name; all of them without a word.

    A word is a run (name, start of an id, path) or a filter, as for `lottery ls`:
    load("outputs", "prune=imp,random", "state=done"). Raises UsageError where there is no such
    folder, and for words that name nothing.
    """
    folder = Path(outputs).expanduser()
    if not folder.is_dir():
        raise UsageError(f"load: there is no folder {folder}")
    runs = Runs(choose(folder, words, "load"))
    for line in lost(runs.folders):
        warnings.warn(line, stacklevel=2)
    return runs


def empty(which: str, metrics: Sequence[Metric] = (ACCURACY,)) -> pd.DataFrame:
    """Return a table without a row, with the columns and types that it would have."""
    kinds = {**dict.fromkeys(WHOSE, "object"), "replicate": "int64"}
    names = [metric.name for metric in metrics]
    splits = (*SPLITS, "best_val", "start_val", "start_test")
    parts = {s: " ".join(f"{s}_{n}" for n in ("loss", *names)) for s in splits}
    parts["best_test"] = " ".join(f"best_test_{name}" for name in names)
    for column in EMPTY[which].format(**parts).split():
        kind = "object" if column in results.WORDS else "float64"
        kind = "int64" if column in WHOLE else "bool" if column in YES_OR_NO else kind
        kinds[column] = kind
    return pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in kinds.items()})


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables one below the other; empty ones leave no trace."""
    some = [table for table in tables if len(table)]
    return pd.concat(some, ignore_index=True) if some else pd.DataFrame()


def curves(folder: Path) -> Iterator[pd.DataFrame]:
    """Yield the curve of every level and branch of a run, with both in front."""
    for place, entry in records.levels(folder).items():
        at = records.position(place)
        text = results.level_file(folder.parents[2], entry["key"], "curve.csv")
        if at and text:
            table = pd.read_csv(io.BytesIO(text))
            table.insert(0, "level", at[0])
            table.insert(1, "branch", at[1])
            yield table
