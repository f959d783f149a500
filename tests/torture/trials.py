"""Run an experiment under the fault layer, and say which oracle objects to what it left.

A verdict is a line "oracle: what", so that a mutant of the product can be told by who caught it:
exit, torn, lost, redone, bits, rows, left.
"""

import functools
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from faults import EIO, ENOSPC, KILL, TORN, Call, Layer, read_log
from harness import LENET, TINY, Plan, compose, finish, output, whole
from oracles import acknowledged, bits, files, left, lost, rows_once, torn
from power import FILE, LINK, State, Whole, joined, played, states, torn_names

from lottery.errors import DISK, LotteryError
from lottery.experiment import conclusion
from lottery.storage import disk, ledger, store
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.records import read_signed
from lottery.training import train

BRIEF = (*LENET, "levels=1", "branch=[]")  # two levels with a saved state, about 180 calls
RIGL = (  # masks that move while a level trains, momentum, a checkpoint at every other step
    *TINY, "model=lenet_300_100", "model.hidden=[4]", "train.length=3ep", "prune=rigl", "levels=1",
    "prune.update.every=3it", "checkpoint_every=2it", "train.optimizer.momentum=0.9",
)  # fmt: skip
LATER = (*BRIEF, "rewind.to=7it")  # a state that nobody kept: a finished level gets one more file
SCORING = (*BRIEF, "train.length=2ep", "prune=synflow", "prune.rounds=8")  # its rounds are saved too
Mutant = Callable[[], Any] | None
CHECKPOINT = "checkpoint-"


@dataclass(frozen=True)
class Bench:
    """A plan, what it comes to, and the calls that it makes on the way."""

    plan: Plan
    expected: dict[str, Any]
    calls: list[Call] = field(repr=False)  # marks among them
    since: int = 0  # what comes before is another bench's
    origin: Path | None = None  # what is there before the plan begins

    @property
    def changes(self) -> list[Call]:
        """The calls that changed the disk, in order."""
        return [call for call in self.calls[self.since :] if call.number and call.done]

    @cached_property
    def whole(self) -> Whole:
        return played(self.calls).whole

    @cached_property
    def states(self) -> list[State]:
        """What a power cut may leave, from `since` on."""
        return states(self.calls, self.since)


def prepared(folder: Path, overrides: Sequence[str]) -> Bench:
    """Run a plan without a fault, with and without the layer; the layer must have seen it all."""
    plan = compose(overrides)
    expected, _ = whole(folder / "whole", plan)
    calls = recorded(folder / "recorded", plan)
    assert different(folder / "recorded", expected) == []
    assert played(calls).seen() == tree(folder / "recorded" / "outputs")
    return Bench(plan, expected, calls)


def followed(folder: Path, first: Sequence[str], then: Sequence[str]) -> Bench:
    """Run a plan where another one has been before; the bench is about the second."""
    plan, origin = compose(then), folder / "origin"
    whole(folder / "whole", plan)
    before = recorded(origin, compose(first))
    shutil.copytree(origin, folder / "recorded", symlinks=True)
    calls = joined(before, recorded(folder / "recorded", plan))
    assert played(calls).seen() == tree(folder / "recorded" / "outputs")
    return Bench(plan, bits(folder / "recorded"), calls, len(before), origin)


def tree(outputs: Path) -> dict[str, tuple[str, bytes]]:
    """Return every file and link of a folder, with what it holds."""
    return {
        str(path.relative_to(outputs)): (LINK, os.readlink(path).encode())
        if path.is_symlink()
        else (FILE, path.read_bytes())
        for path in files(outputs)
    }


def watched(folder: Path, log: Path, mutant: Mutant = None, **fault: Any) -> None:
    """Install the layer in a child, and have it note what the run holds to be done."""
    if mutant:
        mutant()
    layer = Layer(folder / "outputs", log, **fault)
    announce(layer)
    layer.install()


def announce(layer: Layer) -> None:
    """Have marks written at the moment when the product goes on as if something were safe."""

    def after(owner: Any, name: str, note: Callable[..., None]) -> None:
        real = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            note(result, *arguments)
            return result

        setattr(owner, name, functools.wraps(real)(call))

    def written(_: None, path: Path, *given: Any) -> None:
        if path.name.startswith(CHECKPOINT):
            layer.mark("checkpoint", place(layer, path.parent), path.name.split("-")[1])

    def resumed(training: Any, *given: Any) -> None:
        folder = next(g.folder for g in given if isinstance(g, Checkpoints))
        layer.mark("trains", place(layer, folder), str(training.step))

    after(disk, "write", written)
    after(store.Shelf, "finish", lambda _, shelf, manifest: layer.mark("level", place(layer, shelf.path)))
    after(ledger.Ledger, "note", lambda _, book, name, **entry: layer.mark("place", place(layer, book.folder), name))
    after(train, "resume", resumed)
    after(conclusion, "closing", lambda _, locked, *given: layer.mark("done", place(layer, locked.run.folder)))


def place(layer: Layer, path: Path) -> str:
    return layer.place(path) or ""


def recorded(folder: Path, plan: Plan, mutant: Mutant = None, **fault: Any) -> list[Call]:
    """Run a plan under the layer; return its calls and marks."""
    log = folder / "calls"
    log.unlink(missing_ok=True)
    code = finish(folder, plan, functools.partial(watched, folder, log, mutant, **fault))
    calls = read_log(log)
    assert list(wrong_end(code, output(folder), calls, **fault)) == []
    return calls


