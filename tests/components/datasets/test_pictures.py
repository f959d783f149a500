"""Pictures as people bring them: depths and modes, what lies beside them, broken ones, layouts."""

import os
import shlex
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from lottery.errors import UsageError
from lottery.tasks.images import decoding, pictures
from lottery.tasks.images.modes import eight_bits, flat


@pytest.fixture
def tree(make_tree, tmp_path):
    return make_tree(tmp_path / "images", ("train", "test"))


def line_of(call):
    with pytest.raises(UsageError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def grey(path):
    return np.asarray(decoding.read_image(str(path), 1)).tolist()


def test_sixteen_bits_are_scaled_and_never_clipped(tmp_path):
    deep = np.array([[0, 255, 256, 25700], [51400, 65279, 65280, 65535]], np.uint16)
    want = [[0, 0, 1, 100], [200, 254, 255, 255]]
    for name in ("deep.png", "deep.tif", "deep.pgm"):
        Image.fromarray(deep).save(tmp_path / name)
        assert grey(tmp_path / name) == want, name
        assert decoding.read_image(str(tmp_path / name), 3).getpixel((0, 1)) == (200, 200, 200)
    (tmp_path / "big.tif").write_bytes(big_endian_tiff(deep))
    assert grey(tmp_path / "big.tif") == want
    wide = np.array([[0, 65535, 51400]], np.int32)
    Image.fromarray(wide).save(tmp_path / "wide.tif")
    assert grey(tmp_path / "wide.tif") == [[0, 255, 200]]


def big_endian_tiff(values):
    """Return an uncompressed grey TIFF of 16 bits, the highest byte first."""
    height, width = values.shape
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 1), (273, 200), (277, 1),
            (278, height), (279, values.nbytes)]  # fmt: skip
    head = b"MM\0*" + (8).to_bytes(4, "big") + len(tags).to_bytes(2, "big")
    for tag, value in tags:
        head += tag.to_bytes(2, "big") + (4).to_bytes(2, "big") + (1).to_bytes(4, "big")
        head += value.to_bytes(4, "big")
    return (head + bytes(4)).ljust(200, b"\0") + values.astype(">u2").tobytes()


@pytest.mark.parametrize(
    ("values", "mode", "want"),
    [
        ([0.0, 0.5, 1.0], "F", [0, 128, 255]),
        ([0.0, 100.4, 255.0], "F", [0, 100, 255]),
        ([0.0, 65535.0, 25700.0], "F", [0, 255, 100]),
        ([-1.0, 0.0, 1.0], "F", [0, 128, 255]),
        ([0.0, 1e6, 5e5], "F", [0, 255, 128]),
        ([float("nan"), 0.5, float("inf")], "F", [128, 128, 128]),
        ([-100, 0, 100], "I", [0, 128, 255]),
        ([0, 2_000_000_000, 1_000_000_000], "I", [0, 255, 128]),
        ([7.0, 7.0, 7.0], "F", [7, 7, 7]),
        ([-7.0, -7.0, -7.0], "F", [0, 0, 0]),
    ],
)
def test_what_has_no_fixed_range_has_a_rule(values, mode, want):
    kind = np.float32 if mode == "F" else np.int32
    assert eight_bits(np.array([values], kind), mode).tolist() == [want]
    with pytest.raises(ValueError, match="none of its values"):
        eight_bits(np.array([[np.nan]], np.float32), "F")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "mode", "1 L LA La P PA RGB RGBA RGBa RGBX CMYK YCbCr LAB HSV I F I;16 I;16B I;16L".split()
)
def test_every_mode_of_pillow_becomes_eight_bits(mode, channels):
    image = flat(Image.new(mode, (3, 2)), channels)
    assert (image.mode, image.size) == ({1: "L", 3: "RGB"}[channels], (3, 2))


