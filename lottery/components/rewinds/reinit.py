from lottery.terms.step import Span
from lottery.terms.ticket import State, States


def reinit(states: States) -> tuple[State, Span]:
    """Draw the initial weights anew and train from the start of the schedule (a control)."""
    return states("fresh:rewind"), Span(0, states.length.iteration)
