"""Hold a paper's numbers beside ours, and its claims against our runs. Imports no torch."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lottery.errors import UsageError
from lottery.results import across, analyses, choice, results, stats
from lottery.results.comparison import NEAR
from lottery.results.comparison_tables import Table, around
from lottery.results.facts import Facts, recorded
from lottery.results.formats import numeral
from lottery.results.reproductions import Claim, Reproduction, changing
from lottery.terms.metric import BEST, Metric, measured

HOLDS, REVERSED, OPEN = "holds", "the other way round", "not told apart"
DENSE = {"density": 1, "level": 0}  # where the dense net is on the x axis
NOT_HERE = "not in this budget"
Read = Callable[[Path], pd.DataFrame]  # the table of a run
Values = dict[Any, dict[int, float]]  # place on the x axis -> replicate -> value


class Measured:
    """What our runs of a reproduction say. `more` reads tables that are not on the disk.

    `settings` are those that were typed beside the budget's.
    """

    def __init__(
        self,
        made: Reproduction,
        budget: str,
        outputs: Path,
        more: Mapping[str, Read] | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        self.made, self.outputs = made, outputs
        self.name = made.folder(budget, settings)
        self.papers = budget == "paper" and not changing(settings)  # what the authors ran
        self.more = dict(more or {})
        self.lacking: dict[str, str] = {}  # row -> why it has no number
        self.metrics: dict[str, Metric | None] = {}  # row -> the metric that it holds
        self.units: dict[str, Metric | None] = {}  # row -> in whose unit it is shown
        self.fits: set[str] = set()  # rows of what is found of all runs at once, without replicates
        self.values = {label: self.gathered(label) for label in made.series}

    def gathered(self, label: str) -> Values:
        """Return the values of a row."""
        series = self.made.series[label]
        words = [f"name={self.name}", *series.runs]
        found: Values = {}
        whose: dict[tuple[Any, int], Path] = {}  # place, replicate -> the run that it is of
        self.metrics[label] = self.units[label] = None
        try:
            folders = choice.choose(self.outputs, words, "reproduce")
        except UsageError as error:
            self.lacking[label] = str(error).removeprefix("reproduce: ")
            return found
        of_all = across.rows(folders, series.of)
        self.fits |= {label} if len(of_all) else set()
        for folder in folders[:1] if len(of_all) else folders:
            facts = Facts(folder)
            recorded(folder)
            y = facts.column(series.y)
            known = measured(y, facts.metrics)
            self.metrics[label] = known.metric if known else None
            self.units[label] = facts.metric if analyses.measured(y) else self.metrics[label]
            table = of_all if len(of_all) else self.table(series.of, folder)
            for column, word in series.where.items():
                own = table[column].astype(str) if column in table else pd.Series(dtype=str)
                table = table[own == str(word)] if len(own) else table[:0]
            if y not in table:
                continue
            setting = facts.choices.get(series.x, facts.flat.get(series.x))
            if series.x not in table and setting is None:
                self.lacking[label] = f"its runs have neither a column nor a setting {series.x}"
                return {}
            places = table[series.x] if series.x in table else [setting] * len(table)
            for place, value in zip(places, table[y], strict=True):
                if pd.isna(value):
                    continue
                there = nearest(found, place)
                mine = whose.get((there, facts.replicate))
                if mine == folder and there != place:
                    there = place  # levels of one run that lie closer than that
                elif mine:
                    self.lacking[label] = (
                        f"two numbers of replicate {facts.replicate} fit it at {placed(place)} (of "
                        f"{mine.parent.name} and {folder.parent.name}); runs: and where: have "
                        "to tell them apart, or outputs= is another place"
                    )
                    return {}
                whose[there, facts.replicate] = folder
                found.setdefault(there, {})[facts.replicate] = float(value)
        if not found:
            self.lacking[label] = f"no run has {series.y} of {series.of} there"
        return found

    def table(self, of: str, folder: Path) -> pd.DataFrame:
        """Return a table of a run."""
        own: dict[str, Read] = {"levels": results.metrics, "branches": results.branches}
        read = (own | self.more).get(of)
        return read(folder) if read else analyses.rows(folder, of)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a place and series: what was published, what came out, the difference.

        Only at the paper's own budget a difference is taken, and a published number counts as met
        where it is no more than the tolerance, the published spread and half our interval.
        """
        made, found = self.made, []
        places: list[Any] = []
        for label, series in made.series.items():
            for place in [*series.published, *self.values[label]]:
                if not any(alike(place, other) for other in places):
                    places.append(place)
        numbers = all(isinstance(place, int | float) for place in places)
        for place in sorted(places, reverse=True) if numbers else places:
            for label, series in made.series.items():
                metric = self.units[label]
                scale = metric.scale if metric else 1
                value, spread = at(series.published, place, (math.nan, math.nan))
                value, spread = value / scale, spread / scale
                ours = list(at(self.values[label], place, {}).values())
                if not ours and (math.isnan(value) or not self.papers):
                    continue
                mean, low, high = stats.reach(ours, metric)
                half = (high - low) / 2
                row = {"x": series.x, "at": place, "row": label}
                row |= {"published": value, "spread": spread, "mean": mean}
                row |= {"low": low, "high": high, "replicates": len(ours)}
                row |= {"difference": math.nan, "met": ""}
                if self.papers and ours and not math.isnan(value):
                    row["difference"] = mean - value
                    allowed = made.tolerance + sum(e for e in (spread, half) if not math.isnan(e))
                    row["met"] = "yes" if abs(mean - value) <= allowed else "no"
                found.append(row)
        return found

    def judged(self) -> list[dict[str, Any]]:
        """Return a row a claim and place: the mean difference, its interval, and whether it holds.

        Differences are replicate by replicate and above 0 where they are as claimed. `better` and
        `more` hold by a paired t-test, corrected over all of them (Holm); of shares of trials where
        intervals do not overlap; `as_good` and `below` where the interval says so.
        """
        found: list[dict[str, Any]] = []
        for claim in self.made.claims:
            mine = self.values[claim.one]
            theirs = {} if isinstance(claim.other, float | int) else self.values[str(claim.other)]
            dense = DENSE.get(self.made.series[claim.one].x)
            shared = [
                p for p in mine if p != dense and (claim.kind == "below" or at(theirs, p, None))
            ]
            places = claim.at or tuple(shared)
            each = [self.compared(claim, place) for place in places]
            lost = {"claim": claim.say, "at": "", "mean": math.nan, "verdict": NOT_HERE}
            found += [row for row in each if row["verdict"] != NOT_HERE] or [lost]
        tests = stats.tested([row.pop("differences", []) for row in found])
        for row, test in zip(found, tests, strict=True):
            row["verdict"] = row["verdict"] or by_test(row["mean"], test.adjusted)
            row |= {"p": test.p, "p_adjusted": test.adjusted, "family": test.family}
        return found

    def compared(self, claim: Claim, place: Any) -> dict[str, Any]:
        """Return what a claim comes to at a place; without a verdict where a test is to say it."""
        row: dict[str, Any] = {"claim": claim.say, "at": place, "mean": math.nan, "verdict": ""}
        mine: dict[int, float] = at(self.values[claim.one], place, {})
        metric = self.metrics[claim.one]
        if claim.kind == "below":
            differences = [float(claim.other) - v for v in mine.values()]
        else:
            theirs: dict[int, float] = at(self.values[str(claim.other)], place, {})
            judge = metric if metric and claim.kind != "more" else None
            differences = [
                judge.gain(v, theirs[k]) if judge else v - theirs[k]
                for k, v in mine.items()
                if k in theirs
            ]
        mean, low, high = stats.reach(differences)
        row |= {"mean": mean, "low": low, "high": high, "replicates": len(differences)}
        row["unit"] = self.units[claim.one]
        if not differences:
            row["verdict"] = NOT_HERE
        elif metric and metric.trials and claim.kind == "better":
            ours, others = (stats.reach(list(v.values()), metric) for v in (mine, theirs))
            row["verdict"] = apart(ours, others, metric.higher)
        elif claim.one in self.fits or (metric is None and self.counted(claim, place)):
            row["verdict"] = HOLDS if mean > 0 else REVERSED if mean < 0 else OPEN
        elif len(differences) < stats.LEAST:
            row["verdict"] = f"{len(differences)} replicate{'s'[len(differences) < 2:]}: no verdict"
        elif claim.kind in ("as_good", "below"):
            slack = self.made.tolerance if claim.kind == "as_good" else 0.0
            low, high = (mean, mean) if math.isinf(mean) else (low, high)
            row["verdict"] = HOLDS if low >= -slack else REVERSED if high < -slack else OPEN
        else:
            row["differences"] = differences
            row["verdict"] = stats.SAME if stats.same(differences) else ""
        return row

    def counted(self, claim: Claim, place: Any) -> bool:
        """Say whether the rows of a claim hold counts, each the same in all replicates.

        The step at which something was best is none: it hangs on chance.
        """
        rows = [row for row in (claim.one, claim.other) if isinstance(row, str)]
        values = [at(self.values[row], place, {}).values() for row in rows]
        drawn = any(self.made.series[row].y.startswith(BEST) for row in rows)
        return not drawn and all(len({*v}) == 1 and next(iter(v)).is_integer() for v in values)


