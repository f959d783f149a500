"""Run an experiment in a child that may be killed at any moment.

A child is forked after the imports, so that a kill costs 50 ms and not the 4 s of a new process.
What the child leaves is judged by the oracles, which are imported from here too.
"""

import functools
import importlib
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from oracles import acknowledged, assert_same, assert_sound, bits, left, lost, rows_once, torn

from lottery import cli
from lottery.config import build as configs
from lottery.config import schema
from lottery.config.composed import default_name
from lottery.errors import LotteryError
from lottery.experiment import launch
from lottery.machine import signals

__all__ = [
    "acknowledged", "assert_same", "assert_sound", "bits", "left", "lost", "rows_once", "torn",
]  # fmt: skip

# 80 weights and 60 images: a level takes milliseconds, and every step or two has a checkpoint.
TINY = (
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]",
    "dataset.std=[0.25]", "train.batch_size=12", "host.threads=1", "host.device=cpu",
    "host.progress=none", "checkpoint_every=3it", "evaluate_every=5it", "rewind=step", "rewind.to=4it",
)  # fmt: skip
LENET = (  # Adam, two pruned levels, and a branch of the last: 12 steps each
    *TINY, "model=lenet_300_100", "model.hidden=[4]", "train/optimizer=adam", "train.length=3ep",
    "levels=2", "branch=[shuffle]", "branch_levels=[2]",
)  # fmt: skip
CONV = (  # channels-last with momentum: what has to come back from the disk in the right order
    *TINY, "model=resnet20", "model.depth=8", "model.width=4", "dataset.size=8", "train.length=2ep",
    "train.optimizer.momentum=0.9", "train.channels_last=yes", "levels=1",
)  # fmt: skip

OUT = "out.txt"  # what the last child printed
BROKEN = 99  # exit code of a child that failed outside of the command line's own net
LONGEST = 120  # seconds after which a child that hangs is ended by SIGALRM
WARM: list[str] = []  # the first plan of this process, once it has run


@dataclass(frozen=True)
class Plan:
    """A composed run: what `lottery run` with these overrides hands to `launch`."""

    settings: dict[str, Any]
    parts: Any
    name: str
    command: str


def compose(overrides: Sequence[str]) -> Plan:
    """Compose a run once in this process, so that no child has to (0.3 s)."""
    return _composed(tuple(map(str, overrides)))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> Plan:
    ConfigStore.instance().store(name="skeleton", node=schema.Config)
    folder = str(configs.conf_dir())
    with hydra.initialize_config_dir(config_dir=folder, version_base="1.3"):
        config = hydra.compose("run", list(overrides), return_hydra_config=True)
    name = default_name(dict(config.hydra.runtime.choices))
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    settings = configs.plain(config)
    plan = Plan(settings, configs.parts(settings), name, shlex.join(["lottery", "run", *overrides]))
    if not WARM:
        warm_up(plan)
    return plan


def warm_up(plan: Plan) -> None:
    """Import all that a run imports, so that no child has to (1 s): a first child tells what."""
    WARM.append(plan.name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def work() -> int:
            code = _launch(plan)
            (folder / "modules").write_text("\n".join(sys.modules))
            return code

        assert wait(spawn(folder, work)) == 0, output(folder)
        for name in (folder / "modules").read_text().split("\n"):
            if name.startswith(("lottery", "torch", "numpy", "filelock", "pandas")):
                importlib.import_module(name)


def tortured(values: Iterable[Any], quick: Any) -> list[Any]:
    """Return values for parametrize, all but the quick one marked as torture."""
    return [v if v == quick else pytest.param(v, marks=pytest.mark.torture) for v in values]


def start(folder: Path, plan: Plan, before: Callable[[], Any] | None = None, out: str = OUT) -> int:
    """Run a plan in `folder` in a child; return its process id.

    `before` is called in the child first, to install faults. What the child prints is in the file
    `out`; its exit code is that of the command line.
    """
    return spawn(folder, functools.partial(_launch, plan), before, out)


def _launch(plan: Plan) -> int:
    def dispatch(arguments: list[str]) -> int:
        try:
            launch.launch(plan.settings, plan.parts, plan.name, plan.command)
        except LotteryError:
            raise
        except Exception:  # a bug: the line that follows says little about it
            traceback.print_exc()
            raise
        return 0

    cli.dispatch = dispatch
    return cli.main(["run"])


def spawn(
    folder: Path, work: Callable[[], int], before: Callable[[], Any] | None = None, out: str = OUT
) -> int:
    """Do any work in a child in `folder`; return its process id. It ends with the code of `work`."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside other threads
        child = os.fork()
    if child:
        os.close(handle)
        return child
    code = BROKEN
    try:
        signal.alarm(LONGEST)
        os.chdir(folder)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = sys.stderr = open(handle, "w", buffering=1)  # noqa: SIM115 (pytest has its own)
        torch.set_num_threads(1)
        signals.forget()  # what the parent was asked
        if before:
            before()
        code = int(work())
    except BaseException:  # noqa: BLE001 (a child must never come back into the tests)
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
        finally:
            os._exit(code)


def wait(child: int) -> int:
    """Return the exit code of a child, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def first(children: Sequence[int]) -> tuple[int, int]:
    """Wait for whichever child ends first; return its process id and exit code."""
    while True:
        for child in children:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return child, os.waitstatus_to_exitcode(status)
        time.sleep(0.005)


def finish(folder: Path, plan: Plan, before: Callable[[], Any] | None = None) -> int:
    """Run a plan to its end, whatever that is; return the exit code."""
    return wait(start(folder, plan, before))


def kill_after(folder: Path, plan: Plan, seconds: float) -> int:
    """Run a plan and end it by SIGKILL; return -9, or the exit code if it was through by then."""
    child = start(folder, plan)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return wait(child)


def until(condition: Callable[[], Any]) -> None:
    """Wait for something that will come, or fail after a long time."""
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def output(folder: Path, out: str = OUT) -> str:
    """Return what the last child printed."""
    return (folder / out).read_text()


def whole(folder: Path, plan: Plan) -> tuple[dict[str, Any], float]:
    """Run a plan without a fault; return its bits and the seconds that it took."""
    clock = time.monotonic()
    assert finish(folder, plan) == 0, output(folder)
    length = time.monotonic() - clock
    expected = bits(folder)
    assert len(expected) >= 8
    assert_same(folder, expected)
    return expected, length
