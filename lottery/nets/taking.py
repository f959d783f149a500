"""Take a net as people bring it: make its layers, read its scores, see what memory it takes."""

import contextlib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lottery.errors import UsageError
from lottery.nets.graph import evaluating
from lottery.terms.task import Task

FEW = 2  # examples of a trial: BatchNorm takes no fewer
OURS = (Path(__file__).parent.parent, Path(torch.__file__).parent)


def taken(model: object, task: Task) -> nn.Module:
    """Return what a model's function gave, ready to be trained on scores [B, K].

    Lazy layers are made by a pass of zeros, and a forward that gives more than scores gives only
    those from now on. Raises UsageError for what is no net, or not one that can be followed.
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
            tried(model, torch.zeros(FEW, *task.input_shape))
    refuse_unmade(model)
    refuse_other_state(model)
    refuse_shared(model)
    model.register_forward_hook(scores_alone)
    return model


def scores_alone(model: nn.Module, given: Any, made: Any) -> Any:
    """Return the scores of what a forward gave: the first of several, or what is named logits.

    What has neither stays, for `check_scores` to refuse.
    """
    if isinstance(made, Tensor):
        return made
    if isinstance(made, Mapping):
        found = made.get("logits")
    else:
        found = getattr(made, "logits", None)
        if found is None and isinstance(made, (tuple, list)) and made:
            found = made[0]
    return found if isinstance(found, Tensor) else made


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


def tried(model: nn.Module, pixels: Tensor) -> Any:
    """Return what a net gives for images; raise UsageError, with its place, for what it raises."""
    try:
        return model(pixels)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a net of somebody else may raise)
        size = "x".join(map(str, pixels.shape[1:]))
        raise UsageError(
            f"model: it cannot take {len(pixels)} images of {size} ({said(error)}); "
            "choose another model, dataset or train.batch_size"
        ) from error


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


def check_scores(scores: object, examples: int, classes: int) -> None:
    """Raise UsageError unless a net gave K scores for each example."""
    wanted = (examples, classes)
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


def takes_channels_last(model: nn.Module, task: Task) -> bool:
    """Say whether a net takes images and weights channels-last, by a trial that moves its weights.

    A net whose code reshapes activations as they lie in memory may not. One that fails in either
    format is said to take it: its error is for another to tell.
    """
    if len(task.input_shape) != 3 or not any(p.dim() == 4 for p in model.parameters()):
        return True
    pixels = torch.zeros(1, *task.input_shape)
    with evaluating(model), torch.no_grad():
        try:
            tried(channels_last_(model), pixels.contiguous(memory_format=torch.channels_last))
        except UsageError:
            with contextlib.suppress(UsageError):
                for parameter in model.parameters():
                    parameter.data = parameter.data.contiguous()
                tried(model, pixels)
                return False
    return True
