"""Run directories, data and configs from an attacker: read by the real commands, they run nothing.

Each ends in one line and an exit code, in bounded time and memory, and the canary never appears.
"""

import gc
import gzip
import hashlib
import importlib
import io
import json
import mmap
import os
import shutil
import signal
import struct
import sys
import tarfile
import warnings
import zipfile
import zlib
from dataclasses import replace
from functools import partial

import pytest
import torch
import yaml
from harness import TINY, compose, finish, output, spawn, wait
from PIL import Image
from poison import (
    GROWTH,
    PICKLES,
    attempt,
    explode,
    forge,
    header,
    judge,
    pickled,
    replicate,
    shelf,
    sign,
    torch_zip,
    warm,
)
from safetensors.torch import save

from lottery import cli
from lottery.config import bind, build, identity, packages
from lottery.errors import UsageError
from lottery.storage import store
from lottery.storage.files import digest
from lottery.storage.settings import read_config
from lottery.tasks.images.downloads import Source

pytestmark = pytest.mark.torture
ROW = "malicious corpus"
NET = (*TINY, "model=lenet_300_100", "model.hidden=[4]", "train.length=2ep")
COMPACT = ("compact", "victim", "level=1", "to=small")
EXPORT = ("export", "victim", "level=1", "to=net.safetensors")
COMMANDS = (
    ("ls",), ("show", "victim"), ("branch", "victim", "branch=reinit", "levels=1"),
    COMPACT, EXPORT, ("doctor",), ("clean",),
)  # fmt: skip


def plan_of(*words):
    return compose((*NET, "name=victim", *words))


def later():
    return plan_of("levels=2", "branch=[shuffle]")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """Make a finished run: the dense level, a pruned one, and a branch of that."""
    folder = tmp_path_factory.mktemp("template") / "run"
    assert finish(folder, plan_of("levels=1", "branch=[shuffle]")) == 0, output(folder)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy, symlinks=True)
    warm(copy, [*COMMANDS, later()])
    Image.init()  # the same for the readers of Pillow
    gc.collect()
    gc.freeze()  # else each child's collector touches, and so copies, all that this process has
    return folder


@pytest.fixture
def victim(template, tmp_path):
    """Return a folder with that run in it."""
    shutil.copytree(template, tmp_path / "run", symlinks=True)
    return tmp_path / "run"


