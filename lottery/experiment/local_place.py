"""Run the jobs of a sweep on this machine: forked where that can be, else as a shell would."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lottery.errors import LotteryError, UsageError
from lottery.experiment.place import Process
from lottery.machine.nursery import CAN_FORK, Nursery
from lottery.machine.parents import PARENT
from lottery.machine.slots import NEAR, Slot, Slots, cores, devices_here

CALLS = "lottery.cli"
IMPORTS = (  # what every job needs; torch and hydra import some of it late
    "lottery.commands.run",
    "lottery.config.build",
    "lottery.config.sweeping",
    "lottery.experiment.launch",
    "hydra._internal.hydra",
    "hydra.core.override_parser.overrides_parser",
    "torch._dynamo",
    "torch.utils.data",
)


class Spawned:
    """A process with a group of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.poll, self.send_signal = process, process.poll, process.send_signal

    @property
    def returncode(self) -> int | None:
        """The exit code; None while it is at work, as far as is known."""
        return self.process.returncode

    def kill(self) -> None:
        """Kill it with all that it has started, where it is still at work."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class LocalPlace:
    """The cores and GPUs of this machine; processes of as many threads are forked from one."""

    def __init__(self, host: Mapping[str, Any]) -> None:
        self.slots, self.threads = dealt(host)
        self.nurseries: dict[int, Nursery] = {}
        if CAN_FORK:
            self.nursery(self.threads)  # imports while the rest of the sweep is being composed

    def nursery(self, threads: int) -> Nursery:
        """Return the process that processes of so many threads are forked from."""
        found = self.nurseries.get(threads)
        if found is not None and not found.listen():
            if not found.ready:  # the next one would end alike
                raise LotteryError(found.end())
            found = None
        if found is None:
            found = self.nurseries[threads] = Nursery(CALLS, IMPORTS, os.environ | numbers(threads))
        return found

    def ready(self, threads: int) -> bool:
        """Say whether a process of so many threads could begin at once, with no import left."""
        return not CAN_FORK or self.nursery(threads).ready

    def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        threads: int,
        slot: Slot,
        log: Path,
    ) -> Process:
        """Start `lottery WORDS` with more variables, printing to a file that is there."""
        more = {**environment, **numbers(threads)}
        if slot.devices or (self.slots.devices and not self.slots.share):
            more["CUDA_VISIBLE_DEVICES"] = ",".join(slot.devices)
        if CAN_FORK:
            return self.nursery(threads).start(words, more, log)
        with open(log, "ab") as out:
            return Spawned(subprocess.Popen(
                [sys.executable, "-m", "lottery", *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env=os.environ | more | {PARENT: str(os.getpid())},
            ))  # fmt: skip

    def wait(self, seconds: float) -> None:
        """Wait until a process has ended, or for so many seconds."""
        if at_work := [nursery for nursery in self.nurseries.values() if not nursery.ended]:
            select.select(at_work, [], [], seconds)
        else:
            time.sleep(seconds)

    def close(self) -> None:
        """Let go of what processes were forked from."""
        for nursery in self.nurseries.values():
            nursery.close()
        self.nurseries.clear()


def numbers(threads: int) -> dict[str, str]:
    """Return the variables by which libraries know how many threads to use."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def dealt(host: Mapping[str, Any]) -> tuple[Slots, int]:
    """Return how this machine is dealt out to jobs, and the threads of each; raises UsageError."""
    devices = devices_here() if host["device"] in ("auto", "cuda") else []
    share = host["gpus_per_job"] if host["gpus_per_job"] is not None else float(bool(devices))
    if devices and share > len(devices):
        raise UsageError(f"host.gpus_per_job={share:g}: of GPUs there are {len(devices)} here")
    room = int(len(devices) / share + NEAR) if devices and share else None
    if host["workers"] == "auto":
        number = room or cores() // (host["threads"] or host["threads_per_job"] or 1) or 1
    else:
        number = min(int(host["workers"]), room or int(host["workers"]))
    threads = host["threads"] or host["threads_per_job"] or max(1, cores() // number)
    return Slots(devices, share, number), threads
