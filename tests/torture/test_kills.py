"""SIGKILL at random moments, again and again on the same run: it ends with the same bits."""

import random
import shutil

import pytest
from harness import (
    CONV,
    LENET,
    assert_same,
    assert_sound,
    compose,
    finish,
    kill_after,
    output,
    whole,
)

CHUNKS, RUNS, KILLS = 16, 13, 94  # 208 runs, 1504 kills
MOST = 9  # kills of one run, which may then come to its end
NETS = [[*LENET, "train.length=6ep"], [*CONV, "train.length=3ep"]]  # most of a run is training


def killed_over_and_over(folder, plan, draw, pace, most=MOST):
    """Kill a run after delays below `pace`, asserting what holds at any moment.

    Returns how often it died before it could finish, and what it had acknowledged by then.
    """
    before = {}
    for died in range(most):
        code = kill_after(folder, plan, draw.uniform(0, pace))
        before = assert_sound(folder, before)
        if code != -9:
            assert code == 0, output(folder)
            return died, before
    return most, before


@pytest.mark.parametrize("net", [LENET, CONV], ids=["lenet-adam", "conv-sgd"])
def test_a_run_killed_over_and_over_ends_with_the_same_bits(tmp_path, net):
    plan = compose(net)
    expected, length = whole(tmp_path / "whole", plan)
    _, before = killed_over_and_over(tmp_path / "run", plan, random.Random(0), length / 2, 3)
    assert finish(tmp_path / "run", plan) == 0, output(tmp_path / "run")
    assert_same(tmp_path / "run", expected, before)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(CHUNKS // 2))
@pytest.mark.parametrize("net", NETS, ids=["lenet-adam", "conv-sgd"])
def test_random_kills(tmp_path, tally, net, seed):
    plan = compose(net)
    draw = random.Random(seed)
    expected, pace = whole(tmp_path / "whole", plan)
    runs = kills = 0
    while runs < RUNS or kills < KILLS:
        assert runs < 4 * RUNS, "the runs end before they can be killed"
        folder = tmp_path / f"run_{runs}"
        died, before = killed_over_and_over(folder, plan, draw, pace)
        assert finish(folder, plan) == 0, output(folder)
        assert_same(folder, expected, before)
        shutil.rmtree(folder)
        runs, kills = runs + 1, kills + died
        pace *= 0.8 if kills < runs * KILLS / RUNS else 1.1  # the machine's pace changes too
    tally("random SIGKILL runs", runs)
    tally("random SIGKILL kills", kills)
