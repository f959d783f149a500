"""Put texts of word pieces side by side, filled up to one length, and in an order."""

import torch
from torch import Tensor

from lottery.tasks.text.wordpieces import Pieces

MULTIPLE = 8  # of which a batch's length is one


def padded(pieces: Pieces, rows: Tensor, filling: int) -> dict[str, Tensor]:
    """Return texts as int64 [B, T], filled up to the longest, rounded up to a multiple of 8."""
    ends = pieces.ends[rows]
    sizes = ends - torch.where(rows > 0, pieces.ends[rows - 1], 0)
    longest = -(-int(sizes.max()) // MULTIPLE) * MULTIPLE
    at = torch.arange(longest, device=ends.device)
    there = at < sizes[:, None]
    where = ((ends - sizes)[:, None] + at).clamp_max(len(pieces.ids) - 1)
    return {
        "input_ids": pieces.ids[where].long().masked_fill(~there, filling),
        "attention_mask": there.long(),
        "token_type_ids": pieces.kinds[where].long().masked_fill(~there, 0),
    }


def lengths(pieces: Pieces) -> Tensor:
    """Return the word pieces of each text, int64 [N], on the CPU."""
    return pieces.ends.cpu().diff(prepend=torch.zeros(1, dtype=torch.int64))


def in_order(sizes: Tensor, batch: int, window: int, draw: torch.Generator) -> tuple[Tensor, ...]:
    """Return the rows of a shuffled epoch, batch by batch.

    With a `window` above 1 the texts of so many batches are parted by length together, and the
    batches shuffled.
    """
    order = torch.randperm(len(sizes), generator=draw)
    parts = torch.split(order, batch)
    if window > 1:
        near = (p[sizes[p].argsort(stable=True)] for p in torch.split(order, batch * window))
        parts = tuple(rows for some in near for rows in torch.split(some, batch))
        parts = tuple(parts[n] for n in torch.randperm(len(parts), generator=draw).tolist())
    return parts


def by_length(sizes: Tensor, batch: int) -> tuple[Tensor, ...]:
    """Return the rows of a split in batches of about one length."""
    return torch.split(sizes.argsort(stable=True), batch)
