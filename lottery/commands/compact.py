"""Cut what a level pruned whole out of its net: a smaller one that computes the same.

usage: lottery compact RUN level=N [branch=NAME] [to=DIR] [outputs=DIR]

RUN is a path, an id or a name, or filters, as for `lottery show`. For masks of
prune/structure=channel and neuron. DIR, by default compact_level_NN/ in the folder of the run, gets
the weights after training (compact.safetensors) and the shapes of the layers (compact.json).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import one_level, selection

if TYPE_CHECKING:
    from torch import nn

    from lottery.task import Task

KNOWN = {"level": "", "branch": "", "to": "", "outputs": "outputs"}
EXAMPLES = 100  # whose outputs are compared


def main(arguments: list[str]) -> int:
    """Write and describe the smaller net; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    number = one_level(words, chosen["level"], "compact")
    from lottery.levels import place
    from lottery.looking import choice
    from lottery.loop import build
    from lottery.nets.compact import compact
    from lottery.reopen import finished
    from lottery.storage import disk, store

    folder = choice.one(Path(chosen["outputs"]), words, "compact")
    level = finished(folder, number, chosen["branch"], "compact")
    task = level.run.task
    model = build(level.run.parts, task)
    model.load_state_dict(level.end.weights)
    small = compact(model, level.mask, task)
    report = describe(model, small, task)
    target = Path(chosen["to"] or folder / f"compact_{place(level.index, chosen['branch'])}")
    disk.make_folder(target)
    tensors = {name: tensor.contiguous() for name, tensor in small.state_dict().items()}
    disk.write(target / "compact.safetensors", store.pack_tensors(tensors, {}))
    disk.write_json(target / "compact.json", report)
    print(text(report))
    print(target)
    return 0


def describe(model: nn.Module, small: nn.Module, task: Task) -> dict[str, Any]:
    """Return the shapes of each layer in both nets, their sizes, and how far their outputs are."""
    import torch

    from lottery import mask as masks
    from lottery import seeds
    from lottery.nets.compact import macs

    batches = task.scoring_batches(seeds.generator(0, "compact"), size=EXAMPLES)
    model.eval()
    small.eval()
    with torch.no_grad():
        outputs = [(model(inputs), small(inputs)) for inputs, _ in batches]
    kept = dict(small.named_parameters())
    layers = {
        name.removesuffix(".weight"): {"before": list(old.shape), "weight": list(kept[name].shape)}
        for name, old in masks.prunable(model).items()
    }
    return {
        "layers": layers,
        "parameters": [sum(p.numel() for p in net.parameters()) for net in (model, small)],
        "macs": [sum(macs(net, task).values()) for net in (model, small)],
        "difference": max(float((a - b).abs().max()) for a, b in outputs),
        "largest_output": max(float(a.abs().max()) for a, _ in outputs),
    }


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
