from torch import nn

from lottery.terms.task import Task
from lottery.terms.ticket import State
from lottery.training.start import state_of


def init(model: nn.Module, task: Task) -> State:
    """Begin with the initial weights that the model draws, other ones for each replicate."""
    return state_of(model, task)
