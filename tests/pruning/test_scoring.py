"""What criteria look at: examples, the copy that is scored, float64 scores made float32."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from lottery.errors import UsageError
from lottery.pruning import scoring
from lottery.tasks.images import augmentation, decoding, folders
from lottery.tasks.images.augmentation import ImageOptions
from lottery.tasks.images.images import image_task
from lottery.tasks.images.splits import Images
from lottery.tasks.images.streams import stream_task
from lottery.terms import mask as masks
from lottery.terms import seeds

torch.set_num_threads(1)
PLAIN: ImageOptions = {
    "validation": 0, "split_seed": 0, "subsample": 0, "label_noise": 0.0, "crop": 0,
    "flip": False, "cutout": 0, "mean": [0.0], "std": [1.0],
}  # fmt: skip
ALL = {
    "per_class": 0, "size": 0, "batch": 0, "augment": False, "mode": "eval", "temperature": 1.0,
}  # fmt: skip


def task_of(n=20, classes=4, batch_size=8, **options):
    """Return a task of 1x4x4 images, each of one grey that spells its number."""
    pixels = torch.arange(1, n + 1).view(n, 1, 1, 1).expand(n, 1, 4, 4).to(torch.uint8)
    train = Images(pixels, torch.arange(n) % classes)
    task = image_task(train, train, "x", classes, PLAIN | options)
    return task.prepare(batch_size=batch_size, device=torch.device("cpu"))


def net(*more):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5), *more, nn.ReLU(), nn.Linear(5, 4))


def drawn(task, seed=0, **how):
    return task.scoring_batches(seeds.generator(seed), **how)


def test_examples_come_in_class_order_where_asked():
    labels = torch.cat([y for _, y in drawn(task_of(), per_class=3, by_class=True)])
    assert labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    mixed = torch.cat([y for _, y in drawn(task_of(), per_class=3)])
    assert mixed.tolist() == [0, 1, 2, 3] * 3
    some = torch.cat([y for _, y in drawn(task_of(), size=9, by_class=True)])
    assert some.tolist() == sorted(some.tolist()) and len(some) == 9


def test_class_order_picks_the_same_examples():
    seen = [
        sorted(torch.cat([x[:, 0, 0, 0] for x, _ in drawn(task_of(), per_class=2, by_class=b)]).tolist())
        for b in (False, True)
    ]
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("how", "sizes"),
    [({}, [8, 8, 4]), ({"batch": 6}, [6, 6, 6, 2]), ({"size": 9}, [9]), ({"size": 17}, [8, 9]),
     ({"size": 3, "batch": 1}, [1, 1, 1]), ({"size": 1}, [1])],
)  # fmt: skip
def test_batches_leave_no_lone_example(how, sizes):
    assert [len(y) for _, y in drawn(task_of(), **how)] == sizes


def test_augmentation_is_drawn_after_the_examples():
    task = task_of(crop=2, flip=True, cutout=2)
    plain, wild = drawn(task, size=8), drawn(task, size=8, augment=True)
    assert torch.equal(plain[0][1], wild[0][1])
    assert not torch.equal(plain[0][0], wild[0][0])
    assert torch.equal(wild[0][0], drawn(task, size=8, augment=True)[0][0])
    raw = (plain[0][0] * 255).round().to(torch.uint8)
    draw = seeds.generator(0)
    torch.randperm(20, generator=draw)
    again = augmentation.normalise(augmentation.augment(raw, draw, task.options), task.options)
    torch.testing.assert_close(wild[0][0], again)


def test_images_read_from_disk_are_scored_the_same_way(tmp_path):
    for split in ("train", "test"):
        for label in range(2):
            (tmp_path / split / str(label)).mkdir(parents=True)
            for number in range(6):
                draw = seeds.generator(split, label, number)
                pixels = torch.randint(0, 256, (8, 8, 3), generator=draw).to(torch.uint8)
                Image.fromarray(pixels.numpy()).save(tmp_path / split / f"{label}/{number}.png")
    tree = folders.find_tree(tmp_path)
    rgb = PLAIN | {"mean": [0.0] * 3, "std": [1.0] * 3}
    plain, wild = (
        stream_task(tree, decoding.form_of(tree, 3, 8), 0, rgb | more).prepare(
            batch_size=5, device=torch.device("cpu")
        )
        for more in ({}, {"crop": 1, "flip": True, "cutout": 3})
    )
    assert [len(y) for _, y in drawn(plain, per_class=3, batch=4)] == [4, 2]
    assert [len(y) for _, y in drawn(plain, size=11)] == [5, 6]
    assert drawn(plain, per_class=2, by_class=True)[0][1].tolist() == [0, 0, 1, 1]
    (x, y), (u, v) = drawn(plain, size=4)[0], drawn(wild, size=4, augment=True)[0]
    assert torch.equal(y, v) and not torch.equal(x, u)
    assert torch.equal(u, drawn(wild, size=4, augment=True)[0][0])
    assert torch.equal(x, drawn(wild, size=4)[0][0])


def test_equal_generators_give_two_criteria_the_same_examples():
    model, task = net(), task_of()
    mask = masks.dense(model)
    seen = []
    for extra in ({"reinit": "all"}, {"double": True, "reinit": "none"}):
        draw = seeds.generator(3)
        with scoring.probing(model, mask, task, draw, **extra, **(ALL | {"size": 9})) as probe:
            seen.append([(x.float(), y) for x, y in probe.batches])
    for (x, y), (u, v) in zip(*seen, strict=True):
        assert torch.equal(x, u) and torch.equal(y, v)


def test_the_loss_is_taken_at_the_masked_weights_and_the_held_ones_are_not_masked():
    model, task = net(), task_of()
    mask = masks.dense(model)
    mask["1.weight"][0] = False
    with scoring.probing(model, mask, task, seeds.generator(0), **ALL) as probe:
        found = scoring.loss(probe, 0).item()
        assert torch.equal(probe.held["1.weight"], model[1].weight)
        assert not probe.weights["1.weight"][0].any()
        batch = probe.batches[0]
    masks.apply_(model, mask)
    assert found == task.loss(model, batch).item()


def test_temperature_divides_the_logits():
    model, task = net(), task_of()
    with scoring.probing(
        model, masks.dense(model), task, seeds.generator(0), **(ALL | {"temperature": 4.0})
    ) as probe:
        x, y = probe.batches[0]
        expected = nn.functional.cross_entropy(model(x) / 4, y)
        torch.testing.assert_close(scoring.loss(probe, 0), expected)


def test_mean_gradients_are_those_of_all_examples_at_once():
    model, task = net(), task_of(n=20, batch_size=8)
    mask = masks.dense(model)
    found = []
    for batch in (0, 20):
        draw = seeds.generator(0)
        with scoring.probing(model, mask, task, draw, double=True, **(ALL | {"batch": batch})) as p:
            found.append(scoring.mean_gradients(p))
    torch.testing.assert_close(found[0], found[1])


def test_dropout_is_a_function_of_the_generator_and_the_batch():
    model, task = net(nn.Dropout(0.5)), task_of()
    train = ALL | {"mode": "train"}
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed + 7)
        with scoring.probing(
            model, masks.dense(model), task, seeds.generator(seed), **train
        ) as probe:
            assert scoring.loss(probe, 1).item() == scoring.loss(probe, 1).item()
            losses.append(scoring.loss(probe, 0).item())
    assert losses[0] == losses[1] != losses[2]


def test_the_net_and_the_global_random_numbers_stay_as_found_even_after_an_error():
    model, task = net(nn.BatchNorm1d(5), nn.Dropout(0.5)).train(), task_of()
    before = {n: v.clone() for n, v in model.state_dict().items()}
    state = torch.get_rng_state()
    with (
        pytest.raises(KeyError),
        scoring.probing(
            model, masks.dense(model), task, seeds.generator(0), reinit="all",
            **(ALL | {"mode": "train"}),
        ) as probe,
    ):  # fmt: skip
        scoring.mean_gradients(probe)
        raise KeyError
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(("which", "changed"), [("none", ""), ("linear", "b"), ("all", "ab")])
def test_reinit_draws_layers_anew(which, changed):
    torch.manual_seed(0)
    layers = nn.ModuleDict({"a": nn.Conv2d(1, 40, 5), "b": nn.Linear(50, 40)})
    before = {n: layer.weight.detach().clone() for n, layer in layers.items()}
    scoring.redraw_(layers, which, seeds.generator(0))
    for name, layer in layers.items():
        assert torch.equal(layer.weight, before[name]) != (name in changed)
        assert bool(layer.bias.any()) != (name in changed)
    if "b" in changed:  # Glorot: variance 2 / (fan in + fan out)
        assert layers["b"].weight.std().item() == pytest.approx((2 / 90) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": -1}, "prune.criterion.size: -1 is below 0"),
        ({"batch": -1}, "prune.criterion.batch: -1 is below 0"),
        ({"mode": "test"}, "'test' is none of train, eval"),
        ({"temperature": 0.0}, "temperature: 0.0 is not above 0"),
        ({"reinit": "conv"}, "'conv' is none of none, linear, all"),
        ({"mode": "train", "batch": 1}, "type prune.criterion.mode=eval"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(changes, words):
    model = net(nn.BatchNorm1d(5))
    with (
        pytest.raises(UsageError, match=words) as caught,
        scoring.probing(
            model, masks.dense(model), task_of(), seeds.generator(0), **(ALL | changes)
        ),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_float64_scores_that_fit_are_rounded_only():
    scores = {"a": torch.tensor([0.0, 1e-30, 0.5], dtype=torch.float64)}
    assert torch.equal(scoring.narrow(scores)["a"], torch.tensor([0.0, 1e-30, 0.5]))


def test_large_float64_scores_are_scaled_by_a_power_of_two():
    wide = {"dtype": torch.float64}
    scores = {"a": torch.tensor([3e200, 0.0], **wide), "b": torch.tensor([1e160], **wide)}
    found = scoring.narrow(scores)
    assert found["a"][1] == 0
    assert found["a"][0].double() / found["b"][0].double() == pytest.approx(3e40, rel=1e-6)


values = st.one_of(
    st.just(0.0),
    st.builds(lambda m, e: m * 2.0**e, st.sampled_from([1.0, 1.25, 1.5]), st.integers(-900, 900)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=1, max_size=12), st.booleans())
def test_narrow_keeps_every_order_and_tie(found, signed):
    wide = torch.tensor(found, dtype=torch.float64)
    if signed:
        wide[::2] *= -1
    narrow = scoring.narrow({"a": wide[:3], "b": wide[3:]})
    flat = torch.cat([narrow["a"], narrow["b"]])
    assert flat.dtype == torch.float32 and flat.isfinite().all()
    for compare in (torch.lt, torch.eq):
        assert torch.equal(compare(wide[:, None], wide[None]), compare(flat[:, None], flat[None]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_that_are_not_finite_are_refused(bad, dtype):
    with pytest.raises(UsageError, match="not finite"):
        scoring.narrow({"a": torch.tensor([1.0, bad], dtype=dtype)})
