from pathlib import Path

from torch import nn

from lottery.errors import UsageError
from lottery.exchange import finding, starting
from lottery.terms.task import Task
from lottery.terms.ticket import State


def ticket(model: nn.Module, task: Task, *, path: str | None, sha256: str | None) -> State:
    """Begin with the weights of an exported ticket, which are 0 where it is pruned, dense again.

    Raises UsageError for a file that is no ticket, one of another model and another content than
    `sha256`; where only the number of classes differs the output layer is drawn anew.
    """
    if path is None:
        raise UsageError("start.path: give a ticket, which lottery export writes: start.path=FILE")
    place = Path(path).expanduser()
    content = starting.checked(place, sha256)
    found = finding.find(place)
    starting.checked(place, content)  # else it was swapped while it was read
    return starting.fitted(model, task, found, place, content)
