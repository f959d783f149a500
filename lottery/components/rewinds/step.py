from lottery.terms.step import Span
from lottery.terms.ticket import State, States


def step(states: States, *, to: str) -> tuple[State, Span]:
    """Rewind weights and schedule to a step of the dense training (late resetting).

    Frankle et al. 2019, "Stabilizing the Lottery Ticket Hypothesis"; weight rewinding in
    Renda et al. 2020.
    """
    state = states(to)
    return state, Span(state.step.iteration, states.length.iteration)
