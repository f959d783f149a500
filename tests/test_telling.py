"""What is only told to people never costs a run: closed pipes, full disks, terminals that went away."""

import errno
import io
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lottery import cli
from lottery.results import results
from lottery.storage.records import read_run
from lottery.wording import telling

PYTHON = f"{shlex.quote(sys.executable)} -m lottery"
ERRORS = [errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EBADF]
LOOKING = [
    ["--version"], ["run", "--help"], ["ls"], ["tail", "aaaa"],
    *(pytest.param(words.split(), marks=pytest.mark.slow) for words in (
        "--help", "show aaaa", "compare", "ls format=csv", "show aaaa format=json", "compare format=latex", "doctor", "clean",
        "plan --help", "plot --help", "diff aaaa bbbb", "export --help",
        "bench --help", "-sc install=zsh",
    )),
]  # fmt: skip


class Refusing(io.StringIO):
    """A stream of a file that takes nothing more; `held` writes are taken before, as a buffer does."""

    def __init__(self, number, held=0):
        super().__init__()
        self.number, self.left = number, held

    def write(self, text):
        self.left -= 1
        if self.left >= 0:
            return super().write(text)
        raise OSError(self.number, os.strerror(self.number))

    def flush(self):
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def two(fabricate, lottery):
    fabricate()
    fabricate(ident="bbbbbbbbbb", config={"train.batch_size": 7})
    return lottery


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_a_command_that_looks_ends_as_it_would_where_nobody_hears(two, words, monkeypatch, capsys):
    expected = two(*words)
    capsys.readouterr()
    for number in ERRORS:
        for held in (0, 1) if number == errno.ENOSPC else (0,):
            error = io.StringIO()
            monkeypatch.setattr(sys, "stdout", Refusing(number, held))
            monkeypatch.setattr(sys, "stderr", error)
            code = two(*words)
            if number in (errno.EPIPE, errno.EBADF) or expected:
                assert code == expected
                assert "written" not in error.getvalue()
            elif code or not held:  # else it prints once, and that was taken
                line = f"lottery: what was printed could not be written: {os.strerror(number)}"
                assert (code, error.getvalue().splitlines()[-1]) == (5, line)
        monkeypatch.setattr(sys, "stderr", Refusing(number))
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        assert two(*words) == expected
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)  # what Python makes of >&- 2>&-
    assert two(*words) == expected


@pytest.mark.parametrize("number", [
    errno.ENOSPC, *(pytest.param(n, marks=pytest.mark.slow) for n in ERRORS if n != errno.ENOSPC)
], ids=errno.errorcode.get)  # fmt: skip
def test_a_run_ends_with_the_same_numbers_where_nobody_hears(
    run, lottery, tiny, tmp_path, number, monkeypatch, capsys
):
    words = [*tiny, "host.progress=lines", "levels=1", "prune=magnitude_init", "schedule.keep=0.1"]
    expected = results.metrics(run(*words))[["kept", "test_accuracy"]]
    for name, streams in (("a", ["stderr"]), ("b", ["stdout", "stderr"])):
        with monkeypatch.context() as patch:
            for stream in streams:
                patch.setattr(sys, stream, Refusing(number))
            code = lottery("run", *words, f"outputs={name}")
        silent = number in (errno.EPIPE, errno.EBADF) or streams == ["stderr"]
        assert code == (0 if silent else 5)
        [folder] = tmp_path.glob(f"{name}/*/*/replicate_0")
        assert read_run(folder)["state"] == "done"
        assert results.metrics(folder)[["kept", "test_accuracy"]].equals(expected)


def test_bars_and_a_sweep_go_on_where_nobody_hears(lottery, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Refusing(errno.EIO))
    monkeypatch.setattr(sys, "stdout", Refusing(errno.EPIPE))
    words = [*tiny, "host.progress=bar", "levels=0"]
    assert lottery("run", "-m", *words, "train.optimizer.lr=0.1,1e30") == 6
    states = [read_run(f)["state"] for f in tmp_path.glob("outputs/*/*/replicate_*")]
    assert sorted(states) == ["done", "failed"]


