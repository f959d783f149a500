"""The manifest of a sweep: what the API of Kubernetes asks for, and commands that do their runs."""

import os
import shlex
import subprocess
import sys

import pytest
import yaml

ASKED = ["kubernetes.image=registry/lottery:1", "kubernetes.claim=runs", "--print=kubernetes"]


@pytest.fixture
def manifest(lottery, tiny, capsys):
    """Return the ConfigMap and the Job of a sweep."""

    def call(*words, own=tiny):
        capsys.readouterr()
        assert lottery("submit", "-m", *own, *ASKED, *words) == 0
        return list(yaml.safe_load_all(capsys.readouterr().out))

    return call


def test_a_sweep_is_an_indexed_job(manifest, tmp_path):
    """Codes after which another try ends alike fail the index; a run that was asked to stop does not count."""
    kept, job = manifest("prune=imp,random", "replicate=0,1", "kubernetes.cpus=4", "kubernetes.gpus=1",
                         "kubernetes.memory=16Gi", "kubernetes.namespace=lab", "kubernetes.at_a_time=3")  # fmt: skip
    assert (kept["apiVersion"], kept["kind"], job["apiVersion"], job["kind"]) == ("v1", "ConfigMap", "batch/v1", "Job")
    assert kept["metadata"] == job["metadata"]
    assert job["metadata"]["namespace"] == "lab"
    spec = job["spec"]
    assert {key: spec[key] for key in spec if key not in ("template", "podFailurePolicy")} == {
        "completionMode": "Indexed", "completions": 4, "parallelism": 3, "backoffLimitPerIndex": 6, "podReplacementPolicy": "Failed",
    }  # fmt: skip
    assert spec["podFailurePolicy"] == {"rules": [
        {"action": "FailIndex", "onExitCodes": {"containerName": "lottery", "operator": "In", "values": [2, 4, 6]}},
        {"action": "Ignore", "onExitCodes": {"containerName": "lottery", "operator": "In", "values": [75, 143]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]}  # fmt: skip
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 120)
    (one,) = pod["containers"]
    assert (one["name"], one["image"], one["workingDir"]) == ("lottery", "registry/lottery:1", "/work")
    assert one["resources"] == {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"}}
    assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in one["volumeMounts"]}
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "runs"}
    assert pod["volumes"][1]["configMap"]["name"] == kept["metadata"]["name"]
    assert one["command"] == ["/bin/sh", "/etc/lottery/task.sh"]
    assert not list(tmp_path.iterdir())


def perform(folder, data, index, program, **env):
    """Do what a pod of an index does, with its files in a folder; return the finished process."""
    for name, text in data.items():
        (folder / name).write_text(text)
    path = folder / "bin" / "lottery"
    path.parent.mkdir(exist_ok=True)
    path.write_text(program)
    path.chmod(0o755)
    own = {"JOB_COMPLETION_INDEX": str(index), "PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(["/bin/sh", str(folder / "task.sh")], env=os.environ | own | env, cwd=folder, text=True,
                          capture_output=True, check=False)  # fmt: skip


def test_an_index_does_its_run_and_ends_with_its_code(manifest, tiny, tmp_path):
    """Words come through whatever is in them, and the run is the process of the pod: it gets the signals."""
    own = [w for w in tiny if not w.startswith("host.threads")]
    kept, _ = manifest("prune=imp,random", "name=\"it's $(HOME) größer\"", "replicate=0,1", "kubernetes.cpus=2", own=own)
    tell = "#!/bin/sh\nprintf '<%s>' \"$@\"\necho pid $$\nexit 6\n"
    for index, words in enumerate(["<prune=imp>", "<prune=imp>", "<prune=random>", "<prune=random>"]):
        done = perform(tmp_path, kept["data"], index, tell)
        assert done.returncode == 6
        assert f"{words}<name=\"it's $(HOME) größer\"><replicate={index % 2}><host.threads=2>" in done.stdout
    done = perform(tmp_path, kept["data"], 4, tell)
    assert (done.returncode, done.stderr) == (2, "lottery: there is no command 5\n")
    assert perform(tmp_path, kept["data"], 0, "#!/bin/sh\nkill -TERM $$\n").returncode == -15


@pytest.mark.slow
def test_an_index_trains_its_run(manifest, tmp_path):
    kept, _ = manifest("levels=0", "replicate=0,1")
    program = f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lottery \"$@\"\n"
    done = perform(tmp_path, kept["data"], 1, program)
    assert done.returncode == 0, done.stderr
    assert [p.parent.name for p in tmp_path.glob("outputs/*/*/*/run.json")] == ["replicate_1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["kubernetes.claim="], "name it: kubernetes.claim=runs"), (["kubernetes.imag=x"], "did you mean 'image'?"),
     (["kubernetes.memory=lots"], "kubernetes.memory: 'lots' is not what it takes"), (["outputs=/home/me"], "it is not on the volume, which lies at /work"),
     (["outputs=../x"], "it is not on the volume"), (["slurm.time=1:00"], "slurm.time=1:00 is for --print=slurm"),
     (["levels=1,2"], "are one run"), (["prune=nope"], "there is no 'nope'")],
)  # fmt: skip
def test_what_cannot_be_is_one_line(words, said, lottery, tiny, capsys, tmp_path):
    own = [w for w in tiny if not words[0].startswith(w.partition("=")[0] + "=")]
    assert lottery("submit", "-m", *own, *ASKED, *words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_commands_are_no_more_than_a_configmap_holds(lottery, tiny, capsys, monkeypatch):
    monkeypatch.setattr("lottery.queues.kubernetes.MOST", 500)
    assert lottery("submit", "-m", *tiny, *ASKED, "replicate=0,1") == 2
    assert "2 commands are more than a ConfigMap holds" in capsys.readouterr().err


def test_a_setting_of_another_queue_says_what_to_type(lottery, tiny, capsys):
    assert lottery("submit", *tiny, "kubernetes.image=x") == 2
    assert "type --print=kubernetes" in capsys.readouterr().err
