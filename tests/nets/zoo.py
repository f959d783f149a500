"""Nets as users bring them: what breaks the assumptions that the product's own nets satisfy.

Each is a plain function `(task) -> nn.Module` for small images [C, H, W], H even. `NETS` names
those that are to train, `REFUSED` those that cannot, with words of the line that says why.

The fixture `zoo` of tests/conftest.py installs all of them as a package's entry points, with a
yaml each, and runs them:

    def test_mine(zoo):
        folder = zoo("tied_embedding", "prune=snip")         # exit 0; returns replicate_0
        line = zoo.refusal("image_out")                      # exit 2; the line on stderr
        zoo.words("lstm")                                    # the overrides, for other commands

`zoo.path` is the folder to put on PYTHONPATH, beside that of this file, for a subprocess.

A tensor may have several names. In the product `mask.names(model)` gives them all by the one that
the mask has, `mask.everywhere(tensors, names)` says of each name what is said of the first, and
`run.names` is that table of an opened run. All names stand in the state_dict, one in the mask.
"""

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn
from torch.nn.utils import parametrizations, parametrize

WIDTH = 8


def pixels(task):
    """Return the numbers of one image."""
    return task.input_shape[0] * task.input_shape[1] * task.input_shape[2]


def tokens(x, words=WIDTH):
    """Return an image as words of a small vocabulary, [B, T]."""
    return ((x.flatten(1) + 2) * words / 4).long().clamp(0, words - 1)


def rows(x):
    """Return an image as a sequence of its rows, [B, H, C * W]."""
    return x.transpose(1, 2).flatten(2)


class Net(nn.Module):
    """A module made of parts, and a function for its forward."""

    def __init__(self, call, **parts):
        super().__init__()
        self.call = call
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.call(self, x)


# A tensor has more than one name


def tied_embedding(task):
    """An embedding tied to a layer that reads out words, as in a language model."""

    def call(net, x):
        hidden = F.relu(net.hidden(net.embedding(tokens(x)).mean(1)))
        return net.head(net.words(hidden))

    embedding = nn.Embedding(WIDTH, WIDTH)
    words = nn.Linear(WIDTH, WIDTH, bias=False)
    words.weight = embedding.weight
    hidden, head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, task.outputs)
    return Net(call, embedding=embedding, hidden=hidden, words=words, head=head)


def tied_layers(task):
    """Two layers, each with a bias of its own, of one weight."""

    def call(net, x):
        return net.head(F.relu(net.b(F.relu(net.a(F.relu(net.first(x.flatten(1))))))))

    a, b = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
    b.weight = a.weight
    first, head = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, task.outputs)
    return Net(call, first=first, a=a, b=b, head=head)


def two_names(task):
    """The same module registered under two names, and in a list."""

    def call(net, x):
        return net.head(F.relu(net.again(F.relu(net.block(F.relu(net.first(x.flatten(1))))))))

    block = nn.Linear(WIDTH, WIDTH)
    first, head = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, task.outputs)
    return Net(call, first=first, block=block, again=block, every=nn.ModuleList([block]), head=head)


def called_twice(task):
    """A module called twice."""

    def call(net, x):
        return net.head(F.relu(net.block(F.relu(net.block(F.relu(net.first(x.flatten(1))))))))

    first, block = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, WIDTH)
    return Net(call, first=first, block=block, head=nn.Linear(WIDTH, task.outputs))


def autoencoder(task):
    """A weight used as it is and transposed."""

    def call(net, x):
        coded = F.relu(net.code(x.flatten(1)))
        return net.head(F.relu(F.linear(coded, net.code.weight.t())))

    code, head = nn.Linear(pixels(task), WIDTH), nn.Linear(pixels(task), task.outputs)
    return Net(call, code=code, head=head)


def tied_conv(task):
    """Convolutions of one weight, with different dilations and BatchNorms."""

    def call(net, x):
        x = F.relu(net.first(x))
        x = F.relu(net.norm_a(net.a(x)))
        x = F.relu(net.norm_b(net.b(x)))
        return net.head(x.mean((2, 3)))

    a = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
    b = nn.Conv2d(WIDTH, WIDTH, 3, padding=2, dilation=2, bias=False)
    b.weight = a.weight
    first = nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1)
    norms = {"norm_a": nn.BatchNorm2d(WIDTH), "norm_b": nn.BatchNorm2d(WIDTH)}
    return Net(call, first=first, a=a, b=b, **norms, head=nn.Linear(WIDTH, task.outputs))


