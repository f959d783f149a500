"""Lines and bars of a run and of a sweep; how many jobs there are, and how long they take."""

import io
import itertools
import re
import sys
import time

import pytest

from lottery.config.compose import compose_each
from lottery.experiment.jobs import Jobs
from lottery.progress import bars, sweep
from lottery.progress.bars import Progress, title, words_of
from lottery.progress.sweep import Ran, Sweep, clock
from lottery.terms.metric import ACCURACY


@pytest.fixture
def now(monkeypatch):
    """Set the time that a sweep sees."""
    time = [1000.0]
    monkeypatch.setattr(sweep.time, "monotonic", lambda: time[0])
    return time


def test_the_time_left_is_that_of_the_present_job_and_of_the_mean_of_all(now):
    course = Sweep(4)
    course.begin("a")
    assert course.left(None) is None  # nothing is known yet
    now[0] += 10
    assert course.left(20) == 20 + 3 * 30  # it takes 30 in all, and three are to come
    course.end(failed=False)
    course.begin("b")
    assert course.left(None) == 3 * 10  # the first took 10
    now[0] += 2
    assert course.left(28) == 28 + 2 * (10 + 30) / 2
    course.end(failed=True)
    course.begin("c")
    assert course.left(None) == 2 * 10  # a failed one tells no time
    assert course.news(None) == "sweep: 1 of 4 done, 1 running, 1 failed, 0:20 left"
    assert course.news(0.0) == "sweep: 1 of 4 done, 1 running, 1 failed, 0:05 left"


def test_a_sweeper_that_tells_no_number(now):
    course = Sweep(None)
    course.begin("a")
    course.end(failed=False)
    course.begin("b")
    assert course.left(5) is None
    assert course.news(5) == "sweep: 1 of ? done, 1 running"


@pytest.mark.parametrize(
    ("line", "total", "second"),
    [
        ("prune=imp,random -m", 2, ("prune=random",)),
        pytest.param(
            "-m levels=1 prune=imp,random replicate=range(0,3)", 6, ("prune=imp", "replicate=1"),
            marks=pytest.mark.slow,
        ),
        pytest.param("model=lenet5 prune=glob(snip*) --multirun", 3, None, marks=pytest.mark.slow),
        pytest.param(
            "prune=imp,random prune=synflow,snip,grasp -m", 3, ("prune=snip",), marks=pytest.mark.slow
        ),
        ("levels=2 -m", 1, None),
    ],
)  # fmt: skip
def test_the_number_of_jobs_is_known_from_the_first_on(line, total, second):
    seen = []
    assert compose_each(line.split(), seen.append) == 0
    assert [job.number for job in seen] == list(range(total))
    assert {job.total for job in seen} == {total}
    if second:
        assert seen[1].overrides == second  # what sets the job apart


def test_values_that_a_preset_sweeps_count_as_well(tmp_path):
    path = tmp_path / "experiment" / "swept.yaml"
    path.parent.mkdir()
    path.write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params: {replicate: '0,1', levels: '3'}\n"
    )
    seen = []
    words = ["-m", "--config-dir", str(tmp_path), "experiment=swept", "prune=imp,snip"]
    assert compose_each(words, seen.append) == 0
    assert [(job.number, job.total) for job in seen] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert seen[1].overrides == ("replicate=0", "prune=snip")


def test_a_single_run_is_one_job():
    seen = []
    assert compose_each(["prune=snip", "levels=1"], seen.append) == 0
    (job,) = seen
    assert (job.number, job.total, job.overrides) == (0, 1, ("prune=snip", "levels=1"))
    assert job.name == "resnet20_digits_snip"
    assert job.choices["model"] == "resnet20"
    assert job.settings["levels"] == 1


def test_what_a_job_raises_ends_the_sweep():
    seen = []

    def job(composed):
        seen.append(composed.number)
        raise LookupError("the second is never begun")

    with pytest.raises(LookupError):
        compose_each(["prune=imp,random", "-m"], job)
    assert seen == [0]


