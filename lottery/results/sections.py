"""Say section by section what there is to know of one run. Imports neither torch nor hydra."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from lottery.config import defaults
from lottery.errors import DamagedError, DiskError, UsageError
from lottery.progress import pulse
from lottery.results import analyses, measures, results, sanity
from lottery.results.facts import Facts, number
from lottery.results.filters import shortened
from lottery.results.folders import lost, runs_in
from lottery.results.formats import about, aligned, short
from lottery.results.living import error_of, line, to_go_on
from lottery.results.origins import origins
from lottery.results.retyped import alone, config_dir, of_sweep, places
from lottery.storage import records
from lottery.terms.metric import Metric
from lottery.wording import text as wording
from lottery.wording.commands import from_here
from lottery.wording.text import printable

RECORD = ("followed_by", "started", "ended", "seconds", "device", "gpu", "threads", "torch",
          "lottery", "git", "packages", "host", "drift")  # fmt: skip
LAYERS, LEVELS = 12, 10  # that a table shows of a large net
COSTS = {  # row -> (a level's own column, that of its ticket with the search for it, unit)
    "steps": ("steps", "ticket_steps", ""),
    "examples seen": ("examples", "ticket_examples", ""),
    "multiply-accumulates, dense": ("training_macs", "ticket_macs", ""),
    "... of the weights kept": ("training_macs_kept", "ticket_macs_kept", ""),
    "seconds": ("seconds", "ticket_seconds", "s"),
    "energy (estimate, of those kept)": ("energy", "ticket_energy", "J"),
}


def sections(run: Facts, layers: str, correction: str = "holm") -> Iterator[str]:
    """Yield what there is to say of a run, a section each; raises DamagedError on the way.

    `layers` is "" for a table of layers that fits a terminal, "all", or names with commas;
    `correction` that of the verdicts.
    """
    yield heading(run)
    yield settings(run)
    levels = results.metrics(run.folder)
    if len(levels):
        table = results.level_table(levels.to_dict("records"), run.metric)
        yield f"levels: {measured(run.metric, run.chance)}\n{table}\n"
        yield from before_and_after(levels.to_dict("records"), run)
        yield from layer_table(results.read_table(run.folder, "layers.csv"), layers)
        if unmasked := run.record.get("unmasked"):
            yield f"{wording.unmasked(unmasked)}\n"
        yield "\n  ".join(["where the levels come from", *origins(run)]) + "\n"
        yield from costs(levels.to_dict("records"))
    yield from branches(run, levels)
    yield from (f"{text}\n" for text in analyses.texts([run.folder]))
    yield from verdicts(run, correction)


def before_and_after(levels: Sequence[Mapping[Any, Any]], run: Facts) -> Iterator[str]:
    """Yield what each level reached before its training and after it, and the gap to training."""
    name, metric = run.metric.name, measures.written_as(f"gap_{run.metric.name}", run.metrics)
    heads, rows = ["level", "before training", "test", "training", "gap"], []
    for row in levels:
        cells = [row.get(f"{split}_{name}") for split in ("start_test", "test", "train")]
        gap = measures.gaps(row, run.metrics).get(f"gap_{name}")
        shown = metric.shown(gap, "+", row.get(f"test_{name}")) if metric else ""
        rows.append([str(row["level"]), *map(run.metric.shown, cells), shown])
    filled = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    if filled[1:] not in ([], [2]):
        heads, rows = [heads[i] for i in filled], [[row[i] for i in filled] for row in rows]
        unit = " in %" * run.metric.percent
        said = f"{run.metric.label}{unit} before a level's first step and after its last one"
        yield f"{said}\n{aligned(heads, rows, heads)}\n"


def measured(metric: Metric, chance: float | None) -> str:
    """Return what stands in a table of levels: accuracy in %, chance 10.00."""
    said = [metric.label + " in %" * metric.percent]
    said += [] if chance is None else [f"chance {metric.shown(chance)}"]
    said += [] if metric.higher else ["vs dense + is better"]
    return ", ".join(said)


def heading(run: Facts) -> str:
    """Return the folder, how far the run came, and what run.json says."""
    row, sign = run.row, pulse.read(run.folder)
    asked = "?" if row["levels_asked"] is None else row["levels_asked"]
    left = f", {about(row['left'])} left" if row["left"] is not None else ""
    none = row["density"] is None
    reached = [f"no level of {asked} yet" if none else f"level {row['levels']} of {asked}"]
    if row["state"] == records.UNREAD:
        reached = ["not known: the disk did not let the records of the run be read"]
    if row["state"] == "damaged":
        reached = ["not known: the record of its levels or of the run is damaged"]
    reached += [] if none else [f"density {row['density']:.4g}"]
    for split in ("val", "test"):
        value = row[f"{split}_{run.metric.name}"]
        said_so = f"{split} {run.metric.label} {run.metric.said(value)}"
        reached += [said_so] if value is not None else []
    said: list[tuple[str, Any]] = [("state", f"{row['state']}{left}")]
    said.append(("reached", ", ".join(reached)))
    said += [("at work", line(sign, run.metric))] if sign and row["state"] == "running" else []
    said += [("error", error_of(run)), ("to go on", to_go_on(run)), *commands(run)]
    said += [("warning", one.line) for one in run.warnings]
    for key in RECORD:
        value = run.record.get(key)
        said += [(key, each) for each in (value if isinstance(value, list) else [value])]
    lines = [str(run.folder)]
    for key, each in said:
        text = f"{each:.1f}" if isinstance(each, float) else each
        lines += [] if each in (None, "", 0.0) else [f"  {key.replace('_', ' '):<11} {text}"]
    return "\n".join([*map(printable, lines), ""])


def commands(run: Facts) -> list[tuple[str, str]]:
    """Return the command that makes this run, and that of the sweep that it was one of."""
    recorded = str(run.record.get("command") or "")
    if not of_sweep(recorded):
        return [("command", recorded)]
    made = from_here(alone(run), run.folder.parents[2])
    return [("command", made), ("the sweep", recorded)]


def settings(run: Facts) -> str:
    """Return the options of a run, and the settings that differ from theirs."""
    if not run.settings:
        return "settings: config.yaml is damaged\n"
    if not run.choices:
        head = "settings: all of them, since run.json does not say which options they come from"
        pairs = {key: shortened(value) for key, value in run.flat.items()}
    else:
        own = places(run)
        head = f"settings: {' '.join([*defaults.options(run.choices, own), *config_dir(run)])}"
        changed = defaults.changed(run.settings, run.choices, own)
        head += "" if changed else ", and nothing else"
        pairs = {k: f"{shortened(v)} (default {shortened(d)})" for k, (v, d) in changed.items()}
    width = max(map(len, pairs), default=0)
    lines = [head, *(f"  {key:<{width}}  {said}" for key, said in pairs.items())]
    return "\n".join([*map(printable, lines), ""])


def layer_table(layers: pd.DataFrame, asked: str) -> Iterator[str]:
    """Yield a table of layers by levels: the share of each layer's weights that is kept."""
    if not {"layer", "level", "density", "total"} <= {*layers}:
        return
    names = list(dict.fromkeys(layers["layer"].astype(str)))
    patterns = ["*"] if asked in ("", "all") else asked.split(",")
    wanted = [name for name in names if any(fnmatchcase(name, p) for p in patterns)]
    if not wanted:
        raise UsageError(f"show: layers={asked} fits none of {', '.join(names)}")
    every = list(dict.fromkeys(layers["level"]))
    levels = spread(every, len(every) if asked == "all" else LEVELS)
    cells = {(str(r["layer"]), r["level"]): r for r in layers.to_dict("records")}
    rows = []
    for name in ends(wanted, len(wanted) if asked else LAYERS):
        own = [cells.get((name, level), {}) for level in levels]
        total = next((f"{r['total']:,}" for r in own if r), "")
        rows.append([name, total, *(f"{r['density']:.3g}" if r else "" for r in own)])
    heads = ["layer", "weights", *(f"level {levels[0]}", *map(str, levels[1:]))]
    whole = len(rows) == len(wanted) and len(levels) == len(every)
    hint = "" if whole else " (layers=all shows every layer and level)"
    yield f"layers: share of the weights that is kept, by level{hint}"
    yield aligned(heads, rows, heads[1:]) + "\n"


