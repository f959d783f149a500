import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.pruning import scoring as look
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores
from lottery.terms.prunable import layers
from lottery.terms.task import Task, ones
from lottery.terms.trees import first


@look.takes(examples=1)  # the input of ones
def synflow(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    *,
    double: bool,
    abs_buffers: bool,
) -> Scores:
    """Score a weight by its share |w| dR/d|w| of what flows through the net of absolute weights.

    Tanaka et al. 2020, eq. 4 and algorithm 1: R is the sum of the outputs for one input of ones,
    in evaluation mode; it needs no data. Only parameters are made absolute, so BatchNorm's
    running means keep their signs; `abs_buffers` makes them absolute too, as the authors' code
    does. That code computes in float32; deep nets overflow there, so `double` is the default.
    Raises UsageError where R is not finite, and for an embedding, which a signal passes by.
    """
    net = look.twin(model, double)
    every = net.state_dict() if abs_buffers else dict(net.named_parameters())
    with torch.no_grad():
        for tensor in every.values():
            if isinstance(tensor, Tensor) and tensor.is_floating_point():  # else an extra state
                tensor.abs_()
    weights = {name: p for name, p in net.named_parameters() if name in mask}
    held = {name: w.detach().clone() for name, w in weights.items()}
    masks.apply_(net, mask)
    for weight in weights.values():
        weight.requires_grad_(True)
    dtype = torch.float64 if double else next(iter(weights.values())).dtype
    try:
        signal = ones(task, net, dtype, task.device)
    except UsageError as error:
        raise UsageError(
            f"prune=synflow: {error}; choose another criterion, like prune=snip"
        ) from error
    net.eval()
    with look.in_float64(double):
        total = first(net(*signal)).sum()
    slopes = look.derive(total, weights)
    passed = [n for n, own in layers(net).items() if own.kind.asked and n in held]
    if blind := [name for name in passed if not slopes[name].any()]:
        raise UsageError(
            f"prune=synflow: a signal of ones says nothing of an embedding{masks.some(blind)}; "
            f"type prune.exclude=[{','.join(name.removesuffix('.weight') for name in blind)}]"
        )
    return look.narrow({name: (w * slopes[name]).abs() for name, w in held.items()})
