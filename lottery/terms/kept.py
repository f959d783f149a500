"""Say what the store keeps of a trained level, and read its ticket and its mask."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from lottery.errors import UsageError
from lottery.storage import records
from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms.mask import Mask
from lottery.terms.step import Span
from lottery.terms.ticket import Ticket
from lottery.wording.text import printable

LAST = -1  # stands for the last level that there is
FORMAT = 4  # of the store; a change makes every key new


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
        memory = {k.removeprefix("task/"): t for k, t in tensors.items() if k.startswith("task/")}
        return Ticket(weights, mask, Span(*about["span"]), memory=memory, **variant)


def mask_of(shelf: Shelf) -> Mask:
    """Return the mask that a trained level ended with."""
    bits, about = shelf.read_tensors("mask.safetensors")
    with understood(shelf, "mask.safetensors"):
        shapes = {name: torch.Size(shape) for name, shape in about["shapes"].items()}
        return masks.unpack({name: bits[name] for name in shapes}, shapes)


def index_among(entries: Mapping[str, Any], level: int, branch: str, where: str) -> int:
    """Return the number of a level that a run has; -1 is the last that it has.

    `entries` are those of its manifest. Raises UsageError, with what there is, for no such level.
    """
    there: dict[str, list[int]] = {}
    for number, of in filter(None, map(records.position, entries)):
        there.setdefault(of, []).append(number)
    own = sorted(there.get(branch, []))
    if level in own or (level == LAST and own):
        return own[-1] if level == LAST else level
    which = f"level {level}" if level != LAST else "level"
    of = f" of branch {printable(branch)}" if branch else ""
    listed = f"it has {', '.join(map(str, own)) or 'none yet'}"
    if branch and not own:
        listed = f"its branches are {', '.join(sorted(there.keys() - {''})) or 'none'}"
    raise UsageError(f"{where} has no finished {which}{of}; {listed}")


def variant_of(ticket: Ticket) -> dict[str, Any]:
    """Return what sets a ticket's training apart from that of other tickets."""
    return {"order": ticket.order, "frozen": list(ticket.frozen), "held": ticket.held}
