"""A run prunes until a ticket falls below the dense net, whatever comes in between."""

import json
import math
import subprocess
import sys

import pandas as pd
import pytest

from lottery.errors import UsageError
from lottery.experiment import loop
from lottery.results.facts import Facts
from lottery.terms.metric import ACCURACY, Metric
from lottery.terms.until import until

PERPLEXITY = Metric("perplexity", better="lower", mean="log")


@pytest.mark.parametrize(
    ("metric", "said", "ticket", "dense", "below"),
    [
        (ACCURACY, "dense", 0.9, 0.9, False),
        (ACCURACY, "dense", 0.8999, 0.9, True),
        (ACCURACY, "dense-0.01", 0.97, 0.98, False),  # 0.98 - 0.97 is 0.01 and a rounding error
        (ACCURACY, "dense-0.01", 0.9699, 0.98, True),
        (ACCURACY, "dense-.5", 0.2, 0.6, False),
        (ACCURACY, "dense-1e-3", 0.5, 0.502, True),
        (ACCURACY, "dense-0.01", math.nan, 0.9, True),
        (ACCURACY, "dense-0.01", 0.9, math.nan, True),
        (PERPLEXITY, "dense-2", 31.9, 30.0, False),
        (PERPLEXITY, "dense-2", 32.1, 30.0, True),
        (PERPLEXITY, "dense-2", 12.0, 30.0, False),
        (PERPLEXITY, "dense-2", math.inf, 30.0, True),
    ],
)
def test_a_ticket_is_below_by_validation_in_the_metric_s_own_direction(
    metric, said, ticket, dense, below
):
    column = f"val_{metric.name}"
    assert until(said).below(metric, {column: ticket}, {column: dense}) is below


@pytest.mark.parametrize("word", ["0.01", "dense+0.01", "dense-1%", "dense--1", "dense-", ""])
def test_anything_else_is_refused_in_a_line_that_says_what_to_type(word):
    with pytest.raises(UsageError, match="type levels_until=dense-0.01"):
        until(word)
    assert until(None) is None


@pytest.fixture
def falls(monkeypatch):
    """Let levels be worth what a test says, whatever they were trained to: by level."""

    def call(*values):
        real = loop.is_last

        class Fake:
            def __init__(self, index):
                self.index, self.manifest = index, {"result": {"val_accuracy": values[index]}}

        monkeypatch.setattr(
            loop, "is_last", lambda run, level, dense: real(run, Fake(level.index), Fake(0))
        )

    return call


def levels(folder):
    return pd.read_csv(folder / "metrics.csv")["level"].tolist()


def test_the_first_level_below_is_the_last_and_stays(run, falls):
    falls(0.9, 0.91, 0.895, 0.88, 0.95)  # what comes after is not looked at
    assert levels(run("levels=4", "levels_until=dense-0.01")) == [0, 1, 2, 3]


# of a net of 84 weights on 12 images: validation is a multiple of a twelfth
NEVER, SOON = "levels_until=dense-1", "levels_until=dense-0.0001"
WORDS = ("schedule.keep=0.3", "train.length=8ep")


def first_below(folder, tolerance):
    """The literal loop over the table."""
    rows = pd.read_csv(folder / "metrics.csv")["val_accuracy"].tolist()
    for level in range(1, len(rows)):
        if not rows[level] >= rows[0] - tolerance:
            return level
    return None


def record(folder):
    return json.loads((folder / "run.json").read_text())


