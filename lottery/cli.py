"""Dispatch on the command word. Imports neither torch nor hydra: help answers at once."""

import ast
import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from lottery.errors import (
    DISK,
    HUNG_UP,
    INTERRUPTED,
    TERMINATED,
    LotteryError,
    Terminated,
    UsageError,
)
from lottery.machine.version import __version__
from lottery.wording import telling
from lottery.wording.text import printable

COMMANDS = Path(__file__).parent / "commands"
ENDING = {"SIGTERM": (TERMINATED, "terminated"), "SIGHUP": (HUNG_UP, "the terminal went away")}
REFUSED = {errno.EPIPE, errno.EIO, errno.ENOSPC, errno.ECONNRESET, errno.EDQUOT}
ZSH = """(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }
_lottery() {
  local line="${(j: :)words[1,CURRENT]}"
  local -a found
  found=("${(@f)$(COMP_LINE=$line COMP_POINT=${#line} $words[1] -sc query=bash 2>/dev/null)}")
  compadd -Q -S '' -- ${found:#}
}
compdef _lottery lottery"""
HELP = ("help", "--help", "-h", "-help", "--usage", "-?", "/?", "?")
EXIT_CODES = """exit codes: 0 done (1: diff found a difference; a bug), 2 usage or config, 3 locked,
            4 damaged, 5 disk or I/O, 6 diverged, 75 requeue (USR1, USR2), 129 terminal gone,
            130 interrupted, 143 terminated"""


def commands() -> list[str]:
    """Return the command words: the files in commands/."""
    return sorted(p.stem for p in COMMANDS.glob("*.py") if p.stem != "__init__")


def summary(command: str) -> str:
    """Return the first line of a command's docstring, without importing it."""
    text = ast.get_docstring(ast.parse((COMMANDS / f"{command}.py").read_text("utf-8"))) or ""
    return text.splitlines()[0]


