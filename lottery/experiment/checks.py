"""Check the values of a run against each other before anything is written."""

import contextlib

import torch
from torch import nn

from lottery.errors import DivergedError, UsageError
from lottery.experiment.ending import check_until
from lottery.experiment.foreseen import check_analyses
from lottery.experiment.run import Run
from lottery.experiment.timetable import (
    check_branches,
    check_lengths,
    check_rewind,
    same_numbers,
    warn_of_draws,
    warn_of_last_rate,
)
from lottery.nets.bf16 import too_narrow
from lottery.nets.trial import try_training
from lottery.pruning.prune import check
from lottery.pruning.trial import Enough, FewGradients, Glimpse
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.copying import load_
from lottery.terms.step import Step
from lottery.terms.task import made_up
from lottery.terms.units import allocate
from lottery.training.groups import check_patterns
from lottery.training.held import bn_scales
from lottery.training.start import build, prepare
from lottery.wording.settings import named


def validate(run: Run) -> None:
    """Raise UsageError for values that cannot go together; nothing has been written yet.

    A run that has begun had its model tried then; its folder is named for the config.
    """
    check_lengths(run)
    check_until(run)
    new = not (run.folder / "config.yaml").exists()
    model = check_model(run) if new else None
    check_precision(run)
    check_rewind(run)
    check_ticket(run)
    check_densities(run)
    if model is not None:
        check_pruning(run, model)
    del model
    check_branches(run)
    check_analyses(run)
    warn_of_last_rate(run)
    warn_of_draws(run)


def check_precision(run: Run) -> None:
    """Raise UsageError for a model whose gradients torch would get wrong in bf16 on the CPU."""
    if run.parts.recipe.precision != "bf16" or run.task.device.type != "cpu":
        return
    model = build(run.parts, run.task)
    if odd := too_narrow(model, made_up(run.task, 2)):
        raise UsageError(
            f"train.precision=bf16: this model has a convolution that steps over {odd[0]} pixels "
            f"where its input is {odd[1]} wide, and torch gets the gradient of such a one wrong in "
            "bf16 on the CPU; type train.precision=fp32, or choose larger images or another model"
        )


def check_model(run: Run) -> nn.Module:
    """Return the initial net; raise UsageError unless it trains on the task's examples here."""
    ticket = run.settled.dense
    model = run.drawn("init")
    check_repeated(run, model)
    check_groups(run, model)
    training = prepare(run.parts, run.task, ticket, 0, model=model)
    if run.parts.recipe.slimming and not bn_scales(model):
        raise UsageError(
            "train.slimming: this model has no BatchNorm whose scales it could shrink; type "
            "train.slimming=0 or choose another model"
        )
    weights, few = ticket.weights, min(2, run.parts.recipe.batch_size)
    try_training(model, run.task, training.optimizer, weights, few)
    model.zero_grad()
    load_(model, weights)
    return model


def check_groups(run: Run, model: nn.Module) -> None:
    """Raise UsageError for a group of the optimizer that no parameter would be in."""
    groups = getattr(run.parts.recipe.optimizer, "keywords", {}).get("groups")
    if isinstance(groups, dict):
        check_patterns(groups, [n for n, p in model.named_parameters() if p.requires_grad])


def check_repeated(run: Run, model: nn.Module) -> None:
    """Raise UsageError unless a net that is made again has the initial weights again."""
    again = run.started(model).weights
    for name, weight in run.initial.weights.items():
        if name not in again or not same_numbers(again[name], weight):
            raise UsageError(
                f"model: made twice from one seed, {name} has other numbers, so no run of it "
                "could be repeated; let its function draw from torch, numpy or random, by their "
                "global generators, and read no clock"
            )


def settings_of(run: Run) -> str:
    """Return the settings of the schedule, as they are typed."""
    known = getattr(run.parts.schedule, "keywords", {})
    return " or ".join(f"schedule.{key}" for key in known) or "schedule="


def check_ticket(run: Run) -> None:
    """Raise UsageError where later levels could not go on from the ticket that a rewind brings."""
    if run.settled.brought and run.parts.levels > 1 and not run.parts.pruning.nested:
        raise UsageError(
            "rewind: this method prunes every level from the dense net, of which a ticket has only "
            "some weights; type levels=1, or prune.nested=true to prune on from the ticket"
        )


def check_densities(run: Run) -> None:
    """Raise UsageError for densities that rise, leave (0, 1], empty the net or cannot be spread."""
    parts, total, density_of = run.parts, masks.total(run.dense), run.settled.density
    before = 1.0
    if parts.schedule(0) != 1:
        raise UsageError(
            f"schedule: level 0 is the dense net, of density 1, not {parts.schedule(0):g}; let the "
            "schedule give 1 for level 0"
        )
    for index in range(1, parts.levels + 1):
        density = density_of(index)
        if density > 1:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}; the dense net's "
                f"is 1, and pruning cannot add to it; change {settings_of(run)}"
            )
        if density <= 0 or masks.count(density, run.dense) < 1:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}, which keeps "
                f"{max(0, round(density * total))} of {total} weights; type levels={index - 1}, or "
                f"prune more slowly: change {settings_of(run)}"
            )
        if parts.pruning.nested and density > before:
            raise UsageError(
                f"schedule: level {index} has density {density:.4g}, above the "
                f"{before:.4g} of the level before; order them or set "
                "prune.nested=false"
            )
        before = density


def check_pruning(run: Run, model: nn.Module) -> None:
    """Raise UsageError unless criterion, structure, allocation and update go together.

    Each is tried on the initial net, `model`: the criterion on a few examples, structure and
    allocation at the first and the last density, the update at its first step.
    """
    given = run.settled.brought
    first, start = (2, given) if given else (1, run.dense)  # the level that is pruned first
    if run.parts.levels < first:
        return
    how = run.parts.pruning
    mask = {name: m.to(run.task.device) for name, m in start.items()}
    density_of = run.settled.density
    least = density_of(run.parts.levels)
    draw = seeds.generator("glimpse")
    scores = {n: torch.rand(m.shape, generator=draw).to(m.device) for n, m in mask.items()}
    trial = (contextlib.suppress(Enough, DivergedError), FewGradients())
    with named("prune.criterion"), trial[0], trial[1]:
        scores = how.criterion(model, mask, Glimpse(run.task), draw, least)
    with named("prune"):
        units = how.structure(model, run.task, scores, mask)
        for density in sorted({density_of(first), least}):
            kept = allocate(units, how.allocation, density, mask)
            check(mask, kept, density, whole=units.whole, exact=how.exact)
    weights = {n: p for n, p in model.named_parameters() if n in mask}
    with named("prune.update"):
        how.update(mask, weights, Step(0, run.length.steps_per_epoch), run.length, 0)
    late = run.settled.span(first).start >= run.length.iteration
    if late and how.update_settings["name"] != "static":
        raise UsageError(
            f"prune.update: {how.update_settings['name']} moves the mask before the end of "
            "training, where this rewind starts; type rewind=lr or prune/update=static"
        )
    bound = units.whole or masks.kept(units.mask) < masks.kept(mask)
    if bound and how.update_settings["name"] != "static":
        raise UsageError(
            f"prune.update: {how.update_settings['name']} moves single weights to any place, which "
            "this structure forbids; choose prune/structure=weight or prune/update=static"
        )
