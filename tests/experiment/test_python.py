"""`lottery.run` does what the command does, and leaves the process as it was."""

import os
import shlex
import signal
import sys
import threading

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

import lottery
from lottery.config import build
from lottery.errors import DivergedError, LockedError, UsageError
from lottery.experiment import launch, notebook
from lottery.storage import records
from lottery.storage.locks import lock
from lottery.training import train

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def here(tmp_path, monkeypatch, tiny):
    """Be in tmp_path, with the words of a tiny run; the process must be the same afterwards."""
    monkeypatch.chdir(tmp_path)
    torch.set_flush_denormal(False)  # which other tests may have left on
    before = state()
    yield tiny
    assert state() == before


def state():
    """Return what is global and a run changes."""
    return {
        "signals": [signal.getsignal(number) for number in SIGNALS],
        "denormal": sys.float_info.min / 2,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": torch.backends.cudnn.deterministic,
        "generator": torch.get_rng_state().tolist(),
        "argv": list(sys.argv),
        "hydra": GlobalHydra.instance().hydra,
        "stored": "skeleton.yaml" in ConfigStore.instance().repo,
        "environment": {k: v for k, v in os.environ.items() if "HYDRA" in k or "CUBLAS" in k},
        "folder": os.getcwd(),
    }


def test_it_returns_the_run_as_tables_and_leaves_the_process_as_it_was(here):
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        before = state()
        runs = lottery.run([*here, "levels=1", "host.deterministic=true", "host.threads=2"])
        assert state() == before
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert runs.levels["level"].tolist() == [0, 1]
    assert runs.runs["state"].tolist() == ["done"]
    assert runs.runs["method"].tolist() == ["imp"]
    assert set(runs.curves["level"]) == {0, 1}
    record = records.read_run(runs.folders[0])
    assert record["command"].startswith("lottery run dataset=synthetic ")


def test_twice_is_the_same_run(here, capsys):
    first, again = lottery.run([*here, "levels=1"]), lottery.run([*here, "levels=1"])
    assert first.folders == again.folders
    assert "levels: 0 trained, 0 shared, 2 already there" in capsys.readouterr().out


def test_a_sweep_returns_all_its_runs(here):
    runs = lottery.run([*here, "levels=1", "replicate=0,1", "prune=imp,random", "-m"])
    found = runs.runs[["replicate", "method"]].to_dict("split")["data"]
    assert found == [[0, "imp"], [0, "random"], [1, "imp"], [1, "random"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=resnet21"], "model: there is no 'resnet21'"),
        (["model.widht=3"], "no setting 'widht'"),
        (["train.length=long"], "train.length: 'long' names no step"),
        (["--nope"], "no flag '--nope'"),
        (["prune=imp,random"], "add -m"),
    ],
)
def test_what_is_wrong_is_a_usage_error_of_one_line(here, tmp_path, words, said, capsys):
    with pytest.raises(UsageError) as caught:
        lottery.run(
            [*(w for w in here if not w.startswith(words[0].partition("=")[0] + "=")), *words]
        )
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "outputs").exists()


def test_words_come_as_a_line_a_list_or_keywords(here):
    words = ["levels=0", "model.hidden=[3,4]", "train.optimizer.lr=0.05", "name=a b"]
    calls = [
        ((words,), {}), ((" ".join(words[:3]) + " 'name=a b'",), {}), ((*words[:3], "'name=a b'"), {}),
        ((), {"levels": 0, "model": {"hidden": [3, 4]}, "train": {"optimizer": {"lr": 0.05}}, "name": "a b"}),
        (("levels=0",), {"model": {"hidden": [3, 4]}, "train.optimizer.lr": 0.05, "name": "a b"}),
    ]  # fmt: skip
    plain = [[w.replace('"', "") for w in notebook.typed(*(c[:1] or ((),)), c[1:], k)] for c, k in calls]
    assert [sorted(each) for each in plain] == [sorted(words)] * len(calls)
    (ran,) = lottery.run(shlex.join([*here, "levels=0"]), replicate=1, train={"optimizer": {"lr": 0.05}}).folders
    assert ran.name == "replicate_1"
    with pytest.raises(UsageError, match="No closing quotation"):
        lottery.run("name='a")


