"""Say a recorded command so that it does from here what it did where it was typed."""

import os
import shlex
from pathlib import Path

from lottery.wording.text import outputs_word

OUTPUTS = "outputs="
RECORDED = ("run", "branch", "analyze")  # the commands that leave a run
EXPANDED = "$`\\!;|&<>(){}"  # what a shell obeys outside of quotes


def ours(command: str) -> str:
    """Return a recorded command if it is one of ours that a shell reads as words; else "".

    A run.json may come from anywhere, and people paste what is shown.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    known = words[:1] == ["lottery"] and words[1:2] and words[1] in RECORDED
    return command if known and command.isprintable() and not obeyed(command) else ""


def obeyed(command: str) -> bool:
    """Say whether a shell would do more with a line than to split it into words."""
    quote = ""
    for letter in command:
        if letter in ("'", '"') and quote in ("", letter):
            quote = "" if quote else letter
        elif (not quote and letter in EXPANDED) or (quote == '"' and letter in "$`\\!"):
            return True
    return False


def from_here(command: str, outputs: Path) -> str:
    """Return the command of a run that lies under `outputs`, to be typed in this folder.

    A recorded `outputs=` counts from where it was typed; without the right one the run would be
    begun anew elsewhere. What the shell could not read is returned as it is.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    said = next((w.removeprefix(OUTPUTS) for w in words if w.startswith(OUTPUTS)), "outputs")
    if os.path.abspath(os.path.expanduser(said)) == os.path.abspath(outputs):
        return command
    kept = [word for word in words if not word.startswith(OUTPUTS)]
    return shlex.join(kept) + outputs_word(Path(os.path.abspath(outputs)))
