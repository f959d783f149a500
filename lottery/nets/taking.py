"""Take a net as people bring it: make its layers, read its scores, see what memory it takes."""

import contextlib
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lottery.errors import UsageError
from lottery.nets.graph import evaluating
from lottery.terms.task import Task, made_up
from lottery.terms.trees import first, forms, mapped, tensors

FEW = 2  # examples of a trial: BatchNorm takes no fewer
OURS = (Path(__file__).parent.parent, Path(torch.__file__).parent)


def taken(model: object, task: Task) -> nn.Module:
    """Return what a model's function gave, ready to be trained.

    Lazy layers are made by a made-up pass. Where the task wants scores [B, K], a forward that gives
    more gives only those from now on. Raises UsageError for what is no net, or not one that can be
    followed.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"model: its function gives a {type(model).__name__}, where a torch.nn.Module is "
            "wanted; let it return the net"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError(
            "model: a TorchScript module does not tell the kinds of its layers, so none can be "
            "pruned; let its function return the net as it is before torch.jit.script"
        )
    # What a compiler makes of a net differs by machine; the net itself lies behind it.
    model = getattr(model, "_orig_mod", model)
    assert isinstance(model, nn.Module)
    if any(map(is_lazy, [*model.parameters(), *model.buffers()])):
        with evaluating(model), torch.no_grad():
            tried(model, task, task.inputs(task.example(FEW)))
    refuse_unmade(model)
    refuse_other_state(model)
    refuse_shared(model)
    if hasattr(task, "outputs"):
        model.register_forward_hook(lambda net, given, made: first(made))
    return model


def refuse_unmade(model: nn.Module) -> None:
    """Raise UsageError for a tensor without numbers: lazy and never called, or on meta."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise UsageError(
                f"model: {name} is of a lazy layer that its forward never calls, so it has no "
                "shape; leave the layer out"
            )
        if tensor.device.type == "meta":
            raise UsageError(
                f"model: {name} is on the device meta, where it has no numbers; make it on the "
                "CPU, or leave it out"
            )


def refuse_other_state(model: nn.Module) -> None:
    """Raise UsageError for a state_dict that is not the net's parameters and buffers."""
    own = dict(model.named_parameters(remove_duplicate=False))
    own |= dict(model.named_buffers(remove_duplicate=False))  # type: ignore[arg-type]
    for name in model.state_dict():
        if name not in own:
            raise UsageError(
                f"model: its state_dict has {name}, which is none of its parameters and buffers; "
                "leave out what adds or renames it (get_extra_state, a hook of state_dict), and "
                "register what is to be kept as a buffer"
            )


def refuse_shared(model: nn.Module) -> None:
    """Raise UsageError for numbers that two parameters or buffers share, or one has twice.

    Each would be moved, masked and loaded for itself. Parts of one memory that do not overlap
    are taken.
    """
    there: dict[int, list[tuple[str, Tensor]]] = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.layout is not torch.strided or not tensor.numel():
            continue
        if any(step == 0 and size > 1 for size, step in zip(tensor.shape, tensor.stride())):
            raise UsageError(
                f"model: {name} is expanded, so some of its numbers are one in memory; give it "
                "numbers of its own (.clone())"
            )
        there.setdefault(tensor.untyped_storage().data_ptr(), []).append((name, tensor.detach()))
    for group in there.values():
        for index, (name, tensor) in enumerate(group):
            first = next((n for n, t in group[:index] if overlap(t, tensor)), None)
            if first is not None:
                raise UsageError(
                    f"model: {first} and {name} are two tensors over the same memory; tie "
                    "parameters as one (b.weight = a.weight), or give each a copy of its own"
                )


def overlap(one: Tensor, other: Tensor) -> bool:
    """Say whether two tensors of one storage have a number in common."""
    size = one.element_size()
    if size != other.element_size():
        return True
    seen = torch.zeros(one.untyped_storage().nbytes() // size, dtype=torch.bool)
    view = seen.as_strided(one.shape, one.stride(), one.storage_offset())
    view.fill_(True)
    return bool(seen.as_strided(other.shape, other.stride(), other.storage_offset()).any())


def tried(model: nn.Module, task: Task, given: tuple[Any, ...]) -> Any:
    """Return what a net gives for inputs; raise UsageError, with its place, for what it raises."""
    device = next((p.device for p in model.parameters()), task.device)
    try:
        return model(*mapped(given, lambda t: t.to(device)))
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a net of somebody else may raise)
        raise UsageError(
            f"model: it cannot take {in_words(task, given)} ({said(error)}); "
            "choose another model, dataset or train.batch_size"
        ) from error


def in_words(task: Task, given: tuple[Any, ...]) -> str:
    """Return in words what a net was called with."""
    shape = getattr(task, "input_shape", None)
    if shape is None:
        return f"its inputs ({forms(given)})"
    return f"{len(given[0])} images of {'x'.join(map(str, shape))}"


def said(error: Exception) -> str:
    """Return what an error says in a line, with the line of the net's own code that raised it."""
    first = next(iter(str(error).strip().splitlines()), "")
    text = first if isinstance(error, RuntimeError) else f"{type(error).__name__}: {first}"
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if not any(Path(f.filename).is_relative_to(place) for place in OURS)
    ]
    return f"{text}, at {frames[-1].filename}:{frames[-1].lineno}" if frames else text


def check_scores(scores: object, examples: int, task: Task) -> None:
    """Raise UsageError unless a net gave K scores for each example, where the task wants such."""
    if not hasattr(task, "outputs"):
        return
    wanted = (examples, task.outputs)
    if not isinstance(scores, Tensor):
        raise UsageError(
            f"model: its forward gives a {type(scores).__name__}, where scores [examples, classes] "
            "are wanted: those alone, as the first of a tuple, or under the name logits"
        )
    if tuple(scores.shape) != wanted:
        raise UsageError(
            f"model: gives {tuple(scores.shape)} for a batch of {examples}, "
            f"where {wanted} is wanted; give its last layer task.outputs outputs"
        )


def channels_last_(model: nn.Module) -> nn.Module:
    """Lay out the weights of two-dimensional convolutions channels-last, in place."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


def in_channels_last(tensor: Tensor) -> Tensor:
    """Return a tensor of images channels-last; another as it is."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def takes_channels_last(model: nn.Module, task: Task) -> bool:
    """Say whether a net takes images and weights channels-last, by a trial that moves its weights.

    A net whose code reshapes activations as they lie in memory may not. One that fails in either
    format is said to take it: its error is for another to tell.
    """
    given = made_up(task, 1, torch.device("cpu"))
    images = any(t.dim() == 4 for t in tensors(given))
    if not (images and any(p.dim() == 4 for p in model.parameters())):
        return True
    last = mapped(given, in_channels_last)
    with evaluating(model), torch.no_grad():
        try:
            tried(channels_last_(model), task, last)
        except UsageError:
            with contextlib.suppress(UsageError):
                for parameter in model.parameters():
                    parameter.data = parameter.data.contiguous()
                tried(model, task, given)
                return False
    return True
