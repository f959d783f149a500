"""A sweep handed to SLURM: arrays, their script, and what becomes of tasks, with stand-ins for its programs."""

import json
import os
import re
import shlex
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from lottery.experiment.single import Single
from lottery.queues import handing, slurm
from lottery.queues.arrays import arrays
from lottery.queues.settings import read

NOTHING = "exit 0"
TELL = 'echo "did: ${*: -2}"'


def commands(cluster):
    """Return the words of every task, an array after the other."""
    (script, *_) = {script for _, script, _, _ in cluster.arrays()}
    (path,) = script.parent.glob("commands-*.txt")
    return [shlex.split(line) for line in path.read_text().splitlines()]


def word(words, key):
    return [w.partition("=")[2] for w in words if w.startswith(f"{key}=")][-1]


def test_dense_nets_come_first_and_the_runs_after_them(tiny, lottery, capsys, cluster, tmp_path):
    """One task a dense net; afterany, so that a dense net that fails leaves nothing in the queue for ever."""
    words = [*(w for w in tiny if not w.startswith("host.threads")), "prune=imp,random", "replicate=0,1", "outputs=my runs"]
    assert lottery("submit", "-m", *words, "slurm.cpus=3", "slurm.time=1-02:00", "slurm.at_a_time=5") == 0
    (dense, _, first, one), (runs, script, second, two) = cluster.arrays()
    assert (dense["array"], runs["array"]) == ("0-1%5", "0-3%5")
    assert (first, second, one, two) == (0, 2, "17", "18")
    assert "dependency" not in dense
    assert runs["dependency"] == "afterany:17"
    assert dense["output"] == f"{script.parent}/%A_%a.log"
    asked = commands(cluster)
    assert [(word(w, "replicate"), word(w, "levels")) for w in asked] == [("0", "0"), ("1", "0"), ("0", "2"), ("1", "2"), ("0", "2"), ("1", "2")]
    assert all(w[-1] == "host.threads=${SLURM_CPUS_PER_TASK:-1}" for w in asked)
    head = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH ")]
    assert {"#SBATCH --cpus-per-task=3", "#SBATCH --time=1-02:00", "#SBATCH --signal=B:USR1@120", "#SBATCH --requeue"} <= {*head}
    assert capsys.readouterr().out.splitlines() == [
        "17: 2 dense nets", "18: 4 runs, after 17", "watch: squeue --jobs=17,18", "cancel: scancel 17 18",
        f"logs: {script.parent.relative_to(tmp_path)}",
    ]  # fmt: skip


def test_what_is_done_is_not_handed_in(tiny, lottery, capsys, cluster, run):
    """Nor is a dense net that is there: the other method of that replicate waits for nothing."""
    run("replicate=0")
    words = [*tiny, "prune=imp,random", "replicate=0,1"]
    capsys.readouterr()
    assert lottery("submit", "-m", *words) == 0
    assert "1 of 4 runs are done already" in capsys.readouterr().out
    asked = commands(cluster)
    arrays = [(o["array"], o.get("dependency")) for o, *_ in cluster.arrays()]
    assert arrays == [("0-0", None), ("0-0", None), ("0-1", "afterany:17")]
    assert [(word(w, "prune"), word(w, "replicate"), word(w, "levels")) for w in asked] == [
        ("imp", "1", "0"), ("random", "0", "2"), ("imp", "1", "2"), ("random", "1", "2"),
    ]  # fmt: skip


@pytest.mark.slow
def test_what_is_asked_for_besides_is_handed_in(tiny, lottery, cluster, run):
    run()
    for number, (more, left) in enumerate([("levels=1", 0), ("levels=3", 1), ("branch=[shuffle]", 1)]):
        before = len(cluster.arrays())
        assert lottery("submit", *tiny, more) == 0
        assert len(cluster.arrays()) == before + left, number


def job(number, dense="a", levels=2, **where):
    parts = SimpleNamespace(levels=levels, branch_settings={})
    folder = Path(where.get("folder", f"nowhere/a/b/{number}"))
    return Single(number, "", (f"replicate={number}",), {"host": {"threads": None}}, folder, dense, parts)


@pytest.fixture
def handed(cluster, tmp_path, monkeypatch):
    """Return the task of one run, handed in without its config."""
    monkeypatch.chdir(tmp_path)

    def call():
        handing.hand_in(read("slurm", [], slurm.KNOWN), arrays([job(0)], 1), tmp_path / "outputs" / ".sweeps" / "one")
        return cluster.tasks()[-1]

    return call


