from lottery.parts import State, States
from lottery.step import Span


def finetune(states: States, *, steps: str) -> tuple[State, Span]:
    """Keep the trained weights and go on for `steps` at the last learning rate."""
    end = states.length.iteration
    return states("end"), Span(end, end + states.step(steps).iteration)
