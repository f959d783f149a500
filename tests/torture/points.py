"""Do something at a known point of a run: die there, send a signal, wait.

The functions are called in a child, before its run. `level` counts the trainings of that child.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness import Plan
from torch.optim.optimizer import register_optimizer_step_post_hook

from lottery.pruning.trial import Glimpse
from lottery.training import train

Act = Callable[[], Any]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after_step(wanted: int, act: Act, level: int = 0) -> None:
    """Act when that step of a level was made."""
    begun: list[int] = []
    real = train.steps

    def steps(training: Any, stop: int) -> Any:
        begun.append(stop)
        for step in real(training, stop):
            if len(begun) == level + 1 and step == wanted:
                act()
            yield step

    train.steps = steps


def in_evaluation(wanted: int, act: Act, level: int = 0) -> None:
    """Act between the evaluations on two splits, after that step of a level."""
    here: list[int] = []
    real = train.evaluate

    def evaluate(training: Any, split: str) -> Any:
        if here and split == "test":
            here.clear()
            act()
        return real(training, split)

    train.evaluate = evaluate
    after_step(wanted, lambda: here.append(wanted), level)


def before_rename(prefix: str, act: Act, level: int = 0, number: int = 1, step: int = 5) -> None:
    """Act when a file so named is whole but has not got its name: the first, or `number`.

    Files are counted from that step of a level on.
    """
    seen: list[str] = []

    def arm() -> None:
        real = os.replace

        def rename(old: Any, new: Any) -> None:
            if os.path.basename(new).startswith(prefix):
                seen.append(new)
                if len(seen) == number:
                    act()
            real(old, new)

        os.replace = rename

    after_step(step, arm, level)


def in_criterion(plan: Plan, act: Act, number: int = 1, updates: int = 5) -> Plan:
    """Return a plan that acts in its criterion: as a call of that number ends.

    Where the criterion trains something itself, after so many updates of that. The trial on two
    examples, before level 0, does not count.
    """
    real = plan.parts.pruning.criterion
    calls: list[int] = []

    def criterion(model: Any, mask: Any, task: Any, *rest: Any, **settings: Any) -> Any:
        if isinstance(task, Glimpse):
            return real(model, mask, task, *rest, **settings)
        made: list[int] = []

        def count(*_: Any) -> None:
            made.append(1)
            if len(made) == updates:
                act()

        calls.append(1)
        handle = register_optimizer_step_post_hook(count)
        scores = real(model, mask, task, *rest, **settings)
        handle.remove()
        if len(calls) == number and not made:
            act()
        return scores

    how = replace(plan.parts.pruning, criterion=criterion)
    return replace(plan, parts=replace(plan.parts, pruning=how))
