"""Say of a loss in nats how many words it amounts to choosing from."""

import math

from lottery.terms.metric import Metric

PERPLEXITY = Metric("perplexity", "lower", tolerance=0.01, of="dense", mean="log", error="loss")
LARGEST = 700.0  # nats whose perplexity is still a number


def perplexity(loss: float) -> float:
    """Return e to the loss, infinity where that is no number any more; NaN stays."""
    return loss + math.inf if loss > LARGEST else math.exp(loss)
