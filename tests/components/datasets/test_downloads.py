"""Data sets that are fetched, checked and parsed at their first use, and their cache."""

import gzip
import hashlib
import importlib
import io
import os
import pickle
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
import yaml

from lottery.components.datasets import svhn
from lottery.config import build
from lottery.errors import DamagedError, DiskError, Stopped, UsageError
from lottery.machine import libraries, signals
from lottery.storage import disk, store
from lottery.storage.files import TEMPORARY, digest
from lottery.tasks.images import cache, downloads, layouts

FLIPPED = 4000  # a byte within the tensors
PUBLISHED = ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture
def online(monkeypatch):
    """Let the net answer: give it the address of a file -> bytes, or the error; see what was asked."""
    asked = []

    def serve(answers):
        def answer(request, timeout):
            assert 0 < timeout <= 60
            asked.append(request.full_url)
            found = answers.get(request.full_url.rpartition("/")[2])
            found = answers.get(request.full_url, found)
            if found is None:
                raise HTTPError(request.full_url, 404, "Not Found", None, None)
            if isinstance(found, Exception):
                raise found
            return io.BytesIO(found)

        monkeypatch.setattr("urllib.request.urlopen", answer)
        return asked

    return serve


def files_of(dataset):
    return importlib.import_module(f"lottery.components.datasets.{dataset}").FILES


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
    node = yaml.safe_load((build.conf_dir() / "dataset" / "mnist.yaml").read_text())
    node["validation"] = 10
    code = (
        "import sys; from pathlib import Path; from lottery.config import build as config\n"
        f"task = config.bind('dataset', {node!r}, 'dataset')(Path({str(tmp_path)!r}))\n"
        "assert 'torchvision' not in sys.modules\n"
        "print(task.fingerprint)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert ran.stdout.strip() == first.fingerprint, ran.stderr
    assert not list((tmp_path / "cache").glob(".tmp*"))


def test_sha256sum_can_check_the_cache(load, mnist_files, tmp_path):
    load("mnist", validation=10)
    made = tmp_path / "cache" / "mnist.safetensors"
    line = (tmp_path / "cache" / "mnist.safetensors.sha256").read_text()
    assert line == f"{digest(made.read_bytes())}  mnist.safetensors\n"


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
    def full(path, data, sync=True):
        raise DiskError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(disk, "write", full)
    tensors, sha = cache.cached(tmp_path, "x", lambda: {"a": torch.arange(3)}, id)
    assert sha == store.tensor_digest(tensors)
    assert capsys.readouterr().err.count("\n") == 1


def test_only_one_process_makes_a_cache(tmp_path):
    code = (
        "import time, torch; from pathlib import Path; from lottery.tasks.images.cache import cached\n"
        "def make():\n"
        "    print('made'); time.sleep(0.5); return {'a': torch.arange(9)}\n"
        f"assert cached(Path({str(tmp_path)!r}), 'x', make, id)[0]['a'].sum() == 36"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)
    ]
    assert sorted(p.communicate(timeout=300)[0] for p in both) == [b"", b"made\n"]
    assert [p.returncode for p in both] == [0, 0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_data_is_one_line_with_the_path_and_the_command(load, tmp_path, name):
    with pytest.raises(UsageError) as caught:
        load(name)
    line = str(caught.value)
    published = files_of(name)
    assert "\n" not in line
    assert "no network" in line
    assert str(tmp_path / published.folder) in line
    command, _, place = line.partition("type: ")[2].partition(" and put what that fetches into ")
    assert place == str(tmp_path / published.folder)
    asked = [word for s in published.sources for word in ("-o", s.name, published.addresses[0] + s.name)]
    assert shlex.split(command) == ["curl", "-fL", *asked]


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_has_a_checksum_and_bounds(name):
    published = files_of(name)
    assert published.addresses
    for source in published.sources:
        assert len(bytes.fromhex(source.sha256)) == 32
        assert 0 < source.size < 2**28
        assert 0 < sum(source.parts.values()) < 2**28
    # Where there is no https at all, the checksum alone decides.
    assert published.addresses[0].startswith("https://") or name == "svhn"


def test_truncated_files_are_one_line(load, mnist_files):
    path = mnist_files / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DamagedError, match="are damaged") as caught:
        load("mnist")
    assert "\n" not in str(caught.value)


