"""A disk that is full: a clean exit, nothing torn, nothing lost, and the same bits once there is space.

The disk is a small tmpfs where this process may mount one, else RLIMIT_FSIZE takes its part.
"""

import json
import re
import resource
import shutil
import subprocess
from functools import partial
from types import SimpleNamespace

import pytest
from harness import (
    LENET,
    acknowledged,
    assert_same,
    assert_sound,
    bits,
    compose,
    finish,
    lost,
    output,
    tortured,
)
from points import after_step, before_rename, die

WORDS = [*LENET, "levels=1", "branch=[]", "outputs=disk/outputs"]
LARGE, SMALL = 2**22, 2**16  # bytes of the disk: enough for the run, and too few
SPACE = re.compile(r"\(([\d.]+ (bytes|kB|MB) needed, )?[\d.]+ (bytes|kB|MB|GB) free\)")  # a folder needs none
POINTS = {
    "first checkpoint": partial(after_step, 1),
    "a later checkpoint": partial(after_step, 8),
    "closing writes": partial(before_rename, "end."),
    "level 1": partial(after_step, 6, level=1),
    "its closing writes": partial(before_rename, "mask.", level=1),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return the plan of these tests and the bits of its run."""
    plan, folder = compose(WORDS), tmp_path_factory.mktemp("whole")
    assert finish(folder, plan) == 0, output(folder)
    return plan, bits(folder / "disk")


@pytest.fixture
def disk(tmp_path):
    """Return a folder that is a disk of its own, where that is to be had, and whether it is."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = mount(place, f"size={LARGE}")
    yield place, mounted
    if mounted:
        subprocess.run(["umount", "-l", place], check=True)


def mount(place, options):
    """Make `place` a tmpfs, or change the one that it is; say whether that could be done."""
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    return made.returncode == 0


def little_space():
    """Let every disk of this process say that it has little space."""
    shutil.disk_usage = lambda path: SimpleNamespace(free=SMALL)


def fill(disk, left, notes):
    """Leave so many bytes free, after writing down what is acknowledged."""
    place, mounted = disk
    done = acknowledged(place)
    notes.write_text(json.dumps(done | {"levels": sorted(done["levels"])}))
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, resource.RLIM_INFINITY))
        return
    with open(place / "ballast", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            file.truncate(max(0, file.tell() - left))


def assert_full(folder):
    """Assert that a run has ended in one line that says how much is needed and how much free."""
    lines = [line for line in output(folder).splitlines() if line.startswith("lottery: ")]
    assert len(lines) == 1, output(folder)
    assert SPACE.search(lines[0]), lines
    assert "type the same command again" in lines[0]


@pytest.mark.torture
@pytest.mark.parametrize("left", [0, 4096])
@pytest.mark.parametrize("point", POINTS)
def test_a_disk_that_fills_up(tmp_path, tally, reference, disk, point, left):
    plan, expected = reference
    notes, place = tmp_path / "notes.json", disk[0]
    code = finish(tmp_path, plan, lambda: POINTS[point](act=partial(fill, disk, left, notes)))
    assert code == 5, output(tmp_path)
    assert_full(tmp_path)
    after = assert_sound(place)
    before = json.loads(notes.read_text())
    assert not lost(before | {"levels": set(before["levels"])}, after)
    (place / "ballast").unlink(missing_ok=True)
    assert finish(tmp_path, plan) == 0, output(tmp_path)
    assert_same(place, expected, after)
    tally("full disk", 1)


@pytest.mark.torture
@pytest.mark.parametrize("begun", [False, True])
def test_a_run_that_will_not_fit_is_refused(tmp_path, tally, reference, disk, begun):
    plan, expected = reference
    place, mounted = disk
    if begun:  # one level is there, and too little space for the other
        assert finish(tmp_path, plan, partial(after_step, 5, die, 1)) == -9
    before = assert_sound(place)
    if mounted:
        assert mount(place, f"remount,size={SMALL}")
        assert finish(tmp_path, plan) == 5, output(tmp_path)
    else:
        assert finish(tmp_path, plan, little_space) == 5, output(tmp_path)
    assert re.search(r"need about [\d.]+ \w+, [\d.]+ \w+ are free", output(tmp_path))
    assert acknowledged(place) == before
    if mounted:
        assert mount(place, f"remount,size={LARGE}")
    assert finish(tmp_path, plan) == 0, output(tmp_path)
    assert_same(place, expected, before)
    tally("full disk", 1)


@pytest.mark.parametrize("limit", tortured([1024, 2048, 3000], 2048))
def test_a_limit_of_the_size_of_files(tmp_path, tally, reference, limit):
    plan, expected = reference
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    code = finish(tmp_path, plan, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard)))
    assert code == 5, output(tmp_path)
    assert_full(tmp_path)
    before = assert_sound(tmp_path)
    assert finish(tmp_path, plan) == 0, output(tmp_path)
    assert_same(tmp_path / "disk", expected, before)
    tally("full disk", 1)
