"""Trials over the pool: which are run, stopped, taken up again and told as failed. Their runs are made up."""

import errno
import math
import re
import statistics
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from optuna.storages.journal import JournalFileBackend

from lottery.config.composed import Composed
from lottery.errors import (
    DAMAGED,
    DISK,
    DIVERGED,
    DONE,
    USAGE,
    DamagedError,
    DiskError,
    Stopped,
    UsageError,
)
from lottery.experiment import pool
from lottery.machine import signals
from lottery.machine.slots import Slots
from lottery.search import goal as goals
from lottery.search import trials as module
from lottery.search.asked import OWN
from lottery.search.axes import axis
from lottery.search.goal import Goal
from lottery.search.study import FIRST, Study
from lottery.search.summary import summary
from lottery.search.trials import FailedError, Trials
from lottery.terms.metric import ACCURACY, LOSS

HOST = {"workers": 1, "gpus_per_job": None, "threads_per_job": None, "threads": 1, "retries": 0,
        "device": "cpu", "progress": "none"}  # fmt: skip
LEVELS = 3


class KilledError(Exception):
    """Stands for KILL: nothing is put in order."""


class World:
    """A place where runs take no time: level k of lr=x reaches what `curve` says."""

    def __init__(self, workers=1):
        self.slots, self.threads = Slots([], 0, workers), 1
        self.levels, self.started, self.kill_at, self.codes = {}, [], None, {}
        self.curve = lambda x, level: 0.9 - abs(x - 0.3) - 0.1 * level * x
        self.density = lambda x, level: 0.5**level

    def start(self, words, environment, threads, slot, log):
        if len(self.started) == self.kill_at:
            raise KilledError
        said = dict(word.split("=", 1) for word in words[1:])
        run = (said["k"], said["replicate"])
        code = self.codes.get(len(self.started), DONE)
        if code == DONE:
            self.levels[run] = int(said["levels"])
        else:
            Path(log).write_text(f"lottery: failed with {code}\n")
        self.started.append((*run, int(said["levels"]), environment["LOTTERY_COMMAND"]))
        return SimpleNamespace(returncode=code, poll=lambda: code, kill=lambda: None, send_signal=lambda number: None)

    def ready(self, threads):
        return True

    def wait(self, seconds):
        pass

    def close(self):
        pass

    def rows(self, folder):
        key, replicate = folder.parent.name, folder.name.removeprefix("replicate_")
        levels = range(self.levels[key, replicate] + 1)
        return [{"level": n, "density": self.density(float(key), n), "val_accuracy": self.curve(float(key) + int(replicate), n)} for n in levels]


class FakeAsked:
    """What a search was asked for, with configs that nothing composes."""

    def __init__(self, space="0:1", replicates=("0",), **own):
        self.own = OWN | own
        self.axes = (axis(f"space.k={space}", lambda key, value: key),)
        self.replicates, self.trials, self.broken = replicates, int(self.own["trials"]), ""

    def composed(self, values):
        if values == (self.broken,):
            raise UsageError("it cannot be")
        return [self.one(values, r) for r in self.replicates]

    def one(self, values, replicate):
        settings = {"host": HOST, "outputs": "outputs", "name": "s", "k": values[0], "replicate": replicate, "levels": LEVELS}
        words = (*values, f"replicate={replicate}")
        return Composed(settings, dict.fromkeys(("model", "dataset", "prune"), "x"), values, words, 0, 1)