def test_labels_that_are_no_classes_are_damage(load, mnist_files):
    path = mnist_files / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + bytes([10]))
    with pytest.raises(DamagedError, match="labels outside 0 to 9"):
        load("mnist")


def test_a_file_much_too_long_is_not_even_read(load, mnist_files):
    with (mnist_files / "train-labels-idx1-ubyte").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(DamagedError, match="more than 60008 bytes"):
        load("mnist")


def test_a_pipe_in_the_place_of_a_file_is_no_file(load, mnist_files):
    path = mnist_files / "train-labels-idx1-ubyte"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match="no network"):
        load("mnist")


def test_files_are_downloaded_checked_and_kept(load, mnist_archives, tmp_path, online, capsys):
    asked = online(mnist_archives)
    task = load("mnist", validation=10)
    assert task.size("test") == 20
    raw = tmp_path / "MNIST" / "raw"
    assert {p.name: p.read_bytes() for p in raw.iterdir()} == mnist_archives
    assert len(asked) == 4
    assert all(url.startswith("https://storage.googleapis.com/cvdf-datasets/mnist/") for url in asked)
    assert capsys.readouterr().err.count("downloading https://") == 8  # how long it took, at the end
    (tmp_path / "cache" / "mnist.safetensors").unlink()
    assert load("mnist", validation=10).fingerprint == task.fingerprint
    assert len(asked) == 4


def test_packed_and_unpacked_files_are_the_same_data(load, mnist_files, tmp_path, request):
    unpacked = load("mnist", validation=10).fingerprint
    archives = request.getfixturevalue("mnist_archives")
    other = tmp_path / "other" / "MNIST" / "raw"
    other.mkdir(parents=True)
    for name, data in archives.items():
        (other / name).write_bytes(data)
    assert load("mnist", tmp_path / "other", validation=10).fingerprint == unpacked


def test_the_next_address_is_tried(load, mnist_archives, online):
    first, second = files_of("mnist").addresses
    name = "t10k-labels-idx1-ubyte.gz"
    asked = online(mnist_archives | {first + name: URLError("gone")})
    assert load("mnist", validation=10).size("test") == 20
    assert second + name in asked


@pytest.mark.parametrize("what", ["other bytes", "fewer", "more", "a page", "nothing", "a flood"])
def test_another_file_is_never_kept(load, mnist_archives, tmp_path, online, what):
    name = "train-images-idx3-ubyte.gz"
    data = mnist_archives[name]
    sent = {
        "other bytes": data[:-1] + bytes([data[-1] ^ 1]), "fewer": data[:-1], "more": data + b"x",
        "a page": b"<html>log in</html>", "nothing": b"", "a flood": data + bytes(50_000_000),
    }[what]  # fmt: skip
    online(mnist_archives | {name: sent})
    with pytest.raises(UsageError, match="sent another file") as caught:
        load("mnist", validation=10)
    assert "\n" not in str(caught.value)
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith((name, TEMPORARY))]


def test_a_flood_is_left_at_the_announced_size(mnist_archives, online, tmp_path, monkeypatch):
    read = []

    class Endless(io.BytesIO):
        def read(self, most=-1):
            read.append(most)
            return bytes(most)

    source = files_of("mnist").sources[0]
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: Endless())
    with pytest.raises(ValueError, match=f"more than {source.size} of {source.size} bytes"):
        downloads.download("https://x/y", source, tmp_path / "y")
    assert sum(read) <= source.size + 2 * downloads.PIECE