# Recurrent nets


def recurrent(kind, task, **options):
    def call(net, x):
        return net.head(net.cell(rows(x))[0][:, -1])

    wide = options.get("proj_size") or WIDTH
    cell = kind(task.input_shape[0] * task.input_shape[2], WIDTH, batch_first=True, **options)
    head = nn.Linear(wide * (2 if options.get("bidirectional") else 1), task.outputs)
    return Net(call, cell=cell, head=head)


def lstm(task):
    return recurrent(nn.LSTM, task)


def lstm_projected(task):
    """Two layers, both directions, with projections and dropout."""
    options = {"num_layers": 2, "bidirectional": True, "proj_size": 4, "dropout": 0.1}
    return recurrent(nn.LSTM, task, **options)


def gru(task):
    return recurrent(nn.GRU, task)


def rnn_bidirectional(task):
    return recurrent(nn.RNN, task, bidirectional=True)


def gru_cell(task):
    """A cell called at every row."""

    def call(net, x):
        hidden = torch.zeros(len(x), WIDTH, dtype=x.dtype, device=x.device)
        for row in rows(x).unbind(1):
            hidden = net.cell(row, hidden)
        return net.head(hidden)

    cell = nn.GRUCell(task.input_shape[0] * task.input_shape[2], WIDTH)
    return Net(call, cell=cell, head=nn.Linear(WIDTH, task.outputs))


# Attention


