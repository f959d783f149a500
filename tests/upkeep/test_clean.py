"""lottery clean: shows what can go, takes only that, and never what a run refers to."""

import contextlib
import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from lottery import cli
from lottery.errors import LockedError
from lottery.storage import claims, disk, locks, records
from lottery.storage.files import digest
from lottery.upkeep import garbage
from lottery.upkeep.inventory import Inventory

STATE = ["rewind=step", "rewind.to=4it"]  # a state of level 0 that later levels start from


@pytest.fixture
def clean(lottery, capfd):
    """Call `lottery clean`; return its exit code and what it said."""

    def call(*words):
        capfd.readouterr()
        code = lottery("clean", *words)
        said = capfd.readouterr()
        return code, said.out + said.err

    return call


@pytest.fixture
def pair(once, run, tmp_path):
    """Return the folders of two runs that share the dense level: made once, copied for each test."""

    def make():
        run(*STATE, "levels=1", "name=one")
        run("prune=random", *STATE, "levels=1", "name=two")

    once("to clean", make)
    return [next(tmp_path.glob(f"outputs/{name}/*/replicate_0")) for name in ("one", "two")]


def keys(*folders):
    return {entry["key"] for folder in folders for entry in records.levels(folder).values()}


def stored(tmp_path):
    return {p.name for p in (tmp_path / "outputs" / "store").iterdir()}


def names(tmp_path):
    return {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.name not in (".lock", ".owner")}


def interrupt(tmp_path, key="c" * 32):
    """Leave an unfinished level in the store; return its folder."""
    folder = tmp_path / "outputs" / "store" / key
    folder.mkdir()
    (folder / f"checkpoint-7-{digest(b'x' * 2000)[:32]}.safetensors").write_bytes(b"x" * 2000)
    return folder


def typed(said):
    """Return the commands that were named, as words."""
    return [shlex.split(line)[1:] for line in re.findall(r"^  (lottery clean .*)$", said, re.MULTILINE)]


def test_nothing_is_taken_without_yes(pair, clean, tmp_path):
    interrupt(tmp_path)
    (pair[0] / ".tmp-1-x").write_bytes(b"half")
    before = names(tmp_path)
    code, said = clean()
    assert code == 0
    assert "states:" in said
    assert "unfinished:" in said
    assert "corrupt:" in said
    assert "levels:" not in said  # every level has a run
    assert "2.0 kB  trained up to step 7" in said
    assert names(tmp_path) == before
    assert [w[1:] for w in typed(said)] == [["states", "corrupt", "--yes"], ["unfinished", "--yes"]]
    for word in ("levels", "states", "unfinished", "corrupt"):
        assert clean(word)[0] == 0
    assert clean(f"run={pair[0]}")[0] == 0
    assert names(tmp_path) == before


def test_the_command_that_is_named_does_it(pair, clean, lottery, tmp_path):
    interrupt(tmp_path)
    (pair[0] / ".tmp-1-x").write_bytes(b"half")
    for words in typed(clean()[1]):
        assert lottery(*words) == 0
    assert clean()[1] == "nothing can go\n"


@pytest.mark.parametrize("there", ["nothing", "empty", "a file"])
def test_outputs_that_hold_nothing(clean, tmp_path, there):
    if there == "empty":
        (tmp_path / "outputs").mkdir()
    if there == "a file":
        (tmp_path / "outputs").write_text("")
    assert clean("levels", "states", "unfinished", "corrupt", "--yes") == (0, "0 bytes are free again\n")
    assert clean() == (0, "nothing can go\n")


def test_only_levels_that_no_run_refers_to_go(pair, clean, tmp_path):
    one, two = pair
    shutil.rmtree(two)
    code, said = clean("levels", "--yes")
    assert code == 0
    assert stored(tmp_path) == keys(one)
    assert said.count("removed levels") == 1


def test_a_link_is_a_reference_while_the_manifest_is_made_again(pair, clean, tmp_path):
    one, two = pair
    before = stored(tmp_path)
    empty = {"run": records.whose(one), "levels": {}, "files": {}}
    (one / "manifest.json").write_text(json.dumps(records.signed(empty)))
    assert clean("levels", "--yes")[0] == 0
    assert stored(tmp_path) == before