@pytest.fixture
def canary(tmp_path):
    """Return the file that any payload makes; it must not be there at the end."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def through(folder, names, codes=(0, 2, 4)):
    """Judge commands by their first words, in one child.

    resume stands for the run's own command: its next level is made of the files of those before.
    """
    known = {words[0]: words for words in COMMANDS} | {"resume": later()}
    for outcome in attempt(folder, *((None, known[name]) for name in names.split())):
        judge(outcome, codes)


@pytest.mark.parametrize("make", PICKLES)
def test_the_payloads_do_run_where_they_are_unpickled(make, tmp_path):
    explode(make(tmp_path / "canary"))
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("kept", [True, False])
def test_the_judge_sees_memory(tmp_path, kept):
    """Also what was given back by the end, and as much as it was, whatever this process holds."""
    held, size = [], int(1.2 * GROWTH)

    def take():
        held.append(b"x" * size)
        held[kept:] = []

    (outcome,) = attempt(tmp_path, (take, ("ls",)))
    with pytest.raises(AssertionError, match="MiB"):
        judge(outcome)
    assert abs(outcome.growth - size) < 0.1 * GROWTH


def test_pages_of_files_are_no_memory_of_a_command(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(int(1.2 * GROWTH))
    held = []

    def touch():
        with path.open("rb") as file:
            held.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        assert held[0].find(b"x") == -1  # every page was read

    (outcome,) = attempt(tmp_path, (touch, ("ls",)))
    judge(outcome)


def test_the_judge_sees_a_hang(tmp_path):
    def hang():
        signal.alarm(1)
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "pipe").read_bytes()

    with pytest.raises(AssertionError, match=f"^\\({int(signal.SIGALRM)}, "):
        attempt(tmp_path, (hang, ("ls",)))


OF_RUN = ("config.yaml", "run.json", "manifest.json", "metrics.csv", "layers.csv", "branches.csv", ".owner")
OF_LEVEL = ("ticket.safetensors", "end.safetensors", "mask.safetensors", "curve.csv", "manifest.json", ".owner")


@pytest.mark.parametrize("name", OF_RUN)
def test_a_pickle_under_a_name_of_the_run(victim, canary, name, tally):
    make = PICKLES[OF_RUN.index(name) % len(PICKLES)]
    forge(replicate(victim) / name, make(canary))
    through(victim, "ls show clean resume")
    tally(ROW, 1)


@pytest.mark.parametrize("name", OF_LEVEL)
def test_a_pickle_under_a_name_of_a_level(victim, canary, name, tally):
    for number, place in enumerate(("level_00", "level_01", "level_01_shuffle")):
        make = PICKLES[(OF_LEVEL.index(name) + number) % len(PICKLES)]
        forge(shelf(victim, place) / name, make(canary))
    through(victim, "compact export clean resume")
    tally(ROW, 1)


def test_pickles_under_every_name_at_once(victim, canary, tally):
    place = shelf(victim, "level_01")
    for folder, names, make in ((place, OF_LEVEL, torch_zip), (replicate(victim), OF_RUN, pickled)):
        for name in sorted(names, key=lambda name: name == "manifest.json"):  # it signs the others
            forge(folder / name, make(canary))
    through(victim, "doctor ls show branch compact export clean resume")
    tally(ROW, 1)


def test_a_pickle_in_the_place_of_a_state(victim, canary, tally):
    forge(shelf(victim, "level_00") / "4it.safetensors", torch_zip(canary))
    through(victim, "resume", (4,))
    tally(ROW, 1)


@pytest.mark.parametrize("make", PICKLES)
def test_a_pickle_in_the_place_of_a_checkpoint(victim, canary, make, tally):
    data = make(canary)
    place = shelf(victim, "level_01")
    (place / "manifest.json").unlink()
    (place / f"checkpoint-3-{digest(data)[:32]}.safetensors").write_bytes(data)
    through(victim, "resume", (4,))
    tally(ROW, 1)


SIZES = 2**20
HEADERS = {
    "a header of 2^60 bytes": (2**60).to_bytes(8, "little") + b"{}",
    "a header of 2^64 - 1 bytes": b"\xff" * 8 + b"{}",
    "40 MB of empty lists": header(b"[" + b"[]," * (13 * SIZES) + b"[]]"),
    "40 MB of empty lists in the words": header(
        b'{"__metadata__":{"lottery":"[' + b"[]," * (13 * SIZES) + b'[]]"}}'
    ),
    "as many as the limit lets pass": header(
        b'{"__metadata__":{"lottery":"[' + b"[]," * (5 * SIZES) + b'[]]"}}'
    ),
    "lists, 100,000 deep": header(b"[" * 100_000),
    "lists, 100,000 deep, in the words": header(b'{"__metadata__":{"lottery":"' + b"[" * 100_000 + b'"}}'),
    "no words": header(b"{}"),
    "words that are no text": header(b'{"__metadata__":{"lottery":[1]}}'),
    "negative offsets": header(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}', b"x"),
    "offsets that overlap": header(
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
        b'"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"__metadata__":{"lottery":"{}"}}', b"xxx",
    ),
    "offsets beyond the end": header(b'{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}', b"x"),
    "a shape whose product overflows": header(
        b'{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967297],"data_offsets":[0,4]}}', b"xxxx"
    ),
    "a shape with a zero and a huge side": header(
        b'{"a":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0]},'
        b'"__metadata__":{"lottery":"{}"}}'
    ),
    "the same name twice": header(
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"__metadata__":{"lottery":"{}"}}', b"x",
    ),
    "a type that there is not": header(b'{"a":{"dtype":"O8","shape":[1],"data_offsets":[0,8]}}', b"x" * 8),
}  # fmt: skip


@pytest.mark.parametrize("what", HEADERS)
def test_a_signed_file_whose_header_lies(victim, what, tally):
    forge(shelf(victim, "level_01") / "end.safetensors", HEADERS[what])
    through(victim, "resume" if list(HEADERS).index(what) % 2 else "compact", (4,))
    tally(ROW, 1)


CHANGES = {
    "no tensors": lambda t: {},
    "other names": lambda t: {f"x{k}": v for k, v in t.items()},
    "one is missing": lambda t: {k: v for k, v in t.items() if k != max(t)},
    "other shapes": lambda t: {k: v.flatten()[:1].clone() for k, v in t.items()},
    "scalars": lambda t: {k: v.flatten()[0].clone() for k, v in t.items()},
    "whole numbers": lambda t: {k: v.to(torch.int64) for k, v in t.items()},
    "one more axis": lambda t: {k: v[None].clone() for k, v in t.items()},
    "names with paths": lambda t: t | {"weights/../../../etc": torch.zeros(1), "__class__": torch.zeros(1)},
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("name", ["end.safetensors", "mask.safetensors", "4it.safetensors"])
def test_a_signed_file_with_other_tensors(victim, what, name, tally):
    place = shelf(victim, "level_00" if name.startswith("4it") else "level_01")
    held, words = store.unpack_tensors((place / name).read_bytes())
    forge(place / name, store.pack_tensors(CHANGES[what](held), words))
    harmless = what in ("names with paths", "whole numbers") or name.startswith("mask")
    through(victim, "resume", (0, 4) if harmless else (4,))
    if name == "end.safetensors":
        through(victim, "compact", (0, 4))
    tally(ROW, 1)


WORDS = [None, "x", [], {}, {"step": "x"}, {"shapes": {"a": [-1]}}, {"layers": 5, "tensors": {}}]


@pytest.mark.parametrize("name", ["end.safetensors", "mask.safetensors", "ticket.safetensors"])
def test_signed_tensors_with_other_words(victim, name, tally):
    path = shelf(victim, "level_01") / name
    held, _ = store.unpack_tensors(path.read_bytes())
    changes = [
        partial(forge, path, save(held, {"lottery": json.dumps(words)})) for words in WORDS
    ]
    tasks = [(change, COMPACT) for change in changes]
    for outcome in attempt(victim, *tasks, (changes[len(name) % len(WORDS)], later())):
        judge(outcome, (0, 4))
    tally(ROW, 1)


JSONS = {
    "lists, 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects, 100,000 deep": b'{"a":' * 100_000,
    "a number of 100,000 digits": b'{"sha256":' + b"9" * 100_000 + b"}",
    "a number of 10^999": b'{"levels_asked":1e999,"sha256":"x"}',
    "20 MB of empty lists": b'{"a":[' + b"[]," * (7 * SIZES) + b"[]]}",
    "no object": b"[1, 2]",
    "no text": bytes(range(256)),
    "half a character": b'{"state":"\\ud800"}',
    "nothing": b"",
}


@pytest.mark.parametrize("what", JSONS)
def test_json_that_is_a_bomb(victim, what, tally):
    for path, names in (
        (shelf(victim, "level_01") / "manifest.json", "compact clean"),
        (replicate(victim) / "run.json", "ls show"),
        (replicate(victim) / "manifest.json", "ls show resume"),
    ):
        path.write_bytes(JSONS[what])
        through(victim, names)
    tally(ROW, 1)


ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
VALUES = (None, -1, "x", ESCAPE, "\ud800", [], {"a": {}}, 10**400, float("nan"))


READ = ("state", "command", "seconds", "started", "levels_asked", "error", "environment", "drift", "resumed", "run")


@pytest.mark.parametrize("value", range(len(VALUES)))
def test_a_signed_record_with_other_values(victim, value, tally):
    """Each field of run.json in turn, and then all at once."""
    path = replicate(victim) / "run.json"
    before = path.read_bytes()

    def change(*keys):
        path.write_bytes(before)
        sign(path, lambda body: body.update(dict.fromkeys(keys, VALUES[value])))

    fields = [key for key in json.loads(before) if key != "sha256"]
    each = [(partial(change, key), ("show", "victim")) for key in READ]
    for outcome in attempt(victim, *each):
        judge(outcome)
    change(*fields)
    through(victim, "ls resume")
    tally(ROW, 1)


@pytest.mark.parametrize("value", range(0, len(VALUES), 2))
def test_a_signed_manifest_of_a_level_with_other_values(victim, value, tally):
    path = shelf(victim, "level_01") / "manifest.json"
    before = path.read_bytes()

    def change(*keys):
        path.write_bytes(before)
        sign(path, lambda body: body.update(dict.fromkeys(keys, VALUES[value])))

    fields = [key for key in json.loads(before) if key != "sha256"]
    each = [(partial(change, key), COMPACT) for key in fields]
    for outcome in attempt(victim, *each):
        judge(outcome)
    change(fields[value % len(fields)])
    through(victim, "resume")
    tally(ROW, 1)


KEYS = ["../../elsewhere", "../../../etc", "/etc", "..", "", "A" * 32, "0" * 32 + "\n", "\0" * 32, 5]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_key_that_leaves_the_store(victim, key, tally):
    outside = victim / "elsewhere"  # a level that is as it should be
    shutil.copytree(shelf(victim, "level_01"), outside)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    manifest = replicate(victim) / "manifest.json"
    for entry in ("level_00", "level_01", "level_01_shuffle"):
        sign(manifest, lambda body, entry=entry: body["levels"][entry].update(key=key))
    through(victim, "ls clean resume")
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before
    for place, entry in json.loads(manifest.read_bytes())["levels"].items():
        assert (victim / "outputs" / "store" / entry["key"]).parent.resolve() == victim / "outputs" / "store"
        assert (manifest.parent / place).resolve().parent == victim / "outputs" / "store"
    tally(ROW, 1)


@pytest.mark.parametrize("place", ["../level_00", "level_00/../../x", "/level_00", "level_0", "level_00\n", ""])
def test_a_place_that_leaves_the_run(victim, place, tally):
    def move(body):
        body["levels"][place] = body["levels"].pop("level_01")
        body["files"]["../../../precious"] = ["0" * 64]

    sign(replicate(victim) / "manifest.json", move)
    through(victim, "show clean resume")
    tally(ROW, 1)


def test_the_checksums_of_a_manifest_are_lists_of_text(victim, tally):
    def change(value):
        sign(replicate(victim) / "manifest.json", lambda b: b["files"].update({"metrics.csv": value}))

    for outcome in attempt(victim, *((partial(change, v), ("show", "victim")) for v in VALUES)):
        judge(outcome, (0, 4))
    through(victim, "ls resume", (0, 4))
    tally(ROW, 1)


LAUGHS = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)
])  # fmt: skip
YAMLS = {
    "a call": "x: !!python/object/apply:os.system ['touch CANARY']",
    "a call in a model": "model: !!python/object/apply:os.system ['touch CANARY']",
    "an object": "x: !!python/object/new:os.system ['touch CANARY']",
    "a name": "x: !!python/name:os.system",
    "a module": "x: !!python/module:os",
    "a tuple": "x: !!python/tuple [1]",
    "a billion laughs": LAUGHS,
    "an alias": "x: &a [1]\ny: *a",
    "a list that holds itself": "x: &a [*a]",
    "lists, 20,000 deep": "x: " + "[" * 20_000 + "]" * 20_000,
    "a number of 5,000 digits": "levels: " + "9" * 5_000,
    "the environment": "data: ${oc.env:SECRET}",
    "the environment in a model": "name: ${oc.env:SECRET,x}",
    "a resolver": "name: ${oc.decode:'!!python/object/apply:os.system'}",
    "a file of the environment": "outputs: ${hydra:runtime.cwd}",
    "an interpolation that never ends": "name: ${name}",
    "two documents": "---\na: 1\n---\nb: 2",
    "no text": "\udc80\udcff\x00",
    "3 MB": "x: " + "y" * (3 * SIZES),
}


@pytest.mark.parametrize("what", YAMLS)
def test_a_config_that_is_no_config(victim, canary, what, tally, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    path = replicate(victim) / "config.yaml"
    settings = yaml.safe_load(path.read_text())
    added = YAMLS[what].replace("CANARY", str(canary))
    keys = {line.split(":")[0] for line in added.split("\n")}
    rest = {k: v for k, v in settings.items() if k not in keys}
    text = f"{added}\n{yaml.safe_dump(rest)}" if what != "two documents" else added
    forge(path, text.encode(errors="surrogateescape"))
    for outcome in attempt(victim, (None, COMMANDS[2]), (None, ("show", "victim"))):
        judge(outcome)
        assert "hunter2" not in outcome.text
    assert not [p for p in victim.rglob("*") if p.is_file() and b"hunter2" in p.read_bytes()]
    tally(ROW, 1)


NAMES = ["os.system", "torch.load", "builtins.exec", "../../evil", "/tmp/evil", "__init__", "__class__", "digits.digits",
         "sgd/../adam", "lottery.config.build", "", " ", None, 5, ["sgd"], {"a": 1}, "sgd\n", "\0", "mask"]  # fmt: skip


@pytest.mark.parametrize("kind", bind.FOLDERS)
def test_a_component_is_named_and_never_imported(kind, tally):
    before = set(sys.modules)
    for name in NAMES:
        with pytest.raises(UsageError) as caught:
            build.bind(kind, {"name": name}, kind)
        assert str(caught.value).count("\n") <= 1
    assert not {m for m in set(sys.modules) - before if not m.startswith("lottery.")}
    tally(ROW, 1)


def test_an_entry_point_is_loaded_by_its_own_name_only(monkeypatch, tally):
    class Installed:
        name, value = "theirs", "os:system"

        def load(self):
            return lambda task, *, x: x

    monkeypatch.setattr(packages, "entries", lambda group: [Installed()])
    for name in ("os:system", "os.system", "lottery.model", "Theirs"):
        with pytest.raises(UsageError, match="there is no model"):
            bind.find("model", name, "model")
    assert bind.find("model", "theirs", "model")(None, x=5) == 5
    tally(ROW, 1)


@pytest.mark.parametrize("name", ["os.system", "torch.load", "../../evil", "__init__"])
def test_a_run_whose_config_names_what_is_no_component(victim, canary, name, tally):
    """The id of the run is that of its config: an attacker can count, too."""
    (victim / "evil.py").write_text(f"open({str(canary)!r}, 'w')")
    folder = replicate(victim)
    settings = read_config(folder / "config.yaml")
    settings["model"] = {"name": name, "_target_": "os.system", "command": f"touch {canary}"}
    settings["train"]["optimizer"] = {"name": name, "_target_": "os.system"}
    forge(folder / "config.yaml", build.text(settings).encode())
    new = identity.run_id(settings)
    for record in ("manifest.json", "run.json"):
        sign(folder / record, lambda body: body.update(run=f"{new}/replicate_0"))
    folder.parent.rename(folder.parent.with_name(new))
    (outcome,) = attempt(victim, (None, COMMANDS[2]))
    judge(outcome, (2,))
    assert "there is no " in outcome.text
    tally(ROW, 1)


PIPES = [*OF_RUN, *(f"level/{name}" for name in OF_LEVEL)]


@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_under_a_name_does_not_hang(victim, name, tally):
    place, _, last = name.rpartition("/")
    path = (shelf(victim, "level_01") if place else replicate(victim)) / last
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    through(victim, "compact resume" if place else "show branch resume", (0, 2, 4, 5))
    tally(ROW, 1)


@pytest.mark.parametrize("name", [*OF_RUN, ".lock", "level_00", "level_01"])
def test_a_link_in_a_run_changes_nothing_outside(victim, tmp_path, name, tally):
    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    path = replicate(victim) / name
    path.unlink(missing_ok=True)
    path.symlink_to(precious)
    through(victim, "show resume", (0, 2, 4, 5))
    assert precious.read_text() == "precious\n"
    tally(ROW, 1)


@pytest.mark.parametrize("target", ["..", "/", "../../../../..", "nowhere"])
def test_a_link_of_a_level_leads_where_it_likes(victim, target, tally):
    folder = replicate(victim)
    for name in ("level_00", "level_01", "level_01_shuffle"):
        (folder / name).unlink()
    (folder / "level_00").symlink_to(target)
    (folder / "level_01").write_text(f"{target}\n")
    (folder / "level_01_shuffle").write_bytes(b"\xff" * 2**20)
    through(victim, "clean resume")
    tally(ROW, 1)


def test_temporary_files_that_are_links_are_not_written_through(victim, tmp_path, tally):
    precious = tmp_path / "precious"
    precious.write_text("precious\n")

    def guess():
        """Place a link for each name that this process is about to write, as one for any process."""
        for folder in (replicate(victim), shelf(victim, "level_01")):
            for name in (".owner", "run.json", "manifest.json", "metrics.csv"):
                (folder / f".tmp-{os.getpid()}-{name}").symlink_to(precious)

    (outcome,) = attempt(victim, (guess, later()))
    judge(outcome, (0, 2, 4, 5))
    assert precious.read_text() == "precious\n"
    tally(ROW, 1)


TABLES = {
    "no columns": b"",
    "other columns": b"a,b\n1,2\n",
    "text for numbers": b"level,density,compression,kept,total,test_accuracy\nx,y,z,u,v,w\n",
    "too few cells": b"level,density,compression,kept,total,test_accuracy\n0\n1\n",
    "too many cells": b"level,density\n" + b"1," * 2_000 + b"\n",
    "columns twice": b"level,level,density,density,kept,total,compression\n0,0,1,1,1,1,1\n",
    "no text": bytes(range(256)) * 10,
    "an open quote": b'level,density\n"' + b"x\n" * 1000,
    "huge numbers": b"level,density,compression,kept,total\n" + b"9" * 400 + b",1e999,nan,inf,-inf\n",
    "dates": b"level,density,compression,kept,total\n2020-01-01,1,1,1,1\n",
    "escapes": f"level,density,compression,kept,total,test_accuracy,branch\n{ESCAPE},1,1,1,1,1,{ESCAPE}\n".encode(),
}


@pytest.mark.parametrize("what", TABLES)
def test_signed_tables_that_are_none(victim, what, tally):
    for name in ("metrics.csv", "layers.csv", "branches.csv"):
        forge(replicate(victim) / name, TABLES[what])
    through(victim, "ls show branch")
    tally(ROW, 1)


def test_names_on_the_screen_give_no_commands_to_the_terminal(victim, tally):
    sign(replicate(victim) / "run.json", lambda b: b.update(dict.fromkeys(("state", "command", "started", "error", "host"), ESCAPE)))
    name = victim / "outputs" / ("a\n" + ESCAPE)
    shutil.copytree(victim / "outputs" / "victim", name, symlinks=True)
    odd = next(name.iterdir())
    shutil.copytree(odd / "replicate_0", odd / "replicate_²", symlinks=True)
    odd.rename(odd.with_name(f"ff{ESCAPE}"))
    tasks = (("ls",), ("show", f"{name}/ff{ESCAPE}/replicate_0"), ("show", "ff"), ("show", "nothing"),
             ("doctor",), ("clean",), ("branch", "ff", "branch=invert"), ("compact", "ff", "level=9"))  # fmt: skip
    for outcome in attempt(victim, *((None, words) for words in tasks)):
        judge(outcome)
    tally(ROW, 1)


def test_names_of_a_run_that_is_whole_are_harmless_in_every_command(victim, tally):
    name = victim / "outputs" / f"{ESCAPE}\n`x`<b>"
    (victim / "outputs" / "victim").rename(name)
    ident = next(name.iterdir()).name
    words = ("ls", "show", "tail", "compare", "diff", "bench", "export", "compact", "plot", "report",
             "branch", "clean", "doctor")  # fmt: skip
    more = {
        "ls": (), "doctor": (), "diff": (ident, ident), "clean": (f"run={ident}",),
        "bench": (ident, "level=1", "repeats=2", "batch=1"), "export": (ident, "level=1", "as=ticket"),
        "compact": (ident, "level=1"), "plot": (ident, "figure=accuracy"),
        "branch": (ident, "branch=shuffle"),
    }  # fmt: skip
    tasks = [(word, *more.get(word, (ident,))) for word in words]
    for outcome in attempt(victim, *((None, task) for task in tasks)):
        judge(outcome, (0,))
    tally(ROW, 1)


def test_no_cell_of_a_table_becomes_a_formula(victim, tally):
    text = '=HYPERLINK("http://x","y")'
    sign(replicate(victim) / "manifest.json", lambda b: b["levels"]["level_01_shuffle"].update(settings=text))
    sign(shelf(victim, "level_01") / "manifest.json", lambda b: b["result"].update({text: text, "@x": "+1"}))
    sign(shelf(victim, "level_01") / "manifest.json", lambda b: b["layers"].update({"=1+1.weight": dict(next(iter(b["layers"].values())))}))
    shutil.copytree(victim / "outputs" / "victim", victim / "outputs" / "=cmd|'calc'!A0", symlinks=True)
    through(victim, "resume")
    for path in victim.rglob("*.csv"):
        for line in path.read_text().splitlines():
            for cell in line.replace('"', "").split(","):
                number = cell.replace("e-", "").replace("e+", "").replace(".", "").lstrip("-")
                assert not cell.startswith(("=", "+", "@")), (path, line)
                assert not cell.startswith("-") or number.isdigit(), (path, line)
    tally(ROW, 1)


DATA = {
    "mnist": ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/t10k-labels-idx1-ubyte.gz", "cache/mnist.safetensors"),
    "cifar10": ("cifar-10-binary.tar.gz", "cifar-10-batches-bin/data_batch_1.bin",
                "cifar-10-batches-py/data_batch_1", "cache/cifar10.safetensors"),
    "svhn": ("train_32x32.mat", "cache/svhn.safetensors"),
}  # fmt: skip


@pytest.mark.parametrize(("dataset", "name"), [(d, n) for d, names in DATA.items() for n in names])
def test_a_pickle_in_the_place_of_data(tmp_path, canary, template, dataset, name, tally, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    path = tmp_path / "run" / "data" / name
    path.parent.mkdir(parents=True)
    data = PICKLES[len(name) % 3](canary)
    path.write_bytes(data)
    path.with_name(f"{path.name}.sha256").write_text(f"{digest(data)}  {path.name}\n")
    plan = compose((f"dataset={dataset}", "model=lenet_300_100", "levels=0", "data=data", "host.progress=none"))
    (outcome,) = attempt(tmp_path / "run", (None, plan))
    judge(outcome, (2, 4))
    tally(ROW, 1)


def published(monkeypatch, dataset, name, data, parts):
    """Let a data set consist of one file, with the checksum of this one."""
    module = importlib.import_module(f"lottery.components.datasets.{dataset}")
    source = Source(name, len(data), hashlib.sha256(data).hexdigest(), parts)
    monkeypatch.setattr(module, "FILES", replace(module.FILES, sources=(source,)))


def test_archives_that_are_bombs(tmp_path, template, monkeypatch, tally):
    """Even one that has the right checksum."""
    (tmp_path / "run" / "data" / "MNIST" / "raw").mkdir(parents=True)
    bomb = gzip.compress(bytes(300 * SIZES), 1)
    published(monkeypatch, "mnist", "x.gz", bomb, {"x": 1000})
    published(monkeypatch, "cifar10", "x.tar.gz", bomb, {"x": 1000})
    (tmp_path / "run" / "data" / "MNIST" / "raw" / "x.gz").write_bytes(bomb)
    (tmp_path / "run" / "data" / "x.tar.gz").write_bytes(bomb)
    for dataset in ("mnist", "cifar10"):
        plan = compose((f"dataset={dataset}", "model=lenet_300_100", "levels=0", "data=data"))
        (outcome,) = attempt(tmp_path / "run", (None, plan))
        judge(outcome, (4,))
        assert outcome.growth < 150 * SIZES
        tally(ROW, 1)


@pytest.mark.parametrize("kind", ["slip", "absolute", "link", "hard link", "device"])
def test_archives_that_leave_their_folder(tmp_path, template, monkeypatch, kind, tally):
    folder = tmp_path / "run" / "data"
    folder.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    path = folder / "x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo({"slip": "../../precious", "absolute": str(precious)}.get(kind, "data_batch_1.bin"))
        types = {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
        info.type, info.linkname = types.get(kind, tarfile.REGTYPE), str(precious)
        archive.addfile(info)
    published(monkeypatch, "cifar10", "x.tar.gz", path.read_bytes(), {"data_batch_1.bin": 10**6})
    before = sorted(p.name for p in folder.iterdir())
    plan = compose(("dataset=cifar10", "model=lenet_300_100", "levels=0", "data=data"))
    (outcome,) = attempt(tmp_path / "run", (None, plan))
    judge(outcome, (4,))
    assert precious.read_text() == "precious\n"
    assert sorted(p.name for p in folder.iterdir() if p.name != "cache") == before
    tally(ROW, 1)


PICTURE_PLAN = ("dataset=image_folder", "dataset.path=pictures", "dataset.size=8", "model=lenet_300_100", "model.hidden=[4]",
                "levels=0", "train.batch_size=2", "train.length=1it", "data=data", "host.progress=none")  # fmt: skip


def png(side, rows, colour=0):
    """Return a PNG that says it is so many pixels wide and high, in grey or colour (2)."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(rows * (side * (3 if colour else 1) + 1)), 1)
    head = struct.pack(">2I5B", side, side, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("colour", [0, 2])
def test_large_pictures_are_decoded_one_at_a_time(tmp_path, template, colour, tally):
    """Just below the limit of Pillow: 350 MB each, of 400 kB on the disk, and four threads."""
    data = png(9_400, 9_400, colour)
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            place = tmp_path / "run" / "data" / "pictures" / split / name
            place.mkdir(parents=True)
            Image.new("L", (8, 8)).save(place / "1.png")
    for number in range(2, 67):  # a thread takes 64 files at a time
        shutil.copy(place / "1.png", place / f"{number}.png")
    (place / "0.png").write_bytes(data)
    (place / "99.png").write_bytes(data)
    (outcome,) = attempt(tmp_path / "run", (None, compose((*PICTURE_PLAN, "dataset.channels=3", "dataset.mean=[0.5,0.5,0.5]", "dataset.std=[0.5,0.5,0.5]"))))
    judge(outcome, (0,))
    tally(ROW, 1)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(%pipe%touch CANARY) (w) file\nshowpage\n%%EOF\n"
PICTURES = ["a PNG bomb", "a pickle", "a torch file", "PostScript", "a pipe", "a device", "text bombs", "half a file"]


@pytest.mark.parametrize("what", PICTURES)
def test_pictures_that_are_none(tmp_path, canary, template, what, tally, monkeypatch):
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            place = tmp_path / "run" / "data" / "pictures" / split / name
            place.mkdir(parents=True)
            for number in range(3):
                Image.new("L", (8, 8), number).save(place / f"{number}.png")
    path = tmp_path / "run" / "data" / "pictures" / "train" / "ant" / "1.png"
    whole = path.read_bytes()
    path.unlink()
    if what == "a pipe":
        os.mkfifo(path)
    elif what == "a device":
        path.symlink_to("/dev/zero")
    else:
        text = b"".join(
            struct.pack(">I", len(d)) + b"zTXt" + d + struct.pack(">I", zlib.crc32(b"zTXt" + d))
            for d in [b"x\0\0" + zlib.compress(bytes(100 * SIZES), 9)] * 20
        )
        path.write_bytes(
            {
                "a PNG bomb": png(50_000, 100), "a pickle": pickled(canary), "a torch file": torch_zip(canary),
                "PostScript": EPS.replace(b"CANARY", str(canary).encode()),
                "text bombs": whole[:33] + text + whole[33:], "half a file": whole[:50],
            }[what]
        )  # fmt: skip
    ghost = tmp_path / "bin" / "gs"  # what Pillow starts to read PostScript
    ghost.parent.mkdir()
    ghost.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    ghost.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghost.parent}{os.pathsep}{os.environ['PATH']}")
    plan = compose((*PICTURE_PLAN, "dataset.channels=1", "dataset.mean=[0.5]", "dataset.std=[0.5]"))
    (outcome,) = attempt(tmp_path / "run", (None, plan))
    judge(outcome, (2,))
    tally(ROW, 1)


