"""Dispatch on the command word. Imports neither torch nor hydra: help answers at once."""

import ast
import importlib
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from lottery import __version__
from lottery.errors import INTERRUPTED, LotteryError, UsageError
from lottery.wording import printable

COMMANDS = Path(__file__).parent / "commands"
EXIT_CODES = """exit codes: 0 done (1: diff found a difference; a bug), 2 usage or config, 3 locked,
            4 damaged, 5 disk or I/O, 6 diverged, 75 requeue (USR1, USR2), 130 interrupted,
            143 terminated"""


def commands() -> list[str]:
    """Return the command words: the files in commands/."""
    return sorted(p.stem for p in COMMANDS.glob("*.py") if p.stem != "__init__")


def summary(command: str) -> str:
    """Return the first line of a command's docstring, without importing it."""
    text = ast.get_docstring(ast.parse((COMMANDS / f"{command}.py").read_text())) or ""
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
        return dispatch(arguments)
    except LotteryError as error:
        code, text, trace = error.code, str(error), traceback.format_exc()
    except KeyboardInterrupt:
        code, text, trace = INTERRUPTED, "interrupted", traceback.format_exc()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 (the last net: a line, and with -v the traceback)
        trace = traceback.format_exc()
        code, text = 1, f"{type(error).__name__}: {error} (a bug in lottery? -v shows where)"
    finally:
        warnings.showwarning = before
    if verbose:
        print(trace, file=sys.stderr)
    print(f"lottery: {printable(' '.join(text.split()))}", file=sys.stderr)
    return code


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line, without the place in the code that Python names."""
    print(f"lottery: warning: {printable(' '.join(str(message).split()))}", file=sys.stderr)


def dispatch(arguments: list[str]) -> int:
    """Call the command that the first word names."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    word, rest = arguments[0], arguments[1:]
    if word == "--version":
        print(f"lottery {__version__}")
        return 0
    if word in ("-sc", "--shell-completion"):
        return complete(rest)
    if word not in commands():
        import difflib

        close = difflib.get_close_matches(word, commands(), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise UsageError(f"there is no command '{word}'{hint} (there are: {', '.join(commands())})")
    module = importlib.import_module(f"lottery.commands.{word}")
    return int(module.main(rest))


def complete(rest: list[str]) -> int:
    """Answer the shell: the command word ourselves, what follows `run` or `plan` by hydra."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    asking = any(r.startswith("query=") for r in rest)
    if asking and (len(words) < 2 or (len(words) == 2 and not line.endswith(" "))):
        start = words[1] if len(words) == 2 else ""
        print("\n".join(c for c in commands() if c.startswith(start)))
        return 0
    if asking and words[1] == "plot":
        from lottery.commands import plot

        print("\n".join(plot.complete("" if line.endswith(" ") else words[-1], words)))
        return 0
    if asking and words[1] not in ("run", "plan"):
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