@pytest.mark.parametrize("how", ["flip", "gone with its links", "aside with its links", "pipe"])
def test_levels_stay_where_a_run_cannot_say_what_it_refers_to(pair, clean, tmp_path, how):
    one, two = pair
    path = one / "manifest.json"
    data = path.read_bytes()
    path.unlink()
    if how == "flip":
        path.write_bytes(data.replace(b'"levels"', b'"level3"'))
    elif how == "pipe":
        os.mkfifo(path)
    else:
        for link in one.glob("level_*"):
            link.unlink()
        if how.startswith("aside"):
            (one / "manifest.json.corrupt").write_bytes(data)
            (one / "metrics.csv").unlink()
    before = stored(tmp_path)
    code, said = clean("levels", "--yes")
    assert code == 4
    assert said.count("\n") == 1
    assert "one/" in said
    assert "type: lottery run dataset=synthetic" in said
    code, said = clean()
    assert code == 0
    assert "levels:" not in said
    assert "is not known" in said
    assert stored(tmp_path) == before
    assert clean(f"run={two}", "--yes")[0] == 0  # the run itself can go
    assert not two.exists()
    assert stored(tmp_path) == before
    assert clean(f"run={one}", "--yes")[0] == 0
    assert clean("levels", "--yes")[0] == 0
    assert stored(tmp_path) == set()


@pytest.mark.parametrize("word", ["two", "id", "path", "base"])
def test_a_run_goes_with_the_levels_that_are_its_alone(pair, clean, tmp_path, word):
    one, two = pair
    (tmp_path / "outputs" / "store" / ("a" * 32)).mkdir()
    (tmp_path / "outputs" / "store" / ("a" * 32) / "manifest.json").write_text("")
    word = {"two": "two", "id": two.parent.name[:6], "path": os.path.relpath(two), "base": str(two.parent)}[word]
    code, said = clean(f"run={word}")
    assert code == 0
    assert two.exists()
    (words,) = typed(said)
    assert cli.main(words) == 0
    assert not two.parents[1].exists()  # nor the empty folders above it
    assert stored(tmp_path) == keys(one) | {"a" * 32}  # which was no level of that run


def test_one_of_two_replicates_goes(run, clean, tmp_path):
    one, two = run("levels=0"), run("levels=0", "replicate=1")
    (one.parent / "sanity.csv").write_text("")
    code, _ = clean(f"run={one.parent.name}/replicate_0", "--yes")
    assert code == 0
    assert not one.exists()
    assert (one.parent / "sanity.csv").exists()
    assert stored(tmp_path) == keys(two)
    assert clean(f"run={one.parent.name}", "--yes")[0] == 0
    assert not one.parents[1].exists()


def test_a_run_that_is_named_twice_or_not_at_all(pair, clean, tmp_path):
    code, said = clean("run=nothing")
    assert code == 2
    assert "names no run" in said
    assert clean("run=one,two", "--yes")[0] == 0
    assert stored(tmp_path) == set()


def test_states_go_and_come_back_with_the_same_bits(pair, clean, lottery, tmp_path, run):
    one, _ = pair
    level = (one / "level_00").resolve()
    before = (level / "4it.safetensors").read_bytes()
    (level / "8it.safetensors").write_bytes(b"no manifest names it")
    code, _ = clean("states", "--yes")
    assert code == 0
    assert not list(level.glob("*it.safetensors"))
    manifest = records.read_signed(level / "manifest.json")
    assert set(manifest["files"]) == {"ticket.safetensors", "end.safetensors", "mask.safetensors", "curve.csv"}
    assert lottery("doctor") == 0
    run("prune=random", *STATE, "levels=2", "name=two")
    assert (level / "4it.safetensors").read_bytes() == before


def test_states_of_a_run_at_work_stay(pair, clean, tmp_path):
    one, two = pair
    level = (one / "level_00").resolve()
    with locks.lock(two / ".lock", run=True):
        assert clean("states", "--yes")[0] == 0
    assert (level / "4it.safetensors").exists()
    with locks.lock(level / ".lock"):
        clean("states", "--yes")
    assert (level / "4it.safetensors").exists()


