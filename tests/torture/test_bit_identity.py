"""Killed at a known point of a pruned level: every method and optimizer ends with the same bits."""

import signal

import pytest
from harness import TINY, assert_same, assert_sound, compose, finish, output, whole
from points import after_step, before_rename, die, in_criterion, in_evaluation

METHODS = {  # what makes each quick, and gives it something to do in twelve steps
    "imp": ["levels=2"],
    "oneshot": [],
    "snip": [],
    "synflow": ["prune.rounds=5"],
    "grasp": [],
    "random": [],
    "rigl": ["prune.update.every=2it", "prune.update.until=end"],
    "gem_miner": ["prune.criterion.length=2ep", "prune.criterion.period=3it"],
}
OPTIMIZERS = {
    "sgd": ["train/optimizer=sgd", "train.optimizer.lr=0.1", "train.optimizer.momentum=0.9"],
    "adam": ["train/optimizer=adam", "train.optimizer.lr=0.01"],
}
POINTS = {  # of the last level, which trains up to step 12, four steps an epoch
    "mid-epoch": lambda last: after_step(10, die, last),
    "epoch end": lambda last: after_step(8, die, last),
    "evaluation": lambda last: in_evaluation(10, die, last),
    "save": lambda last: before_rename("checkpoint-", die, last, number=2),
    "level end": lambda last: before_rename("manifest.json", die, last),
}


def plan_of(method, optimizer):
    rewind = [] if method in ("imp", "oneshot") else ["rewind=init"]
    own = [w for w in TINY if not (rewind and w.startswith("rewind"))]
    return compose([
        *own, *rewind, "model=lenet_300_100", "model.hidden=[4]", "train.length=3ep", "levels=1",
        f"prune={method}", *METHODS[method], *OPTIMIZERS[optimizer],
    ])  # fmt: skip


def interruptions(folder, plan):
    """Run the plan in a child that dies, once for each point; yield point, folder and exit code."""
    last = plan.parts.levels
    for name, point in POINTS.items():
        yield name, folder / name, finish(folder / name, plan, lambda point=point: point(last))
    rounds = plan.parts.pruning.rounds
    mid_prune = in_criterion(plan, die, number=rounds * (last - 1) + (rounds + 1) // 2)
    yield "mid-prune", folder / "mid-prune", finish(folder / "mid-prune", mid_prune)


@pytest.mark.torture
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", METHODS)
def test_same_bits_wherever_it_was_killed(tmp_path, tally, method, optimizer):
    plan = plan_of(method, optimizer)
    expected, _ = whole(tmp_path / "whole", plan)
    for point, folder, code in interruptions(tmp_path, plan):
        assert code == -signal.SIGKILL, (point, output(folder))
        before = assert_sound(folder)
        assert finish(folder, plan) == 0, (point, output(folder))
        assert_same(folder, expected, before)
        tally("bit identity", 1)
