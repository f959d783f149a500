"""Criteria against finite differences, closed forms, explicit Hessians and loops."""

import importlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lottery.config import build as config
from lottery.errors import UsageError
from lottery.pruning.keep import keep_top
from lottery.tasks.images.augmentation import ImageOptions
from lottery.tasks.images.images import image_task
from lottery.tasks.images.splits import Images
from lottery.terms import mask as masks
from lottery.terms import seeds

torch.set_num_threads(1)
PLAIN: ImageOptions = {
    "validation": 0, "split_seed": 0, "subsample": 0, "label_noise": 0.0, "crop": 0,
    "flip": False, "cutout": 0, "mean": [0.5], "std": [0.25],
}  # fmt: skip
EXAMPLES = {"per_class": 0, "size": 0, "batch": 0, "augment": False, "mode": "eval"}
LOSS = EXAMPLES | {"temperature": 1.0}
NODES = {
    "snip": LOSS | {"per_batch_abs": False, "reinit": "none"},
    "grasp": LOSS
    | {
        "absolute": False, "invert": False, "per_batch": False, "halves": False,
        "reinit": "none", "double": True,
    },
    "synflow": {"double": True, "abs_buffers": False},
    "taylor": LOSS,
    "fisher": LOSS,
    "obd": LOSS | {"probes": 2, "double": True},
    "wanda": EXAMPLES,
    "magnitude": {},
    "random": {},
}  # fmt: skip


def task_of(n=12, classes=3, side=3, batch_size=5):
    pixels = torch.randint(0, 256, (n, 1, side, side), generator=seeds.generator(0))
    train = Images(pixels.to(torch.uint8), torch.arange(n) % classes)
    task = image_task(train, train, "x", classes, PLAIN)
    return task.prepare(batch_size=batch_size, device=torch.device("cpu"))


