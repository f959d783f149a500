"""Splits, augmentation and batches of image tasks, against slow references and counts."""

import typing

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery.errors import UsageError
from lottery.tasks.images import augmentation, examples, splits
from lottery.tasks.images.augmentation import ImageOptions
from lottery.tasks.images.classification import batches_in
from lottery.tasks.images.images import image_task
from lottery.tasks.images.splits import Images
from lottery.terms import seeds

torch.set_num_threads(1)
PLAIN: ImageOptions = {
    "validation": 20,
    "split_seed": 0,
    "subsample": 0,
    "label_noise": 0.0,
    "crop": 0,
    "flip": False,
    "cutout": 0,
    "mean": [0.0],
    "std": [1.0],
}


def numbered(n, classes=5):
    """Return images whose pixels spell their own number, so that each can be recognised."""
    pixels = torch.arange(n).view(n, 1, 1, 1).expand(n, 1, 4, 4).to(torch.uint8)
    return Images(pixels, torch.arange(n) % classes)


def task_of(n=100, test=30, batch_size=16, **options):
    train, held = numbered(n), numbered(test)
    task = image_task(train, Images(255 - held.pixels, held.labels), "x", 5, PLAIN | options)
    return task.prepare(batch_size=batch_size, device=torch.device("cpu"))


def numbers(task, split):
    return task.splits[split].pixels[:, 0, 0, 0].tolist()


def same(a, b):
    a, b = list(a), list(b)
    return len(a) == len(b) and all(
        torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(a, b)
    )


def test_splits_are_disjoint_whole_and_follow_split_seed():
    a, b, c = task_of(), task_of(), task_of(split_seed=1)
    assert sorted(numbers(a, "train") + numbers(a, "val")) == list(range(100))
    assert (a.size("train"), a.size("val"), a.size("test"), a.size("other")) == (80, 20, 30, 0)
    assert numbers(a, "val") == numbers(b, "val") != numbers(c, "val")
    assert numbers(a, "test") == numbers(c, "test")


def test_no_validation_is_no_split():
    assert task_of(validation=0).size("val") == 0


def test_own_validation_split_is_taken_as_it_is_and_refuses_another():
    own = numbered(7)
    task = image_task(numbered(50), numbered(5), "x", 5, PLAIN | {"validation": 0}, own)
    assert numbers(task, "val") == list(range(7))
    assert task.size("train") == 50
    with pytest.raises(UsageError, match="its own validation split"):
        image_task(numbered(50), numbered(5), "x", 5, PLAIN, own)


@pytest.mark.parametrize(("asked", "counts"), [(40, {8}), (42, {8, 9}), (5, {1})])
def test_subsample_is_balanced_and_leaves_validation_alone(asked, counts):
    task = task_of(subsample=asked)
    assert task.size("train") == asked
    assert set(task.splits["train"].labels.bincount(minlength=5).tolist()) == counts
    assert numbers(task, "val") == numbers(task_of(), "val")
    assert len(set(numbers(task, "train"))) == asked


def test_subsample_takes_from_large_classes_what_small_ones_lack():
    labels = torch.tensor([0] * 2 + [1] * 50)
    some = splits.subsample(Images(torch.zeros(52, 1, 1, 1), labels), 20, 2, 0)
    assert some.labels.bincount().tolist() == [2, 18]


