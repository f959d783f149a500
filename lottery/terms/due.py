"""Say when a checkpoint is due."""

import math
import time

from lottery.errors import UsageError
from lottery.terms.step import parse


class Pause:
    """Say when a checkpoint is due: every so many seconds (60s) or steps (500it)."""

    def __init__(self, every: str, steps_per_epoch: int) -> None:
        self.seconds = math.inf
        self.steps = 0
        try:
            if every.endswith("s"):
                self.seconds = float(every[:-1])
            else:
                self.steps = parse(every, steps_per_epoch).iteration
        except (ValueError, UsageError) as error:
            raise UsageError(
                f"checkpoint_every: '{every}' is neither seconds (60s) nor steps (500it, 1ep)"
            ) from error
        self.last = time.monotonic()
        self.last_step = 0

    def start(self, step: int) -> None:
        self.last, self.last_step = time.monotonic(), step

    def due(self, step: int) -> bool:
        """Say so, and count from here."""
        now = time.monotonic()
        if (self.steps and step - self.last_step >= self.steps) or now - self.last >= self.seconds:
            self.last, self.last_step = now, step
            return True
        return False
