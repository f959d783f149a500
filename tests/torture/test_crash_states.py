"""Cut the power at every moment of a run, and let the same command find what may be left."""

import os
from dataclasses import replace
from pathlib import Path

import power
import pytest
from faults import KILL, Call
from harness import LENET
from trials import (
    BRIEF,
    LATER,
    RIGL,
    SCORING,
    Bench,
    followed,
    power_cut,
    prepared,
    recorded,
)

BRANCH = (*LENET, "levels=1", "branch_levels=[1]")
CHUNKS = 3
A, B = ".tmp-1-a", ".tmp-1-b"


def resumed(folder: Path, upon: str) -> Bench:
    """Let the power go in a run that goes on after a SIGKILL, which leaves the unsynced bytes."""
    bench = prepared(folder, BRIEF)
    first = recorded(folder / "killed", bench.plan, upon=upon, how=KILL)
    second = recorded(folder / "killed", bench.plan)
    return Bench(bench.plan, bench.expected, power.joined(first, second), since=len(first))


def since(bench: Bench, path: str) -> Bench:
    """Leave out what comes before the first call about a path: another recording has it."""
    return replace(bench, since=next(at for at, c in enumerate(bench.calls) if path in c.path))


RECORDINGS = {
    "adam": lambda folder: prepared(folder, BRIEF),
    "rigl": lambda folder: since(prepared(folder, RIGL), "level_00"),
    "branch": lambda folder: since(prepared(folder, BRANCH), "level_01"),
    "scoring": lambda folder: since(prepared(folder, SCORING), "scoring_level_01"),
    "replay": lambda folder: followed(folder, BRIEF, LATER),
    "folder not synced": lambda folder: resumed(folder, "fsync store$"),
    "rename not synced": lambda folder: resumed(folder, "fsync store/#$"),
}


@pytest.fixture(scope="module")
def bench(request, tmp_path_factory) -> Bench:
    return RECORDINGS[request.param](tmp_path_factory.mktemp(request.param))


def contents(calls: list[Call], name: str) -> set[bytes | None]:
    """Return what may stand under a name when the power goes after all the calls."""
    states = [{path: data for path, _, data in s.tree} for s in power.states(calls)]
    return {state.get(name) for state in states}


def test_bytes_that_nobody_synced_may_be_torn():
    calls = [
        Call(1, "open", A, file=1, flags=os.O_CREAT), Call(2, "write", A, data=b"abcd", file=1),
        Call(3, "replace", A, other="a"), Call(4, "fsync", "."),
    ]  # fmt: skip
    assert contents(calls, "a") == {None, b"", b"ab", b"ab\0\0", b"abcd"}
    calls.insert(2, Call(3, "fsync", A, file=1))
    assert contents(calls, "a") == {None, b"abcd"}


def test_names_reach_the_disk_in_their_order():
    calls = [
        Call(1, "open", A, file=1, flags=os.O_CREAT), Call(2, "open", B, file=2, flags=os.O_CREAT),
        Call(3, "replace", A, other="a"), Call(4, "replace", B, other="b"),
    ]  # fmt: skip
    found = {tuple(path for path, _, _ in state.tree) for state in power.states(calls)}
    assert found == {(), (A,), (A, B), (B, "a"), ("a", "b")}


def test_a_name_that_was_not_synced_may_be_gone_though_its_end_was_announced():
    calls = [Call(1, "open", "a", file=1, flags=os.O_CREAT), Call(0, "level", "a")]
    assert {(s.tree, len(s.marks)) for s in power.states(calls)} == {((), 1), ((("a", "file", b""),), 1)}
    synced = [calls[0], Call(2, "fsync", "."), calls[1]]
    assert {(s.tree, len(s.marks)) for s in power.states(synced)} == {((), 0), ((("a", "file", b""),), 1)}


def test_what_lies_in_a_folder_that_was_not_synced_may_be_gone():
    calls = [
        Call(1, "mkdir", "f"), Call(2, "open", "f/a", file=1, flags=os.O_CREAT), Call(3, "fsync", "f"),
    ]  # fmt: skip
    last = [{path for path, _, _ in state.tree} for state in power.states(calls) if state.cut == 3]
    assert set() in last
    assert {"f", "f/a"} in last


@pytest.mark.parametrize("bench", ["adam"], indirect=True)
def test_a_cut_here_and_there(bench, tmp_path):
    judge(bench, tmp_path, bench.states[::25])


@pytest.mark.torture
@pytest.mark.parametrize("bench", RECORDINGS, indirect=True)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_state_that_a_cut_may_leave(bench, tmp_path, tally, chunk):
    states = bench.states[chunk::CHUNKS]
    judge(bench, tmp_path, states)
    tally("crash states", len(states))


def judge(bench: Bench, folder, states: list[power.State]) -> None:
    """Assert that the plan ends well from each of the states."""
    wrong = {}
    for number, state in enumerate(states):
        if found := power_cut(folder / str(number), bench, state):
            wrong[f"{number}: after {bench.calls[state.cut - 1]}"] = found
    assert wrong == {}
