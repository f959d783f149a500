"""Folders of images: layouts, classes, formats, errors and the decoded cache."""

import os
import shutil

import pytest
import torch
from PIL import Image

from lottery.errors import UsageError
from lottery.tasks.images import decoding
from lottery.tasks.images.images import ImageTask
from lottery.tasks.images.streams import StreamTask


@pytest.fixture
def tree(make_tree, tmp_path):
    return make_tree(tmp_path / "images", ("train", "test"))


def one_line(call, *words):
    with pytest.raises(UsageError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_a_tree_becomes_a_task(load, tree):
    task = load("image_folder", size=0, validation=2)
    assert isinstance(task, ImageTask)
    assert [task.size(s) for s in ("train", "val", "test")] == [6, 2, 8]
    assert task.outputs == 2
    assert task.splits["test"].labels.tolist() == [0] * 4 + [1] * 4
    with Image.open(tree / "test" / "bee" / "02.jpg") as image:
        raw = bytes(image.tobytes())
    assert task.splits["test"].pixels[6].permute(1, 2, 0).numpy().tobytes() == raw


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_val_serves_as_test_where_there_is_none(load, make_tree, tmp_path, name):
    make_tree(tmp_path / "images", ("train", name))
    task = load("image_folder", size=0, validation=2)
    assert [task.size(s) for s in ("train", "val", "test")] == [6, 2, 8]


def test_val_beside_test_is_validation(load, make_tree, tmp_path):
    make_tree(tmp_path / "images", ("train", "val", "test"))
    assert load("image_folder", size=0).size("val") == 8
    one_line(lambda: load("image_folder", size=0, validation=2), "its own validation split")


def test_an_absolute_path_needs_no_root(load, make_tree, tmp_path):
    make_tree(tmp_path / "elsewhere", ("train", "test"))
    task = load("image_folder", root=tmp_path / "root", path=str(tmp_path / "elsewhere"), size=0)
    assert task.size("train") == 8
    assert (tmp_path / "root" / "cache").is_dir()


def test_the_fingerprint_is_of_content_not_of_place_or_time(load, tree, tmp_path):
    first = load("image_folder", size=0)
    shutil.copytree(tree, tmp_path / "copy")
    os.utime(tmp_path / "copy" / "train" / "ant" / "00.jpg", (0, 0))
    assert load("image_folder", path="copy", size=0, workers=1).fingerprint == first.fingerprint
    shutil.copy(tree / "train" / "ant" / "01.jpg", tree / "train" / "ant" / "00.jpg")
    assert load("image_folder", size=0).fingerprint != first.fingerprint


def test_the_second_start_decodes_nothing(load, tree, monkeypatch, capsys):
    first = load("image_folder", size=8)
    assert "decoding 16 images" in capsys.readouterr().err
    monkeypatch.setattr(decoding, "read_image", None)
    assert load("image_folder", size=8).fingerprint == first.fingerprint
    assert capsys.readouterr().err == ""


def test_a_damaged_cache_is_decoded_again(load, tree, tmp_path, capsys):
    first = load("image_folder", size=0)
    (made,) = (tmp_path / "cache").glob("*.safetensors")
    data = bytearray(made.read_bytes())
    data[-1] ^= 1
    made.write_bytes(data)
    assert load("image_folder", size=0).fingerprint == first.fingerprint
    assert "is damaged" in capsys.readouterr().err


def test_hidden_files_are_skipped_links_followed_and_folders_within_taken(load, tree, tmp_path):
    (tree / "train" / "ant" / ".DS_Store").write_text("x")
    (tree / ".git").mkdir()
    (tree / "train" / ".cache").mkdir()
    inner = tree / "train" / "ant" / "inner"
    inner.mkdir()
    (inner / "link.jpg").symlink_to(tree / "train" / "ant" / "00.jpg")
    (inner / "loop").symlink_to(tree / "train" / "ant")
    (tmp_path / "linked").symlink_to(tree)
    assert load("image_folder", path="linked", size=0).size("train") == 9


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "LA", "1", "RGB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_is_converted(tmp_path, mode, channels):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (4, 3), (204, 204, 204)).convert(mode).save(path)
    pixels = decoding.to_tensor(decoding.read_image(str(path), channels))
    assert pixels.shape == (channels, 3, 4)
    if mode != "1":  # dithered; 204 is a colour of the palette
        assert bool(((pixels.int() - 204).abs() <= 3).all())


def test_a_palette_with_transparency_and_16_bits(tmp_path):
    palette = Image.new("P", (2, 2))
    palette.save(tmp_path / "p.png", transparency=b"\x00\x80")
    assert decoding.read_image(str(tmp_path / "p.png"), 3).mode == "RGB"
    deep = torch.full((2, 2), 200 * 256, dtype=torch.int32).numpy().astype("uint16")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert decoding.read_image(str(tmp_path / "deep.png"), 1).getpixel((0, 0)) == 200


def test_scaling_takes_the_centre(tmp_path):
    wide = Image.new("L", (12, 4))
    wide.paste(255, (4, 0, 8, 4))
    pixels = decoding.to_tensor(decoding.centre(wide, decoding.Form(1, 4, 4, 4)))
    assert pixels.unique().tolist() == [255]
    assert decoding.centre(wide, decoding.Form(1, 2, 2, 2)).size == (2, 2)


def test_images_of_several_sizes_need_a_size(load, tree):
    odd = tree / "train" / "bee" / "odd.jpg"
    Image.new("RGB", (9, 7)).save(odd)
    one_line(lambda: load("image_folder", size=0), str(odd), "9 x 7", "dataset.size")
    assert load("image_folder", size=6).input_shape == (3, 6, 6)


def test_grey(load, tree):
    task = load("image_folder", size=0, channels=1, mean=[0.5], std=[0.5])
    assert task.input_shape == (1, 8, 8)
    one_line(lambda: load("image_folder", channels=2), "dataset.channels=2")


def test_classes_that_differ(load, tree):
    (tree / "test" / "bee").rename(tree / "test" / "wasp")
    one_line(lambda: load("image_folder"), "'bee' (and 1 more)", str(tree / "test"))


def test_folders_that_are_empty_or_missing(load, tree, tmp_path):
    for path in (tree / "train" / "ant").iterdir():
        path.unlink()
    one_line(lambda: load("image_folder"), str(tree / "train" / "ant"), "no image")
    shutil.rmtree(tree / "test")
    one_line(lambda: load("image_folder"), "test (or val)")
    shutil.rmtree(tree / "train")
    one_line(lambda: load("image_folder"), "no folder named train")
    one_line(lambda: load("image_folder", path="none"), str(tmp_path / "none"))
    (tmp_path / "hollow" / "train").mkdir(parents=True)
    (tmp_path / "hollow" / "test").mkdir(parents=True)
    one_line(lambda: load("image_folder", path="hollow"), "no folder of a class")


def test_two_names_for_one_split(load, make_tree, tmp_path):
    make_tree(tmp_path / "images", ("train", "val", "valid"))
    one_line(lambda: load("image_folder"), "val and valid")


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0" + b"\0" * 99])
def test_a_file_that_is_no_image_is_named(load, tree, content):
    bad = tree / "train" / "bee" / "notes.png"
    bad.write_bytes(content)
    one_line(lambda: load("image_folder", size=0), str(bad), "cannot be read as an image")


def test_a_truncated_image_is_named(load, tree):
    bad = tree / "train" / "bee" / "00.jpg"
    bad.write_bytes(bad.read_bytes()[:-60])
    one_line(lambda: load("image_folder", size=0), str(bad), "truncated")


@pytest.mark.parametrize("limit", [60, 20])  # beyond the limit Pillow warns, beyond twice it raises
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused(load, tree, monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    one_line(lambda: load("image_folder", size=8), "ant", "cannot be read as an image")


def test_memory_decides_between_keeping_and_streaming(load, tree):
    bytes_of_pixels = 16 * 3 * 8 * 8
    fits = bytes_of_pixels / 2**30
    assert isinstance(load("image_folder", size=8, memory=fits), ImageTask)
    assert isinstance(load("image_folder", size=8, memory=fits * 0.99, workers=0), StreamTask)
    assert isinstance(load("image_folder", size=8, stream="yes", workers=0), StreamTask)
    assert isinstance(load("image_folder", size=8, stream="no", memory=0.0), ImageTask)
    one_line(lambda: load("image_folder", stream="maybe"), "dataset.stream", "auto, yes, no")


def test_tiny_imagenet_with_val_in_class_folders(load, make_tree, tmp_path):
    folder = tmp_path / "tiny-imagenet-200"
    for name in ("n01", "n02"):
        make_tree(folder / "train" / name, ("images",), classes=(".",), each=3, size=(64, 64))
    make_tree(folder, ("val",), classes=("n01", "n02"), each=2, size=(64, 64))
    (folder / "val" / "images").mkdir()  # what sorting them leaves
    task = load("tiny_imagenet", validation=2)
    assert [task.size(s) for s in ("train", "val", "test")] == [4, 2, 4]
    assert task.splits["test"].labels.tolist() == [0, 0, 1, 1]
    shutil.rmtree(folder / "val" / "n02")
    one_line(lambda: load("tiny_imagenet", validation=2), "'n02'", "every split needs")
    one_line(lambda: load("tiny_imagenet", root=folder), f"type data={tmp_path}")


def test_tiny_imagenet_reads_its_annotations(load, make_tree, tmp_path):
    folder = tmp_path / "tiny-imagenet-200"
    for name in ("n01", "n02"):
        make_tree(folder / "train" / name, ("images",), classes=(".",), each=3, size=(64, 64))
        (folder / "train" / name / f"{name}_boxes.txt").write_text("0.jpg\t0\t0\t1\t1\n")
    make_tree(folder / "val", ("images",), classes=(".",), each=2, size=(64, 64))
    notes = folder / "val" / "val_annotations.txt"
    notes.write_text("00.jpg\tn02\t0\t0\t1\t1\n01.jpg\tn01\t0\t0\t1\t1\n")
    task = load("tiny_imagenet", validation=2)
    assert [task.size(s) for s in ("train", "val", "test")] == [4, 2, 2]
    assert task.splits["test"].labels.tolist() == [1, 0]
    assert task.input_shape == (3, 64, 64)
    notes.write_text("00.jpg\tn02\t0\t0\t1\t1\n")
    with pytest.raises(Exception, match="does not fit") as caught:
        load("tiny_imagenet", validation=2)
    assert "\n" not in str(caught.value)


def test_imagenet_streams_with_val_as_test(load, make_tree, tmp_path):
    make_tree(tmp_path / "imagenet", ("train", "val"), size=(12, 10))
    task = load("imagenet", size=8, workers=0, validation=2)
    assert isinstance(task, StreamTask)
    assert [task.size(s) for s in ("train", "val", "test")] == [6, 2, 8]
    task = task.prepare(batch_size=3, device=torch.device("cpu"))
    assert [tuple(x.shape) for x, _ in task.batches("train", 0, 0)] == [(3, 3, 8, 8)] * 2
