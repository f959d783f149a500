"""What every data set has to keep: its yaml says everything, and it loads nothing early."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Unpack

import pytest
import yaml

from lottery.config import bind
from lottery.config import build as config
from lottery.tasks.images.augmentation import ClassOptions, ImageOptions

YAMLS = sorted((config.conf_dir() / "dataset").glob("*.yaml"))
MADE = ("digits", "masked_docs", "masked_phrases", "numbers", "phrases", "python_docs", "synthetic", "xor")  # without a file below root


def read(path):
    """Return what a yaml says of a data set, without the model that it names, and beside no other model."""
    said = {key: value for key, value in yaml.safe_load(path.read_text()).items() if key != "defaults"}
    return said | {"tokenizer": "learned"} if "tokenizer" in said else said


def of_images(node):
    """Say whether a data set takes the options of images."""
    function = bind.find("dataset", node["name"], "dataset")
    return any(p.annotation in (Unpack[ImageOptions], Unpack[ClassOptions]) for p in inspect.signature(function).parameters.values())


@pytest.mark.parametrize("path", YAMLS, ids=lambda p: p.stem)
def test_the_yaml_lists_every_keyword_and_binds(path):
    node = read(path)
    function = bind.find("dataset", node["name"], "dataset")
    assert set(node) - {"name"} == set(bind.settings_of(function))
    if of_images(node):
        assert isinstance(node["validation"], int)
    assert sum(of_images(read(each)) for each in YAMLS) >= 10
    config.bind("dataset", node, "dataset")


@pytest.mark.parametrize("path", YAMLS, ids=lambda p: p.stem)
def test_the_yaml_has_a_sentence_and_a_comment_a_knob(path):
    first, *lines = path.read_text().splitlines()
    name, *knobs = lines[next(n for n, line in enumerate(lines) if line.startswith("name: ")):]
    assert first.startswith("# ")
    assert first.endswith(".")
    assert name.startswith("name: ")
    assert all(" # " in line for line in knobs)


@pytest.mark.parametrize("path", YAMLS, ids=lambda p: p.stem)
def test_the_function_takes_root_and_keywords_without_defaults(path):
    node = yaml.safe_load(path.read_text())
    function = bind.find("dataset", node["name"], "dataset")
    first, *others = inspect.signature(function).parameters.values()
    assert first.name == "root"
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in others)
    assert all(p.default is p.empty for p in others)
    assert inspect.getdoc(function)


def test_every_data_set_has_a_yaml():
    named = {yaml.safe_load(path.read_text())["name"] for path in YAMLS}
    assert named == set(bind.components("dataset"))


def test_importing_every_data_set_leaves_torchvision_alone():
    names = [yaml.safe_load(path.read_text())["name"] for path in YAMLS]
    code = "; ".join(f"import lottery.components.datasets.{name}" for name in names)
    code = f"import sys; {code}; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


@pytest.mark.parametrize("path", YAMLS, ids=lambda p: p.stem)
def test_absent_data_is_one_line(path, tmp_path, monkeypatch):
    from urllib.error import URLError

    from lottery.errors import UsageError

    def offline(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    node = read(path)
    if Path(node.get("path", "")).is_absolute():  # which may be there
        node["path"] = "there"
    build = config.bind("dataset", node, "dataset")
    root = tmp_path / "nowhere"
    if node["name"] in MADE:
        assert build(root).size("train") > 0
        assert not root.exists()
        return
    with pytest.raises(UsageError) as caught:
        build(root)
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)
