"""Small data sets on disk: JPEG trees and MNIST files."""

import struct

import pytest
import torch
import yaml
from PIL import Image

from lottery import config, seeds

torch.set_num_threads(1)
DATASETS = config.conf_dir() / "dataset"


@pytest.fixture
def settings_of():
    """Return the yaml of a data set with some values changed."""

    def read(name, **changed):
        return yaml.safe_load((DATASETS / f"{name}.yaml").read_text()) | changed

    return read


@pytest.fixture
def load(settings_of, tmp_path):
    """Return the task that a data set's yaml makes below tmp_path."""

    def build(name, root=tmp_path, **changed):
        return config.bind("dataset", settings_of(name, **changed), "dataset")(root)

    return build


@pytest.fixture
def make_tree():
    """Make split/class/file.jpg of noise around a grey level of the class."""

    def make(folder, splits, classes=("ant", "bee"), each=4, size=(8, 8), suffix="jpg"):
        for split in splits:
            for label, name in enumerate(classes):
                place = folder / split / name
                place.mkdir(parents=True)
                for number in range(each):
                    draw = seeds.generator(split, name, number)
                    noise = torch.randint(0, 99, (size[1], size[0], 3), generator=draw)
                    pixels = (noise + 100 * label).to(torch.uint8)
                    Image.fromarray(pixels.numpy()).save(place / f"{number:02}.{suffix}")
        return folder

    return make


@pytest.fixture
def mnist_files(tmp_path):
    """Make the four idx files that torchvision leaves behind, with 60 + 20 digits."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, number in (("train", 60), ("t10k", 20)):
        draw = seeds.generator(split)
        pixels = torch.randint(0, 256, (number, 28, 28), generator=draw).to(torch.uint8)
        head = struct.pack(">4i", 2051, number, 28, 28)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(head + pixels.numpy().tobytes())
        labels = (torch.arange(number) % 10).to(torch.uint8)
        head = struct.pack(">2i", 2049, number)
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(head + labels.numpy().tobytes())
    return raw
