"""Tasks as people bring them, with a fault: a line that names it, and no level that lies."""

import csv
import itertools
import json
import math

import foreign as worlds
import numpy as np
import pytest
import torch
from torch import nn

from lottery.terms.metric import Metric

EVALUATE, LOSS = worlds.Rows.evaluate, worlds.Rows.loss


def evaluating(change):
    """Return an evaluate whose answer is changed."""
    return lambda self, model, split: change(EVALUATE(self, model, split))


def losing(change):
    return lambda self, model, batch, temperature=1.0: change(LOSS(self, model, batch))


FAULTS = {  # what a task has in place of its own -> what the line says
    "no number": ("evaluate", evaluating(lambda r: r | {"relative_error": None}), "gives relative_error as a NoneType"),
    "text": ("evaluate", evaluating(lambda r: r | {"relative_error": "0.5"}), "gives relative_error as a str"),
    "several": ("evaluate", evaluating(lambda r: r | {"loss": torch.ones(2)}), "gives loss as a tensor of [2]"),
    "nothing": ("evaluate", evaluating(lambda r: None), "gives a NoneType, where a dict of numbers is wanted"),
    "not measured": ("metrics", (worlds.RELATIVE, Metric("mae", "lower")), "gives no mae, which its metrics name"),
    "no metrics": ("metrics", (), "gives () as metrics"),
    "one metric": ("metrics", worlds.RELATIVE, "gives Metric(name="),
    "metrics of words": ("metrics", ("relative_error",), "gives ('relative_error',) as metrics"),
    "twice": ("metrics", (worlds.RELATIVE, worlds.RELATIVE), "has a metric named relative_error twice"),
    "named loss": ("metrics", (Metric("loss", "lower"),), "has a metric named loss, which every task has"),
    "chance": ("chance", torch.tensor(0.5), "gives a tensor of [] as chance"),
    "world": ("world", None, "gives None as world"),
    "a float": ("loss", losing(float), "gives a float as loss"),
    "a loss each": ("loss", losing(lambda loss: loss[None]), "gives a tensor of [1] as loss"),
    "weightless": ("weight", lambda self, batch: 0, "gives a batch the weight 0"),
    "counts nothing": ("count", lambda self, batch: 0, "counts 0 examples in example(2), not 2"),
    "cuts nothing": ("cut", lambda self, batch, start, stop: batch, "counts 2 examples in cut(example(2), 0, 1)"),
    "steps": ("steps_per_epoch", 5.0, "whose steps_per_epoch is 5.0"),
    "fewer batches": ("steps_per_epoch", 9, "has 9 steps in an epoch (steps_per_epoch) and gives fewer batches"),
    "not prepared": ("prepare", lambda self, **words: None, "prepare gives no task"),
    "a half memory": ("state", lambda self: {}, "its Rows has no restore"),
}