def test_a_real_server_is_understood(tmp_path, monkeypatch):
    data = bytes(range(256)) * 3000

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/file")
            else:
                self.send_response(200 if self.path in ("/file", "/cut") else 404)
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.path in ("/file", "/cut"):
                self.wfile.write(data[: len(data) if self.path == "/file" else 100])

        def log_message(self, *words):
            assert words

    monkeypatch.undo()  # the real urlopen
    source = downloads.Source("file", len(data), hashlib.sha256(data).hexdigest(), {"file": len(data)})
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            here = f"http://127.0.0.1:{server.server_address[1]}"
            for path in ("/file", "/moved"):
                assert downloads.download(here + path, source, tmp_path / "x") == data
            with pytest.raises(ValueError, match="100 of 768000 bytes"):
                downloads.download(f"{here}/cut", source, tmp_path / "x")
            with pytest.raises(HTTPError, match="404") as caught:
                downloads.download(f"{here}/absent", source, tmp_path / "x")
            caught.value.close()
        finally:
            server.shutdown()
            thread.join()


def test_a_damaged_archive_is_fetched_again(load, mnist_archives, tmp_path, online, capsys):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in mnist_archives.items():
        (raw / name).write_bytes(data[:-4])
    online(mnist_archives)
    assert load("mnist", validation=10).size("test") == 20
    assert capsys.readouterr().err.count("is damaged or not whole") == 4
    assert (raw / "t10k-labels-idx1-ubyte.gz").read_bytes() == mnist_archives["t10k-labels-idx1-ubyte.gz"]


def test_a_damaged_archive_without_a_network_is_damage(load, mnist_archives, tmp_path, capsys):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in mnist_archives.items():
        (raw / name).write_bytes(data)
    corrupt_at = raw / "train-images-idx3-ubyte.gz"
    corrupt(corrupt_at)
    with pytest.raises(DamagedError, match=r"curl -fL -o train-images-idx3-ubyte\.gz https") as caught:
        load("mnist", validation=10)
    assert "t10k" not in str(caught.value)
    assert f"{corrupt_at} is damaged" in capsys.readouterr().err


def test_what_a_killed_download_left_is_swept(load, mnist_archives, tmp_path, online):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for folder, name in ((raw, "t10k-labels-idx1-ubyte.gz"), (tmp_path / "cache", "mnist.safetensors")):
        folder.mkdir(exist_ok=True)
        (folder / f"{TEMPORARY}123-{name}").write_bytes(b"half")
    other = tmp_path / "cache" / f"{TEMPORARY}123-fashion-mnist.safetensors"
    other.write_bytes(b"of another process that is at work")
    online(mnist_archives)
    load("mnist", validation=10)
    assert list(tmp_path.rglob(f"{TEMPORARY}*")) == [other]


def test_a_signal_ends_a_download(load, mnist_archives, tmp_path, online, monkeypatch):
    online(mnist_archives)
    monkeypatch.setattr(signals, "ASKED", [143])
    monkeypatch.setattr(signals, "HINT", ["lottery run"])
    with pytest.raises(Stopped):
        load("mnist", validation=10)
    assert not (tmp_path / "MNIST" / "raw").exists()


def test_a_full_disk_says_so(load, mnist_archives, online, monkeypatch):
    def full(path, data, sync=True):
        raise DiskError(f"cannot write {path}: No space left on device")

    online(mnist_archives)
    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(DiskError, match="No space"):
        load("mnist", validation=10)


@pytest.fixture
def known_parts(mnist_files, monkeypatch):
    """Let the four files of `mnist_files` be those that were published, by their length and sha256."""
    module = importlib.import_module("lottery.components.datasets.mnist")
    sources = [
        source._replace(parts={name: len(data)}, plain=(digest(data),))
        for source in module.FILES.sources
        for name in source.parts
        for data in [(mnist_files / name).read_bytes()]
    ]
    monkeypatch.setattr(module, "FILES", replace(module.FILES, sources=tuple(sources)))


