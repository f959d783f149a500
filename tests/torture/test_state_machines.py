"""Let hypothesis choose what happens, and compare what lies on the disk with a model of it.

Anything may be killed at any change of the disk: from then on no change comes through, as if the
process were gone. Then the next process looks at what is there.
"""

import contextlib
import csv
import io
import json
import os
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from harness import LENET, compose
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lottery.config import build
from lottery.config.identity import run_folder, run_id
from lottery.errors import DamagedError, LotteryError, UsageError
from lottery.experiment import life
from lottery.experiment import tables as rows
from lottery.experiment.run import LockedRun
from lottery.storage import disk, records
from lottery.storage.checkpoints import Checkpoints
from lottery.storage.files import digest
from lottery.storage.ledger import Ledger
from lottery.storage.records import MANIFEST
from lottery.storage.settings import read_config
from lottery.storage.store import Shelf, pack_tensors, unpack_tensors
from lottery.terms import mask as masks
from lottery.terms.kept import FORMAT
from lottery.upkeep import garbage
from lottery.upkeep.inventory import Inventory

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # 2,000 files are synced a second
EXAMPLES = 200
QUICK = 10
moments = st.none() | st.integers(0, 9)  # the change of the disk before which the process is gone
numbers = st.integers(0, 99)


class Killed(BaseException):
    """No handler of ours or of the product's catches it."""


def removed(inventory, piece):
    """Remove a piece; return why it was left."""
    try:
        return garbage.remove(inventory, piece)
    except LotteryError as error:
        return str(error)


