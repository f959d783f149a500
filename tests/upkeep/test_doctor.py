"""lottery doctor: what is wrong is found and named with what to type; what is not is left alone."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest

from lottery import cli
from lottery.commands import doctor
from lottery.storage import locks, records
from lottery.storage.files import digest
from lottery.upkeep import health
from lottery.upkeep.inventory import Inventory
from lottery.wording.text import printable

STATE = ["rewind=step", "rewind.to=4it"]  # a state of level 0 that later levels start from


@pytest.fixture
def finished(once, run, lottery, capfd, tmp_path):
    """Return the folder of a finished run, and a doctor; made once, copied for each test."""
    once("to examine", lambda: run(*STATE, "levels=1"))
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    capfd.readouterr()

    def examine(*words):
        code = lottery("doctor", *words)
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return code, said.out + said.err

    return folder, examine


def section(text, title):
    """Return the lines under a heading."""
    return re.search(rf"^{title}\n((?:  .*\n?)+)", text, re.MULTILINE)[1]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewritten(path, change):
    """Change a signed record as a program that knows how to sign would."""
    body = records.read_signed(path)
    change(body)
    path.write_text(json.dumps(records.signed(body)))


def snapshot(folder):
    return {
        str(p.relative_to(folder)): os.readlink(p) if p.is_symlink() else p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def test_a_finished_run_is_healthy_and_nothing_is_changed(finished, tmp_path):
    _, examine = finished
    before = snapshot(tmp_path)
    code, said = examine()
    assert code == 0
    assert said.rstrip().endswith("healthy")
    for word in ("lottery", "python", "torch", "torchvision", "gpu", "cpu", "git", "hydra", "omegaconf"):
        assert re.search(rf"^  {word} +\S", section(said, "environment"), re.MULTILINE)
    assert "1 run, 2 levels" in section(said, "disk")
    assert "none is held" in section(said, "locks")
    assert "1 done" in section(said, "runs")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("there", ["nothing", "empty", "a file"])
def test_outputs_that_hold_nothing_are_healthy(lottery, tmp_path, capfd, there):
    outputs = tmp_path / "outputs"
    if there == "empty":
        outputs.mkdir()
    if there == "a file":
        outputs.write_text("")
    assert lottery("doctor", "--repair") == 0
    assert "healthy" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["ticket.safetensors", "end.safetensors", "mask.safetensors", "curve.csv", "4it.safetensors"])
def test_a_damaged_file_of_a_level_is_named_with_what_to_type(finished, name, tmp_path, monkeypatch):
    folder, examine = finished
    path = (folder / "level_00").resolve() / name
    flip(path)
    assert examine("fast=true")[0] == 0  # whoever leaves the checksums out sees names only
    code, said = examine()
    assert code == 4
    line = section(said, "damage")
    where = os.path.relpath(path, tmp_path)
    assert line.count("\n") == 1
    assert where in line
    assert "its checksum is wrong" in line
    assert f"type: rm -r {os.path.dirname(where)} && lottery run " in line
    os.unlink(path)
    code, said = examine("fast=true")
    assert code == 4
    assert "is missing" in section(said, "damage")


@pytest.mark.parametrize("name, what", [
    ("manifest.json", "damaged"), ("run.json", "damaged"), ("metrics.csv", "checksum"),
    ("layers.csv", "checksum"), ("config.yaml", "checksum"),
])  # fmt: skip
def test_a_damaged_file_of_a_run_is_named_with_its_command(finished, name, what):
    folder, examine = finished
    flip(folder / name)
    code, said = examine()
    assert code == 4
    lines = section(said, "damage")
    assert f"{folder.name}/{name}" in lines
    assert "type: " in lines
    if name != "run.json":  # which knows the command
        assert "lottery run dataset=synthetic" in lines


@pytest.mark.parametrize("name", ["manifest.json", "run.json", "config.yaml", "metrics.csv"])
def test_a_file_of_a_run_that_is_gone_is_named(finished, name):
    folder, examine = finished
    (folder / name).unlink()
    code, said = examine("fast=true")
    assert code == 4
    assert f"{folder.name}/{name}  is missing; type: " in section(said, "damage")


def test_a_damaged_manifest_of_a_level_is_named(finished):
    folder, examine = finished
    flip((folder / "level_01").resolve() / "manifest.json")
    code, said = examine("fast=true")
    assert code == 4
    assert f"{records.levels(folder)['level_01']['key']}/manifest.json" in section(said, "damage")


def test_a_level_that_is_gone_is_named_and_the_command_brings_it_back(finished, lottery):
    folder, examine = finished
    shutil.rmtree((folder / "level_01").resolve())
    code, said = examine("fast=true")
    assert code == 4
    line = section(said, "damage")
    assert "has to be trained again" in line
    command = re.search(r"type: lottery (.*)", line)[1]
    assert lottery(*shlex.split(command)) == 0
    assert examine()[0] == 0


def test_links_are_made_as_the_manifest_says(finished, tmp_path):
    folder, examine = finished
    keys = records.levels(folder)
    (folder / "level_00").unlink()
    (folder / "level_01").unlink()
    (folder / "level_01").symlink_to(f"../../../store/{keys['level_00']['key']}")
    code, said = examine("fast=true")
    assert code == 4
    assert section(said, "damage").count("type: lottery doctor --repair") == 2
    others = {k: v for k, v in snapshot(tmp_path).items() if not k.endswith(("level_00", "level_01"))}
    code, said = examine("--repair", "fast=true")
    assert code == 0
    assert section(said, "repaired").count("linked anew") == 2
    now = snapshot(tmp_path)
    assert {k: v for k, v in now.items() if not k.endswith(("level_00", "level_01"))} == others
    for place, entry in keys.items():
        assert os.readlink(folder / place) == f"../../../store/{entry['key']}"
    assert "nothing had to be" in section(examine("--repair")[1], "repaired")


def test_a_link_out_of_the_store_is_no_link_of_ours(finished, tmp_path):
    folder, examine = finished
    key = records.levels(folder)["level_00"]["key"]
    elsewhere = tmp_path / "elsewhere" / key
    elsewhere.mkdir(parents=True)
    (folder / "level_00").unlink()
    (folder / "level_00").symlink_to(elsewhere)
    assert examine("fast=true")[0] == 4
    assert examine("fast=true", "--repair")[0] == 0
    assert (folder / "level_00").resolve() != elsewhere


def test_a_pointer_file_is_as_good_as_a_link(finished):
    folder, examine = finished
    target = os.readlink(folder / "level_00")
    (folder / "level_00").unlink()
    (folder / "level_00").write_text(target + "\n")
    assert examine()[0] == 0
    (folder / "level_00").write_text("../../../store/nothing\n")
    assert examine()[0] == 4


def test_half_written_files_are_swept_only_where_nobody_writes(finished, tmp_path):
    folder, examine = finished
    level = (folder / "level_00").resolve()
    temporary = [p / ".tmp-123-x" for p in (folder, level, folder.parent)]
    for path in temporary:
        path.write_bytes(b"half")
    corrupt = level / "checkpoint-3-x.safetensors.corrupt"
    corrupt.write_bytes(b"")
    code, said = examine()
    assert code == 0
    assert section(said, "left over").count(".tmp-123-x") == 3
    with locks.lock(folder / ".lock", run=True):
        code, said = examine("--repair")
    assert code == 0
    assert [p.exists() for p in temporary] == [True, False, True]
    examine("--repair")
    assert not any(p.exists() for p in temporary)
    assert corrupt.exists()  # it is not half-written: lottery clean corrupt


def test_a_lock_says_who_holds_it_and_a_stale_owner_is_named(finished):
    folder, examine = finished
    level = (folder / "level_01").resolve()
    with locks.lock(folder / ".lock", run=True), locks.lock(level / ".lock"):
        said = section(examine("fast=true")[1], "locks")
    assert said.count(f"held by process {os.getpid()} on ") == 2
    (folder / ".owner").write_text(json.dumps({"pid": 1, "host": "far", "since": "then", "command": ["run", "a b"]}))
    said = section(examine("fast=true")[1], "locks")
    assert "left by process 1 on far since then: lottery run 'a b', which is gone" in said


def test_a_run_at_work_is_left_to_itself(finished):
    folder, examine = finished
    (folder / "level_00").unlink()
    with locks.lock(folder / ".lock", run=True):
        said = section(examine("--repair", "fast=true")[1], "repaired")
    assert "left as it is" in said
    assert not os.path.lexists(folder / "level_00")


@pytest.mark.parametrize("state", ["running", "stopped", "failed"])
def test_an_interrupted_run_comes_with_the_command_to_go_on(finished, state):
    folder, examine = finished
    rewritten(folder / "run.json", lambda body: body.update(state=state, error="it\nwas asked"))
    code, said = examine("fast=true")
    assert code == 0
    word = "killed" if state == "running" else state
    assert f"1 {word}" in section(said, "runs")
    assert re.search(rf"replicate_0 +{word}.*; type: lottery run dataset=synthetic", section(said, "runs"))


def test_levels_that_nobody_needs_are_left_over_and_no_damage(finished):
    folder, examine = finished
    shelf = (folder / "level_00").resolve()
    for key, names in (("a" * 32, ["manifest.json", "end.safetensors"]), ("b" * 32, ["end.safetensors"])):
        (shelf.parent / key).mkdir()
        for name in names:
            (shelf.parent / key / name).write_bytes(b"x")
    begun = shelf.parent / ("c" * 32)
    begun.mkdir()
    good, bad = (f"checkpoint-{i}-{digest(b'x')[:32]}.safetensors" for i in (7, 8))
    (begun / good).write_bytes(b"x")
    (shelf / "9it.safetensors").write_bytes(b"x")
    code, said = examine()
    lines = section(said, "left over")
    assert re.search("a{32} .*no run refers to it.*type: lottery clean levels", lines)
    assert re.search("b{32} .*half removed.*type: lottery clean levels", lines)
    assert re.search("c{32} .*up to step 7, 1 bytes; no interrupted run.*type: lottery clean unfinished", lines)
    assert re.search("9it.safetensors.*type: lottery clean states", lines)
    assert code == 4  # the manifest of a...a is no manifest
    shutil.rmtree(shelf.parent / ("a" * 32))
    assert examine()[0] == 0
    (begun / bad).write_bytes(b"y")
    code, said = examine()
    assert code == 4
    assert bad in section(said, "damage")


def test_an_unfinished_level_names_the_run_that_wants_it(finished):
    folder, examine = finished
    begun = (folder / "level_00").resolve().parent / ("c" * 32)
    begun.mkdir()
    (begun / f"checkpoint-7-{digest(b'x')[:32]}.safetensors").write_bytes(b"x")
    rewritten(folder / "run.json", lambda body: body.update(state="running"))
    said = section(examine()[1], "left over")
    assert "a run that was interrupted may go on" in said
    assert "type:" not in said  # least of all to remove it
    record = records.read_signed(folder / "run.json")
    said = {"pid": record["pid"], "host": record["host"], "since": "", "command": []}
    (begun / ".owner").write_text(json.dumps(said))
    assert "replicate_0 goes on with it; type: lottery run " in section(examine()[1], "left over")


def test_an_id_that_does_not_fit_the_config_is_damage(finished):
    folder, examine = finished
    folder.parent.rename(folder.parent.with_name("0123456789"))
    code, said = examine("fast=true")
    assert code == 4
    assert "is the config of a run" in section(said, "damage")


def test_a_table_that_a_kill_left_behind_is_no_damage(finished):
    folder, examine = finished
    rewritten(folder / "manifest.json", lambda body: body["files"]["metrics.csv"].insert(0, "0" * 64))
    assert examine()[0] == 0
    (folder / "metrics.csv").unlink()
    assert examine()[0] == 4  # a run that is done has its tables
    rewritten(folder / "run.json", lambda body: body.update(state="running"))
    assert examine()[0] == 0


HOSTILE = {
    "json that is deep": b"[" * 100_000,
    "json of another kind": b"[1, 2]",
    "no text": b"\xff\xfe\x00\x80",
    "nothing": b"",
    "yaml with a tag": b"!!python/object/apply:os.system ['touch canary']\n",
    "yaml that repeats": b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\nmodel: *a\ndataset: 3\ntrain: *b\n",
}


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize("name", ["manifest.json", "run.json", "config.yaml", ".owner", "level_00"])
def test_whatever_lies_in_a_run_is_a_finding_and_no_crash(finished, tmp_path, name, content):
    folder, examine = finished
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_bytes(HOSTILE[content])
    code, said = examine("--repair")
    assert code == (0 if name in (".owner", "level_00") else 4), said
    assert "a bug" not in said
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "dangling"])
@pytest.mark.parametrize("name", ["manifest.json", "run.json", "config.yaml", ".owner", ".lock", "end.safetensors"])
def test_what_is_no_plain_file_is_never_opened(finished, tmp_path, name, kind):
    folder, examine = finished
    outside = tmp_path / "outside"
    outside.write_text("mine")
    place = (folder / "level_00").resolve() if name == "end.safetensors" else folder
    path = place / name
    path.unlink(missing_ok=True)
    {
        "link": lambda: path.symlink_to(outside), "dangling": lambda: path.symlink_to("nowhere"),
        "pipe": lambda: os.mkfifo(path), "folder": path.mkdir,
    }[kind]()  # fmt: skip
    code, said = examine("--repair")
    assert code == 4 or name in (".owner", ".lock"), said
    assert outside.read_text() == "mine"
    assert name in said


def test_no_link_leads_out_of_outputs(finished, tmp_path):
    folder, examine = finished
    outside = tmp_path / "outside" / "id" / "replicate_0"
    outside.mkdir(parents=True)
    (outside / ".tmp-1-x").write_text("")
    (outside / "run.json").write_text("{}")
    outputs = folder.parents[2]
    (outputs / "a").symlink_to(tmp_path / "outside")
    (outputs / "b").mkdir()
    (outputs / "b" / "c").symlink_to(tmp_path / "outside" / "id")
    (outputs / "b" / "d").mkdir()
    (outputs / "b" / "d" / "replicate_0").symlink_to(outside)
    (outputs / "store" / ("a" * 32)).symlink_to(outside)
    (outputs / "latest").symlink_to(folder)  # one that stays inside is fine
    code, said = examine("--repair")
    assert code == 0
    assert section(said, "left over").count("is not looked into") == 3
    assert (outside / ".tmp-1-x").exists()
    assert "1 done" in section(said, "runs")


def test_names_cannot_speak_to_the_terminal(finished):
    folder, examine = finished
    for name in (b"a\x1b[31m\nhealthy", b"\xff\xfe"):
        path = os.fsencode(folder) + b"/.tmp-1-" + name
        with open(path, "wb"):
            pass
    said = examine()[1]
    assert "\x1b" not in said
    assert "\\x1b[31m\\nhealthy" in section(said, "left over")
    assert printable("a\nb\udcff é") == "a\\nb\\udcff é"


def test_a_manifest_that_names_files_elsewhere_reads_none(finished):
    folder, examine = finished
    rewritten(folder / "manifest.json", lambda body: body["files"].update({"../../../../x": ["0"]}))
    level = (folder / "level_00").resolve()
    rewritten(level / "manifest.json", lambda body: body["files"].update({"/etc/passwd": "0"}))
    code, said = examine()
    assert code == 4
    assert "'../../../../x'" in section(said, "damage")
    assert "it is no manifest of a level" in section(said, "damage")


@pytest.mark.parametrize("words", [["nothing"], ["fast=maybe"], ["--mend"], ["colour=red"]])
def test_what_it_does_not_take_is_a_usage_error(lottery, words):
    assert lottery("doctor", *words) == 2


def test_help(lottery, capfd):
    assert lottery("doctor", "--help") == 0
    assert "--repair" in capfd.readouterr().out


def test_the_range_of_hydra_is_that_of_the_package(lottery, monkeypatch, capfd):
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    low, high = (".".join(map(str, part)) for part in doctor.HYDRA)
    assert f'"hydra-core>={low},<{high}"' in pyproject
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda _: "1.3.7")
    assert lottery("doctor") == 4
    assert 'type: pip install "hydra-core>=1.3.8,<1.5"' in capfd.readouterr().out


def test_the_data_folder_is_the_one_of_the_runs(lottery, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("LOTTERY_DATA", str(tmp_path))
    lottery("doctor")
    assert f"{tmp_path}  " in section(capfd.readouterr().out, "data")
    lottery("doctor", f"data={tmp_path / 'none'}")
    assert "is not there yet" in section(capfd.readouterr().out, "data")


def test_a_run_at_work_is_never_called_damaged(tiny, tmp_path, lottery):
    """Files come, change and go while they are looked at."""
    words = [*tiny, "train.length=8ep", "checkpoint_every=3it", "branch=[shuffle]", *STATE]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(100)
        os._exit(cli.main(["run", *words]))
    inventory, looks = Inventory(Path("outputs")), 0
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        assert list(health.damage(inventory, lambda path: path.parents[1].name)) == []
        assert not [f for f in health.interrupted(inventory) if f.what == "killed"]
        looks += 1
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert looks > 5
    assert list(health.damage(inventory, doctor.identity)) == []


def counting(calls, name, real):
    """Return a function of the system that counts its calls."""

    def call(*given, **more):
        calls[name] += 1
        return real(*given, **more)

    return call


def test_many_runs_are_looked_at_quickly(finished, monkeypatch):
    """200 runs and 1000 levels: what is read for each does not grow with their number."""
    folder, _ = finished
    outputs = folder.parents[2]
    level = (folder / "level_01").resolve()
    for number in range(1000):
        other = level.with_name(f"{number:032x}")
        other.mkdir()
        os.link(level / "manifest.json", other / "manifest.json")
    for number in range(1, 200):
        (folder.parent / f"replicate_{number}").mkdir()
        for name in ("manifest.json", "run.json"):
            os.link(folder / name, folder.parent / f"replicate_{number}" / name)
    calls = Counter()
    for name in ("scandir", "listdir", "lstat", "stat", "open", "readlink"):
        monkeypatch.setattr(os, name, counting(calls, name, getattr(os, name)))
    inventory = Inventory(outputs)
    assert len(list(health.damage(inventory, lambda _: folder.parent.name, fast=True))) > 1000
    assert len(health.locks(inventory)) == 0
    assert 1200 < calls["open"] < 4 * 1200
    assert calls.total() < 40 * 1200, calls


def test_only_versions_need_torch(tmp_path):
    """What looks at outputs imports no torch, so that clean answers at once."""
    code = "import sys, lottery.commands.clean, lottery.upkeep.health; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("how", ["copies", "copies and no store", "text", "gone"])
def test_outputs_that_went_through_zip_are_one_line_and_are_mended(run, lottery, tmp_path, capsys, how):
    """Links became folders (zip, cp -L, rsync -L), files with the target (Windows), or nothing."""
    folder = run()
    places = sorted(p for p in folder.iterdir() if p.name.startswith("level_"))
    before = {p.name: (p / "manifest.json").read_bytes() for p in places}
    for place in places:
        target = os.readlink(place)
        place.unlink()
        if "copies" in how:
            shutil.copytree(folder / target, place)
        elif how == "text":
            place.write_text(target)
    if how == "copies and no store":
        shutil.rmtree(tmp_path / "outputs/store")
    capsys.readouterr()
    code = lottery("doctor", "fast=true")
    said = capsys.readouterr().out
    assert said.count("lottery doctor --repair") == {"text": 0, "gone": len(places)}.get(how, 1)
    assert code == (0 if how == "text" else 4)
    if "copies" in how:
        assert f"{len(places)} links to levels are folders" in said
    assert lottery("doctor", "--repair") == 0
    levels = {p.name: (p / "manifest.json").read_bytes() for p in places} if how != "text" else before
    assert levels == before and all(p.is_symlink() for p in places if how != "text")
    assert lottery("doctor") == 0


def test_a_copy_that_is_not_the_level_stays(run, lottery, capsys):
    place = run() / "level_01"
    target = place.parent / os.readlink(place)
    place.unlink()
    shutil.copytree(target, place)
    (place / "notes.txt").write_text("mine")
    assert lottery("doctor", "--repair") == 4
    assert "left as it is: its files are not those of the level" in capsys.readouterr().out
    assert (place / "notes.txt").read_text() == "mine"
    assert lottery("doctor") == 4
    said = capsys.readouterr().out
    assert "--repair" not in said and "in place of a link: its files are not those of the level" in said
    (cure,) = re.findall(r"(rm -r \S+level_01)$", said, re.MULTILINE)
    subprocess.run(shlex.split(cure), check=True)  # what it says is typed, until it is healthy
    assert lottery("doctor") == 4
    assert "lottery doctor --repair" in capsys.readouterr().out
    assert lottery("doctor", "--repair") == 0
    assert lottery("doctor") == 0
