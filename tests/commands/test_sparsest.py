"""The bisection finds what all levels would show, with a run for each level that it looks at."""

import math
import subprocess
import sys
import time

import pandas as pd
import pytest

from lottery.planning.sparsest import Bisection


@pytest.mark.parametrize("levels", [1, 2, 3, 7, 8, 20])
def test_where_matches_come_first_it_finds_what_every_level_shows(levels):
    for last in range(levels + 1):
        found = Bisection(levels)
        assert found.search(lambda n, last=last: (-float(n), n <= last)) == last
        assert len(found.gains) <= math.floor(math.log2(levels)) + 1
        assert not list(found.rises())


def test_it_says_where_what_it_looked_at_is_not_monotone():
    gains = [0.0, -0.3, -0.1, -0.2, -0.15, -0.4, -0.5, -0.6]
    found = Bisection(7)
    assert found.search(lambda n: (gains[n], gains[n] >= -0.25)) == 4
    assert list(found.gains) == [4, 6, 5] and not list(found.rises())  # 1 was not looked at
    found = Bisection(7)
    assert found.search(lambda n: (gains[n], gains[n] >= -0.05)) == 0
    assert list(found.gains) == [4, 2, 1] and list(found.rises()) == [(1, 2)]


WORDS = ("prune=oneshot", "schedule.keep=0.5", "levels=5", "train.length=8ep")


@pytest.mark.slow
def test_it_finds_the_level_of_the_run_that_trains_them_all(lottery, tiny, run, capsys, tmp_path):
    every = pd.read_csv(run(*WORDS, "outputs=whole") or next(tmp_path.glob("whole/*/*/*_0")) / "metrics.csv")
    value = every["val_accuracy"].tolist()
    matching = [n for n in range(1, 6) if value[n] >= value[0] - 0.1]
    probe = Bisection(5)
    best = probe.search(lambda n: (value[n] - value[0], n in matching))
    words = ["sparsest", *tiny, *WORDS, "levels_until=dense-0.1"]
    capsys.readouterr()
    assert lottery(*words) == 0
    said = capsys.readouterr().out
    wanted = f"level {best}, density" if best else "none"
    assert f"sparsest that matches: {wanted}" in said
    assert f"of 5 levels, {len(probe.gains)} looked at (dense-0.1)" in said
    tables = [pd.read_csv(path) for path in tmp_path.glob("outputs/*/*/*_0/metrics.csv")]
    assert len(tables) == len(probe.gains)
    found = {row["key"] for table in tables for row in table.to_dict("records")}
    assert found <= {*every["key"]}  # to the bit what the whole run has trained
    assert lottery(*words) == 0  # again: nothing is trained
    again = capsys.readouterr().out
    assert " trained" not in again and again.splitlines()[-1] == said.splitlines()[-1]


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_bits(tiny, shell, bits, tmp_path):
    long = ["train.length=50ep", "checkpoint_every=1it", "evaluate_every=50ep"]
    words = ["sparsest", *tiny, *WORDS, *long, "levels_until=dense-0.1"]
    process = subprocess.Popen([sys.executable, "-m", "lottery", *words], cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not [*tmp_path.glob("outputs/store/*/checkpoint-*")] and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not [*tmp_path.glob("outputs/*/*/*_0/level_01")]
    last = [shell(*words, *more).stdout.splitlines()[-1] for more in ((), ("outputs=whole",))]
    assert last[0] == last[1] and last[0].startswith("sparsest that matches")
    runs = {f.parent.name: bits(f) for f in tmp_path.glob("outputs/*/*/replicate_0")}
    assert runs and runs == {f.parent.name: bits(f) for f in tmp_path.glob("whole/*/*/replicate_0")}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["prune=imp"], "prunes each level from the level before"),
        (["-m", "prune=oneshot,snip"], "one config at a time"),
        (["prune=oneshot", "levels_until=null"], "type levels_until=dense-0.01"),
        (["prune=oneshot", "dataset.validation=0"], "no validation split"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_line(lottery, tiny, capsys, words, why):
    assert lottery("sparsest", *tiny, *words) == 2
    said = capsys.readouterr().err
    assert why in said and said.count("\n") == 1
