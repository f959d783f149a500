"""Say what the columns of tables are to a reader of a figure: their words, units and bounds."""

import math
from collections.abc import Iterable

import pandas as pd

EARLY = "best_step"  # the step of the lowest validation loss
CHANGE = "change"  # to the dense net of the same replicate; of another column change_COLUMN


def is_share(column: str) -> bool:
    """Say whether a column holds shares of 1, which people read as per cent."""
    plain = column.removesuffix("_low").removesuffix("_high")
    return plain.endswith(("accuracy", "density")) and not changed(plain)


def changed(column: str) -> str:
    """Return the column whose change to dense a column holds; "" for any other column."""
    if column == CHANGE:
        return "test_accuracy"
    return column.removeprefix(f"{CHANGE}_") if column.startswith(f"{CHANGE}_") else ""


def in_points(column: str) -> bool:
    """Say whether a column holds differences of shares, in points: hundredths."""
    return is_share(changed(column))


WORDS = {
    "test_accuracy": "test accuracy",
    "val_accuracy": "validation accuracy",
    "train_accuracy": "training accuracy",
    "best_test_accuracy": "test accuracy at early stop",
    "best_val_accuracy": "validation accuracy at early stop",
    "best_step": "early-stop step of the level",
    "test_loss": "test loss",
    "val_loss": "validation loss",
    "train_loss": "training loss",
    "best_val_loss": "lowest validation loss",
    "step": "training step",
    "epoch": "epoch",
    "lr": "learning rate",
    "effective_density": "effective density",
    "macs": "multiply-accumulates an example, dense",
    "macs_kept": "multiply-accumulates an example",
    "training_macs": "multiply-accumulates of training the level, dense",
    "training_macs_kept": "multiply-accumulates of training the level",
    "steps": "training steps of the level",
    "examples": "examples of the level",
    "seconds": "seconds of training the level",
    "energy": "energy of training the level (J, estimate)",
    "ticket_macs": "multiply-accumulates, search included, dense",
    "ticket_macs_kept": "multiply-accumulates, search included",
    "ticket_steps": "training steps, search included",
    "ticket_examples": "examples seen, search included",
    "ticket_seconds": "seconds, search included",
    "ticket_energy": "energy, search included (J, estimate)",
}


def words(column: str) -> str:
    """Return a column's name for an axis."""
    if of := changed(column):
        what = "" if column == CHANGE else f"{WORDS.get(of, of.replace('_', ' '))}: "
        return f"{what}change to dense" + (" (points)" if in_points(column) else "")
    text = WORDS.get(column, column.replace("_", " "))
    return f"{text} (%)" if is_share(column) else text


def in_percent(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Return a table for drawing, in which columns of shares are per cent."""
    drawn = table.copy()
    for column in dict.fromkeys(columns):
        for each in (column, f"{column}_low", f"{column}_high"):
            if each in drawn and is_share(column):
                drawn[each] = 100 * drawn[each]
    return drawn


def bounds(column: str) -> tuple[float, float]:
    """Return the ends, as drawn, beyond which no value of a column can lie.

    An interval of Student's t knows nothing of them.
    """
    if changed(column):
        return (-math.inf, math.inf)
    return (0.0, 100.0 if is_share(column) else math.inf)
