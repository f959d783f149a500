"""Several runs at a time: the same bits, every failure told, no orphan."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pandas as pd
import pytest

from lottery.config.composed import Composed
from lottery.errors import LotteryError, UsageError
from lottery.experiment import local_place, pool
from lottery.experiment.jobs import Jobs
from lottery.experiment.pool import Pool, in_order
from lottery.experiment.worker import Job, last_line
from lottery.machine.slots import Slot
from lottery.progress.screen import Screen
from lottery.progress.sweep import Sweep, makespan
from lottery.storage import records


def tensors(outputs):
    """Return the sha256 of every file of tensors, by its place."""
    return {
        str(path.relative_to(outputs)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(outputs.rglob("*.safetensors"))
        if "checkpoint" not in path.name
    }


def tables(outputs):
    """Return every table, by its place, without the columns of wall-clock time."""
    found = {}
    for path in sorted(outputs.rglob("*.csv")):
        frame = pd.read_csv(path)
        found[str(path.relative_to(outputs))] = frame.drop(columns=[c for c in frame if "seconds" in c or "per_second" in c]).to_csv()
    return found


def job(number=0, dense="a", **settings):
    host = {"workers": 2, "gpus_per_job": None, "threads_per_job": None, "threads": 1, "retries": 2,
            "device": "cpu", "progress": "none"}  # fmt: skip
    filled = {"host": host | settings, "outputs": "outputs", "replicate": number, "name": f"n{number}"}
    composed = Composed(filled, dict.fromkeys(("model", "dataset", "prune"), "x"), (f"replicate={number}",), (), number, 4)
    return Job(composed, Path("nowhere"), dense, Path("no.log"), 1)


@pytest.mark.slow
def test_a_sweep_with_workers_ends_as_one_after_the_other(tiny, lottery, shell, tmp_path, capsys):
    """Two methods share a dense net, and a third job cannot be."""
    words = ["run", "-m", *tiny, "prune=imp,random,early", "levels=1", "train.length=2ep"]
    assert lottery(*words) == 2
    alone = tensors(tmp_path / "outputs")
    (tmp_path / "outputs").rename(tmp_path / "alone")
    told = shell(*words, "workers=2")
    assert told.returncode == 2
    assert tensors(tmp_path / "outputs") == alone
    assert "sweep: 2 of 3 runs done" in told.stdout
    assert told.stdout.count("failed: ") == 1 and "is after the end of training" in told.stdout
    (log,) = {line.rpartition("log: ")[2].rstrip(")") for line in told.stdout.splitlines() if "failed: prune=early" in line}
    assert "is after the end of training" in (tmp_path / log).read_text()
    for path in tmp_path.glob("outputs/lenet*/*/replicate_0/run.json"):  # every run says where its log is
        folder = path.parent
        log = tmp_path / "outputs" / records.read_run(folder)["log"]
        assert str(folder.relative_to(tmp_path)) in log.read_text()
    shown = shell("show", "prune=random")
    assert "lottery run -m" in shown.stdout and "host.workers=2" in shown.stdout


def test_workers_are_for_a_sweep(tiny, lottery, capsys):
    assert lottery("run", *tiny, "host.workers=2") == 2
    assert "are for -m, and this is one run" in capsys.readouterr().err
    for word in ("0", "x", "-1", "2.5", "true", "null", ""):
        assert lottery("run", "-m", *tiny, "replicate=0,1", f"host.workers={word}") == 2
        said = capsys.readouterr().err
        assert f"host.workers={word}: type a number of processes, auto, or ray" in said


def test_numbers_of_jobs_that_cannot_be_are_refused_before_any_begins(tiny, lottery, capsys):
    for word, told in (
        ("threads_per_job=0", "0 is below 1"), ("threads_per_job=-3", "-3 is below 1"),
        ("retries=-1", "-1 is below 0"), ("gpus_per_job=-1", "a share of one GPU"),
        ("gpus_per_job=1.5", "a share of one GPU"), ("workers=1,2", "the jobs of a sweep share one"),
        ("retries=0,1", "the jobs of a sweep share one"),
    ):  # fmt: skip
        assert lottery("run", "-m", *tiny, "replicate=0,1", "host.workers=2", f"host.{word}") == 2
        assert told in capsys.readouterr().err
        assert lottery("run", *tiny, f"host.{word}") == 2
    assert not Path("outputs").exists()


def test_jobs_with_one_dense_level_lie_apart():
    jobs = [job(number, dense) for number, dense in enumerate("aaabbc")]
    assert [j.composed.number for j in in_order(jobs)] == [0, 3, 5, 1, 4, 2]


def pooled(monkeypatch, tmp_path, *jobs, **settings):
    """Return a pool of two jobs, nothing of which is started."""
    monkeypatch.setattr(pool, "run_folder", lambda settings, name: tmp_path / f"{settings['replicate']}")
    monkeypatch.setattr(local_place, "CAN_FORK", False)
    first, *others = jobs or [job(n, **settings).composed for n in range(2)]
    found = Pool(first, "lottery run -m", Sweep())
    for one in (first, *others):
        found.add(one)
    return found


def ended(found, code, error="", slot=None):
    """Return how often a job is tried whose process always ends so, and with which pauses."""
    one, pauses = found.jobs[0], []
    for _ in range(50):
        one.slot = slot or Slot()
        found.place.slots.held.append(one.slot)
        for device in one.slot.devices:
            found.place.slots.taken[device] = 1.0
        one.log.parent.mkdir(parents=True, exist_ok=True)
        one.log.write_text(f"lottery: {error}\n")
        one.process, one.begun = SimpleNamespace(returncode=code), time.monotonic()
        before = time.monotonic()
        again = found.ended(one)
        pauses.append(round(one.ready - before) if again else None)
        if not again:
            return pauses
    return pauses


def test_of_jobs_for_one_run_there_is_one_at_a_time(monkeypatch, tmp_path):
    found = pooled(monkeypatch, tmp_path, *[job(0).composed] * 2)
    (first,) = found.startable()
    found.waiting.remove(first)
    found.running.append(first)
    assert not list(found.startable())
    found.running.clear()
    assert len(list(found.startable())) == 1


def test_a_process_that_ends_with_0_in_the_midst_of_its_run_has_failed(monkeypatch, tmp_path):
    found = pooled(monkeypatch, tmp_path)
    found.jobs[0].log = tmp_path / "0.log"
    for state, pauses in (("running", [None]), ("done", [None])):
        monkeypatch.setattr("lottery.experiment.worker.read_record", lambda folder, said=state: {"state": said})
        assert ended(found, 0) == pauses
        assert found.jobs[0].code == (state == "running")
    assert "in the midst of the run" in found.jobs[0].error


@pytest.mark.parametrize(
    ("code", "pauses"),
    [(0, [None]), (2, [None]), (4, [None]), (5, [None]), (6, [None]), (1, [None]),
     (-9, [1, 4, None]), (-11, [1, 4, None]), (3, [30] * 5 + [None]), (75, [1] * 20 + [None])],
)  # fmt: skip
def test_which_ends_are_tried_again(monkeypatch, tmp_path, code, pauses):
    monkeypatch.setattr(pool, "left_undone", lambda folder: False)
    found = pooled(monkeypatch, tmp_path)
    found.logs = tmp_path
    found.jobs[0].log = tmp_path / "0.log"
    assert ended(found, code, "why") == pauses
    assert found.full == (code == 5)  # after which no further job starts


def test_where_the_disk_is_full_it_is_said_what_was_not_begun(monkeypatch, tmp_path):
    found = pooled(monkeypatch, tmp_path, *(job(number, workers=1).composed for number in range(4)), workers=1)
    monkeypatch.setattr(found, "logs", tmp_path)
    monkeypatch.setattr(found.place, "start", lambda *words: SimpleNamespace(returncode=5, poll=lambda: 5))
    jobs = Jobs("lottery run -m", sweep=True, pool=found, course=Sweep(4), order={f"replicate={n}": n for n in range(4)})
    jobs.finish()
    assert jobs.code == 5 and "sweep: 0 of 4 runs done" in jobs.summary()
    assert "replicate=0: its disk is full, or did not answer (log: " in jobs.summary()
    assert "3 not begun, as the disk is full; the same command goes on" in jobs.summary()


def test_a_job_without_memory_is_tried_once_more_alone_on_its_device(monkeypatch, tmp_path):
    found = pooled(monkeypatch, tmp_path)
    found.jobs[0].log = tmp_path / "0.log"
    assert ended(found, 2, pool.NO_MEMORY, Slot(("0",), 0.5)) == [1, None]
    assert found.jobs[0].alone


def test_a_log_says_first_which_job_it_is_of(tmp_path):
    one = job()
    one.log = tmp_path / "logs" / "0.log"
    one.start(SimpleNamespace(start=lambda *about: None), "lottery run -m")
    assert last_line(one.log) == ""  # which is no error
    one.tries["killed"] = 1

    def begun(*about):
        with open(one.log, "a") as log:
            log.write("level 0\n")

    one.start(SimpleNamespace(start=begun), "lottery run -m")
    assert one.log.read_text() == "job: replicate=0\nlevel 0\n"
    one.tries.clear()
    one.start(SimpleNamespace(start=begun), "lottery run -m")
    assert one.log.read_text() == "job: replicate=0\nlevel 0\n"


def test_a_run_goes_on_with_the_threads_that_it_was_begun_with(monkeypatch, tmp_path):
    monkeypatch.setattr("lottery.experiment.worker.read_run", lambda folder: {"threads": 5})
    assert pooled(monkeypatch, tmp_path, threads=None).jobs[0].threads == 5
    assert pooled(monkeypatch, tmp_path, threads=None, threads_per_job=3).jobs[0].threads == 3


def test_the_cores_are_dealt_out(monkeypatch, tmp_path):
    monkeypatch.setattr(local_place, "cores", lambda: 8)
    found = pooled(monkeypatch, tmp_path, threads=None, workers=3)
    assert (found.place.slots.jobs, found.jobs[0].threads) == (3, 2)
    assert pooled(monkeypatch, tmp_path, threads=2, workers="auto").place.slots.jobs == 4


def test_no_more_jobs_at_a_time_than_gpus_have_room_for(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setattr(local_place, "cores", lambda: 8)
    for share, asked, jobs, threads in ((None, "auto", 2, 4), (0.5, "auto", 4, 2), (0.5, 3, 3, 2), (1, 9, 2, 4), (0, 9, 9, 1)):
        host = job(device="cuda", gpus_per_job=share, workers=asked, threads=None).composed.settings["host"]
        slots, each = local_place.dealt(host)
        assert (slots.jobs, each) == (jobs, threads)
    with pytest.raises(UsageError, match="host.gpus_per_job=3: of GPUs there are 2 here"):
        local_place.dealt(job(device="auto", gpus_per_job=3.0).composed.settings["host"])


def test_the_time_left_is_that_of_jobs_dealt_out_to_places(monkeypatch, tmp_path):
    assert makespan([4, 1], [2, 2, 2], 2) == 6 and makespan([], [3, 1, 1], 2) == 3 and makespan([2], [], 8) == 2
    found = pooled(monkeypatch, tmp_path, *(job(number).composed for number in range(4)))
    assert found.news([]) == "sweep: 0 of 4 done, 0 running"
    found.jobs[0].code, found.jobs[0].seconds, found.jobs[0].did = 0, 9.0, {"already there": 3}
    found.jobs[1].code, found.jobs[1].seconds, found.jobs[1].did = 0, 60.0, {"trained": 3}
    found.course.done = 2
    assert found.news([]).endswith("2 of 4 done, 0 running, 1:00 left")  # what was there already is no measure


def test_every_failure_is_told_and_the_first_of_the_sweep_gives_the_exit_code(monkeypatch, tmp_path):
    """In the order of time the last is 6: it is killed once."""
    codes = {0: [0], 1: [-9, 6], 2: [0], 3: [4]}
    found = pooled(monkeypatch, tmp_path, *(job(number).composed for number in codes))
    monkeypatch.setattr(found, "logs", tmp_path)
    monkeypatch.setattr(pool, "PAUSES", (0.0,))
    monkeypatch.setattr(pool, "left_undone", lambda folder: False)

    def start(words, environment, threads, slot, log):
        code = codes[int(log.stem)].pop(0)
        log.write_text(f"lottery: why {code}\n")
        return SimpleNamespace(returncode=code, poll=lambda: code)

    monkeypatch.setattr(found.place, "start", start)
    for one in found.jobs:
        one.log = tmp_path / f"{one.composed.number}.log"
    jobs = Jobs("lottery run -m", sweep=True, pool=found, course=Sweep(4), order={f"replicate={n}": n for n in codes})
    jobs.finish()
    assert jobs.code == 6
    told = jobs.summary()
    assert told.index("failed: replicate=1: why 6 (log: ") < told.index("failed: replicate=3: why 4 (log: ")
    assert "sweep: 2 of 4 runs done" in told


@pytest.mark.slow
def test_twelve_runs_end_as_one_after_the_other(tmp_path, shell):
    """Weights, masks and tables, but for what a clock says."""
    words = ["run", "-m", "model=lenet_300_100", "prune=imp,random,snip", "replicate=0,1,2,3", "levels=1", "train.length=2ep"]
    made = []
    for more in (["host.threads=1"], ["host.threads_per_job=1", "workers=2"]):
        assert shell(*words, *more).returncode == 0
        made.append({**tensors(tmp_path / "outputs"), **tables(tmp_path / "outputs")})
        (tmp_path / "outputs").rename(tmp_path / f"{len(made)}")
    assert made[0] == made[1] and len([name for name in made[0] if name.endswith("metrics.csv")]) == 12


def test_jobs_that_ask_for_different_machines_are_refused(monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="host.workers: the jobs of a sweep share one"):
        pooled(monkeypatch, tmp_path, job(0, workers=2).composed, job(1, workers=3).composed)


def test_the_screen_takes_its_lines_away_before_one_that_stays(capsys):
    screen = Screen("bar", lambda: ["two", "lines"])
    screen.draw()
    screen.say("stays")
    screen.clear()
    assert capsys.readouterr().err == "two\nlines\n\x1b[2F\x1b[Jstays\ntwo\nlines\n\x1b[2F\x1b[J"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGKILL"])
def test_a_pool_that_is_ended_leaves_no_orphan_and_goes_on(tiny, tmp_path, shell, name):
    words = ["run", "-m", *tiny, "train.length=1200ep", "evaluate_every=400ep", "replicate=0,1,2", "levels=1",
             "workers=2"]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lottery", *words]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as parent:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("outputs/*/*/replicate_*/run.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.3)
        children = children_of(parent.pid)
        assert len(children) == 3
        parent.send_signal(getattr(signal, name))
        out, _ = parent.communicate(timeout=120)
    assert parent.returncode == {"SIGINT": 130, "SIGTERM": 143, "SIGUSR1": 75, "SIGKILL": -9}[name], out
    deadline = time.monotonic() + 30
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in children if alive(pid)]
    again = shell(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    stopped = tensors(tmp_path / "outputs")
    (tmp_path / "outputs").rename(tmp_path / "stopped")
    assert shell(*words[:-1], "host.threads=1").returncode == 0
    assert tensors(tmp_path / "outputs") == stopped


@pytest.mark.slow
def test_a_job_that_always_dies_is_tried_three_times_and_disturbs_no_other(tiny, tmp_path, shell):
    """Its net ends the process at the third step."""
    package = tmp_path / "package"
    about = package / "dies-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dies\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lottery.model]\ndies = dies:dies\n")
    (package / "conf" / "model").mkdir(parents=True)
    (package / "conf" / "model" / "dies.yaml").write_text("name: dies\nat: 0\n")
    (package / "dies.py").write_text(
        "import os, signal\nfrom torch import nn\n\n\nclass Dies(nn.Sequential):\n    calls, at = 0, 0\n\n"
        "    def forward(self, x):\n        Dies.calls += self.training\n"
        "        if self.at and Dies.calls > self.at:\n            os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        return super().forward(x)\n\n\ndef dies(task, *, at):\n"
        "    net = Dies(nn.Flatten(), nn.Linear(16, task.outputs))\n    net.at = at\n    return net\n"
    )
    words = [w for w in tiny if not w.startswith("model")]
    told = shell("run", "-m", "--config-dir", str(package / "conf"), *words, "model=dies", "model.at=0,9",
                 "levels=1", "workers=2", env={"PYTHONPATH": str(package)})  # fmt: skip
    assert told.returncode == 1
    assert told.stderr.count("killed by SIGSEGV; again") == 2
    assert "sweep: 1 of 2 runs done" in told.stdout
    assert "failed: model.at=9: killed by SIGSEGV (log: " in told.stdout


def children_of(pid):
    """Return the processes below the one of a pool: what is forked from, and its children."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    near = [int(word) for word in found.stdout.split() if alive(int(word))]
    return near + [each for one in near for each in children_of(one)]


