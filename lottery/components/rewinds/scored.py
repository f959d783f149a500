from lottery.terms.step import Span
from lottery.terms.ticket import State, States


def scored(states: States) -> tuple[State, Span]:
    """Keep the weights that were scored and go on with the rest of the schedule.

    You et al. 2020 train an Early-Bird ticket on from the epoch that it was found at.
    """
    state = states("scored")
    return state, Span(state.step.iteration, states.length.iteration)
