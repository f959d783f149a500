"""Find a ticket by its path: in a file, on the shelf of a level, in the folder of a run."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lottery import mask as masks
from lottery.errors import UsageError
from lottery.exchange.tickets import (
    FOLDER,
    WEIGHTS,
    Portable,
    checked,
    described,
    form,
    opened,
    read_bytes,
    refuse_odd,
    some,
    unpack,
)
from lottery.mask import Mask
from lottery.parts import Ticket
from lottery.step import Span
from lottery.storage import links, records
from lottery.storage.store import Shelf
from lottery.wording import printable


@contextlib.contextmanager
def understood(shelf: Shelf, name: str) -> Iterator[None]:
    """Raise DamagedError for a file whose checksum is right and that still is not one of ours."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as e:
        raise shelf.damaged(shelf.path / name, "it does not hold what it should") from e


def ticket_on(shelf: Shelf) -> Ticket:
    """Return the ticket that a level was trained from, its weights in the model's order."""
    tensors, about = shelf.read_tensors("ticket.safetensors")
    with understood(shelf, "ticket.safetensors"):
        weights = {name: tensors[f"weights/{name}"] for name in about["tensors"]}
        bits = {name: tensors[f"mask/{name}"] for name in about["layers"]}
        mask = masks.unpack(bits, {name: weights[name].shape for name in bits})
        variant = about["variant"] | {"frozen": tuple(about["variant"]["frozen"])}
        return Ticket(weights, mask, Span(*about["span"]), **variant)


def mask_of(shelf: Shelf) -> Mask:
    """Return the mask that a trained level ended with."""
    bits, about = shelf.read_tensors("mask.safetensors")
    with understood(shelf, "mask.safetensors"):
        shapes = {name: torch.Size(shape) for name, shape in about["shapes"].items()}
        return masks.unpack({name: bits[name] for name in shapes}, shapes)


def find(
    path: Path,
    level: int | None = None,
    branch: str = "",
    weights: str | None = None,
    number: int = 0,
) -> Portable:
    """Return the ticket that a path names: a ticket file, a level's folder, or that of a run.

    A run needs `level`; of a run's folder without /replicate_K this takes replicate `number`.
    `weights` is start or end; None is what a file has, and start of a level. Raises UsageError,
    also where a file has the other weights.
    """
    if weights not in (None, *WEIGHTS):
        raise UsageError(f"weights: '{weights}' is none of {', '.join(WEIGHTS)}")
    if (path / FOLDER[0]).is_file():
        found = of_folder(path)
    elif shelf := shelf_at(path, level, branch, number):
        return of_level(shelf, weights or "start")
    else:
        found = unpack(read_bytes(path), path)
    has = found.about.get("weights")
    if weights not in (None, has):
        raise UsageError(
            f"{printable(path)} has the weights of the {printable(has)}, not of the {weights} "
            "(start is the rewind point, end is after training)"
        )
    return found


def of_folder(path: Path) -> Portable:
    """Return the ticket of a folder as `lottery export as=folder` makes it."""
    weights, about = opened(read_bytes(path / FOLDER[0]), path / FOLDER[0])
    mask, _ = opened(read_bytes(path / FOLDER[1]), path / FOLDER[1])
    return checked(weights, mask, about, path)


def shelf_at(path: Path, level: int | None, branch: str, number: int) -> Shelf | None:
    """Return the shelf of a trained level that a path names; None where it is no folder.

    Raises UsageError for a folder of something else, and for a level that is not there.
    """
    target = links.leads_to(path)
    place = path.absolute() if target is None else path.absolute().parent / target
    if records.KEY.fullmatch(place.name):
        return finished(Shelf(place.parent.parent, place.name), path)
    if not path.is_dir():
        return None
    folder = path if (path / records.RUN).exists() else path / f"replicate_{number}"
    if not (folder / records.RUN).exists():
        if there := sorted(run.parent.name for run in path.glob(f"replicate_*/{records.RUN}")):
            raise UsageError(f"{printable(path)} has no {folder.name}, it has {some(there)}")
        raise UsageError(f"{printable(path)} is neither a ticket file nor the folder of a run")
    if level is None:
        raise UsageError(f"{printable(folder)} is a run: say which of its levels, like level=3")
    name = f"level_{level:02d}" + (f"_{branch}" if branch else "")
    entry = records.levels(folder).get(name, {"key": ""})
    return finished(Shelf(folder.absolute().parents[2], entry["key"]), folder / name)


def finished(shelf: Shelf, asked: Path) -> Shelf:
    """Return the shelf; raises UsageError where no trained level stands on it."""
    if not shelf.key or not shelf.complete:
        raise UsageError(
            f"{printable(asked)}: there is no such finished level; lottery show lists those of a "
            "run, and lottery ls the runs"
        )
    return shelf


def of_level(shelf: Shelf, weights: str) -> Portable:
    """Return the ticket of a trained level; `weights` is start, its rewind point, or end.

    The description says no more than the level itself knows. Raises UsageError where pruned
    weights are not 0 on purpose (the branch hold), DamagedError for a damaged level.
    """
    ticket = ticket_on(shelf)
    if ticket.held:
        raise UsageError(f"{shelf.path}: its pruned weights are held at values other than 0")
    values, mask, step = ticket.weights, ticket.mask, ticket.span.start
    if weights == "end":
        tensors, _ = shelf.read_tensors("end.safetensors")
        with understood(shelf, "end.safetensors"):
            values = {name: tensors[f"weights/{name}"] for name in ticket.weights}
        mask, step = mask_of(shelf), ticket.span.stop
    about = described(mask, weights) | {"step": step, "key": shelf.key}
    portable = Portable(values, mask, about)
    refuse_odd(portable, shelf.path)
    return portable


def load_ticket(model: nn.Module, path: str | Path, *, weights: str | None = None) -> Mask:
    """Load a ticket's weights into a net of your own, in place, and return its mask.

    `path` is a ticket file, a folder that `lottery export as=folder` made, or the folder of a
    trained level (outputs/NAME/ID/replicate_0/level_03). `weights` is start (the rewind point;
    what a level's folder gives) or end (after training); a file has one of them, and None takes
    it. Pruned weights are 0.0. The mask maps the name of each pruned parameter to bool of its
    shape, True = kept, on the parameter's device. Raises lottery.errors.UsageError unless names
    and shapes are those of the model, and then changes nothing.
    """
    place = Path(path).expanduser()
    ticket = find(place, weights=weights)
    own = model.state_dict()
    if why := misfit(ticket.weights, own):
        raise UsageError(f"{printable(place)} does not fit the model: {why}")
    model.load_state_dict(ticket.weights)
    return {name: keep.to(own[name].device) for name, keep in ticket.mask.items()}


def misfit(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Say why weights are not those of a model, by name and shape; "" where they are."""
    if lacking := [name for name in own if name not in found]:
        return f"it has no {some(lacking)}"
    if extra := [name for name in found if name not in own]:
        return f"the model has no {some(extra)}"
    for name, tensor in own.items():
        if found[name].shape != tensor.shape:
            return f"{name} is {form(found[name])} there, {form(tensor)} in the model"
    return ""


def keep_masked(optimizer: torch.optim.Optimizer, model: nn.Module, mask: Mask) -> RemovableHandle:
    """Have pruned weights set to 0.0 after every step of an optimizer of your own.

    Returns the handle whose remove() ends that.
    """
    masks.apply_(model, mask)
    return optimizer.register_step_post_hook(lambda *_: masks.apply_(model, mask))
