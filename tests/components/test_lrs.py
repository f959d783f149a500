"""The learning rate's multiplier: by the formulas of papers."""

import pytest

from lottery.components.lrs.inverse_sqrt import inverse_sqrt
from lottery.terms.step import Step
from lottery.training.loop import rate


class Recipe:
    warmup = "400it"

    @staticmethod
    def lr(step, total):
        return inverse_sqrt(step, total, after="400it")


@pytest.mark.parametrize("step", [0, 1, 100, 399, 400, 401, 1600, 9999])
def test_rise_and_fall_are_the_transformers(step):
    """Vaswani et al. 2017, eq. 3: d^-0.5 min(s^-0.5, s w^-1.5) is its peak at s = w times this."""
    formula = min(step**-0.5 if step else 1, step * 400**-1.5) / 400**-0.5
    assert rate(Recipe, Step(10_000, 100), step) == pytest.approx(formula)


def test_without_a_rise_it_falls_from_the_first_step():
    assert [inverse_sqrt(Step(n, 9), Step(99, 9), after="0it") for n in (0, 1, 4, 16)] == [1, 1, 0.5, 0.25]
