from torch import nn

from lottery.errors import UsageError
from lottery.exchange import published, starting
from lottery.storage.installed import place
from lottery.terms.task import Task
from lottery.terms.ticket import State


def pretrained(
    model: nn.Module, task: Task, *, path: str | None, weights: str | None, sha256: str | None
) -> State:
    """Begin with the weights of a net that was trained before, by name.

    `path` is a safetensors file or a folder that holds model.safetensors, of any tool, which may
    lie in an installed package (package:NAME/FOLDER); masks in it are left out. `weights` is the
    name of those that torchvision publishes for its net. Where only the number of classes differs
    the output layer is drawn anew, from the replicate's seed. Raises UsageError where a name or a
    shape is another, and for another content than `sha256`.
    """
    if (path is None) == (weights is None):
        raise UsageError(
            "start.path: give the weights to begin with, start.path=net.safetensors, or with "
            "model=torchvision start.weights=DEFAULT; one of the two"
        )
    if path is not None:
        return starting.of_file(model, task, place(path, "start.path"), sha256)
    return published.of_torchvision(model, task, str(weights), sha256)
