"""Attention against the formula, and with heads cut off."""

import torch
from torch import nn

from lottery.nets.attention import Attention


def test_attention_is_the_formula_head_by_head():
    torch.manual_seed(0)
    layer, x, memory = Attention(6, 3), torch.randn(2, 4, 6), torch.randn(2, 5, 6)
    seen = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    seen[1, ..., 3:] = False
    heads = []
    for head in range(3):
        rows = slice(2 * head, 2 * head + 2)
        q, k, v = (
            tokens @ part.weight[rows].t() + part.bias[rows]
            for part, tokens in ((layer.q, x), (layer.k, memory), (layer.v, memory))
        )
        scores = (q @ k.transpose(1, 2) / 2**0.5).masked_fill(~seen[:, 0], -torch.inf)
        heads.append(scores.softmax(-1) @ v)
    wanted = torch.cat(heads, -1) @ layer.proj.weight.t() + layer.proj.bias
    torch.testing.assert_close(layer(x, memory, seen=seen), wanted)


def test_no_token_sees_a_later_one_where_it_is_causal():
    torch.manual_seed(0)
    layer, x = Attention(4, 2), torch.randn(1, 5, 4)
    changed = x.clone()
    changed[:, 3:] += 1
    before, after = layer(x, causal=True), layer(changed, causal=True)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])


def test_a_head_that_is_cut_off_is_one_whose_weights_are_zero():
    torch.manual_seed(0)
    whole, x = Attention(6, 3), torch.randn(2, 4, 6)
    with torch.no_grad():
        whole.proj.weight[:, 2:4] = 0
    small = Attention(6, 2)
    left = [0, 1, 4, 5]
    for part in "qkv":
        for leaf in ("weight", "bias"):
            setattr(getattr(small, part), leaf, nn.Parameter(getattr(getattr(whole, part), leaf)[left]))
    small.proj.weight = nn.Parameter(whole.proj.weight[:, left])
    small.proj.bias = whole.proj.bias
    small.size = whole.size
    torch.testing.assert_close(small(x), whole(x))
