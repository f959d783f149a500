"""Small data sets on disk: JPEG trees, and the files of MNIST and CIFAR as they are published."""

import gzip
import hashlib
import importlib
import io
import struct
import tarfile
from dataclasses import replace

import pytest
import torch
import yaml
from PIL import Image

from lottery.config import build as config
from lottery.tasks.images.downloads import Source
from lottery.terms import seeds

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


@pytest.fixture
def publish(monkeypatch):
    """Let a data set consist of small files: name of the file -> (its bytes, names of its parts)."""

    def change(dataset, files, **others):
        module = importlib.import_module(f"lottery.components.datasets.{dataset}")
        sources = tuple(
            Source(name, len(data), hashlib.sha256(data).hexdigest(), parts)
            for name, (data, parts) in files.items()
        )
        monkeypatch.setattr(module, "FILES", replace(module.FILES, sources=sources, **others))
        return module

    return change


@pytest.fixture
def mnist_archives(mnist_files, publish):
    """Turn the four files of `mnist_files` into what is published: name -> bytes, none on disk."""
    packed = {}
    for path in sorted(mnist_files.iterdir()):
        data = path.read_bytes()
        packed[f"{path.name}.gz"] = gzip.compress(data, mtime=0), {path.name: len(data)}
        path.unlink()
    mnist_files.rmdir()
    publish("mnist", packed)
    return {name: data for name, (data, _) in packed.items()}


def tar_of(files):
    """Return a .tar.gz of name -> bytes, or TarInfo -> bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for member, data in files.items():
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def cifar(publish, monkeypatch):
    """Publish 50 + 10 images as CIFAR-10 or -100; return its rows and its archive.

    The rows are name of the file -> (labels [N, 1 or 2], pixels [N, 3072]).
    """

    def make(dataset):
        module = importlib.import_module(f"lottery.components.datasets.{dataset}")
        monkeypatch.setattr(module, "EXAMPLES", {"train": 50, "test": 10})
        rows, sizes = {}, {}
        for name in module.FILES.sources[0].parts:
            number = 10 if dataset == "cifar10" or name.startswith("test") else 50
            columns, classes = (1, 10) if dataset == "cifar10" else (2, 100)
            draw = seeds.generator(dataset, name)
            labels = torch.randint(0, classes, (number, columns), generator=draw).to(torch.uint8)
            pixels = torch.randint(0, 256, (number, 3072), generator=draw).to(torch.uint8)
            rows[name] = labels.numpy(), pixels.numpy()
            sizes[name] = number * (columns + 3072)
        folder = module.FILES.unpacked
        files = {f"{folder}/{name}": content(rows[name]) for name in rows}
        archive = tar_of({f"{folder}/readme.html": b"<html>"} | files)
        publish(dataset, {module.FILES.sources[0].name: (archive, sizes)})
        return rows, archive

    return make


def content(rows):
    """Return the binary file of labels and pixels."""
    labels, pixels = rows
    return b"".join(a.tobytes() + b.tobytes() for a, b in zip(labels, pixels))