@pytest.mark.filterwarnings("ignore:Converting a tensor:UserWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_task_with_a_fault_is_told_in_a_line(foreign, monkeypatch, fault):
    name, instead, line = FAULTS[fault]
    monkeypatch.setattr(worlds.Rows, name, instead, raising=False)
    said = foreign.said("run", *foreign.words("rows", "levels=1"), code=2).splitlines()
    (told,) = [each for each in said if "warning: Converting" not in each]
    assert line in told and told.startswith("lottery: dataset"), told


def broken(name, error):
    """Return a function of the world's own file that raises, named `name`."""
    made = {}
    text = f"def {name}(self, *given, **more):\n    raise {error}('it broke')\n"
    exec(compile(text, worlds.__file__, "exec"), worlds.__dict__, made)
    return made[name]


RAISING = ("prepare", "batches", "loss", "evaluate", "scoring_batches", "count", "weight", "cut", "inputs", "example",
           "size", "steps_per_epoch", "metrics", "chance")  # fmt: skip
PROPERTIES = ("steps_per_epoch", "metrics", "chance")


QUICK = (("loss", "RuntimeError"), ("evaluate", "ValueError"), ("scoring_batches", "ValueError"), ("steps_per_epoch", "AttributeError"))


@pytest.mark.parametrize(("name", "error"), [
    each if each in QUICK else pytest.param(*each, marks=pytest.mark.slow)
    for each in itertools.product(RAISING, ("ValueError", "RuntimeError", "AttributeError"))
])  # fmt: skip
def test_what_a_task_raises_names_its_line(foreign, monkeypatch, name, error):
    found = broken(name, error)
    monkeypatch.setattr(worlds.Rows, name, property(found) if name in PROPERTIES else found)
    words = foreign.words("rows", "levels=1", "prune=snip", "prune.criterion.per_class=0")
    line = foreign.said("run", *words, code=2)
    assert f"worlds/foreign.py, line 2, in {name}: {error}" in line.replace("it broke (", "").replace("))", ")"), line
    assert "it broke" in line and line.count("\n") == 1
    assert not line.startswith("lottery: model")


def test_what_a_task_raises_is_on_record(foreign, monkeypatch):
    monkeypatch.setattr(worlds.Rows, "evaluate", broken("evaluate", "ValueError"))
    foreign.said("run", *foreign.words("rows"), code=2)
    (path,) = foreign.outputs.glob("*/*/replicate_0/run.json")
    record = json.loads(path.read_text())
    assert record["state"] == "failed" and "foreign.py, line 2, in evaluate: ValueError: it broke" in record["error"]


def test_a_property_that_lacks_something_is_no_model_that_asks_for_it(foreign, monkeypatch):
    monkeypatch.setattr(worlds, "row_net", lambda task, *, width: nn.Linear(task.wide, width))
    made = {}
    exec(compile("def wide(self):\n    return self.missing\n", worlds.__file__, "exec"), worlds.__dict__, made)
    monkeypatch.setattr(worlds.Rows, "wide", property(made["wide"]), raising=False)
    line = foreign.said("run", *foreign.words("rows"), code=2)
    assert "foreign.py, line 2, in wide: AttributeError" in line and "'missing'" in line


def test_a_memory_of_numbers_is_told_in_a_line(foreign, monkeypatch):
    monkeypatch.setattr(worlds.Chains, "state", lambda self: {"n": 3})
    said = foreign.said("run", *foreign.words("chains"), code=2)
    assert "state() of its Chains gives {'n': 3}" in said and said.count("\n") == 1


def test_nothing_to_score_is_told_in_a_line(foreign, monkeypatch):
    monkeypatch.setattr(worlds.Rows, "scoring_batches", lambda self, generator, **picks: [])
    said = foreign.said("run", *foreign.words("rows", "prune=fisher"), code=2)
    assert "its Rows gives no batch to score (scoring_batches)" in said and said.count("\n") == 1


@pytest.mark.parametrize("form", [torch.tensor, np.float32, lambda v: torch.tensor([v], requires_grad=True)])
def test_numbers_of_torch_and_numpy_are_numbers(foreign, monkeypatch, form):
    monkeypatch.setattr(worlds.Rows, "evaluate", evaluating(lambda r: {k: form(v) for k, v in r.items()}))
    folder = foreign.run("rows", "name=other", "replicate=1")
    for row in csv.DictReader((folder / "metrics.csv").read_text().splitlines()):
        assert 0 < float(row["test_relative_error"]) < math.inf
    assert json.loads((folder / "run.json").read_text())["state"] == "done"


@pytest.mark.parametrize("others", [False, True])
def test_a_setting_without_a_type_takes_what_is_given(foreign, monkeypatch, others):
    def plain(task, *, width):
        return nn.Sequential(nn.Linear(task.features, width), nn.Linear(width, 1))

    def open_to_more(task, *, width, **more):
        return plain(task, width=width)

    monkeypatch.setattr(worlds, "row_net", open_to_more if others else plain)
    folder = foreign.run("rows", "levels=0", "model.width=3")
    assert "width: 3" in (folder / "config.yaml").read_text()
    line = foreign.said("run", *foreign.words("rows", "+model.depth=3"), code=2)
    assert line == "lottery: model: row_net has no setting 'depth' (it has: width)\n"


def test_a_net_is_evaluated_as_such_and_trained_as_such(foreign, monkeypatch):
    """Dropout is off in every evaluation and on in every step, though the task sees to neither."""
    seen = {"evaluate": set(), "loss": set()}

    def net(task, *, width):
        return nn.Sequential(nn.Linear(task.features, width), nn.Dropout(), nn.Linear(width, 1))

    def evaluate(self, model, split):
        seen["evaluate"].add(model.training)
        x, y = self.splits[split]
        error = ((model(x)[:, 0] - y).abs() / y).mean()
        model.eval()
        return {"loss": error, "relative_error": error}

    def loss(self, model, batch, temperature=1.0):
        seen["loss"].add(model.training)
        return LOSS(self, model, batch)

    monkeypatch.setattr(worlds, "row_net", net)
    monkeypatch.setattr(worlds.Rows, "evaluate", evaluate)
    monkeypatch.setattr(worlds.Rows, "loss", loss)
    foreign.run("rows")
    assert seen == {"evaluate": {False}, "loss": {True}}
