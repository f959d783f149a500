"""Give figures what they draw: tables that say whose line a row is on, and tensors of levels."""

import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lottery.results.facts import Facts
from lottery.results.folders import lost
from lottery.results.labels import labels
from lottery.results.measures import gaps
from lottery.results.tidy import Runs
from lottery.terms.metric import Metric
from lottery.wording.text import printable

LEFT_OUT = r"(?s).* is left out: "  # what `Runs` warns of


class Material:
    """Runs as a figure sees them (`lottery.results.plotting.source.Source`)."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self.notes = [printable(line) for line in lost(runs.folders)]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the runs measured, each once; the first is that of figures."""
        return self._runs.metrics

    @property
    def chances(self) -> set[float]:
        """The values of the first metric that need no net, where they are known."""
        return self._runs.chances

    def column(self, word: str, figure: str) -> str:
        """Return the column that test, val, best_test ... stand for; any other as it is."""
        return self._runs.column(word, figure)

    @cached_property
    def runs(self) -> pd.DataFrame:
        return self._table("runs")

    @cached_property
    def settings(self) -> pd.DataFrame:
        """A row a run, a column a setting that differs."""
        return self._table("settings")

    @cached_property
    def levels(self) -> pd.DataFrame:
        return self._with_gaps(self._table("levels"))

    @cached_property
    def branches(self) -> pd.DataFrame:
        return self._with_gaps(self._table("branches"))

    @cached_property
    def layers(self) -> pd.DataFrame:
        return self._table("layers")

    @cached_property
    def overlaps(self) -> pd.DataFrame:
        return self._table("overlaps")

    @cached_property
    def curves(self) -> pd.DataFrame:
        return self._table("curves")

    @property
    def analyses(self) -> list[str]:
        """The tables that analyses of the runs have left, by name."""
        return self._runs.analyses

    def analysis(self, name: str) -> pd.DataFrame:
        """Return what an analysis found, under all settings; empty where no run has it.

        What was found of several runs together has no series.
        """
        found = self._runs.analysis(name)
        return self._with_series(found, name) if "id" in found else found

    def mask(self, row: Mapping[Any, Any]) -> dict[str, np.ndarray]:
        """Return the mask that a level ended with: layer -> bools, True = kept."""
        from lottery.terms.kept import mask_of

        return {name: mask.numpy() for name, mask in mask_of(self._shelf(row)).items()}

    def weights(self, row: Mapping[Any, Any], at: str = "end") -> dict[str, np.ndarray]:
        """Return the weights of a level at the "start" or the "end" of its training, by name.

        Those of the start come in the model's order.
        """
        from lottery.terms.kept import ticket_on, understood
        from lottery.terms.snapshots import unpack
        from lottery.terms.step import Step

        shelf = self._shelf(row)
        if at == "start":
            found = ticket_on(shelf).weights
        else:
            tensors, about = shelf.read_tensors("end.safetensors")
            with understood(shelf, "end.safetensors"):
                found = unpack(tensors, Step(about["step"], 1)).weights
        return {name: tensor.float().numpy() for name, tensor in found.items()}

    def facts(self, row: Mapping[Any, Any]) -> Facts:
        """Return what the run of a row says of itself: its settings, what it is judged by."""
        return Facts(self._folder(row))

    def note(self, line: str) -> None:
        """Keep what a reader of the figure has to know."""
        self.notes.append(printable(line))

    def _shelf(self, row: Mapping[Any, Any]) -> Any:
        from lottery.storage.store import Shelf

        return Shelf(self._folder(row).absolute().parents[2], str(row["key"]))

    def _folder(self, row: Mapping[Any, Any]) -> Path:
        return self._folders[(row["name"], row["id"], row["replicate"])]

    @cached_property
    def _folders(self) -> dict[tuple[str, str, int], Path]:
        return {
            (f.parent.parent.name, f.parent.name, int(f.name.removeprefix("replicate_"))): f
            for f in self._runs.folders
        }

    @cached_property
    def _labels(self) -> dict[tuple[str, str], str]:
        return labels(self._runs.folders)

    def _table(self, which: str) -> pd.DataFrame:
        """Return a table with the series of each row in front; what is left out is noted."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", LEFT_OUT)
            table: pd.DataFrame = getattr(self._runs, which)
        return self._with_series(table, which)

    def _with_gaps(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return levels with how much better each does in training than on the test split."""
        return table.assign(**gaps(table, self.metrics))

    def _with_series(self, table: pd.DataFrame, which: str) -> pd.DataFrame:
        table = table.copy()
        for line in self._runs.left_out.get(which, []):  # warned of but once
            self.note(line)
        series = [self._labels[of] for of in zip(table["name"], table["id"], strict=True)]
        table.insert(0, "series", series)
        return table
