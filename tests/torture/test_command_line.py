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

from lottery import cli, seeds

WORDS = [*LENET, "branch=[]", "checkpoint_every=40it", "evaluate_every=100it", "train.length=80ep"]
ENDED = "the command came to its end before it was killed"


def begin(folder, words):
    """Start the command in a process of its own."""
    folder.mkdir(exist_ok=True)
    with open(folder / "out.txt", "w") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "lottery", "run", *words],
            cwd=folder, stdout=out, stderr=out, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def kill_on_the_way(folder, words, kills, seed):
    """Kill the command over and over, at a random moment after it has gone on a little.

    Returns what was acknowledged.
    """
    draw = random.Random(seed)
    before = acknowledged(folder)
    for _ in range(kills):
        process = begin(folder, words)
        for _ in range(draw.randint(1, 3)):
            advanced(folder, process)
        time.sleep(draw.uniform(0, 0.02))
        process.kill()
        assert process.wait() == -signal.SIGKILL, output(folder) + ENDED
        before = assert_sound(folder, before)
    return before


def advanced(folder, process):
    """Wait until there is a checkpoint or a level that was not there."""

    def progress():
        now = acknowledged(folder)
        return any(now[what] != before[what] for what in ("levels", "checkpoints"))

    before = acknowledged(folder)
    until(lambda: progress() or process.poll() is not None)


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
    for seconds in (0.3, 1.0, 2.5):
        process = begin(folder, words)
        time.sleep(seconds)
        process.kill()
        assert process.wait() == -signal.SIGKILL, output(folder) + ENDED
        assert_sound(folder)
    end(folder, words, uninterrupted(tmp_path / "whole", words), assert_sound(folder))
    tally("command line under kill -9", 3)


@pytest.mark.torture
def test_a_sweep(tmp_path, tally):
    words = ["-m", *WORDS, "levels=1", "train.length=60ep", "prune=imp,random"]
    before = kill_on_the_way(tmp_path / "run", words, kills=6, seed=1)
    end(tmp_path / "run", words, uninterrupted(tmp_path / "whole", words), before)
    tally("command line under kill -9", 6)


@pytest.mark.torture
def test_a_data_loader(tmp_path, tally):
    words = streamed(tmp_path / "images")
    before = kill_on_the_way(tmp_path / "run", words, kills=4, seed=2)
    for _ in range(3):
        process = begin(tmp_path / "run", words)
        advanced(tmp_path / "run", process)
        os.kill(workers(process.pid)[0], signal.SIGKILL)
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
