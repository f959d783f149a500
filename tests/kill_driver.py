"""Kill a run with SIGKILL at spread moments, resume it, and print what differs.

Forks after the imports, so a kill costs the run alone. Called by test_kill.py in a process of its
own; usage: kill_driver.py FOLDER KILLS OVERRIDE...
"""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from lottery import cli, store

WALL_CLOCK = ("seconds", "examples_per_second")


def start(folder, overrides):
    """Start the command in a child; return its process id."""
    child = os.fork()
    if not child:
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os._exit(cli.main(["run", *overrides]))
    return child


def finish(folder, overrides):
    child = start(folder, overrides)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def bits(folder):
    """Return every byte that a run promises, by file; wall-clock columns apart."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors" or path.name in ("curve.csv", "layers.csv"):
            found[name] = store.digest(path.read_bytes())
        elif path.name in ("metrics.csv", "branches.csv"):
            lines = [line.split(",") for line in path.read_text().splitlines()]
            keep = [i for i, column in enumerate(lines[0]) if column not in WALL_CLOCK]
            found[name] = [[line[i] for i in keep] for line in lines]
    return found


def torn(folder):
    """Return the finished levels whose files are not what their manifest says."""
    wrong = []
    for manifest in folder.rglob("manifest.json"):
        for name, sha in json.loads(manifest.read_text())["files"].items():
            if store.digest((manifest.parent / name).read_bytes()) != sha:
                wrong.append(str(manifest.parent / name))
    return wrong


def main(folder, kills, overrides):
    torch.set_num_threads(1)
    (folder / "warm").mkdir()
    os.chdir(folder / "warm")
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(["run", *overrides]) == 0  # imports what a run imports
    clock = time.monotonic()
    assert finish(folder / "whole", overrides) == 0
    length = time.monotonic() - clock
    expected = bits(folder / "whole")
    report = {"files": len(expected), "killed": 0, "wrong": [], "torn": [], "left": []}
    for number in range(kills):
        place = folder / f"kill_{number:02d}"
        for _ in range(4):
            child = start(place, overrides)
            time.sleep(length * (number + 0.5) / kills)
            os.kill(child, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code == -signal.SIGKILL:
                break
            length *= 0.7  # it was through already: the machine has become faster
            shutil.rmtree(place)
        report["killed"] += code == -signal.SIGKILL
        report["torn"] += torn(place)
        code = finish(place, overrides)
        found = bits(place)
        different = [k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k)]
        if code or different:
            report["wrong"].append([number, code, sorted(different)])
        report["left"] += [str(p) for p in place.rglob(f"{store.TEMPORARY}*")]
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
