"""Find a ticket by its path: in a file, on the shelf of a level, in the folder of a run."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from lottery.errors import UsageError
from lottery.exchange import matching
from lottery.exchange.tickets import (
    FOLDER,
    WEIGHTS,
    Portable,
    checked,
    described,
    opened,
    read,
    refuse_odd,
    unpack,
)
from lottery.storage import links, records
from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms.copying import load_
from lottery.terms.kept import index_among, mask_of, ticket_on, understood
from lottery.terms.mask import Mask
from lottery.terms.trees import form
from lottery.wording.text import printable, some

SCHEDULE = ("steps_per_epoch", "length", "data")  # what a step is a step of


def find(
    path: Path,
    level: int | None = None,
    branch: str = "",
    weights: str | None = None,
    number: int = 0,
) -> Portable:
    """Return the ticket that a path names: a ticket file, a level's folder, or that of a run.

    A run needs `level`, -1 for its last; of a run's folder without /replicate_K this takes
    replicate `number`. `weights` is start or end; None is what a file has, and start of a level.
    Raises UsageError, also where a file has the other weights, and DamagedError where a checksum is
    wrong.
    """
    if weights not in (None, *WEIGHTS):
        raise UsageError(f"weights: '{weights}' is none of {', '.join(WEIGHTS)}")
    if (path / FOLDER[0]).is_file():
        found = of_folder(path)
    elif shelf := shelf_at(path, level, branch, number):
        return of_level(shelf, weights or "start")
    else:
        found = unpack(read(path), path)
    has = found.about.get("weights")
    if weights not in (None, has):
        raise UsageError(
            f"{printable(path)} has the weights of the {printable(has)}, not of the {weights} "
            f"(start is the rewind point, end is after training); ask for weights={has} "
            f"(rewind.weights={has} on the command line)"
        )
    return found


def of_folder(path: Path) -> Portable:
    """Return the ticket of a folder as `lottery export as=folder` makes it."""
    weights, about = opened(read(path / FOLDER[0]), path / FOLDER[0])
    mask, _ = opened(read(path / FOLDER[1]), path / FOLDER[1])
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
    entries = records.levels(folder)
    index = index_among(entries, level, branch, printable(folder))
    name = records.place(index, branch)
    return finished(Shelf(folder.absolute().parents[2], entries[name]["key"]), folder / name)


def finished(shelf: Shelf, asked: Path) -> Shelf:
    """Return the shelf; raises UsageError where no trained level stands on it."""
    if not shelf.complete:
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
    manifest = shelf.manifest()
    about |= {key: manifest[key] for key in SCHEDULE if key in manifest}
    portable = Portable(values, mask, about)
    refuse_odd(portable, shelf.path)
    return portable


def load_ticket(
    model: nn.Module, path: str | Path, *, weights: str | None = None, by_order: bool = False
) -> Mask:
    """Load a ticket's weights into a net of your own, in place, and return its mask.

    `path` is a ticket file, a folder that `lottery export as=folder` made, or the folder of a
    trained level (outputs/NAME/ID/replicate_0/level_03). `weights` is start (the rewind point;
    what a level's folder gives) or end (after training); a file has one of them, and None takes
    it. Pruned weights are 0.0. The mask maps the name of each pruned parameter to bool of its
    shape, True = kept, on the parameter's device. With `by_order` a net whose parameters have other
    names takes them one by one in their order, where each has the kind (weight, bias) and the shape
    of its pair; a warning names those that only their order tells apart. Raises
    lottery.errors.UsageError unless all fit, and then changes nothing, DamagedError where a
    checksum is wrong.
    """
    place = Path(path).expanduser()
    ticket = find(place, weights=weights)
    head = f"{printable(place)} does not fit the model"
    own, every = model.state_dict(), masks.names(model)
    if lazy := [name for name, tensor in own.items() if is_lazy(tensor)]:
        raise UsageError(
            f"{head}: {some(lazy)} of a lazy layer has no shape yet; call the model once with an "
            "example before"
        )
    names = {name: name for name in own}
    if by_order:
        names = matching.matched(ticket.weights, own, True, head)
    elif why := misfit(ticket.weights, own):
        raise UsageError(f"{head}: {why}")
    taken = {name: ticket.weights[there] for name, there in names.items()}
    matching.refuse_split(taken, every, head)
    if unsure := matching.by_order_alone(names, ticket.weights):
        warnings.warn(f"{printable(place)}: {unsure}", stacklevel=2)
    load_(model, own | taken)
    pruned = masks.everywhere(ticket.mask, tied_in(ticket))
    found = {name: pruned[there] for name, there in names.items() if there in pruned}
    joined = matching.joined(found, every)
    return {name: joined[name].to(own[name].device) for name in own if name in joined}


def tied_in(ticket: Portable) -> dict[str, list[str]]:
    """Return all names of each tied tensor of a ticket, as it says of itself; anyone may have."""
    said = ticket.about.get("tied")
    lists = said.items() if isinstance(said, dict) else ()
    return {
        first: [first, *names]
        for first, names in lists
        if first in ticket.mask
        and isinstance(names, list)
        and all(
            isinstance(name, str)
            and matching.alike_to_the_bit(
                ticket.weights[first], ticket.weights.get(name, torch.empty(0))
            )
            for name in names
        )
    }


def misfit(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Say why weights are not those of a model, by name and shape; "" where they are."""
    lacking, extra = [n for n in own if n not in found], [n for n in found if n not in own]
    if lacking or extra:
        parts = [f"it has no {some(lacking)}"] * bool(lacking)
        parts += [f"the model has no {some(extra)}"] * bool(extra)
        same = len(lacking) == len(extra)
        hint = "; load_ticket(..., by_order=True) takes them by order and shape" if same else ""
        return " and ".join(parts) + hint
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