def ends(names: Sequence[str], most: int) -> list[str]:
    """Return the names; of many, the first and the last ones and how many there are between."""
    if len(names) <= most:
        return list(names)
    half = most // 2
    return [*names[:half], f"... {len(names) - 2 * half} more", *names[-half:]]


def spread(levels: Sequence[Any], most: int) -> list[Any]:
    """Return the levels; of many, some that are evenly apart, the first and last among them."""
    if len(levels) <= most:
        return list(levels)
    return [levels[round(i * (len(levels) - 1) / (most - 1))] for i in range(most)]


def costs(levels: Sequence[Mapping[Any, Any]]) -> Iterator[str]:
    """Yield what the dense level, the last one and its ticket cost, as far as the table knows."""
    first, last = levels[0], levels[-1]
    heads = ["training", f"level {first['level']}", f"level {last['level']}",
             f"ticket of level {last['level']}, search included"]  # fmt: skip
    rows = []
    for what, (own, ticket, unit) in COSTS.items():
        values = [number(first.get(own)), number(last.get(own)), number(last.get(ticket))]
        if any(value is not None for value in values):
            rows.append([what, *("" if v is None else short(v, unit) for v in values)])
    if len(levels) == 1:
        heads, rows = heads[:2], [row[:2] for row in rows]
    dense, kept = number(last.get("macs")), number(last.get("macs_kept"))
    if dense is not None and kept is not None:
        yield (
            f"cost: a forward pass of one example takes {short(dense)} multiply-accumulates, "
            f"{short(kept)} of the weights that level {last['level']} keeps"
        )
    elif rows:
        yield "cost"
    filled = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    heads, rows = [heads[i] for i in filled], [[row[i] for i in filled] for row in rows]
    if rows:
        yield f"{aligned(heads, rows, heads[1:])}\n"


def branches(run: Facts, levels: pd.DataFrame) -> Iterator[str]:
    """Yield a table a branch, under the dense level."""
    found = results.branches(run.folder)
    if not len(found):
        return
    for table in results.branch_tables(levels.iloc[:1].to_dict("records"), found, run.metric):
        yield f"{table}\n"


def verdicts(run: Facts, correction: str) -> Iterator[str]:
    """Yield the verdicts on the config over its replicates, with those that they leave out."""
    rows, why = judged(run, correction)
    if rows:
        named = [printable(f"sanity: {line}") for line in why]
        yield "\n".join([*named, sanity.sanity_table(rows, run.metric)])
    elif why:
        yield printable(f"sanity: not judged: {'; '.join(why)}")


def judged(run: Facts, correction: str = "holm") -> tuple[list[dict[str, Any]], list[str]]:
    """Return the verdicts on the config over its replicates, and a line for each left out."""
    sound, why = [], []
    for folder in runs_in(run.folder.parent):
        try:
            results.sound(folder)
            sound.append(folder)
        except (DamagedError, DiskError) as error:
            why.append(f"{folder.name} is left out: {error}")
    rows = sanity.judge(sound, correction=correction)
    return rows, [*why, *(lost([run.folder]) if rows else ())]
