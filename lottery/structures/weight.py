from torch import nn

from lottery.mask import Mask, Scores
from lottery.task import Task
from lottery.units import Units


def weight(model: nn.Module, task: Task, scores: Scores, mask: Mask) -> Units:
    """Prune single weights: a unit is a weight, its score as it is."""
    return Units(scores, mask, lambda chosen: chosen, whole=False)
