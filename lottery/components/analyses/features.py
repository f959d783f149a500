from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lottery.errors import UsageError
from lottery.terms.analysis import Finished, Row, Rows

Weights = Mapping[str, Tensor]


def features(level: Finished, *, below: float, controls: list[str]) -> Rows:
    """Return how many features BatchNorm has switched off: those of a |gamma| below a number.

    Frankle et al. 2021, "Training BatchNorm and Only BatchNorm", section 5, count |gamma| < 0.01.
    `off` of the features of a BatchNorm at the end of training, `off_at_start` where it starts,
    and a row of all; the same of `controls`, branches as bn_only. A net without a BatchNorm that
    scales has the row of all alone, of 0 features, which is said. Raises UsageError for a number
    that is not above 0.
    """
    if not below > 0:
        raise UsageError(
            f"analyses.features.below={below} is not above 0; type analyses.features.below=0.01"
        )
    nets = {"ticket": (level.ticket.weights, level.end.weights)}
    for name in dict.fromkeys(controls):
        ticket = level.control(name)
        nets[name] = (ticket.weights, level.train(ticket, name).weights)
    level.advance("scales of BatchNorm")
    named = level.net(level.end.weights).named_modules()
    names = [f"{name}.weight" for name, module in named if scales(module)]
    if not names:
        level.warn("features: this net has no BatchNorm with scales; type model=resnet20, say")
    return {"": [row for who, net in nets.items() for row in counted(who, *net, names, below)]}


def counted(
    who: str, begun: Weights, ended: Weights, names: Sequence[str], below: float
) -> list[Row]:
    """Return a row of each BatchNorm of a net, and one of all."""
    rows: list[Row] = []
    for name in names:
        row: Row = {"mask": who, "layer": name.removesuffix(".weight")}
        row["features"] = ended[name].numel()
        row["off"] = int((ended[name].abs() < below).sum())
        row["off_at_start"] = int((begun[name].abs() < below).sum())
        rows.append(row)
    whole: Row = {"mask": who, "layer": "all"}
    whole |= {c: sum(row[c] for row in rows) for c in ("features", "off", "off_at_start")}
    rows.append(whole)
    for row in rows:
        row["share_off"] = row["off"] / row["features"] if row["features"] else 0.0
    return rows


def scales(module: nn.Module) -> bool:
    """Say whether a module is a BatchNorm, of any dimension, with scales."""
    return isinstance(module, _BatchNorm) and module.weight is not None
