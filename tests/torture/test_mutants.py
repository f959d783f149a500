"""Break the writer or the resume on purpose: each time a part of this suite must notice.

A mutant is put into the child by replacing functions; the same check without it finds nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import mutants
import pytest
from faults import EIO, KILL, SHORT, TORN
from harness import CONV, finish, output
from trials import (
    BRIEF,
    RIGL,
    Bench,
    different,
    judged,
    power_cut,
    prepared,
    recorded,
    trial,
    watched,
)

Check = Callable[[Path, Bench, Any], list[str]]


def struck(folder: Path, bench: Bench, mutant: Any, **fault: Any) -> list[str]:
    """Let one fault strike, and the run go on after it."""
    return trial(folder, bench, fault, mutant=mutant)


def cut(folder: Path, bench: Bench, mutant: Any, announced: str) -> list[str]:
    """Let the power go right after the first announcement of a kind."""
    calls = recorded(folder / "log", bench.plan, mutant)
    moment = 1 + next(at for at, call in enumerate(calls) if call.kind == announced)
    own = replace(bench, calls=calls[:moment], since=moment)
    for number, state in enumerate(own.states):
        if found := power_cut(folder / str(number), own, state, mutant):
            return found
    return []


def flipped(folder: Path, bench: Bench, mutant: Any) -> list[str]:
    """Flip a bit of a weight in the newest checkpoint of a killed run."""
    recorded(folder, bench.plan, mutant, **DIES)
    newest = max(folder.glob("outputs/store/*/checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    data = bytearray(newest.read_bytes())
    data[-2] ^= 0x10
    newest.write_bytes(data)
    code = finish(folder, bench.plan, partial(watched, folder, folder / "again", mutant))
    found = [] if code == 0 else [f"exit: {code}: {output(folder)}"]
    return found + judged(folder, None, [])[1] + different(folder, bench.expected)


@dataclass(frozen=True)
class Case:
    """A mutant, the check that must notice it, and the oracle that does."""

    install: Callable[[], Any]
    check: Check
    oracle: str
    plan: tuple[str, ...] = BRIEF
    beside: Callable[[], Any] | None = None  # installed with the mutant and without it


DIES = {"upon": "replace .*checkpoint", "nth": 2, "how": TORN}  # with checkpoints of steps 3 and 6
dies = partial(struck, **DIES)
CASES = {
    "no fsync of a file": Case(mutants.without_sync, partial(cut, announced="checkpoint"), "torn"),
    "written in place, not renamed": Case(
        mutants.in_place, partial(struck, upon="write .*checkpoint", nth=2, how=TORN), "torn"
    ),
    "no fsync of the folder": Case(mutants.without_folder_sync, partial(cut, announced="level"), "lost"),
    "a short write taken for a whole one": Case(
        mutants.half_written, partial(struck, upon="write .*tmp-#-end", how=SHORT), "torn"
    ),
    "momentum left out of the checkpoint": Case(mutants.in_checkpoint(mutants.forget("optimizer/")), dies, "bits"),
    "step left out of the checkpoint": Case(mutants.in_checkpoint(mutants.step(lambda at: 0)), dies, "rows"),
    "step of the checkpoint off by one": Case(mutants.in_checkpoint(mutants.step(lambda at: at - 1)), dies, "bits"),
    "mask left out of the checkpoint": Case(
        mutants.in_checkpoint(mutants.forget("mask/")),
        partial(struck, upon="replace .*checkpoint", nth=7, how=TORN), "exit", RIGL,
    ),
    "statistics of BatchNorm left out": Case(
        mutants.in_checkpoint(mutants.zero("running_")), partial(struck, upon="replace .*checkpoint", how=TORN), "bits", CONV
    ),
    "sum of the training loss left out": Case(mutants.in_checkpoint(mutants.zero("loss_sum")), dies, "bits"),
    "rows past the checkpoint not cut": Case(mutants.rows_kept, dies, "bits"),
    "manifest before the files": Case(
        mutants.manifest_first, partial(struck, upon="replace store/#/manifest.json", how=TORN), "torn"
    ),
    "tables before their checksums": Case(
        mutants.tables_first, partial(struck, upon="replace .*metrics.csv", nth=2, how=TORN), "torn"
    ),
    "checksum of a checkpoint not verified": Case(mutants.unverified, flipped, "bits"),
    "checkpoint of live tensors, not of copies": Case(mutants.live_tensors, dies, "bits", beside=mutants.slow_writer),
    "old checkpoints removed before the new one": Case(
        mutants.old_removed_first, partial(struck, upon="open .*checkpoint", nth=2, how=KILL), "lost"
    ),
    "error of the writing thread swallowed": Case(
        mutants.failure_swallowed, partial(struck, upon="fsync .*checkpoint", how=EIO), "exit"
    ),
    "place in the epoch lost on resume": Case(mutants.epoch_restarts, dies, "bits"),
    "finished levels trained again": Case(
        mutants.trained_again, partial(struck, upon="replace .*level_01", how=KILL), "redone"
    ),
    "temporary files not swept": Case(
        mutants.unswept, partial(struck, upon="fsync .*tmp-#-mask", how=KILL), "left"
    ),
}  # fmt: skip


def noticed(folder: Path, bench: Bench, case: Case, mutated: bool) -> set[str]:
    """Return the oracles that object."""

    def install() -> None:
        if case.beside:
            case.beside()
        if mutated:
            case.install()

    return {verdict.partition(":")[0] for verdict in case.check(folder, bench, install)}


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    made: dict[tuple[str, ...], Bench] = {}

    def bench(plan: tuple[str, ...]) -> Bench:
        if plan not in made:
            made[plan] = prepared(tmp_path_factory.mktemp("bench"), plan)
        return made[plan]

    return bench


@pytest.mark.torture
@pytest.mark.parametrize("name", CASES)
def test_the_suite_notices(benches, tmp_path, tally, name):
    case = CASES[name]
    bench = benches(case.plan)
    assert case.oracle in noticed(tmp_path / "mutant", bench, case, mutated=True)
    assert noticed(tmp_path / "sound", bench, case, mutated=False) == set()
    tally("mutants", 1)
