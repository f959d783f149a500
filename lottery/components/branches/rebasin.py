import torch

from lottery.errors import UsageError
from lottery.nets import alignment
from lottery.nets.permutations import permuted
from lottery.terms import seeds
from lottery.terms.ticket import States, Ticket, ticket_of
from lottery.wording.settings import choose

MATCHES = ("activations", "weights", "none")


def rebasin(
    level: Ticket, states: States, generator: torch.Generator, *, match: str, examples: int
) -> Ticket:
    """Train another initialization under the level's mask, its units reordered to those it has.

    Adnan et al. 2025, "Sparse Training from Random Initialization": the dense net A of the run and
    a dense net B from another initialization are trained; which unit of A is which of B follows
    from `activations` on training examples or from `weights`, and the mask's rows and columns go
    along. B begins at its own weights of the rewind point. With `none` it has the mask as it is.
    Raises UsageError for a net without units that can change places, and a mask from elsewhere.
    """
    choose(dict.fromkeys(MATCHES), match, "branches.rebasin.match")
    if examples < 1:
        raise UsageError(f"branch rebasin: examples={examples} are none; type 1000")
    rewound = states("rewind")
    if rewound.mask is not None:
        raise UsageError(
            "branch rebasin: the mask is a ticket's, whose dense net is not here; leave the branch "
            "out (branch=[])"
        )
    start = states.other_init(f"{rewound.step.iteration}it")
    if match == "none":
        return ticket_of(start, level.mask, level.span)
    end = f"{states.length.iteration}it"
    a, b = (states.net(state.weights) for state in (states(end), states.other_init(end)))
    _, groups = alignment.units(a, states.task, "branch rebasin")
    if match == "activations":
        orders = alignment.by_activations(a, b, groups, states.inputs(examples))
    else:
        draw = seeds.generator("rebasin", states.replicate)  # the same for every level
        orders = alignment.by_weights(a, b, groups, draw)
    return ticket_of(start, permuted(level.mask, groups, orders), level.span)
