"""Measure how long nets take for a batch, in turns, so that what else the machine does hits all."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lottery.terms.trees import tensors

SHORTEST = 2e-3  # seconds of one measurement: a net that is faster is called several times
FEWEST, LONG = 3, 0.05  # calls of one measurement, unless one takes so many seconds


@dataclass(frozen=True)
class Measured:
    """How long a net took for a batch, and that over the time of the first net at that moment."""

    median: float  # seconds
    low: float  # 5 % of the repeats are below
    high: float  # 5 % are above
    ratio: float  # the median of the ratios, one a repeat; below 1 is faster
    ratio_low: float
    ratio_high: float


@torch.no_grad()
def measure(
    nets: Mapping[str, nn.Module], batches: Mapping[str, tuple[Any, ...]], warm: int, repeats: int
) -> dict[str, Measured]:
    """Return the times of nets in evaluation mode on their inputs; the first is what all face.

    Each repeat measures every net once, the order turned by one each time, as the fastest of some
    calls: what else runs on the machine only ever slows one down. The first `warm` repeats are not
    counted.
    """
    names = list(nets)
    for net in nets.values():
        net.eval()
    calls = {name: calls_of(nets[name], batches[name]) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm + repeats):
        turned = [names[(place + number) % len(names)] for place in range(len(names))]
        for name in turned:
            spent = fastest(nets[name], batches[name], calls[name])
            if number >= warm:
                times[name].append(spent)
    return {name: summary(times[name], times[names[0]]) for name in names}


def summary(own: Sequence[float], first: Sequence[float]) -> Measured:
    """Return the median and the middle 90 % of times, and of their ratios to those of the first."""
    ratios = [a / b for a, b in zip(own, first, strict=True)]
    return Measured(*middle(own), *middle(ratios))


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and the 5 % and 95 % quantiles."""
    low, *_, high = statistics.quantiles([*values], n=20, method="inclusive")
    return statistics.median(values), low, high


def calls_of(net: nn.Module, given: tuple[Any, ...]) -> int:
    """Return how often a net is called for one measurement."""
    once = fastest(net, given, 3)  # which also chooses algorithms and fills caches
    return 1 if once > LONG else max(FEWEST, round(SHORTEST / once))


def fastest(net: nn.Module, given: tuple[Any, ...], calls: int) -> float:
    """Return the seconds of the fastest of so many calls of a net."""
    found = []
    for _ in range(calls):
        wait(given)
        clock = time.perf_counter()
        net(*given)
        wait(given)
        found.append(time.perf_counter() - clock)
    return min(found)


def wait(given: tuple[Any, ...]) -> None:
    """Wait for a GPU to be done."""
    device = next(tensors(given)).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