def tiny():
    """Return a smooth net of 9 * 4 + 4 * 3 weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.Tanh(), nn.Linear(4, 3))


def half(model):
    """Return a mask that keeps about half of each layer."""
    draw = seeds.generator(5)
    return {n: torch.rand(w.shape, generator=draw) < 0.5 for n, w in masks.prunable(model).items()}


def scores_of(name, model, mask, task, seed=0, **changes):
    criterion = config.bind("criterion", {"name": name} | NODES[name] | changes, "here")
    return criterion(model, mask, task, seeds.generator(seed), 0.5)


def vector(tensors, mask):
    return masks.flatten(tensors, mask).double()


class Flat:
    """The mean loss of every example in float64, as a function of all prunable weights."""

    def __init__(self, model, mask, task, temperature=1.0):
        (batch,) = task.scoring_batches(seeds.generator(0), batch=task.size("train"))
        self.x, self.y = batch[0].double(), batch[1]
        self.model, self.mask, self.temperature = model, mask, temperature
        self.rest = {n: p.detach().double() for n, p in model.named_parameters() if n not in mask}
        self.weights = vector({n: p.detach() for n, p in model.named_parameters()}, mask)
        self.keep = masks.flatten(mask, mask)

    def loss(self, flat, rows=slice(None)):
        pieces = torch.split(flat, [m.numel() for m in self.mask.values()])
        own = {n: p.view(m.shape) for (n, m), p in zip(self.mask.items(), pieces, strict=True)}
        logits = torch.func.functional_call(self.model, self.rest | own, (self.x[rows],))
        return F.cross_entropy(logits / self.temperature, self.y[rows])

    def gradient(self, flat, rows=slice(None)):
        flat = flat.detach().requires_grad_(True)
        return torch.autograd.grad(self.loss(flat, rows), flat)[0]


def test_snip_is_the_difference_that_removing_a_connection_makes():
    model, task = tiny(), task_of()
    mask = masks.dense(model)
    flat, delta = Flat(model, mask, task), 1e-6
    at, slopes = flat.weights, []
    with torch.no_grad():
        for place in range(len(at)):
            less = torch.ones_like(at)
            less[place] -= delta
            slopes.append((flat.loss(at) - flat.loss(at * less)) / delta)
    found = vector(scores_of("snip", model, mask, task), mask)
    torch.testing.assert_close(found, torch.stack(slopes).abs(), rtol=1e-3, atol=1e-6)


def test_snip_of_weights_that_may_come_back_takes_the_gradient_without_them():
    model, task = tiny(), task_of()
    mask = half(model)
    flat = Flat(model, mask, task)
    expected = (flat.weights * flat.gradient(flat.weights * flat.keep)).abs()
    found = vector(scores_of("snip", model, mask, task), mask)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    assert found[~flat.keep].max() > 0


def test_snip_sums_before_or_after_the_absolute_value():
    model, task = tiny(), task_of()
    mask = masks.dense(model)
    flat = Flat(model, mask, task)
    parts = [flat.gradient(flat.weights, slice(a, b)) for a, b in ((0, 5), (5, 10), (10, 12))]
    for absolute in (False, True):
        parts_ = [g.abs() if absolute else g for g in parts]
        mean = (5 * parts_[0] + 5 * parts_[1] + 2 * parts_[2]) / 12
        found = scores_of("snip", model, mask, task, per_batch_abs=absolute)
        expected = (flat.weights * mean).abs()
        torch.testing.assert_close(vector(found, mask), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("temperature", [1.0, 200.0])
@pytest.mark.parametrize("pick", [masks.dense, half])
def test_grasp_is_what_a_weight_does_to_the_norm_of_the_gradient(temperature, pick):
    """-S = theta . d/dtheta (1/2 |g|^2), by central differences."""
    model, task = tiny(), task_of()
    mask = pick(model)
    flat, delta = Flat(model, mask, task, temperature), 1e-5
    at = flat.weights * flat.keep

    def energy(weights):
        return (flat.gradient(weights) * flat.keep).square().sum() / 2

    steps = torch.eye(len(at), dtype=torch.float64) * delta
    slopes = torch.stack([(energy(at + s) - energy(at - s)) / (2 * delta) for s in steps])
    found = vector(scores_of("grasp", model, mask, task, temperature=temperature), mask)
    expected = flat.weights * slopes
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
    single = vector(scores_of("grasp", model, mask, task, temperature=temperature, double=False), mask)
    torch.testing.assert_close(single, found, rtol=1e-2, atol=1e-4 * float(found.abs().max()))


def test_grasp_options():
    model, task = tiny(), task_of()
    mask = masks.dense(model)
    plain = scores_of("grasp", model, mask, task)["1.weight"]
    assert torch.equal(scores_of("grasp", model, mask, task, absolute=True)["1.weight"], plain.abs())
    assert torch.equal(scores_of("grasp", model, mask, task, invert=True)["1.weight"], -plain)
    both = scores_of("grasp", model, mask, task, invert=True, absolute=True)["1.weight"]
    assert torch.equal(both, -plain.abs())


def hessian(flat, rows=slice(None)):
    return torch.autograd.functional.hessian(lambda w: flat.loss(w, rows), flat.weights)


def test_grasp_with_the_gradients_of_the_batches():
    model, task = tiny(), task_of()
    mask = masks.dense(model)
    flat = Flat(model, mask, task)
    expected = torch.zeros_like(flat.weights)
    for start, stop in ((0, 5), (5, 10), (10, 12)):
        rows = slice(start, stop)
        g = flat.gradient(flat.weights, rows)
        expected += (stop - start) / 12 * flat.weights * (hessian(flat, rows) @ g)
    found = vector(scores_of("grasp", model, mask, task, per_batch=True), mask)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def test_grasp_in_halves_sums_both_gradients_of_examples_in_class_order():
    model, task = tiny(), task_of()
    mask = masks.dense(model)
    flat = Flat(model, mask, task)
    flat.x, flat.y = task.scoring_batches(seeds.generator(0), batch=12, by_class=True)[0]
    flat.x = flat.x.double()
    rows = [slice(0, 6), slice(6, 12)]
    assert flat.y[rows[0]].tolist() == [0] * 4 + [1] * 2
    g = sum(flat.gradient(flat.weights, r) for r in rows) / 2
    expected = flat.weights * sum(hessian(flat, r) @ g for r in rows) / 2
    found = vector(scores_of("grasp", model, mask, task, halves=True), mask)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def chain(*sizes):
    torch.manual_seed(0)
    layers = [nn.Flatten()]
    for before, after in zip(sizes, sizes[1:]):
        layers += [nn.Linear(before, after, bias=False), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def test_synflow_of_a_chain_is_the_sum_over_paths():
    model, task = chain(9, 4, 5, 3), task_of()
    mask = half(model)
    a, b, c = (w.detach().double().abs() * mask[n] for n, w in masks.prunable(model).items())
    into_b, out_of_b = a.sum(1), c.sum(0)
    out_of_a, into_c = out_of_b @ b, b @ into_b
    masks.apply_(model, mask)
    found = scores_of("synflow", model, mask, task)
    expected = [out_of_a[:, None] * a, out_of_b[:, None] * b * into_b, c * into_c]
    for score, closed in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(score, closed.float())
    flow = (c @ b @ a.sum(1)).sum()
    for score in found.values():  # every layer holds all that flows
        torch.testing.assert_close(score.double().sum(), flow)


def test_synflow_needs_no_data_and_survives_what_float32_does_not():
    model, task = chain(*[9] * 20), task_of()
    with torch.no_grad():
        for weight in masks.prunable(model).values():
            weight.mul_(1e4)
    mask = masks.dense(model)
    found = scores_of("synflow", model, mask, task)
    assert all(s.isfinite().all() and s.all() for s in found.values())
    sums = torch.stack([s.double().sum() for s in found.values()])
    torch.testing.assert_close(sums, sums[:1].expand(len(sums)), rtol=1e-5, atol=0.0)
    with pytest.raises(UsageError, match="double=true"):
        scores_of("synflow", model, mask, task, double=False)


def test_synflow_takes_the_absolute_of_parameters_and_only_then_of_buffers():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    model[2].running_mean.copy_(torch.tensor([-1.0, 2.0, 0.5, -3.0]))
    model[2].weight.data.neg_()
    mask, task = masks.dense(model), task_of()
    for buffers in (False, True):
        a, b = model[1], model[4]
        mean = model[2].running_mean.abs() if buffers else model[2].running_mean
        hidden = F.relu((a.weight.abs().sum(1) + a.bias.abs() - mean) / (1 + 1e-5) ** 0.5)
        found = scores_of("synflow", model, mask, task, abs_buffers=buffers)
        torch.testing.assert_close(found["4.weight"], (b.weight.abs() * hidden).detach())


def test_taylor_and_fisher_are_means_of_squared_gradients():
    model, task = tiny(), task_of()
    mask = masks.dense(model)
    flat = Flat(model, mask, task)
    w = flat.weights
    batches = [(5, slice(0, 5)), (5, slice(5, 10)), (2, slice(10, 12))]
    taylor = sum(n / 12 * (flat.gradient(w, rows) * w) ** 2 for n, rows in batches)
    found = vector(scores_of("taylor", model, mask, task), mask)
    torch.testing.assert_close(found, taylor, rtol=1e-4, atol=1e-8)
    single = [flat.gradient(w, slice(i, i + 1)) for i in range(12)]
    fisher = w**2 * torch.stack(single).square().mean(0) / 2
    found = vector(scores_of("fisher", model, mask, task), mask)
    torch.testing.assert_close(found, fisher, rtol=1e-4, atol=1e-8)


def test_fisher_refuses_training_mode():
    model = tiny()
    with pytest.raises(UsageError, match="type prune.criterion.mode=eval"):
        scores_of("fisher", model, masks.dense(model), task_of(), mode="train")


def test_obd_is_the_diagonal_of_the_hessian():
    model, task = tiny(), task_of()
    mask = masks.dense(model)
    flat = Flat(model, mask, task)
    expected = hessian(flat).diagonal() * flat.weights**2 / 2
    found = vector(scores_of("obd", model, mask, task, probes=0), mask)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def test_obd_by_probes_errs_as_much_as_chance_does():
    """The estimate of entry i has the variance sum of H_ij^2, j other than i, a probe."""
    model, task = tiny(), task_of()
    mask = masks.dense(model)
    flat = Flat(model, mask, task)
    h = hessian(flat)
    deviation = ((h**2).sum(1) - h.diagonal() ** 2).div(300).sqrt()
    probed = vector(scores_of("obd", model, mask, task, probes=300, batch=12), mask)
    errors = (probed * 2 / flat.weights**2 - h.diagonal()) / deviation
    assert errors.abs().max() < 4.5
    assert 0.5 < errors.square().mean() < 2


def test_obd_refuses_what_would_take_for_ever():
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2500))
    with pytest.raises(UsageError, match="22,500 are more than 20,000; type .*probes=100"):
        scores_of("obd", model, masks.dense(model), task_of(), probes=0)
    with pytest.raises(UsageError, match="-1 is below 0"):
        scores_of("obd", model, masks.dense(model), task_of(), probes=-1)


def test_wanda_of_a_linear_layer_by_hand():
    pixels = torch.tensor([[3, 0], [4, 1]], dtype=torch.uint8).view(2, 1, 1, 2)
    task = image_task(Images(pixels, torch.tensor([0, 1])), Images(pixels, torch.tensor([0, 1])),
                      "x", 2, PLAIN | {"mean": [0.0], "std": [1 / 255]})  # fmt: skip
    task = task.prepare(batch_size=2, device=torch.device("cpu"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    model[1].weight.data = torch.tensor([[1.0, -2.0], [-3.0, 4.0]])
    found = scores_of("wanda", model, masks.dense(model), task)["1.weight"]
    torch.testing.assert_close(found, torch.tensor([[5.0, 2.0], [15.0, 4.0]]))  # norms 5 and 1


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"padding": 1}, {"dilation": 2, "padding": 1}, {"groups": 2}, {"groups": 4}],
)
def test_wanda_of_a_convolution_meets_every_pixel_that_its_weight_does(options):
    torch.manual_seed(0)
    first, conv = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, **options)
    model = nn.Sequential(first, conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    task = task_of(n=6, side=5)
    found = scores_of("wanda", model, masks.dense(model), task)["1.weight"]
    with torch.no_grad():
        x = torch.cat([first(x) for x, _ in task.scoring_batches(seeds.generator(0))])
        x = F.pad(x, (conv.padding[0],) * 4)
        rows = (x.shape[2] - 2 * conv.dilation[0] - 1) // conv.stride[0] + 1
        expected = torch.zeros_like(conv.weight)
        for out, within, down, across in torch.cartesian_prod(*map(torch.arange, conv.weight.shape)):
            channel = out // (4 // conv.groups) * (4 // conv.groups) + within
            total = 0.0
            for i in range(rows):
                for j in range(rows):
                    y, z = i * conv.stride[0] + down * conv.dilation[0], j * conv.stride[0] + across * conv.dilation[0]
                    total += float(x[:, channel, y, z].square().sum())
            place = out, within, down, across
            expected[place] = conv.weight[place].abs() * total**0.5
    torch.testing.assert_close(found, expected)


MODELS = {
    "lenet": {"hidden": [6], "init": "kaiming_normal"},
    "resnet_cifar": {
        "depth": 8, "width": 4, "shortcut": "conv", "init": "kaiming_normal", "bn_scale": "uniform",
    },
    "mobilenet_v1": {
        "width": 0.05, "stem": "small", "init": "kaiming_normal", "bn_scale": "ones",
    },
    "densenet": {
        "depth": 7, "growth": 3, "bottleneck": False, "reduction": 0.5,
        "init": "kaiming_normal", "bn_scale": "ones",
    },
    "wide_resnet": {
        "depth": 10, "widen": 1, "dropout": 0.5, "init": "kaiming_normal", "bn_scale": "ones",
    },
}  # fmt: skip


class Unused(nn.Module):
    """A net one of whose layers is never called."""

    def __init__(self, task):
        super().__init__()
        self.idle, self.fc = nn.Linear(3, 2), nn.Linear(64, 3)

    def forward(self, x):
        return self.fc(x.flatten(1))


def build(family, task):
    torch.manual_seed(0)
    if family == "unused":
        return Unused(task)
    return getattr(importlib.import_module(f"lottery.components.models.{family}"), family)(task, **MODELS[family])


@pytest.mark.parametrize("family", [*MODELS, "unused"])
@pytest.mark.parametrize("name", NODES)
def test_every_criterion_on_every_family_leaves_the_net_as_found(family, name):
    task = task_of(n=6, side=8, batch_size=3)
    model = build(family, task)
    parameters = dict(model.named_parameters())
    first, last = list(parameters)[0], list(parameters)[-1]
    parameters[first].requires_grad_(False)
    parameters[last].grad = torch.ones_like(parameters[last])
    model.train()
    list(model.modules())[-1].eval()
    mask = half(model)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    wants = {n: p.requires_grad for n, p in parameters.items()}
    torch.manual_seed(1)
    state = torch.get_rng_state()

    changes = {"mode": "train"} if name in ("snip", "grasp", "taylor", "obd", "wanda") else {}
    found = scores_of(name, model, mask, task, **changes)
    again = scores_of(name, model, mask, task, **changes)

    assert list(found) == list(mask)
    for layer, score in found.items():
        assert score.dtype == torch.float32 and score.shape == mask[layer].shape
        assert score.isfinite().all() and not score.requires_grad
        assert torch.equal(score, again[layer])
    if family == "unused" and name not in ("magnitude", "random"):
        assert not found["idle.weight"].any()
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert modes == [m.training for m in model.modules()]
    assert wants == {n: p.requires_grad for n, p in parameters.items()}
    assert [n for n, p in parameters.items() if p.grad is not None] == [last]
    assert bool((parameters[last].grad == 1).all())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    keep_top(found, mask, masks.kept(mask) // 2)


@pytest.mark.parametrize("name", [n for n in NODES if n != "random"])
def test_a_net_of_zeros_has_scores_of_zero(name):
    model, task = tiny(), task_of()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    mask = masks.dense(model)
    assert not any(s.any() for s in scores_of(name, model, mask, task).values())