def test_a_full_disk_and_a_broken_connection_of_a_run_are_no_silence(
    lottery, tiny, tmp_path, monkeypatch, capsys
):
    """What fails beside the telling: outputs/, and a pipe that a component writes to."""
    from lottery.experiment import launch

    for number in (errno.ENOSPC, errno.EPIPE):
        error = OSError(number, os.strerror(number))

        def fail(run, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(launch, "run_levels", fail)
            assert lottery("run", *tiny, f"outputs={number}") == 5
        assert os.strerror(number) in capsys.readouterr().err
        [folder] = tmp_path.glob(f"{number}/*/*/replicate_0")
        assert read_run(folder)["state"] == "failed"


def test_what_is_closed_or_has_few_letters_is_no_error():
    closed = io.StringIO()
    closed.close()
    assert telling.Told(closed, False).write("x") == 1
    few = io.TextIOWrapper(io.BytesIO(), "ascii")
    told = telling.Told(few, False)
    told.write("é")
    told.flush()
    assert few.buffer.getvalue() == b"\\xe9"
    assert told.lost is None


PATIENCE = 300  # seconds until what hangs is killed, and its test fails


def typed(tmp_path, line):
    """Type a line in a shell; whatever of it still holds a pipe when patience ends is killed."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "LOTTERY_DATA": str(tmp_path)}
    words = ["bash", "-c", line]
    with subprocess.Popen(
        words, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            out, error = shell.communicate(timeout=PATIENCE)
        except BaseException:
            os.killpg(shell.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(words, shell.returncode, out, error)


def check_shell(tmp_path, words, lines):
    """Type each line with the command in it; it prints the exit code, and nothing else may come."""
    command = f"{PYTHON} {shlex.join(words)}"
    for line, code in lines:
        done = typed(tmp_path, line.format(command))
        assert done.stdout.splitlines()[-1] == str(code), (line, done)
        assert "Traceback" not in done.stderr, (line, done.stderr)
        assert "Exception ignored" not in done.stderr, (line, done.stderr)


CODE = "; echo $?"
PIPE = "{} {}| head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"


@pytest.mark.slow
def test_a_pipe_that_closes_after_a_word(tmp_path, tiny, fabricate):
    fabricate(name="x" * 99)
    check_shell(tmp_path, ["ls"], [("{} | true; echo ${{PIPESTATUS[0]}}", 0),
                                   (f"{{}} >/dev/full{CODE}", 5), (f"{{}} >&- 2>&-{CODE}", 0)])  # fmt: skip
    words = ["run", *tiny, "host.progress=lines", "name=here"]
    check_shell(tmp_path, words, [("{} 2>&1 | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}", 0)])
    [folder] = tmp_path.glob("outputs/here/*/*")
    assert read_run(folder)["state"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("lines", [
    [(f"{{}} 2>/dev/full{CODE}", 0)], [(f"{{}} >/dev/full{CODE}", 5)], [(f"{{}} >&-{CODE}", 0)],
    [(f"{{}} 2>&-{CODE}", 0)], [(f"{{}} >&- 2>&- <&-{CODE}", 0)], [(f"{{}} >/dev/full 2>&1{CODE}", 5)],
], ids=str)  # fmt: skip
def test_streams_as_a_shell_gives_them(tmp_path, tiny, lines):
    check_shell(tmp_path, ["run", *tiny, "host.progress=lines"], lines)
    [folder] = tmp_path.glob("outputs/*/*/replicate_0")
    assert read_run(folder)["state"] == "done"
    assert b"stopping" not in b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    for words in (["ls"], ["show", "lenet"], ["compare"], ["doctor"], ["--help"]):
        check_shell(tmp_path, words, lines)


def ended(child):
    """Return the exit code of a child; fail where it outlasts all patience."""
    ends = time.monotonic() + PATIENCE
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        assert time.monotonic() < ends
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(found[1])


def test_hup_stops_a_run_after_a_checkpoint_or_a_level(run, monkeypatch):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # else not heeded where the tests run under nohup
    monkeypatch.setattr("lottery.experiment.loop.warn_of_collapse",
                        lambda *given: os.kill(os.getpid(), signal.SIGHUP))  # fmt: skip
    record = read_run(run(code=129))
    assert record["state"] == "stopped"
    assert record["error"].startswith("stopped; to go on from here: lottery run dataset=")


@pytest.mark.slow
@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_goes_away_leaves_a_checkpoint_or_nothing_under_nohup(
    tmp_path, tiny, ignored
):
    long = ["train.length=2000it", "levels=0"] if ignored else ["train.length=1000000it"]
    words = [*tiny, *long, "host.progress=bar", "checkpoint_every=10it"]
    child, terminal = pty.fork()
    if not child:
        os.chdir(tmp_path)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        os.environ["OMP_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "lottery", "run", *words])
    try:
        ends = time.monotonic() + PATIENCE
        while not list(tmp_path.glob("outputs/store/*/checkpoint-*")):
            assert time.monotonic() < ends
            if select.select([terminal], [], [], 0.05)[0]:  # else what its bar says would fill up
                os.read(terminal, 4096)
        os.close(terminal)
        code = ended(child)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    [folder] = tmp_path.glob("outputs/*/*/replicate_0")
    record = read_run(folder)
    if ignored:
        assert (code, record["state"]) == (5, "done")  # its table went nowhere
        return
    assert (code, record["state"]) == (129, "stopped")
    assert record["error"].startswith("stopped; to go on from here: lottery run dataset=")
    assert list(tmp_path.glob("outputs/store/*/checkpoint-*"))


def test_tail_ends_where_its_pipe_is_closed(fabricate, lottery, monkeypatch):
    from lottery.commands import tail

    fabricate(record={"state": "running"})
    monkeypatch.setattr("lottery.storage.records.locked", lambda path: True)
    monkeypatch.setattr(tail, "sleep", lambda seconds: pytest.fail("it goes on"))
    monkeypatch.setattr(sys, "stdout", Refusing(errno.EPIPE))
    assert lottery("tail", "aaaa") == 0


def test_no_file_of_ours_takes_the_number_of_a_closed_stream(tmp_path):
    code = "from lottery.wording import telling; telling.open_standard(); print(open('x').fileno() > 2)"
    (tmp_path / "x").touch()
    done = typed(tmp_path, f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} 2>&- <&-")
    assert done.stdout == "True\n"


def test_a_second_command_of_a_process_hears_again(two, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Refusing(errno.EPIPE))
        assert two("ls") == 0
    assert cli.main(["ls"]) == 0
    assert "aaaaaaaaaa" in capsys.readouterr().out
    assert Path("outputs").is_dir()
