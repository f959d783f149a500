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
        memory = x if memory is None else memory
        q, k, v = (
            layer(tokens).unflatten(-1, (-1, self.size)).transpose(1, 2)
            for layer, tokens in ((self.q, x), (self.k, memory), (self.v, memory))
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=causal)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
