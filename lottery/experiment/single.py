"""Say each job of a command as the ordinary command that does it alone, whoever is to start it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lottery.config.composed import Composed
from lottery.config.identity import run_folder
from lottery.errors import LotteryError, UsageError
from lottery.experiment.dense import dense_of
from lottery.wording.text import printable

WORKERS = "host.workers"  # is up to whoever starts the jobs


@dataclass(frozen=True)
class Single:
    """One job, apart from the others."""

    number: int  # its place among the jobs of the command
    told: str  # what sets it apart from them
    words: tuple[str, ...]  # what follows `lottery run` to do it alone
    settings: dict[str, Any]
    folder: Path
    dense: str  # equal for jobs that begin with the same dense level
    parts: Any  # the bound config


@dataclass
class Singles:
    """The jobs of one command. Those that cannot be are kept for the end, when all are known."""

    each: list[Single] = field(default_factory=list)
    refused: list[tuple[str, LotteryError]] = field(default_factory=list)
    known: set[tuple[str, ...]] = field(default_factory=set)  # words of those

    def take(self, job: Composed) -> None:
        """Bind one config; reads no data. A job that the command has already is left out."""
        try:
            found = single(job)
        except LotteryError as error:
            self.refused.append((" ".join(job.overrides) if job.total > 1 else "", error))
            return
        if found.words not in self.known:
            self.known.add(found.words)
            self.each.append(found)

    def check(self) -> None:
        """Raise UsageError, in one line, where there is a job that cannot be."""
        if not self.refused:
            return
        words, error = self.refused[0]
        more = f"; {len(self.refused) - 1} more cannot be, too" if len(self.refused) > 1 else ""
        raise UsageError(f"{words}{': ' * bool(words)}{error}{more}") from error


def single(job: Composed) -> Single:
    """Return a job apart from the others; raises LotteryError where it cannot be."""
    from lottery.config import build

    settings = job.settings
    parts = build.parts(settings)
    words = [word for word in job.words if word.partition("=")[0] != WORKERS]
    if len(words) < len(job.words) or settings["host"]["workers"] != 1:  # as a yaml may say, too
        words.append(f"{WORKERS}=1")
    for word in words:
        if "\n" in word or "\r" in word:
            raise UsageError(f"'{printable(word)}': it has more than one line; a command has one")
    folder, dense = run_folder(settings, job.name), dense_of(settings)
    told = " ".join(job.overrides)
    return Single(job.number, told, tuple(words), settings, folder, dense, parts)


def command(words: Sequence[str], program: Sequence[str] = ("lottery",)) -> str:
    """Return the command of a job on one line, quoted for a shell."""
    return shlex.join([*program, "run", *words])
