"""Heads of attention as nets lay them out: found, pruned whole, cut off, or refused in a line."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lottery.config import build as config
from lottery.errors import UsageError
from lottery.machine import libraries
from lottery.nets import attention_heads
from lottery.nets.attention import Attention
from lottery.nets.compact import compact, shrink_
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms import units

torch.set_num_threads(1)
TASK = Outline({}, "", input_shape=(3, 6), outputs=2, fingerprint="")  # three tokens of six numbers
WIDTH, HEADS = 6, 3


class Fused(nn.Module):
    """As timm writes it: q, k and v of one layer, first those, then heads."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj, self.num_heads = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), HEADS

    def forward(self, x):
        made = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = made.permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class HeadsFirst(Fused):
    """The same layer with the three of each head side by side."""

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (self.num_heads, 3, -1)).permute(3, 0, 2, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Talking(Fused):
    """Heads that are mixed behind the softmax (Shazeer et al. 2020)."""

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        seen = (q @ k.transpose(2, 3)).softmax(-1)
        seen = seen + seen.flip(1)
        return self.proj((seen @ v).transpose(1, 2).flatten(2))


class Bert(nn.Module):
    """As transformers writes it: three layers in one module, the last one in another."""

    def __init__(self):
        super().__init__()
        self.self, self.output = nn.Module(), nn.Module()
        for name in ("query", "key", "value"):
            self.self.add_module(name, nn.Linear(WIDTH, WIDTH))
        self.self.num_attention_heads, self.self.attention_head_size = HEADS, WIDTH // HEADS
        self.output.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        shape = (*x.shape[:-1], -1, self.self.attention_head_size)
        q, k, v = (getattr(self.self, n)(x).view(shape).transpose(1, 2) for n in ("query", "key", "value"))
        return self.output.dense(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Torch(nn.MultiheadAttention):
    def __init__(self, **settings):
        super().__init__(WIDTH, HEADS, batch_first=True, **settings)

    def forward(self, x):
        return super().forward(x, x, x)[0]


class Apart(Torch):
    """Its keys have a width of their own, so that its matrices are apart."""

    def __init__(self):
        super().__init__(kdim=WIDTH - 1)

    def forward(self, x):
        return nn.MultiheadAttention.forward(self, x, x[..., 1:], x)[0]


class Net(nn.Module):
    """One attention between two layers."""

    def __init__(self, attention):
        super().__init__()
        self.embed, self.attn, self.fc = nn.Linear(WIDTH, WIDTH), attention, nn.Linear(WIDTH, 2)

    def forward(self, x):
        x = torch.tanh(self.embed(x))
        return self.fc((x + self.attn(x)).mean(1))


KINDS = {
    "ours": lambda: Attention(WIDTH, HEADS), "fused": Fused, "bert": Bert, "torch": Torch,
    "apart": Apart,
}  # fmt: skip


def net_of(kind):
    torch.manual_seed(0)
    net = Net(KINDS[kind]())
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape))  # biases too
    return net


def structure(**changes):
    return config.bind("structure", {"name": "head", "pool": "mean"} | changes, "here")