def torch_encoder(task):
    """Two layers of TransformerEncoder, norm first, with a class token and positions."""

    def call(net, x):
        words = net.embed(rows(x))
        first = net.token.expand(len(x), 1, WIDTH)
        return net.head(net.encoder(torch.cat([first, words], 1) + net.positions)[:, 0])

    layer = nn.TransformerEncoderLayer(WIDTH, 2, 2 * WIDTH, dropout=0.1, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    places = task.input_shape[1] + 1
    return Net(
        call, embed=nn.Linear(task.input_shape[0] * task.input_shape[2], WIDTH),
        token=nn.Parameter(torch.zeros(1, 1, WIDTH)),
        positions=nn.Parameter(torch.randn(1, places, WIDTH) / 10),
        encoder=encoder, head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def attention(task):
    """nn.MultiheadAttention with keys of another width, so with q, k and v apart."""

    def call(net, x):
        x = rows(x)
        mixed, _ = net.attention(net.embed(x), x, x, need_weights=False)
        return net.head(mixed.mean(1))

    wide = task.input_shape[0] * task.input_shape[2]
    heads = nn.MultiheadAttention(WIDTH, 2, kdim=wide, vdim=wide, batch_first=True)
    embed, head = nn.Linear(wide, WIDTH), nn.Linear(WIDTH, task.outputs)
    return Net(call, embed=embed, attention=heads, head=head)


def attention_by_hand(task):
    """q, k and v from one layer, einsum and softmax."""

    def call(net, x):
        q, k, v = net.qkv(net.embed(rows(x))).chunk(3, -1)
        weights = (torch.einsum("btd,bsd->bts", q, k) / WIDTH**0.5).softmax(-1)
        return net.head(net.out(weights @ v).mean(1))

    return Net(
        call, embed=nn.Linear(task.input_shape[0] * task.input_shape[2], WIDTH),
        qkv=nn.Linear(WIDTH, 3 * WIDTH), out=nn.Linear(WIDTH, WIDTH),
        head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


# A weight that its layer does not use as it is


class Standardised(nn.Conv2d):
    """A convolution whose weight is standardised at every call (Qiao et al. 2019)."""

    def forward(self, x):
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        w = w / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return self._conv_forward(x, w, self.bias)


def standardised(task):
    def call(net, x):
        x = F.relu(net.norm_a(net.a(x)))
        return net.head(F.relu(net.norm_b(net.b(x))).mean((2, 3)))

    return Net(
        call, a=Standardised(task.input_shape[0], WIDTH, 3, padding=1),
        norm_a=nn.GroupNorm(2, WIDTH), b=Standardised(WIDTH, WIDTH, 3, padding=1),
        norm_b=nn.GroupNorm(2, WIDTH), head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def perceptron(task, wrap):
    def call(net, x):
        return net.head(F.relu(net.b(F.relu(net.a(x.flatten(1))))))

    a, b = wrap(nn.Linear(pixels(task), WIDTH)), wrap(nn.Linear(WIDTH, WIDTH))
    return Net(call, a=a, b=b, head=nn.Linear(WIDTH, task.outputs))


def weight_norm(task):
    return perceptron(task, parametrizations.weight_norm)


def spectral_norm(task):
    return perceptron(task, parametrizations.spectral_norm)


class Symmetric(nn.Module):
    def forward(self, w):
        return w.triu() + w.triu(1).T


def symmetric(task):
    """A parametrisation of one's own that makes a weight out of half of its parameter."""

    def call(net, x):
        return net.head(F.relu(net.b(F.relu(net.a(x.flatten(1))))))

    b = nn.Linear(WIDTH, WIDTH)
    parametrize.register_parametrization(b, "weight", Symmetric())
    return Net(call, a=nn.Linear(pixels(task), WIDTH), b=b, head=nn.Linear(WIDTH, task.outputs))


def old_weight_norm(task):
    """The weight norm of earlier versions of torch: a hook that sets the weight at every call."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return perceptron(task, nn.utils.weight_norm)


def functional(task):
    """Weights read from modules that are never called."""

    def call(net, x):
        x = F.relu(F.linear(x.flatten(1), net.a.weight, net.a.bias))
        return F.linear(x, net.head.weight)

    head = nn.Linear(WIDTH, task.outputs, bias=False)
    return Net(call, a=nn.Linear(pixels(task), WIDTH), head=head)


def bare(task):
    """Bare parameters in products, beside layers."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)) @ net.matrix)
        x = torch.einsum("bi,ij->bj", x, net.every[0]) * net.every[1]
        return net.head(x)

    every = nn.ParameterList([torch.randn(WIDTH, WIDTH) / 3, torch.ones(WIDTH)])
    matrix = nn.Parameter(torch.randn(WIDTH, WIDTH) / 3)
    a, head = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, task.outputs)
    return Net(call, a=a, matrix=matrix, every=every, head=head)


class Shifted(nn.Linear):
    """A layer of a class of one's own, whose bias is added before the product."""

    def forward(self, x):
        return F.linear(x + 0.1, self.weight) + self.bias


def own_layer(task):
    def call(net, x):
        return net.head(F.relu(net.b(F.relu(net.a(x.flatten(1))))))

    a, b = nn.Linear(pixels(task), WIDTH), Shifted(WIDTH, WIDTH)
    return Net(call, a=a, b=b, head=nn.Linear(WIDTH, task.outputs))


def hooked(task):
    """Hooks before and after a layer that change what it reads and gives."""

    def call(net, x):
        return net.head(F.relu(net.b(F.relu(net.a(x.flatten(1))))))

    net = Net(
        call, a=nn.Linear(pixels(task), WIDTH), b=nn.Linear(WIDTH, WIDTH),
        head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip
    net.b.register_forward_pre_hook(lambda layer, given: (given[0] * 2,))
    net.b.register_forward_hook(lambda layer, given, made: made + 0.1)
    net.a.weight.register_hook(lambda gradient: gradient / 2)
    return net


# A weight without a gradient, in a step or ever


def frozen_backbone(task):
    """Only the head is trained."""
    net = perceptron(task, lambda layer: layer)
    for layer in (net.a, net.b):
        layer.requires_grad_(False)
    return net


def unused(task):
    """A layer that no step uses, and one that only its own method uses."""
    net = perceptron(task, lambda layer: layer)
    net.spare = nn.Linear(WIDTH, WIDTH)
    net.conv = nn.Conv2d(1, 2, 3)
    return net


def skipped(task):
    """Stochastic depth: a layer that only some steps use."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        if not net.training or torch.rand(()) < 0.5:
            x = x + F.relu(net.b(x))
        return net.head(x)

    a, b = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, WIDTH)
    return Net(call, a=a, b=b, head=nn.Linear(WIDTH, task.outputs))


def detached(task):
    """A layer used without a gradient."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        with torch.no_grad():
            gate = net.gate(x).sigmoid()
        return net.head(x * gate)

    a, gate = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, WIDTH)
    return Net(call, a=a, gate=gate, head=nn.Linear(WIDTH, task.outputs))


def branching(task):
    """A forward that looks at values."""

    def call(net, x):
        x = net.a(x.flatten(1))
        x = F.relu(net.b(x)) if x.mean() > 0 else F.relu(net.c(x))
        return net.head(x)

    return Net(
        call, a=nn.Linear(pixels(task), WIDTH), b=nn.Linear(WIDTH, WIDTH),
        c=nn.Linear(WIDTH, WIDTH), head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def linear_net(task):
    """No activation: second derivatives of a layer by itself are those of the loss alone."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, task.outputs)
    )


# Activations, orders and shapes


def cached(task):
    """Activations kept on the module, in lists and dicts as well."""

    def call(net, x):
        net.last = F.relu(net.a(x.flatten(1)))
        net.seen = {"deep": [net.last]}
        net.skip = net.b(net.last)
        return net.head(F.relu(net.skip) + net.seen["deep"][0])

    a, b = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, WIDTH)
    return Net(call, a=a, b=b, head=nn.Linear(WIDTH, task.outputs))


def head_first(task):
    """The head is defined first, and a hidden layer has as many outputs."""

    def call(net, x):
        return net.head(F.relu(net.narrow(F.relu(net.a(x.flatten(1))))))

    return Net(
        call, head=nn.Linear(task.outputs, task.outputs), a=nn.Linear(pixels(task), WIDTH),
        narrow=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def head_first_conv(task):
    def call(net, x):
        return net.head(F.relu(net.b(F.relu(net.a(x)))).mean((2, 3)))

    return Net(
        call, head=nn.Linear(WIDTH, task.outputs),
        a=nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1),
        b=nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
    )  # fmt: skip


def conv_head(task):
    """The last layer is a convolution, averaged over pixels."""

    def call(net, x):
        return net.head(F.relu(net.a(x))).mean((2, 3))

    a = nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1)
    return Net(call, a=a, head=nn.Conv2d(WIDTH, task.outputs, 1))


def two_heads(task):
    """The mean of two heads, of which the second is defined first."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        return (net.main(x) + net.second(F.relu(net.b(x)))) / 2

    return Net(
        call, second=nn.Linear(WIDTH, task.outputs), main=nn.Linear(WIDTH, task.outputs),
        a=nn.Linear(pixels(task), WIDTH), b=nn.Linear(WIDTH, WIDTH),
    )  # fmt: skip


def lazy(task):
    """Layers that learn their inputs at the first call."""
    return nn.Sequential(
        nn.LazyConv2d(WIDTH, 3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(task.outputs),
    )  # fmt: skip


def tuple_out(task):
    """Scores and features; one of them with names."""

    def call(net, x):
        features = F.relu(net.a(x.flatten(1)))
        return net.head(features), features

    a, head = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, task.outputs)
    return Net(call, a=a, head=head)


def dict_out(task):
    def call(net, x):
        return {"features": x, "logits": net.head(F.relu(net.a(x.flatten(1))))}

    a, head = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, task.outputs)
    return Net(call, a=a, head=head)


def conv1d(task):
    def call(net, x):
        return net.head(F.relu(net.norm(net.b(F.relu(net.a(rows(x)))))).mean(2))

    return Net(
        call, a=nn.Conv1d(task.input_shape[1], WIDTH, 3, padding=1),
        b=nn.Conv1d(WIDTH, WIDTH, 3, padding=1), norm=nn.BatchNorm1d(WIDTH),
        head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def conv3d(task):
    """Volumes: five axes, which know no channels-last of four."""

    def call(net, x):
        x = F.relu(net.norm(net.a(x.unsqueeze(2).expand(-1, -1, 2, -1, -1))))
        return net.head(F.relu(net.b(x)).mean((2, 3, 4)))

    return Net(
        call, a=nn.Conv3d(task.input_shape[0], WIDTH, 3, padding=1), norm=nn.BatchNorm3d(WIDTH),
        b=nn.Conv3d(WIDTH, WIDTH, 1), head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def transposed(task):
    """Transposed convolutions of one to three dimensions."""

    def call(net, x):
        x = F.relu(net.two(F.relu(net.a(x))))
        x = F.relu(net.three(x.unsqueeze(2))).mean(2)
        return net.head(F.relu(net.one(x.flatten(2))).mean(2))

    return Net(
        call, a=nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1),
        two=nn.ConvTranspose2d(WIDTH, 6, 2, stride=2), three=nn.ConvTranspose3d(6, 5, 1),
        one=nn.ConvTranspose1d(5, WIDTH, 2, stride=2), head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def grouped(task):
    """Groups, dilation, depthwise, and a transposed convolution in groups."""

    def call(net, x):
        x = F.relu(net.groups(F.relu(net.a(x))))
        return net.head(F.relu(net.up(F.relu(net.depthwise(x)))).mean((2, 3)))

    return Net(
        call, a=nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1),
        groups=nn.Conv2d(WIDTH, WIDTH, 3, padding=2, dilation=2, groups=2),
        depthwise=nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH),
        up=nn.ConvTranspose2d(WIDTH, WIDTH, 2, groups=2), head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def permuted(task):
    """Convolutions that read [B, H, W, C] by permuting, views of memory in another order."""

    def call(net, x):
        x = net.norm(net.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = F.relu(x).contiguous().view(len(x), WIDTH, -1)
        return net.head(x.transpose(1, 2).mean(1))

    a = nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1)
    return Net(call, a=a, norm=nn.LayerNorm(WIDTH), head=nn.Linear(WIDTH, task.outputs))


def needs_contiguous(task):
    """A view that only contiguous memory can give: no channels-last."""

    def call(net, x):
        return net.head(F.relu(net.a(x)).view(len(x), -1))

    wide = WIDTH * task.input_shape[1] * task.input_shape[2]
    a = nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1)
    return Net(call, a=a, head=nn.Linear(wide, task.outputs))


def strided(task):
    """Weights whose memory lies in another order than their axes."""
    net = perceptron(task, lambda layer: layer)
    net.b.weight = nn.Parameter(net.b.weight.detach().t().contiguous().t())
    return net


def plain_norms(task):
    """BatchNorm without affine parameters, without running statistics, and in other orders."""

    def call(net, x):
        x = F.relu(net.norm_a(net.a(x)))
        return net.head(F.relu(net.norm_b(net.b(x))).mean((2, 3)))

    return Net(
        call, a=nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1),
        norm_a=nn.BatchNorm2d(WIDTH, affine=False), b=nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        norm_b=nn.BatchNorm2d(WIDTH, track_running_stats=False),
        head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def group_norm(task):
    """GroupNorm and dropout, with a head of a bottleneck's size."""

    def call(net, x):
        x = net.drop(F.relu(net.norm(net.a(x))))
        return net.head(F.relu(net.b(x)).mean((2, 3)))

    return Net(
        call, a=nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1), norm=nn.GroupNorm(4, WIDTH),
        drop=nn.Dropout2d(0.2), b=nn.Conv2d(WIDTH, WIDTH, 1), head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


# Types of numbers


class Double(nn.Module):
    """A net of float64 that casts its input."""

    def __init__(self, task):
        super().__init__()
        self.a = nn.Linear(pixels(task), WIDTH, dtype=torch.float64)
        self.head = nn.Linear(WIDTH, task.outputs, dtype=torch.float64)

    def forward(self, x):
        return self.head(F.relu(self.a(x.flatten(1).to(self.a.weight.dtype))))


def double(task):
    return Double(task)


def mixed_types(task):
    """A layer of float64 between two of float32, and a table of integers."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)[:, net.order]))
        x = net.b(x.to(net.b.weight.dtype)).to(x.dtype)
        return net.head(F.relu(x))

    net = Net(
        call, a=nn.Linear(pixels(task), WIDTH), b=nn.Linear(WIDTH, WIDTH, dtype=torch.float64),
        head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip
    net.register_buffer("order", torch.arange(pixels(task)).flip(0))
    return net


def half(task):
    """A layer kept in bfloat16 to save memory."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        return net.head(F.relu(net.b(x.to(net.b.weight.dtype)).to(x.dtype)))

    return Net(
        call, a=nn.Linear(pixels(task), WIDTH), b=nn.Linear(WIDTH, WIDTH, dtype=torch.bfloat16),
        head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


# Compiled and scripted


def compiled(task):
    """What torch.compile gives; it takes seconds to import."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.compile(perceptron(task, lambda layer: layer))


def scripted(task):
    """A net of TorchScript."""
    import warnings

    net = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels(task), WIDTH), nn.ReLU(), nn.Linear(WIDTH, task.outputs)
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(net)


# What a net keeps, and how it is called


def low_rank(task):
    """A parametrisation that adds a product of matrices, which begins at 0."""

    class Added(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.Parameter(torch.randn(2, WIDTH) / 3)
            self.up = nn.Parameter(torch.zeros(WIDTH, 2))

        def forward(self, w):
            return w + self.up @ self.down

    net = perceptron(task, lambda layer: layer)
    parametrize.register_parametrization(net.b, "weight", Added())
    return net


def spectral_conv(task):
    """A spectral norm whose vectors follow the weight, which may lose whole filters."""

    def call(net, x):
        return net.head(F.relu(net.b(F.relu(net.a(x)))).mean((2, 3)))

    a = nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1)
    return Net(
        call, a=parametrizations.spectral_norm(a), b=nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        head=nn.Linear(WIDTH, task.outputs),
    )  # fmt: skip


def checkpointed(task):
    """A part that is computed again in the backward pass, which only whole passes take."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        if not net.training:
            return net.head(F.relu(net.b(x)))
        again = torch.utils.checkpoint.checkpoint
        return net.head(again(lambda x: F.relu(net.b(x)), x, use_reentrant=True))

    a, b = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, WIDTH)
    return Net(call, a=a, b=b, head=nn.Linear(WIDTH, task.outputs))


def scripted_part(task):
    """TorchScript within a net."""
    import warnings

    net = perceptron(task, lambda layer: layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.b = torch.jit.script(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()))
    return net


def recording(task):
    """A hook that keeps what layers give in a list of the net, whatever that is."""
    net = perceptron(task, lambda layer: layer)
    net.kept = []
    net.b.register_forward_hook(lambda layer, given, made: net.kept.append(made) or None)
    return net


def keeps_handles(task):
    """A lock, and a generator of Python in a dict, which no copy can have."""
    import threading

    net = perceptron(task, lambda layer: layer)
    net.lock, net.handles = threading.Lock(), {"more": (n for n in "a")}
    return net


class Slotted(nn.Module):
    """A module with slots, which torch leaves out of a copy."""

    __slots__ = ("scale",)

    def __init__(self, task):
        super().__init__()
        self.scale = 2.0
        self.a, self.head = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, task.outputs)

    def forward(self, x):
        return self.head(F.relu(self.a(x.flatten(1)))) * self.scale


def slotted(task):
    return Slotted(task)


def train_gives_none(task):
    """A train() that forgets to return the net, and keeps its BatchNorm in evaluation mode."""

    class Kept(Net):
        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()

    def call(net, x):
        return net.head(F.relu(net.norm(net.a(x))).mean((2, 3)))

    a = nn.Conv2d(task.input_shape[0], WIDTH, 3, padding=1)
    norm, head = nn.BatchNorm2d(WIDTH), nn.Linear(WIDTH, task.outputs)
    return Kept(call, a=a, norm=norm, head=head)


def narrow(task):
    """Layers of one unit, of one weight, and of none."""
    import warnings

    def call(net, x):
        x = torch.tanh(net.thin(F.relu(net.a(x.flatten(1)))))
        return net.head(net.one(x)) + net.none(x[:, :0])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        none = nn.Linear(0, task.outputs)
    return Net(
        call, a=nn.Linear(pixels(task), WIDTH), thin=nn.Linear(WIDTH, 1), one=nn.Linear(1, 1),
        head=nn.Linear(1, task.outputs), none=none,
    )  # fmt: skip


def inference(task):
    """No gradients in evaluation: inference mode, in which layers are not taken apart."""

    def call(net, x):
        with torch.inference_mode(not net.training):
            return net.head(F.relu(net.b(F.relu(net.a(x.flatten(1))))))

    a, b = nn.Linear(pixels(task), WIDTH), nn.Linear(WIDTH, WIDTH)
    return Net(call, a=a, b=b, head=nn.Linear(WIDTH, task.outputs))


def seeds_itself(task):
    """The same weights whatever the seed."""
    torch.manual_seed(42)
    return perceptron(task, lambda layer: layer)


def pretrained(task):
    """Weights from elsewhere, with a head of its own."""
    draw = torch.Generator().manual_seed(0)
    net = perceptron(task, lambda layer: layer)
    with torch.no_grad():
        for layer in (net.a, net.b):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=draw) / 3)
    return net


