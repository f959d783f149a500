"""Tell which runs begin with the same dense level, and keep those apart that do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

SHARED = ("dataset", "model", "train", "start", "evaluate_every")  # settings of a dense level


class Begins(Protocol):
    """Something that begins with a dense level."""

    @property
    def dense(self) -> str:
        """Equal for those that begin with the same one."""


B = TypeVar("B", bound=Begins)


def dense_of(settings: Mapping[str, Any]) -> str:
    """Return a word that is equal for runs which begin with the same dense level."""
    same = {key: settings.get(key) for key in SHARED} | {"replicate": settings["replicate"]}
    return hashlib.sha256(repr(sorted(same.items())).encode()).hexdigest()


def in_order(jobs: Sequence[B]) -> list[B]:
    """Return jobs so that those which begin with the same dense level lie apart.

    First one of each, then the second of each, as they came: two that start together then seldom
    want the same level at the same time.
    """
    counted: dict[str, int] = {}
    rank = []
    for job in jobs:
        rank.append(counted.get(job.dense, 0))
        counted[job.dense] = rank[-1] + 1
    return [job for _, _, job in sorted(zip(rank, range(len(jobs)), jobs, strict=True))]
