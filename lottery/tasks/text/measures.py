"""Measure answers to sentences by the numbers that GLUE asks for, each by its definition."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lottery.terms.metric import ACCURACY, Metric


class Measure(NamedTuple):
    """A metric, and how it follows from answers and labels, both [N]."""

    metric: Metric
    of: Callable[[Tensor, Tensor], float]


def accuracy(answers: Tensor, labels: Tensor) -> float:
    """Return the share of right answers."""
    return int((answers == labels).sum()) / len(labels)


def f1(answers: Tensor, labels: Tensor) -> float:
    """Return the harmonic mean of precision and recall of class 1; 0 where none is found."""
    both = int(((answers == 1) & (labels == 1)).sum())
    either = int((answers == 1).sum()) + int((labels == 1).sum())
    return 2 * both / either if either else 0.0


def matthews(answers: Tensor, labels: Tensor) -> float:
    """Return the correlation of classes (Matthews 1975; of several classes Gorodkin 2004).

    It is 0 where all answers, or all labels, are one class.
    """
    classes = int(max(answers.max(), labels.max())) + 1
    given = answers.bincount(minlength=classes).tolist()
    true = labels.bincount(minlength=classes).tolist()
    number, right = len(labels), int((answers == labels).sum())
    cross = right * number - sum(a * b for a, b in zip(given, true, strict=True))
    spread = (number**2 - sum(a * a for a in given)) * (number**2 - sum(b * b for b in true))
    return float(cross / spread**0.5) if spread else 0.0


def pearson(answers: Tensor, labels: Tensor) -> float:
    """Return the linear correlation; 0 where answers or labels do not vary."""
    a, b = (x.double() - x.double().mean() for x in (answers, labels))
    spread = float((a * a).sum() * (b * b).sum()) ** 0.5
    return float((a * b).sum()) / spread if spread > 0 else 0.0


def spearman(answers: Tensor, labels: Tensor) -> float:
    """Return the linear correlation of ranks; equal values share the mean of theirs."""
    return pearson(ranks(answers), ranks(labels))


def ranks(values: Tensor) -> Tensor:
    """Return the rank of each value, from 0, float64 [N]; equal ones have the mean of theirs."""
    _, where, number = torch.unique(values, return_inverse=True, return_counts=True)
    ends: Tensor = number.cumsum(0).double()
    middle: Tensor = ends - (number.double() + 1) / 2
    return middle[where]


MEASURES = {
    each.metric.name: each
    for each in (
        Measure(ACCURACY, accuracy),
        Measure(Metric("f1", unit="share", tolerance=0.005), f1),
        Measure(Metric("matthews", tolerance=0.01), matthews),
        Measure(Metric("pearson", tolerance=0.01), pearson),
        Measure(Metric("spearman", tolerance=0.01), spearman),
    )
}
OF_NUMBERS = ("pearson", "spearman")  # the others are of classes


def by_chance(name: str, labels: Tensor) -> float:
    """Return what a metric comes to without a net: of who always gives the most frequent class."""
    if name == "accuracy":
        return int(labels.bincount().max()) / len(labels)
    return f1(torch.ones_like(labels), labels) if name == "f1" else 0.0
