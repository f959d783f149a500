"""Write a level for others: a ticket, a smaller dense net, ONNX, torch.export, a folder.

usage: lottery export RUN level=N|last [as=FORMAT] [to=PATH] [branch=NAME] [weights=start|end]
                      [compact=true] [outputs=DIR]

RUN is a path, an id or a name, or filters, as for `lottery show`. FORMAT is
  ticket       weights at the rewind point and the mask, from which another task can start, by the
               command that is printed
  safetensors  the same of the trained net; the file is a plain state_dict with mask/NAME beside
  dense        the state_dict of a smaller dense net, without what was pruned whole
  onnx         ONNX, the number of examples free (pip install 'lottery[onnx]')
  torch        a program of torch.export (.pt2), the number of examples free
  folder       a folder for the Hugging Face hub: weights, masks, program, config, model card
By default it follows from the suffix of PATH (.safetensors, .onnx, .pt2; a folder ends with /), and
PATH is export_level_NN_FORMAT in the folder of the run. compact=true makes onnx and torch programs
of the smaller dense net. weights are those of the rewind point (start) or after training (end).
Each export is read back, and put in place only where its outputs are those of the net, but for
rounding as the net itself has it in float32, and every pruned weight is 0.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import one_level, one_of, selection, yes
from lottery.errors import UsageError
from lottery.wording.text import public

if TYPE_CHECKING:
    from lottery.exchange.exports import Report
    from lottery.exchange.tickets import Portable
    from lottery.experiment.level import Level

KNOWN = {
    "level": "", "as": "", "to": "", "branch": "", "weights": "", "compact": "false",
    "outputs": "outputs",
}  # fmt: skip
FORMATS = {  # and the suffix
    "ticket": ".safetensors",
    "safetensors": ".safetensors",
    "dense": ".safetensors",
    "onnx": ".onnx",
    "torch": ".pt2",
    "folder": "",
}
SUFFIXES = {".safetensors": "safetensors", ".onnx": "onnx", ".pt2": "torch"}
WEIGHTS = ("start", "end")  # at the rewind point, after training
SMALLER = ("onnx", "torch")  # formats that compact=true is for


def main(arguments: list[str]) -> int:
    """Write the export and say how it compares; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    number = one_level(words, chosen, "export")
    how = format_of(chosen["as"], chosen["to"])
    smaller = yes(chosen, "compact", "export")
    if smaller and how not in SMALLER:
        raise UsageError(
            f"export: compact=true is for as=onnx and as=torch, not for as={how}; as=dense writes "
            "the weights of the smaller net"
        )
    asked = chosen["weights"] or ("start" if how == "ticket" else "end")
    weights = one_of({"weights": asked}, "weights", WEIGHTS, "export")
    from lottery.exchange import exports
    from lottery.exchange.forms import Source
    from lottery.experiment.recorded_run import finished
    from lottery.results import choice, retyped
    from lottery.results.facts import Facts
    from lottery.storage.records import place
    from lottery.wording.text import printable

    folder = choice.one(Path(chosen["outputs"]), words, "export")
    level = finished(folder, number, chosen["branch"], "export")
    name = f"export_{place(level.index, chosen['branch'])}_{how}{FORMATS[how]}"
    target = Path(chosen["to"] or folder / name).expanduser()
    ticket = described(level, folder, chosen["branch"], weights)
    source = Source.of(level, ticket)
    report = exports.write(source, how, target, smaller)
    print(text(report, ticket, how))
    if how == "ticket":
        command = retyped.from_ticket(Facts(folder), target, ticket.about)
        print(f"another task starts from it: {printable(command)}")
    print(printable(target))
    return 0


def format_of(asked: str, to: str) -> str:
    """Return the format, by `as` or by the suffix of `to`; raises UsageError for none."""
    if asked:
        how = one_of({"as": asked}, "as", tuple(FORMATS), "export")
    elif to:
        how = SUFFIXES.get(Path(to).suffix, "folder" if to.endswith("/") else "")
    else:
        how = "safetensors"
    if not how:
        raise UsageError(
            f"export: to={to} says of no format; end it with {', '.join(SUFFIXES)} or /, or give "
            f"as={', as='.join(FORMATS)}"
        )
    suffix = Path(to).suffix
    if suffix in SUFFIXES and suffix != FORMATS[how]:
        raise UsageError(
            f"export: as={how} writes no {suffix} file; give another to= or as={SUFFIXES[suffix]}"
        )
    return how


def described(level: Level, folder: Path, branch: str, weights: str) -> Portable:
    """Return the ticket of a level with all that is known of it."""
    from dataclasses import replace

    import torch

    from lottery.config.defaults import said_of
    from lottery.exchange import finding
    from lottery.machine.version import __version__
    from lottery.results import retyped
    from lottery.results.facts import Facts
    from lottery.storage.settings import read_settings
    from lottery.terms.task import takes

    found = finding.find(level.shelf.path, weights=weights)
    run = Facts(folder)
    typed = str(run.record.get("command", ""))
    about = {
        "level": level.index,
        "branch": branch,
        "run": f"{folder.parents[1].name}/{folder.parent.name}/{folder.name}",
        "span": [level.ticket.span.start, level.ticket.span.stop],
        **takes(level.run.task),
        "tied": {first: every[1:] for first, every in level.run.names.items() if every[1:]},
        "data": level.run.task.fingerprint,
        "steps_per_epoch": level.run.length.steps_per_epoch,
        "length": level.run.length.iteration,
        "result": {k: v for k, v in level.manifest["result"].items() if math.isfinite(v)},
        "metrics": [metric.data() for metric in run.metrics],
        "measured_by": run.record.get("measured_by", {}),
        "said": said_of("model", run.choices.get("model", "")),
        "choices": run.choices,
        "command": public(retyped.alone(run)),
        "sweep": public(typed) if retyped.of_sweep(typed) else None,
        "versions": {"lottery": __version__, "torch": torch.__version__},
    }
    settings = read_settings(folder)
    about |= {key: settings[key] for key in PARTS}
    if start := run.record.get("start"):
        about["began_with"] = start
    return replace(found, about=about | found.about)


PARTS = ("model", "dataset", "train", "prune", "schedule", "rewind", "replicate")  # of the config


def text(report: Report, ticket: Portable, how: str) -> str:
    """Return what was written and how it compares, in words."""
    from lottery.exchange.exports import EXAMPLES
    from lottery.wording.text import in_words

    about: dict[str, Any] = ticket.about
    pruned = about["total"] - about["kept"]
    if report.parameters:
        before, after = report.parameters
        why = "" if after < before else " (the mask removes nothing whole)"
        left = f"{before:,} parameters -> {after:,}{why}"
    else:
        lost = "" if report.zeros == pruned else " (the others have other names)"
        left = f"{report.zeros:,} of {pruned:,} pruned weights are exactly 0{lost}"
    return (
        f"{how}, {in_words(report.size)}: density {about['density']:.6g}, {about['kept']:,} of "
        f"{about['total']:,} weights kept; {left}\n"
        f"read back: outputs of {EXAMPLES} examples differ by {report.difference:.2g} at most "
        f"(the largest output is {report.largest:.3g})"
    )
