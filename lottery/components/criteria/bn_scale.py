import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lottery.errors import UsageError
from lottery.nets import graph
from lottery.nets.graph import Graph
from lottery.terms.mask import Mask, Scores, some
from lottery.terms.task import Task
from lottery.terms.units import output_axes


def bn_scale(
    model: nn.Module, mask: Mask, task: Task, generator: torch.Generator, density: float
) -> Scores:
    """Score all weights of an output channel by |gamma| of the BatchNorm that follows.

    Network slimming, Liu et al. 2017, section 3. Where none follows directly (nets that normalise
    before a convolution), the mean |gamma| of all BatchNorms that read the channel. The output
    layer has none and scores as the largest |gamma|. The paper trains with an L1 penalty on gamma
    (train.slimming=1e-4). Deviation: the density is of weights, not of channels. Raises UsageError
    where a hidden layer has no BatchNorm behind it.
    """
    if not any(isinstance(m, _BatchNorm) and m.affine for m in model.modules()):
        raise UsageError(
            "prune.criterion: bn_scale needs BatchNorms with a scale, and this model has none; "
            "choose another model, or type prune=imp"
        )
    net = graph.trace(model, task)
    scales = {name: scale for name in net.norms if (scale := gamma(model, name)) is not None}
    largest = max(float(scale.max()) for scale in scales.values())
    average = mean_by_channel(net, scales)
    average[net.fixed] = largest
    nothing = torch.full((1,), torch.nan)
    axes = output_axes(model)
    result, bare = {}, []
    for name, keep in mask.items():
        values = scales.get(net.after.get(name, ""))
        if values is None:
            values = average[net.outputs[name]] if name in net.outputs else nothing
        if torch.isnan(values).any():
            bare.append(name)
        shape = [1] * keep.dim()
        shape[axes[name]] = -1
        result[name] = values.to(keep.device).view(shape).expand(keep.shape).contiguous()
    if bare:
        raise UsageError(
            f"prune.criterion: bn_scale finds no BatchNorm behind some layers{some(bare)}; leave "
            "them out by prune.exclude, or type prune=imp"
        )
    return result


def gamma(model: nn.Module, name: str) -> Tensor | None:
    """Return the absolute scales of a BatchNorm, if it has any."""
    scale = model.get_submodule(name).weight
    return scale.detach().abs().float().cpu() if isinstance(scale, Tensor) else None


def mean_by_channel(net: Graph, scales: dict[str, Tensor]) -> Tensor:
    """Return the mean scale of each channel over its BatchNorms, [size]; NaN without any."""
    total, count = torch.zeros(net.size), torch.zeros(net.size)
    for name, scale in scales.items():
        total.index_add_(0, net.norms[name], scale)
        count.index_add_(0, net.norms[name], torch.ones_like(scale))
    return total / count