@pytest.fixture
def world(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = World()
    monkeypatch.setattr(pool, "place_of", lambda host, logs: made)
    folder = lambda settings, name: tmp_path / "outputs" / "s" / settings["k"].partition("=")[2] / f"replicate_{settings['replicate']}"  # noqa: E731
    monkeypatch.setattr(pool, "left_undone", lambda folder: False)
    monkeypatch.setattr(pool, "run_folder", folder)
    monkeypatch.setattr(pool, "dense_of", lambda settings: settings["k"])
    monkeypatch.setattr(module, "run_folder", folder)
    monkeypatch.setattr(goals, "level_rows", made.rows)
    yield made
    signals.forget()


def search(asked, path="search.journal", metric=ACCURACY):
    """Run a search to its end; return its trials."""
    goal = Goal("val_accuracy", metric, asked.own["at"])
    told = {"space": {"k": asked.axes[0].text}, "goal": goal.column, "seed": asked.own["seed"], "sampler": asked.own["sampler"]}
    found = Trials(asked, goal, Study(Path(path).absolute(), told, goal.direction), LEVELS)
    if not found.finished:
        found.run(asked.one(("k=0",), "0"), "lottery search")
    return found


def ends(found):
    return [(found.words_of(t), t.state.name, t.value, dict(t.intermediate_values)) for t in found.study.ended]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_is_the_same_twice_and_another_with_another_seed(world, sampler):
    one = ends(search(FakeAsked(sampler=sampler), "one"))
    assert ends(search(FakeAsked(sampler=sampler), "two")) == one
    assert ends(search(FakeAsked(sampler=sampler, seed="1"), "three")) != one
    assert len(one) == 20 and len({words for words, *_ in one}) > 15


def brute(found, curve, better):
    """Return how trials end by the rule of the median, from the whole curve of each."""
    done, told, seen = [], [], {}
    for number, trial in enumerate(found.study.ended):
        x = float(found.words_of(trial)[0].partition("=")[2])
        level = seen.get(x, 0)  # values that come twice end as they did
        while x not in seen and level < LEVELS:
            others = [curve(other, level) for other in done]
            if len(done) >= FIRST and number >= FIRST and better(statistics.median(others), curve(x, level)):
                break
            level += 1
        if level == LEVELS and x not in seen:
            done.append(x)
        told.append(seen.setdefault(x, level))
    return told


@pytest.mark.parametrize("metric", [ACCURACY, LOSS])
def test_trials_are_stopped_where_the_median_says_so(world, metric):
    world.curve = lambda x, level: 0.9 - abs(x - 0.3) + 0.2 * math.sin(17 * x + 2 * level)
    found = search(FakeAsked(trials="40"), metric=metric)
    better = (lambda a, b: a > b) if metric.higher else (lambda a, b: a < b)
    expected = brute(found, world.curve, better)
    assert [max(t.intermediate_values) for t in found.study.ended] == expected
    assert {0, LEVELS} < set(expected), "some are stopped at once, some later, some not"
    assert [t.state.name for t in found.study.ended] == ["COMPLETE" if n == LEVELS else "PRUNED" for n in expected]
    assert world.started[0][2] == LEVELS, "the first are run in one go"


def test_trials_of_other_densities_are_no_measure(world):
    world.density = lambda x, level: (0.5 if x < 0.5 else 0.8) ** level
    world.curve = lambda x, level: 0.9 if level == 0 else world.density(x, level) + 0.01 * math.sin(17 * x)
    found = search(FakeAsked(trials="40", sampler="random"))
    where = {float(found.words_of(t)[0].partition("=")[2]): max(t.intermediate_values) for t in found.study.ended}
    for side in (lambda x: x < 0.5, lambda x: x >= 0.5):
        levels = [level for x, level in where.items() if side(x)]
        assert levels.count(LEVELS) >= FIRST and min(levels) == 1, "each by trials of its own density"
    assert summary(found, Path("outputs/s"), Path("outputs"), "table")[1][0].startswith("trials end with 12.5 to 51.2 % of the weights")


def test_a_run_that_several_trials_share_counts_once(world):
    """Of four choices no median is made, however often each comes."""
    world.curve = lambda x, level: 0.9 - x - 0.1 * level
    found = search(FakeAsked(space="0.1,0.2,0.3,0.4", trials="30", sampler="random"))
    assert {t.state.name for t in found.study.ended} == {"COMPLETE"} and len(world.levels) == 4
    world.codes = {len(world.started): 6}
    found = search(FakeAsked(space="0.7,0.8", trials="9", sampler="random"), "other")
    lines = [line for line in summary(found, Path("outputs/s"), Path("outputs"), "table")[1] if line.startswith("failed")]
    assert len(lines) == 1 and re.match(r"failed: trial 0, \d", lines[0])


def test_a_trial_that_is_stopped_is_a_run_of_fewer_levels(world):
    found = search(FakeAsked(trials="30"))
    for trial in found.study.ended:
        key = found.words_of(trial)[0].partition("=")[2]
        assert world.levels[key, "0"] == max(trial.intermediate_values)
    assert {command for *_, command in world.started} == {f"lottery run k={k} replicate=0" for k, *_ in world.started}


def test_nothing_is_stopped_where_that_was_asked_for(world):
    found = search(FakeAsked(trials="30", stop="none"))
    assert {t.state.name for t in found.study.ended} == {"COMPLETE"}
    assert {levels for _, _, levels, _ in world.started} == {LEVELS}


@pytest.mark.parametrize("at", [0, 1, 4, 7, 12, 19])
def test_a_search_that_was_killed_ends_as_if_it_had_not_been(world, at):
    whole = ends(search(FakeAsked(), "whole"))
    world.levels, world.started, world.kill_at = {}, [], at
    with pytest.raises(KilledError):
        search(FakeAsked(), "killed")
    world.slots = Slots([], 0, 1)
    with open("killed", "ab") as file:
        file.write(b'{"op_code":7,"trial')  # as of a line that was being written
    Path("killed.lock").touch()
    Path("killed.lock1f.rename").touch()
    world.kill_at = None
    assert ends(search(FakeAsked(), "killed")) == whole
    assert not [*Path().glob("killed.lock*")]
    assert len(search(FakeAsked(), "killed").study.trials) == 20, "none was begun twice"


def test_a_search_that_was_killed_between_the_values_of_a_trial(world):
    whole = ends(search(FakeAsked(trials="3"), "whole"))
    lines = Path("whole").read_text().splitlines(keepends=True)
    begun = [n for n, line in enumerate(lines) if '"op_code":4' in line]
    for cut in (begun[2] + 1, begun[2], 1):
        Path("cut").write_text("".join(lines[:cut]))
        assert ends(search(FakeAsked(trials="3"), "cut")) == whole


def test_more_trials_go_on_and_as_many_do_nothing(world):
    search(FakeAsked(trials="4"))
    assert len(world.started) == 4
    assert search(FakeAsked(trials="4")).finished and len(world.started) == 4
    assert search(FakeAsked(trials="2")).finished
    assert len(search(FakeAsked(trials="6")).study.ended) == 6


def test_values_that_come_twice_are_trained_once(world):
    found = search(FakeAsked(space="0.1,0.2,0.3", trials="12", stop="none"))
    assert len(found.study.ended) == 12 and len(world.started) == 3
    by_words = {words: (state, value, levels) for words, state, value, levels in ends(found)}
    assert all(by_words[words] == rest for words, *rest in [(w, (s, v, lv)) for w, s, v, lv in ends(found)] for rest in rest)
    world.slots = Slots([], 0, 4)
    found = search(FakeAsked(space="0.1,0.2,0.3", trials="12", stop="none"), "many")
    assert len(found.study.ended) == 12 and len(world.started) == 6


def test_replicates_are_judged_by_their_mean(world):
    world.curve = lambda x, level: x - level
    found = search(FakeAsked(replicates=("0", "2"), trials="2", stop="none"))
    for words, _, value, levels in ends(found):
        x = float(words[0].partition("=")[2])
        assert levels == {n: pytest.approx(x + 1 - n) for n in range(LEVELS + 1)} and value == levels[LEVELS]
    assert len(world.started) == 4


def test_a_failed_trial_is_told_and_the_others_go_on(world):
    world.codes = {1: DIVERGED, 3: USAGE}
    found = search(FakeAsked(trials="8"))
    failed = [t for t in found.study.ended if t.state.name == "FAIL"]
    assert [t.number for t in failed] == [1, 3] and found.code == 0
    assert [t.user_attrs["failed"][1] for t in failed] == [DIVERGED, USAGE]
    assert failed[0].user_attrs["failed"][0].startswith("failed with 6 (log: ")
    assert len(found.study.ended) == 8


def test_a_config_that_cannot_be_is_a_failed_trial(world):
    asked = FakeAsked(space="a,0.2", trials="10", stop="none")
    asked.broken = "k=a"
    found = search(asked)
    assert {words[0]: state for words, state, *_ in ends(found)} == {"k=a": "FAIL", "k=0.2": "COMPLETE"}


def test_a_number_that_is_not_finite_is_a_failed_trial(world):
    world.curve = lambda x, level: float("nan") if level == 2 else x
    with pytest.raises(FailedError, match="5 trials failed one after the other: val_accuracy of level 2 is"):
        search(FakeAsked())


def test_five_failures_in_a_row_end_a_search(world):
    world.codes = {0: USAGE} | dict.fromkeys(range(2, 20), DIVERGED) | {4: DAMAGED}
    with pytest.raises(FailedError) as caught:
        search(FakeAsked())
    assert caught.value.code == DIVERGED and len(world.started) == 7
    assert str(caught.value) == "search: 5 trials failed one after the other: failed with 6; failed with 4"
    world.codes = {}
    assert len(search(FakeAsked()).study.ended) == 20, "it goes on once the cause is gone"


def test_a_replicate_that_fails_takes_the_others_along(world):
    world.codes = {0: DIVERGED}
    found = search(FakeAsked(replicates=("0", "1", "2"), trials="3", stop="none"))
    assert [t.state.name for t in found.study.ended] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert len(world.started) == 1 + 3 + 3


def test_where_every_trial_failed_the_exit_code_says_so(world):
    world.codes = dict.fromkeys(range(9), DIVERGED)
    assert search(FakeAsked(trials="3")).code == DIVERGED


def test_a_full_disk_is_no_failure_of_a_trial(world):
    world.codes = {2: DISK}
    with pytest.raises(DiskError, match="failed with 5"):
        search(FakeAsked(trials="4"))
    world.codes = {}
    assert [state for _, state, *_ in ends(search(FakeAsked(trials="4")))] == ["COMPLETE"] * 4


@pytest.mark.parametrize("at", [1, 5, 40])
def test_a_disk_that_is_full_for_the_journal_is_a_line_and_no_failure(world, monkeypatch, at):
    whole, count = ends(search(FakeAsked(), "whole")), 0
    world.levels, write = {}, JournalFileBackend.append_logs

    def full(self, logs):
        nonlocal count
        count += 1
        if count == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    with pytest.raises(DiskError, match="^cannot write .*full: No space left.*; free some space and type the same command again"):
        search(FakeAsked(), "full")
    world.slots = Slots([], 0, 1)
    assert ends(search(FakeAsked(), "full")) == whole


def test_a_signal_leaves_a_trial_to_be_gone_on_with(world, monkeypatch):
    begin = world.start

    def stopped(*words):
        signals.ASKED.append(130)
        world.codes[len(world.started)] = 130
        return begin(*words)

    monkeypatch.setattr(world, "start", stopped)
    with pytest.raises(Stopped, match="to go on from here: lottery search"):
        search(FakeAsked(trials="3"))
    signals.forget()
    monkeypatch.setattr(world, "start", begin)
    world.codes = {}
    assert [state for _, state, *_ in ends(search(FakeAsked(trials="3")))] == ["COMPLETE"] * 3


def lines(path):
    return Path(path).read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: [b"garbage\n", *text], lambda text: [*text[:3], b"\xff\xfe\n", *text[3:]], lambda text: text[1:],
        lambda text: [*text, b"[]\n"], lambda text: [*text, b'{"op_code":77,"worker_id":"x"}\n'], lambda text: [text[0], *text[2:]],
        lambda text: [line.replace(b'"step":0,"intermediate_value":', b'"step":0,"intermediate_value":1e999,"x":') for line in text],
        lambda text: [line for line in text if b"param_name" not in line],
        lambda text: [line.replace(b'"runs":[', b'"runs":[1,') for line in text],
    ],
)  # fmt: skip
def test_a_damaged_journal_is_one_line(world, damage):
    search(FakeAsked(trials="2"))
    Path("search.journal").write_bytes(b"".join(damage(lines("search.journal"))))
    with pytest.raises(DamagedError, match=r"search.journal is damaged \(.*rm -r search.journal begins the search anew") as caught:
        search(FakeAsked(trials="2"))
    assert "\n" not in str(caught.value)


