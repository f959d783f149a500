"""What a run is known by is content: of its data, of its code, of its own records."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from lottery import seeds, sources
from lottery.storage import records

torch.set_num_threads(1)

NET = """
from torch import nn
from mine_parts import halved


class Net(nn.Module):
    def __init__(self, shape, outputs):
        super().__init__()
        self.fc = nn.Linear(shape.numel() if hasattr(shape, "numel") else int(__import__("math").prod(shape)), outputs)

    def forward(self, x):
        return self.fc(halved(x.flatten(1)))


def mine(task, *, width: int):
    return Net(task.input_shape, task.outputs)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package with a model of its own beside tmp_path/outputs; return its folder."""
    home = tmp_path / "site"
    about = home / "mine-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[lottery.model]\nmine = mine_net:mine\n")
    (home / "mine_net.py").write_text(NET)
    (home / "mine_parts.py").write_text("def halved(x):\n    return x / 2\n")
    (home / "mine_unused.py").write_text("answer = 42\n")
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "mine.yaml").write_text("# A net.\nname: mine\nwidth: 3   # unused\n")
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget():
        for name in ("mine_net", "mine_parts"):
            sys.modules.pop(name, None)

    forget()
    yield home, forget
    forget()


def keys_of(folder):
    return {place: entry["key"] for place, entry in records.levels(folder).items()}


def test_an_edited_forward_takes_no_old_level(package, run, capsys):
    home, forget = package
    words = ["--config-dir", "own", "model=mine"]
    folder = run(*words)
    first = keys_of(folder)
    record = records.read_run(folder)
    assert set(record["code"]) == {"model"}
    run(*words)
    assert "changed" not in capsys.readouterr().err
    for name in ("mine_parts.py", "mine_net.py"):
        original = (home / name).read_text()
        (home / name).write_text(original.replace("x / 2", "x / 3").replace("halved(x.f", "0.5 * halved(x.f"))
        forget()
        run(*words)
        said = capsys.readouterr()
        assert said.err.count("the source code of its model has changed since this run began") == 1
        assert "levels: 3 trained, 0 shared, 0 already there" in said.out
        assert not set(first.values()) & set(keys_of(folder).values())
        (home / name).write_text(original)
        forget()
        run(*words)  # put back: the old levels are found again, none is trained
        said = capsys.readouterr()
        assert "3 already there" in said.out
        assert keys_of(folder) == first
    assert len(records.read_run(folder)["drift"]) == 4
    (home / "mine_unused.py").write_text("answer = 43\n")
    forget()
    run(*words)
    assert "changed" not in capsys.readouterr().err
