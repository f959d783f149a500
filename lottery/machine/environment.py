"""Say what the bits of a result depend on beside its config, and set what can be set of it."""

import contextlib
import os
import platform
import signal
import threading
from collections.abc import Iterator
from typing import Any

import torch

from lottery.errors import DiskError, LotteryError, UsageError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


def set_up(threads: int | None, deterministic: bool) -> None:
    """Fix what torch does, before anything is computed.

    Denormal numbers are flushed to zero: they cost Adam half its speed and no result needs them.
    With `deterministic` every operation uses an algorithm that gives the same bits each time; on
    the CPU all that are used here do so anyway, at one count of threads.
    """
    torch.set_flush_denormal(True)
    if threads is not None:
        torch.set_num_threads(threads)
    if deterministic:
        os.environ.setdefault(CUBLAS, ":4096:8")  # read when CUDA starts
    if deterministic != torch.are_deterministic_algorithms_enabled():  # else 1 s of imports
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic


def fingerprint(device: torch.device) -> dict[str, Any]:
    """Return what the bits of a result depend on: where two are equal, so are the bits.

    On a GPU that holds with `deterministic` only; on the CPU it makes no difference.
    """
    on_gpu = device.type == "cuda"
    return {
        "torch": torch.__version__,
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if on_gpu else None,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "deterministic": torch.are_deterministic_algorithms_enabled() if on_gpu else None,
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return in words what has changed between two environments, of what both know."""
    common = [key for key in now if key in before and before[key] != now[key]]
    return [f"{key} {before[key]} -> {now[key]}" for key in common]


def explained(error: RuntimeError) -> LotteryError | None:
    """Return the line for what torch says of this machine in many; None for other errors."""
    text = str(error).splitlines()[0]
    if "deterministic" in text:
        return UsageError(
            f"host.deterministic: {text.split('. ')[0]}; type host.deterministic=false"
        )
    return reader_ended(text) if text.startswith("DataLoader worker") else None


@contextlib.contextmanager
def explaining() -> Iterator[None]:
    """Raise what torch says of this machine in many lines as one."""
    try:
        yield
    except RuntimeError as error:
        if known := explained(error):
            raise known from error
        raise


def reader_ended(why: str) -> DiskError:
    """Return the line for a process of a data loader that was killed.

    The run ends with it, and the processes beside it: torch's handler would raise for each of
    them as well, wherever the program is then.
    """
    if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return DiskError(
        f"a process that reads images has ended ({why.rstrip('. ')}); where memory ran out, "
        "give dataset.workers= a lower number; the same command goes on from a checkpoint"
    )
