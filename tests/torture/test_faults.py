"""Let every file-system call of a run go wrong in four ways, and a second one while it recovers."""

import itertools
from pathlib import Path

import pytest
from faults import EIO, ENOSPC, KILL, SHORT, TORN, UNSEEN, Call
from harness import finish, output
from power import parent
from trials import BRIEF, LATER, SCORING, Bench, followed, forgiven, prepared, trial, watched

from lottery.experiment import loop
from lottery.progress import pulse

HOWS = (KILL, ENOSPC, EIO)  # and TORN where something is written
REFUSED = (ENOSPC, EIO)  # met in the same way: each call by one of them
CHUNKS = 12
RECOVERIES = 120
STARTING = 14  # calls that any run makes, also one that has nothing left to do


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return prepared(tmp_path_factory.mktemp("bench"), BRIEF)


def fault(number: int, how: str) -> dict:
    """Return what a layer is told; errors are met once at even calls, from then on at odd ones."""
    return {"at": number, "how": how, "lasting": bool(number % 2)}


def second(first: Call, how: str, number: int, calls: int) -> int:
    """Return the call of a resumed run that goes wrong: in turn an early one, and any other."""
    whole = how in (ENOSPC, EIO) and forgiven(first)  # the first run came to its end all the same
    reach = STARTING if whole else max(STARTING, calls - first.number)
    return 1 + (number * 17) % min(reach, 40) if number % 2 else 1 + (number * 7919) % reach


def test_a_fault_here_and_there(bench, tmp_path):
    calls = bench.changes
    for number in range(8):
        call, how = calls[(2 * number + 1) * len(calls) // 16], (*HOWS, TORN)[number % 4]
        assert trial(tmp_path / str(number), bench, fault(call.number, how)) == []


def test_writes_that_take_only_half(bench, tmp_path):
    assert trial(tmp_path / "all", bench, {"at": 1, "how": SHORT, "lasting": True}) == []


@pytest.mark.parametrize("how", [*HOWS, TORN])
def test_a_sign_of_life_that_fails_costs_nothing(bench, tmp_path, how):
    def often():
        pulse.EVERY = 0.0

    for nth in (1, 2, 3, 8):  # an open, a write, a replace, and one of a later sign
        struck = {"upon": r"\.pulse", "nth": nth, "how": how}
        assert trial(tmp_path / str(nth), bench, struck, mutant=often) == []


def test_what_goes_around_the_layer_ends_the_run(bench, tmp_path):
    def careless():
        real = loop.Tables.write
        loop.Tables.write = lambda self: (self.run.folder / "notes.txt").write_text("") or real(self)

    code = finish(tmp_path, bench.plan, lambda: watched(tmp_path, tmp_path / "calls", careless))
    assert code == UNSEEN
    assert "around the layer: open" in output(tmp_path)


def judge(bench: Bench, folder: Path, calls: list[Call], chunk: slice) -> int:
    """Assert that a run comes through every fault at these calls; return how many those were."""
    wrong = {}
    points = [(c, how) for c in calls for how in (KILL, REFUSED[c.number // 2 % 2], *[TORN] * (c.kind == "write"))][chunk]
    for call, how in points:
        found = trial(folder / f"{call.number}-{how}", bench, fault(call.number, how))
        if found:
            wrong[f"call {call.number}, {call.phase}: {how}"] = found
    assert wrong == {}
    return len(points)


@pytest.mark.torture
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_call(bench, tmp_path, tally, chunk):
    tally("file-system calls", judge(bench, tmp_path, bench.changes, slice(chunk, None, CHUNKS)))


@pytest.mark.torture
@pytest.mark.parametrize("chunk", range(2))
def test_every_call_that_adds_a_state_to_a_finished_level(tmp_path, tally, chunk):
    bench = followed(tmp_path / "bench", BRIEF, LATER)
    finished = {parent(c.path) for c in bench.calls[: bench.since] if c.path.startswith("store/")}
    calls = [call for call in bench.changes if parent(call.path) in finished]
    assert "replace store/#/7it.safetensors" in {call.phase for call in calls}
    tally("file-system calls", judge(bench, tmp_path, calls, slice(chunk, None, 2)))


@pytest.mark.torture
def test_every_call_that_saves_the_rounds_of_a_criterion(tmp_path, tally):
    bench = prepared(tmp_path / "bench", SCORING)
    calls = [call for call in bench.changes if "scoring_level_01" in call.path]
    assert {"write", "unlink", "rmdir"} <= {call.kind for call in calls}
    tally("file-system calls", judge(bench, tmp_path, calls, slice(None)))


@pytest.mark.torture
@pytest.mark.parametrize("chunk", range(4))
def test_a_second_fault_while_the_run_recovers(bench, tmp_path, tally, chunk):
    wrong = {}
    calls = bench.changes
    pairs = list(itertools.product((*HOWS, TORN), repeat=2))
    numbers = range(RECOVERIES)[chunk::4]
    for number in numbers:
        call, hows = calls[number * len(calls) // RECOVERIES], pairs[(5 * number) % len(pairs)]
        again = second(call, hows[0], number, len(calls))
        both = fault(call.number, hows[0]), fault(again, hows[1])
        found = trial(tmp_path / str(number), bench, *both)
        if found:
            wrong[f"call {call.number}, {call.phase}: {hows[0]}, then call {again}: {hows[1]}"] = found
    assert wrong == {}
    tally("faults during recovery", len(numbers))
