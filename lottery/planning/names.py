"""Name a training by what it follows from, before anything is trained."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from lottery.experiment.levels import key_of
from lottery.experiment.run import Run
from lottery.terms import mask as masks


class Names:
    """The names of a run's trainings: equal names are the same training.

    Level 0 has its key, `dense` where that is known. A pruned level is named by all that its ticket
    follows from: the name of the level that it prunes, where that is scored and how, its density,
    what it is rewound to. Two that come to the same ticket in other ways have different names.
    """

    def __init__(self, run: Run, dense: str = "") -> None:
        self.run = run
        self.levels = {0: dense or key_of(run, run.settled.dense)}

    def level(self, index: int) -> str:
        """Return the name of a level."""
        if index not in self.levels:
            self.levels[index] = self.pruned(index)
        return self.levels[index]

    def pruned(self, index: int) -> str:
        """Return the name of a pruned level, made up."""
        part, settled, dense = self.run.parts.pruning, self.run.settled, self.run.dense
        back, density = settled.rewind, settled.density(index)
        everything = masks.count(density, dense) == masks.total(dense)
        if everything and back.source == ("step", "0") and back.span == settled.span(0):
            return self.level(0)  # the dense net again
        mask = [
            self.level(settled.parent(index)),
            settled.scored_at(index) if isinstance(part.at, str) else spelled(part.at),
            *(spelled(each) for each in (part.criterion, part.structure, part.allocation)),
            [part.rounds, part.path, part.revive] if part.rounds > 1 else [1],
            round(density, 12),
        ]
        drawn = back.source[:1] != ("step",) and back.source != ("end",)  # anew for every level
        ticket = settled.fingerprint
        return hashed(
            self.level(0),
            ticket if ticket and index == 1 else mask,
            [*(back.source or spelled(self.run.parts.rewind)), *([index] if drawn else [])],
            [ticket, back.span.start, back.span.stop],
            part.update_settings,
        )

    def branch(self, index: int, branch: str, settings: str) -> str:
        """Return the name of a branch of a level."""
        return hashed(self.level(index), branch, settings, index)


def spelled(component: Callable[..., Any]) -> list[Any]:
    """Return which function a component is, and its settings."""
    function = getattr(component, "func", component)
    return [function.__module__, function.__qualname__, getattr(component, "keywords", {})]


def hashed(*parts: Any) -> str:
    """Return a hash of what JSON can spell."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
