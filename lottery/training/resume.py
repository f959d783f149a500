"""Stop a training and go on with it: checkpoints, rollbacks, and numbers that are not finite."""

from typing import Any

from lottery.errors import DivergedError, UsageError
from lottery.machine.environment import differences, fingerprint
from lottery.progress.bars import Progress
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.tensors import all_finite, optimizer_tensors
from lottery.terms.snapshots import pack, step_of, unpack
from lottery.terms.step import Step
from lottery.terms.task import remembered
from lottery.terms.ticket import State
from lottery.training.loop import Back, Training
from lottery.training.start import at_state

MOST_ROLLBACKS = 8


def snapshot(training: Training) -> State:
    """Return the state at this step, copied to the CPU."""
    step = Step(training.step, training.task.steps_per_epoch)
    weights = {k: v.detach().cpu().clone() for k, v in training.model.state_dict().items()}
    mask = {n: m.cpu() for n, m in training.mask.items()} if training.moved else None
    optimizer = optimizer_tensors(training.optimizer)
    return State(step, weights, optimizer, mask, remembered(training.task))


def sound(training: Training, state: State) -> bool:
    """Say whether a state may be kept: all of it is finite, or the recipe does not mind.

    An optimizer's state may overflow steps before a weight does. Whether a training goes on is
    decided at the rows of its curve, never by when a checkpoint happens to be due.
    """
    held = state.weights | (state.optimizer or {}) | state.memory
    return training.recipe.on_nan == "ignore" or all_finite(held)


def keep_row(training: Training) -> None:
    """Check all of the state at a row of the curve, and keep it where a rollback may need it.

    Raises DivergedError where a number in it is not finite.
    """
    if training.recipe.on_nan == "ignore":
        return
    state = snapshot(training)
    if not sound(training, state):
        raise diverged(training.step, "a weight or what the optimizer keeps of it")
    if training.recipe.on_nan == "rollback":
        training.back = Back(state, len(training.curve))


NOTES = ("loss_count", "seconds", "evaluating", "curve", "saved", "lowered", "undone", "drift")


def checkpoint(training: Training, checkpoints: Checkpoints) -> None:
    """Write all that the rest of the level depends on, while training goes on.

    A checkpoint is numbered by all steps that were taken, so that one after a rollback is newer.
    Nothing is written of a state that is not sound: the checkpoint before it is a good one.
    """
    state = snapshot(training)
    if not sound(training, state):
        return
    tensors, about = pack(state)
    tensors["loss_sum"] = training.loss_sum.cpu().clone()
    notes: dict[str, Any] = {name: getattr(training, name) for name in NOTES}
    notes["curve"], notes["saved"] = list(training.curve), dict(training.saved)
    notes["environment"] = fingerprint(training.task.device)
    if training.back is not None:
        kept, at = pack(training.back.state)
        tensors |= {f"back/{name}": tensor for name, tensor in kept.items()}
        notes["back"] = {**at, "rows": training.back.rows}
    checkpoints.write(training.step + training.undone, tensors, about | notes)


def resume(start: Training, checkpoints: Checkpoints, watch: Progress, strict: bool) -> Training:
    """Return the training at its newest good checkpoint; `start` where there never was one."""
    found = checkpoints.read(watch.warn)
    if found is None:
        return start
    task = start.task
    tensors, about = found
    loss_sum = tensors.pop("loss_sum")
    kept = {k.partition("/")[2]: tensors.pop(k) for k in [*tensors] if k.startswith("back/")}
    state = unpack(tensors, Step(about["step"], task.steps_per_epoch))
    training = at_state(start, state)
    training.loss_sum = loss_sum.to(task.device)
    for name in NOTES:
        setattr(training, name, about[name])
    if back := about.get("back"):
        there = Step(back["step"], task.steps_per_epoch)
        training.back = Back(unpack(kept, there), back["rows"])
    if changed := differences(about["environment"], fingerprint(task.device)):
        refuse_or_warn(f"the checkpoint at step {training.step}", changed, watch, strict)
        training.drift = [*training.drift, f"step {training.step}: {', '.join(changed)}"]
    return training


def refuse_or_warn(what: str, changed: list[str], watch: Progress, strict: bool) -> None:
    """Say that something was made in another environment; with `strict` raise UsageError."""
    said = f"{what} was made in another environment ({', '.join(changed)})"
    if strict:
        raise UsageError(f"strict: {said}; go on in that one, or type strict=false")
    watch.warn(f"{said}; the bits from here on may be others than there", "environment")


def rolled_back(training: Training, error: DivergedError) -> Training:
    """Return the training as of the last row of its curve, its learning rate halved from there.

    The same steps follow, on the same data. Raises the error where the recipe does not ask for
    it, or it was done often enough. What is kept on disk of later steps is written over.
    """
    back = training.back
    if back is None:
        raise error
    if len(training.lowered) >= MOST_ROLLBACKS:
        raise DivergedError(f"{error}; it was rolled back {MOST_ROLLBACKS} times") from error
    again = at_state(training, back.state)
    step = back.state.step.iteration
    again.back = back
    again.curve = training.curve[: back.rows]
    again.lowered = [*training.lowered, step]
    again.undone = training.undone + training.step - step
    again.saved = {f: sha for f, sha in training.saved.items() if step_of(f) <= step}
    again.seconds, again.evaluating = training.seconds, training.evaluating
    again.drift = training.drift
    return again


def check_broken(training: Training) -> None:
    """Raise DivergedError where a step has made a number that is not finite."""
    if step := int(training.broken):
        raise diverged(step, "the loss or a weight")


def diverged(step: int, what: str) -> DivergedError:
    """Return the error for a number that is not finite."""
    return DivergedError(
        f"training diverged: {what} is not finite after step {step}; lower the learning rate "
        "(train.optimizer.lr=..., or by itself: train.on_nan=rollback) or limit the gradient "
        "(train.clip=1.0)"
    )
