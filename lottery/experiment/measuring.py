"""Measure a trained level: its sizes, its multiply-accumulates, the latency of its forms."""

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lottery.config import blame
from lottery.errors import LotteryError
from lottery.experiment.cost import masked as under
from lottery.experiment.level import Level
from lottery.experiment.open_run import channels_last
from lottery.experiment.sizes import sizes
from lottery.nets.compact import compact, compare
from lottery.nets.counting import forward
from lottery.nets.latency import Measured, measure
from lottery.nets.twofour import two_four
from lottery.terms import mask as masks
from lottery.terms.copying import copied, load_
from lottery.terms.task import made_up
from lottery.terms.trees import mapped, tensors
from lottery.training.start import build
from lottery.wording.text import first_line, near

T = TypeVar("T")
HALF = ("2:4", "dense, float16")  # forms whose examples are of float16, too


def describe(
    level: Level, branch: str, device: torch.device, batch: int, repeats: int, warm: int
) -> dict[str, Any]:
    """Return sizes, multiply-accumulates and latencies of a level, each with what it is.

    What a net does not let be measured says why under not_measured, and the rest is there.
    """
    run = level.run
    masked = build(run.parts, run.task)
    load_(masked, level.end.weights)
    small = attempt(lambda: compacted(level, masked))
    against = (
        small if isinstance(small, str) else attempt(partial(compare, masked, small, run.task))
    )
    if isinstance(against, str):
        small = against
    found = None if isinstance(small, str) else small
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
        "compacted": None if isinstance(against, str) else against,
    }


def attempt(make: Callable[[], T]) -> T | str:
    """Return what is made, or in a line why it is not: a net's own code may raise anything."""
    try:
        return make()
    except LotteryError as error:
        return str(error).removeprefix("compact: ").removeprefix("prune: ").partition("; ")[0]
    except Exception as error:  # noqa: BLE001
        told = f"{type(error).__name__}: {first_line(error)}"
        where = blame.whence(error)
        return f"this net does not let it be done ({f'{where}: ' * bool(where)}{told})"


def compacted(level: Level, masked: nn.Module) -> nn.Module | str:
    """Return the net without what the mask removed whole, or why there is none."""
    small = compact(masked, level.mask, level.run.task)
    before, after = (sum(p.numel() for p in net.parameters()) for net in (masked, small))
    return small if after < before else "the mask removes no channel whole"


def macs(level: Level, masked: nn.Module, small: nn.Module | None) -> dict[str, Any]:
    """Return the multiply-accumulates of one example, and what they could save at best."""
    dense = attempt(lambda: forward(masked, level.run.task))
    if isinstance(dense, str):
        nothing = dict.fromkeys(("dense", "kept"), math.nan)
        return {"how": "theoretical", **nothing, "speedup": {}, "not_measured": dense}
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
    load_(dense, run.initial.weights)
    example = in_rows(made_up(run.task, batch, device))
    images = any(t.dim() == 4 for t in tensors(example))
    last = images and channels_last(run.parts.recipe, device) and takes_last(dense, example)
    form = torch.channels_last if last else torch.contiguous_format
    nets: dict[str, nn.Module | str] = {}
    for name, net in (("dense", dense), ("masked", masked), ("compacted", small)):
        nets[name] = net if isinstance(net, str) else attempt(partial(placed, net, device, form))
    nets["2:4"] = attempt(lambda: two_four(masked.to(device)))
    if not isinstance(nets["2:4"], str):
        nets["dense, float16"] = placed(dense, device, form).half()
    if last:
        example = in_rows(example, torch.channels_last)
    ready: dict[str, nn.Module] = {}
    batches: dict[str, tuple[Any, ...]] = {}
    for name, net in nets.items():
        given = mapped(example, in_half) if name in HALF else example
        why = net if isinstance(net, str) else attempt(partial(called, net, given))
        if isinstance(why, str):
            nets[name] = why
        elif not isinstance(net, str):
            ready[name], batches[name] = net, given
    times: dict[str, Measured] = measure(ready, batches, warm, repeats) if ready else {}
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


def in_half(tensor: Tensor) -> Tensor:
    """Return a tensor of floats as float16; another as it is."""
    return tensor.half() if tensor.is_floating_point() else tensor


def in_rows(
    given: tuple[Any, ...], form: torch.memory_format = torch.contiguous_format
) -> tuple[Any, ...]:
    """Return inputs whose images lie in a memory format."""
    return mapped(  # type: ignore[no-any-return]
        given, lambda t: t.contiguous(memory_format=form) if t.dim() == 4 else t
    )


def takes_last(net: nn.Module, given: tuple[Any, ...]) -> bool:
    """Say whether a net runs channels-last, as training falls back where it does not."""
    device, form = next(tensors(given)).device, torch.channels_last
    twin = placed(net, device, form)
    return not isinstance(attempt(partial(called, twin, in_rows(given, form))), str)


@torch.no_grad()
def called(net: nn.Module, given: tuple[Any, ...]) -> None:
    """Call a net once; raises what it raises."""
    net.eval()
    net(*given)


def placed(net: nn.Module, device: torch.device, form: torch.memory_format) -> nn.Module:
    """Return a copy of a net on a device, in a memory format; one of other axes keeps its own."""
    twin = copied(net).to(device)
    try:
        return twin.to(memory_format=form)  # type: ignore[call-overload,no-any-return]
    except RuntimeError:  # a tensor of five axes takes no channels-last of four
        return twin
