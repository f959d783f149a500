"""Read depth, width and data size off configs, and which levels a condition names. No torch."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lottery.errors import UsageError

if TYPE_CHECKING:
    from lottery.terms.analysis import Reported

Settings = Mapping[str, Any]  # of a config, with dotted keys
GUESSES = {  # settings of the nets and data that have them, the plainest first
    "depth": ("model.depth", "model.layers", "model.encoder", "model.channels", "model.hidden"),
    "width": ("model.width", "model.widen", "model.growth", "model.channels", "model.hidden"),
    "data": ("dataset.subsample", "dataset.examples"),
}
CONDITION = re.compile(r"([\w.]+)(<=|>=|=|<|>)(.+)")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": lambda a, b: math.isclose(a, b, rel_tol=1e-2),
}  # fmt: skip
OF_LEVEL = ("density", "level")  # what a condition may name beside axes and settings


def key_of(axis: str, typed: str | None, every: Sequence[Settings], where: str) -> str:
    """Return the setting of an axis: as typed, or the first guess that all configs have; "".

    Raises UsageError, in the name of the analysis `where`, for one that not all of them have.
    """
    for key in [typed] if typed else GUESSES[axis]:
        if all(number(settings.get(key), axis) is not None for settings in every):
            return key
    if typed:
        numbers = [key for key, value in every[0].items() if number(value, axis) is not None]
        near = [key for key in numbers if key.partition(".")[0] in ("model", "dataset")]
        raise UsageError(
            f"{where}.{axis}={typed}: not all runs have it as a number above 0, or a list of them; "
            f"type one of {', '.join(near) or 'your own settings'}"
        )
    return ""


def number(value: Any, axis: str) -> float | None:
    """Return what a setting says of an axis; None where it says nothing."""
    if isinstance(value, list) and value and axis != "data":
        value = len(value) if axis == "depth" else value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if axis == "data" and value == 0:
        return math.inf
    return float(value) if value > 0 else None


def condition(
    text: str | None, every: Sequence[Settings], used: Mapping[str, str], where: str
) -> Callable[[Reported], bool]:
    """Return what says whether a level fits KEY<VALUE or KEY=VALUE,VALUE; without one none does.

    KEY is density, level, an axis (of the settings `used` for them) or a dotted setting. Raises
    UsageError, in the name of the setting `where`, for what cannot be read or compared.
    """
    if not text:
        return lambda level: False
    match = CONDITION.fullmatch(text.replace(" ", ""))
    example = f"type {where}='density<0.02', or {where}=width=48,96"
    if not match:
        raise UsageError(f"{where}={text} is no comparison; {example}")
    key, sign, wanted = match.groups()
    setting = used.get(key) or key
    known = {k for settings in every for k in settings}
    if key not in OF_LEVEL and setting not in known:
        raise UsageError(f"{where}: no run has a setting '{key}'; {example}")
    values = [wanted] if wanted.startswith("[") else wanted.split(",")

    def fits(level: Reported) -> bool:
        value: Any = getattr(level, key) if key in OF_LEVEL else level.settings.get(setting)
        if key in used:
            value = number(value, key)
        if sign == "=" and not isinstance(value, int | float):
            return str(value).replace(" ", "") in values
        try:
            return any(COMPARE[sign](float(value), float(each)) for each in values)
        except (TypeError, ValueError):
            raise UsageError(
                f"{where}={text}: {value} and {wanted} are not both numbers; {example}"
            ) from None

    return fits