def drawn_by_numpy(task):
    """Weights that numpy and Python draw."""
    import random

    import numpy as np

    net = perceptron(task, lambda layer: layer)
    with torch.no_grad():
        for layer in (net.a, net.b):
            layer.weight.copy_(torch.from_numpy(np.random.randn(*layer.weight.shape)) / 3)
        net.head.weight[0].fill_(random.random())
    return net


# Nets that cannot be trained here


def sparse_gradient(task):
    """An embedding whose gradient is a sparse tensor."""

    def call(net, x):
        return net.head(F.relu(net.embedding(tokens(x)).mean(1)))

    embedding = nn.Embedding(WIDTH, WIDTH, sparse=True)
    return Net(call, embedding=embedding, head=nn.Linear(WIDTH, task.outputs))


def counts_calls(task):
    """A number of Python that changes what is computed."""

    def call(net, x):
        net.calls += net.training
        return net.head(F.relu(net.b(F.relu(net.a(x.flatten(1)))))) / (1 + net.calls)

    net = perceptron(task, lambda layer: layer)
    net.call, net.calls = call, 0
    return net


def own_generator(task):
    """Noise of a generator that no seed reaches."""
    draw = torch.Generator().manual_seed(0)

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        return net.head(x + torch.randn(x.shape, generator=draw) if net.training else x)

    return Net(call, a=nn.Linear(pixels(task), WIDTH), head=nn.Linear(WIDTH, task.outputs))


