"""What is chosen and set by a {} is told in words of their own, and those work."""

import shlex

import pytest

from lottery.config.answers import meant
from lottery.config.answers.braces import pairs
from lottery.errors import UsageError


@pytest.mark.parametrize(("typed", "words"), [
    pytest.param("start={name:pretrained,path:net.safetensors}", "start=pretrained start.path=net.safetensors", marks=pytest.mark.slow),
    ("prune={name:snip,at:2it}", "prune=snip prune.at=2it"),
    ("rewind={name: step, to: 5it}", "rewind=step rewind.to=5it"),
    ("schedule={name:linear,step:0.1}", "schedule=linear schedule.step=0.1"),
    ("train.optimizer={name:adam,lr:0.1}", "train/optimizer=adam train.optimizer.lr=0.1"),
    ("train/optimizer={lr:0.1}", "train.optimizer.lr=0.1"),
    ("prune/allocation={name:erk}", "prune/allocation=erk"),
    ("model={name:resnet20}", "model=resnet20"),
    ("dataset={name:cifar10}", "dataset=cifar10"),
    ("branch={name:shuffle,scope:layerwise}", "branch=[shuffle] branches.shuffle.scope=layerwise"),
    ("branches={shuffle:{name:shuffle}}", "branch=[shuffle]"),
    ("log={tensorboard:{layers:true}}", "log=[tensorboard] loggers.tensorboard.layers=true"),
])  # fmt: skip
def test_braces_of_a_group_are_answered_with_words_that_work(typed, words):
    with pytest.raises(UsageError) as error:
        meant("run", [typed])
    told = str(error.value).partition("type: lottery run ")[2]
    assert shlex.split(told) == words.split()
    assert meant("run", words.split()) == words.split()


@pytest.mark.parametrize("word", [
    "schedule={name:geometric,keep:0.5}", "schedule={keep:0.5}", "train={length:2ep}",
    "train.optimizer.groups={fc:{lr:0.1}}", "train.optimizer={groups:{fc:{lr:0.1}}}",
])  # fmt: skip
def test_braces_of_what_is_chosen_are_settings(word):
    assert meant("run", [word]) == [word]


@pytest.mark.parametrize(("value", "read"), [
    ("{a:1,b:[1,2],c:{d:2,e:3}}", {"a": "1", "b": "[1,2]", "c": "{d:2,e:3}"}), ("{}", {}),
    ("{a:1},{a:2}", None), ("{a:1", None), ("{a}", None), ("{name: 'x'}", {"name": "x"}),
])  # fmt: skip
def test_pairs_are_read_as_typed(value, read):
    assert pairs(value) == read


def test_a_setting_that_is_none_is_no_key_to_add(lottery, tiny, capsys):
    assert lottery("run", *tiny, "schedule={kep:0.4}") == 2
    assert capsys.readouterr().err == "lottery: config: schedule has no setting 'kep'; did you mean 'keep'?\n"


@pytest.mark.slow
def test_a_run_in_place_of_a_file_is_told_with_what_works(run, lottery, tiny, tmp_path, capsys):
    run("name=one", "levels=1")
    (folder,) = tmp_path.glob("outputs/one/*/replicate_0")
    place = folder.relative_to(tmp_path)

    def line(*words):
        capsys.readouterr()
        assert lottery("run", *tiny, "levels=1", *words) == 2
        return capsys.readouterr().err

    for path in ("one", "outputs/one", place, place / "level_01"):
        for start in ("pretrained", "ticket"):
            told = line(f"start={start}", f"start.path={path}")
            assert "where a file of weights is wanted" in told
    command = shlex.split(told.partition("type: lottery ")[2].partition(", then")[0])
    assert lottery(*command) == 0
    assert lottery("run", *tiny, "levels=0", "start=pretrained", "start.path=net.safetensors") == 0
    for path in ("one", "outputs/one", place):
        told = line("rewind=ticket", f"rewind.path={path}")
        words = shlex.split(told.partition("type ")[2].partition(", which")[0])
    assert lottery("run", *tiny, "levels=1", "rewind=ticket", *words) == 0
    told = line("prune/allocation=given", "prune.allocation.path=one")
    assert lottery("run", *tiny, "levels=1", "prune/allocation=given", *shlex.split(told.partition("type ")[2])) == 0
    for words in ("start=pretrained start.path", "rewind=ticket rewind.path", "prune/allocation=given prune.allocation.path"):
        assert "not there" in line(*f"{words}=nosuch".split())
