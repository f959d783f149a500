"""Check the values of a run against each other before anything is written."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from lottery import mask as masks
from lottery import seeds
from lottery.errors import UsageError
from lottery.glimpse import Enough, Glimpse
from lottery.live import bn_scales
from lottery.loop import build, prepare
from lottery.mask import Mask
from lottery.parts import Ticket
from lottery.pause import Pause
from lottery.prune import check
from lottery.runs import Run
from lottery.states import Wish, brought, densities
from lottery.step import Span, Step, parse
from lottery.task import Task
from lottery.units import allocate


def validate(run: Run) -> None:
    """Raise UsageError for values that cannot go together; nothing has been written yet.

    A run that has begun had its model tried then; its folder is named for the config.
    """
    check_lengths(run)
    if not (run.folder / "config.yaml").exists():
        check_model(run)
    span = check_rewind(run)
    start = check_ticket(run)
    check_densities(run)
    first = 2 if start else 1  # the level that is pruned first
    if run.parts.levels >= first and not (run.folder / "config.yaml").exists():
        check_pruning(run, span, start or run.dense, first)
    check_branches(run, span)


@contextlib.contextmanager
def named(setting: str) -> Iterator[None]:
    """Let an error of a component say, in one line, which setting it is about."""
    try:
        yield
    except UsageError as error:
        text = str(error)
        raise UsageError(text if text.startswith(setting) else f"{setting}: {text}") from error
    except (ValueError, IndexError, TypeError, RuntimeError, ArithmeticError) as error:
        raise UsageError(f"{setting}: {str(error).splitlines()[0]}") from error


def check_lengths(run: Run) -> None:
    """Raise UsageError for steps that cannot be read or lie outside of training."""
    recipe, end = run.parts.recipe, run.length.iteration
    size = run.length.steps_per_epoch
    if parse(recipe.evaluate_every, size, end, "evaluate_every").iteration < 1:
        raise UsageError(f"evaluate_every={recipe.evaluate_every} is no length; write 1ep or 500it")
    if parse(recipe.warmup, size, end, "train.warmup").iteration > end:
        raise UsageError(f"train.warmup={recipe.warmup} is longer than training ({run.length})")
    Pause(run.checkpoint_every, size)
    with named("train.lr"):
        recipe.lr(Step(0, size), run.length)


def check_model(run: Run) -> None:
    """Raise UsageError unless the optimizer takes the model, and the model the task's examples."""
    with named("train.optimizer"):
        run.parts.recipe.optimizer([nn.Parameter(torch.zeros(1, device=run.task.device))])
    ticket = Ticket(run.initial.weights, run.dense, Span(0, run.length.iteration))
    model = prepare(run.parts, run.task, ticket, 0).model
    if run.parts.recipe.slimming and not bn_scales(model):
        raise UsageError(
            "train.slimming: this model has no BatchNorm whose scales it could shrink; type "
            "train.slimming=0 or choose another model"
        )
    try_model(model, run.task, min(2, run.parts.recipe.batch_size))


def try_model(model: nn.Module, task: Task, examples: int) -> None:
    """Raise UsageError unless the model trains on so many examples and gives K scores for each."""
    pixels = torch.zeros(examples, *task.input_shape, device=task.device)
    try:
        with torch.no_grad():
            shape = tuple(model.train()(pixels).shape)
    except (RuntimeError, ValueError) as error:
        size = "x".join(map(str, task.input_shape))
        raise UsageError(
            f"model: it cannot take {examples} images of {size} ({str(error).splitlines()[0]}); "
            "choose another model, dataset or train.batch_size"
        ) from error
    if shape != (examples, task.outputs):
        raise UsageError(f"model: gives {shape} for {examples} examples of {task.outputs} classes")


def check_rewind(run: Run) -> Span:
    """Return the span of steps of a pruned level; raise UsageError where there is none."""
    wish, end = Wish(run), run.length.iteration
    with named("rewind"):
        _, span = run.parts.rewind(wish)
    with named("prune.at"):
        scored = wish.step(run.parts.pruning.at).iteration
    for name, steps in {"rewind": wish.asked, "prune.at": {scored}}.items():
        if max(steps, default=0) > end:
            raise UsageError(
                f"{name}: step {max(steps)} is after the end of training, "
                f"{end} steps ({run.length}); choose an earlier one"
            )
    if span.start >= span.stop:
        raise UsageError(
            f"rewind: from step {span.start} to {span.stop} there is nothing left to "
            "train; rewind to an earlier step"
        )
    return span


