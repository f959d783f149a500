"""The making of a mask goes on where it was stopped, with the same bits."""

from dataclasses import replace

import pytest
import torch
import yaml

from lottery.components.models.lenet import lenet
from lottery.config import build
from lottery.errors import DamagedError, Stopped
from lottery.machine import signals
from lottery.progress.bars import Progress
from lottery.pruning.followed import Followed
from lottery.pruning.prune import prune
from lottery.pruning.search_state import Memory
from lottery.terms import mask as masks
from lottery.terms.due import Pause
from lottery.terms.parts import Pruning

SEARCHES = {
    "gem_miner": {"length": "4ep", "period": "1ep", "lr": 0.5, "momentum": 0.9, "penalty": 0.01},
    "edge_popup": {"length": "3ep", "lr": 0.5, "momentum": 0.9, "weight_decay": 0.01,
                   "scope": "globally"},
    "movement": {"length": "3ep", "lr": 0.1, "momentum": 0.5},
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_signal():
    signals.HINT[:] = ["again"]
    yield
    signals.forget()


class Interrupted:
    """A task that is sent a signal while it computes its n-th loss."""

    def __init__(self, task, at):
        self.task, self.left = task, at

    def __getattr__(self, name):
        return getattr(self.task, name)

    def loss(self, model, batch, temperature=1.0):
        self.left -= 1
        if self.left == 0:
            signals.ASKED.append(143)
        return self.task.loss(model, batch, temperature)


@pytest.fixture
def task(tmp_path):
    node = {"name": "synthetic", "examples": 40, "test_examples": 10, "validation": 0, "classes": 3,
            "channels": 1, "size": 4, "split_seed": 0, "subsample": 0, "label_noise": 0.0, "crop": 1,
            "flip": True, "cutout": 0, "mean": [0.5], "std": [0.25]}  # fmt: skip
    whole = yaml.safe_load((build.conf_dir() / "dataset" / "synthetic.yaml").read_text())
    made = build.bind("dataset", whole | {k: v for k, v in node.items() if k in whole}, "dataset")
    return made(tmp_path).prepare(batch_size=10, device=torch.device("cpu"))


def row(criterion, **more):
    static = {"name": "static"}
    return Pruning(
        criterion=build.bind("criterion", criterion, "here"),
        structure=build.bind("structure", {"name": "weight"}, "here"),
        allocation=build.bind("allocation", {"name": "globally"}, "here"),
        update=build.bind("update", static, "here"), update_settings=static,
        at="0it", rounds=1, path="exponential", nested=False, revive=False, exact=True,
        include=("*",), exclude=(),
    ) if not more else replace(row(criterion), **more)  # fmt: skip


def made(task, how, folder=None, at=0, every="1000s", about="this"):
    """Return the mask, or None where a signal at loss number `at` stopped it."""
    torch.manual_seed(0)
    model = lenet(task, hidden=[6], init="kaiming_normal")
    watch = Progress("none", 1)
    with Memory(folder, about, Pause(every, task.steps_per_epoch), pytest.fail) as memory:
        followed = Followed(Interrupted(task, at), watch, "level 1", memory)
        try:
            return prune(model, masks.dense(model), 0.3, followed, 5, how, memory)
        except Stopped:
            return None


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("rounds", [1, 2])
def test_a_search_goes_on_where_a_signal_stopped_it(task, tmp_path, name, rounds):
    how = row({"name": name} | SEARCHES[name], rounds=rounds)
    steps = rounds * task.steps_per_epoch * int(SEARCHES[name]["length"][0])
    whole = made(task, how, tmp_path / "none", every="1000s")
    assert not (tmp_path / "none").exists()
    for at in range(1, steps):  # the last one has nothing to save
        folder = tmp_path / str(at)
        assert made(task, how, folder, at) is None
        signals.forget()
        assert same(made(task, how, folder), whole), f"stopped at {at}"


def test_a_search_does_again_only_what_was_not_saved(task, tmp_path):
    how = row({"name": "edge_popup"} | SEARCHES["edge_popup"])
    assert made(task, how, tmp_path / "m", at=9) is None
    signals.forget()
    total = 3 * task.steps_per_epoch
    counting = Interrupted(task, 10**6)
    assert made(counting, how, tmp_path / "m") is not None
    assert 10**6 - counting.left == total - 9


@pytest.mark.parametrize("revive", [False, True])
def test_rounds_go_on_where_they_were_stopped(task, tmp_path, revive):
    scoring = {"per_class": 2, "size": 0, "batch": 0, "augment": False, "mode": "eval",
               "temperature": 1.0, "per_batch_abs": False, "reinit": "none"}  # fmt: skip
    how = row({"name": "snip"} | scoring, rounds=5, revive=revive)
    whole = made(task, how, tmp_path / "none")
    for at in range(1, 5):
        folder = tmp_path / str(at)
        assert made(task, how, folder, at, every="1it") is None
        signals.forget()
        counting = Interrupted(task, 10**6)
        assert same(made(counting, how, folder, every="1it"), whole)
        assert 10**6 - counting.left == 5 - at


def test_a_memory_of_something_else_is_not_taken_up(task, tmp_path):
    how = row({"name": "movement"} | SEARCHES["movement"])
    assert made(task, how, tmp_path / "m", at=5) is None
    signals.forget()
    counting = Interrupted(task, 10**6)
    assert made(counting, how, tmp_path / "m", about="another level") is not None
    assert 10**6 - counting.left == 3 * task.steps_per_epoch
    assert made(task, how, tmp_path / "m", at=2, about="another level") is None
    signals.forget()
    counting = Interrupted(task, 10**6)  # what it saved since is not taken for older
    assert made(counting, how, tmp_path / "m", about="another level") is not None
    assert 10**6 - counting.left == 3 * task.steps_per_epoch - 2


def test_a_damaged_memory_is_never_a_silent_restart(task, tmp_path):
    how = row({"name": "movement"} | SEARCHES["movement"])
    assert made(task, how, tmp_path / "m", at=5) is None
    signals.forget()
    (kept,) = (tmp_path / "m").glob("checkpoint-*")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    memory = Memory(tmp_path / "m", "this", Pause("60s", 4), lambda line: None)
    model = lenet(task, hidden=[6], init="kaiming_normal")
    with pytest.raises(DamagedError, match="rm -r"):
        memory.begin(masks.dense(model))