@pytest.mark.parametrize("word", ["levels", "unfinished", "corrupt", "run=two"])
def test_what_is_locked_stays(pair, clean, tmp_path, word):
    _, two = pair
    folder = interrupt(tmp_path)
    other = interrupt(tmp_path, "d" * 32)
    (other / "manifest.json").write_text("")
    for path in (folder, two, other):
        (path / ".tmp-1-x").write_text("")
    before = names(tmp_path)
    with (
        locks.lock(two / ".lock", run=True), locks.lock(folder / ".lock"), locks.lock(other / ".lock"),
    ):  # fmt: skip
        code, _ = clean(word, "--yes")
    assert code == (3 if word == "run=two" else 0)
    assert names(tmp_path) == before


def test_filters_name_runs_that_go(pair, clean, tmp_path):
    one, two = pair
    code, said = clean("prune=random")
    assert code == 0
    assert re.findall(r"^  outputs/\S+", said, re.MULTILINE)[0] == f"  {os.path.relpath(two)}"
    assert typed(said) == [["clean", "prune=random", "--yes"]]
    before = names(tmp_path)
    for words in (["prune=snip"], ["run=one", "prune=random"], ["prun=random"]):
        code, said = clean(*words, "--yes")
        assert (code, said.count("\n")) == (2, 1), said
    assert names(tmp_path) == before
    assert clean("prune=random", f"outputs=../{tmp_path.name}/outputs", "--yes")[0] == 0
    assert not two.exists()
    assert stored(tmp_path) == keys(one)


def test_what_cannot_be_removed_is_no_success(pair, clean, monkeypatch):
    one, _ = pair
    (one / ".tmp-1-x").write_bytes(b"half")

    def refuse(path, *args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "unlink", refuse)
    code, said = clean("corrupt", "--yes")
    assert code == 5
    assert f"{os.path.relpath(one)} stays: cannot remove" in said
    assert "0 bytes are free again" in said


