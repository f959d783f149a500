"""Carry a ticket from one place to another: its mask, its weights, and what it says of itself.

A ticket file is safetensors: the state_dict under its own names, for each layer NAME that was
pruned its mask as bool under mask/NAME, and in the header, as JSON, a description, with a checksum
of tensors and description.
"""

import contextlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lottery.errors import DamagedError, UsageError
from lottery.exchange import headers
from lottery.storage import disk, store
from lottery.storage.files import digest, read_plain
from lottery.storage.tensors import all_finite
from lottery.terms import mask as masks
from lottery.terms.mask import Mask
from lottery.terms.trees import form
from lottery.wording.text import first_line, printable, some

FORMAT = 1  # of the description
SEAL = "sha256"  # of the description: the checksum of all else
MASK = "mask/"
WEIGHTS = ("start", "end")  # at the rewind point, after training
LARGEST = 8 * 2**30  # bytes of a file that is read
NUMBERS = frozenset(
    (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool)
    + (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
)  # types that a weight or a mask may have
FOLDER = ("model.safetensors", "masks.safetensors")  # of a folder for others: weights, masks


@dataclass(frozen=True)
class Portable:
    """A mask, the weights of a whole state_dict that are 0.0 where pruned, and a description.

    `about` says model, data, density, level, run, method and versions, as far as they are known;
    its `weights` is start (at the rewind point) or end (after training).
    """

    weights: dict[str, Tensor]
    mask: Mask
    about: dict[str, Any]


def pack(ticket: Portable) -> bytes:
    """Return a ticket file; raises UsageError for one that `unpack` would refuse."""
    refuse_odd(ticket, "the ticket")
    tensors = ticket.weights | {MASK + name: m for name, m in ticket.mask.items()}
    return sealed(tensors, ticket.about | {"names": list(ticket.weights)})


def sealed(tensors: dict[str, Tensor], about: dict[str, Any]) -> bytes:
    """Return tensors as a file of ours, with a checksum of them and of what is said about them."""
    return store.pack_tensors(tensors, about | {SEAL: checksum(tensors, about)})


def checksum(tensors: dict[str, Tensor], about: dict[str, Any]) -> str:
    """Return the sha256 over names, types, shapes and bytes, and over the description."""
    words = json.dumps(json.loads(json.dumps(about)), sort_keys=True)
    return digest(f"{store.tensor_digest(tensors)}{words}".encode())


def unsealed(tensors: dict[str, Tensor], about: dict[str, Any], where: object) -> dict[str, Any]:
    """Return a description without its checksum, which is compared; raises DamagedError.

    Warns of a file without one, as older versions wrote it.
    """
    plain = {key: value for key, value in about.items() if key != SEAL}
    if SEAL not in about:
        warnings.warn(
            f"{printable(where)} has no checksum, so that damage would not be seen; lottery export "
            "and import now write one",
            stacklevel=2,
        )
    elif about[SEAL] != checksum(tensors, plain):
        raise DamagedError(
            f"{printable(where)} is damaged (its checksum is wrong); make it again with lottery "
            "export or import, or copy it again from where it came"
        )
    return plain


def unpack(data: bytes, where: object) -> Portable:
    """Undo `pack`; raises UsageError, which names `where` it lies, for any other file.

    Raises DamagedError for one whose checksum is wrong.
    """
    tensors, about = opened(data, where)
    mask = {name: m for name, m in tensors.items() if name.startswith(MASK)}
    weights = {name: w for name, w in tensors.items() if name not in mask}
    return checked(weights, {name.removeprefix(MASK): m for name, m in mask.items()}, about, where)


def opened(data: bytes, where: object) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and description of a file of ours.

    Raises UsageError for any other, DamagedError for one whose checksum is wrong.
    """
    with told(where):
        tensors, about = store.unpack_tensors(data)
        refuse_other(about)
    return tensors, unsealed(tensors, about, where)


def refuse_other(about: Any) -> None:
    """Raise ValueError unless a file says of itself that it is a ticket."""
    if not isinstance(about, dict) or "ticket" not in about:
        raise ValueError("it does not say that it is one of lottery")
    if about["ticket"] != FORMAT:
        raise ValueError(f"it is of format {about['ticket']!r}, this version reads {FORMAT}")
    if "compacted" in about:
        raise ValueError("it is the smaller dense net of lottery export as=dense")


@contextlib.contextmanager
def told(where: object) -> Iterator[None]:
    """Raise UsageError for what is no ticket file, whatever a reader says of it."""
    try:
        yield
    except (DamagedError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise UsageError(
            f"{printable(where)} is no ticket file ({first_line(e)}); lottery export makes one, "
            "and lottery import makes one of other files"
        ) from e


def read(path: Path) -> bytes:
    """Return the bytes of a ticket file, once its header says that it is one; raises UsageError."""
    with readable(path), told(path):
        refuse_other(headers.said(headers.header(path)))
    return read_bytes(path)


def checked(
    weights: dict[str, Tensor], mask: Mask, about: dict[str, Any], where: object
) -> Portable:
    """Return a ticket that was read, in the model's order; raises UsageError for an odd one."""
    names = about.pop("names", None)
    if not lists(names, weights):
        raise UsageError(f"{printable(where)} is no ticket file: it does not list its weights")
    if lost := mask.keys() - weights.keys():
        raise UsageError(f"{printable(where)}: it masks {some(lost)}, of which it has no weights")
    in_order = {name: mask[name] for name in names if name in mask}
    ticket = Portable({name: weights[name] for name in names}, in_order, about)
    refuse_odd(ticket, where)
    return ticket


def lists(names: Any, weights: dict[str, Tensor]) -> bool:
    """Say whether `names` is a list of the names of all weights, each once."""
    whole = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return whole and sorted(names) == sorted(weights)


def refuse_odd(ticket: Portable, where: object) -> None:
    """Raise UsageError unless masks are bool and fit, weights finite and 0 where pruned."""
    place = printable(where)
    if not ticket.mask:
        raise UsageError(f"{place}: it has no mask")
    for name, weight in ticket.weights.items():
        if weight.dtype not in NUMBERS:
            raise UsageError(
                f"{place}: {printable(name)} is {form(weight)}, which is no number here"
            )
    for name, keep in ticket.mask.items():
        weight = ticket.weights[name]
        if keep.dtype != torch.bool or keep.shape != weight.shape:
            raise UsageError(
                f"{place}: the mask of {printable(name)} is {form(keep)}, its weight {form(weight)}"
            )
        if int(torch.count_nonzero(weight.masked_fill(keep, 0))):
            raise UsageError(f"{place}: pruned weights of {printable(name)} are not 0")
    if not all_finite(ticket.weights):
        raise UsageError(f"{place}: a weight is not finite")
    if not masks.kept(ticket.mask):
        raise UsageError(f"{place}: its mask keeps nothing")


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file that may come from anywhere; raises UsageError."""
    with readable(path):
        try:
            return read_plain(path, LARGEST)
        except ValueError as error:
            raise UsageError(f"{printable(path)} cannot be read ({error})") from error


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise UsageError where there is no such file, DiskError where it cannot be read now."""
    try:
        yield
    except OSError as error:
        if error.errno not in disk.ABSENT:
            raise disk.refused(path, "read", error) from error
        raise UsageError(f"{printable(path)} cannot be read ({error.strerror})") from error


def described(mask: Mask, weights: str) -> dict[str, Any]:
    """Return what every ticket says of itself."""
    kept, total = masks.kept(mask), masks.total(mask)
    numbers = {"kept": kept, "total": total, "density": kept / total}
    return {"ticket": FORMAT, "weights": weights, **numbers}