def overview() -> str:
    """Return what `lottery` alone prints."""
    lines = [f"  {name:<8} {summary(name)}" for name in commands()]
    return "\n".join(
        [
            f"lottery {__version__}: study sparse neural networks",
            "",
            "usage: lottery COMMAND [ARGUMENTS]",
            "",
            *lines,
            "",
            "  lottery run model=resnet20 prune=imp    train, prune, rewind; again to resume",
            "  lottery COMMAND --help                  what a command takes",
            '  eval "$(lottery -sc install=bash)"      completion (also zsh; fish: | source)',
            "",
            EXIT_CODES,
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = any(a in ("-v", "--verbose") for a in arguments)
    arguments = [a for a in arguments if a not in ("-v", "--verbose")]
    before = warnings.showwarning
    warnings.showwarning = show_warning
    try:
        with telling.kept(owned=argv is None):
            code = answered(arguments, verbose)
            if (error := telling.lost()) and not code:
                say(f"what was printed could not be written: {error.strerror}")
                return DISK
            return code
    finally:
        warnings.showwarning = before


def answered(arguments: list[str], verbose: bool) -> int:
    """Run one command, say in a line what went wrong, and return the exit code."""
    try:
        with terminable():
            return dispatch(arguments)
    except KeyboardInterrupt:
        code, text, trace = INTERRUPTED, "interrupted", traceback.format_exc()
    except Terminated as error:
        code, text, trace = error.code, str(error), traceback.format_exc()
    except Exception as error:  # noqa: BLE001 (the last net: a line, and with -v the traceback)
        trace = traceback.format_exc()
        code, text = last_words(error)
    if verbose:
        print(trace, file=sys.stderr)
    say(text)
    return code


def say(text: str) -> None:
    """Print the line with which a command ends."""
    print(f"lottery: {printable(' '.join(text.split()))}", file=sys.stderr)


def last_words(error: Exception) -> tuple[int, str]:
    """Return exit code and line for an error."""
    if isinstance(error, LotteryError) and error.__cause__ is None:
        return error.code, str(error)
    from lottery.config.blame import in_words

    if isinstance(told := in_words(error), LotteryError):
        return told.code, str(told)
    if isinstance(error, OSError) and error.filename is not None:
        from lottery.storage.disk import refused

        kept = refused(Path(os.fsdecode(error.filename)), "use", error)
        return kept.code, str(kept)
    if isinstance(error, OSError) and error.errno in REFUSED:
        return DISK, f"{type(error).__name__}: {error}"
    return 1, f"{type(error).__name__}: {error} (a bug in lottery? -v shows where)"


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let TERM and HUP end a command as Ctrl-C does, so that nothing half-made stays.

    A run answers them in its own way. Its children, forked, leave at once.
    """
    alone = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in ENDING if alone and hasattr(signal, name)]
    numbers = [n for n in numbers if signal.getsignal(n) is signal.SIG_DFL]  # nohup ignores HUP
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        code, why = ENDING[signal.Signals(number).name]
        if os.getpid() != owner:
            os._exit(code)
        raise Terminated(why, code)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line, without the place in the code that Python names."""
    print(f"lottery: warning: {printable(' '.join(str(message).split()))}", file=sys.stderr)


def dispatch(arguments: list[str]) -> int:
    """Call the command that the first word names."""
    if arguments[:1] and arguments[0] in HELP and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in HELP:
        print(overview())
        return 0
    word, rest = arguments[0], arguments[1:]
    if word in ("version", "--version", "-V"):
        print(f"lottery {__version__}")
        return 0
    if word in ("-sc", "--shell-completion"):
        return complete(rest)
    from lottery.config.answers import command_meant
    from lottery.config.answers.looking import anyway

    if word not in commands():
        word, rest = command_meant(word, rest, commands(), newest_run)
    if rest and rest[0] in HELP:
        rest = ["--help"]
    if not {"-h", "--help"} & set(rest):
        check_place()
        rest = anyway(word, rest)
    return int(command(word).main(rest))


def newest_run() -> str:
    """Return the newest run, as it can be typed; "" where there is none."""
    from lottery.results.naming import newest

    try:
        return newest(Path("outputs"), "")[0]
    except LotteryError:
        return ""


def check_place() -> None:
    """Raise UsageError where the folder that the command was typed in is gone."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError(
            "the folder that this shell is in has been removed; cd to one that is there"
        ) from None


def command(word: str) -> ModuleType:
    """Import a command: a word of `commands()`."""
    return importlib.import_module(f"lottery.commands.{word}")


def complete(rest: list[str]) -> int:
    """Answer the shell: the command word ourselves, what follows `run` or `plan` by hydra."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    asking = any(r.startswith("query=") for r in rest)
    if "install=zsh" in rest:  # hydra's line is for bash, and fails in a fresh zsh
        print(ZSH)
        return 0
    if asking and (len(words) < 2 or (len(words) == 2 and not line.endswith(" "))):
        start = words[1] if len(words) == 2 else ""
        print("\n".join(c for c in commands() if c.startswith(start)))
        return 0
    if asking and words[1] == "plot":
        from lottery.commands import plot

        print("\n".join(plot.complete("" if line.endswith(" ") else words[-1], words)))
        return 0
    if asking and words[1] == "search":
        from lottery.commands import search

        begun = "" if line.endswith(" ") else words[-1]
        print("\n".join(search.complete(begun, words[2:] if not begun else words[2:-1])))
        return 0
    if asking and words[1] not in ("run", "plan", "submit"):
        if words[1] in commands():
            from lottery.results import completing

            begun = "" if line.endswith(" ") else words[-1]
            print("\n".join(completing.complete(command(words[1]).KNOWN, begun, words)))
        return 0
    if asking:
        shorter = line.replace(f" {words[1]}", "", 1)
        point = int(os.environ.get("COMP_POINT", len(line)))
        os.environ["COMP_LINE"] = shorter
        os.environ["COMP_POINT"] = str(max(0, point - (len(line) - len(shorter))))
    from lottery.commands import run

    return run.main(["-sc", *rest])


if __name__ == "__main__":
    sys.exit(main())
