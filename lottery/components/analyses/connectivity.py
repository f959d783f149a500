import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.terms.analysis import Finished, Row, Rows
from lottery.terms.step import Span
from lottery.terms.ticket import Ticket, ticket_of

Ends = dict[str, Tensor]
WAYS = ("interpolated", "estimated")


def connectivity(
    level: Finished,
    *,
    points: int,
    steps: list[str],
    controls: list[str],
    splits: list[str],
    batchnorm: str,
    order: int,
    stable: float,
) -> Rows:
    """Train a ticket on two orders of the data, and walk in a line from one net to the other.

    The instability of Frankle et al. 2020: the largest error at `points` places on the line, its
    ends included, minus the mean error of the ends. The first net is the level's own where `steps`
    is empty; else the level's mask is trained from each of these steps of the dense net to its end.
    The running statistics of BatchNorm are `interpolated` like the weights, or `estimated` anew at
    every place by an epoch of training data. Raises UsageError for fewer than three places, order
    0, splits that the task has not, and unknown words.
    """
    if points < 3 or order < 1:
        raise UsageError(
            f"analyses.connectivity: points={points} and order={order} are to be 3 and 1 at least; "
            "type analyses.connectivity.points=30 analyses.connectivity.order=1"
        )
    if batchnorm not in WAYS:
        raise UsageError(
            f"analyses.connectivity.batchnorm={batchnorm} is none of {', '.join(WAYS)}; type "
            f"analyses.connectivity.batchnorm={WAYS[0]}"
        )
    there = [split for split in ("train", "val", "test") if level.task.size(split)]
    if not splits or (lacking := [split for split in splits if split not in there]):
        what = f"{lacking[0]} is none of {', '.join(there)}" if splits else "none is named"
        raise UsageError(
            f"analyses.connectivity.splits: {what}; type "
            f"analyses.connectivity.splits=[{','.join(there)}]"
        )
    pairs: dict[tuple[str, int], list[Ends]] = {}
    for name, ticket in tickets(level, steps, controls):
        start = f"{name}_{ticket.span.start}it" if steps or name != "ticket" else name
        pairs[name, ticket.span.start] = [
            level.train(copy, f"{start}_order_{copy.order}").weights
            for copy in (ticket, replace(ticket, order=ticket.order + order))
        ]
    rows, line = [], []
    for (name, step), ends in pairs.items():
        head: Row = {"mask": name, "step": step}
        level.advance(f"{name} from step {step}: {points} nets in a line")
        found: list[Row] = []
        for alpha in torch.linspace(0, 1, points, dtype=torch.float64).tolist():
            net = level.net(between(ends[0], ends[1], alpha))
            if batchnorm == "estimated":
                estimate_(net, level)
            row: Row = {"alpha": alpha}
            for split in splits:
                each = level.measure(net, split)
                row |= {f"{split}_{key}": each[key] for key in ("error", "loss")}
            found.append(row)
        rows.append(head | instability(found, splits, stable))
        line += [head | row for row in found]
    return {"": rows, "line": line}


def tickets(level: Finished, steps: list[str], controls: list[str]) -> Iterator[tuple[str, Ticket]]:
    """Yield what is trained twice, with the word for its mask."""
    own = level.ticket
    if not steps:
        yield "ticket", own
    stop = level.dense.ticket.span.stop
    for at in dict.fromkeys(steps):
        step = level.step(at)
        if not 0 <= step.iteration < stop:
            raise UsageError(
                f"analyses.connectivity.steps: {at} is not before the end of training, step {stop}"
                "; type analyses.connectivity.steps=[0it,1ep]"
            )
        state = level.dense.state(step)
        yield "ticket", ticket_of(state, own.mask, Span(step.iteration, stop))
    for name in dict.fromkeys(controls) if level.index else ():
        yield name, level.control(name)


def between(one: dict[str, Tensor], other: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Return (1 - alpha) one + alpha other; counts and other whole numbers stay those of one."""
    return {
        name: (1 - alpha) * tensor + alpha * other[name] if tensor.is_floating_point() else tensor
        for name, tensor in one.items()
    }


@torch.no_grad()
def estimate_(net: nn.Module, level: Finished) -> None:
    """Set the running statistics of BatchNorm to the means over an epoch of training data."""
    layers = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    layers = [layer for layer in layers if layer.running_mean is not None]
    if not layers:
        return
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean
        layer.train()
    for batch in level.task.batches("train", 0, 0):
        net(*level.task.inputs(batch))
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
        layer.eval()


def instability(line: list[Row], splits: list[str], stable: float) -> Row:
    """Return what a line comes to on each split; stable is judged on the last of them."""
    found: Row = {}
    for split in reversed(splits):
        for key, name in (("error", "instability"), ("loss", "loss_barrier")):
            values = [row[f"{split}_{key}"] for row in line]
            ends = (values[0] + values[-1]) / 2
            most = math.nan if any(map(math.isnan, values)) else max(values)
            found |= {f"{split}_{name}": most - ends, f"{split}_{key}": ends}
        found.setdefault("stable", "yes" if found[f"{split}_instability"] < stable else "no")
    return found
