"""Let tokens look at tokens: attention of several heads, whose parts are ordinary layers."""

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Attention of several heads (Vaswani et al. 2017, section 3.2).

    Queries, keys, values and the projection are layers `q`, `k`, `v` and `proj`, which are pruned,
    counted and initialised as any. A head has `size` rows of the first three and `size` columns of
    the last; how many there are follows from the weights, so that heads can be cut off.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.size = width // heads
        self.q = nn.Linear(width, self.size * heads)
        self.k = nn.Linear(width, self.size * heads)
        self.v = nn.Linear(width, self.size * heads)
        self.proj = nn.Linear(self.size * heads, width)

    def forward(
        self, x: Tensor, memory: Tensor | None = None, *, seen: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """Return [B, T, width] for tokens x [B, T, width], which look at `memory` (default: x).

        `seen`, broadcast to [B, heads, T, S] and true where a token may be looked at, hides
        padding; with `causal` no token sees a later one.
        """
        return self.look(x, *self.pairs(x if memory is None else memory), seen=seen, causal=causal)

    def pairs(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values of tokens [B, S, width], each [B, heads, S, size]."""
        return self.split(self.k(memory)), self.split(self.v(memory))

    def look(
        self, x: Tensor, keys: Tensor, values: Tensor, *, seen: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """Return as `forward` does what tokens find by keys and values that are known."""
        q = self.split(self.q(x))
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=seen, is_causal=causal)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def split(self, made: Tensor) -> Tensor:
        """Return [B, T, heads * size] as [B, heads, T, size]."""
        heads = made.unflatten(-1, (-1, self.size))  # type: ignore[no-untyped-call]
        return heads.transpose(1, 2)  # type: ignore[no-any-return]