def unsaved_mean(task):
    """A running mean that is not saved, of which only evaluation knows."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        if net.training:
            net.mean.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
        return net.head(x if net.training else x - net.mean)

    net = Net(call, a=nn.Linear(pixels(task), WIDTH), head=nn.Linear(WIDTH, task.outputs))
    net.register_buffer("mean", torch.zeros(WIDTH), persistent=False)
    return net


def growing(task):
    """A buffer that grows in training."""

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        if net.training:
            net.seen = torch.cat([net.seen, x.detach()[:1]])
        return net.head(x)

    net = Net(call, a=nn.Linear(pixels(task), WIDTH), head=nn.Linear(WIDTH, task.outputs))
    net.register_buffer("seen", torch.zeros(1, WIDTH))
    return net


def random_depth(task):
    """Stochastic depth by Python's own generator."""
    import random

    def call(net, x):
        x = F.relu(net.a(x.flatten(1)))
        return net.head(F.relu(net.b(x)) if random.random() < 0.5 else x)

    net = perceptron(task, lambda layer: layer)
    net.call = call
    return net


def reads_a_clock(task):
    """Weights that no seed makes again."""
    import time

    net = perceptron(task, lambda layer: layer)
    with torch.no_grad():
        net.a.weight[0, 0] = time.time_ns() % 2**20
    return net


