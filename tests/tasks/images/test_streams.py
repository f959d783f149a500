"""Tasks read from disk: the same batches whatever the workers, from any batch on."""

import shutil

import pytest
import torch
from PIL import Image

from lottery.errors import DiskError, UsageError
from lottery.tasks.images import decoding, folders
from lottery.tasks.images.images import image_task
from lottery.tasks.images.reading import random_crop
from lottery.tasks.images.splits import Images
from lottery.tasks.images.streams import stream_task
from lottery.terms import seeds

torch.set_num_threads(1)
CPU = torch.device("cpu")
PLAIN = {
    "validation": 4,
    "split_seed": 0,
    "subsample": 0,
    "label_noise": 0.0,
    "crop": 0,
    "flip": False,
    "cutout": 0,
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.2, 0.3],
}
AUGMENTED = {"crop": 1, "flip": True, "cutout": 3}
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for split, each in (("train", 11), ("test", 4)):
        for label, name in enumerate(("ant", "bee")):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(each):
                draw = seeds.generator(split, name, number)
                noise = torch.randint(0, 99, (10, 12, 3), generator=draw) + 100 * label
                Image.fromarray(noise.to(torch.uint8).numpy()).save(place / f"{number:02}.png")
    return folders.find_tree(folder)


def task_of(tree, workers=0, size=8, **options):
    form = decoding.form_of(tree, 3, size)
    return stream_task(tree, form, workers, PLAIN | options).prepare(batch_size=5, device=CPU)


def same(a, b):
    a, b = list(a), list(b)
    return len(a) == len(b) and all(
        torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(a, b)
    )


def test_the_batches_do_not_depend_on_the_workers(tree):
    alone, helped = task_of(tree, **AUGMENTED), task_of(tree, workers=2, **AUGMENTED)
    assert alone.fingerprint == helped.fingerprint
    for epoch in (0, 1):  # the second on the same workers
        assert same(alone.batches("train", epoch, 7), helped.batches("train", epoch, 7))
    assert same(alone.batches("test", 0, 0), helped.batches("test", 0, 0))
    assert len(helped.idle) == 1


def test_an_epoch_can_be_left_and_evaluated_within(tree):
    alone, helped = task_of(tree, **AUGMENTED), task_of(tree, workers=1, **AUGMENTED)
    whole = list(alone.batches("train", 0, 7))
    reading = helped.batches("train", 0, 7)
    first = next(reading)
    assert same(alone.batches("test", 0, 0), helped.batches("test", 0, 0))
    assert same(whole, [first, *reading])
    left = helped.batches("train", 1, 7)
    next(left)
    left.close()
    assert same(whole, helped.batches("train", 0, 7))
    assert len(helped.idle) == 2


def test_start_equals_skipping_and_reads_nothing_before(tree, monkeypatch):
    task = task_of(tree, **AUGMENTED)
    whole = list(task.batches("train", 2, 3))
    assert len(whole) == task.steps_per_epoch == 4
    for start in range(5):
        assert same(whole[start:], task.batches("train", 2, 3, start=start))
    read = []
    monkeypatch.setattr(
        type(task.reader),
        "__getitem__",
        lambda _, key: read.append(key) or torch.zeros(len(key[1]), 3, 8, 8, dtype=torch.uint8),
    )
    list(task.batches("train", 2, 3, start=3))
    assert len(read) == 1
    assert same(list(task.batches("val", 0, 0))[1:], task.batches("val", 0, 0, start=1))


def test_batches_are_pure_in_epoch_and_seed(tree):
    task = task_of(tree, **AUGMENTED)
    assert same(task.batches("train", 0, 0), task.batches("train", 0, 0))
    assert not same(task.batches("train", 0, 0), task.batches("train", 1, 0))
    assert not same(task.batches("train", 0, 0), task.batches("train", 0, 1))


def test_the_global_generator_is_left_alone(tree):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    list(task_of(tree, **AUGMENTED).batches("train", 0, 0))
    assert torch.equal(before, torch.random.get_rng_state())


def in_memory(tree, options):
    """Return the same images as a task that keeps them."""
    form = decoding.form_of(tree, 3, 0)
    tensors = decoding.decode(tree, form, 1)
    train, test = (
        Images(tensors[f"{s}_pixels"], tensors[f"{s}_labels"].long()) for s in ("train", "test")
    )
    return image_task(train, test, "x", 2, options).prepare(batch_size=5, device=CPU)