def dealt(jobs, most=1001):
    """Return of each array the numbers of its runs, d before that of a dense net, and what it comes after."""
    return [("".join(f" {'d' * ('levels=0' in words)}{one.number}" for words, one in zip(a.words, a.jobs, strict=True)), a.after) for a in arrays(jobs, most)]


def test_how_runs_are_dealt_out():
    """A dense net that nobody shares is its run's own, and what comes after arrays does so once."""
    assert dealt([job(0)]) == [(" 0", ())]
    assert dealt([job(0), job(1), job(2, "b")]) == [(" d0", ()), (" 2", ()), (" 0 1", (0,))]
    assert dealt([job(n, "abc"[n % 3]) for n in range(6)], most=2) == [
        (" d0 d1", ()), (" d2", ()), (" 0 1", (0, 1)), (" 2 3", (0, 1)), (" 4 5", (0, 1)),
    ]  # fmt: skip
    assert dealt([job(0, levels=0), job(1, levels=0)]) == [(" d0", ()), (" 1", (0,))]


def test_commands_on_one_run_wait_for_each_other():
    same = {"folder": "nowhere/a/b/c"}
    assert dealt([job(0, **same), job(1, **same), job(2, **same), job(3, "b")]) == [
        (" 0 3", ()), (" 1", (0,)), (" 2", (0, 1)),
    ]  # fmt: skip


def test_an_array_is_no_longer_than_the_cluster_takes(tiny, lottery, cluster):
    cluster.says("scontrol", "most", "1")
    assert lottery("submit", "-m", *tiny, "prune=imp,random") == 0
    assert [(o["array"], o.get("dependency"), first) for o, _, first, _ in cluster.arrays()] == [
        ("0-0", None, 0), ("0-0", "afterany:17", 1), ("0-0", "afterany:17", 2),
    ]  # fmt: skip
    assert len(commands(cluster)) == 3


def test_print_shows_the_script_and_hands_in_nothing(tiny, lottery, capsys, cluster, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert lottery("submit", "-m", *tiny, "replicate=0,1", "slurm.gpus=a100:1", "slurm.extra=--qos=low -C 'a b'", "--print") == 0
    out, err = capsys.readouterr()
    assert out.startswith("#!/bin/bash\n#SBATCH --job-name=lottery\n")
    (commands_file,) = re.findall(r"^commands=(\S+)$", out, re.M)
    log = f"{'/'.join(commands_file.split('/')[-3:-1])}/${{SLURM_ARRAY_JOB_ID:-0}}_$SLURM_ARRAY_TASK_ID.log"
    assert log.startswith(".sweeps/") and f'export LOTTERY_LOG="{log}"' in out  # as --output says it
    assert {"#SBATCH --gres=gpu:a100:1", "#SBATCH --qos=low", "#SBATCH -C 'a b'"} <= {*out.splitlines()}
    assert out.count("#   ") == 2
    assert "# sbatch --parsable --array=0-1 " in out
    assert err == ""
    assert cluster.asked("sbatch") == []
    assert [p for p in sorted(tmp_path.rglob("*")) if p not in before and "scontrol" not in str(p)] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [(["slurm.tiem=1:00"], "slurm.tiem: slurm has no setting 'tiem'; did you mean 'time'?"),
     (["slurm.time=soon"], "slurm.time: 'soon' is not what it takes; type slurm.time=02:00:00, say"),
     (["slurm.cpus=0"], "slurm.cpus: '0' is not what it takes"), (["slurm.memory=16 GB"], "slurm.memory: '16 GB' is not what it takes"),
     (["slurm.partition=a\n#SBATCH --uid=0"], "slurm.partition: 'a"), (["slurm.extra=--array=0-9"], "--array is set by lottery submit"),
     (["slurm.extra=--comment='a"], "a quote has no second one"), (["slurm.extra=qos"], "slurm.extra: 'qos' is not what it takes"),
     (["--partition=gpu"], "write slurm.partition=gpu"), (["-t", "2:00"], "write slurm.time=2:00"), (["--mem"], "write slurm.memory=VALUE"),
     (["--qos", "low"], "slurm.extra=--qos=low"), (["slurm=gpu"], "as in slurm.at_a_time=8"),
     (["--print=pbs"], "--print=pbs is none of"), (["prune=imp,nope"], "there is no 'nope'"),
     (["train.batch_size=0,12"], "train.batch_size"), (["modle=x"], "did you mean 'model'"), (["--prin"], "--prin")],
)  # fmt: skip
def test_a_typo_is_refused_before_anything_is_handed_in(words, said, tiny, lottery, capsys, cluster, tmp_path):
    own = [w for w in tiny if not words[0].startswith(w.partition("=")[0] + "=")]
    assert lottery("submit", "-m", *own, *words) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert err.count("\n") == 1
    assert cluster.asked("sbatch") == []
    assert not (tmp_path / "outputs").exists()


