"""Make a new mask: criterion -> structure -> rounds -> allocation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.pruning.search_state import Memory
from lottery.pruning.trial import Contiguous
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.mask import Mask, Scores
from lottery.terms.parts import Pruning
from lottery.terms.task import Task
from lottery.terms.units import Units, allocate


def prune(
    model: nn.Module,
    mask: Mask,
    density: float,
    task: Task,
    seed: int,
    how: Pruning,
    memory: Memory | None = None,
) -> Mask:
    """Return the mask that keeps round(density * total) weights of `mask`, never one more.

    `model` holds the weights that are scored; its pruned weights are set to 0.0, in place. With
    `how.revive` a weight that one round prunes may come back in a later one (de Jorge et al. 2021,
    FORCE): the model keeps its weights, and the criterion sees the mask. With `memory` this goes on
    from the round, and the step of a search, that were reached before. Examples are scored in
    contiguous memory, whatever the task trains in. Raises UsageError where the
    density is above that of `mask` or leaves nothing.
    """
    task = Contiguous(task)
    start = masks.kept(mask) / masks.total(mask)
    if masks.count(density, mask) < 1:
        raise UsageError(
            f"prune: density {density:.6g} of {masks.total(mask)} weights keeps none; "
            "type fewer levels=..."
        )
    before, first = mask, 1
    if memory:
        first, mask = memory.begin(mask)
    masks.apply_(model, before if how.revive else mask)
    for number in range(first, how.rounds + 1):
        if memory:
            memory.next_round(number, mask)
        last = number == how.rounds
        target = density if last else on_path(start, density, number, how)
        pool = before if how.revive else mask
        draw = seeds.generator(seed, "prune", number)
        scores = how.criterion(model, mask, task, draw, target)
        units = how.structure(model, task, scores, pool)
        if not last:
            target = min(target, highest(units, pool))
        if masks.count(target, pool) > masks.kept(pool):
            if units.whole:  # they kept fewer than the level before was asked for
                continue
            refuse_more(target, pool, how.exact)
            mask = units.spread(how.allocation(units.scores, units.mask, target))
        else:
            mask = allocate(units, how.allocation, target, pool)
        check(pool, mask, target, whole=units.whole, exact=how.exact)
        if not how.revive:
            masks.apply_(model, mask)
    return mask


def highest(units: Units, pool: Mask) -> float:
    """Return the highest density that a structure leaves: 2:4 no more than a half."""
    return 1.0 if units.whole else masks.kept(units.mask) / masks.total(pool)


def refuse_more(density: float, mask: Mask, exact: bool) -> None:
    """Raise UsageError for more weights than are left, where the count is to be exact."""
    if exact:
        left = masks.kept(mask) / masks.total(mask)
        raise UsageError(
            f"prune: density {density:.6g} is above the {left:.6g} that is left; "
            "a pruned weight never comes back; ask for fewer levels, or lower densities"
        )


def check(before: Mask, after: Mask, density: float, whole: bool, exact: bool) -> None:
    """Raise AssertionError where a weight came back or the count is not what was asked.

    Whole units keep as many weights as fit, single ones exactly round(density * total); raise
    UsageError where an allocation with a count of its own stands in a row that says `exact`.
    """
    masks.check(before, after)
    if not masks.kept(after):
        raise UsageError(
            f"prune: at density {density:.6g} nothing is left of the net; ask for fewer levels"
        )
    kept, wanted = masks.kept(after), masks.count(density, before)
    if kept > wanted and whole:
        raise AssertionError(f"pruning kept {kept} weights in whole units, {wanted} were asked")
    if kept != wanted and exact and not whole:
        raise UsageError(
            f"prune.allocation: it kept {kept} weights, round(density * total) is {wanted}; an "
            "allocation with a count of its own needs prune.exact=false"
        )


def inverted(how: Pruning) -> Pruning:
    """Return the same row of the table with the lowest scores kept (Frankle et al. 2021)."""

    def criterion(*arguments: Any) -> Scores:
        return {name: -scores for name, scores in how.criterion(*arguments).items()}

    return replace(how, criterion=criterion)


def telling(how: Pruning, said: set[str], warn: Callable[[str], None]) -> Pruning:
    """Return the same row with a criterion that says which layers' weights it cannot tell apart.

    A loss that knows nothing of a layer gives all of it the same score. `said` are the layers of
    which it was said; those that follow are added, in place.
    """

    def criterion(model: nn.Module, mask: Mask, *arguments: Any) -> Scores:
        scores = how.criterion(model, mask, *arguments)
        alike = [name for name, keep in mask.items() if same(scores[name][keep])]
        if new := [name for name in alike if name not in said]:
            said.update(new)
            warn(
                "prune: the criterion gives all weights that are left of a layer the same score, "
                f"so which of them go is decided by their order{masks.some(new)}"
            )
        return scores

    return replace(how, criterion=criterion)


def same(scores: Tensor) -> bool:
    """Say whether two or more scores are all the same."""
    return len(scores) > 1 and bool((scores == scores[0]).all())


def on_path(start: float, end: float, number: int, how: Pruning) -> float:
    """Return the density after round `number`, between `start` and `end`."""
    done = number / how.rounds
    if how.path == "linear":
        return start + (end - start) * done
    return float(start * (end / start) ** done)
