"""Compare runs: settings that differ, accuracy at common densities, verdicts.

usage: lottery compare [RUN...] [KEY=VALUE[,VALUE...]...] [against=RUN] [metric=test_accuracy]
                       [tolerance=0.005] [format=table|csv|json|markdown] [outputs=DIR]

The replicates of a config are one group; runs and filters are named as for `lottery ls`. Every
group is compared with the first, or with `against`. metric is a column of metrics.csv
(val_accuracy, best_test_accuracy, test_loss, seconds, ...), tolerance a share of accuracy.

  lottery compare 27bf 39d9                        two configs by the starts of their ids
  lottery compare model=resnet20 prune=imp,snip    by filters
  lottery compare prune=imp,random,snip against=imp format=csv

Densities that differ by 2 % or less count as one. Means stand with half of their 95 % interval
(Student's t over the replicates), differences with the whole; a difference is taken replicate by
replicate. p is that of a two-sided paired t-test, and not corrected for the number of comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import selection
from lottery.errors import UsageError
from lottery.wording import printable

if TYPE_CHECKING:
    from lottery.looking.comparison import Group

KNOWN = {"against": "", "metric": "test_accuracy", "tolerance": "0.005", "format": "table",
         "outputs": "outputs"}  # fmt: skip
Laid = Callable[[Sequence[str], list[list[str]], Sequence[str]], str]


def main(arguments: list[str]) -> int:
    """Print the comparison; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    from lottery import formats
    from lottery.looking import choice, comparison

    format = formats.check(chosen["format"], "compare")
    tolerance = share(chosen["tolerance"])
    outputs = Path(chosen["outputs"])
    folders = choice.choose(outputs, words, "compare")
    if not folders:
        raise UsageError(f"compare: {choice.none_there(outputs)}")
    some, first = grouped(outputs, folders, chosen["against"])
    check(some, chosen["metric"])
    rows = comparison.compare(some, chosen["metric"], tolerance, first)
    if not rows:
        reached = "; ".join(f"{g.ident}: {densities(g)}" for g in some)
        raise UsageError(f"compare: these runs have no density in common ({reached})")
    settings = comparison.differing(some)
    if format == "csv":
        print(formats.comma_separated(rows))
    elif format == "json":
        about = {g.label: {"id": g.ident, "folders": g.folders} for g in some}
        by_key = {k: dict(zip(about, v, strict=True)) for k, v in settings.items()}
        more = {"tolerance": tolerance, "notes": list(notes(some, first))}
        print(formats.as_json({"runs": about, "settings": by_key, **more, "rows": rows}))
    else:
        lay = formats.aligned if format == "table" else formats.markdown
        print("\n\n".join(pages(some, settings, rows, tolerance, first, lay)))
    return 0


