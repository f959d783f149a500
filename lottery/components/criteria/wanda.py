from typing import Any, Unpack

import torch
from torch import Tensor, nn

from lottery.machine.kernels import plain
from lottery.nets.products import Products
from lottery.pruning import scoring as look
from lottery.pruning.scoring import Examples
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task

aten = torch.ops.aten


@look.takes(gradients=lambda given, weights: 2 / 3)  # a pass, and one for the weights
def wanda(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    **examples: Unpack[Examples],
) -> Scores:
    """Score a weight by |w| ||x||_2, x all that it is multiplied by on the examples.

    Sun et al. 2024, eq. 1, for linear layers. In a convolution x is what the weight meets at
    every position: a norm for each input channel and place in the kernel; in an embedding the
    times that a word comes. They compare the
    scores within a row of a layer; here the allocation decides, and `uniform` is the nearest.
    """
    with look.probing(model, mask, task, generator, temperature=1.0, **examples) as probe:
        met = Met(probe.weights)
        with torch.no_grad(), plain(probe.net), met:
            for index in range(len(probe.batches)):
                look.loss(probe, index)
        return look.narrow(
            {name: w.abs() * met.squares[name].sqrt() for name, w in probe.held.items()}
        )


class Met(Products):  # type: ignore[no-untyped-call]
    """Sum the squares of all that each weight is multiplied by.

    A product is linear in its weight, so for squared inputs the derivative of its summed outputs
    by the weight is that sum, whatever the stride, padding, dilation and groups.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__(weights)
        self.weights = weights
        self.squares = {name: torch.zeros_like(w) for name, w in weights.items()}

    def seen(self, func: Any, args: tuple[Any, ...], made: Any, weight: str | None) -> None:
        if func is aten.embedding and weight is not None:
            words = self.squares[weight]
            times = torch.bincount(args[1].flatten(), minlength=len(words))
            words.add_(times.unsqueeze(1))
        if weight is None or func not in PRODUCTS:
            return
        first = PRODUCTS[func]
        a, b = args[first], args[first + 1]
        used, met = (b, a) if self.name_of(b) == weight else (a, b)
        ones = made.new_ones(()).expand(made.shape)
        square = met * met
        if func is aten.convolution:
            what = [False, True, False]
            found = aten.convolution_backward(ones, square, used, [0], *args[3:9], what)[1]
        elif used is b:
            found = (ones.mT @ square).mT
        else:
            found = ones @ square.mT
        self.add_(weight, used, found)

    def add_(self, name: str, used: Tensor, found: Tensor) -> None:
        """Add what a view of a weight has met to the sums of the weight, in place."""
        whole = self.weights[name]
        for axis, step in enumerate(used.stride()):
            if step == 0:  # the same weights for each of several matrices
                found = found.sum(axis, keepdim=True)
        at = used.storage_offset() - whole.storage_offset()
        self.squares[name].as_strided(found.shape, used.stride(), at).add_(found)


PRODUCTS = {  # and where the first of two factors stands
    aten.mm: 0, aten.bmm: 0, aten.addmm: 1, aten.baddbmm: 1, aten.convolution: 0,
}  # fmt: skip