@pytest.mark.parametrize(("line", "words"), [
    ("model.hidden=[4, 3] levels=0", ["model.hidden=[4, 3]", "levels=0"]),
    ("branch=[shuffle,  reinit] schedule.densities=[0.5, 0.2, 0.1]", ["branch=[shuffle, reinit]", "schedule.densities=[0.5, 0.2, 0.1]"]),
    ("prune.allocation.rates={'a b': 3, c: [1, 2]} levels=0", ["prune.allocation.rates={a b: 3, c: [1, 2]}", "levels=0"]),
    ("name='my run' levels=0", ["name=my run", "levels=0"]), ("-m replicate=range(0, 3)", ["-m", "replicate=range(0, 3)"]),
])  # fmt: skip
def test_a_list_is_written_as_in_python(line, words):
    assert notebook.typed(line, (), {}) == words


def test_a_run_that_fails_raises_its_error(here):
    with pytest.raises(DivergedError):
        lottery.run([*here, "levels=0", "train.optimizer.lr=1e30"])


def test_a_component_that_leaves_the_program_is_an_error_that_says_so(here, monkeypatch):
    monkeypatch.setattr(launch, "open_run", lambda *_, **__: sys.exit(3))
    with pytest.raises(RuntimeError, match=r"a component called sys.exit\(3\)"):
        lottery.run([*here, "levels=0"])


def test_a_run_that_is_taken_raises_at_once(here):
    (folder,) = lottery.run([*here, "levels=0"]).folders
    with lock(folder / ".lock"), pytest.raises(LockedError, match="is being written by process"):
        lottery.run([*here, "levels=0"])


def test_a_sweep_runs_what_it_can_and_raises_the_first_failure(here):
    words = [*here, "levels=0", "train.optimizer.lr=1e+30,1e+29,0.05", "-m"]
    with pytest.raises(DivergedError) as caught:
        lottery.run(words)
    (note,) = caught.value.__notes__
    assert note.startswith("failed too: train.optimizer.lr=1e+29: training diverged")
    assert lottery.load("outputs").runs["state"].tolist().count("done") == 1


def interrupt_at(monkeypatch, rows):
    """Send Ctrl-C to this process at each of these rows of the curves, counted from 1."""
    seen, real = [0], train.record

    def record(*arguments):
        real(*arguments)
        seen[0] += 1
        for _ in range(rows.count(seen[0])):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(train, "record", record)


def tensors(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.glob("level_*/end.safetensors"))}


def test_ctrl_c_leaves_a_checkpoint_and_raises_and_the_same_call_goes_on(
    here, tmp_path, monkeypatch
):
    whole = lottery.run([*here, "outputs=whole"]).folders[0]
    interrupt_at(monkeypatch, [6])
    with pytest.raises(KeyboardInterrupt, match="to go on from here: lottery run"):
        lottery.run([*here])
    assert list(tmp_path.glob("outputs/store/*/checkpoint-*"))
    assert lottery.load("outputs").runs["state"].tolist() == ["stopped"]
    (folder,) = lottery.run([*here]).folders
    assert tensors(folder) == tensors(whole)


def test_a_second_ctrl_c_raises_at_once(here, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, [6, 6])
    with pytest.raises(KeyboardInterrupt):
        lottery.run([*here])
    record = records.read_run(lottery.load("outputs").folders[0])
    assert (record["state"], record["error"]) == (
        "stopped",
        "interrupted at once, by a second signal",
    )
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert lottery.run([*here]).runs["state"].tolist() == ["done"]


def test_it_runs_in_another_thread(here):
    """Python lets only the main thread install handlers."""
    found, before = [], [signal.getsignal(number) for number in SIGNALS]

    def work(number):
        found.append(lottery.run([*here, "levels=0", f"replicate={number}"]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(runs.runs["replicate"][0] for runs in found) == [0, 1]
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_it_runs_inside_of_a_program_that_uses_hydra_itself(here):
    """Its own config and its own overrides stay what they were."""
    with initialize_config_dir(config_dir=str(build.conf_dir()), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        lottery.run([*here, "levels=0"])
        assert GlobalHydra.instance().hydra is running
        assert compose("schedule/geometric").schedule.keep == 0.8


def test_what_hydra_shows_returns_no_runs(here, capsys):
    assert lottery.run([*here, "--cfg", "job"]).folders == ()
    assert "batch_size: 12" in capsys.readouterr().out