def test_it_is_no_part_of_the_identity_and_ends_where_a_loop_over_the_table_does(
    run, bits, lottery, tiny, capsys, tmp_path
):
    every = run(*WORDS, "levels=null", NEVER)  # as far as there is a weight: 84 * 0.3 ** 4 = 0.68
    assert levels(every) == [0, 1, 2, 3, 4] and record(every)["levels_asked"] == 4
    last = first_below(every, 0.0001)
    assert last in (1, 2, 3)  # else this shows nothing
    there = run(*WORDS, "levels=null", SOON)
    assert there == every and record(there)["levels_asked"] == 4  # it takes nothing from a run
    assert NEVER in record(there)["command"]
    run(*WORDS, "levels=null", SOON, "outputs=other")
    fresh = next(tmp_path.glob("other/*/*/replicate_0"))
    assert fresh.parent.name == every.parent.name
    assert levels(fresh) == list(range(last + 1))
    assert (record(fresh)["state"], record(fresh)["levels_asked"]) == ("done", last)
    assert Facts(fresh).row["levels"] == Facts(fresh).row["levels_asked"] == last
    more = (*WORDS, "levels=null", "outputs=other")
    run(*more, SOON)
    assert record(fresh)["did"]["trained"] == 0
    capsys.readouterr()
    assert lottery("plan", *tiny, *more, SOON, "format=json", "time=no") == 0
    planned = json.loads(capsys.readouterr().out)["jobs"][0]
    assert (planned["train"], planned["already there"], planned["levels_are"]) == (0, last + 1, "exact")
    assert lottery("plan", *tiny, *more, NEVER, "time=no") == 0
    assert f"at most {4 - last} to train" in capsys.readouterr().out
    assert lottery("doctor", "outputs=other") == 0
    assert lottery("branch", str(fresh), "branch=random") == 0
    assert levels(fresh) == list(range(last + 1))
    run(*more, NEVER)  # a larger tolerance goes on
    assert record(fresh)["did"]["trained"] == 4 - last
    left = bits(every)
    assert left.items() <= bits(fresh).items() and left


def test_a_data_set_without_validation_is_refused_and_what_is_to_be_typed_works(run, capsys):
    assert run("dataset.validation=0", SOON, code=2) is None
    assert "levels_until: there is no validation split" in capsys.readouterr().err
    assert run("dataset.validation=12", SOON)


def test_a_queue_takes_it_for_done(run, tiny, lottery):
    from lottery.config.compose import compose_each
    from lottery.experiment.single import Singles
    from lottery.queues.arrays import finished

    def job(*words):
        singles = Singles()
        compose_each([*tiny, *WORDS, *words], singles.take)
        singles.check()
        return singles.each[0]

    for words in (("levels=null", SOON), ("levels=null", NEVER), ("levels=2", SOON)):
        assert not finished(job(*words)) or words[0] == "levels=2"
        run(*WORDS, *words)
        assert finished(job(*words))


LONG = ["levels=null", SOON, *WORDS, "train.length=80ep", "checkpoint_every=1it", "evaluate_every=50ep"]


@pytest.mark.slow
def test_killed_over_and_over_it_ends_with_the_same_bits(shell, tiny, bits, tmp_path):
    words, kills = ["run", *tiny, *LONG], 0
    command = [sys.executable, "-m", "lottery", *words]
    for wait in (3.0, 3.5, 4.0):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert kills
    assert shell(*words).returncode == 0
    folder = next(tmp_path.glob("outputs/*/*/replicate_0"))
    there, found = bits(folder), levels(folder)
    assert found[-1] == first_below(folder, 0.0001)
    assert shell(*words, "outputs=whole").returncode == 0
    whole = next(tmp_path.glob("whole/*/*/replicate_0"))
    assert bits(whole) == there and levels(whole) == found


@pytest.mark.slow
def test_workers_end_each_run_where_it_ends_alone(shell, tiny, tmp_path):
    words = ["run", "-m", *tiny, "levels=null", SOON, *WORDS, "replicate=0,1,2"]
    said = [shell(*words, "host.workers=2").stdout, shell(*words, "outputs=alone").stdout]
    runs, alone = (sorted(tmp_path.glob(f"{top}/*/*/*_?")) for top in ("outputs", "alone"))
    assert len(runs) == 3 and [*map(levels, runs)] == [*map(levels, alone)]
    assert all(levels(f)[-1] == (first_below(f, 0.0001) or 4) for f in runs)
    assert all("3 of 3 runs done" in each for each in said)
    again = shell(*words, "host.workers=2")
    assert again.returncode == 0 and " trained" not in again.stdout.split("runs done")[1]
