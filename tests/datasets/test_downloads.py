"""Data sets that torchvision fetches and parses, and their cache."""

import subprocess
import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
import yaml

from lottery import cache, config, downloads, images, store
from lottery.errors import DamagedError, DiskError, UsageError

FLIPPED = 4000  # a byte within the tensors


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def corrupt(path):
    data = bytearray(path.read_bytes())
    data[FLIPPED] ^= 1
    path.write_bytes(data)


def test_mnist_files_are_used_without_a_network(load, mnist_files):
    task = load("mnist", validation=10)
    assert [task.size(s) for s in ("train", "val", "test")] == [50, 10, 20]
    assert task.input_shape == (1, 28, 28)
    assert task.splits["test"].labels.tolist() == [*range(10)] * 2
    raw = (mnist_files / "t10k-images-idx3-ubyte").read_bytes()[16:]
    assert task.splits["test"].pixels.numpy().tobytes() == raw


def test_the_second_start_reads_the_cache_and_no_torchvision(load, mnist_files, tmp_path):
    first = load("mnist", validation=10)
    for path in mnist_files.iterdir():
        path.unlink()
    node = yaml.safe_load((config.conf_dir() / "dataset" / "mnist.yaml").read_text())
    node["validation"] = 10
    code = (
        "import sys; from pathlib import Path; from lottery import config\n"
        f"task = config.bind('dataset', {node!r}, 'dataset')(Path({str(tmp_path)!r}))\n"
        "assert 'torchvision' not in sys.modules\n"
        "print(task.fingerprint)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == first.fingerprint, ran.stderr
    assert not list((tmp_path / "cache").glob(".tmp*"))


def test_sha256sum_can_check_the_cache(load, mnist_files, tmp_path):
    load("mnist", validation=10)
    made = tmp_path / "cache" / "mnist.safetensors"
    line = (tmp_path / "cache" / "mnist.safetensors.sha256").read_text()
    assert line == f"{store.digest(made.read_bytes())}  mnist.safetensors\n"


def test_a_damaged_cache_is_made_again(load, mnist_files, tmp_path, capsys):
    first = load("mnist", validation=10)
    corrupt(tmp_path / "cache" / "mnist.safetensors")
    again = load("mnist", validation=10)
    assert again.fingerprint == first.fingerprint
    said = capsys.readouterr().err
    assert "is damaged" in said
    assert said.count("\n") == 1
    load("mnist", validation=10)
    assert capsys.readouterr().err == ""


def test_a_damaged_cache_without_the_raw_files_is_an_error(load, mnist_files, tmp_path):
    load("mnist", validation=10)
    corrupt(tmp_path / "cache" / "mnist.safetensors")
    for path in mnist_files.iterdir():
        path.unlink()
    with pytest.raises(DamagedError, match=r"mnist\.safetensors is damaged") as caught:
        load("mnist", validation=10)
    assert "\n" not in str(caught.value)


def test_a_cache_whose_writing_was_cut_short_is_made_again(load, mnist_files, tmp_path):
    first = load("mnist", validation=10)
    (tmp_path / "cache" / "mnist.safetensors.sha256").unlink()
    assert load("mnist", validation=10).fingerprint == first.fingerprint
    assert (tmp_path / "cache" / "mnist.safetensors.sha256").exists()


def test_a_root_that_cannot_be_written_costs_one_warning(load, mnist_files, tmp_path, capsys):
    (tmp_path / "cache").write_text("in the way")
    a = load("mnist", validation=10)
    said = capsys.readouterr().err
    assert said.startswith("warning: ")
    assert said.count("\n") == 1
    (tmp_path / "cache").unlink()
    assert load("mnist", validation=10).fingerprint == a.fingerprint


def test_a_full_disk_costs_one_warning(tmp_path, monkeypatch, capsys):
    def full(path, data):
        raise DiskError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(store, "write", full)
    tensors, sha = cache.cached(tmp_path, "x", lambda: {"a": torch.arange(3)})
    assert sha == store.tensor_digest(tensors)
    assert capsys.readouterr().err.count("\n") == 1


def test_only_one_process_makes_a_cache(tmp_path):
    code = (
        "import time, torch; from pathlib import Path; from lottery.cache import cached\n"
        "def make():\n"
        "    print('made'); time.sleep(0.5); return {'a': torch.arange(9)}\n"
        f"assert cached(Path({str(tmp_path)!r}), 'x', make)[0]['a'].sum() == 36"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)
    ]
    assert sorted(p.communicate(timeout=60)[0] for p in both) == [b"", b"made\n"]
    assert [p.returncode for p in both] == [0, 0]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"])
def test_missing_data_is_one_line_with_the_path_and_the_command(load, tmp_path, name):
    with pytest.raises(UsageError) as caught:
        load(name)
    line = str(caught.value)
    assert "\n" not in line
    assert str(tmp_path) in line
    assert 'python -c "from torchvision.datasets import ' in line
    assert "download=True" in line
    assert "no network" in line
    command = line.split('python -c "')[1].split('"')[0]
    compile(command, "command", "exec")


def test_truncated_files_are_one_line(load, mnist_files):
    path = mnist_files / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DamagedError, match="are damaged") as caught:
        load("mnist")
    assert "\n" not in str(caught.value)


def test_a_package_that_is_lacking_is_named(tmp_path, monkeypatch):
    def need(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    monkeypatch.setattr(images, "torchvision", lambda module: SimpleNamespace(SVHN=need))
    with pytest.raises(UsageError, match="pip install scipy"):
        downloads.parse(tmp_path, "SVHN", tmp_path, "split")


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW"])
def test_every_layout_becomes_channels_first(layout):
    rows = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    if layout == "NHW":
        parsed = SimpleNamespace(data=torch.from_numpy(rows[..., 0]), targets=[3, 1])
    elif layout == "NHWC":
        parsed = SimpleNamespace(data=rows, targets=[3, 1])
    else:
        parsed = SimpleNamespace(data=rows.transpose(0, 3, 1, 2), labels=np.array([3, 1]))
    pixels, labels = downloads.tensors_of(parsed)
    assert pixels.shape == (2, 1 if layout == "NHW" else 3, 4, 5)
    assert pixels[1, 0, 2, 3] == rows[1, 2, 3, 0]
    assert labels.tolist() == [3, 1]


def test_cifar_is_unpickled_only_after_its_md5(load, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'exploded')!r}, 'w')",))

    import pickle

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UsageError):
        load("cifar10")
    assert not (tmp_path / "exploded").exists()