@pytest.mark.parametrize("cached", [True, False])
def test_an_unpacked_file_has_to_be_the_published_one(load, known_parts, mnist_files, capsys, cached):
    first = load("mnist", validation=10) if cached else None
    path = mnist_files / "train-images-idx3-ubyte"
    about = path.stat()
    corrupt(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(DamagedError, match="cannot be downloaded"):
        load("mnist", validation=10)
    assert f"{path} is damaged: its content is not that which was published" in capsys.readouterr().err
    corrupt(path)
    time.sleep(0.05)  # a cache of files that are younger than a tick of their clock is made again
    again = load("mnist", validation=10)
    assert first is None or again.fingerprint == first.fingerprint
    path.unlink()
    assert load("mnist", validation=10).fingerprint == again.fingerprint  # the cache does


def test_another_set_in_the_same_layout_is_known_by_its_content(load, mnist_files):
    first = load("mnist", validation=10)
    path = mnist_files / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + bytes([3]))
    assert load("mnist", validation=10).fingerprint != first.fingerprint  # no cache hides it


def test_a_right_file_that_was_packed_again_is_right(load, known_parts, mnist_files, capsys):
    first = load("mnist", validation=10).fingerprint
    for path in sorted(mnist_files.iterdir()):
        packed = gzip.compress(path.read_bytes(), 1, mtime=77)
        path.with_name(f"{path.name}.gz").write_bytes(packed)
        path.unlink()
    assert load("mnist", validation=10).fingerprint == first
    assert capsys.readouterr().err == ""
    data = bytearray(gzip.decompress(packed))
    data[-1] ^= 1
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(DamagedError, match="cannot be downloaded"):
        load("mnist", validation=10)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_an_archive_that_was_packed_again_is_read(load, tmp_path, cifar, name):
    _, archive = cifar(name)
    path = tmp_path / files_of(name).sources[0].name
    path.write_bytes(archive)
    first = load(name, validation=0).fingerprint
    path.write_bytes(gzip.compress(gzip.decompress(archive), 1))
    assert load(name, validation=0).fingerprint == first


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_from_its_archive_and_from_its_folder(load, tmp_path, cifar, name):
    rows, archive = cifar(name)
    published = files_of(name)
    (tmp_path / published.sources[0].name).write_bytes(archive)
    task = load(name, validation=0)
    assert [task.size(s) for s in ("train", "test")] == [50, 10]
    expected = np.concatenate([labels[:, -1] for file, (labels, _) in rows.items() if "test" not in file])
    assert task.splits["train"].labels.tolist() == expected.tolist()
    folder = tmp_path / "other" / published.unpacked
    folder.mkdir(parents=True)
    for file, (labels, pixels) in rows.items():
        (folder / file).write_bytes(np.concatenate([labels, pixels], 1).tobytes())
    assert load(name, tmp_path / "other", validation=0).fingerprint == task.fingerprint
    (folder / next(iter(rows))).write_bytes(np.concatenate([labels, pixels], 1)[1:].tobytes())
    (tmp_path / "other" / "cache" / f"{name}.safetensors").unlink()
    with pytest.raises(DamagedError, match="are damaged"):
        load(name, tmp_path / "other", validation=0)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_an_archive_put_there_by_hand_needs_its_checksum(load, tmp_path, cifar, name):
    _, archive = cifar(name)
    path = tmp_path / files_of(name).sources[0].name
    path.write_bytes(archive[:-1] + bytes([archive[-1] ^ 1]))
    with pytest.raises(DamagedError, match="cannot be downloaded"):
        load(name, validation=0)
    assert not (tmp_path / files_of(name).unpacked).exists()


def same(ours, theirs):
    """Compare our tensors with what torchvision makes of the same files, to the last bit."""
    pixels, labels = {}, {}
    for split, parsed in theirs.items():
        raw = torch.as_tensor(parsed.data)
        raw = raw[:, None] if raw.ndim == 3 else raw
        pixels[split] = (raw if raw.shape[1] in (1, 3) else raw.permute(0, 3, 1, 2)).contiguous()
        known = parsed.targets if hasattr(parsed, "targets") else parsed.labels
        labels[split] = torch.as_tensor(known).to(torch.uint8)
    expected = {f"{s}_{p}": t[s] for p, t in (("pixels", pixels), ("labels", labels)) for s in t}
    assert store.tensor_digest(ours) == store.tensor_digest(expected)


