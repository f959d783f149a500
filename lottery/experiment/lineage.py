"""Say what a ticket is made from, as far as that has to be trained or scored."""

from dataclasses import dataclass

from lottery.experiment.settled import Settled


@dataclass(frozen=True)
class Needs:
    """What a ticket is made from: levels as far as a step, and the levels whose net was scored."""

    reached: dict[int, int]  # level -> step
    scored: tuple[int, ...]  # of each scoring, the level whose net it was

    def also(self, level: int, step: int) -> "Needs":
        """Return this and a level as far as a step."""
        reached = self.reached | {level: max(step, self.reached.get(level, 0))}
        return Needs(reached, self.scored)


def needs(settled: Settled, index: int) -> Needs:
    """Return what the ticket of a level is made from: nothing for the dense one.

    Follows from where states are scored (prune.at), whether the mask before is pruned further
    (prune.nested), and the states that the rewind asks for. What a ticket from elsewhere, which
    level 1 takes with its mask, has cost is not known, and left out.
    """
    if not index:
        return Needs({}, ())
    back, parent = settled.rewind, settled.parent(index)
    found = needs(settled, parent)
    if not (settled.brought and index == 1):
        step = settled.scored_at(index)
        looks = [at for at in settled.looks(index) if at <= step]  # of a rule, else one
        found = Needs(found.reached, (*found.scored, *(parent for _ in looks)))
        found = found.also(parent, step)
    for step in back.steps:
        found = found.also(0, step)
    return found.also(parent, settled.span(parent).stop) if back.ended else found
