"""Deal the devices of a machine to jobs, a share of one or several of them each."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/gpus")
NEAR = 1e-9  # shares like 1/3 add up to a device


@dataclass(frozen=True)
class Slot:
    """What one job has: the names of its devices, and how much of each."""

    devices: tuple[str, ...] = ()
    share: float = 0.0


@dataclass
class Slots:
    """The devices of a machine, and how much of each is taken.

    `share` is what a job has: 0.5 lets two jobs have one device, 2 gives a job two of them. Without
    devices only the number of jobs at a time counts.
    """

    devices: Sequence[str]
    share: float
    jobs: int  # at a time, at most
    taken: dict[str, float] = field(default_factory=dict)
    held: list[Slot] = field(default_factory=list)

    @property
    def free(self) -> bool:
        """Whether there may be one for another job."""
        return len(self.held) < self.jobs

    def take(self, alone: bool = False) -> Slot | None:
        """Return what the next job is to have, of the emptiest device; None while none fits.

        `alone` is for a job that is to share its device with no other.
        """
        if not self.free:
            return None
        slot = Slot()
        if self.devices and self.share:
            each = 1.0 if alone else min(1.0, self.share)
            free = [d for d in self.devices if self.taken.get(d, 0.0) + each <= 1 + NEAR]
            free.sort(key=lambda device: self.taken.get(device, 0.0))  # stable: in their order
            wanted = max(1, round(self.share))
            if len(free) < wanted:
                return None
            slot = Slot(tuple(free[:wanted]), each)
        for device in slot.devices:
            self.taken[device] = self.taken.get(device, 0.0) + slot.share
        self.held.append(slot)
        return slot

    def give(self, slot: Slot) -> None:
        """Take back what a job had."""
        self.held.remove(slot)
        for device in slot.devices:
            self.taken[device] -= slot.share


def devices_here(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs that jobs may use, as CUDA_VISIBLE_DEVICES names them. Imports no torch.

    Where that is set its own words are taken as they stand, numbers, UUIDs and MIG names alike.
    """
    if (listed := environment.get("CUDA_VISIBLE_DEVICES")) is not None:
        found = [word.strip() for word in listed.split(",") if word.strip()]
        return [] if "-1" in found or "NoDevFiles" in found else found
    if DRIVER.is_dir():
        return [str(number) for number in range(len(list(DRIVER.iterdir())))]
    if (tool := shutil.which("nvidia-smi")) is None:
        return []
    told = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False, timeout=60)
    return re.findall(r"^GPU (\d+):", told.stdout, re.MULTILINE)


def cores() -> int:
    """Return the cores that this process may use, as a queue or a container has cut them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