def half(net, density=0.75):
    """Return the mask of the net with some of its three heads, set to 0 in place."""
    dense = masks.dense(net)
    scores = {n: w.detach().abs() for n, w in masks.prunable(net).items()}
    allocation = config.bind("allocation", {"name": "globally"}, "here")
    mask = units.allocate(structure()(net, TASK, scores, dense), allocation, density, dense)
    masks.apply_(net, mask)
    return mask


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_is_its_rows_and_its_columns(kind):
    """6 x 6 matrices: a head has 2 rows of three of them and 2 columns of the fourth, 48 of 192 weights."""
    net = net_of(kind)
    (heads,) = attention_heads.found(net)
    mask = half(net)
    fewer = 2 * (kind == "apart")  # keys of five numbers
    assert masks.total(mask) - masks.kept(mask) == 48 - fewer
    gone = ~mask[heads.read.name].any(0)
    assert gone.sum() == 2 and gone.view(HEADS, -1).all(1).sum() == 1
    for part in heads.made:
        rows = gone.repeat(len(mask[part.name]) // WIDTH)
        assert torch.equal(mask[part.name], ~rows[:, None].expand(mask[part.name].shape))
    assert mask["embed.weight"].all() and mask["fc.weight"].all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_removed_head_holds_reaches_no_output(kind):
    net, x = net_of(kind), torch.randn(4, 3, WIDTH)
    mask = half(net)
    before = net(x)
    for part in attention_heads.found(net)[0].made:
        weight = net.get_parameter(part.name)
        with torch.no_grad():
            weight[~mask[part.name]] = 5.0
    torch.testing.assert_close(net(x), before)


@pytest.mark.parametrize("kind", ["ours", "fused", "bert"])
def test_heads_are_cut_off_and_read_back(kind):
    net, x = net_of(kind), torch.randn(4, 3, WIDTH)
    mask = half(net)
    small = compact(net, mask, TASK)
    torch.testing.assert_close(small(x), net(x))
    assert sum(w.numel() for w in masks.prunable(small).values()) == masks.kept(mask)
    again = net_of(kind)
    shrink_(again, small.state_dict())
    torch.testing.assert_close(again(x), small(x))
    assert [h.number for h in attention_heads.found(again)] == [2]


def test_heads_of_torch_cannot_be_cut_off():
    net = net_of("torch")
    mask = half(net)
    with pytest.raises(UsageError, match="none can be cut off; those of model=vit can"):
        compact(net, mask, TASK)


def test_an_attention_that_loses_all_keeps_one_head_of_zeros():
    net, x = net_of("ours"), torch.randn(4, 3, WIDTH)
    mask = masks.dense(net)
    for name in ("q", "k", "v", "proj"):
        mask[f"attn.{name}.weight"][:] = False
    masks.apply_(net, mask)
    small = compact(net, mask, TASK)
    assert small.attn.q.weight.shape == (2, WIDTH)
    torch.testing.assert_close(small(x), net(x))


@pytest.mark.parametrize("attention", [HeadsFirst, Talking])
def test_heads_that_lie_or_act_otherwise_are_refused(attention):
    net = Net(attention())
    dense = masks.dense(net)
    with pytest.raises(UsageError, match="heads of attn are not apart") as error:
        structure()(net, TASK, {n: torch.ones(m.shape) for n, m in dense.items()}, dense)
    assert "\n" not in str(error.value)


def test_scores_are_pooled_over_all_that_a_head_owns():
    net = net_of("ours")
    dense = masks.dense(net)
    scores = {n: torch.zeros(m.shape) for n, m in dense.items()}
    scores["attn.q.weight"][0, 0], scores["attn.k.weight"][2, 1] = 3, 1
    scores["attn.proj.weight"][5, 2], scores["attn.v.weight"][4, 0] = 4, 2
    made = structure(pool="l1")(net, TASK, scores, dense)
    assert {n: s.tolist() for n, s in made.scores.items()} == {"attn.q.weight": [3, 5, 2]}
    assert structure(pool="max")(net, TASK, scores, dense).scores["attn.q.weight"].tolist() == [3, 4, 2]
    dense["attn.proj.weight"][:, 2:4] = dense["attn.k.weight"][2:4] = False
    for name in "qv":
        dense[f"attn.{name}.weight"][2:4] = False
    assert structure()(net, TASK, scores, dense).mask["attn.q.weight"].tolist() == [True, False, True]


def test_what_no_attention_is_counts_and_the_way_out_is_told():
    net = net_of("ours")
    with pytest.raises(UsageError, match="below 0.5, the lowest") as error:
        half(net, 0.3)
    assert str(error.value).endswith("count attention alone: type 'prune.include=[attn.*]'")
    alone = masks.dense(net, ["attn.*"])
    scores = {n: torch.rand(m.shape) for n, m in alone.items()}
    kept = structure()(net, TASK, scores, alone)
    with pytest.raises(UsageError, match="below 0.333333, .* type prune/structure=weight"):
        units.allocate(kept, config.bind("allocation", {"name": "globally"}, "here"), 0.2, alone)
    for left in (["fc"], ["attn.q", "attn.k", "attn.v"]):
        mask = masks.dense(net, left)
        with pytest.raises(UsageError, match="no attention whose heads are known"):
            structure()(net, TASK, {n: torch.ones(m.shape) for n, m in mask.items()}, mask)


def test_names_that_happen_to_fit_are_no_attention():
    odd = nn.Module()
    odd.q, odd.k, odd.v, odd.proj = (nn.Linear(4, 4) for _ in range(4))
    assert not attention_heads.found(odd)
    odd.num_heads = 3
    assert not attention_heads.found(odd)
    odd.num_heads = 2
    assert [h.number for h in attention_heads.found(odd)] == [2]


class Embedded(nn.Module):
    """A net of transformers that is given vectors in place of words."""

    def __init__(self, kind, settings):
        super().__init__()
        library = libraries.opened("transformers", "hf", "a test")
        self.inner = getattr(library, f"{kind}Model")(getattr(library, f"{kind}Config")(vocab_size=9, **settings))
        self.fc = nn.Linear(WIDTH, 2)
        self.also = {"decoder_inputs_embeds"} if kind == "Bart" else set()

    def forward(self, x):
        return self.fc(self.inner(inputs_embeds=x, **dict.fromkeys(self.also, x))[0].mean(1))


BERT = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": HEADS, "intermediate_size": WIDTH}
BART = {"d_model": WIDTH, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS, "encoder_ffn_dim": WIDTH, "decoder_ffn_dim": WIDTH}  # fmt: skip
OTHERS = {
    "Bert": BERT, "Albert": BERT | {"embedding_size": WIDTH}, "Bart": BART,
    "DistilBert": {"dim": WIDTH, "n_layers": 1, "n_heads": HEADS, "hidden_dim": WIDTH},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_heads_of_transformers_are_cut_off(kind):
    torch.manual_seed(0)
    net, x = Embedded(kind, OTHERS[kind]).eval(), torch.randn(2, 3, WIDTH)
    every = attention_heads.found(net)
    assert [heads.number for heads in every] == [HEADS] * (3 if kind == "Bart" else 1)
    mask = half(net, 0.85)
    assert masks.kept(mask) < masks.total(mask)
    small = compact(net, mask, TASK).eval()
    torch.testing.assert_close(small(x), net(x))
    assert sum(heads.number for heads in attention_heads.found(small)) < HEADS * len(every)
