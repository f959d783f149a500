"""Type a command in a process that stops by itself at known points: python paced.py run ...

PACE says where, as words with a number: `go=41 hold=80` runs up to its 41st step, makes the file
`going`, and stops for good after its 80th; `hold=bind` stops where that function is called. Where
it has stopped it makes the file `held`, and goes on once there is a file `free`.
So a test kills it at work, however fast or slow the machine is.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

DEAD = 120  # seconds after which nobody will come to kill it


def hold() -> None:
    """Stop until there is a file `free`."""
    Path("held").touch()
    end = time.monotonic() + DEAD
    while not Path("free").exists():
        assert time.monotonic() < end, "nobody came"
        time.sleep(0.005)


def pace(go: int, last: int) -> None:
    """Say when a step of this process is made, and stop after a later one."""
    from lottery.training import train

    made, real = [0], train.steps

    def steps(*given: Any) -> Any:
        for step in real(*given):
            made[0] += 1
            if made[0] == go:
                Path("going").touch()
            if made[0] == last:
                hold()
            yield step

    train.steps = steps


def stop_in(where: str) -> None:
    """Stop where a function of the product is called: lottery.experiment.life.on_record."""
    import importlib

    module, _, name = where.rpartition(".")
    home = importlib.import_module(module)
    real = getattr(home, name)

    def held(*given: Any, **settings: Any) -> Any:
        hold()
        return real(*given, **settings)

    setattr(home, name, held)


if __name__ == "__main__":
    asked = dict(word.split("=") for word in os.environ["PACE"].split())
    if asked["hold"] == "start":
        hold()
    from lottery import cli

    if asked["hold"].isdigit():
        pace(int(asked["go"]), int(asked["hold"]))
    elif asked["hold"] != "start":
        stop_in(asked["hold"])
    sys.exit(cli.main())
