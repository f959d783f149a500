from torch import nn

from lottery.nets import channels, graph
from lottery.terms import units
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.terms.units import Units
from lottery.wording.settings import choose

SIDES = {
    "out": (channels.writers,),
    "in": (channels.readers,),
    "both": (channels.writers, channels.readers),
}


def channel(
    model: nn.Module, task: Task, scores: Scores, mask: Mask, *, pool: str, of: str
) -> Units:
    """Remove channels: the filters that make one, and the slices of all weights that read it.

    Channels that a sum, a product or a depthwise convolution ties together are one unit; a
    concatenation or a flattening is followed to the layers behind it. Without its unit a channel
    reaches no output, whatever its bias and BatchNorm are, so it can be cut off. Hidden linear
    layers count as convolutions of one pixel. `of` says whose scores are pooled: of the weights
    that make the channel (out), that read it (in), or both. Raises UsageError for a net with an
    operation that mixes channels.
    """
    sides = choose(SIDES, of, "prune.structure.of")
    net = graph.trace(model, task)
    parts = [part for side in sides for part in side(net, model, scores, mask)]
    pooled, _ = units.pool(parts, net.size, pool)
    every = [p for side in SIDES["both"] for p in side(net, model, scores, mask)]
    _, count = units.pool(every, net.size, "l1")
    return channels.tied(net, model, channels.free(net, mask), pooled, count > 0, mask)