def test_mnist_is_what_torchvision_makes_of_it(mnist_files, tmp_path):
    kind = libraries.torchvision("datasets").MNIST
    parts = {path.name: path.read_bytes() for path in mnist_files.iterdir()}
    same(
        layouts.idx_files(parts),
        {"train": kind(str(tmp_path), train=True), "test": kind(str(tmp_path), train=False)},
    )


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_what_torchvision_makes_of_its_pickles(load, tmp_path, cifar, name, monkeypatch):
    rows, archive = cifar(name)
    (tmp_path / files_of(name).sources[0].name).write_bytes(archive)
    load(name, validation=0)
    ours, _ = cache.read(tmp_path / "cache" / f"{name}.safetensors", id)
    kind = getattr(libraries.torchvision("datasets"), name.upper())
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    lists = {"train_list": [], "test_list": []}
    for file, (labels, pixels) in rows.items():
        word = file.removesuffix(".bin")
        key = "labels" if name == "cifar10" else "fine_labels"
        data = pickle.dumps({"data": pixels, key: labels[:, -1].tolist()})
        (folder / word).write_bytes(data)
        sum_of = hashlib.md5(data).hexdigest()
        lists["test_list" if word.startswith("test") else "train_list"].append([word, sum_of])
    meta = pickle.dumps({"label_names": [], "fine_label_names": []})
    (folder / kind.meta["filename"]).write_bytes(meta)
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": hashlib.md5(meta).hexdigest()})
    for key, value in lists.items():
        monkeypatch.setattr(kind, key, value)
    same(ours, {s: kind(str(tmp_path), train=s == "train") for s in ("train", "test")})


def test_svhn_is_what_torchvision_makes_of_it(load, publish, tmp_path, monkeypatch):
    def fake(file, **asked):
        content = file.read() if hasattr(file, "read") else Path(file).read_bytes()
        rows = np.frombuffer(content, np.uint8).reshape(-1, 3073).copy()
        return {"X": rows[:, 1:].reshape(-1, 32, 32, 3).transpose(1, 2, 3, 0), "y": rows[:, :1]}

    scipy, scipy_io = ModuleType("scipy"), ModuleType("scipy.io")
    scipy.io, scipy_io.loadmat = scipy_io, fake
    monkeypatch.setitem(sys.modules, "scipy", scipy)
    monkeypatch.setitem(sys.modules, "scipy.io", scipy_io)
    kind = libraries.torchvision("datasets").SVHN
    draw = np.random.default_rng(0)
    files, listed = {}, {}
    for split, number in (("train", 40), ("test", 20)):
        rows = draw.integers(0, 256, (number, 3073), np.uint8)
        rows[:, 0] = np.arange(number) % 10 + 1
        name, data = f"{split}_32x32.mat", rows.tobytes()
        (tmp_path / name).write_bytes(data)
        files[name] = data, {name: len(data)}
        listed[split] = ["", name, hashlib.md5(data).hexdigest()]
    publish("svhn", files)
    task = load("svhn", validation=0)
    assert task.splits["test"].labels[:11].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    monkeypatch.setattr(kind, "split_list", listed)
    ours, _ = cache.read(tmp_path / "cache" / "svhn.safetensors", id)
    same(ours, {s: kind(str(tmp_path), split=s) for s in ("train", "test")})


