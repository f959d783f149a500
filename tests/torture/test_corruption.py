"""Damage any file in any way: the same command ends with the same bits, or says what to type.

One run is finished, one was killed in the middle of level 1; each case copies the folder, damages a
file, and types the command. What it answers is typed, too, to the letter.
"""

import functools
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from harness import LENET, assert_same, bits, compose, launch, output, spawn, torn, wait, whole

from lottery import cli
from lottery.commands import doctor
from lottery.config import identity
from lottery.errors import LotteryError
from lottery.experiment import levels
from lottery.storage import records
from lottery.upkeep import health
from lottery.upkeep.inventory import Inventory

A = LENET
B = (*LENET, "train.optimizer.lr=0.02")  # of the same shapes: what is swapped with it would load
OPS = {"flip": 10, "cut": 5, "zero": 3, "swap": 2, "delete": 1}
LEVEL = ["manifest", "ticket", "end", "mask", "curve", "state"]
RUN = ["run.json", "run manifest", "config", "metrics", "layers", "link", "pointer", "lock", "owner"]
KINDS = {
    "finished": [*LEVEL, *RUN, "branches"],
    "killed": [*LEVEL, *RUN, "newest checkpoint", "both checkpoints"],
}
OF_LEVEL = {
    "manifest": "manifest.json", "ticket": "ticket.safetensors", "end": "end.safetensors",
    "mask": "mask.safetensors", "curve": "curve.csv", "state": "4it.safetensors",
}  # fmt: skip
OF_RUN = {
    "run.json": "run.json", "run manifest": "manifest.json", "config": "config.yaml",
    "metrics": "metrics.csv", "layers": "layers.csv", "branches": "branches.csv",
}  # fmt: skip
MOST_COMMANDS = 4  # that may have to be typed until all is well again
TRAINED = "trained.txt"  # keys of the levels that children trained, a line each


def type_run(folder, overrides, before=None):
    """Type `lottery run` in a child; return its exit code and what it printed."""
    plan = compose(overrides)

    def noted(*arguments, **options):
        shelf = next(a for a in arguments if hasattr(a, "key"))
        with open(TRAINED, "a") as file:
            file.write(shelf.key + "\n")
        return train(*arguments, **options)

    def dispatch(_):
        launch.launch(plan.settings, plan.parts, plan.name, plan.command)
        return 0

    def work():
        cli.dispatch = dispatch
        levels.train = noted
        return cli.main(["run"])

    train = levels.train
    code = wait(spawn(folder, work, before))
    return code, output(folder)


def kill_after_checkpoint(number):
    """Make a child die right after it has written so many checkpoints."""
    replace, left = os.replace, [number]

    def last(source, target):
        replace(source, target)
        left[0] -= "checkpoint-" in os.path.basename(target)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = last


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """Return the bits that are promised, and the folder with a finished and with a killed run."""
    base = tmp_path_factory.mktemp("corruption")
    whole(base / "whole", compose(A))
    finished, killed = base / "finished", base / "killed"
    for overrides in (A, B, A, B):
        code, said = type_run(finished, overrides)
        assert code == 0, said
    before = functools.partial(kill_after_checkpoint, 5)  # 3 of level 0, 2 of level 1
    assert type_run(killed, A, before)[0] == -signal.SIGKILL
    assert len(list(killed.glob("outputs/store/*/checkpoint-*"))) == 2
    assert type_run(killed, B)[0] == 0
    for folder in (finished, killed):
        (folder / TRAINED).unlink()
    return bits(finished), {"finished": finished, "killed": killed}


def folder_of(tree, overrides):
    """Return the folder of a run."""
    plan = compose(overrides)
    return tree / identity.run_folder(plan.settings, plan.name).relative_to(Path.cwd())


