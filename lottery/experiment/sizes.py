"""Say how many bytes a level's net takes, stored in one form or another."""

from dataclasses import dataclass

from torch import Tensor, nn

from lottery.experiment.level import Level
from lottery.storage import store
from lottery.terms.mask import Mask

INDEX = 4  # bytes of an index of CSR


@dataclass(frozen=True)
class Size:
    """Bytes of a form; `how` they are known: computed, or the size of a file."""

    bytes: int
    how: str


def sizes(level: Level, compacted: nn.Module | None) -> dict[str, Size]:
    """Return the bytes of a trained level by form.

    Dense: every parameter and buffer as it is. Bitmask: the same, pruned layers as their kept
    values and a bit a weight. CSR: of each pruned layer, a matrix with a row an output, kept
    values, an index of 4 bytes each, and one a row. The files are those in the store (the ticket
    holds its weights dense, the mask as bits); the compacted net is counted as a safetensors file.
    """
    also = {name for every in level.run.names.values() for name in every[1:]}  # of tied tensors
    state = {name: tensor for name, tensor in level.end.weights.items() if name not in also}
    mask = level.mask
    found = {
        "dense": Size(plain(state), "computed"),
        "values and bitmask": Size(with_bitmask(state, mask), "computed"),
        "values in CSR": Size(with_csr(state, mask), "computed"),
    }
    if compacted is not None:
        found["compacted"] = Size(len(store.pack_tensors(compacted.state_dict(), {})), "computed")
    for name in ("ticket.safetensors", "end.safetensors"):
        found[name] = Size((level.shelf.path / name).stat().st_size, "file")
    return found


def plain(state: dict[str, Tensor]) -> int:
    """Return the bytes of tensors as they are."""
    return sum(t.numel() * t.element_size() for t in state.values())


def others(state: dict[str, Tensor], mask: Mask) -> int:
    """Return the bytes of what has no mask."""
    return plain({name: t for name, t in state.items() if name not in mask})


def with_bitmask(state: dict[str, Tensor], mask: Mask) -> int:
    """Return the bytes of kept values and a bit for every weight, in whole bytes a layer."""
    layers = (
        state[name].element_size() * int(keep.count_nonzero()) + (keep.numel() + 7) // 8
        for name, keep in mask.items()
    )
    return others(state, mask) + sum(layers)


def with_csr(state: dict[str, Tensor], mask: Mask) -> int:
    """Return the bytes of compressed sparse rows: values, their columns, where rows begin."""
    layers = (
        (state[name].element_size() + INDEX) * int(keep.count_nonzero())
        + INDEX * (keep.shape[0] + 1)
        for name, keep in mask.items()
    )
    return others(state, mask) + sum(layers)
