"""Make a new mask: criterion -> structure -> rounds -> allocation."""

from torch import nn

from lottery import mask as masks
from lottery import seeds
from lottery.errors import UsageError
from lottery.mask import Mask
from lottery.parts import Pruning
from lottery.task import Task


def prune(
    model: nn.Module, mask: Mask, density: float, task: Task, seed: int, how: Pruning
) -> Mask:
    """Return the mask that keeps round(density * total) weights of `mask`, never one more.

    `model` holds the weights that are scored; its pruned weights are set to 0.0, in place.
    Raises UsageError where the density is above that of `mask` or leaves nothing.
    """
    wanted = masks.count(density, mask)
    start = masks.kept(mask) / masks.total(mask)
    if wanted > masks.kept(mask):
        raise UsageError(
            f"prune: density {density:.6g} is above the {start:.6g} that is left; "
            "a pruned weight never comes back"
        )
    if wanted < 1:
        raise UsageError(f"prune: density {density:.6g} of {masks.total(mask)} weights keeps none")
    for number in range(1, how.rounds + 1):
        target = density if number == how.rounds else on_path(start, density, number, how)
        masks.apply_(model, mask)
        draw = seeds.generator(seed, "prune", number)
        scores = how.structure(how.criterion(model, mask, task, draw), mask)
        pruned = how.allocation(scores, mask, target)
        masks.check(mask, pruned, masks.count(target, mask))
        mask = pruned
    return mask


def on_path(start: float, end: float, number: int, how: Pruning) -> float:
    """Return the density after round `number`, between `start` and `end`."""
    done = number / how.rounds
    if how.path == "linear":
        return start + (end - start) * done
    return float(start * (end / start) ** done)