def follow(watch, task):
    """Train two steps of a millisecond, however long this machine takes."""
    ticks = itertools.count(time.monotonic(), 0.001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(ticks))
        watch.level(1, 0.8, later=20)
        watch.begin(0, 2, task)
        for step in (1, 2):
            watch.advance()
            watch.row([{"step": step, "epoch": step / 2, "train_loss": 0.25, "val_accuracy": 0.5}])
        watch.close()


class Task:
    steps_per_epoch = 2
    metrics = (ACCURACY,)

    def size(self, split):
        return 48


def course():
    found = Sweep(3)
    found.begin("prune=snip replicate=1")
    found.end(failed=False)
    found.begin("prune=snip replicate=2")
    return found


def test_lines_tell_of_the_sweep(capsys):
    follow(Progress("lines", 5, course()), Task())
    first, last = capsys.readouterr().err.splitlines()
    assert first == "sweep: 1 of 3 done, 1 running, 0:00 left; now prune=snip replicate=2"
    assert last.startswith("level 1/5  density 0.8  epoch 1  loss 0.2500  val 0.5000")
    assert last.endswith("run 0:00 left  sweep 0:00 left")


def test_lines_of_a_single_run_tell_of_no_sweep(capsys):
    follow(Progress("lines", 5), Task())
    (line,) = capsys.readouterr().err.splitlines()
    assert "sweep" not in line
    assert line.endswith("run 0:00 left")


