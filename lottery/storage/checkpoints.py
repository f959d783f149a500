"""Keep the newest checkpoints of a piece of work, written while the work goes on."""

import re
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from lottery.errors import DamagedError, DiskError
from lottery.storage import disk, store
from lottery.storage.files import digest, read_plain
from lottery.storage.records import CHECKPOINT, CORRUPT

NAME = re.compile(rf"{CHECKPOINT}\d+-[0-9a-f]{{32}}\.safetensors")
KEPT = 2  # the newest, and the one before it
ANSWERED = 0.1  # seconds within which a signal is answered while a checkpoint is waited for


class Checkpoints:
    """The checkpoints in one folder; a context that ends when all of them are on the disk.

    A checkpoint is packed, hashed and written by a thread of its own, so what it is made of must
    change no more. Its name holds its checksum.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.settle()
        except DiskError:
            if error is None:
                raise

    def paths(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        found = [p for p in self.folder.glob(f"{CHECKPOINT}*") if NAME.fullmatch(p.name)]
        return sorted(found, key=lambda p: -int(p.name.split("-")[1]))

    def write(self, iteration: int, tensors: dict[str, Tensor], about: Any) -> None:
        """Begin to write a checkpoint; returns at once unless the one before is still on its way.

        Raises the DiskError of the one before.
        """
        self.settle()
        self.thread = threading.Thread(
            target=self._work, args=(iteration, tensors, about), name="checkpoint", daemon=True
        )
        self.thread.start()

    def settle(self) -> None:
        """Wait until what was begun is on the disk; raises its DiskError.

        Python answers a signal between two steps of the main thread. One that comes just before
        the main thread begins to wait, or that another thread gets, does not wake it: so it wakes
        by itself, and a second signal leaves at once even where the disk hangs.
        """
        if self.thread is not None:
            while self.thread.is_alive():
                self.thread.join(ANSWERED)
            self.thread = None
        if self.failure is not None:
            error, self.failure = self.failure, None
            raise error

    def _work(self, iteration: int, tensors: dict[str, Tensor], about: Any) -> None:
        try:
            data = store.pack_tensors(tensors, about)
            name = f"{CHECKPOINT}{iteration}-{digest(data)[:32]}.safetensors"
            disk.write(self.folder / name, data)
            for path in self.paths()[KEPT:]:
                disk.remove(path)
        except BaseException as error:  # noqa: BLE001 (raised in the thread that waits for it)
            self.failure = error

    def read(self, warn: Callable[[str], None]) -> tuple[dict[str, Tensor], Any] | None:
        """Return the newest good checkpoint; None where there never was one.

        A damaged one is set aside as .corrupt, and named with the one that is used in its place.
        Raises DamagedError where there are only damaged ones.
        """
        aside: list[Path] = []
        for path in self.paths():
            try:
                with disk.touching(path, "read"):
                    data = read_plain(path)
                if digest(data)[:32] != path.stem.split("-")[2]:
                    raise DamagedError("its checksum is wrong")
                found = store.unpack_tensors(data)
            except (DamagedError, ValueError) as error:
                aside.append(set_aside(path))
                warn(f"{path} is damaged ({error}); it is kept as {aside[-1].name}")
            else:
                if aside:
                    warn(f"going on from the checkpoint before it: {path}")
                return found
        if aside or any(self.folder.glob(f"{CHECKPOINT}*{CORRUPT}")):
            raise DamagedError(
                f"no good checkpoint is left in {self.folder}; to start this level again from its "
                f"beginning: rm -r {shlex.quote(str(self.folder))}, then type the same command"
            )
        return None

    def clear(self) -> None:
        """Remove the checkpoints: the work is done."""
        found = self.paths()
        for path in found:
            disk.remove(path)
        if found:  # else a power cut may bring them back, when nobody looks for them any more
            with disk.touching(self.folder):
                disk.sync_folder(self.folder)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to .corrupt; return its new path."""
    aside = path.with_name(path.name + CORRUPT)
    with disk.touching(path):
        path.replace(aside)
    return aside
