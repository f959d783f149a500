import torch
from torch import nn

from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.training import search
from lottery.training.momentum import SGD


def movement(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    *,
    length: str,
    lr: float,
    momentum: float,
) -> Scores:
    """Score a weight by how far training moves it away from zero: -sum over steps of w dL/dw.

    Sanh et al. 2020, up to a factor, over `length` of plain SGD on a copy, from the
    state that is scored. Pruned weights stay 0.0; one that the model still holds is scored with
    its value there. Differs from the paper: the mask is that of the round and does not follow the
    scores during training, which is SGD at a constant rate and not Adam's. Raises UsageError for
    a length below one step.
    """
    total = search.steps_in("length", length, task)
    seed = search.seed_of(generator)
    copied = search.replica(model, mask, task)
    learned = [p for p in copied.parameters() if p.requires_grad]
    optimizer = SGD(learned, lr=lr, momentum=momentum, fused=True)
    here = {name: m.to(task.device) for name, m in mask.items()}
    weights = {name: copied.get_parameter(name) for name in mask}
    held = {n: model.get_parameter(n).detach().masked_fill(keep, 0.0) for n, keep in here.items()}
    sums = {name: torch.zeros_like(w) for name, w in weights.items()}
    kept = {f"sums/{name}": summed for name, summed in sums.items()}
    for _ in search.steps(copied, task, seed, total, optimizer, kept):
        for name, weight in weights.items():
            gradient = search.gradient_of(weight)
            sums[name].addcmul_(gradient, weight.detach() + held[name], value=-1)
            gradient.mul_(here[name])
        optimizer.step()
    search.check_finite(sums, total)
    return search.finished(sums, mask)
