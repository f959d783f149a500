"""Each job of a sweep as the command that does it alone."""

import shlex
import subprocess
from pathlib import Path

import pytest


def printed(capsys):
    return capsys.readouterr().out.splitlines()


def test_commands_are_those_of_each_run_alone(tiny, lottery, capsys, monkeypatch):
    """Words with spaces, quotes and commas come through a shell; no two neighbours share a dense net."""
    asked = ["plan", "-m", *tiny, "name=\"it's, mine\"", "schedule=listed", "schedule.densities=[0.5,0.2],[0.4,0.1]",
             "replicate=0,1", "outputs=my runs", "format=commands"]  # fmt: skip
    assert lottery(*asked) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert len(lines) == 4
    replicates = [next(w for w in shlex.split(line) if w.startswith("replicate=")) for line in lines]
    assert replicates == ["replicate=0", "replicate=1"] * 2
    seen = []
    monkeypatch.setattr("lottery.experiment.jobs.Jobs.take", lambda self, job: seen.append(job.settings))
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "lottery"
        assert lottery(*words) == 0
    assert {s["name"] for s in seen} == {"it's, mine"}
    assert {s["outputs"] for s in seen} == {"my runs"}
    assert {(*s["schedule"]["densities"], s["replicate"]) for s in seen} == {
        (*densities, replicate) for densities in ((0.5, 0.2), (0.4, 0.1)) for replicate in (0, 1)
    }  # fmt: skip


def test_a_single_run_is_one_line_and_nothing_is_written(tiny, lottery, capsys, tmp_path):
    assert lottery("plan", *tiny, "format=commands") == 0
    (line,) = printed(capsys)
    assert shlex.split(line) == ["lottery", "run", *tiny]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_number_at_a_time_is_no_part_of_a_command(tiny, lottery, capsys):
    assert lottery("plan", "-m", *tiny, "replicate=0,1", "workers=4", "format=commands") == 0
    assert [line.rpartition(" ")[2] for line in printed(capsys) if "workers=4" not in line] == ["host.workers=1"] * 2


def test_your_own_options_come_along_and_what_is_there_twice_once(tiny, lottery, capsys, tmp_path):
    """The workers of a host's yaml are taken back: each command is one run."""
    (tmp_path / "my conf" / "host").mkdir(parents=True)
    (tmp_path / "my conf" / "host" / "big.yaml").write_text("defaults: [local]\nworkers: 8\n")
    words = [*tiny, "--config-dir", "my conf", "host=big"]
    assert lottery("plan", "-m", *words, "replicate=0,0,1", "format=commands") == 0
    lines = printed(capsys)
    assert len(lines) == 2
    for line in lines:
        assert shlex.split(line)[2:4] == ["--config-dir", "my conf"]
        assert line.endswith(" host.workers=1")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["prune=imp,random", "prune.criterion.powr=1"], "powr"),
     (["train.batch_size=0,-1"], "; 1 more cannot be, too"),
     (["name='a\nb'"], "more than one line"), (["format=comands"], "none of table, json, commands")],
)  # fmt: skip
def test_one_that_cannot_be_leaves_no_command(words, said, tiny, lottery, capsys):
    own = [w for w in tiny if not w.startswith("train.batch_size")]
    assert lottery("plan", "-m", *own, "format=commands", *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_xargs_runs_them_side_by_side(tiny, shell, tmp_path):
    told = shell("plan", "-m", *tiny, "name='my run'", "replicate=0,1", "levels=0", "format=commands")
    (tmp_path / "lottery").write_text(f'#!/bin/sh\nexec {shlex.join(shell("doctor").args[:3])} "$@"\n')
    (tmp_path / "lottery").chmod(0o755)
    done = subprocess.run(
        ["xargs", "-P", "2", "-d", "\\n", "-n", "1", "sh", "-c"], input=told.stdout, text=True, cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "OMP_NUM_THREADS": "1"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(Path(tmp_path).glob("outputs/my run/*/replicate_*/run.json"))) == 2