def trial(folder: Path, bench: Bench, *faults: dict[str, Any], mutant: Mutant = None) -> list[str]:
    """Run a plan with one fault after the other, then without; return the verdicts."""
    found: list[str] = []
    marks: list[Call] = []
    before: dict[str, Any] | None = None
    if bench.origin:
        shutil.copytree(bench.origin, folder, symlinks=True)
    for number, fault in enumerate([*faults, {}]):
        log = folder / f"{number}.calls"
        start = functools.partial(watched, folder, log, mutant, **fault)
        code = finish(folder, bench.plan, start)
        calls = read_log(log)
        found += [f"exit: {why}" for why in wrong_end(code, output(folder), calls, **fault)]
        found += dict.fromkeys(redone(marks, calls))
        marks += [call for call in calls if not call.number]
        now, unsound = judged(folder, before, marks)
        before = now or before
        found += unsound
    found += different(folder, bench.expected)
    if not found:
        shutil.rmtree(folder)
    return found


def wrong_end(code: int, said: str, calls: list[Call], how: str = "", **_: Any) -> Iterator[str]:
    """Yield what is wrong with how a child ended."""
    struck = next((call for call in calls if call.kind == "struck"), None)
    last = said.splitlines()[-1] if said.strip() else ""
    wanted = {KILL: -9, TORN: -9, ENOSPC: DISK, EIO: DISK}.get(how, 0)
    if how and struck is None:
        yield f"{code}, and the fault never struck"
    elif code != wanted and not (code == 0 and wanted == DISK and forgiven(struck)):
        yield f"{code} where {wanted} was due after {how or 'no fault'}: {said[-500:]}"
    elif code == DISK and not last.startswith("lottery: "):
        yield f"no line that says what happened: {last}"
    elif code == DISK and how == ENOSPC and " free" not in last:
        yield f"the bytes that are free are not named: {last}"
    elif code == DISK and how == ENOSPC and sized(struck, last) and " needed" not in last:
        yield f"the bytes that are needed are not named: {last}"


def forgiven(struck: Call | None) -> bool:
    """Say whether a run may go on after an error here.

    It writes down or forgets who holds a lock, or leaves a sign of life: nothing depends on either.
    """
    return struck is not None and struck.path.endswith((".owner", ".pulse"))


def sized(struck: Call | None, line: str) -> bool:
    """Say whether a line is about bytes that were to be written: not for a lock, a folder or a link.

    Where an error lasts, it is the next call that the line may be about.
    """
    about_a_file = re.search(r"cannot write \S+\.(csv|json|yaml|safetensors): ", line)
    return struck is not None and struck.other in ("open", "write") and about_a_file is not None


def judged(
    folder: Path, before: dict[str, Any] | None, marks: list[Call]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Return what is acknowledged now, and the verdicts of the oracles that hold at any moment."""
    found = [f"torn: {why}" for why in torn(folder)]
    try:
        now = acknowledged(folder)
        found += [f"rows: {why}" for why in rows_once(folder)]
        found += [f"lost: {why}" for why in (lost(before, now) if before else [])]
        found += dict.fromkeys(f"lost: {w}" for w in broken_word(folder / "outputs", marks, now))
    except FileNotFoundError as error:
        return None, [*found, f"lost: {error}"]
    except (LotteryError, ValueError, KeyError) as error:
        return None, [*found, f"torn: {error}"]
    return now, found


def broken_word(outputs: Path, marks: list[Call], now: dict[str, Any]) -> Iterator[str]:
    """Yield what was announced and does not hold."""
    for mark in marks:
        path = outputs / mark.path
        made = path.with_name(path.name.removeprefix("scoring_"))  # the level whose mask it was for
        over = path.name in now["levels"] or str(made) in now["places"]
        if mark.kind == "level" and not over:
            yield f"the level {mark.path}"
        elif mark.kind == "checkpoint" and not over:
            if now["checkpoints"].get(str(path), -1) < int(mark.other):
                yield f"the checkpoint of step {mark.other} of {mark.path}"
        elif mark.kind == "place" and str(path / mark.other) not in now["places"]:
            yield f"{mark.path}/{mark.other}"
        elif mark.kind == "done" and read_signed(path / "run.json")["state"] != "done":
            yield f"the end of {mark.path}"


def redone(marks: list[Call], calls: list[Call]) -> Iterator[str]:
    """Yield the work that a run did again though it was announced as done before."""
    for mark in calls:
        if mark.number or mark.kind != "trains":
            continue
        for known in marks:
            if known.path != mark.path:
                continue
            if known.kind == "level":
                yield f"redone: the level {mark.path}"
            elif known.kind == "checkpoint" and int(known.other) > int(mark.other):
                yield f"redone: steps {mark.other} to {known.other} of {mark.path}"


def power_cut(folder: Path, bench: Bench, state: State, mutant: Mutant = None) -> list[str]:
    """Find a disk as a power cut has left it, and run the plan to its end; return the verdicts."""
    state.build(folder / "outputs")
    found = [f"torn: {why}" for why in torn_names(state, bench.whole)]
    before, unsound = judged(folder, None, list(state.marks))
    found += unsound
    log = folder / "calls"
    code = finish(folder, bench.plan, functools.partial(watched, folder, log, mutant))
    calls = read_log(log)
    found += [f"exit: {why}" for why in wrong_end(code, output(folder), calls)]
    found += dict.fromkeys(redone(list(state.marks), calls))
    found += judged(folder, before, [c for c in [*state.marks, *calls] if not c.number])[1]
    found += different(folder, bench.expected)
    if not found:
        shutil.rmtree(folder)
    return found


def different(folder: Path, expected: dict[str, Any]) -> list[str]:
    """Return where a run that came to its end differs from one that met no fault."""
    try:
        found = bits(folder)
    except (LotteryError, ValueError, KeyError) as error:
        return [f"torn: {error}"]
    names = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
    return [f"bits: {name}" for name in names] + [f"left: {path}" for path in left(folder)]