def candidates(tree, kind):
    """Return the files of a kind that belong to the run, and all that they can be swapped with."""
    store = tree / "outputs" / "store"
    own, other = folder_of(tree, A), folder_of(tree, B)
    if kind in OF_LEVEL:
        found = sorted(store.glob(f"*/{OF_LEVEL[kind]}"))
        mine = {e["key"] for e in records.levels(own).values()}
        return [p for p in found if p.parent.name in mine], found
    if kind in OF_RUN:
        name = OF_RUN[kind]
        return [own / name], [own / name, other / name]
    if kind in ("link", "pointer"):
        places = sorted(p for p in own.iterdir() if p.name.startswith("level_"))
        return places, places
    if kind in ("lock", "owner"):
        return [own / f".{kind}"], [own / f".{kind}", other / f".{kind}"]
    found = sorted(store.glob("*/checkpoint-*"), key=lambda p: -int(p.name.split("-")[1]))
    return found[: 1 if kind == "newest checkpoint" else 2], found


def content(path):
    return os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()


def put(path, data, link):
    """Put bytes in the place of a file, or a link that says them."""
    path.unlink(missing_ok=True)
    if link:
        path.symlink_to(os.fsdecode(data.replace(b"\0", b"0")) or ".")
    else:
        path.write_bytes(data)


def damaged(data, op, draw):
    """Return the bytes with one bit flipped, cut short, or partly or all zero."""
    at = draw.randrange(max(1, len(data)))
    if op == "flip":
        return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :] if data else b"x"
    if op == "cut":
        return data[:at]
    size = draw.choice([1, 16, len(data)])
    at = 0 if size >= len(data) else at
    zeros = bytes(min(size, len(data) - at))
    return data[:at] + zeros + data[at + len(zeros) :]


def damage(tree, kind, op, draw):
    """Damage a file of this kind, or two; return what stands there now, by path."""
    own, all_of_them = candidates(tree, kind)
    link = kind == "link"
    if kind == "owner":
        for path in all_of_them:
            path.write_text('{"pid": 1, "host": "far", "since": "then", "command": ["run"]}')
    if kind == "pointer":
        for path in own:
            put(path, content(path) + b"\n", link=False)
    hit = own if kind == "both checkpoints" else [draw.choice(own)]
    others = [p for p in all_of_them if p not in hit]
    if op == "swap" and others:
        hit = [hit[0], draw.choice(others)]
        one, two = map(content, hit)
        put(hit[0], two, link)
        put(hit[1], one, link)
    elif op == "delete":
        for path in hit:
            path.unlink()
    else:
        for path in hit:
            put(path, damaged(content(path), "flip" if op == "swap" else op, draw), link)
    return {path: content(path) if os.path.lexists(path) else None for path in hit}


def whole_levels(tree):
    """Return the keys of the levels whose every file is what its manifest says."""
    wrong = {Path(line.partition(": ")[0]).parent.name for line in torn(tree)}
    found = (p.parent.name for p in tree.glob("outputs/store/*/manifest.json"))
    return {key for key in found if key not in wrong}


def until_well(tree, overrides):
    """Type the command, and what it answers, until it ends with 0; return all that it said."""
    told = ""
    for _ in range(MOST_COMMANDS):
        good = whole_levels(tree)
        (tree / TRAINED).unlink(missing_ok=True)
        code, said = type_run(tree, overrides)
        told += said
        assert "Traceback" not in said and "a bug in" not in said, said
        trained = (tree / TRAINED).read_text().split() if (tree / TRAINED).exists() else []
        assert not good & set(trained), f"trained again: {trained}"
        if code == 0:
            return told
        assert code in (2, 4), (code, said)
        lines = [line for line in said.splitlines() if line.startswith("lottery: ")]
        assert len(lines) == 1, said
        type_command(tree, lines[0])
    raise AssertionError(f"no end of it: {told}")


def type_command(tree, line):
    """Type what a line says has to be typed, in a shell; the line names a file or folder that is there."""
    found = re.search(r"\b((?:rm|mv) [^,;]+?)(?:, then|; then| && |, and|$)", line)
    assert found, f"it does not say what to type: {line}"
    words = shlex.split(found[1])
    assert all(Path(tree, w).exists() or w.startswith("-") for w in words[1:2]), line
    subprocess.run(["sh", "-c", found[1]], cwd=tree, check=True, timeout=300)