DENSITIES = {
    "a pickle": None,
    "a short row": b"layer,density\nfc1\n",
    "no text": bytes(range(256)),
    "no numbers": b"layer,density\nfc1,x\nfc2,nan\n",
    "a huge cell": b"layer,density\n" + b"x" * 200_000 + b",1\n",
    "other levels": b"level,layer,density\nx,fc1,1\n",
    "nothing": b"",
    "a pipe": None,
}


@pytest.mark.parametrize("what", DENSITIES)
def test_a_table_of_densities_that_is_none(victim, canary, what, tally):
    path = victim / "table.csv"
    if what == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(DENSITIES[what] if DENSITIES[what] is not None else pickled(canary))
    plan = plan_of("levels=1", "prune/allocation=given", "prune.allocation.path=table.csv")
    (outcome,) = attempt(victim, (None, plan))
    judge(outcome, (2,))
    tally(ROW, 1)


TENSORS = {"fc.weight": torch.eye(2), "mask/fc.weight": torch.eye(2)}
OF_TICKETS = (
    "net.pt", "net.safetensors", "openlth/mask.pth", "openlth/model_ep0_it0.pth", "hub/model.safetensors",
    "hub/masks.safetensors",
)  # fmt: skip


def tickets_of_others(folder):
    """Write files that lottery import takes."""
    weights, mask = {"fc.weight": torch.eye(2)}, {"fc.weight": torch.eye(2)}
    for name in ("openlth", "hub"):
        (folder / name).mkdir()
    torch.save(TENSORS, folder / "net.pt")
    torch.save(mask, folder / "openlth" / "mask.pth")
    torch.save(weights, folder / "openlth" / "model_ep0_it0.pth")
    for name, tensors in (("net", TENSORS), ("hub/model", weights), ("hub/masks", mask)):
        (folder / f"{name}.safetensors").write_bytes(save(tensors))


