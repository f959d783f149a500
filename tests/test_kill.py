"""A run that was killed ends with the same bits as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DRIVER = Path(__file__).parent / "kill_driver.py"


LENET = [
    "train/optimizer=adam", "train.length=20ep", "levels=2", "branch=[shuffle]", "branch_levels=[2]",
]  # fmt: skip
CONV = [  # channels-last with momentum: what has to come back from the disk in the right order
    "model=resnet20", "model.depth=8", "model.width=4", "dataset.size=8", "train.length=8ep",
    "train.channels_last=yes", "levels=1",
]  # fmt: skip


@pytest.mark.parametrize("net", [LENET, CONV], ids=["lenet-adam", "conv-sgd"])
@pytest.mark.parametrize("moments", [3, pytest.param(14, marks=pytest.mark.slow)])
def test_sigkill_at_so_many_moments(tmp_path, tiny, net, moments):
    shared = [w for w in tiny if not (net is CONV and w.startswith("model"))]
    overrides = [
        *shared, "checkpoint_every=9it", "evaluate_every=10it", "rewind=step", "rewind.to=9it", *net,
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, DRIVER, tmp_path, str(moments), *overrides],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["files"] >= 8
    assert report["killed"] >= 0.6 * moments, report
    assert report["wrong"] == []
    assert report["torn"] == []
    assert report["left"] == []


@pytest.mark.slow
def test_the_real_command_line_under_sigkill(tmp_path, tiny, shell):
    words = [*tiny, "train.length=100ep", "checkpoint_every=50it", "evaluate_every=50ep", "levels=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lottery", "run", *words],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob("outputs/store/*/checkpoint-*")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert shell("run", *words).returncode == 0
    (tmp_path / "whole").mkdir()
    assert shell("run", *words, cwd=tmp_path / "whole").returncode == 0
    for first in (tmp_path / "outputs" / "store").glob("*/*.safetensors"):
        second = tmp_path / "whole" / first.relative_to(tmp_path)
        assert first.read_bytes() == second.read_bytes()
