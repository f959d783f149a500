"""Show what can go under outputs/, with sizes; with --yes remove it.

usage: lottery clean [WHAT...] [run=RUN[,RUN...]] [FILTER...] [--yes] [outputs=DIR]

WHAT is one or more of
  levels      trained levels that no run refers to
  states      states in the middle of levels; a run that needs one replays it, bit for bit
  unfinished  levels that were interrupted: WHAT THEY HAVE BEEN TRAINED SO FAR IS LOST
  corrupt     files set aside as damaged, or half-written by a process that is gone
RUN is a run's name, the start of its id, or a path, or a filter names runs, as for `lottery ls`
(state=failed, prune=random): the run goes, and with it the levels that no other run refers to.
Without WHAT or RUN all that could go is shown.

Nothing that a run still refers to goes, and nothing that a process is writing. Without --yes
nothing goes at all. What is not removed because it is needed after all is said.

exit codes: 0 done, 3 a run that was named is at work, 5 something could not be removed
"""

from __future__ import annotations

import shlex
from pathlib import Path

from lottery.commands import selection, there
from lottery.errors import DONE, LOCKED, DamagedError, LotteryError, UsageError
from lottery.results import choice
from lottery.results.formats import wrapped
from lottery.upkeep import garbage
from lottery.upkeep.entries import Replicate, held
from lottery.upkeep.garbage import Piece
from lottery.upkeep.health import again
from lottery.upkeep.inventory import Inventory
from lottery.wording.spelling import suggestion
from lottery.wording.text import in_words, near, outputs_word, printable

KNOWN = {"outputs": "outputs", "run": ""}
FINDERS = {
    "levels": garbage.unreferenced,
    "states": garbage.states,
    "unfinished": garbage.unfinished,
    "corrupt": garbage.corrupt,
}


def main(arguments: list[str]) -> int:
    """Print what can go, or remove it; return the exit code."""
    words, chosen = selection([a for a in arguments if a != "--yes"], __doc__, KNOWN)
    if words is None:
        return DONE
    outputs = Path(chosen["outputs"]).expanduser()
    named = [word for word in chosen["run"].split(",") if word]
    filters = [word for word in words if word not in FINDERS]
    kinds = [word for word in words if word in FINDERS]
    for word in filters:
        if not choice.is_filter(word, outputs):
            known = ", ".join([*FINDERS, "run="])
            raise UsageError(
                f"clean: '{word}' is nothing that can go ({known}); a run goes with run={word}"
                if there(word, chosen["outputs"])
                else f"clean: '{word}' is nothing that can go ({known}){suggestion(word, FINDERS)}"
            )
    sure = "--yes" in arguments
    if sure and not words and not named:
        raise UsageError("clean: say what may go, like: lottery clean levels corrupt --yes")
    inventory = Inventory(outputs)
    runs = garbage.chosen(inventory, named, filters)
    pieces, notes = plan(inventory, kinds if words or named else [*FINDERS], runs, bool(kinds))
    if sure:
        busy = LOCKED if any(held(run.path) for run in runs) else DONE
        return remove(inventory, pieces, notes) or busy
    show(pieces, notes)
    if not pieces:
        return DONE
    asked = [*words, *([f"run={chosen['run']}"] if named else [])]
    print("\nnothing was removed; to remove it:")
    for some in [asked] if asked else apart(pieces):
        print(printable(f"  lottery clean {shlex.join(some)}{outputs_word(outputs)} --yes"))
    return DONE


def apart(pieces: list[Piece]) -> list[list[str]]:
    """Return the words of the commands that remove what was found: interrupted work by itself."""
    kinds = list(dict.fromkeys(p.kind for p in pieces))
    harmless = [kind for kind in kinds if kind != "unfinished"]
    return [words for words in (harmless, [k for k in kinds if k not in harmless]) if words]


def plan(
    inventory: Inventory, kinds: list[str], runs: list[Replicate], asked: bool
) -> tuple[list[Piece], list[str]]:
    """Return what can go of these kinds and these runs, and what is to be said beside.

    Raises DamagedError where levels were `asked` for, and it cannot be told which a run refers to.
    """
    pieces: list[Piece] = []
    notes: list[str] = []
    going = runs
    for run in going:
        if held(run.path):
            notes.append(f"{near(run.path)} is at work; it stays")
    going = [run for run in going if not held(run.path)]
    pieces += [garbage.whole("run", run.path, run.state) for run in going]
    unknown = strangers(inventory, going)
    if going and unknown:
        notes.append(f"the levels of these runs stay: {unknown}")
    elif going:
        pieces += garbage.unreferenced(inventory, {run.path for run in going})
    for kind in kinds:
        if kind == "levels" and unknown:
            if asked:
                raise DamagedError(f"clean: {unknown}")
            notes.append(unknown)
            continue
        pieces += [p for p in FINDERS[kind](inventory) if p not in pieces]
    return pieces, notes


def strangers(inventory: Inventory, going: list[Replicate]) -> str:
    """Return whose references cannot be read, and what to type; "" where all can."""
    for path, why in inventory.references({run.path for run in going}).unknown.items():
        fix = again(Replicate(path))
        return f"which levels {near(path)} refers to is not known ({why}); type: {fix}"
    return ""


def show(pieces: list[Piece], notes: list[str]) -> None:
    """Print what can go, a heading a kind."""
    if not pieces:
        print("nothing can go")
    for kind in dict.fromkeys(p.kind for p in pieces):
        mine = [p for p in pieces if p.kind == kind]
        total = in_words(sum(p.size for p in mine))
        print(f"{kind}: {garbage.KINDS[kind]} ({total})")
        width = max(len(printable(near(p.folder))) for p in mine)
        for piece in mine:
            where = printable(near(piece.folder))
            line = f"  {where:<{width}}  {in_words(piece.size):>10}  {printable(piece.why)}"
            print(wrapped(line))
    if pieces:
        print(f"total {in_words(sum(p.size for p in pieces))}")
    for note in notes:
        print(wrapped(printable(note)))


def remove(inventory: Inventory, pieces: list[Piece], notes: list[str]) -> int:
    """Remove the pieces, runs before their levels; print what went and what stays.

    Return the exit code of the first that could not be removed. States come last: their levels
    are signed anew before they go, which on a full disk takes the room that the others leave.
    """
    gone, code = [], DONE
    for piece in sorted(pieces, key=lambda piece: piece.kind == "states"):
        try:
            why = garbage.remove(inventory, piece)
        except LotteryError as error:
            code, why = code or error.code, str(error)
        if why:
            notes.append(f"{near(piece.folder)} stays: {why}")
        else:
            gone.append(piece)
            print(f"removed {piece.kind:<10} {printable(near(piece.folder))}", flush=True)
    for note in notes:
        print(wrapped(printable(note)))
    print(f"{in_words(sum(p.size for p in gone))} are free again")
    return code
