"""Ways in which a writer or a resume could be wrong, each put into a child by replacing functions."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lottery.experiment import loop
from lottery.storage import disk, ledger, store
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.store import Shelf
from lottery.tasks.images import images
from lottery.training import resume, train

Change = Callable[[dict[str, Any], dict[str, Any]], Any]


def without_sync() -> None:
    real = disk.save_as
    disk.save_as = lambda path, data, sync: real(path, data, sync=False)


def in_place() -> None:
    def write(path: Path, data: bytes, sync: bool = True) -> None:
        with disk.touching(path):
            disk.save_as(path, data, sync)
            disk.sync_folder(path.parent)

    disk.write = write


def without_folder_sync() -> None:
    disk.sync_folder = lambda folder: None


def half_written() -> None:
    def save_as(path: Path, data: bytes, sync: bool) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.write(handle, data)
        os.fsync(handle)
        os.close(handle)

    disk.save_as = save_as


def manifest_first() -> None:
    real, held = disk.write, []

    def write(path: Path, data: bytes, sync: bool = True) -> None:
        in_store = path.parent.parent.name == "store"
        if in_store and path.name != "manifest.json" and not path.name.startswith("checkpoint-"):
            held.append((path, data))
            return
        real(path, data, sync)
        while in_store and path.name == "manifest.json" and held:
            real(*held.pop())

    disk.write = write


def unswept() -> None:
    disk.sweep = lambda folder: None


def in_checkpoint(change: Change) -> Callable[[], None]:
    """Return a mutant that changes what a checkpoint holds: its tensors and notes, in place."""

    def install() -> None:
        real = Checkpoints.write

        def write(self: Any, iteration: int, tensors: dict, about: dict) -> None:
            tensors, about = dict(tensors), dict(about)
            change(tensors, about)
            real(self, iteration, tensors, about)

        Checkpoints.write = write

    return install


def forget(prefix: str) -> Change:
    def change(tensors: dict, about: dict) -> None:
        for name in [name for name in tensors if name.startswith(prefix)]:
            del tensors[name]

    return change


def zero(part: str) -> Change:
    def change(tensors: dict, about: dict) -> None:
        for name in [name for name in tensors if part in name]:
            tensors[name] = torch.zeros_like(tensors[name])

    return change


def step(move: Callable[[int], int]) -> Change:
    return lambda tensors, about: about.update(step=move(about["step"]))


def rows_kept() -> None:
    """Go on with the row that had been made when the run was killed, as if it had been appended."""
    real = train.resume

    def resumed(*given: Any) -> Any:
        training = real(*given)
        if training.curve:
            training.curve.append(training.curve[-1] | {"step": training.curve[-1]["step"] + 5})
        return training

    train.resume = resumed


def unverified() -> None:
    def read(self: Any, warn: Any) -> Any:
        return store.unpack_tensors(self.paths()[0].read_bytes()) if self.paths() else None

    Checkpoints.read = read


def slow_writer() -> None:
    """Let the writing thread begin when another step was made: so late it may be any time."""
    moved, steps, write, pack = threading.Event(), train.steps, Checkpoints.write, store.pack_tensors

    def signalling(*given: Any) -> Any:
        for step in steps(*given):
            moved.set()
            yield step

    def writing(self: Any, *given: Any) -> None:
        self.settle()
        moved.clear()
        write(self, *given)

    def packing(*given: Any) -> bytes:
        if threading.current_thread().name == "checkpoint":
            assert moved.wait(60)
        return pack(*given)

    train.steps, Checkpoints.write, store.pack_tensors = signalling, writing, packing


def live_tensors() -> None:
    real = resume.snapshot
    resume.snapshot = lambda t: replace(real(t), weights=dict(t.model.state_dict()))


def epoch_restarts() -> None:
    real = images.ImageTask.batches
    images.ImageTask.batches = lambda self, split, epoch, seed, start=0: real(self, split, epoch, seed)


def failure_swallowed() -> None:
    real = Checkpoints.settle

    def settle(self: Any) -> None:
        if self.thread is not None:
            self.thread.join()
        self.failure = None
        real(self)

    Checkpoints.settle = settle


def trained_again() -> None:
    loop.existing = lambda *given: None
    Shelf.complete = property(lambda self: False)


def old_removed_first() -> None:
    real = Checkpoints._work

    def work(self: Any, *given: Any) -> None:
        for path in self.paths():
            disk.remove(path)
        real(self, *given)

    Checkpoints._work = work


def tables_first() -> None:
    real = ledger.Ledger.write_files

    def write_files(self: Any, contents: Any) -> None:
        for name, data in contents.items():
            disk.write_if_new(self.folder / name, data)
        real(self, contents)

    ledger.Ledger.write_files = write_files