def expanded(task):
    """A weight of which all rows are one in memory."""
    net = perceptron(task, lambda layer: layer)
    net.b.weight = nn.Parameter(torch.randn(1, WIDTH).expand(WIDTH, WIDTH))
    return net


def overlapping(task):
    """Two weights that are parts of one tensor, with rows in common."""
    net, rows = perceptron(task, lambda layer: layer), torch.randn(WIDTH + 4, WIDTH)
    net.b.weight, net.spare = nn.Parameter(rows[:WIDTH]), nn.Parameter(rows[4:])
    return net


def transposed_memory(task):
    """A parameter over the memory of another, transposed."""
    net = perceptron(task, lambda layer: layer)
    net.back = nn.Parameter(net.b.weight.detach().t())
    return net


def viewing_buffer(task):
    """A buffer over the memory of a parameter."""
    net = perceptron(task, lambda layer: layer)
    net.register_buffer("flat", net.b.weight.detach().view(-1))
    return net


def ties_in_forward(task):
    """Tied at the first call, not where the net is made."""

    def call(net, x):
        net.c.weight = net.b.weight
        return net.head(F.relu(net.c(F.relu(net.b(F.relu(net.a(x.flatten(1))))))))

    net = perceptron(task, lambda layer: layer)
    net.call, net.c = call, nn.Linear(WIDTH, WIDTH)
    return net


