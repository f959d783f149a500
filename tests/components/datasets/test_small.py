"""The two data sets that need no file of the user's: digits and synthetic."""

import pytest
import torch

from lottery.components.datasets import digits as digits_module
from lottery.errors import DamagedError, UsageError


def test_digits_have_their_sizes_and_range(load):
    task = load("digits")
    assert [task.size(s) for s in ("train", "val", "test")] == [1293, 144, 360]
    assert task.input_shape == (1, 8, 8)
    assert task.outputs == 10
    every = torch.cat([images.pixels for images in task.splits.values()])
    assert len(every) == 1797
    assert (int(every.min()), int(every.max())) == (0, 255)
    assert set(every.unique().tolist()) == {round(v * 255 / 16) for v in range(17)}


def test_digits_test_split_never_moves(load):
    a, b = load("digits"), load("digits", split_seed=1, subsample=100)
    assert torch.equal(a.splits["test"].pixels, b.splits["test"].pixels)
    assert not torch.equal(a.splits["val"].pixels, b.splits["val"].pixels)
    assert a.splits["test"].labels[:12].tolist() == [0, 4, 6, 7, 9, 0, 5, 6, 0, 5, 8, 5]


def test_digits_normalise_to_about_zero_and_one(load):
    task = load("digits").prepare(batch_size=64, device=torch.device("cpu"))
    pixels = torch.cat([x for x, _ in task.batches("train", 0, 0)])
    assert abs(float(pixels.mean())) < 0.02
    assert abs(float(pixels.std()) - 1) < 0.02


def test_digits_refuse_another_file(load, tmp_path, monkeypatch):
    data = bytearray(digits_module.FILE.read_bytes())
    data[-1] ^= 1
    damaged = tmp_path / "digits.safetensors"
    damaged.write_bytes(data)
    monkeypatch.setattr(digits_module, "FILE", damaged)
    with pytest.raises(DamagedError, match="checksum"):
        load("digits")


def test_synthetic_is_a_function_of_its_settings(load):
    a, b, c = load("synthetic"), load("synthetic"), load("synthetic", seed=1)
    assert a.fingerprint == b.fingerprint != c.fingerprint
    assert torch.equal(a.splits["test"].pixels, b.splits["test"].pixels)
    assert not torch.equal(a.splits["test"].pixels, c.splits["test"].pixels)
    assert a.input_shape == (3, 16, 16)
    assert a.splits["train"].pixels.dtype == torch.uint8
    assert a.splits["test"].labels.bincount().tolist() == [50] * 10


@pytest.mark.parametrize(("noise", "least", "most"), [(0, 1, 1), (1, 0.95, 1), (99, 0, 0.4)])
def test_synthetic_can_be_learned_as_far_as_its_noise_allows(load, noise, least, most):
    task = load("synthetic", noise=noise)
    train, test = task.splits["train"], task.splits["test"]
    means = torch.stack([train.pixels[train.labels == k].float().mean(0) for k in range(10)])
    near = torch.cdist(test.pixels.float().flatten(1), means.flatten(1)).argmin(1)
    assert least <= float((near == test.labels).float().mean()) <= most


@pytest.mark.parametrize(
    "changed", [{"examples": 0}, {"size": 0}, {"noise": -1.0}, {"classes": 1}, {"channels": 1}]
)
def test_synthetic_refuses_in_one_line(load, changed):
    with pytest.raises(UsageError) as caught:
        load("synthetic", **changed)
    assert "\n" not in str(caught.value)
