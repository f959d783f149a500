from lottery.parts import State, States
from lottery.step import Span


def reinit(states: States) -> tuple[State, Span]:
    """Draw the initial weights anew and train from the start of the schedule (a control)."""
    return states("fresh:rewind"), Span(0, states.length.iteration)