def casts_itself(task):
    """A net that becomes float64 at its first call."""

    def call(net, x):
        return net.double().head(F.relu(net.a(x.flatten(1).double()))).float()

    return Net(call, a=nn.Linear(pixels(task), WIDTH), head=nn.Linear(WIDTH, task.outputs))


def lazy_unused(task):
    """A lazy layer that no call makes."""
    net = perceptron(task, lambda layer: layer)
    net.spare = nn.LazyLinear(3)
    return net


def on_meta(task):
    """A layer that has no numbers."""
    net = perceptron(task, lambda layer: layer)
    net.spare = nn.Linear(3, 3, device="meta")
    return net


def squeezed(task):
    """Scores that lose the axis of a batch of one."""
    return nn.Sequential(nn.Flatten(), perceptron(task, lambda layer: layer), Squeeze())


class Squeeze(nn.Module):
    def forward(self, x):
        return x.squeeze()


def extra_state(task):
    """A state_dict with more than tensors."""

    class Versioned(Net):
        def get_extra_state(self):
            return {"version": 2}

        def set_extra_state(self, state):
            pass

    net = perceptron(task, lambda layer: layer)
    return Versioned(net.call, a=net.a, b=net.b, head=net.head)


def two_inputs(task):
    net = perceptron(task, lambda layer: layer)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, y):
            return self.net(x) + self.net(y)

    return Two()


