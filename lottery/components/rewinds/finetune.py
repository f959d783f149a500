from lottery.terms.step import Span
from lottery.terms.ticket import State, States


def finetune(states: States, *, steps: str) -> tuple[State, Span]:
    """Keep the trained weights and go on for `steps` at the last learning rate."""
    end = states.length.iteration
    return states("end"), Span(end, end + states.step(steps).iteration)
