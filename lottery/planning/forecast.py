"""Say how many weights a level will keep, as far as that can be known before it is scored."""

from dataclasses import dataclass

import torch

from lottery.experiment.run import Run
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.mask import Mask
from lottery.terms.units import Units, allocate
from lottery.training.start import build


@dataclass(frozen=True)
class Kept:
    """What a level is to keep; `layers` where no score decides it."""

    density: float
    kept: int
    layers: dict[str, int] | None
    bound: str  # of `kept`: "" where it is exact, else "at most" or "about"


def kept_counts(run: Run) -> list[Kept]:
    """Return what every level of a run will keep, the dense one first.

    Single weights: exactly round(density * total). Whole units keep at most that, and allocations
    with a count of their own about that. Layers are told where two sets of scores that rank them
    in opposite order leave each the same count: then the allocation alone decides.
    """
    given, density_of = run.settled.brought, run.settled.density
    whole = structured(run, run.dense, rising=True).whole if run.parts.levels else False
    bound = "at most" if whole else "" if run.parts.pruning.exact else "about"
    total = masks.total(run.dense)
    found = [Kept(1.0, total, counts(run.dense), bound)]
    known = not bound and decided(run)
    before: Mask | None = run.dense
    for index in range(1, run.parts.levels + 1):
        density = density_of(index)
        number = masks.count(density, run.dense)
        if index == 1 and given:
            before, number = given, masks.kept(given)
        elif known and before:
            pool = before if run.parts.pruning.nested else run.dense
            before = spread(run, pool, density, rising=True)
        else:
            before = None
        found.append(Kept(number / total, number, counts(before) if before else None, bound))
    return found


def decided(run: Run) -> bool:
    """Say whether the allocation alone decides how many weights each layer keeps."""
    if not run.parts.levels:
        return False
    density = run.settled.density(run.parts.levels)
    one, other = (counts(spread(run, run.dense, density, way)) for way in (True, False))
    return one == other


def spread(run: Run, pool: Mask, density: float, rising: bool) -> Mask:
    """Return the mask of made-up scores, which rise or fall from layer to layer."""
    units, how = structured(run, pool, rising), run.parts.pruning
    return allocate(units, how.allocation, density, pool)


def structured(run: Run, pool: Mask, rising: bool) -> Units:
    """Return the units of made-up scores."""
    draw = seeds.generator("forecast")
    places = range(len(pool)) if rising else range(len(pool), 0, -1)
    scores = {
        name: torch.rand(keep.shape, generator=draw) + place
        for place, (name, keep) in zip(places, pool.items(), strict=True)
    }
    return run.parts.pruning.structure(build(run.parts, run.task), run.task, scores, pool)


def counts(mask: Mask) -> dict[str, int]:
    """Return how many weights a mask keeps of each layer."""
    return {name: masks.kept({name: keep}) for name, keep in mask.items()}
