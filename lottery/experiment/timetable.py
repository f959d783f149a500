"""Check the steps and spans of a run: lengths, where levels and branches start, at what rate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.experiment.run import Run
from lottery.terms import mask as masks
from lottery.terms.due import Pause
from lottery.terms.step import Step, parse
from lottery.training.loop import rate
from lottery.wording.settings import named

LOW = 0.01  # of the highest learning rate: less hardly moves a weight
LOOKS = 500  # at the learning rate, to find the highest


def check_lengths(run: Run) -> None:
    """Raise UsageError for steps that cannot be read or lie outside of training."""
    recipe, end = run.parts.recipe, run.length.iteration
    size = run.length.steps_per_epoch
    if parse(recipe.evaluate_every, size, end, "evaluate_every").iteration < 1:
        raise UsageError(f"evaluate_every={recipe.evaluate_every} is no length; write 1ep or 500it")
    if parse(recipe.warmup, size, end, "train.warmup").iteration > end:
        raise UsageError(
            f"train.warmup={recipe.warmup} is longer than training ({run.length}); "
            "type train.warmup=1ep or train.length=..."
        )
    Pause(run.checkpoint_every, size)
    with named("train.lr"):
        recipe.lr(Step(0, size), run.length)


def check_rewind(run: Run) -> None:
    """Raise UsageError for a rewind after the end of training, or that leaves nothing to train."""
    back, end = run.settled.rewind, run.length.iteration
    at = run.parts.pruning.at
    with named("prune.at"):
        scored = run.settled.step(at).iteration if isinstance(at, str) else 0
    typed = other_step(run, "rewind", run.parts.rewind)
    for key, steps, instead in (
        ("rewind", back.steps, typed),
        ("prune.at", (scored,), other_step(run, "prune.at")),
    ):
        if max(steps, default=0) > end:
            raise UsageError(
                f"{key}: step {max(steps)} is after the end of training, "
                f"{end} steps ({run.length}); type {instead}"
            )
    if not isinstance(at, str) and run.parts.levels:
        check_looks(run)
    if back.span.start >= back.span.stop:
        raise UsageError(
            f"rewind: from step {back.span.start} to {back.span.stop} there is nothing left to "
            f"train; type {typed}"
        )


def check_looks(run: Run) -> None:
    """Raise UsageError for a rule that may find too late a moment for what is to follow it."""
    last = run.settled.looks(1)[-1]
    if not run.settled.rewind.scored:
        return
    if last >= run.settled.rewind.span.stop:
        raise UsageError(
            f"rewind: prune.at may find its moment as late as step {last}, which is the end, where "
            "nothing is left to train; type prune.at.most=0.5, or rewind=init"
        )
    if run.parts.pruning.nested and run.parts.levels > 1:
        raise UsageError(
            "rewind: each level would look for its moment after that of the level before, where "
            "there may be none; type prune.nested=false, or rewind=init"
        )


def other_step(run: Run, key: str, component: object = None) -> str:
    """Return what to type for a step that this training has, by the settings of a component."""
    end, size = run.length.iteration, run.length.steps_per_epoch
    known = getattr(component, "keywords", {})
    setting = next((f".{name}" for name in ("to", "steps") if name in known), "")
    if setting or key == "prune.at":
        return f"{key}{setting}={'1ep' if size < end else f'{end // 2}it'}"
    return "rewind=init" if key == "rewind" else "branch=[]"


def check_branches(run: Run) -> None:
    """Raise UsageError for a branch that cannot be made, or a level that is none."""
    there = run.parts.branch_levels
    for name, branch in run.parts.branches.items():
        for index in kinds(there):
            does = run.settled.branch(name, index)
            late = max(does.steps, default=0) > run.length.iteration
            if late or does.span.start >= does.span.stop:
                instead = other_step(run, f"branches.{name}", branch)
                raise UsageError(
                    f"branch {name}: from step {does.span.start} there is nothing left to train "
                    f"before the end, {run.length}; type {instead}"
                )
            if not index and (does.again or does.inverted):
                raise UsageError(
                    f"branch {name}: level 0 is not pruned, so that it says nothing of it; leave "
                    "level 0 out (branch_levels=null), or the branch"
                )
    if run.parts.branches and there and 0 < run.parts.levels < min(there):
        raise UsageError(
            f"branch_levels={list(there)}: this run has {run.parts.levels} pruned levels, and none "
            f"of them would get a branch; type levels={min(there)} or branch_levels=[1]"
        )
    if min(there or (0,)) < 0:
        raise UsageError(
            f"branch_levels={list(there or ())}: levels count from 0, the dense one; type "
            "branch_levels=[1], or null for all pruned ones"
        )


def kinds(levels: Sequence[int] | None) -> list[int]:
    """Return one level of each kind, dense and pruned, among those that get branches."""
    return [1] if levels is None else sorted({min(n, 1) for n in levels if n >= 0})


def warn_of_draws(run: Run) -> None:
    """Warn of layers that a fresh draw leaves as they were, where one is asked for.

    A model's function may seed itself, or read weights from a file. What begins as a constant is
    passed over: its distribution has no other draw.
    """
    asking = ["rewind"] if run.settled.rewind.drew else []
    of = kinds(run.parts.branch_levels)
    asking += [
        f"branch {n}" for n in run.parts.branches if any(run.settled.branch(n, i).drew for i in of)
    ]
    if not asking:
        return
    first, drawn = run.initial.weights, run.fresh("reinit", 1).weights
    layers = [n for n in run.dense if bool(first[n].ne(first[n].reshape(-1)[0]).any())]
    fixed = [n for n in layers if same_numbers(first[n], drawn[n])]
    if fixed or not layers:
        where = "every layer" if len(fixed) == len(layers) else masks.some(fixed).strip(" ()")
        run.watch.warn(
            f"{' and '.join(asking)}: this model's weights are the same whatever the seed (of "
            f"{where}), so this starts there from the level's own; let its function draw them from "
            "torch's generator, unseeded"
        )


def same_numbers(one: Tensor, other: Tensor) -> bool:
    """Say whether two tensors have the same shape and numbers, not-a-number being one."""
    if one.shape != other.shape or torch.equal(one, other):
        return one.shape == other.shape
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def warn_of_last_rate(run: Run) -> None:
    """Warn of steps past the end of training where the schedule has fallen to next to nothing.

    Renda et al. 2020 fine-tune at the last rate of a schedule of drops, a hundredth of the first.
    A cosine ends near 0 instead, so that the same steps would hardly move a weight.
    """
    recipe, end = run.parts.recipe, run.length.iteration
    spans = {"rewind": run.settled.rewind.span} if run.parts.levels else {}
    for index in kinds(run.parts.branch_levels):
        spans |= {f"branch {n}": run.settled.branch(n, index).span for n in run.parts.branches}
    late = [what for what, span in spans.items() if span.stop > end]
    if not late:
        return
    last, before = (rate(recipe, run.length, step) for step in (end - 1, max(0, end - 2)))
    highest = max(rate(recipe, run.length, step) for step in range(0, end, max(1, end // LOOKS)))
    if last < min(before, LOW * highest):
        schedule = recipe.settings["lr"]
        keep = "train.lr.end=0.01 or " if "end" in schedule else ""
        again = ", or rewind=lr, which runs the schedule again" if "rewind" in late else ""
        run.watch.warn(
            f"{' and '.join(late)}: what trains past the end of training does so at the last "
            f"learning rate, here {100 * last / highest:.2g} % of the highest (train/lr="
            f"{schedule['name']}), and will hardly move a weight; type {keep}train/lr=milestones"
            f"{again}",
            "rate",
        )
