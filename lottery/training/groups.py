"""Part the parameters of an optimizer into groups with settings of their own, by name."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch

from lottery.errors import UsageError
from lottery.terms.mask import matches
from lottery.terms.parts import Named
from lottery.wording.settings import named
from lottery.wording.spelling import suggestion
from lottery.wording.text import some

Groups = dict[str, dict[str, Any]]  # pattern of a parameter's name -> settings of its group
WHERE = "train.optimizer.groups"


def in_groups(
    make: Callable[..., torch.optim.Optimizer],
    parameters: Named,
    groups: Groups | None,
    **settings: Any,
) -> torch.optim.Optimizer:
    """Return what `make` gives for parameters, those of each group with its own settings.

    The first pattern that fits a parameter's name, or that of its layer, counts. What none fits
    comes first, since the learning rate in curve.csv is that of the first group. Raises UsageError
    for a value that the optimizer refuses.
    """
    left, made = parameters, []
    for pattern, own in (groups or {}).items():
        fitting = [(name, p) for name, p in left if matches(name, [pattern])]
        left = [(name, p) for name, p in left if not matches(name, [pattern])]
        if fitting:
            with named(f"{WHERE}.{pattern}"):
                make(fitting, **settings | own)  # of what a group sets torch checks nothing itself
            made.append({"params": fitting, **own})
    return make([{"params": left}, *made] if left else made, **settings)


def check_patterns(groups: Mapping[str, Any], names: Collection[str]) -> None:
    """Raise UsageError for a pattern that fits none of the names, or none that others leave."""
    left = set(names)
    for pattern in groups:
        fitting = {name for name in names if matches(name, [pattern])}
        if not fitting:
            near = suggestion(pattern.replace("*", ""), names)
            raise UsageError(
                f"{WHERE}: '{pattern}' fits no parameter that is trained{near} "
                f"(there are: {some(names)})"
            )
        if not fitting & left:
            raise UsageError(
                f"{WHERE}: the patterns before '{pattern}' fit all that it fits, and the first "
                "counts; put it before them"
            )
        left -= fitting