def alive(pid):
    """Say whether a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_the_short_name_is_that_of_a_sweep_alone(tiny, lottery, capsys):
    assert lottery("run", "-m", *tiny, "replicate=0,1", "workers=nine") == 2
    assert "host.workers=nine" in capsys.readouterr().err
    assert lottery("run", *tiny, "workers=2") == 2
    assert "host.workers" not in capsys.readouterr().err  # it was meant for the readers of a data set


@pytest.mark.slow
def test_python_runs_a_sweep_with_workers_too(tiny, lottery, monkeypatch):
    """What waits for workers is run, and none is left out in silence."""
    import lottery as face

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = [w for w in tiny if not w.startswith("levels")]
    runs = face.run("-m", *words, "replicate=0,1", "levels=0", "host.workers=2")
    assert [folder.name for folder in runs.folders] == ["replicate_0", "replicate_1"]


def test_a_job_without_a_share_of_a_gpu_sees_none(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(local_place, "CAN_FORK", False)
    monkeypatch.setattr("subprocess.Popen", lambda words, env, **more: seen.append(env) or Mock())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,3")
    for share, slot in ((0.0, Slot()), (2.0, Slot(("1", "3"), 1.0))):
        place = local_place.LocalPlace(job(device="cuda", gpus_per_job=share).composed.settings["host"])
        place.start(["run"], {}, 1, slot, tmp_path / "0.log")
    assert [env["CUDA_VISIBLE_DEVICES"] for env in seen] == ["", "1,3"]


@pytest.mark.skipif(not local_place.CAN_FORK, reason="nothing is forked on this platform")
def test_a_place_waits_where_what_it_forks_from_was_killed(monkeypatch):
    monkeypatch.setattr(local_place, "CALLS", "json")
    monkeypatch.setattr(local_place, "IMPORTS", ())
    place = local_place.LocalPlace(job().composed.settings["host"])
    (nursery,) = place.nurseries.values()
    nursery.process.kill()
    while nursery.listen():
        time.sleep(0.01)
    begun = time.monotonic()
    place.wait(0.1)
    assert time.monotonic() - begun > 0.09
    with pytest.raises(LotteryError, match="has ended .killed by SIGKILL"):
        place.ready(place.threads)
    place.close()


@pytest.mark.slow
def test_where_nothing_can_be_forked_a_job_is_started_as_a_shell_would(tiny, lottery, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(local_place, "CAN_FORK", False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert lottery("run", "-m", *tiny, "replicate=0,1", "levels=0", "workers=2") == 0
    assert "2 of 2 runs done" in capfd.readouterr().out


def test_jobs_may_be_added_by_what_came_of_others(monkeypatch, tmp_path):
    """As a search does: a job is asked for when there is room for it, and told of when it is over."""
    codes = [0, -9, 0, 6]  # of the processes, as they are started
    found = pooled(monkeypatch, tmp_path, workers=1, retries=1)
    monkeypatch.setattr(found, "logs", tmp_path)
    monkeypatch.setattr(pool, "PAUSES", (0.0,))
    monkeypatch.setattr(pool, "left_undone", lambda folder: False)
    monkeypatch.setattr(found.place, "start", lambda *words: SimpleNamespace(returncode=(code := codes.pop(0)), poll=lambda: code))
    third, over = [job(2, workers=1, retries=1).composed], []
    found.run(lambda: third and found.add(third.pop()), lambda one: over.append((one.composed.number, one.code)))
    assert over == [(0, 0), (1, 0), (2, 6)] and not codes