def test_a_full_disk_can_be_cleaned(pair, clean, lottery, monkeypatch, tmp_path):
    one, two = pair
    (one / ".tmp-1-x").write_bytes(b"half")
    shutil.rmtree(two)
    real = os.open

    def full(path, flags, *args, **kwargs):
        if flags & os.O_CREAT and not os.path.exists(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", full)
    assert lottery("doctor", "--repair") == 0
    assert not (one / ".tmp-1-x").exists()
    code, said = clean("levels", "--yes")
    assert code == 0, said
    assert stored(tmp_path) == keys(one)
    code, said = clean("states", "--yes")
    assert code == 5
    assert "stays: cannot write" in said


def test_a_folder_that_a_process_works_in_stays(pair, clean, lottery, run):
    one, _ = pair
    with disk.workplace(one / "export") as place:
        (place / "half").write_text("")
        other = one / ".tmp-1-export"
        other.mkdir()
        (other / "half").write_text("")
        assert clean("corrupt", "--yes")[0] == 0
        assert lottery("doctor", "--repair") == 0
        run(*STATE, "levels=1", "name=one")
        assert (place / "half").exists()
        assert not other.exists()
    assert not place.exists()


def test_a_folder_in_which_a_process_begins_meanwhile_stays(pair, lottery, tmp_path, monkeypatch, capfd):
    place = pair[0] / ".tmp-1-export"
    place.mkdir()
    (place / "half").write_text("")
    inventory = Inventory(tmp_path / "outputs")
    (piece,) = garbage.corrupt(inventory)
    assert [p.name for p in place.iterdir()] == ["half"]  # to look writes nothing
    with claims.claimed(place):
        assert not list(garbage.corrupt(inventory))
        assert garbage.remove(inventory, piece) == "a process works in .tmp-1-export"
        assert (place / "half").exists()
    with monkeypatch.context() as patch:
        patch.setattr(garbage, "remove", lambda *_: "a process works in .tmp-1-export")
        assert lottery("doctor", "--repair") == 0
    assert "left as it is: a process works in .tmp-1-export" in capfd.readouterr().out
    assert garbage.remove(inventory, piece) == ""
    assert not place.exists()


def test_a_claim_that_is_a_link_is_not_followed(pair, clean, tmp_path):
    place = pair[0] / ".tmp-1-export"
    place.mkdir()
    (place / claims.CLAIM).symlink_to(tmp_path / "outside")
    assert clean("corrupt")[0] == 0
    assert clean("corrupt", "--yes")[0] == 0
    assert not (tmp_path / "outside").exists()
    assert not place.exists()


def test_after_term_nothing_more_is_removed(pair, clean, monkeypatch):
    real = garbage.remove

    def struck(inventory, piece):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(inventory, piece)

    for folder in pair:
        (folder / ".tmp-1-x").write_bytes(b"half")
    monkeypatch.setattr(garbage, "remove", struck)
    code, said = clean("corrupt", "--yes")
    assert (code, said) == (143, "lottery: terminated\n")
    assert all((folder / ".tmp-1-x").exists() for folder in pair)


def test_interrupted_work_goes_only_by_its_name(pair, clean, tmp_path):
    folder = interrupt(tmp_path)
    clean("levels", "states", "corrupt", "--yes")
    assert folder.exists()
    code, said = clean("unfinished")
    assert "what they have been trained so far is lost" in said
    clean("unfinished", "--yes")
    assert not folder.exists()


def test_a_damaged_checkpoint_stays_while_it_keeps_a_run_from_beginning_anew(pair, clean, tmp_path):
    folder = interrupt(tmp_path)
    aside = folder / "checkpoint-9-x.safetensors.corrupt"
    aside.write_bytes(b"x")
    clean("corrupt", "--yes")
    assert not aside.exists()  # a good one is there to go on from
    aside.write_bytes(b"x")
    next(folder.glob("*.safetensors")).unlink()
    clean("corrupt", "--yes")
    assert aside.exists()
    scoring = pair[0] / "scoring_level_01"
    scoring.mkdir()
    (scoring / "checkpoint-9-x.safetensors.corrupt").write_bytes(b"x")
    (scoring / ".tmp-9-x").write_bytes(b"x")
    clean("corrupt", "--yes")
    assert [p.name for p in scoring.iterdir()] == ["checkpoint-9-x.safetensors.corrupt"]


def test_a_run_that_comes_to_refer_to_a_level_keeps_it(pair, tmp_path):
    """Between plan and removal another run may find the level and write it into its manifest."""
    one, two = pair
    inventory = Inventory(Path("outputs"))
    shutil.move(two, tmp_path / "away")
    (piece,) = garbage.unreferenced(inventory)
    shutil.move(tmp_path / "away", two)
    assert "refers to it now" in garbage.remove(inventory, piece)
    assert stored(tmp_path) == keys(one, two)
    folder = interrupt(tmp_path)
    (piece,) = garbage.unfinished(inventory)
    (folder / "manifest.json").write_text("")
    assert "finished meanwhile" in garbage.remove(inventory, piece)
    assert folder.exists()


def test_a_run_that_waits_for_the_lock_trains_in_a_new_folder(run, tmp_path, monkeypatch):
    """The lock of a folder that goes guards nothing for who waited for it, and must be taken anew."""
    folder = run("levels=0")
    level = (folder / "level_00").resolve()
    shutil.rmtree(folder)
    before = (level / "end.safetensors").read_bytes()
    take_down = garbage.take_down

    def slowly(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            code = 99
            try:
                signal.alarm(60)
                with locks.lock(path / ".lock", wait=lambda: os.write(mine, b"w")):
                    code = 7 if (path / "manifest.json").exists() else 0
                    disk.write(path / "end.safetensors", b"anew")
            finally:
                os._exit(code)
        children.append(child)
        assert os.read(theirs, 1) == b"w"
        take_down(path)

    theirs, mine = os.pipe()
    children = []
    monkeypatch.setattr(garbage, "take_down", slowly)
    inventory = Inventory(Path("outputs"))
    (piece,) = garbage.unreferenced(inventory)
    assert garbage.remove(inventory, piece) == ""
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert (level / "end.safetensors").read_bytes() == b"anew" != before


def test_cleaning_beside_a_run_takes_nothing_that_it_needs(pair, tiny, tmp_path, lottery):
    """Levels that nobody refers to are found by a run while they are cleared away."""
    bits = {p.name + p.parent.name: p.read_bytes() for p in (tmp_path / "outputs/store").glob("*/end.*")}
    for folder in pair:
        shutil.rmtree(folder.parents[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(100)
        locks.LOCKED_WITHIN = 60  # who clears away may not be scheduled while it holds the run
        os._exit(cli.main(["run", *tiny, *STATE, "levels=1", "name=three"]))
    inventory = Inventory(Path("outputs"))
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        for find in (garbage.unreferenced, garbage.states, garbage.corrupt, garbage.unfinished):
            for piece in find(inventory):
                with contextlib.suppress(LockedError):  # the run has it now
                    garbage.remove(inventory, piece)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert lottery("doctor") == 0
    (three,) = tmp_path.glob("outputs/three/*/replicate_0")
    for place in ("level_00", "level_01"):
        end = (three / place).resolve() / "end.safetensors"
        assert bits[end.name + end.parent.name] == end.read_bytes()


@pytest.mark.parametrize("moment", range(8))
def test_a_kill_in_the_middle_leaves_nothing_that_looks_whole(pair, clean, tmp_path, moment):
    """The k-th removal of a file is the last; the same command then finishes the work."""
    one, two = pair
    words = ["clean", "run=two", "levels", "--yes"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        unlink, left = os.unlink, [moment]

        def last(path, *args, **kwargs):
            unlink(path, *args, **kwargs)
            if ".owner" not in str(path):
                left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        os.unlink = last
        os._exit(cli.main(words))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    for manifest in (tmp_path / "outputs" / "store").glob("*/manifest.json"):
        for name in records.read_signed(manifest)["files"]:
            assert (manifest.parent / name).exists()
    if two.exists():
        clean("run=two", "levels", "--yes")
    clean("levels", "--yes")
    assert not two.exists()
    assert stored(tmp_path) == keys(one)
    assert cli.main(["doctor"]) == 0


@pytest.mark.parametrize("moment", range(2))
def test_a_kill_while_states_go_leaves_a_level_that_is_whole(pair, clean, lottery, tmp_path, moment):
    one, _ = pair
    level = (one / "level_00").resolve()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        replace = os.replace

        def last(source, target, *args, **kwargs):
            if str(target).endswith("manifest.json"):
                if moment:
                    replace(source, target, *args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target, *args, **kwargs)

        os.replace = last
        os._exit(cli.main(["clean", "states", "--yes"]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (level / "4it.safetensors").exists()
    assert ("4it.safetensors" in records.read_signed(level / "manifest.json")["files"]) is not bool(moment)
    assert lottery("doctor") == 0
    clean("states", "corrupt", "--yes")
    assert not list(level.glob("*it.safetensors")) + list(level.glob(".tmp-*"))
    assert lottery("doctor") == 0


def test_a_link_out_of_outputs_is_not_followed_and_keeps_the_levels(pair, clean, tmp_path):
    outside = tmp_path / "outside"
    shutil.move(pair[1].parents[1], outside)
    pair[1].parents[1].symlink_to(outside)
    before = names(tmp_path)
    code, said = clean("levels", "--yes")
    assert code == 4
    assert "it is a link, which is not followed" in said
    shutil.rmtree(pair[0])
    pair[0].symlink_to(outside / pair[1].parent.name / "replicate_0")
    clean("run=one", "--yes")
    assert {n for n in before if n.startswith("outside/")} <= names(tmp_path)


def test_the_store_is_not_reached_through_a_link(pair, clean, tmp_path):
    store_of = tmp_path / "outputs" / "store"
    shutil.move(store_of, tmp_path / "elsewhere")
    store_of.symlink_to(tmp_path / "elsewhere")
    before = names(tmp_path)
    for words in (["states"], ["unfinished"], ["corrupt"], ["run=one"], ["levels"]):
        clean(*words, "--yes")
    assert {n for n in before if n.startswith("elsewhere/")} <= names(tmp_path)


@pytest.mark.parametrize("words", [["--yes"], ["level"], ["--force"], ["size=3"]])
def test_what_it_does_not_take_is_a_usage_error(clean, words):
    assert clean(*words)[0] == 2


def test_to_look_takes_no_torch(tmp_path):
    code = "import sys; from lottery import cli; cli.main(['clean']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
