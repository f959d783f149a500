"""A number that is not finite: found at its step, never saved as good, and dealt with as asked."""

import math
from functools import partial

import pytest
import torch
from harness import (
    LENET,
    assert_same,
    assert_sound,
    bits,
    compose,
    finish,
    left,
    output,
    tortured,
)
from oracles import files
from points import after_step, die
from safetensors.torch import load_file

from lottery.experiment import launch
from lottery.experiment.levels import existing
from lottery.storage.records import read_signed
from lottery.tasks.images.images import ImageTask
from lottery.terms.step import Step
from lottery.training import train

RATE = 0.01
MOMENTS = {"first step": 5, "middle": 7, "level end": 12}  # updates of level 1, which starts at 4
ROWS = {5: 4, 7: 5, 12: 10}  # the last row of the curve before
KEPT = {5: 9, 7: 9, 12: 11}  # steps after the rollback whose states nobody keeps


def plan_of(policy):
    own = ["levels=1", "branch=[]", f"train.on_nan={policy}", f"train.optimizer.lr={RATE}"]
    return compose([*LENET, *own])


def break_at(wanted):
    """Let the loss of one update of level 1 be NaN, until the learning rate was lowered twice."""
    now, steps, loss = {}, train.steps, ImageTask.loss

    def noted(training, stop):
        now["training"] = training
        return steps(training, stop)

    def broken(task, model, batch):
        breaks = False
        if model.training and (training := now.get("training")):  # the checks train a little, too
            pruned = not all(bool(m.all()) for m in training.mask.values())
            breaks = pruned and training.step + 1 == wanted and len(training.lowered) < 2
        return loss(task, model, batch) * (math.nan if breaks else 1.0)

    train.steps, ImageTask.loss = noted, broken


def not_finite(folder):
    """Return the tensor files, checkpoints among them, that hold a number that is not finite.

    What a kill left in the midst of its writing is no file yet, and swept away by the next command.
    """
    return [
        path
        for path in files(folder)
        if path.suffix == ".safetensors"
        and not path.name.startswith(".tmp-")
        and not all(bool(t.isfinite().all()) for t in load_file(path).values())
    ]


def level_1(folder):
    """Return the folder in the store of the last level."""
    [link] = folder.glob("outputs/*/*/replicate_0/level_01")
    return link.resolve()


@pytest.mark.parametrize("moment", tortured(MOMENTS, "middle"))
def test_stop(tmp_path, tally, moment):
    plan, step = plan_of("stop"), MOMENTS[moment]
    folder, whole = tmp_path / "broken", tmp_path / "whole"
    for _ in range(2):  # the same command again comes to the same step
        assert finish(folder, plan, partial(break_at, step)) == 6, output(folder)
        assert f"not finite after step {step};" in output(folder).splitlines()[-1]
        done = assert_sound(folder)
        assert len(done["levels"]) == 1
        assert not not_finite(folder)
    [record] = folder.glob("outputs/*/*/replicate_0/run.json")
    assert read_signed(record)["state"] == "failed"
    assert finish(folder, plan) == 0, output(folder)  # what had been saved was good
    assert finish(whole, plan) == 0, output(whole)
    assert_same(folder, bits(whole), done)
    tally("NaN", 1)


@pytest.mark.torture
@pytest.mark.parametrize("moment", MOMENTS)
def test_rollback(tmp_path, tally, moment):
    plan, step = plan_of("rollback"), MOMENTS[moment]
    whole, witness = tmp_path / "whole", tmp_path / "witness.pt"
    assert finish(whole, plan, lambda: (break_at(step), watch(KEPT[step], witness))) == 0, output(
        whole
    )
    expected = bits(whole)
    assert_same(whole, expected)
    assert not not_finite(whole)
    assert read_signed(level_1(whole) / "manifest.json")["lowered"] == [ROWS[step]] * 2
    for attempt, at in ((1, step), (2, step), (3, min(step + 1, 12))):  # the third one is cured
        folder = tmp_path / f"killed_{attempt}"
        code = finish(folder, plan, lambda: (break_at(step), after_step(at, die, attempt)))  # noqa: B023
        assert code == -9, output(folder)
        before = assert_sound(folder)
        assert not not_finite(folder)
        assert finish(folder, plan, partial(break_at, step)) == 0, output(folder)
        assert_same(folder, expected, before)
    assert finish(whole, plan, lambda: (break_at(step), ask_for(KEPT[step]))) == 0, output(whole)
    replayed = load_file(level_1(whole) / f"{KEPT[step]}it.safetensors")
    seen = torch.load(witness)
    assert seen.keys() <= {name.removeprefix("weights/") for name in replayed}
    assert all(torch.equal(replayed[f"weights/{name}"], seen[name]) for name in seen)
    tally("NaN", 1)


def watch(step, path):
    """Write down the weights of level 1 each time that it comes to a step: the last one stands."""
    real = train.steps

    def steps(training, stop):
        for now in real(training, stop):
            if now == step and not all(bool(m.all()) for m in training.mask.values()):
                torch.save(training.model.state_dict(), path)
            yield now

    train.steps = steps


def ask_for(step):
    """Ask for a state of level 1 once the levels are there."""
    real = launch.run_levels

    def run_levels(locked):
        real(locked)
        existing(locked, 1).state(Step(step, locked.run.task.steps_per_epoch))

    launch.run_levels = run_levels


@pytest.mark.torture
@pytest.mark.parametrize("moment", MOMENTS)
def test_ignore(tmp_path, tally, moment):
    plan, step = plan_of("ignore"), MOMENTS[moment]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(whole, plan, partial(break_at, step)) == 0, output(whole)
    assert_same(whole, bits(whole))
    assert not_finite(level_1(whole)) == [level_1(whole) / "end.safetensors"]
    code = finish(killed, plan, lambda: (break_at(step), after_step(min(step + 1, 12), die, 1)))
    assert code == -9, output(killed)
    before = assert_sound(killed)
    assert finish(killed, plan, partial(break_at, step)) == 0, output(killed)
    assert_same(killed, bits(whole), before)
    assert not left(killed)
    tally("NaN", 1)
