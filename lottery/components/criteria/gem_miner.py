import math

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.pruning.keep import keep_top
from lottery.terms import mask as masks
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.training import search

HALF = 0.5  # a weight is used where its score is above


def gem_miner(
    model: nn.Module,
    mask: Mask,
    task: Task,
    generator: torch.Generator,
    density: float,
    *,
    length: str,
    period: str,
    lr: float,
    momentum: float,
    penalty: float,
) -> Scores:
    """Search a subnet of the frozen weights that is accurate untrained (Gem-Miner).

    Sreenivasan et al. 2022 (Rare Gems), the authors' `hc_iter`: scores p ~ U[0, 1],
    weights w [p > 0.5], straight-through gradients, p clamped to [0, 1] after every step, loss
    plus `penalty` |p|^2. Every `period` before the end ceil(r * active) of the lowest active p
    are frozen out of the whole net for good, with (1 - r) ** freezings = what `density` leaves.
    Returns 1 + p + 2 * freezings survived, 0 where pruned before, so the highest scores at
    `density` are what is active at the end, below 0.5 or not (the authors' finetuning with
    `unflag_before_finetune`); the level's training is that fine-tuning. Differs from their code:
    counts are exact, where theirs freeze every tie as well; scores that the clamp makes equal are
    ranked by what they were before it, since by index the last layer would be frozen whole; the
    rate falls by the step, not the epoch; BatchNorm keeps its affine parameters, frozen.
    Raises UsageError where `length` is not longer than `period`, so that nothing would be frozen.
    """
    total, every = search.steps_in("length", length, task), search.steps_in("period", period, task)
    freezings = (total - 1) // every
    if not freezings:
        raise UsageError(
            f"prune.criterion.length: {length} ends before the first freezing, after {period}; "
            "write a longer prune.criterion.length or a shorter prune.criterion.period"
        )
    seed = search.seed_of(generator)
    drawn = {name: torch.rand(m.shape, generator=generator) for name, m in mask.items()}
    # The gradient of penalty * |p|^2 is 2 * penalty * p: SGD's weight decay.
    found = search.begin(
        model, mask, task, drawn, lr=lr, momentum=momentum, weight_decay=2 * penalty
    )
    here = {name: m.to(task.device) for name, m in mask.items()}
    active = {name: m.clone() for name, m in here.items()}
    survived = {name: torch.zeros_like(w) for name, w in found.weights.items()}
    counts = active_counts(masks.kept(mask), masks.count(density, mask), freezings)
    kept = search.kept(found) | {f"active/{name}": m for name, m in active.items()}
    kept |= {f"survived/{name}": count for name, count in survived.items()}
    search.wear_(found, used(found.scores))
    for step in search.steps(found.model, task, seed, total, found.optimizer, kept):
        search.update_(found, search.straight_through(found), step, total)
        if step % every == 0 and step < total:
            search.check_finite(found.scores, step)
            count = counts[step // every - 1]
            for name, keep in keep_top(found.scores, active, count).items():
                active[name].copy_(keep)
                survived[name] += keep
                found.weights[name].masked_fill_(~keep, 0.0)
        for score in found.scores.values():
            score.clamp_(0, 1)  # after freezing, which tells apart what this makes equal
        search.wear_(found, used(found.scores))
    ranked = {n: 1 + score + 2 * survived[n] for n, score in found.scores.items()}
    return search.finished({n: score * here[n] for n, score in ranked.items()}, mask)


def used(scores: Scores) -> dict[str, Tensor]:
    """Return where the scores are above a half."""
    return {name: score > HALF for name, score in scores.items()}


def active_counts(start: int, target: int, freezings: int) -> list[int]:
    """Return how many weights are active after each freezing; `target` after the last.

    Each freezes ceil(r * active), r = 1 - (target / start) ** (1 / freezings), but never more
    than lie above `target`: rounded up, they would run past it by up to one a freezing.
    """
    rate = 1 - (target / start) ** (1 / freezings)
    counts = [start]
    for _ in range(freezings):
        counts.append(max(target, counts[-1] - math.ceil(rate * counts[-1])))
    return [*counts[1:-1], target]
