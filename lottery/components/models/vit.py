"""Build a vision transformer for images of any size."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.nets.attention import Attention
from lottery.nets.initializers import check_patch, divisors, image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least

SPREAD = 0.02  # of the first class token and positions, as in timm and the authors' code


def vit(
    task: Shaped, *, patch: int, width: int, depth: int, heads: int, ratio: float, dropout: float,
    init: str,
) -> nn.Module:  # fmt: skip
    """Return a vision transformer with a class token (Dosovitskiy et al. 2021, section 3.1).

    A patch is a square of pixels, whose sides divide those of the images. LayerNorm comes before
    attention and before the perceptron, which has `ratio` times `width` units. The output layer
    `fc` reads the class token. Raises UsageError for patches and heads that do not come out even.
    """
    at_least(1, patch=patch, width=width, depth=depth, heads=heads)
    channels, height, image_width = image_shape(task.input_shape, "vit")
    check_patch(patch, height, image_width)
    if width % heads:
        fitting = divisors(width, width)
        raise UsageError(
            f"model.heads: {heads} heads do not divide a width of {width}; type model.heads="
            f"{min(fitting, key=lambda number: abs(number - heads))}"
        )
    if not 0 <= dropout < 1:
        raise UsageError(f"model.dropout: {dropout} is not in [0, 1); type model.dropout=0.1")
    hidden = round(ratio * width)
    at_least(1, ratio=hidden)
    tokens = (height // patch) * (image_width // patch)
    model = Vit(channels, patch, tokens, width, depth, heads, hidden, dropout, task.outputs)
    initialize(model, init, bn_scale="ones")
    return model


class Block(nn.Module):
    """LayerNorm and attention, LayerNorm and a perceptron, each added to what it was given."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attn(self.norm1(x)))
        inner = self.dropout(F.gelu(self.up(self.norm2(x))))
        return x + self.dropout(self.down(inner))  # type: ignore[no-any-return]


class Vit(nn.Module):
    """Patches as tokens behind a class token, positions added; blocks, LayerNorm, `fc`."""

    def __init__(
        self, channels: int, patch: int, tokens: int, width: int, depth: int, heads: int,
        hidden: int, dropout: float, outputs: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(channels * patch * patch, width)
        self.class_token = nn.Parameter(torch.randn(1, 1, width) * SPREAD)
        self.positions = nn.Parameter(torch.randn(1, 1 + tokens, width) * SPREAD)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(width, heads, hidden, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        x = x.reshape(batch, channels, height // self.patch, self.patch, width // self.patch, -1)
        x = self.embed(x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))  # [B, T, width]
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.positions
        x = self.norm(self.blocks(self.dropout(x)))
        return self.fc(x[:, 0])  # type: ignore[no-any-return]
