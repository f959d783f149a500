"""Stand-ins for a cluster: small programs that note what they were asked, and tasks that really run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

NOTES = """import json, os, sys
folder = os.environ["CLUSTER"]
with open(os.path.join(folder, "notes"), "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""
SBATCH = """
said = os.path.join(folder, "refuses")
number = len(open(os.path.join(folder, "notes")).readlines())
if os.path.exists(said) and number >= int(open(said).read()):
    sys.exit("sbatch: error: invalid partition specified: nowhere\\nsbatch: error: Batch job submission failed")
print(f"{16 + number};cluster1")
"""
SCONTROL = """
if sys.argv[1:] == ["show", "config"]:
    print("MaxArraySize            = " + open(os.path.join(folder, "most")).read())
"""
SQUEUE = """
print(open(os.path.join(folder, "queue")).read(), end="")
"""
SHORT_SLEEP = "#!/bin/sh\nexec /bin/sleep 0.05\n"


class Cluster:
    """The programs of a queue in a folder on PATH, and its tasks run one after the other."""

    late = 300  # seconds in which something has happened on any machine

    def __init__(self, folder):
        self.folder = folder
        for name, text in (("sbatch", SBATCH), ("scontrol", SCONTROL), ("squeue", SQUEUE), ("scancel", "")):
            mine = folder / name
            mine.mkdir()
            (mine / "most").write_text("1001\n")
            (mine / "queue").write_text("")
            self.program(name, f"#!{sys.executable} -S\n" + NOTES.replace('os.environ["CLUSTER"]', repr(str(mine))) + text)
        self.program("sleep", SHORT_SLEEP)

    def program(self, name, text):
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def says(self, program, file, text):
        (self.folder / program / file).write_text(text)

    def asked(self, program):
        """Return the words of each call of a program."""
        path = self.folder / program / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def arrays(self):
        """Return of each array its options as a dict, the script, the first line, and its number."""
        found = []
        for number, words in enumerate(self.asked("sbatch"), start=17):
            *options, script, first = words
            found.append((dict(o.removeprefix("--").partition("=")[::2] for o in options), Path(script), int(first), str(number)))
        return found

    def tasks(self):
        """Return of each task script, first line, place in its array, and number (17_0), as they may start."""
        found, ended = [], set()
        for options, script, first, number in self.arrays():
            waits = options.get("dependency", "afterany:").removeprefix("afterany:").split(":")
            assert {*waits} - {""} <= ended, "an array waits for one that was not handed in"
            ended.add(number)
            last = int(options["array"].partition("%")[0].removeprefix("0-"))
            found += [(script, first, task, f"{number}_{task}") for task in range(last + 1)]
        return found

    def start(self, task, cwd="/", **env):
        script, first, place, number = task
        own = {"SLURM_ARRAY_TASK_ID": str(place), "SLURM_ARRAY_JOB_ID": number.partition("_")[0], "SLURM_CPUS_PER_TASK": "1",
               "SLURM_JOB_ID": number.partition("_")[0],  # of the last task it is that of the whole array
               "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}  # fmt: skip
        return subprocess.Popen(
            ["bash", str(script), str(first)], cwd=cwd, env=os.environ | own | env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, task, **env):
        """Run a task, again as long as it is put back; return its exit code and all it has printed."""
        printed = ""
        for _ in range(5):
            before = len(self.asked("scontrol"))
            with self.start(task, **env) as job:
                printed += job.communicate(timeout=self.late)[0]
            if ["requeue", task[3]] not in self.asked("scontrol")[before:]:
                return job.returncode, printed
        raise AssertionError("put back again and again")

    def until(self, true, job):
        """Wait until something has happened in a task that is at work."""
        late = time.monotonic() + self.late
        while not true():
            assert job.poll() is None, job.communicate()[0]
            assert time.monotonic() < late
            time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Put the stand-ins in front of PATH."""
    (tmp_path / "cluster").mkdir()
    found = Cluster(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{found.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return found


@pytest.fixture
def actor(cluster, monkeypatch):
    """Let a shell script be the Python of the tasks: what it does is up to the test."""

    def call(text):
        path = cluster.program("my python", f"#!/bin/bash\n{text}\n")
        monkeypatch.setattr("lottery.queues.slurm.sys", type("Sys", (), {"executable": str(path)}))

    return call
