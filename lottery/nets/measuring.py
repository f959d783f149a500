"""Measure a trained level: its sizes, its multiply-accumulates, the latency of its forms."""

import copy
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from lottery import mask as masks
from lottery.cost import masked as under
from lottery.errors import UsageError
from lottery.levels import Level
from lottery.loop import build
from lottery.nets.compact import compact, compare
from lottery.nets.counting import forward
from lottery.nets.latency import measure
from lottery.nets.sizes import sizes
from lottery.nets.twofour import two_four
from lottery.opening import channels_last
from lottery.wording import near


def describe(
    level: Level, branch: str, device: torch.device, batch: int, repeats: int, warm: int
) -> dict[str, Any]:
    """Return sizes, multiply-accumulates and latencies of a level, each with what it is."""

    run = level.run
    masked = build(run.parts, run.task)
    masked.load_state_dict(level.end.weights)
    small = compacted(level, masked)
    found = small if not isinstance(small, str) else None
    return {
        "run": near(run.folder),
        "level": level.index,
        "branch": branch,
        "density": masks.kept(level.mask) / masks.total(level.mask),
        "kept": masks.kept(level.mask),
        "total": masks.total(level.mask),
        "size": {name: asdict(size) for name, size in sizes(level, found).items()},
        "macs": macs(level, masked, found),
        "latency": latency(level, masked, small, device, batch, repeats, warm),
        "compacted": None if found is None else compare(masked, found, run.task),
    }


def compacted(level: Level, masked: nn.Module) -> nn.Module | str:
    """Return the net without what the mask removed whole, or why there is none."""

    try:
        small = compact(masked, level.mask, level.run.task)
    except UsageError as error:
        return str(error).removeprefix("compact: ")
    before, after = (sum(p.numel() for p in net.parameters()) for net in (masked, small))
    return small if after < before else "the mask removes no channel whole"


def macs(level: Level, masked: nn.Module, small: nn.Module | None) -> dict[str, Any]:
    """Return the multiply-accumulates of one example, and what they could save at best."""

    dense = forward(masked, level.run.task)
    counts = {
        n: {"kept": int(m.count_nonzero()), "total": m.numel()} for n, m in level.mask.items()
    }
    found = {"dense": dense.macs, "kept": under(dense, counts, level.ticket.held).kept}
    if small is not None:
        found["compacted"] = forward(small, level.run.task).macs
    ratios = {k: dense.macs / v if v else None for k, v in found.items() if k != "dense"}
    return {"how": "theoretical", **found, "speedup": ratios}


def latency(
    level: Level, masked: nn.Module, small: nn.Module | str, device: torch.device, batch: int,
    repeats: int, warm: int,
) -> dict[str, Any]:  # fmt: skip
    """Return what is measured of each form, or why it is not."""
    run = level.run
    dense = build(run.parts, run.task)
    dense.load_state_dict(run.initial.weights)
    last = channels_last(run.parts.recipe, device)
    form = torch.channels_last if last else torch.contiguous_format
    nets: dict[str, nn.Module | str] = {"dense": dense, "masked": masked, "compacted": small}
    for name, net in nets.items():
        nets[name] = net if isinstance(net, str) else placed(net, device, form)
    nets["2:4"] = two_four(nets["masked"])  # type: ignore[arg-type]
    if not isinstance(nets["2:4"], str):
        nets["dense, float16"] = placed(dense, device, form).half()
    ready = {name: net for name, net in nets.items() if not isinstance(net, str)}
    example = torch.zeros(batch, *run.task.input_shape, device=device)
    if last and example.dim() == 4:
        example = example.contiguous(memory_format=torch.channels_last)
    batches: dict[str, Tensor] = {
        name: example.to(next(net.parameters()).dtype) for name, net in ready.items()
    }
    times = measure(ready, batches, warm, repeats)
    return {
        "how": "measured",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch": batch,
        "warm": warm,
        "repeats": repeats,
        "channels_last": last,
        "forms": {
            name: {"not_measured": net} if isinstance(net, str) else asdict(times[name])
            for name, net in nets.items()
        },
    }


def placed(net: nn.Module, device: torch.device, form: torch.memory_format) -> nn.Module:
    """Return a copy of a net on a device, in a memory format."""

    copied = copy.deepcopy(net).to(device)
    return copied.to(memory_format=form)  # type: ignore[call-overload,no-any-return]
