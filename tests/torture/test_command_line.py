"""The real command line under SIGKILL: a run, a sweep, a data loader's worker and its parent."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from harness import (
    LENET,
    acknowledged,
    assert_same,
    assert_sound,
    bits,
    output,
    spawn,
    until,
    wait,
)
from PIL import Image

from lottery import cli
from lottery.terms import seeds

WORDS = [*LENET, "branch=[]", "checkpoint_every=40it", "evaluate_every=100it", "train.length=90ep"]
PACED = Path(__file__).with_name("paced.py")
STEPS, FREE = (41, 80), 40  # a process makes so many before it may be killed, and so many more


def begin(folder, words, pace=""):
    """Start the command in a process of its own; `pace` says where it stops, see paced.py."""
    folder.mkdir(exist_ok=True)
    for name in ("going", "held", "free"):
        (folder / name).unlink(missing_ok=True)
    command = [str(PACED)] if pace else ["-m", "lottery"]
    with open(folder / "out.txt", "w") as out:
        return subprocess.Popen(
            [sys.executable, *command, "run", *words],
            cwd=folder, stdout=out, stderr=out,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PACE": pace},
        )  # fmt: skip


def comes_to(folder, process, name):
    """Wait until a paced command has made a file."""
    until(lambda: (folder / name).exists() or process.poll() is not None)
    assert process.poll() is None, output(folder)


def kill_on_the_way(folder, words, kills, seed, steps=STEPS, free=FREE):
    """Kill the command over and over, at a random moment after it has gone on a little.

    Returns what was acknowledged. A run must have more than `kills` times all of these steps.
    """
    draw = random.Random(seed)
    before = acknowledged(folder)
    for _ in range(kills):
        go = draw.randint(*steps)
        process = begin(folder, words, f"go={go} hold={go + free}")
        comes_to(folder, process, "going")
        time.sleep(draw.uniform(0, 0.02))
        process.kill()
        assert process.wait() == -signal.SIGKILL, output(folder)
        before = assert_sound(folder, before)
    assert any(before["checkpoints"].values()) or before["levels"]
    return before


def uninterrupted(folder, words):
    """Return the bits of the same command where nobody kills it, in a forked child."""
    assert wait(spawn(folder, partial(cli.main, ["-v", "run", *words]))) == 0, output(folder)
    return bits(folder)


def end(folder, words, expected, before):
    """Let the command come to its end, and assert all of the oracles."""
    assert begin(folder, words).wait() == 0, output(folder)
    assert_same(folder, expected, before)


@pytest.mark.torture
def test_a_run(tmp_path, tally):
    before = kill_on_the_way(tmp_path / "run", WORDS, kills=8, seed=0)
    end(tmp_path / "run", WORDS, uninterrupted(tmp_path / "whole", WORDS), before)
    tally("command line under kill -9", 8)


@pytest.mark.torture
def test_a_run_that_has_not_begun(tmp_path, tally):
    folder, words = tmp_path / "run", [*WORDS, "levels=0"]
    for place in ("start", "lottery.experiment.launch.launch", "lottery.experiment.life.on_record"):
        process = begin(folder, words, f"hold={place}")
        comes_to(folder, process, "held")
        process.kill()
        assert process.wait() == -signal.SIGKILL, output(folder)
        assert not list(folder.glob("outputs/*/*/*/run.json"))
        assert_sound(folder)
    assert len(list(folder.glob("outputs/*/*/*/config.yaml"))) == 1
    end(folder, words, uninterrupted(tmp_path / "whole", words), assert_sound(folder))
    tally("command line under kill -9", 3)


@pytest.mark.torture
def test_a_sweep(tmp_path, tally):
    words = ["-m", *WORDS, "levels=1", "train.length=70ep", "prune=imp,random"]
    before = kill_on_the_way(tmp_path / "run", words, kills=6, seed=1)
    end(tmp_path / "run", words, uninterrupted(tmp_path / "whole", words), before)
    tally("command line under kill -9", 6)


@pytest.mark.torture
def test_a_data_loader(tmp_path, tally):
    words = streamed(tmp_path / "images")
    before = kill_on_the_way(tmp_path / "run", words, kills=4, seed=2, steps=(6, 10), free=5)
    for _ in range(3):
        process = begin(tmp_path / "run", words, "go=7 hold=7")
        comes_to(tmp_path / "run", process, "held")
        os.kill(workers(process.pid)[0], signal.SIGKILL)
        (tmp_path / "run" / "free").touch()
        assert process.wait() == 5, output(tmp_path / "run")
        assert "a process that reads images has ended" in output(tmp_path / "run")
        before = assert_sound(tmp_path / "run", before)
    end(tmp_path / "run", words, uninterrupted(tmp_path / "whole", words), before)
    tally("command line under kill -9", 7)


def streamed(folder):
    """Make images, and return the words of a run whose workers read them from the disk."""
    for split, each in (("train", 24), ("test", 4)):
        for label, name in enumerate(("ant", "bee")):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(each):
                noise = torch.rand((4, 4), generator=seeds.generator(split, name, number))
                grey = (noise * 99 + 100 * label).to(torch.uint8).numpy()
                Image.fromarray(grey).save(place / f"{number:02}.png")
    return [
        *(word for word in LENET if not word.startswith("dataset")),
        "dataset=image_folder", f"dataset.path={folder}", "dataset.size=4", "dataset.channels=1",
        "dataset.mean=[0.5]", "dataset.std=[0.25]", "dataset.stream=yes", "dataset.workers=2",
        "dataset.crop=1", "train=synthetic", "train.batch_size=12", "train.length=30ep", "levels=1", "branch=[]",
        "checkpoint_every=5it", "evaluate_every=60it",
    ]  # fmt: skip


def workers(parent):
    """Return the process ids of a command's data loader workers: forks of itself."""
    words = Path(f"/proc/{parent}/cmdline").read_bytes()
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(c) for c in found if Path(f"/proc/{c}/cmdline").read_bytes() == words]
