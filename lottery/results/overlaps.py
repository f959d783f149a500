"""Compare the masks of the runs that are looked at, on their packed bits. Imports no torch."""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lottery.errors import DamagedError, DiskError
from lottery.results.results import level_file
from lottery.storage import records
from lottery.terms.overlap import Shared, overlap

NEAR = 0.02  # masks are compared where their counts differ by this share at most
HELD = 256  # masks that are kept in memory
Bits = NDArray[np.uint8]
T = TypeVar("T")


class Place(NamedTuple):
    """A trained level of a run in the store."""

    outputs: Path
    key: str
    kept: int  # weights


@dataclass(frozen=True, eq=False)
class Packed:
    """A mask: eight weights a byte in each layer, and how many weights those are."""

    bits: dict[str, Bits]
    totals: dict[str, int]
    kept: dict[str, int]


class Overlaps:
    """How far masks at the end of training are the same: rows a level and other run, by run.

    Runs that began from the same dense net are compared, each level with that of the other run
    which keeps about as many weights. No other run is looked at.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.rows: dict[Path, list[dict[str, Any]]] = {}
        self.errors: dict[Path, DamagedError | DiskError] = {}  # of damaged runs
        self.mask = lru_cache(HELD)(read_mask)
        self.shared = lru_cache(None)(lambda one, other: shared(self.mask(one), self.mask(other)))
        groups: dict[str, dict[Path, dict[int, str]]] = {}
        for folder in folders:
            keys = self.tried(folder, partial(keys_of, folder)) or {}
            if 0 in keys:
                groups.setdefault(keys[0], {})[folder] = keys
        for group in groups.values():
            if len(group) > 1:
                self.compare(group)

    def tried(self, folder: Path, read: Callable[[], T]) -> T | None:
        """Return what is read of a run; None, and a note of it, where it is damaged."""
        try:
            return read()
        except (DamagedError, DiskError) as error:
            self.errors.setdefault(folder, error)
            return None

    def compare(self, group: dict[Path, dict[int, str]]) -> None:
        """Add the rows of runs that share a dense level."""
        places = {f: self.tried(f, partial(places_of, f, keys)) or {} for f, keys in group.items()}
        for folder, own in places.items():
            for other, theirs in places.items():
                if other != folder and theirs:
                    self.rows.setdefault(folder, []).extend(self.beside(folder, own, other, theirs))

    def beside(
        self, folder: Path, own: dict[int, Place], other: Path, theirs: dict[int, Place]
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of a run against another."""
        for level, place in own.items():
            near = min(theirs, key=lambda n: abs(theirs[n].kept - place.kept))
            if abs(theirs[near].kept - place.kept) > NEAR * place.kept:
                continue
            mask = self.tried(folder, partial(self.mask, place))
            if mask and self.tried(other, partial(self.mask, theirs[near])):
                alike, by_chance = self.shared(*sorted((place, theirs[near])))
                yield {
                    "level": level,
                    "density": sum(mask.kept.values()) / sum(mask.totals.values()),
                    "other_run": other.parent.parent.name,
                    "other_id": other.parent.name,
                    "other_level": near,
                    "overlap": alike,
                    "by_chance": by_chance,
                }


def keys_of(folder: Path) -> dict[int, str]:
    """Return the key of each level of a run, without its branches."""
    entries = records.levels(folder).items()
    found = ((records.position(name), entry["key"]) for name, entry in entries)
    return {at[0]: key for at, key in found if at and not at[1]}


def places_of(folder: Path, keys: dict[int, str]) -> dict[int, Place]:
    """Return the pruned levels of a run that are in the store."""
    outputs, found = folder.parents[2], {}
    for level, key in sorted(keys.items()):
        path = outputs / "store" / key / records.MANIFEST
        with contextlib.suppress(FileNotFoundError):
            kept = records.read_signed(path).get("result", {}).get("kept") if level else None
            if isinstance(kept, int):
                found[level] = Place(outputs, key, kept)
    return found


def shared(a: Packed, b: Packed) -> tuple[float, float]:
    """Return the overlap of two masks, and that by chance.

    A layer that only one of the masks has is dense in the other.
    """
    layers = []
    for name, total in (a.totals | b.totals).items():
        m, n = a.kept.get(name, total), b.kept.get(name, total)
        whole = name not in a.bits or name not in b.bits
        both = min(m, n) if whole else count(a.bits[name] & b.bits[name])
        layers.append(Shared(both, m, n, total))
    return overlap(layers)


def read_mask(place: Place) -> Packed:
    """Return the mask that a level ended with; raises DamagedError for what is none."""
    path = place.outputs / "store" / place.key / "mask.safetensors"
    data = level_file(place.outputs, place.key, path.name)
    if data is None:
        raise DamagedError(f"{path} is missing")
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        shapes = json.loads(header.pop("__metadata__")["lottery"])["shapes"]
        bits = {}
        for name, entry in header.items():
            start, stop = entry["data_offsets"]
            bits[name] = np.frombuffer(data[8 + length + start : 8 + length + stop], np.uint8)
        totals = {name: math.prod(shapes[name]) for name in bits}
        if any(len(b) != (totals[name] + 7) // 8 for name, b in bits.items()):
            raise ValueError("its bits are not those of its shapes")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged ({error})") from error
    return Packed(bits, totals, {name: count(b) for name, b in bits.items()})


def count(bits: Bits) -> int:
    """Return how many bits are set; numpy before 2.0 has to take them apart."""
    one = getattr(np, "bitwise_count", np.unpackbits)
    return int(one(bits).sum())