def test_none_shows_nothing(capsys):
    follow(Progress("none", 5, course()), Task())
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_second_line_for_the_sweep(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    follow(Progress("auto", 5, course()), Task())
    seen = terminal.getvalue()
    assert "level 1/5  density 0.8" in seen
    assert "sweep: 1 of 3 done, 1 running, 0:00 left" in seen
    assert seen.endswith(" \x1b[A\r")  # both lines are wiped, and the cursor is where it was


def test_a_terminal_of_a_single_run_has_one_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    follow(Progress("auto", 5), Task())
    assert "sweep" not in terminal.getvalue()


def test_titles_and_words():
    assert title(2, 5, "", 0.64) == "level 2/5  density 0.64"
    assert title(2, 5, "shuffle", 0.64) == "level 2/5 shuffle  density 0.64"
    assert (
        words_of({"epoch": 1.5, "train_loss": float("nan"), "test_accuracy": 0.5})
        == "epoch 1.5  test 0.5000"
    )
    assert words_of({}) == ""
    assert [clock(s) for s in (7, 200, 7500)] == ["0:07", "3:20", "2:05:00"]


def test_the_summary_has_a_line_a_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = Jobs("lottery run", sweep=True)
    jobs.course.total = 4  # a signal came before the last
    counts = {"trained": 2, "shared": 1, "already there": 0}
    jobs.ran.append(("prune=imp", Ran(tmp_path / "outputs" / "a", counts, 75.0)))
    jobs.ran.append(
        ("prune=random", Ran(tmp_path / "outputs" / "bcd", {**counts, "shared": 0}, 5.0))
    )
    jobs.failures.append(("prune=snip", ValueError("it\nbroke")))
    assert jobs.summary().splitlines() == [
        "sweep: 2 of 4 runs done in 0:00",
        "  2 trained, 1 shared  1:15  outputs/a    prune=imp",
        "  2 trained            0:05  outputs/bcd  prune=random",
        "  failed: prune=snip: ValueError: it broke",
    ]
    assert jobs.code == 1


def test_a_sweep_on_the_command_line(lottery, tiny, capsys):
    words = [w for w in tiny if not w.startswith("host.progress")]
    code = lottery(
        "run", *words, "host.progress=lines", "levels=0", "train.optimizer.lr=1e+30,0.05,0.04", "-m"
    )
    out, err = capsys.readouterr()
    assert code == 6
    lines = out[out.index("sweep:") :].splitlines()
    assert lines[0].startswith("sweep: 2 of 3 runs done in ")
    assert [line.split()[:2] for line in lines[1:3]] == [["1", "trained"]] * 2
    assert lines[1].endswith("train.optimizer.lr=0.05")
    assert lines[3].startswith("  failed: train.optimizer.lr=1e+30: training diverged")
    told = [line for line in err.splitlines() if line.startswith("sweep:")]
    assert [line.partition(";")[2] for line in told] == [
        f" now train.optimizer.lr={n}" for n in ("1e+30", "0.05", "0.04")
    ]
    assert told[0].startswith("sweep: 0 of 3 done, 1 running;")
    assert told[1].startswith("sweep: 0 of 3 done, 1 running, 1 failed;")
    assert told[2].startswith("sweep: 1 of 3 done, 1 running, 1 failed, ")


def test_help_names_the_groups_that_a_run_has(lottery, capsys):
    assert lottery("run", "--help") == 0
    groups = {
        line.split(":")[0].strip() for line in capsys.readouterr().out.splitlines() if ": " in line
    }
    assert {"model", "log", "branch", "train/lr", "prune/allocation", "experiment"} <= groups
    assert "figure" not in groups


@pytest.mark.parametrize("jobs", [None, 3])
def test_a_notebook_has_one_bar_for_all_levels(monkeypatch, jobs):
    made = []

    class Bar(bars.tqdm):
        def __init__(self, *words, **named):
            made.append(self)
            super().__init__(*words, file=io.StringIO(), **named)

    monkeypatch.setattr(bars, "tqdm", Bar)
    monkeypatch.setattr(bars, "in_notebook", lambda: True)
    watch = Progress("auto", 2, course() if jobs else None)
    seen = []
    for index, later in ((0, 4), (1, 2), (2, 0)):
        watch.level(index, 0.8**index, later=later)
        watch.begin(0, 2, Task())
        for step in (1, 2):
            watch.advance()
            watch.row([{"step": step, "epoch": step / 2}])
            seen.append(made[0].n)
    assert len(made) == 1
    assert made[0].total == 6
    assert seen == [1, 2, 3, 4, 5, 6]
    assert ("run 2/3  " if jobs else "") + "level 2/2" in made[0].desc
    watch.back(1)
    assert made[0].n == 5
    watch.close()
    assert made[0].disable


def test_a_terminal_is_no_notebook():
    assert not bars.in_notebook()


@pytest.mark.parametrize(("wide", "words"), [
    (60, "0:00 left"), (70, "0:00 left  val 0.9375"), (99, "0:00 left  val 0.9375  loss 0.3722  epoch 2"),
    (30, ""),
])  # fmt: skip
def test_a_narrow_bar_keeps_what_it_has_room_for(monkeypatch, wide, words):
    out = io.StringIO()
    real = bars.tqdm
    monkeypatch.setattr(bars, "columns", lambda: wide)
    monkeypatch.setattr(
        bars, "tqdm", lambda *a, **k: real(*a, **k | {"file": out, "ncols": wide, "dynamic_ncols": False})
    )
    watch = Progress("bar", 12, None)
    watch.level(10, 0.1678, 0, "shuffle")
    watch.begin(0, 2, Task())
    watch.advance()
    watch.row([{"step": 1, "epoch": 2.0, "train_loss": 0.3722, "val_accuracy": 0.9375}])
    drawn = re.sub(r"\x1b\[A|\n", "", out.getvalue())
    shown = [line for line in drawn.split("\r") if line.strip()]
    assert max(map(len, shown)) <= wide
    if words:
        assert shown[-1].startswith("level 10/12 shuffle  density 0.1678  ")
        assert re.search(rf"50%\|.{{6,}}\| {re.escape(words)}$", shown[-1].rstrip()), shown[-1]
    watch.close()
