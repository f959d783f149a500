"""Say a recorded command so that it does from here what it did where it was typed."""

import os
import shlex
from pathlib import Path

from lottery.wording import outputs_word

OUTPUTS = "outputs="


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
