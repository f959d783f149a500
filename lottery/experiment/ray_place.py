"""Run the jobs of a sweep on the machines of a Ray cluster, which all see the folder of the runs.

Ray starts a keeper for each job where there is room; the keeper holds the ordinary command, which
follows it: where a keeper is killed the run saves a checkpoint and ends, and is tried again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.errors import USAGE, LotteryError, UsageError
from lottery.machine.parents import PARENT
from lottery.machine.slots import Slot, Slots
from lottery.storage import disk

if TYPE_CHECKING:
    from lottery.experiment.place import Process

LOOK_EVERY = 5.0  # seconds between looks at the size of the cluster
QUIET = {  # nothing is sent anywhere, and what nobody looks at is not started
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
HANDED_ON = ("LOTTERY_DATA", "PYTHONPATH")  # variables that a run would be typed with
OWN = "local"  # what Ray calls a cluster that is started now, on this machine
AUTH = "RAY_AUTH_MODE"  # for an address that is typed Ray sends no token unless this says so
KNOCK = 10.0  # seconds that a cluster may take to answer
GRPC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # how a client begins, RFC 9113
SETTINGS = b"\4"  # the kind of frame that a server begins with, its fourth byte
ENDED = -signal.SIGKILL  # of a job whose keeper is gone


class Keeper:
    """Hold one run on the machine that Ray has put it on."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def run(
        self, words: list[str], variables: dict[str, str], folder: str, log: str, proof: str
    ) -> tuple[int, str]:
        """Run `lottery WORDS` in a folder; return its exit code, and why it was not started."""
        if not Path(proof).is_file():
            return USAGE, f"{Path(proof).parent} is not to be seen from {socket.gethostname()}"
        if not Path(folder).is_dir():
            return USAGE, f"there is no folder {folder} on {socket.gethostname()}"
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lottery", *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env=os.environ | variables | {PARENT: str(os.getpid())}, cwd=folder,
            )  # fmt: skip
        return self.process.wait(), ""

    def send(self, number: int, group: bool) -> None:
        """Send the run a signal, or all that it has started as well."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self.process.pid, number)


class Kept:
    """The process of a job, as its keeper tells of it."""

    def __init__(self, keeper: Any, run: Any, log: Path) -> None:
        self.keeper, self.ref, self.log = keeper, run, log
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Look whether it has ended, and return its exit code."""
        ray = the_library()

        if self.returncode is None and ray.wait([self.ref], timeout=0)[0]:
            try:
                self.returncode, why = ray.get(self.ref)
            except ray.exceptions.RayError as error:
                self.returncode, why = ENDED, f"its keeper is gone ({type(error).__name__})"
            if why:
                with open(self.log, "a") as log:
                    log.write(f"lottery: {why}\n")
            self.keeper = None  # which ends it
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, where it is still at work; one that waits for room is given up."""
        self.send(number, group=False)

    def kill(self) -> None:
        """Kill it at once, with all that it has started, where it is still at work."""
        self.send(signal.SIGKILL, group=True)

    def send(self, number: int, group: bool) -> None:
        """Send a signal by the keeper; where that has not begun, end it."""
        ray = the_library()

        if self.poll() is not None:
            return
        sent = self.keeper.send.remote(int(number), group)
        if not ray.wait([sent], timeout=5)[0]:
            ray.kill(self.keeper)


class RayPlace:
    """The machines of a Ray cluster, or this one as a cluster of its own."""

    def __init__(self, host: Mapping[str, Any], logs: Path) -> None:
        address = str(host["workers"]).partition(":")[2] or None
        if find_spec("ray") is None:
            raise UsageError("host.workers=ray needs ray; type: pip install 'lottery[ray]'")
        self.ours = start(address)
        ray = the_library()

        there = ray.cluster_resources()
        self.gpus = host["gpus_per_job"]
        if self.gpus is None:
            self.gpus = float(bool(there.get("GPU"))) if host["device"] in ("auto", "cuda") else 0.0
        self.threads = host["threads"] or host["threads_per_job"] or 1
        if self.threads > there.get("CPU", 0) or self.gpus > there.get("GPU", 0):
            raise UsageError(
                f"host.workers={host['workers']}: no room for a job of {self.threads} threads and "
                f"{self.gpus:g} GPUs: the cluster has {there.get('CPU', 0):g} cores and "
                f"{there.get('GPU', 0):g} GPUs; lower host.threads_per_job or host.gpus_per_job"
            )
        self.slots = Slots([], 0.0, 1)
        self.looked = 0.0
        self.look()
        self.keeper = ray.remote(Keeper)
        self.proof = logs / f"seen-{os.getpid()}"
        disk.make_folder(logs)
        self.proof.touch()

    def look(self) -> None:
        """Read the size of the cluster, which may grow and shrink."""
        ray = the_library()

        if time.monotonic() - self.looked < LOOK_EVERY:
            return
        self.looked, there = time.monotonic(), ray.cluster_resources()
        room = [there.get("CPU", 0) / self.threads]
        room += [there.get("GPU", 0) / self.gpus + 1e-9] if self.gpus else []
        self.slots.jobs = max(1, int(min(room)))

    def ready(self, threads: int) -> bool:
        """Say that a process could begin: Ray waits for room."""
        return True

    def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        threads: int,
        slot: Slot,
        log: Path,
    ) -> Process:
        """Start `lottery WORDS` with more variables, printing to a file that is there."""
        from lottery.experiment.local_place import numbers

        variables = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
        variables |= {**environment, **numbers(threads)}
        keeper = self.keeper.options(
            num_cpus=threads, num_gpus=self.gpus, max_restarts=0, max_concurrency=2
        ).remote()
        run = keeper.run.remote(list(words), variables, os.getcwd(), str(log), str(self.proof))
        return Kept(keeper, run, log)

    def wait(self, seconds: float) -> None:
        """Wait for so many seconds."""
        self.look()
        time.sleep(seconds)

    def close(self) -> None:
        """Leave the cluster; one that was started for the sweep ends."""
        ray = the_library()

        self.proof.unlink(missing_ok=True)
        if self.ours:
            ray.shutdown()


def the_library() -> Any:
    """Return ray, most of which has no types."""
    import ray

    return ray


def start(address: str | None) -> bool:
    """Join a cluster, or start one here where none is named; False where that was done before."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    ray = the_library()

    if ray.is_initialized():
        return False
    named = address or os.environ.get("RAY_ADDRESS") or OWN  # else it joins what was here, or was
    joins = named != OWN
    try:
        if joins:
            knock(named)
        with handlers_kept():
            ray.init(
                address=named, include_dashboard=None if joins else False,
                log_to_driver=False, logging_level="ERROR",
            )  # fmt: skip
    except Exception as error:  # noqa: BLE001 (Ray raises half a dozen kinds)
        why = " ".join(str(error).split())[:300]
        if joins:
            asked = f"host.workers=ray:{address}" if address else f"RAY_ADDRESS={named}"
            raise UsageError(f"{asked}: no Ray answers there ({why}); {hint(error)}") from error
        raise LotteryError(f"host.workers=ray: Ray did not start ({why}); type it again") from error
    return True


def hint(error: Exception) -> str:
    """Return what to type where a cluster was not joined."""
    if "connect to Ray cluster" in str(error) and AUTH not in os.environ:  # it is there
        return f"where it asks for a token, type {AUTH}=token before the command"
    return "type host.workers=ray:HOST:6379, or host.workers=ray for one on this machine"


def knock(address: str) -> None:
    """Raise OSError where no Ray listens at HOST:PORT, for which it would wait for minutes.

    Ray speaks gRPC there, of which each side says at once that it is spoken.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return
    with socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK) as there:
        if os.environ.get("RAY_USE_TLS", "0") == "0":
            there.sendall(GRPC)
            said = there.recv(9)
            if said[3:4] != SETTINGS:
                raise OSError(f"what listens there says {said!r}, which no Ray does")


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Keep the answers to signals, which ray.init replaces."""
    from lottery.machine.signals import numbers

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