def differing(tree, expected):
    """Return the paths whose promised bits are others than those expected."""
    try:
        found = bits(tree)
    except LotteryError:
        return None
    return {tree / n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n)}


def doctored(tree):
    """Type what the doctor says of what is damaged, but for the run itself; return the paths."""
    here = Path.cwd()
    os.chdir(tree)
    try:
        found = list(health.damage(Inventory(Path("outputs")), doctor.identity))
        for finding in found:
            for command in finding.command.split(" && "):
                if command.startswith("rm "):
                    subprocess.run(["sh", "-c", command], check=True, timeout=300)
        return {tree / finding.where for finding in found}
    finally:
        os.chdir(here)


def check(tree, expected, kind, op, draw):
    """Damage one kind of file in one way, and see that it is survived."""
    hit = damage(tree, kind, op, draw)
    said = until_well(tree, A)
    if "checkpoint" in kind and op != "delete":  # what nobody can know of, nobody can tell
        all_bad = len(hit) == 2
        assert ("no good checkpoint is left" if all_bad else "going on from the checkpoint") in said
    if any(folder_of(tree, B) in path.parents for path in hit):
        said += until_well(tree, B)
    if kind == "pointer":
        make_links(tree)
    different = differing(tree, expected)
    if different is None or different:
        # The commands had no need of the file, so it is as the damage left it; the doctor names it.
        stays = [p for p, data in hit.items() if data == (content(p) if os.path.lexists(p) else None)]
        assert stays and (different is None or different <= set(stays)), (different, said)
        named = doctored(tree)
        assert named & set(stays), (different, named)
        said += until_well(tree, A)
        said += until_well(tree, B) if differing(tree, expected) else ""
    assert_same(tree, expected)
    for path in tree.rglob("*.corrupt"):
        assert path.name.removesuffix(".corrupt") in said, f"{path} was set aside in silence"


def make_links(tree):
    """Put links where there are pointer files that say the right thing: others are a fault."""
    for place, entry in records.levels(folder_of(tree, A)).items():
        path = folder_of(tree, A) / place
        assert content(path).strip() == f"../../../store/{entry['key']}".encode(), path
        put(path, content(path).strip(), link=True)


def cases(tree, kind):
    return [(tree, kind, op, number) for op, times in OPS.items() for number in range(times)]


def judge(tmp_path, trees, chosen):
    expected, made = trees
    for number, (tree, kind, op, draw) in enumerate(chosen):
        place = tmp_path / str(number)
        shutil.copytree(made[tree], place, symlinks=True)
        try:
            check(place, expected, kind, op, random.Random(f"{tree} {kind} {op} {draw}"))
        except AssertionError as error:
            raise AssertionError(f"{tree}, {kind}, {op} {draw} in {place}: {error}") from error
        shutil.rmtree(place)
    return len(chosen)


@pytest.mark.torture
@pytest.mark.parametrize("tree, kind", [(tree, kind) for tree, kinds in KINDS.items() for kind in kinds])
def test_damage_is_survived(tmp_path, trees, tally, tree, kind):
    tally("corruption", judge(tmp_path, trees, cases(tree, kind)))


def test_a_share_of_the_damage_is_survived(tmp_path, trees):
    """A file of each sort, so that a change that trusts what it reads is seen at once."""
    assert judge(tmp_path, trees, [
        ("finished", "manifest", "flip", 0), ("finished", "run manifest", "swap", 0),
        ("finished", "run.json", "cut", 0), ("finished", "metrics", "flip", 0),
        ("finished", "link", "swap", 0), ("killed", "ticket", "flip", 0), ("killed", "end", "zero", 0),
        ("killed", "newest checkpoint", "flip", 0), ("killed", "both checkpoints", "cut", 0),
        ("killed", "config", "delete", 0),
    ]) == 10  # fmt: skip
