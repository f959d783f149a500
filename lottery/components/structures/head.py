import re

import torch
from torch import nn

from lottery.errors import UsageError
from lottery.nets import attention_heads
from lottery.nets.channels import rows
from lottery.terms import units
from lottery.terms.mask import Mask, Scores
from lottery.terms.task import Task
from lottery.terms.units import Units


def head(model: nn.Module, task: Task, scores: Scores, mask: Mask, *, pool: str) -> Units:
    """Remove heads of attention: their rows of q, k and v, and the columns that read them.

    Michel et al. 2019 ("Are Sixteen Heads Really Better than One?") remove whole heads. What is no
    attention stays dense, and counts in the density unless prune.include leaves it out; so does an
    attention of which a layer is left out. Raises UsageError for a net without heads known here.
    """
    every = [
        heads
        for heads in attention_heads.found(model)
        if all(p.name in mask for p in heads.weights)
    ]
    if not every:
        raise UsageError(
            "prune/structure=head: this net has no attention whose heads are known, or a part of "
            "each is left out of pruning; type prune/structure=weight, or model=vit"
        )
    attention_heads.check_apart(model, task, every)
    pooled, alive = {}, {}
    for heads in every:
        parts = []
        for part in heads.weights:
            index = torch.arange(heads.number).repeat_interleave(part.entries.shape[1])
            order = part.entries.flatten().to(mask[part.name].device)
            values, kept = (rows(t[part.name], part.axis)[order] for t in (scores, mask))
            parts.append((index, values, kept))
        group = heads.made[0].name
        pooled[group], count = units.pool(parts, heads.number, pool)
        alive[group] = count > 0

    def spread(chosen: Mask) -> Mask:
        result = {name: keep.clone() for name, keep in mask.items()}
        for heads in every:
            gone = ~chosen[heads.made[0].name].cpu()
            for part in heads.weights:
                lost = part.entries[gone].flatten().to(result[part.name].device)
                result[part.name].index_fill_(part.axis, lost, False)
        return result

    own = {part.name for heads in every for part in heads.weights}
    patterns = dict.fromkeys(re.sub(r"\b\d+\b", "*", heads.path) + ".*" for heads in every)
    alone = f"count attention alone: type 'prune.include=[{','.join(patterns)}]'"
    return Units(pooled, alive, spread, instead=alone if own < set(mask) else units.SINGLE)