def image_out(task):
    """A picture for a picture."""
    return nn.Conv2d(task.input_shape[0], 1, 3, padding=1)


def double_as_it_is(task):
    """A net of float64 that leaves its input as it is."""
    return perceptron(task, lambda layer: layer).double()


def only_vectors(task):
    """Nothing but scales and shifts: no parameter of two axes."""

    def call(net, x):
        return x.flatten(1)[:, : task.outputs] * net.scale + net.shift

    scale, shift = nn.Parameter(torch.ones(task.outputs)), nn.Parameter(torch.zeros(task.outputs))
    return Net(call, scale=scale, shift=shift)


def fails_in_forward(task):
    """An error of the user's own."""

    def call(net, x):
        raise KeyError("tokens")

    return Net(call, a=nn.Linear(pixels(task), task.outputs))


def no_module(task):
    """A function in place of a module."""
    return lambda x: x


def nothing_trained(task):
    """Every parameter is frozen."""
    return perceptron(task, lambda layer: layer).requires_grad_(False)


REFUSED = {
    "two_inputs": "model",
    "image_out": "model",
    "scripted": "model",
    "double_as_it_is": "model",
    "only_vectors": "prune",
    "fails_in_forward": "model",
    "no_module": "model",
    "nothing_trained": "model",
    "sparse_gradient": "make its layer with sparse=False",
    "counts_calls": "other scores at another call",
    "own_generator": "other scores at another call",
    "unsaved_mean": "other scores at another call",
    "growing": "its forward changes seen: its shape",
    "random_depth": "draws from random",
    "reads_a_clock": "made twice from one seed, a.weight has other numbers",
    "expanded": "b.weight is expanded",
    "overlapping": "over the same memory",
    "transposed_memory": "over the same memory",
    "viewing_buffer": "over the same memory",
    "ties_in_forward": "its forward changes c.weight: the parameter itself",
    "casts_itself": "its forward changes a.weight: its type",
    "lazy_unused": "spare.weight is of a lazy layer",
    "on_meta": "spare.weight is on the device meta",
    "squeezed": "gives (4,) for a batch of 1",
    "extra_state": "its state_dict has _extra_state",
}
NETS = [
    name
    for name, made in list(globals().items())
    if callable(made) and getattr(made, "__code__", None) and name not in REFUSED
    and made.__code__.co_varnames[: made.__code__.co_argcount] == ("task",) and name != "pixels"
]  # fmt: skip
