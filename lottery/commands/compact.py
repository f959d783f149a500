"""Cut what a level pruned whole out of its net: a smaller one that computes the same.

usage: lottery compact RUN level=N|last [branch=NAME] [at=end|start] [to=DIR] [outputs=DIR]

RUN is a path, an id or a name, or filters, as for `lottery show`. For masks of
prune/structure=channel and neuron. DIR, by default compact_level_NN/ in the folder of the run
(at=start: compact_level_NN_start/), gets the weights after training, or with at=start those that
the level was trained from, the ticket (compact.safetensors), and the shapes of the layers
(compact.json). Other files of these names are not replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lottery.commands import one_level, one_of, selection
from lottery.errors import LotteryError, UsageError

KNOWN = {"level": "", "branch": "", "at": "end", "to": "", "outputs": "outputs"}


def main(arguments: list[str]) -> int:
    """Write and describe the smaller net; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    number = one_level(words, chosen, "compact")
    at = one_of(chosen, "at", ("end", "start"), "compact")
    from lottery.experiment.recorded_run import finished
    from lottery.nets.compact import compact, compare
    from lottery.results import choice
    from lottery.storage import store
    from lottery.storage.records import place
    from lottery.terms.copying import load_
    from lottery.training.start import build
    from lottery.wording.text import first_line, printable

    folder = choice.one(Path(chosen["outputs"]), words, "compact")
    level = finished(folder, number, chosen["branch"], "compact")
    task = level.run.task
    model = build(level.run.parts, task)
    load_(model, level.end.weights if at == "end" else level.ticket.weights)
    try:
        small = compact(model, level.mask if at == "end" else level.ticket.mask, task)
        report = compare(model, small, task)
    except LotteryError:
        raise
    except Exception as error:
        raise UsageError(
            f"compact: this net does not let its channels be followed ({type(error).__name__}: "
            f"{first_line(error)}), so nothing is cut; as=safetensors of lottery export writes it"
        ) from error
    name = f"compact_{place(level.index, chosen['branch'])}{'' if at == 'end' else '_start'}"
    target = Path(chosen["to"] or folder / name).expanduser()
    keep(target, store.pack_tensors(small.state_dict(), {}), report)
    print(text(report))
    print(printable(target))
    return 0


def keep(target: Path, data: bytes, report: dict[str, Any]) -> None:
    """Write weights and report to a folder; raises UsageError where it has those of another net."""
    from lottery.exchange import placing
    from lottery.storage import disk
    from lottery.storage.files import read_plain

    weights, shapes = target / "compact.safetensors", target / "compact.json"
    with disk.touching(weights, "read"):
        same = weights.is_file() and read_plain(weights) == data
    if not same:
        placing.refuse_taken(shapes, "compact")
        placing.put({placing.ALONE: data}, weights, "compact")
    disk.write_json(shapes, report)


def text(report: dict[str, Any]) -> str:
    """Return the report as a table for people."""
    width = max(len(name) for name in ("layer", *report["layers"]))
    lines = [f"{'layer':<{width}}  {'before':<20} after"]
    for name, shapes in report["layers"].items():
        before, after = ("x".join(map(str, shapes[k])) for k in ("before", "weight"))
        lines.append(f"{name:<{width}}  {before:<20} {after}")
    lines.append("")
    for key, name in (("parameters", "parameters"), ("macs", "multiply-accumulates an example")):
        before, after = report[key]
        lines.append(f"{name}: {before:,} -> {after:,} ({100 * after / before:.1f} %)")
    lines.append(
        f"largest difference of outputs: {report['difference']:.2g} "
        f"(the largest output is {report['largest_output']:.3g})"
    )
    return "\n".join(lines)