def test_of_several_frames_the_first_counts(tmp_path):
    frames = [Image.new("L", (2, 2), value) for value in (10, 200)]
    for name in ("a.tif", "a.gif", "a.png", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert grey(tmp_path / name) == [[10, 10], [10, 10]], name


def test_files_beside_pictures_are_left_out_and_counted(load, tree, capsys):
    first = load("image_folder", size=8).fingerprint
    beside = {"Thumbs.db": b"\xd0\xcf\x11\xe0", "labels.csv": b"a,b\n", "README": b"", "desktop.ini": b"[x]"}
    for name, data in beside.items():
        (tree / "train" / "ant" / name).write_bytes(data)
    (tree / "train" / "ant" / ".DS_Store").write_bytes(b"x")
    (tree / "labels.csv").write_bytes(b"a,b\n")
    capsys.readouterr()
    assert load("image_folder", size=8).fingerprint == first
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "4 are no pictures and left out (train/ant/README, train/ant/Thumbs.db, " in said
    (tree / "train" / "ant" / "00.jpg").rename(tree / "train" / "ant" / "first")
    assert load("image_folder", size=8).size("train") == 8  # known by how it begins
    (tree / "train" / "ant" / "x.heic").write_bytes(b"x")
    assert "x.heic" in line_of(lambda: load("image_folder", size=8))  # no picture goes unnoticed


NAMES = ["plain.png", "with space.jpg", "two  spaces.png", "it's.png", 'a"b.png', "new\nline.png", "-rf.png", "$HOME.png"]


MANY = [f"{n:02}.png" for n in range(30)]
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("stream", "names"),
    [
        ("no", NAMES), ("yes", NAMES[:2]), ("no", MANY),
        pytest.param("no", NAMES[:2], marks=SLOW), pytest.param("yes", NAMES, marks=SLOW),
        pytest.param("yes", MANY, marks=SLOW),
    ],
)  # fmt: skip
def test_broken_pictures_are_named_at_once_with_the_command_that_removes_them(
    load, tree, tmp_path, names, stream
):
    for name in names:
        (tree / "train" / "ant" / "x").mkdir(exist_ok=True)
        (tree / "train" / "ant" / "x" / name).write_bytes(b"\x89PNG\r\n\x1a\nbroken")

    def whole():
        task = load("image_folder", size=8, stream=stream, workers=0, crop=0)
        task = task.prepare(batch_size=99, device=torch.device("cpu"))
        return [x.shape[0] for x, _ in task.batches("train", 0, 0)]

    line = line_of(whole)
    assert line.startswith(f"{len(names)} files cannot be read as an image: ")
    command = " ".join(line.rpartition(" type: ")[2].partition(";")[0].split())
    subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path)
    assert whole() == [8]
    assert len(list(tree.rglob("*.jpg"))) == 16


def test_a_command_for_one_names_it(load, tree):
    (tree / "test" / "bee" / "01.jpg").write_bytes(b"")
    line = line_of(lambda: load("image_folder", size=8))
    path = str(tree / "test" / "bee" / "01.jpg")
    assert line.startswith(f"{path} cannot be read as an image (")
    assert line.endswith(f"; to remove it type: rm -- {shlex.quote(path)}")


def test_the_limit_of_pixels_is_named_and_a_setting(load, tree, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    Image.new("L", (20, 30)).save(tree / "train" / "ant" / "large.png")
    line = line_of(lambda: load("image_folder", size=8, max_pixels=100))
    assert "large.png cannot be read as an image (it has 600 pixels, more than dataset.max_pixels)" in line
    assert line.endswith("type dataset.max_pixels=600")
    known = load("image_folder", size=8, max_pixels=600).fingerprint
    assert load("image_folder", size=8, max_pixels=0).fingerprint == known
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64)
    assert "max_pixels=600" in line_of(lambda: decoding.read_image(str(tree / "train" / "ant" / "large.png"), 1))
    assert decoding.read_image(str(tree / "train" / "ant" / "large.png"), 1, 700).size == (20, 30)


def test_folders_with_long_names(load, make_tree, tmp_path):
    name = "ü" * 127
    make_tree(tmp_path / name, ("train", "test"), classes=("a" * 255, "ß" * 127), each=2)
    first = load("image_folder", path=name, size=8).fingerprint
    assert load("image_folder", path=name, size=8).fingerprint == first
    assert load("image_folder", path=name, size=8, stream="yes", workers=0).size("train") == 4


def moved(tree, old, new):
    (tree / new).parent.mkdir(parents=True, exist_ok=True)
    (tree / old).rename(tree / new)


