"""Remember how far the making of a mask has come, so that a kill costs little of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lottery.errors import DamagedError
from lottery.machine import signals
from lottery.storage import disk
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.tensors import all_finite, load_optimizer_, optimizer_tensors
from lottery.terms import mask as masks
from lottery.terms.due import Pause
from lottery.terms.mask import Mask
from lottery.terms.task import Task, remembered, restore_


class Memory:
    """The newest state of one mask in the making: its round, and a search within that round.

    `about` says what is made of what; a memory of something else is not taken up.
    """

    def __init__(self, folder: Path, about: str, pause: Pause, warn: Callable[[str], None]) -> None:
        self.folder, self.about, self.pause, self.warn = folder, about, pause, warn
        self.checkpoints = Checkpoints(folder)
        self.serial = 0
        self.mask: Mask = {}  # that the round began with
        self.number = 1
        self.found: dict[str, Tensor] = {}  # of a search that was interrupted
        self.searching = False  # whether a search is at work, which saves and then obeys signals
        self.step = 0

    def __enter__(self) -> "Memory":
        self.checkpoints.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.checkpoints.__exit__(*error)

    def begin(self, mask: Mask) -> tuple[int, Mask]:
        """Return the round to go on with and the mask that it begins with; round 1 at first."""
        shapes = {name: m.shape for name, m in mask.items()}
        if self.folder.is_dir() and (kept := self.checkpoints.read(self.warn)):
            tensors, said = kept
            if said["about"] == self.about and shapes.keys() == set(said["layers"]):
                self.serial, self.number, self.step = said["serial"], said["number"], said["step"]
                self.found = group(tensors, "search/")
                bits = group(tensors, "mask/")
                then = masks.unpack({name: bits[name] for name in shapes}, shapes)
                mask = {name: m.to(mask[name].device) for name, m in then.items()}
            else:  # its numbers are higher than ours will be, so ours would count as old
                self.checkpoints.clear()
        self.pause.start(self.number)
        return self.number, mask

    def next_round(self, number: int, mask: Mask) -> None:
        """Note that a round begins; saves that where it is time."""
        if number != self.number:
            self.number, self.found = number, {}
        self.mask = mask
        self.searching = False
        if self.pause.due(number) or signals.pending():
            self._write(0, {})
            self._leave_if_asked()

    def recall(
        self, tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, task: Task
    ) -> int:
        """Put a search back where it was, in place; return the steps that it had done."""
        self.searching = True
        self.pause.last_step = self.step if self.found else 0
        if not self.found:
            return 0
        slots = group(self.found, "optimizer/")
        missing = tensors.keys() - self.found.keys()
        if missing:
            raise DamagedError(f"{self.folder} is of another search ({min(missing)} is missing)")
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(self.found[name])
        if slots:
            load_optimizer_(optimizer, slots)
        restore_(task, group(self.found, "task/"))
        self.found = {}
        return self.step

    def keep(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        optimizer: torch.optim.Optimizer,
        task: Task,
    ) -> None:
        """Save a search after `step` steps where it is time; obeys a signal after that."""
        if not (self.pause.due(step) or signals.pending()):
            return
        copies = {f"search/{name}": t.detach().cpu().clone() for name, t in tensors.items()}
        copies |= {f"search/task/{name}": t for name, t in remembered(task).items()}
        slots = optimizer_tensors(optimizer)
        copies |= {f"search/optimizer/{k}": t for k, t in slots.items()}
        if all_finite(copies):  # else the search will stop, and what was saved before is good
            self._write(step, copies)
        self._leave_if_asked()

    def _write(self, step: int, search: dict[str, Tensor]) -> None:
        self.serial += 1
        said = {"about": self.about, "layers": list(self.mask), "serial": self.serial}
        said |= {"number": self.number, "step": step}
        bits = {f"mask/{name}": packed for name, packed in masks.pack(self.mask).items()}
        disk.make_folder(self.folder)
        self.checkpoints.write(self.serial, bits | search, said)

    def _leave_if_asked(self) -> None:
        if signals.pending():
            self.checkpoints.settle()
            signals.leave_if_asked()


def group(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
