from torch import nn

from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.terms.units import Units


def weight(model: nn.Module, task: Task, scores: Scores, mask: Mask) -> Units:
    """Prune single weights: a unit is a weight, its score as it is."""
    return Units(scores, mask, lambda chosen: chosen, whole=False)