def test_near_misses_of_the_layout_are_named(load, tree, tmp_path, make_tree):
    moved(tree, "train", "Train")
    line = line_of(lambda: load("image_folder"))
    assert line.endswith(f"; Train is not its name: mv {tree}/Train {tree}/train")
    subprocess.run(shlex.split(line.partition("name: ")[2]), check=True)
    moved(tree, "test", "testing")
    assert line_of(lambda: load("image_folder")).endswith(f"mv {tree}/testing {tree}/test")
    moved(tree, "testing", "valid")
    assert load("image_folder", size=8).size("test") == 8
    assert line_of(lambda: load("image_folder", path="images/train")).endswith(f"dataset.path={tree}")
    tree.rename(tmp_path / "deep")
    (tmp_path / "images" / "v1").mkdir(parents=True)
    (tmp_path / "deep").rename(tree / "v1" / "photos")
    assert line_of(lambda: load("image_folder")).endswith(f"dataset.path={tree}/v1/photos")
    make_tree(tmp_path / "classes", (".",))
    assert "its folders look like classes" in line_of(lambda: load("image_folder", path="classes"))
    make_tree(tmp_path / "loose", (".",), classes=(".",))
    assert "its images lie in no folder" in line_of(lambda: load("image_folder", path="loose"))
    make_tree(tmp_path / "half", ("train", "test"), classes=(".",))
    assert f"sort its images into {tmp_path}/half/train/CLASS" in line_of(lambda: load("image_folder", path="half"))


def test_published_sets_are_known_by_their_files(load, make_tree, tmp_path):
    tiny = make_tree(tmp_path / "tiny-imagenet-200", ("train", "val"))
    moved(tiny, "val/ant", "val/images")
    (tiny / "val" / "val_annotations.txt").write_text("")
    said = line_of(lambda: load("image_folder", path="tiny-imagenet-200"))
    assert said.endswith(f"these are files of dataset=tiny_imagenet data={tmp_path}")
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(b"")
    said = line_of(lambda: load("image_folder", path="cifar-10-batches-bin"))
    assert said.endswith(f"these are files of dataset=cifar10 data={tmp_path}")
    assert pictures.removal(["a", "b c"], None) == "rm -- a 'b c'"


def test_what_is_no_file_is_named_at_once_or_left_out(load, tree, capsys):
    known = load("image_folder", size=8)
    ant, bee = tree / "train" / "ant", tree / "train" / "bee"
    (ant / "gone.png").symlink_to("nowhere.png")
    (ant / "self.JPG").symlink_to("self.JPG")
    os.mkfifo(bee / "pipe.png")
    line = line_of(lambda: load("image_folder", size=8))
    assert line.startswith("3 files cannot be read as an image: ")
    assert line.count("(a link that leads nowhere)") == 2
    assert "pipe.png (no plain file)" in line
    subprocess.run(shlex.split(line.partition("type: ")[2]), check=True)
    (ant / "notes").symlink_to("nowhere")
    os.mkfifo(bee / "pipe")  # to read how it begins would wait for ever
    assert load("image_folder", size=8).fingerprint == known.fingerprint
    assert "2 are no pictures and left out (train/ant/notes, train/bee/pipe)" in capsys.readouterr().err


def test_links_that_lead_up_and_what_systems_leave_are_passed_over(load, tree, capsys):
    known = load("image_folder", size=8)
    for place in (tree, tree / "train", tree / "test" / "ant"):
        (place / "__MACOSX").mkdir()
        (place / "__MACOSX" / "._00.jpg").write_bytes(b"x")
        (place / "@eaDir").mkdir()
    for name, target in (("up", ".."), ("here", "."), ("top", "../../..")):
        (tree / "train" / "bee" / name).symlink_to(target)
    found = load("image_folder", size=8)
    assert (found.outputs, found.size("train")) == (known.outputs, known.size("train"))
    assert found.fingerprint == known.fingerprint  # no picture of another class among the bees
    assert "left out" not in capsys.readouterr().err


def test_splits_of_other_names_are_renamed_in_one_command(load, tree):
    moved(tree, "train", "TRAIN")
    moved(tree, "test", "Testing")
    line = line_of(lambda: load("image_folder"))
    assert "TRAIN and Testing are not their names: mv" in line
    subprocess.run(["sh", "-c", line.partition("names: ")[2]], check=True)
    assert load("image_folder", size=8).size("train") == 8