def by_test(mean: float, p: float) -> str:
    """Return the verdict of a paired test, corrected already."""
    if not p < stats.ALPHA:
        return OPEN
    return HOLDS if mean > 0 else REVERSED


def apart(
    ours: tuple[float, float, float], others: tuple[float, float, float], higher: bool
) -> str:
    """Return the verdict of two intervals (mean, low, high): that they do not overlap."""
    if not higher:
        ours, others = others, ours
    if ours[1] > others[2]:
        return HOLDS
    return REVERSED if others[1] > ours[2] else OPEN


def alike(one: Any, other: Any) -> bool:
    """Say whether two places on the x axis are one; densities may differ by 2 %."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=NEAR)
    return str(one) == str(other)


def at(values: Mapping[Any, Any], place: Any, otherwise: Any) -> Any:
    """Return what stands at a place."""
    return values.get(nearest(values, place), otherwise)


def nearest(places: Iterable[Any], place: Any) -> Any:
    """Return which of some places a place is, the nearest of those that are alike; else itself."""
    some = [each for each in places if alike(each, place)]
    numbers = [each for each in some if isinstance(each, int | float)]
    return min(numbers, key=lambda n: abs(n - place), default=(some or [place])[0])


def numbers_table(found: Measured, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return published numbers and ours for people."""
    judged = any(row["met"] for row in rows)
    heads = [str(rows[0]["x"]) if rows else "", "", "published", "here", "difference", "met"]
    cells = []
    for row in rows:
        metric = found.units[row["row"]]
        ours = around(dict(row), metric) if row["replicates"] else ""
        published = said(row["published"], metric)
        if published and not math.isnan(row["spread"]):
            published += f" \N{PLUS-MINUS SIGN} {said(row['spread'], metric)}"
        change = said(row["difference"], metric, "+")
        cells.append([placed(row["at"]), row["row"], published, ours, change, row["met"]])
    some = len(heads) if judged else 4
    return heads[:some], [row[:some] for row in cells], (heads[0],)


def claims_table(found: Measured, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return claims and what became of them for people."""
    cells = []
    for row in rows:
        metric = row.get("unit")
        change = said(row.get("mean", math.nan), metric, "+")
        if change and not math.isnan(row["low"]):
            change += f" ({said(row['low'], metric, '+')} to {said(row['high'], metric, '+')})"
        cells.append([str(row["claim"]), placed(row["at"]), change, str(row["verdict"])])
    return ["the paper claims", "at", "difference", "here it"], cells, ("at",)


def placed(place: Any) -> str:
    """Return a place on the x axis for people."""
    return f"{place:.4g}" if isinstance(place, float) else str(place)


def said(value: float, metric: Metric | None, sign: str = "") -> str:
    """Return a number for people; "" for NaN."""
    if math.isnan(value):
        return ""
    return metric.shown(value, sign) if metric else numeral(value, sign=sign)