def test_a_run_that_is_told_of_a_queue_names_the_command(tiny, lottery, capsys):
    assert lottery("run", *tiny, "slurm.time=1:00") == 2
    assert "`lottery submit`" in capsys.readouterr().err


def test_without_sbatch_the_script_can_be_seen(tiny, lottery, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lottery("submit", *tiny) == 2
    err = capsys.readouterr().err
    assert "there is no sbatch on this machine" in err
    assert "--print" in err
    assert lottery("submit", *tiny, "--print") == 0
    assert not (tmp_path / "outputs").exists()


def test_what_sbatch_refuses_is_told_in_its_words_and_leaves_nothing_in_the_queue(tiny, lottery, capsys, cluster):
    cluster.says("sbatch", "refuses", "1")
    words = ["submit", "-m", *tiny, "prune=imp,random"]
    assert lottery(*words) == 2
    err = capsys.readouterr().err
    assert err == "lottery: sbatch refused: sbatch: error: invalid partition specified: nowhere sbatch: error: Batch job submission failed\n"
    assert cluster.asked("scancel") == []
    cluster.says("sbatch", "refuses", "3")
    assert lottery(*words) == 2
    assert capsys.readouterr().err.endswith("Batch job submission failed; nothing stays in the queue\n")
    assert cluster.asked("scancel") == [["18"]]


def test_what_is_interrupted_leaves_nothing_in_the_queue(tiny, lottery, cluster, monkeypatch):
    """A second sweep of the same runs is not refused after it, either."""
    real, asked = handing.ask, []

    def ask(words):
        asked.append(words)
        if words[0] == "sbatch" and len([w for w in asked if w[0] == "sbatch"]) == 2:
            raise KeyboardInterrupt
        return real(words)

    monkeypatch.setattr(handing, "ask", ask)
    assert lottery("submit", "-m", *tiny, "prune=imp,random") == 130
    assert cluster.asked("scancel") == [["17"]]
    cluster.says("squeue", "queue", "17\n")
    assert lottery("submit", "-m", *tiny, "prune=imp,random") == 0


def test_a_sweep_in_the_queue_is_not_handed_in_again(tiny, lottery, capsys, cluster, tmp_path):
    words = ["submit", *tiny]
    assert lottery(*words) == 0
    cluster.says("squeue", "queue", "4\n17\n17\n")
    assert lottery(*words, "slurm.time=9:00") == 3
    err = capsys.readouterr().err
    assert "in the queue already, as 17" in err
    assert "scancel 17" in err
    assert len(cluster.asked("sbatch")) == 1
    cluster.says("squeue", "queue", "4\n")  # they have ended
    (record,) = tmp_path.glob("outputs/.sweeps/*/queued.json")
    assert json.loads(record.read_text()) == {"jobs": ["17"]}
    assert lottery(*words) == 0
    record.write_text("{")  # damaged
    assert lottery(*words) == 0
    assert len(cluster.asked("sbatch")) == 3


def test_a_task_does_its_line_with_the_cores_it_has(tiny, lottery, cluster, actor):
    """Words with spaces, quotes, $ and % come through; the exit code is that of the run, and is not put back."""
    actor(f'{TELL}; printf "<%s>" "$@"; [[ $* != *levels=0* ]] || exit 6')
    own = [w for w in tiny if not w.startswith("host.threads")]
    assert lottery("submit", "-m", *own, "prune=imp,random", "name=\"it's $HOME %a `x`\"", "outputs=50% mine") == 0
    dense, imp, random = cluster.tasks()
    code, said = cluster.run(dense)
    assert (code, cluster.asked("scontrol")[1:]) == (6, [])
    assert "<levels=0><host.threads=1>" in said
    code, said = cluster.run(imp, SLURM_CPUS_PER_TASK="3")
    assert code == 0
    assert "<prune=imp><name=\"it's $HOME %a `x`\"><outputs=50%\\ mine><host.threads=3>" in said
    assert "<prune=random>" in cluster.run(random)[1]
    assert "/50%% mine/" in cluster.arrays()[0][0]["output"]


USR1 = """
[[ -e $DONE ]] && {{ echo resumed; exit 0; }}
trap 'touch "$DONE"; {answer}' USR1
touch "$READY"; while :; do /bin/sleep 0.05; done
"""


@pytest.mark.parametrize(
    ("answer", "code", "back"), [("exit 75", 75, True), ("exit 6", 6, False), ("trap - USR1; kill -USR1 $$", 75, True)]
)
def test_a_task_whose_time_is_up_is_put_back_and_goes_on(answer, code, back, handed, cluster, actor, tmp_path):
    """USR1 comes to the script alone. A run that had not yet begun to listen dies of it, and is put back, too."""
    actor(USR1.format(answer=answer))
    task = handed()
    own = {"READY": str(tmp_path / "ready"), "DONE": str(tmp_path / "done")}
    with cluster.start(task, **own) as job:
        cluster.until((tmp_path / "ready").exists, job)
        job.send_signal(signal.SIGUSR1)
        assert job.wait(cluster.late) == code
    assert (["requeue", task[3]] in cluster.asked("scontrol")) == back
    assert cluster.run(task, **own)[0] == 0


def test_a_script_that_is_asked_to_end_waits_for_its_run(handed, cluster, actor, tmp_path):
    """TERM comes to all processes of a task: the run saves a checkpoint, and has time for it."""
    actor(f"trap 'sleep 0.2; exit 143' TERM; touch '{tmp_path}/ready'; while :; do /bin/sleep 0.05; done")
    with cluster.start(handed()) as job:
        cluster.until((tmp_path / "ready").exists, job)
        os.killpg(job.pid, signal.SIGTERM)
        assert job.wait(cluster.late) == 143
    assert cluster.asked("scontrol") == []


@pytest.mark.parametrize(("times", "code"), [(2, 0), (99, 3)])
def test_a_run_that_another_process_holds_is_tried_again(times, code, handed, cluster, actor, tmp_path):
    actor(f"echo try >>'{tmp_path}/tries'; [[ $(wc -l <'{tmp_path}/tries') -gt {times} ]] || exit 3")
    assert cluster.run(handed())[0] == code
    assert (tmp_path / "tries").read_text().count("try") == min(times + 1, 6)


def test_a_task_whose_line_is_gone_says_so(handed, cluster, actor):
    actor(NOTHING)
    script, _, task, number = handed()
    code, said = cluster.run((script, 7, task, number))
    assert code == 2
    assert "has no line 8" in said


@pytest.mark.slow
def test_a_sweep_goes_through_time_out_failure_and_the_rest(tiny, lottery, cluster, capsys, tmp_path):
    """Real runs: one fails; of others the dense net is put back in its midst, resumed, and trained once."""
    words = [w for w in tiny if not w.startswith(("levels", "train.length"))]
    asked = ["submit", "-m", *words, "levels=1", "prune=imp,random", "train.length=1200ep", "evaluate_every=400ep"]
    assert lottery("submit", *asked[2:-3], "prune.at=9999ep", "train.length=1ep") == 0
    (task,) = cluster.tasks()
    code, said = cluster.run(task)
    assert (code, cluster.asked("scontrol")[1:]) == (2, [])
    assert "is after the end of training" in said
    assert lottery(*asked) == 0
    _, dense, *runs = cluster.tasks()
    with cluster.start(dense) as job:
        cluster.until(lambda: list(tmp_path.glob("outputs/*/*/replicate_0/run.json")), job)
        job.send_signal(signal.SIGUSR1)
        assert "stopping at the next step" in job.communicate(timeout=cluster.late)[0]
        assert job.returncode == 75
    assert cluster.asked("scontrol")[-1] == ["requeue", dense[3]]
    assert [cluster.run(task)[0] for task in (dense, *runs)] == [0, 0, 0]
    records = [json.loads(p.read_text()) for p in sorted(tmp_path.glob("outputs/*/*/replicate_*/run.json"))]
    assert [(r["state"], len(r["resumed"]), r["did"]["shared"]) for r in records] == [("done", 2, 0), ("done", 0, 1)]
    capsys.readouterr()
    assert lottery(*asked) == 0
    assert capsys.readouterr().out == "2 of 2 runs are done already\n"
