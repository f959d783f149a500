"""Build the first experiment of the lottery ticket paper: XOR, learned by many nets at once."""

from operator import xor as exclusive
from pathlib import Path

from lottery.errors import UsageError
from lottery.tasks.logic import Truth, truth


def xor(root: Path, *, nets: int, below: float, passes: int) -> Truth:
    """Return the four points of XOR for so many nets (Frankle & Carbin 2018, arXiv v1, section 2).

    The paper's "zero loss" is a loss of every point `below` a bound. Reads nothing below `root`.
    """
    for name, value in (("nets", nets), ("passes", passes)):
        if value < 1:
            raise UsageError(f"dataset.{name}={value} is below 1")
    if not below > 0:
        raise UsageError(f"dataset.below={below:g}: a loss is above 0; type dataset.below=0.05")
    return truth(exclusive, 2, nets=nets, below=below, passes=passes)
