from lottery.terms.step import Span
from lottery.terms.ticket import State, States


def init(states: States) -> tuple[State, Span]:
    """Rewind weights and schedule to initialisation (Frankle & Carbin 2019)."""
    return states("0it"), Span(0, states.length.iteration)
