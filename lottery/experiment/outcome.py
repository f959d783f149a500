"""Write what a trained level leaves: its tensors, its curve, its numbers, the manifest last."""

import math
from dataclasses import replace
from typing import Any

from lottery.experiment.run import Run
from lottery.machine.environment import fingerprint
from lottery.storage import disk
from lottery.storage.files import digest
from lottery.storage.store import Shelf
from lottery.storage.tables import table
from lottery.terms import mask as masks
from lottery.terms.kept import FORMAT, variant_of
from lottery.terms.metric import EXTREME, LOSS, Metric
from lottery.terms.snapshots import pack
from lottery.terms.ticket import Ticket
from lottery.training.loop import Training
from lottery.training.monitor import layer_report
from lottery.training.resume import snapshot
from lottery.training.train import evaluate


def leave(run: Run, ticket: Ticket, shelf: Shelf, training: Training) -> None:
    """Write what a trained level leaves, the manifest last."""
    bits = masks.pack(ticket.mask)
    tensors = {f"weights/{k}": v for k, v in ticket.weights.items()}
    tensors |= {f"mask/{k}": v for k, v in bits.items()}
    tensors |= {f"task/{k}": v for k, v in ticket.memory.items()}
    span = [ticket.span.start, ticket.span.stop]
    about = {"layers": list(ticket.mask), "span": span, "variant": variant_of(ticket)}
    about["tensors"] = list(training.model.state_dict())  # in the model's order
    end = replace(snapshot(training), optimizer=None, mask=None)
    files = dict(training.saved)
    shapes = {name: list(m.shape) for name, m in training.mask.items()}
    mask = masks.pack(training.mask)
    files["mask.safetensors"] = shelf.write_tensors("mask.safetensors", mask, {"shapes": shapes})
    files["ticket.safetensors"] = shelf.write_tensors("ticket.safetensors", tensors, about)
    files["end.safetensors"] = shelf.write_tensors("end.safetensors", *pack(end))
    layers = layer_report(
        training.model, run.task, training.mask, ticket.weights, end.weights, run.watch.warn_once
    )
    curve = table(training.curve)
    disk.write(shelf.path / "curve.csv", curve)
    files["curve.csv"] = digest(curve)
    shelf.finish(
        {
            "key": shelf.key,
            "format": FORMAT,
            "trained_by": run.identity,
            "files": files,
            "result": result(run, ticket, training) | summary(layers),
            "layers": layers,
            "environment": fingerprint(run.task.device),
            "drift": training.drift,
            "lowered": training.lowered,
            "steps_per_epoch": run.length.steps_per_epoch,
            "length": run.length.iteration,
            "data": run.task.fingerprint,
        }
    )


def result(run: Run, ticket: Ticket, training: Training) -> dict[str, Any]:
    """Return the numbers of a trained level, as they stand in metrics.csv."""
    kept, total = masks.kept(ticket.mask), masks.total(ticket.mask)
    last = training.curve[-1]
    found = evaluate(training, "train")
    names = ["loss", *(metric.name for metric in run.task.metrics)]
    best = best_row(training.curve, run.task.metrics[0])
    first = training.curve[0] if training.curve[0]["step"] == ticket.span.start else {}
    steps = ticket.span.stop - ticket.span.start
    examples = steps / run.task.steps_per_epoch * run.task.size("train")

    def of(*splits: str) -> list[str]:
        return [f"{split}_{name}" for split in splits for name in names]

    return {
        "density": kept / total,
        "sparsity": 1 - kept / total,
        "compression": total / kept,
        "kept": kept,
        "total": total,
        "step": ticket.span.stop,
        "epoch": last["epoch"],
        **{f"train_{name}": found.get(name, math.nan) for name in names},
        **{k: last.get(k, math.nan) for k in of("val", "test")},
        "best_step": best.get("step", math.nan),
        **{f"best_{k}": best.get(k, math.nan) for k in of("val")},
        **{f"best_test_{name}": best.get(f"test_{name}", math.nan) for name in names[1:]},
        **{f"start_{k}": first.get(k, math.nan) for k in of("val", "test")},
        "rollbacks": len(training.lowered),
        "seconds": training.seconds + training.evaluating,
        "examples_per_second": examples / training.seconds if training.seconds else math.nan,
    }


def best_row(curve: list[dict[str, float]], metric: Metric) -> dict[str, float]:
    """Return the row of the lowest validation loss, the first of equals; {} without validation.

    Where a task has no loss to compare over time, it is the row of the metric's best value.
    """
    for measure in (LOSS, metric):
        column = f"val_{measure.name}"
        rows = [row for row in curve if math.isfinite(row.get(column, math.nan))]
        if rows:
            return EXTREME[measure.better](rows, key=lambda row: row[column])
    return {}


def summary(layers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what the monitors say of the whole net; NaN where a layer hides its paths."""
    total = sum(layer["total"] for layer in layers.values())
    collapsed = [name for name, layer in layers.items() if layer["collapsed"]]
    return {
        "effective_density": sum(layer["effective"] for layer in layers.values()) / total,
        "collapsed_layers": len(collapsed),
    }