def read_ticket(folder, path, codes=(2,)):
    """Judge what reads a ticket: the import, and a run that is to start from it."""
    taken = path.parent if path.parent != folder else path
    plan = plan_of("levels=1", "rewind=ticket", f"rewind.path={taken.relative_to(folder)}")
    words = ("import", str(taken.relative_to(folder)), "to=made.safetensors")
    for outcome in attempt(folder, (None, words), (None, plan)):
        judge(outcome, codes if outcome.task == words else (2,))


@pytest.mark.parametrize("name", OF_TICKETS)
@pytest.mark.parametrize("make", PICKLES)
def test_a_pickle_in_the_place_of_a_ticket(victim, canary, make, name, tally):
    tickets_of_others(victim)
    read_ticket(victim, victim / name, (0,))
    (victim / "made.safetensors").unlink()
    (victim / name).write_bytes(make(canary))
    read_ticket(victim, victim / name)
    assert not (victim / "made.safetensors").exists()
    tally(ROW, 1)


def zip_bomb(path):
    """Write an archive of torch that is compressed: 300 MB of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with io.BytesIO() as plain:
            torch.save({"fc.weight": torch.zeros(1), "mask/fc.weight": torch.ones(1)}, plain)
            names = {i.filename: zipfile.ZipFile(plain).read(i) for i in zipfile.ZipFile(plain).infolist()}
        for name, data in names.items():
            archive.writestr(name, bytes(300 * SIZES) if name.endswith("data/0") else data)


ODD_TICKETS = {
    "a zip bomb": zip_bomb,
    "a huge view": lambda path: torch.save(dict.fromkeys(TENSORS, torch.zeros(1).expand(2**20, 2**20)), path),
    "a sparse tensor": lambda path: torch.save(dict.fromkeys(TENSORS, torch.eye(2).to_sparse()), path),
    "a quantized tensor": lambda path: torch.save(
        dict.fromkeys(TENSORS, torch.quantize_per_tensor(torch.eye(2), 1.0, 0, torch.qint8)), path
    ),
    "eighths of numbers": lambda path: torch.save(dict.fromkeys(TENSORS, torch.eye(2).to(torch.float8_e4m3fn)), path),
    "complex numbers": lambda path: torch.save(dict.fromkeys(TENSORS, torch.eye(2) * 1j), path),
    "a meta tensor": lambda path: torch.save(dict.fromkeys(TENSORS, torch.empty(2, 2, device="meta")), path),
    "a name that climbs": lambda path: torch.save({"../../precious": torch.eye(2), "mask/../../precious": 1}, path),
    "lists, deep": lambda path: path.write_bytes(b"(" * 100_000 + b"."),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a hole of 100 GB": lambda path: (path.touch(), os.truncate(path, 10**11)),
}


@pytest.mark.parametrize("what", ODD_TICKETS)
def test_a_state_dict_that_is_none(victim, what, tally):
    path = victim / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantisation of this kind is leaving torch
        ODD_TICKETS[what](path)
    read_ticket(victim, path)
    tally(ROW, 1)


@pytest.mark.parametrize("what", HEADERS)
def test_a_ticket_with_a_header_that_lies(victim, what, tally):
    (victim / "net.safetensors").write_bytes(HEADERS[what])
    read_ticket(victim, victim / "net.safetensors")
    tally(ROW, 1)


ABOUT = {"ticket": 1, "weights": "start", "names": ["fc.weight"]}
ABOUTS = {
    "no object": [ABOUT],
    "another format": ABOUT | {"ticket": [1]},
    "names that are none": ABOUT | {"names": [{"fc.weight": 1}]},
    "names without end": ABOUT | {"names": ["x"] * 10**6},
    "no names": {"ticket": 1, "weights": "start"},
    "escapes": ABOUT | {"weights": "\x1b[2J"},
    "weights that are none": ABOUT | {"weights": {"start": 1}},
}


@pytest.mark.filterwarnings("ignore:.*has no checksum")  # one is not what these lack
@pytest.mark.parametrize("what", ABOUTS)
def test_a_ticket_that_describes_itself_falsely(victim, what, tally):
    tensors = {"fc.weight": torch.eye(2), "mask/fc.weight": torch.eye(2, dtype=torch.bool)}
    (victim / "net.safetensors").write_bytes(store.pack_tensors(tensors, ABOUTS[what]))
    read_ticket(victim, victim / "net.safetensors", (0, 2))
    tally(ROW, 1)


def test_a_link_to_a_level_that_leads_elsewhere(victim, tmp_path, canary, tally):
    """A store of an attacker's own, signed by him, is read as any other level: as data."""
    own = tmp_path / "store" / ("a" * 32)
    shutil.copytree(shelf(victim, "level_01"), own)
    (victim / "level_01").symlink_to(own)
    plan = plan_of("levels=1", "rewind=ticket", "rewind.path=level_01")
    (outcome,) = attempt(victim, (None, plan))
    judge(outcome, (4,))  # its manifest says another key
    sign(own / "manifest.json", lambda body: body.update(key="a" * 32))
    forge(own / "ticket.safetensors", torch_zip(canary))
    (outcome,) = attempt(victim, (None, plan))
    judge(outcome, (4,))
    tally(ROW, 2)


def test_commands_that_only_look_start_no_program(victim, tally):
    seen = []

    def listen(event, arguments):
        if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "pickle.find_class"):
            seen.append(event)

    def work():
        sys.addaudithook(listen)
        codes = [cli.main(list(words)) for words in (("ls",), ("show", "victim"), ("clean",))]
        return len(seen) + sum(codes)

    assert wait(spawn(victim, work)) == 0
    tally(ROW, 1)
