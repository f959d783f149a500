"""Say what a figure gets, the runs, and what it returns: a figure and the table behind it."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lottery.results.facts import Facts
from lottery.terms.metric import Metric

Chart = tuple[Figure, pd.DataFrame]


class Source(Protocol):
    """The runs as a figure sees them: the tables of `lottery.load`, and tensors of their levels.

    Every table has a column `series` in front: what tells its run from those of other settings;
    replicates share it.
    """

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the runs measured, each once; the first is that of figures."""
        ...

    @property
    def chances(self) -> set[float]:
        """The values of the first metric that need no net, where they are known."""
        ...

    def column(self, word: str, figure: str) -> str:
        """Return the column that test, val, best_test ... stand for; any other as it is.

        Raises UsageError where the runs do not measure the same.
        """
        ...

    @property
    def runs(self) -> pd.DataFrame: ...
    @property
    def settings(self) -> pd.DataFrame: ...
    @property
    def levels(self) -> pd.DataFrame: ...
    @property
    def branches(self) -> pd.DataFrame: ...
    @property
    def layers(self) -> pd.DataFrame: ...
    @property
    def overlaps(self) -> pd.DataFrame: ...
    @property
    def curves(self) -> pd.DataFrame: ...

    @property
    def analyses(self) -> list[str]:
        """The tables that analyses of the runs have left, by name."""
        ...

    def analysis(self, name: str) -> pd.DataFrame:
        """Return what an analysis found, under all settings; empty where no run has it.

        Of an analysis of several runs the rows are its own, and have no series.
        """
        ...

    def mask(self, row: Mapping[Any, Any]) -> dict[str, np.ndarray]:
        """Return the mask of the level that a row of a table is of: layer -> bools, True = kept."""
        ...

    def weights(self, row: Mapping[Any, Any], at: str = "end") -> dict[str, np.ndarray]:
        """Return the weights of a level by name, at the "start" or the "end" of its training."""
        ...

    def facts(self, row: Mapping[Any, Any]) -> Facts:
        """Return what the run of a row says of itself: its settings, what it is judged by."""
        ...

    def note(self, line: str) -> None:
        """Say something that a reader of the figure has to know."""
        ...
