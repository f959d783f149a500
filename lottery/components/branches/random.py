import torch

from lottery.errors import UsageError
from lottery.pruning.elsewhere import redrawn
from lottery.pruning.keep import keep_top
from lottery.terms.step import Span
from lottery.terms.ticket import States, Ticket, ticket_of, unpruned


def random(level: Ticket, states: States, generator: torch.Generator, *, weights: str) -> Ticket:
    """Train a random mask of the level's layer densities, from the rewound weights or fresh ones.

    With `weights` rewind it is the control of shuffle, drawn again; with fresh nothing of the
    level is left but how many weights each layer keeps (Frankle & Carbin 2019). Where whole units
    are pruned, whole units are drawn. Raises UsageError for any other word, and as shuffle does.
    """
    if weights not in ("fresh", "rewind"):
        raise UsageError(
            f"branch random: branches.random.weights={weights} is neither fresh nor rewind"
        )
    mask = redrawn(level.mask, states.units, generator, "random") or {
        name: keep_top(
            {name: torch.rand(keep.shape, generator=generator)},
            {name: torch.ones_like(keep)},
            int(keep.sum()),
        )[name]
        for name, keep in level.mask.items()
    }
    if weights == "fresh":
        return ticket_of(states("fresh:random"), mask, Span(0, states.length.iteration))
    return ticket_of(unpruned(states, "random"), mask, level.span)
