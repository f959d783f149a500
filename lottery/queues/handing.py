"""Hand arrays to SLURM, once: write their files, ask its programs, and remember the numbers."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lottery.errors import LockedError, UsageError
from lottery.queues import slurm
from lottery.queues.arrays import Array
from lottery.storage import disk, locks
from lottery.storage.files import RECORD, read_plain
from lottery.wording.text import near, printable

QUEUED = "queued.json"  # the numbers that sbatch gave
USUAL = 1001  # MaxArraySize where nobody has set it
WAIT = 120  # seconds for an answer of a program of SLURM


def ask(words: Sequence[str]) -> str:
    """Return what a program of SLURM answers; raises UsageError, with its own words."""
    try:
        done = subprocess.run(
            list(words), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=WAIT
        )
    except FileNotFoundError:
        raise UsageError(f"there is no {words[0]} on this machine") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{words[0]}: {error}") from None
    out, err = (text.decode(errors="replace").strip() for text in (done.stdout, done.stderr))
    if done.returncode:
        said = " ".join((err or out).split()) or f"exit code {done.returncode}"
        raise UsageError(f"{words[0]} refused: {printable(said)}")
    return out


def most_tasks() -> int:
    """Return how many tasks an array may have here; the usual number where nobody says."""
    try:
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask(["scontrol", "show", "config"]), re.M)
    except UsageError:
        return USUAL
    return max(slurm.LEAST, int(found[1])) if found else USUAL


def place(outputs: Path, words: Sequence[Sequence[str]]) -> Path:
    """Return the folder of a sweep under outputs/: the same for the same runs."""
    name = hashlib.sha256(json.dumps([list(each) for each in words]).encode()).hexdigest()[:10]
    return outputs / ".sweeps" / name


def files(settings: Mapping[str, str], dealt: Sequence[Array], folder: Path) -> dict[Path, str]:
    """Return the files of arrays: the commands, and the script that does one of them.

    Their names follow from what is in them: tasks in the queue keep theirs, whatever comes later.
    """
    text = "".join(f"{line}\n" for line in slurm.lines(dealt))
    commands = folder / f"commands-{short(text)}.txt"
    script = slurm.script(settings, commands, Path.cwd())
    return {commands: text, folder / f"array-{short(script)}.sh": script}


def short(text: str) -> str:
    """Return eight hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def calls(
    settings: Mapping[str, str], dealt: Sequence[Array], script: Path, numbers: Sequence[str] = ()
) -> list[list[str]]:
    """Return the command of each array; `numbers` are those of the arrays before, as far as known.

    A number that is not known is JOB and the place of its array, counted from 1.
    """
    found, first = [], 0
    for array in dealt:
        known = [numbers[n] if n < len(numbers) else f"JOB{n + 1}" for n in array.after]
        wait = [f"--dependency=afterany:{':'.join(known)}"] if known else []
        own = slurm.options(array, script.parent, settings["at_a_time"])
        found.append(["sbatch", *own, *wait, str(script), str(first)])
        first += len(array.words)
    return found


def hand_in(settings: Mapping[str, str], dealt: Sequence[Array], folder: Path) -> list[str]:
    """Write the files of arrays and hand them in, all or none; return their numbers.

    Raises LockedError where they are in the queue already, UsageError where sbatch refuses one.
    """
    if shutil.which("sbatch") is None:
        raise UsageError(
            "there is no sbatch on this machine; type the same where jobs are handed in, or with "
            "--print to see the script"
        )
    disk.make_folder(folder)
    with locks.lock(folder / ".lock", run=True):
        refuse_twice(folder)
        made = files(settings, dealt, folder)
        for path, text in made.items():
            disk.write_if_new(path, text.encode())
        script, numbers = list(made)[-1], list[str]()
        try:
            for at in range(len(dealt)):
                said = ask(calls(settings, dealt, script, numbers)[at])
                number = said.splitlines()[-1].partition(";")[0] if said else ""
                if not number.isdecimal():
                    raise UsageError(f"sbatch said '{printable(said)}', where a number was wanted")
                numbers.append(number)
                disk.write_json(folder / QUEUED, {"jobs": numbers})
        except UsageError as error:
            raise UsageError(f"{error}{taken_back(folder, numbers)}") from error
        except BaseException:  # Ctrl-C, TERM, a full disk
            taken_back(folder, numbers)
            raise
    return numbers


def taken_back(folder: Path, numbers: Sequence[str]) -> str:
    """Take what was handed in out of the queue again; return in words what became of it."""
    if not numbers:
        return ""
    try:
        ask(["scancel", *numbers])
    except UsageError as error:
        return f"; handed in before that: {' '.join(numbers)} ({error})"
    disk.remove(folder / QUEUED)
    return "; nothing stays in the queue"


def refuse_twice(folder: Path) -> None:
    """Raise LockedError where tasks of the same sweep are in the queue, or at work.

    Where squeue does not say, nothing is refused: a run is at work once at a time.
    """
    try:
        known = json.loads(read_plain(folder / QUEUED, RECORD))["jobs"]
        there = set(ask(["squeue", "--noheader", "--me", "--format=%F"]).split())
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return
    if both := [str(number) for number in known if str(number) in there]:
        raise LockedError(
            f"this sweep is in the queue already, as {' '.join(both)}; wait for it "
            f"(squeue --jobs={','.join(both)}), or take it out first: scancel {' '.join(both)}"
        )


def told(dealt: Sequence[Array], numbers: Sequence[str], folder: Path) -> list[str]:
    """Return what to tell a person of arrays in the queue, with what to type next."""
    said = []
    for array, number in zip(dealt, numbers, strict=True):
        before = [numbers[at] for at in array.after]
        wait = f", after {' '.join(before)}" if before else ""
        what = array.what + "s" * (len(array.words) > 1)
        said.append(f"{number}: {len(array.words)} {what}{wait}")
    return [
        *said,
        f"watch: squeue --jobs={','.join(numbers)}",
        f"cancel: scancel {' '.join(numbers)}",
        f"logs: {near(folder)}",
    ]