def share(text: str) -> float:
    """Return the tolerance; raises UsageError for what is none."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < 1:
        raise UsageError(f"compare: tolerance={text} is no share; half a point is tolerance=0.005")
    return found


def grouped(outputs: Path, folders: Sequence[Path], word: str) -> tuple[list[Group], int]:
    """Return the groups, and the number of the one to compare with."""
    from lottery.looking import choice, comparison

    if not word:
        return comparison.groups(folders), 0
    wanted = choice.replicates(outputs, word, "compare")
    if wanted[0].parent not in {f.parent for f in folders}:
        folders = [*wanted, *folders]
    bases = list(dict.fromkeys(f.parent for f in folders))
    return comparison.groups(folders), bases.index(wanted[0].parent)


def check(some: Sequence[Group], metric: str) -> None:
    """Raise UsageError where there is nothing to compare, or no such metric."""
    from lottery.looking import comparison
    from lottery.looking.choice import suggestion

    if not any(group.levels for group in some):
        why = next((w for g in some for w in g.damaged.values()), "none has finished a level")
        raise UsageError(f"compare: nothing to compare: {why}")
    if comparison.has(some, metric):
        return
    known = comparison.metrics(some)
    hint = suggestion(metric, known)
    if metric == "test_accuracy" and "val_accuracy" in known:
        hint = "; type metric=val_accuracy"
    elif "val_" in metric and "val_accuracy" not in known:
        hint = "; there is no validation split (dataset.validation=0)"
    raise UsageError(f"compare: no run has a number of metric={metric}{hint}")


def densities(group: Group) -> str:
    """Return the densities of a group in words."""
    return ", ".join(f"{group.density(level):.4g}" for level in group.levels) or "none yet"


def pages(
    some: Sequence[Group],
    settings: dict[str, list[Any]],
    rows: Sequence[dict[str, Any]],
    tolerance: float,
    first: int,
    lay: Laid,
) -> Iterator[str]:
    """Yield what is printed for people: runs, settings, the comparison, how to read it."""
    from lottery import stats

    yield lay(*legend(some))
    if len(some) > 1:
        yield (
            "settings that differ\n\n" + lay(*settings_table(some, settings))
            if settings
            else ("no setting that decides the numbers differs")
        )
    metric = str(rows[0]["metric"])
    percent = metric.endswith("accuracy")
    place = "at common densities" if len(some) > 1 else "at each density"
    title = f"{metric.replace('_', ' ')}{' in %' if percent else ''} {place}"
    yield f"{title}\n\n{lay(*results_table(some, rows, first, percent))}"
    said = [printable(note) for note in notes(some, first)]
    if percent:
        said.append(f"{stats.RULE}\n  tolerance      {100 * tolerance:.4g} points")
    if len(some) > 1:
        said.append(
            "p: paired t-test over replicates, two-sided, not corrected for multiple comparisons"
        )
    yield "\n".join(said)


def legend(some: Sequence[Group]) -> tuple[list[str], list[list[str]], tuple[str, ...]]:
    """Return what the letters stand for."""
    from lottery.looking.facts import Facts

    heads = ["run", "id", "name", "model", "dataset", "method", "rewind", "replicates", "levels"]
    rows = []
    for group in some:
        whose = group.facts.whose
        count = len(group.folders) - len(group.damaged)
        asked = {Facts(f).record.get("levels_asked", "?") for f in group.folders}
        done = f"{max(group.levels, default=0)}/{'?' if len(asked) > 1 else asked.pop()}"
        cells = [whose[key] for key in ("id", "name", "model", "dataset", "method", "rewind")]
        rows.append([group.label, *map(printable, cells), str(count), done])
    if all(r[2] == "_".join(r[3:6]).replace("/", "-") for r in rows):  # the name says no more
        heads, rows = [*heads[:2], *heads[3:]], [[*r[:2], *r[3:]] for r in rows]
    return heads, rows, ("replicates", "levels")


def settings_table(
    some: Sequence[Group], settings: dict[str, list[Any]]
) -> tuple[list[str], list[list[str]], tuple[str, ...]]:
    """Return the settings that differ: a line a setting, or of many groups a line a group."""
    from lottery.looking.choice import spelled

    cells = {
        key: [
            printable(spelled(value)) if key in group.settings else "-"
            for group, value in zip(some, values, strict=True)
        ]
        for key, values in settings.items()
    }
    labels = [group.label for group in some]
    if len(some) <= len(settings) + 2:
        return ["setting", *labels], [[printable(k), *v] for k, v in cells.items()], ()
    rows = [[label, *(v[i] for v in cells.values())] for i, label in enumerate(labels)]
    return ["run", *map(printable, cells)], rows, ()


def results_table(
    some: Sequence[Group], rows: Sequence[dict[str, Any]], first: int, percent: bool
) -> tuple[list[str], list[list[str]], tuple[str, ...]]:
    """Return a line a density and group: mean, change to dense, verdict, change to the first."""
    heads = ["density", "run", "mean", "change to dense", "verdict"]
    heads += [f"change to {some[first].label}", "p"] if len(some) > 1 else []
    cells = []
    for row in rows:
        mean = around(row["mean"], row["high"] - row["mean"], row["replicates"], percent)
        dense = change(row, "dense_difference", "dense_low", "dense_high", percent)
        other = change(row, "difference", "difference_low", "difference_high", percent)
        if other and row["pairs"] < row["replicates"]:
            other += f" n={row['pairs']}"
        verdict = row["verdict"] if row["density"] < 1 else "(dense)"
        line = [f"{row['density']:.4g}", row["run"], mean, dense, verdict, other,
                probability(row["p"])]  # fmt: skip
        cells.append(line[: len(heads)])
    return heads, cells, ()


def around(mean: float, reach: float, count: int, percent: bool) -> str:
    """Return a mean, half of its interval, and of how many: 97.21 ± 0.34 (n=3)."""
    if math.isnan(mean):
        return ""
    said = f"{100 * mean:.2f}" if percent else f"{mean:.4g}"
    if not math.isnan(reach):
        said += f" ± {100 * reach:.2f}" if percent else f" ± {reach:.2g}"
    return f"{said} (n={count})"


def change(row: dict[str, Any], key: str, low: str, high: str, percent: bool) -> str:
    """Return a difference and its interval, +0.09 (-0.44 to +0.62), unless all are equal."""
    mean, ends = row[key], (row[low], row[high])
    if math.isnan(mean):
        return ""
    mean, *between = (f"{100 * v:+.2f}" if percent else f"{v:+.4g}" for v in (mean, *ends))
    if ends[0] == ends[1]:
        return f"{mean} (all equal)"
    return mean if math.isnan(ends[0]) else f"{mean} ({between[0]} to {between[1]})"


def probability(p: float) -> str:
    """Return a p for people."""
    return "" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def notes(some: Sequence[Group], first: int) -> Iterator[str]:
    """Yield what a reader has to know of these runs before trusting the table, a line each."""
    from lottery.looking.facts import Facts

    for group in some:
        for folder, why in group.damaged.items():
            yield f"note: {folder} is left out: {why}"
        if not group.settings:
            yield f"note: the settings of {group.label} cannot be read"
    data = {frozenset(group.data) for group in some if group.data}
    if len(data) > 1 or any(len(each) > 1 for each in data):
        yield "note: these runs were trained on different data, which may explain a difference"
    there = {Facts(folder).replicate for folder in some[first].folders}
    for group in some:
        if not there & {Facts(folder).replicate for folder in group.folders}:
            pair = f"{group.label} and {some[first].label}"
            yield f"note: {pair} have no replicate in common, so they are not tested in pairs"