@given(share=st.floats(0, 1), n=st.integers(1, 60), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_label_noise_changes_exactly_its_share(share, n, seed):
    before = numbered(n)
    after = splits.add_label_noise(before, share, 5, seed)
    assert int((before.labels != after.labels).sum()) == round(share * n)
    assert after.labels.min() >= 0
    assert after.labels.max() < 5
    assert torch.equal(before.labels, torch.arange(n) % 5)  # not in place


def test_val_and_test_are_never_noisy_nor_augmented():
    plain = task_of()
    wild = task_of(label_noise=1.0, crop=2, flip=True, cutout=3)
    for split in ("val", "test"):
        assert same(plain.batches(split, 0, 0), wild.batches(split, 3, 7))
    assert not torch.equal(plain.splits["train"].labels, wild.splits["train"].labels)
    draw = seeds.generator(1)
    scored = wild.scoring_batches(draw, size=80)
    assert all(bool((x == x[:, :, :1, :1]).all()) for x, _ in scored)  # images are of one grey


@pytest.mark.parametrize("options", [{}, {"crop": 2, "flip": True, "cutout": 2}])
def test_batches_are_pure_in_epoch_and_seed_and_start_anywhere(options):
    task = task_of(**options)
    whole = list(task.batches("train", 1, 5))
    assert len(whole) == task.steps_per_epoch == 5
    assert same(whole, task.batches("train", 1, 5))
    assert not same(whole, task.batches("train", 2, 5))
    assert not same(whole, task.batches("train", 1, 6))
    for start in range(6):
        assert same(whole[start:], task.batches("train", 1, 5, start=start))
    assert same(list(task.batches("test", 0, 0))[1:], task.batches("test", 0, 0, start=1))


def test_an_epoch_sees_each_example_once():
    task = task_of()
    seen = torch.cat([x[:, 0, 0, 0] for x, _ in task.batches("train", 0, 0)])
    assert sorted((seen * 255).round().int().tolist()) == numbers(task, "train")


@pytest.mark.parametrize(
    ("examples", "batch", "steps"), [(10, 5, 2), (12, 5, 3), (11, 5, 2), (3, 5, 1), (1, 5, 1)]
)
def test_a_lone_example_is_left_out(examples, batch, steps):
    assert batches_in(examples, batch) == steps


def augmented_slowly(raw, draw, options):
    """Return what augment() does, an image and a pixel at a time."""
    count, channels, height, width = raw.shape
    crop, side = options["crop"], options["cutout"]
    offsets = torch.randint(0, 2 * crop + 1, (2, count, 1), generator=draw)
    flips = torch.randint(0, 2, (count, 1), generator=draw, dtype=torch.bool)
    centres = torch.rand((2, count, 1), generator=draw)
    result = torch.zeros_like(raw)
    for i in range(count):
        top, left = int(offsets[0, i]) - crop, int(offsets[1, i]) - crop
        hole_top = int(centres[0, i] * height) - side // 2
        hole_left = int(centres[1, i] * width) - side // 2
        for y in range(height):
            for x in range(width):
                across = width - 1 - x if options["flip"] and flips[i] else x
                row, column = y + top, across + left
                inside = 0 <= row < height and 0 <= column < width
                cut = hole_top <= y < hole_top + side and hole_left <= x < hole_left + side
                if inside and not cut:
                    result[i, :, y, x] = raw[i, :, row, column]
    return result


@pytest.mark.parametrize("crop", [0, 2])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("cutout", [0, 3])
def test_augment_against_a_slow_reference(crop, flip, cutout):
    raw = torch.randint(1, 256, (6, 2, 5, 7), dtype=torch.uint8, generator=seeds.generator(0))
    options = PLAIN | {"crop": crop, "flip": flip, "cutout": cutout}
    fast = augmentation.augment(raw, seeds.generator(1), options)
    assert torch.equal(fast, augmented_slowly(raw, seeds.generator(1), options))


def test_normalise_four_pixels():
    raw = torch.tensor([0, 51, 102, 255], dtype=torch.uint8).view(1, 1, 2, 2)
    got = augmentation.normalise(raw, PLAIN | {"mean": [0.2], "std": [0.5]})
    torch.testing.assert_close(got.view(-1), torch.tensor([-0.4, 0.0, 0.4, 1.6]))


def test_evaluate_counts_and_restores_the_mode():
    task = task_of()

    class Constant(torch.nn.Module):
        def forward(self, pixels):
            return torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0]).expand(len(pixels), 5)

    model = Constant().train()
    result = task.evaluate(model, "test")
    e = torch.tensor(1.0).exp()
    assert result["accuracy"] == 6 / 30
    assert result["loss"] == pytest.approx(float((4 + e).log()) - 0.2)
    assert model.training


def test_scoring_batches_take_turns_and_survive_small_and_absent_classes():
    labels = torch.tensor([0] * 10 + [1] * 2 + [3] * 10)
    picked = examples.pick_examples(labels, 4, seeds.generator(0), 0, 3)
    assert labels[picked].tolist() == [0, 1, 3, 0, 1, 3, 0, 3]
    assert len(set(picked.tolist())) == 8
    assert len(examples.pick_examples(labels, 4, seeds.generator(0), 6, 0)) == 6
    batches = task_of().scoring_batches(seeds.generator(0), per_class=4)
    assert [len(y) for _, y in batches] == [16, 4]
    assert torch.cat([y for _, y in batches]).bincount().tolist() == [4] * 5


def test_the_fingerprint_is_of_content_and_options():
    assert task_of().fingerprint == task_of(batch_size=4).fingerprint
    prints = {
        task_of(**o).fingerprint for o in ({}, {"split_seed": 1}, {"crop": 1}, {"std": [2.0]})
    }
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": [0.1, 0.2]}, "dataset.mean has 2 values"),
        ({"std": [0.0]}, "dataset.std must be above 0"),
        ({"validation": 99}, "dataset.validation=99"),
        ({"validation": -1}, "dataset.validation=-1"),
        ({"subsample": 81}, "dataset.subsample=81"),
        ({"label_noise": 1.5}, "dataset.label_noise=1.5"),
        ({"label_noise": float("nan")}, "dataset.label_noise=nan"),
        ({"crop": -1}, "dataset.crop"),
        ({"cutout": -1}, "dataset.cutout"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(options, words):
    with pytest.raises(UsageError, match=words) as caught:
        task_of(**options)
    assert "\n" not in str(caught.value)


def test_one_class_is_refused():
    with pytest.raises(UsageError, match="2 classes"):
        image_task(numbered(50, 1), numbered(5, 1), "x", 1, PLAIN)


def test_the_test_states_every_option():
    assert set(PLAIN) == set(typing.get_type_hints(ImageOptions))
