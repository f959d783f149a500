from collections.abc import Callable

import torch
from torch import Tensor, nn

from lottery.nets import channels, graph
from lottery.terms import units
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.terms.units import Units
from lottery.wording.settings import choose


def product(into: Tensor, out: Tensor) -> Tensor:
    """Return the product of two scores, below 0 where either is."""
    size = into * out
    return torch.where((into < 0) | (out < 0), -size.abs(), size)


COMBINE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"product": product, "sum": torch.add}


def neuron(
    model: nn.Module, task: Task, scores: Scores, mask: Mask, *, pool: str, combine: str
) -> Units:
    """Remove neurons of hidden linear layers: the weights into one together with those out of it.

    Frankle & Carbin 2018 (arXiv v1), section 2, prune units of the XOR net by the product of the
    magnitudes of their in- and out-weights. `pool` is taken over each side alone, `combine` joins
    the two. Convolutions stay whole, but for the slices of linear layers behind them.
    """
    join = choose(COMBINE, combine, "prune.structure.combine")
    net = graph.trace(model, task)
    into, count_in = units.pool(channels.writers(net, model, scores, mask), net.size, pool)
    out, count_out = units.pool(channels.readers(net, model, scores, mask), net.size, pool)
    removable = channels.free(net, mask)
    layers = dict(model.named_modules())
    for name, made in net.outputs.items():
        if not isinstance(layers[name.removesuffix("weight").removesuffix(".")], nn.Linear):
            removable[made] = False
    alive = count_in + count_out > 0
    return channels.tied(net, model, removable, join(into, out), alive, mask)