def test_a_folder_in_place_of_a_journal(world):
    Path("search.journal").mkdir()
    with pytest.raises(DamagedError, match="it is no file"):
        search(FakeAsked())


def test_another_search_of_that_name_is_refused(world):
    search(FakeAsked(trials="2"))
    with pytest.raises(UsageError, match="another search .space.k is 0:1 there, 0:2 asked.; type name=OTHER, or rm"):
        search(FakeAsked(space="0:2"))
    with pytest.raises(UsageError, match="seed is 0 there, 1 asked"):
        search(FakeAsked(seed="1"))


def test_a_search_that_began_no_trial_stands_in_the_way_of_none(world):
    world.kill_at = 0
    with pytest.raises(KilledError):
        search(FakeAsked())
    kept = [line for line in lines("search.journal") if b'"op_code":0' in line or b'"asked"' in line]
    assert len(kept) == 2
    Path("search.journal").write_bytes(b"".join(kept))
    world.slots, world.kill_at = Slots([], 0, 1), None
    assert len(search(FakeAsked(space="0:2", trials="2")).study.ended) == 2


@contextmanager
def watched(monkeypatch):
    said = []
    monkeypatch.setattr(pool.Screen, "say", lambda self, line: said.append(line))
    yield said


def test_a_line_a_trial_is_told_and_the_table_has_them_by_rank(world, monkeypatch):
    world.codes = {1: DIVERGED}
    with watched(monkeypatch) as said:
        found = search(FakeAsked(trials="12"))
    assert len(said) == 12 and said[1].endswith(".log)") and ": failed: failed with 6" in said[1]
    table, below = summary(found, Path("outputs/s").absolute(), Path("outputs"), "csv")
    rows = [line.split(",") for line in table.splitlines()]
    assert rows[0] == ["rank", "trial", "val_accuracy", "state", "level", "k", "folder", "error"]
    best = [float(row[2]) for row in rows[1:] if row[3] == "done"]
    assert best == sorted(best, reverse=True) and [row[3] for row in rows[1:]] == sorted([row[3] for row in rows[1:]], key=["done", "stopped", "failed"].index)
    assert sum("stopped after level" in line for line in said) == sum(row[3] == "stopped" for row in rows[1:]) > 0
    assert below[0].startswith("failed: trial 1: failed with 6")
    assert below[2] == f"  lottery run k={rows[1][5]} replicate=0"
    assert below[3].endswith(f"lottery show s/{rows[1][5]}/replicate_0")