def test_the_real_matlab_reader_gives_the_same_names(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    parts = {}
    for split in ("train", "test"):
        out = io.BytesIO()
        pixels = np.arange(32 * 32 * 3 * 2, dtype=np.uint8).reshape(32, 32, 3, 2)
        scipy_io.savemat(out, {"X": pixels, "y": np.array([[10], [3]], np.uint8)}, do_compression=True)
        parts[f"{split}_32x32.mat"] = out.getvalue()
    found = svhn.matlab_files(parts)
    assert found["train_labels"].tolist() == [0, 3]
    assert found["test_pixels"][1, 2, 5, 7] == pixels[5, 7, 2, 1]


class Bomb:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (open, (str(self.canary), "w"))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_pickles_are_named_and_never_read(load, tmp_path, name):
    published = files_of(name)
    folder = tmp_path / published.pickled
    folder.mkdir()
    words = [part.removesuffix(".bin") for part in published.sources[0].parts]
    for word in [*words, "batches.meta", "meta"]:
        (folder / word).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(UsageError, match="is pickle, which could run code and is not read") as caught:
        load(name)
    assert str(folder) in str(caught.value)
    assert "curl -fL -o cifar-10" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


CACHES = {
    "no tensors": lambda t: {},
    "a split is missing": lambda t: {k: v for k, v in t.items() if "test" not in k},
    "another name": lambda t: t | {"more": torch.zeros(1)},
    "floats": lambda t: t | {"train_pixels": t["train_pixels"].float()},
    "no images": lambda t: t | {"train_pixels": t["train_pixels"].flatten()},
    "labels are missing": lambda t: t | {"train_labels": t["train_labels"][1:]},
    "a label too high": lambda t: t | {"train_labels": t["train_labels"] + 1},
    "a label below 0": lambda t: t | {"train_labels": t["train_labels"].int() - 1},
    "labels are fractions": lambda t: t | {"test_labels": t["test_labels"].float()},
    "nothing in it": lambda t: t | {"test_pixels": t["test_pixels"][:0], "test_labels": t["test_labels"][:0]},
    "sizes differ": lambda t: t | {"test_pixels": t["test_pixels"][:, :, 1:].contiguous()},
}


@pytest.mark.parametrize("what", CACHES)
def test_a_cache_from_elsewhere_is_made_again_where_it_cannot_be(
    load, mnist_files, tmp_path, capsys, monkeypatch, what
):
    monkeypatch.setattr(downloads, "settled", lambda now, clock: True)
    first = load("mnist", validation=10)
    path = tmp_path / "cache" / "mnist.safetensors"
    tensors, _ = cache.read(path, id)
    changed = CACHES[what](tensors)
    capsys.readouterr()
    cache.keep(path, changed, downloads.trace(tmp_path, files_of("mnist")))
    assert load("mnist", validation=10).fingerprint == first.fingerprint
    said = capsys.readouterr().err
    assert "is damaged (" in said
    assert said.count("\n") == 1


def header(text, data=b""):
    return len(text).to_bytes(8, "little") + text + data


FILES_OF_NO_TENSORS = {
    "nothing": b"",
    "a pickle": pickle.dumps([1]),
    "a header without end": header(b"{}")[:1] + b"\xff" * 7,
    "no json": header(b"{"),
    "deep json": header(b'{"__metadata__":{"lottery":' + b"[" * 100_000),
    "deep words in it": header(b'{"__metadata__":{"lottery":"' + b"[" * 100_000 + b'"}}'),
    "no words in it": header(b"{}"),
    "other words in it": header(b'{"__metadata__":{"lottery":"[1]"}}'),
    "offsets beyond the end": header(b'{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}'),
    "shapes that overflow": header(
        b'{"a":{"dtype":"U8","shape":[9223372036854775807,9],"data_offsets":[0,9]}}', bytes(9)
    ),
}


@pytest.mark.parametrize("what", FILES_OF_NO_TENSORS)
def test_a_signed_cache_of_no_tensors_is_made_again(load, mnist_files, tmp_path, capsys, what):
    first = load("mnist", validation=10)
    path = tmp_path / "cache" / "mnist.safetensors"
    data = FILES_OF_NO_TENSORS[what]
    path.write_bytes(data)
    cache.sha_path(path).write_text(f"{digest(data)}  mnist.safetensors\n")
    assert load("mnist", validation=10).fingerprint == first.fingerprint
    assert capsys.readouterr().err.count("\n") == 1