def check_ticket(run: Run) -> Mask | None:
    """Return the mask of the ticket that the rewind brings; None where it brings none.

    Raises UsageError where later levels could not go on from it.
    """
    with named("rewind"):
        found = brought(run)
    if found and run.parts.levels > 1 and not run.parts.pruning.nested:
        raise UsageError(
            "rewind: this method prunes every level from the dense net, of which a ticket has only "
            "some weights; type levels=1, or prune.nested=true to prune on from the ticket"
        )
    return found


def check_densities(run: Run) -> None:
    """Raise UsageError for densities that rise, leave (0, 1], empty the net or cannot be spread."""
    parts, total, density_of = run.parts, masks.total(run.dense), densities(run)
    before = 1.0
    if parts.schedule(0) != 1:
        raise UsageError(f"schedule: level 0 is the dense net, not density {parts.schedule(0):g}")
    for index in range(1, parts.levels + 1):
        density = density_of(index)
        if density > 1:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}; the dense net's "
                "is 1, and pruning cannot add to it"
            )
        if density <= 0 or masks.count(density, run.dense) < 1:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}, which keeps "
                f"{max(0, round(density * total))} of {total} weights; ask for fewer "
                "levels or a slower schedule"
            )
        if parts.pruning.nested and density > before:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}, above the "
                f"{before:.4g} of the level before; order them or set "
                "prune.nested=false"
            )
        before = density


def check_pruning(run: Run, span: Span, start: Mask, first: int) -> None:
    """Raise UsageError unless criterion, structure, allocation and update go together.

    Each is tried on the initial net: the criterion up to its first loss on two examples, structure
    and allocation at the first and the last density, the update at its first step. `start` is the
    mask that level `first` prunes.
    """
    how = run.parts.pruning
    model = build(run.parts, run.task)
    model.load_state_dict(run.initial.weights)
    model.to(run.task.device)
    mask = {name: m.to(run.task.device) for name, m in start.items()}
    density_of = densities(run)
    least = density_of(run.parts.levels)
    draw = seeds.generator("glimpse")
    scores = {n: torch.rand(m.shape, generator=draw).to(m.device) for n, m in mask.items()}
    with named("prune.criterion"), contextlib.suppress(Enough):
        scores = how.criterion(model, mask, Glimpse(run.task), draw, least)
    units = how.structure(model, run.task, scores, mask)
    for density in sorted({density_of(first), least}):
        kept = allocate(units, how.allocation, density, mask)
        check(mask, kept, density, whole=units.whole, exact=how.exact)
    weights = {n: p for n, p in model.named_parameters() if n in mask}
    with named("prune.update"):
        how.update(mask, weights, Step(0, run.length.steps_per_epoch), run.length, 0)
    if span.start >= run.length.iteration and how.update_settings["name"] != "static":
        raise UsageError(
            f"prune.update: {how.update_settings['name']} moves the mask before the end of "
            "training, where this rewind starts; choose another rewind"
        )
    bound = units.whole or masks.kept(units.mask) < masks.kept(mask)
    if bound and how.update_settings["name"] != "static":
        raise UsageError(
            f"prune.update: {how.update_settings['name']} moves single weights to any place, which "
            "this structure forbids; choose prune/structure=weight or prune/update=static"
        )


def check_branches(run: Run, span: Span) -> None:
    """Raise UsageError for a branch that cannot be made, or a level that is none."""
    for name, branch in run.parts.branches.items():
        wish = Wish(run)
        ticket = branch(Ticket(run.initial.weights, run.dense, span), wish, seeds.generator(name))
        late = max(wish.asked, default=0) > run.length.iteration
        if late or ticket.span.start >= ticket.span.stop:
            raise UsageError(
                f"branch {name}: from step {ticket.span.start} there is nothing left to train "
                f"before the end, {run.length}; choose an earlier step"
            )
    there = run.parts.branch_levels
    if run.parts.branches and there and run.parts.levels and min(there) > run.parts.levels:
        raise UsageError(
            f"branch_levels={list(there)}: this run has {run.parts.levels} pruned levels, and none "
            "of them would get a branch"
        )
    if min(run.parts.branch_levels or (1,)) < 1:
        raise UsageError(
            f"branch_levels={list(run.parts.branch_levels or ())}: pruned levels count from 1"
        )
