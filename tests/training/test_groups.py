"""Parameters go to the optimizer by name, in groups that patterns make."""

import copy
import shutil

import pytest
import torch
from torch import nn

from lottery.components.optimizers.adam import adam
from lottery.components.optimizers.sgd import sgd
from lottery.config import identity
from lottery.experiment.recorded_run import finished
from lottery.results.facts import Facts
from lottery.results.retyped import words_for
from lottery.storage import records

OWN = "train.optimizer.groups={*.bias:{weight_decay:0,lr:0.02},layers.0:{momentum:0.5}}"
TURNED = "train.optimizer.groups={layers.0:{momentum:0.5},*.bias:{weight_decay:0,lr:0.02}}"


def parameters(*names):
    return [(name, nn.Parameter(torch.ones(2))) for name in names]


def groups_of(optimizer, *settings):
    return [(g["param_names"], *(g[s] for s in settings)) for g in optimizer.param_groups]


def test_the_first_pattern_that_fits_counts_and_what_none_fits_comes_first():
    some = parameters("fc1.weight", "fc1.bias", "norm.weight", "norm.bias")
    made = sgd(
        some, lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.3,
        groups={"*.bias": {"weight_decay": 0}, "norm": {"lr": 0.01}, "none": {"lr": 5}},
    )  # fmt: skip
    assert groups_of(made, "lr", "momentum", "weight_decay") == [
        (["fc1.weight"], 0.1, 0.9, 0.3),
        (["fc1.bias", "norm.bias"], 0.1, 0.9, 0),
        (["norm.weight"], 0.01, 0.9, 0.3),
    ]


def test_without_groups_all_are_in_one_in_their_order():
    some = parameters("b", "a")
    made = adam(some, lr=0.1, betas=[0.5, 0.9], eps=1e-8, weight_decay=0)
    assert groups_of(made, "lr", "betas") == [(["b", "a"], 0.1, (0.5, 0.9))]


def recipe(**optimizer):
    train = {"length": "1ep", "optimizer": {"name": "sgd", **optimizer}}
    return {"train": train, "evaluate_every": "1ep", "dataset": {}}


def test_a_run_and_a_level_are_known_by_groups_only_where_there_are_some_and_by_their_order():
    plain, empty = recipe(), recipe(groups={})
    one, two = {"a": {"lr": 1}}, {"b": {"lr": 2}}
    first, second = recipe(groups={**one, **two}), recipe(groups={**two, **one})
    for known in (identity.run_id, lambda s: repr(identity.recipe_of(s))):
        assert known(plain) == known(empty)
        assert len({known(copy.deepcopy(s)) for s in (plain, first, second)}) == 3


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_cut_off_training_with_groups_ends_with_the_same_bits(run, cut, optimizer):
    own = OWN if optimizer == "sgd" else OWN.replace("momentum:0.5", "betas:[0.5,0.9]")
    words = [f"train/optimizer={optimizer}", own, "levels=1", "checkpoint_every=1it"]
    folder = run(*words)
    wanted = [finished(folder, index, "", "test").end.weights for index in (0, 1)]
    shutil.rmtree(folder.parents[2])
    cut(7, run, *words)
    run(*words)
    for index, weights in enumerate(wanted):
        found = finished(folder, index, "", "test").end.weights
        assert all(torch.equal(found[n], w) for n, w in weights.items())


def test_the_order_of_patterns_is_another_run_and_another_level(run):
    one, other = run("levels=0", OWN), run("levels=0", TURNED)
    keys = [records.levels(folder)["level_00"]["key"] for folder in (one, other)]
    assert one.parent != other.parent
    assert keys[0] != keys[1]


def test_a_branch_that_freezes_what_a_pattern_fits_trains(run):
    words = ["branch=[bn_only]", "model=vgg11_bn", "model.width=2", "dataset.size=32"]
    run(*words, "levels=1", "train.length=1it", "train.optimizer.groups={*.conv:{lr:0.01}}")


def test_what_is_shown_of_groups_is_typed_back_to_the_same_run(run):
    folder = run("levels=0", OWN)
    found = Facts(folder)
    words = words_for(found.settings, found.choices)
    assert OWN in words
    assert run(*words) == folder


@pytest.mark.parametrize(
    ("typed", "said"),
    [("fc", "type, say, train.optimizer.groups.fc.lr=0.01"), ("[fc]", "a list, and KEY:VALUE in braces is wanted")],
)
def test_groups_that_are_none_are_told_in_a_line(lottery, capsys, typed, said):
    assert lottery("run", "model=lenet_300_100", f"train.optimizer.groups={typed}") == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1