@contextlib.contextmanager
def dying(moment):
    """Let no change of the disk through after so many; a write is torn in its middle."""
    real = {name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "unlink", "symlink")}
    left = [10**9 if moment is None else moment]

    def gone(name, *arguments):
        if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
            return False
        left[0] -= 1
        return left[0] < 0

    def falling(name):
        def call(*arguments, **options):
            if gone(name, *arguments):
                if name == "write" and left[0] == -1:
                    real["write"](arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                raise Killed
            return real[name](*arguments, **options)

        return call

    for name in real:
        setattr(os, name, falling(name))
    fate = SimpleNamespace(killed=False)
    try:
        yield fate
    except Killed:
        fate.killed = True
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def flip(path, number):
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[number * len(data) // 100] ^= 1 << number % 8
    path.write_bytes(data)


def pack(value):
    return pack_tensors({"weights/a": torch.full((3,), float(value))}, {"value": value})


class OnDisk(RuleBasedStateMachine):
    """A machine with a folder of its own."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="lottery-machine-", dir=MEMORY))

    def teardown(self):
        shutil.rmtree(self.root)


class ShelfMachine(OnDisk):
    """One level of the store: its files, its manifest, its checkpoints, and what clears them away."""

    NAMES = ("ticket.safetensors", "end.safetensors", "4it.safetensors", "8it.safetensors")
    names = st.sampled_from(NAMES)

    def __init__(self):
        super().__init__()
        self.shelf = Shelf(self.root, "a" * 32)
        self.begin_again()

    def begin_again(self):
        self.there = {}  # name -> value of a file that is whole
        self.listed = None  # name -> value that the manifest vouches for; None: not finished
        self.bad = set()  # names that were damaged
        self.kept = {}  # iteration -> value of a checkpoint
        self.broken = set()  # iterations of those that were damaged
        self.aside = False
        self.iteration = 0

    @property
    def good_manifest(self):
        return self.listed is not None and MANIFEST not in self.bad

    def value_of(self, name):
        """Return the value of a file as it lies there; whoever cannot read it fails the test."""
        path = self.shelf.path / name
        return unpack_tensors(path.read_bytes())[1]["value"] if path.exists() else None

    def write_file(self, name, value):
        before = self.there.get(name) if name not in self.bad else "damaged"
        yield lambda: self.shelf.write_tensors(name, *unpack_tensors(pack(value)))
        if before == "damaged" and (self.shelf.path / name).read_bytes() != pack(value):
            return
        now = self.value_of(name)
        assert now in (before, value)
        self.bad.discard(name)
        if now is not None:
            self.there[name] = now

    @precondition(lambda self: self.listed is None)
    @rule(name=names, value=numbers, moment=moments)
    def write(self, name, value, moment):
        disk.make_folder(self.shelf.path)
        steps = self.write_file(name, value)
        with dying(moment) as fate:
            next(steps)()
        assert next(steps, None) is None
        assert fate.killed or self.there[name] == value

    @precondition(lambda self: self.listed is None and self.there and not self.bad)
    @rule(moment=moments)
    def finish(self, moment):
        manifest = {
            "key": self.shelf.key, "format": FORMAT, "trained_by": "x", "result": {"kept": 3}, "layers": {},
            "environment": {}, "drift": [], "lowered": [],
            "files": {name: digest(pack(value)) for name, value in self.there.items()},
        }  # fmt: skip
        with dying(moment) as fate:
            self.shelf.finish(manifest)
        assert fate.killed or self.shelf.complete
        if self.shelf.complete:
            self.listed = dict(self.there)

    @precondition(lambda self: self.good_manifest)
    @rule(name=names, value=numbers, moment=moments)
    def keep_a_state(self, name, value, moment):
        if name in self.listed:
            return
        steps = self.write_file(name, value)
        with dying(moment) as fate:
            self.shelf.add_file(name, next(steps)())
        assert next(steps, None) is None
        listed = self.shelf.manifest()["files"]
        assert fate.killed or name in listed
        if name in listed:
            assert listed[name] == digest(pack(value))
            self.listed[name] = value

    @rule(name=names)
    def read(self, name):
        if self.listed is None:
            return
        if self.good_manifest and name in self.listed and name not in self.bad:
            assert self.shelf.read_tensors(name)[1]["value"] == self.listed[name]
            return
        with pytest.raises(DamagedError, match="to train this level again: rm -r ") as error:
            self.shelf.read_tensors(name)
        assert str(self.shelf.path) in str(error.value)

    @rule(name=names | st.just(MANIFEST), number=numbers)
    def damage(self, name, number):
        here = self.good_manifest if name == MANIFEST else name in self.there and name not in self.bad
        if here:
            flip(self.shelf.path / name, number)
            self.bad.add(name)

    @precondition(lambda self: self.listed is None)
    @rule(value=numbers, moment=moments)
    def checkpoint(self, value, moment):
        disk.make_folder(self.shelf.path)
        before, self.iteration = set(self.kept), self.iteration + 3
        checkpoints = Checkpoints(self.shelf.path)
        with dying(moment) as fate:
            checkpoints.write(self.iteration, *unpack_tensors(pack(value)))
            checkpoints.settle()
        self.kept[self.iteration] = value
        now = self.iterations()
        assert now <= set(self.kept)
        assert max(now, default=0) >= max(before, default=0)
        assert fate.killed or now == set(sorted(self.kept)[-2:])
        self.forget_checkpoints(set(self.kept) - now)

    def iterations(self):
        return {int(p.name.split("-")[1]) for p in Checkpoints(self.shelf.path).paths()}

    def forget_checkpoints(self, iterations):
        self.kept = {i: v for i, v in self.kept.items() if i not in iterations}
        self.broken -= iterations

    @precondition(lambda self: self.kept)
    @rule(both=st.booleans(), number=numbers)
    def damage_checkpoints(self, both, number):
        for path in Checkpoints(self.shelf.path).paths()[: 2 if both else 1]:
            iteration = int(path.name.split("-")[1])
            if iteration not in self.broken:
                flip(path, number)
                self.broken.add(iteration)

    @rule()
    def resume(self):
        good = [i for i in self.kept if i not in self.broken]
        newest = max(good, default=-1)
        newer = {i for i in self.broken if i > newest}
        said = []
        if not good and (newer or self.aside):
            with pytest.raises(DamagedError, match="rm -r ") as error:
                Checkpoints(self.shelf.path).read(said.append)
            assert str(self.shelf.path) in str(error.value)
        else:
            found = Checkpoints(self.shelf.path).read(said.append)
            assert (found and found[1]["value"]) == (self.kept[newest] if good else None)
        assert len([line for line in said if "is damaged" in line]) == len(newer)
        self.aside = self.aside or bool(newer)
        self.forget_checkpoints(newer)

    @precondition(lambda self: self.good_manifest)
    @rule(moment=moments)
    def clear(self, moment):
        with dying(moment) as fate:
            Checkpoints(self.shelf.path).clear()
        now = self.iterations()
        assert fate.killed or not now
        self.forget_checkpoints(set(self.kept) - now)

    @rule(moment=moments)
    def sweep(self, moment):
        with dying(moment) as fate:
            self.shelf.sweep()
        assert fate.killed or not list(self.shelf.path.glob(".tmp-*"))

    @rule(moment=moments)
    def clean_states(self, moment):
        inventory, left = Inventory(self.root), []
        for piece in list(garbage.states(inventory)):
            with dying(moment) as fate:
                left.append(removed(inventory, piece))
            if not fate.killed and not any(left):
                assert not [n for n in piece.names if (self.shelf.path / n).exists()]
        assert not any(left) or MANIFEST in self.bad
        for name in [n for n in self.there if n.endswith("it.safetensors")]:
            listed = self.listed is not None and name in self.listed
            if listed and self.good_manifest and name not in self.shelf.manifest()["files"]:
                del self.listed[name]
            if not (self.shelf.path / name).exists():
                assert self.listed is not None and name not in self.listed
                del self.there[name]
                self.bad.discard(name)
        self.forget_checkpoints(set(self.kept) - self.iterations())

    @precondition(lambda self: self.bad or self.aside)
    @rule()
    def type_what_was_said(self):
        shutil.rmtree(self.shelf.path)
        self.begin_again()

    @invariant()
    def nothing_is_torn(self):
        assert self.shelf.complete == (self.listed is not None)
        if self.good_manifest:
            listed = self.shelf.manifest()["files"]
            assert listed == {name: digest(pack(value)) for name, value in self.listed.items()}
        for name, value in self.there.items():
            if name not in self.bad:
                assert self.value_of(name) == value
        assert self.iterations() == set(self.kept)
        if self.shelf.path.exists():
            known = {*self.there, MANIFEST, ".lock", ".owner"}
            names = {p.name for p in self.shelf.path.iterdir()} - known
            assert not [n for n in names if not n.startswith((".tmp-", "checkpoint-"))]


class RowsMachine(OnDisk):
    """The tables of a run: levels and branches come in any order, more and more of them."""

    def __init__(self):
        super().__init__()
        self.folder = self.root / "net" / "0123456789" / "replicate_0"
        disk.make_folder(self.folder)
        self.noted = {}  # (level, branch) -> number that stands in its row
        self.possible = {}  # table -> contents that may stand there
        self.damaged = {}  # table -> what stands there
        self.start()

    def start(self):
        """Start a process: it reads the run's manifest, and finds what it has lost again."""
        said = []
        ledger = Ledger(self.folder)
        ledger.read(said.append)
        settled = SimpleNamespace(span=lambda index: None)
        run = SimpleNamespace(outputs=self.root, identity="me", settled=settled)
        self.locked = LockedRun(run, ledger, {})
        return said

    def shelf(self, level, branch, number):
        """Return a finished level whose row holds a number."""
        shelf = Shelf(self.root, digest(f"{level} {branch} {number}".encode())[:32])
        if not shelf.complete:
            disk.make_folder(shelf.path)
            mask = {"fc.weight": torch.arange(4) < 1 + number % 3}
            sha = shelf.write_tensors("mask.safetensors", masks.pack(mask), {"shapes": {"fc.weight": [4]}})
            shelf.finish({
                "key": shelf.key, "format": FORMAT, "trained_by": "me", "files": {"mask.safetensors": sha},
                "result": {"compression": 1.0, "number": number}, "environment": {}, "drift": [],
                "layers": {"fc.weight": {"kept": 1 + number % 3, "total": 4}}, "lowered": [],
            })  # fmt: skip
        return shelf

    def note(self, level, branch, number):
        shelf = self.shelf(level, branch, number)
        more = {"of": "b" * 32, "settings": branch} if branch else {}
        self.locked.ledger.note(f"level_{level:02d}" + (f"_{branch}" if branch else ""), key=shelf.key, **more)

    @rule(level=st.integers(0, 12), branch=st.sampled_from(["", "", "shuffle", "reinit"]), number=numbers, moment=moments)
    def a_level_comes(self, level, branch, number, moment):
        self.shelf(level, branch, number)
        before = dict(self.noted)
        with dying(moment) as fate:
            self.note(level, branch, number)
        self.noted[level, branch] = number
        if fate.killed:
            assert not self.start()
            if self.places() != self.expected_places():
                self.noted = before
        assert self.places() == self.expected_places()

    def places(self):
        return {name: entry["key"] for name, entry in records.levels(self.folder).items()}

    def expected_places(self):
        return {
            f"level_{level:02d}" + (f"_{branch}" if branch else ""): self.shelf(level, branch, number).key
            for (level, branch), number in self.noted.items()
        }

    @rule(moment=moments)
    def tables_are_written(self, moment):
        wanted = self.tables()
        with dying(moment) as fate:
            self.write()
        for name, table in wanted.items():
            before = self.possible.get(name, [None]) if fate.killed else []
            self.possible[name] = [*before, table]
        for name, data in list(self.damaged.items()):
            if (self.folder / name).read_bytes() != data:
                del self.damaged[name]
        if fate.killed:
            assert not self.start()
        else:
            assert not self.damaged

    @rule(number=numbers, moment=st.integers(4, 12))
    def the_next_level_comes_and_its_tables_are_cut_short(self, number, moment):
        """Between the manifest and the tables: again and again, each time with more to write."""
        self.a_level_comes(1 + max((level for level, _ in self.noted), default=-1), "", number, None)
        self.tables_are_written(moment)

    @rule()
    def the_command_is_typed_again(self):
        assert not self.start()

    @precondition(lambda self: (self.folder / "metrics.csv").exists())
    @rule(number=numbers)
    def a_table_is_damaged(self, number):
        if "metrics.csv" not in self.damaged:
            flip(self.folder / "metrics.csv", number)
            self.damaged["metrics.csv"] = (self.folder / "metrics.csv").read_bytes()

    @precondition(lambda self: (self.folder / MANIFEST).exists())
    @rule(number=numbers)
    def the_manifest_is_damaged(self, number):
        flip(self.folder / MANIFEST, number)
        (said,) = self.start()
        assert str(self.folder / MANIFEST) in said
        for (level, branch), value in self.noted.items():  # found again by what they are made of
            self.note(level, branch, value)
        self.write()
        self.possible = {name: [table] for name, table in self.tables().items()}
        self.damaged.clear()

    def write(self):
        """Write the tables without the columns of cost, for which these levels have no net."""
        with mock.patch.object(rows.Tables, "trained", return_value=None):
            rows.Tables(self.locked).write()

    def tables(self):
        """Return the tables that the model asks for: a row each, in order."""
        plain = sorted(level for level, branch in self.noted if not branch)
        branched = sorted(key for key in self.noted if key[1])
        found = {
            "metrics.csv": [(str(level), str(self.noted[level, ""])) for level in plain],
            "layers.csv": [(str(level), "fc", str(1 + self.noted[level, ""] % 3)) for level in plain],
            "branches.csv": [(str(level), branch, str(self.noted[level, branch])) for level, branch in branched],
        }
        return {name: table for name, table in found.items() if table}

    @invariant()
    def each_row_stands_once(self):
        columns = {
            "metrics.csv": ("level", "number"), "layers.csv": ("level", "layer", "kept"),
            "branches.csv": ("level", "branch", "number"),
        }  # fmt: skip
        for name, names in columns.items():
            if name in self.damaged:
                with pytest.raises(DamagedError, match=name):
                    records.checked(self.folder, name)
                continue
            data = records.checked(self.folder, name)
            table = data and [
                tuple(row[c] for c in names) for row in csv.DictReader(io.StringIO(data.decode()))
            ]
            assert table in self.possible.get(name, [None]), name


PLACES = {  # where a setting is, and what it may be
    ("train", "batch_size"): [1, 2, 12], ("train", "warmup"): ["0it", "1ep"], ("train", "clip"): [None, 0.5, 1, 2],
    ("train", "label_smoothing"): [0, 0.1, 0.5], ("train", "optimizer", "lr"): [0.001, 0.1, 1, 10],
    ("train", "precision"): ["fp32", "bf16", "1"], ("prune", "rounds"): [1, 2, 100], ("prune", "nested"): [True, False],
    ("prune", "include"): [["*"], ["fc", "*"], ["*", "fc"], []], ("schedule", "keep"): [0.5, 0.8, 1],
    ("model", "hidden"): [[4], [4, 5], [5, 4]], ("dataset", "noise"): [0, 1, True, 1e22, 1e-7],
    ("evaluate_every",): ["1ep", "5it", "1it"], ("rewind", "to"): ["4it", "0it"],
}  # fmt: skip
ELSEWHERE = {  # what changes no number
    ("host", "threads"): [1, 2, None], ("host", "progress"): ["none", "bar"], ("levels",): [0, 2, None],
    ("checkpoint_every",): ["3it", "60s"], ("strict",): [True, False], ("data",): ["a", "b"],
    ("sanity",): [True, False], ("branch_levels",): [None, [1]],
}  # fmt: skip


def found(node, place):
    for key in place:
        node = node[key]
    return node


def put(node, place, value):
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value


def spelled(value, how):
    """Return a number in another spelling: 1, 1.0, 1e0."""
    if isinstance(value, list):
        return [spelled(v, how) for v in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if how == "float":
        return float(value)
    if how == "text":
        return json.loads(f"{value:e}") if float(f"{value:e}") == value else value
    return int(value) if value == int(value) else value


def turned(node):
    """Return the same settings, written the other way round."""
    return {k: turned(v) for k, v in reversed(node.items())} if isinstance(node, dict) else node


def exactly(value):
    """Return what a value is, whatever its spelling."""
    if isinstance(value, dict):
        return tuple(sorted((k, exactly(v)) for k, v in value.items()))
    if isinstance(value, list):
        return ("list", *map(exactly, value))
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (type(value).__name__, value) if not number else ("number", Fraction(value))


class IdentityMachine(OnDisk):
    """Settings are edited and spelled anew: the same numbers are the same run, others another."""

    IDS = {}  # what decides the numbers -> id, over all examples

    def __init__(self):
        super().__init__()
        self.settings = json.loads(json.dumps(compose(LENET).settings))
        self.settings["dataset"]["noise"] = 0
        self.settings["outputs"] = str(self.root)
        self.model = {place: found(self.settings, place) for place in PLACES}

    def decided(self):
        return exactly({".".join(place): value for place, value in self.model.items()})

    @rule(place=st.sampled_from(sorted(PLACES)), data=st.data(), how=st.sampled_from(["plain", "float", "text"]))
    def edit(self, place, data, how):
        value = data.draw(st.sampled_from(PLACES[place]))
        put(self.settings, place, spelled(value, how))
        self.model[place] = value

    @rule(place=st.sampled_from(sorted(ELSEWHERE)), data=st.data())
    def edit_what_changes_no_number(self, place, data):
        put(self.settings, place, data.draw(st.sampled_from(ELSEWHERE[place])))

    @rule()
    def turn(self):
        self.settings = turned(self.settings)

    @rule()
    def spell_anew(self):
        for place, value in self.model.items():
            put(self.settings, place, spelled(value, "float"))

    @rule()
    def go_by_the_disk(self):
        path = self.root / "config.yaml"
        disk.write(path, build.text(self.settings).encode())
        self.settings = read_config(path)

    @rule()
    def run_in_the_folder(self):
        """The folder of a run takes its own config and no other's."""
        folder = run_folder(self.settings, "net")
        assert folder.parts[-3:-1] == ("net", run_id(self.settings))
        disk.make_folder(folder)
        mark = folder / "decided"
        assert not mark.exists() or mark.read_text() == repr(self.decided())
        mark.write_text(repr(self.decided()))
        if not (folder / "config.yaml").exists():
            disk.write(folder / "config.yaml", build.text(self.settings).encode())
        others = sorted(f for f in self.root.glob("net/*/replicate_0") if f != folder)
        for other in (folder, *others[:1]):  # a config takes 20 ms to read
            run = SimpleNamespace(
                folder=other, strict=False, spread={}, watch=SimpleNamespace(warn=pytest.fail),
                task=SimpleNamespace(fingerprint="", device=torch.device("cpu")),
                settled=SimpleNamespace(fingerprint=None), initial=SimpleNamespace(source=None),
                parts=SimpleNamespace(code={}),
            )  # fmt: skip
            locked = LockedRun(run, Ledger(other), {})
            if other == folder:
                life.refuse_drift(locked, self.settings)
            else:
                with pytest.raises(UsageError, match="is not the config that is asked for"):
                    life.refuse_drift(locked, self.settings)

    @invariant()
    def the_same_numbers_are_the_same_run(self):
        mine = run_id(self.settings)
        assert self.IDS.setdefault(self.decided(), mine) == mine
        assert self.IDS.setdefault(mine, self.decided()) == self.decided()


MACHINES = {"shelf": ShelfMachine, "rows": RowsMachine, "identity": IdentityMachine}
STEPS = {ShelfMachine: 40, RowsMachine: 20, IdentityMachine: 10}


def examine(machine, examples):
    run_state_machine_as_test(machine, settings=settings(
        max_examples=examples, stateful_step_count=STEPS[machine], derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), print_blob=False,
    ))  # fmt: skip


@pytest.mark.torture
@pytest.mark.parametrize("name", MACHINES)
def test_the_disk_is_what_the_model_says(name, tally):
    examine(MACHINES[name], EXAMPLES)
    tally("state machines", EXAMPLES)


@pytest.mark.parametrize("name", MACHINES)
def test_a_few_examples_of_it(name):
    examine(MACHINES[name], QUICK)