def test_the_verbs_mean_what_they_mean_in_memory(tree):
    options = {"label_noise": 0.25, "subsample": 14}
    stream, kept = task_of(tree, size=0, **options), in_memory(tree, PLAIN | options)
    assert stream.input_shape == kept.input_shape == (3, 10, 12)
    assert stream.steps_per_epoch == kept.steps_per_epoch
    for split in ("train", "val", "test"):
        assert stream.size(split) == kept.size(split)
        assert same(stream.batches(split, 1, 5), kept.batches(split, 1, 5))
    for how in ({"per_class": 3}, {"size": 7}):
        a = stream.scoring_batches(seeds.generator(0), **how)
        assert same(a, kept.scoring_batches(seeds.generator(0), **how))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(360, 2))
    assert stream.evaluate(model, "test") == kept.evaluate(model, "test")
    batch = next(stream.batches("train", 0, 0))
    assert torch.equal(stream.loss(model, batch), kept.loss(model, batch))


def test_val_test_and_scoring_are_never_augmented(tree):
    plain, wild = task_of(tree), task_of(tree, label_noise=1.0, **AUGMENTED)
    for split in ("val", "test"):
        assert same(plain.batches(split, 0, 0), wild.batches(split, 4, 4))
    a = plain.scoring_batches(seeds.generator(0), size=6)
    b = wild.scoring_batches(seeds.generator(0), size=6)
    assert all(torch.equal(x, u) for (x, _), (u, _) in zip(a, b))


def test_flips_are_half_and_exact(tree):
    plain, flipped = task_of(tree), task_of(tree, flip=True)
    turned = 0
    for epoch in range(6):
        pairs = zip(plain.batches("train", epoch, 0), flipped.batches("train", epoch, 0))
        for (x, _), (u, _) in pairs:
            same_way = (x == u).flatten(1).all(1)
            mirrored = (x.flip(3) == u).flatten(1).all(1)
            assert bool((same_way | mirrored).all())
            turned += int(mirrored.sum())
    assert 36 < turned < 72  # of 6 epochs of 18


def test_evaluation_zooms_in_by_256_to_224(tree):
    task = task_of(tree, size=7)  # the shorter side of 10 becomes 8, of which 7 are cut out
    path = tree.name(tree.splits["test"][0])
    image = decoding.read_image(path, 3)
    box = (6 - 7 * 10 / 8 / 2, 5 - 7 * 10 / 8 / 2, 6 + 7 * 10 / 8 / 2, 5 + 7 * 10 / 8 / 2)
    expected = decoding.to_tensor(image.resize((7, 7), Image.Resampling.BILINEAR, box))
    assert torch.equal(task.reader[(None, task.splits["test"].pixels[:1].tolist())][0], expected)


def test_random_crops_vary_and_have_the_asked_size():
    noise = torch.randint(0, 256, (20, 40), generator=seeds.generator(0)).to(torch.uint8)
    image = Image.fromarray(noise.numpy())
    form = decoding.Form(1, 6, 6, 7)
    crops = [random_crop(image, seeds.generator(i), form).tobytes() for i in range(20)]
    assert len(set(crops)) > 15
    sliver = Image.new("L", (400, 2), 9)  # nothing of a ratio near 1 and 8 % of the area fits
    assert set(random_crop(sliver, seeds.generator(0), form).tobytes()) == {9}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_is_one_line(tmp_path, workers):
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (8, 8)).save(tmp_path / split / name / f"{number}.png")
    bad = tmp_path / "train" / "bee" / "2.png"
    bad.write_text("no image")
    task = task_of(folders.find_tree(tmp_path), workers=workers)
    with pytest.raises(UsageError) as caught:
        for epoch in range(20):
            list(task.batches("train", epoch, 0))
            list(task.batches("val", epoch, 0))
    assert str(bad) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_fingerprint_is_of_the_content_and_the_options(tree, tmp_path):
    prints = {
        task_of(tree, **o).fingerprint for o in ({}, {"crop": 1}, {"size": 7}, {"flip": True})
    }
    assert len(prints) == 4
    shutil.copytree(tree.folder, tmp_path / "elsewhere")
    moved = folders.find_tree(tmp_path / "elsewhere")
    form = decoding.Form(3, 8, 8, 8)
    assert stream_task(moved, form, 0, PLAIN).fingerprint == task_of(tree).fingerprint
    with pytest.raises(UsageError, match=r"dataset\.workers=-1"):
        stream_task(tree, form, -1, PLAIN)


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), EOFError()])
def test_a_worker_that_dies_while_it_hands_over_a_batch_is_one_line(tree, monkeypatch, error):
    class Dying:
        sampler = type("Plan", (), {})()

        def __iter__(self):
            raise error

    task = task_of(tree)
    monkeypatch.setattr(type(task), "_loader", lambda self: Dying())
    with pytest.raises(DiskError, match="a process that reads images has ended"):
        next(task.batches("train", 0, 1))
    assert not task.idle
