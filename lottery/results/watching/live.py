"""Say how runs at work stand: their level and step, how fast they are, what they measured last."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lottery.progress import pulse
from lottery.progress.bars import split_of
from lottery.progress.sweep import clock
from lottery.results.facts import Facts, number
from lottery.results.reports.sheets import kept
from lottery.results.watching.rows import key_of
from lottery.terms.metric import SPLITS, Metric
from lottery.wording.text import printable

QUIET = 30.0  # seconds without a sign after which that is said
SMOOTH = 0.5  # share of the newest pace in the one that is shown


@dataclass(frozen=True)
class Pace:
    """How fast a level went, by two signs of it."""

    where: tuple[object, ...]  # level and branch
    at: float  # seconds since 1970
    step: int
    rate: float | None  # steps a second


class Signs:
    """The signs of life of the runs at work, and their pace."""

    def __init__(self) -> None:
        self.paces: dict[Path, Pace] = {}

    def read(self, run: Facts) -> dict[str, Any]:
        """Return how a run at work stands, for the page."""
        bare: dict[str, Any] = {"id": key_of(run.folder), "share": 0.0, "where": "starting"}
        try:
            sign = pulse.read(run.folder)
            return bare | (self.told(run, sign) if sign else {})
        except (ValueError, OverflowError, ArithmeticError):  # numbers that no run has written
            return bare | {"where": "its sign of life is none"}

    def told(self, run: Facts, sign: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a sign of life tells."""
        step, steps = max(0, sign["step"]), max(0, sign["steps"])
        level, levels = max(0, sign["level"]), max(0, sign["levels"])
        part = min(1.0, step / steps) if steps else 0.0
        metric, row = run.metric, sign["row"]
        split = split_of(row, metric)
        value = number(row.get(f"{split}_{metric.name}"))
        silent = pulse.age(sign)
        return {
            "where": printable(f"level {level}/{levels} {sign['branch']}").rstrip(),
            "density": kept(sign["density"]) if 0 < sign["density"] <= 1 else "",
            "step": f"step {step:,}/{steps:,}" if steps else f"scoring, {step:,} batches",
            "share": min(1.0, (level + part) / (levels + 1)),
            "left": "" if (left := number(sign["left"])) is None else clock(max(0.0, left)),
            "seconds": left,
            "value": "" if value is None else f"{split} {metric.said(value)}",
            "epoch": "" if (e := number(row.get("epoch"))) is None else f"epoch {e:.4g}",
            "rate": said(self.pace(run.folder, sign, step).rate) if steps else "",
            "quiet": f"no sign for {clock(silent)}" if silent > QUIET else "",
            "measure": f"{SPLITS[split]} {metric.label}",
            "about": about(split, metric),
            "logarithmic": metric.mean == "log",
            "curve": [
                [step, metric.scale * value] for step, value in pulse.curve(sign)[: pulse.POINTS]
            ],
        }

    def pace(self, folder: Path, sign: Mapping[str, Any], step: int) -> Pace:
        """Return the pace of a level by this sign and the one before; take note of it."""
        where, at = (sign["level"], sign["branch"]), float(sign["at"])
        before = self.paces.get(folder)
        if before is None or before.where != where or step < before.step:
            found = Pace(where, at, step, None)
        elif at <= before.at:
            return before
        else:
            newest = (step - before.step) / (at - before.at)
            rate = newest if before.rate is None else before.rate + SMOOTH * (newest - before.rate)
            found = Pace(where, at, step, rate)
        self.paces[folder] = found
        return found

    def forget(self, folders: set[Path]) -> None:
        """Forget runs that are not at work any more."""
        for folder in self.paces.keys() - folders:
            del self.paces[folder]


def about(split: str, metric: Metric) -> str:
    """Return what is drawn of the level at work, in words."""
    unit = " (%)" if metric.percent else ""
    better = "" if metric.higher else ", lower is better"
    return f"{SPLITS[split]} {metric.label}{unit}{better}, of the level at work"


def said(rate: float | None) -> str:
    """Return a pace for people; "" where it is not known yet."""
    if rate is None:
        return ""
    return f"{rate:,.0f} steps/s" if rate >= 10 else f"{rate:.2g} steps/s"
