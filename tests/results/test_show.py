"""`lottery show`: what differs from the defaults, levels, layers, origins, cost, controls."""

import json
import re

import pytest

from lottery.commands.run import main as run_command
from lottery.config import defaults
from lottery.config.identity import flat
from lottery.progress import pulse
from lottery.results import formats, origins, sections
from lottery.results.facts import Facts
from lottery.wording import commands


@pytest.fixture
def show(lottery, capsys):
    """Return what `lottery show` prints."""

    def call(*words, code=0):
        capsys.readouterr()
        assert lottery("show", *words) == code
        out, err = capsys.readouterr()
        return err if code else out

    return call


def section(text, title):
    """Return the lines of a section, without its title."""
    blocks = text.split("\n\n")
    (block,) = (block for block in blocks if block.startswith(title))
    return block.splitlines()[1:]


def test_show_of_real_runs(run, show):
    first = run("name=first", "replicate=1")
    second = run("name=second", "replicate=1", "levels=1", "branch=[reinit]", "schedule.keep=0.5")
    for word in ("first", "second", f"first/{first.parent.name}/replicate_1", first, "sec"):
        assert "test acc" in show(word)
    text = show("second")
    assert text.startswith(f"{second}\n  state       done\n  reached     level 1 of 1, density 0.5")
    assert "branch reinit\n" in text
    assert section(text, "where the levels come from") == [
        f"  shared, from {first.parent.name}/replicate_1 (first): level 0",
        "  trained by this run: level 1, reinit 1",
    ]
    assert "  trained by this run: level 0-2\n" in show("first")
    head, *costs = section(text, "cost: a forward pass of one example takes")
    assert head.split("  ")[-1] == "ticket of level 1, search included"
    assert [line.split("  ")[0] for line in costs][:2] == ["steps", "examples seen"]
    assert costs[0].split() == ["steps", "12", "12", "24"]
    assert show("name=second", "replicate=1") == text


def test_settings_that_differ_and_no_others(run, show):
    run(
        "name=mine", "train/lr=linear", "prune/structure=filter", "train.optimizer.weight_decay=1e-4",
        "train.optimizer.lr=0.07", "branch=[shuffle]", "branch_levels=[1]", "prune.exclude=[fc]",
        "model=lenet5", "model.channels=[2,4]", "model.hidden=8", "model.padding=2", "levels=1",
        "train.length=1ep",
    )  # fmt: skip
    text = show("mine")
    line = re.search("^settings: (.*)$", text, re.MULTILINE)[1]
    assert line == (
        "model=lenet5 dataset=synthetic train=synthetic prune=imp schedule=geometric rewind=init "
        "prune/structure=filter train/lr=linear"
    )
    lines = section(text, "settings: ")
    found = dict(re.split("  +", line.strip(), maxsplit=1) for line in lines)
    assert found["train.optimizer.lr"] == "0.07 (default 0.05)"
    assert found["prune.exclude"] == "['fc'] (default [])"
    assert found["model.channels"] == "[2, 4] (default [20, 50])"
    assert found["levels"] == "1 (default null)"
    assert found["name"] == "mine (default null)"
    for key in ("train.optimizer.weight_decay", "train.lr.name", "prune.structure.name", "model.name",
                "branches.shuffle.scope", "train.clip", "data", "replicate", "outputs", "host.device"):  # fmt: skip
        assert key not in found


def composed_by_hydra(capsys, *words):
    """Return what hydra itself composes of these words, as data."""
    import yaml
    from omegaconf import OmegaConf

    assert run_command(["--cfg", "job", "--resolve", *words]) == 0
    return OmegaConf.to_container(OmegaConf.create(yaml.safe_load(capsys.readouterr().out)))


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"model": "vgg16_bn", "dataset": "cifar10", "train": "cifar10", "prune": "grasp_original",
         "prune/allocation": "grasp_original", "train/lr": "milestones"},
        {"dataset": "imagenet", "train": "imagenet", "train/lr": "milestones_30_60_80",
         "model": "torchvision", "prune": "rigl", "prune/update": "rigl", "prune/allocation": "erk",
         "rewind": "step"},
        {"train/optimizer": "adam", "prune": "gem_miner", "schedule": "listed"},
    ],
)  # fmt: skip
def test_defaults_are_those_that_hydra_composes(lottery, capsys, words, monkeypatch):
    monkeypatch.delenv("LOTTERY_DATA", raising=False)
    usual = {"model": "resnet20", "dataset": "digits", "train": "digits", "prune": "imp",
             "train/optimizer": "sgd", "train/lr": "cosine", "prune/structure": "weight",
             "prune/allocation": "globally", "prune/update": "static", "schedule": "geometric",
             "rewind": "init", "start": "init", "host": "local"}  # fmt: skip
    hydra = composed_by_hydra(capsys, *(f"{k}={v}" for k, v in words.items()))
    ours = flat(defaults.composed(usual | words))
    theirs = flat(hydra)
    assert set(theirs) == set(ours)
    assert [k for k, v in theirs.items() if not defaults.same(v, ours[k])] == []
    assert defaults.changed(hydra, usual | words) == {}


def test_defaults_of_an_experiment(lottery, capsys):
    words = ["experiment=openlth_lenet_mnist"]
    hydra = composed_by_hydra(capsys, *words)
    choices = {
        "experiment": "openlth_lenet_mnist", "model": "lenet_300_100", "dataset": "mnist",
        "train": "mnist", "train/optimizer": "sgd", "train/lr": "constant", "prune": "imp",
        "prune/structure": "weight", "prune/allocation": "globally", "prune/update": "static",
        "schedule": "geometric", "rewind": "init", "start": "init", "host": "local",
    }  # fmt: skip
    choices["train/lr"] = hydra["train"]["lr"]["name"]
    assert defaults.changed(hydra, choices) == {}
    hydra["train"]["batch_size"] = 64
    assert defaults.changed(hydra, choices) == {"train.batch_size": (64, 128)}


@pytest.mark.parametrize(
    ("value", "default", "equal"),
    [
        (0.0001, "1e-4", True), (1, 1.0, True), ("2ep", "2ep", True), (None, None, True),
        (True, 1, False), (0, False, False), ("0.1", 0.1, False), (0.1, "much", False),
        ([1, 2.0], [1, 2], True), (1, defaults.ABSENT, False),
    ],
)  # fmt: skip
def test_when_a_setting_is_its_default(value, default, equal):
    assert defaults.same(value, default) is equal


def test_an_option_of_the_users_own_has_the_defaults_of_its_file(run, show, tmp_path):
    path = tmp_path / "mine" / "model" / "small.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("name: lenet\nhidden: [3]\ninit: kaiming_normal\n")
    run("--config-dir", tmp_path / "mine", "model=small", "levels=1", "model.init=xavier_normal")
    text = show("small")
    assert "settings: model=small " in text and f"--config-dir {tmp_path / 'mine'}" in text
    assert "model.hidden" not in text and "default not set" not in text
    assert "xavier_normal (default kaiming_normal)" in text
    path.unlink()  # then nobody knows them
    assert "[3] (default not set)" in show("small")


FOREIGN = [
    "rm -rf zzz", "lottery run; rm -rf zzz", "lottery run $(rm zzz)", "lottery run `rm zzz`", "lottery run > zzz", "lottery run\nrm zzz",
    "lottery run zzz | sh", "lottery run \"name=$(rm zzz)\"", "lottery clean run=zzz --yes", "lottery zzz", "lottery run 'name=zzz",
    "sudo lottery run zzz", "lottery run & rm zzz", "LOTTERY=1 lottery run zzz", "lottery run name=\\zzz", "lottery run {zzz,b}",
]  # fmt: skip


def test_a_command_that_is_none_of_ours_is_not_shown(fabricate, lottery, capsys, tmp_path):
    for number, command in enumerate(FOREIGN):
        record = {"command": command, "followed_by": [command], "state": "failed"}
        fabricate(replicate=number, record=record)
    (tmp_path / "mine.html").unlink(missing_ok=True)
    capsys.readouterr()
    for words in (["show", "replicate=3"], ["show", "replicate=5", "format=json"], ["doctor", "fast=true"], ["report", "to=mine.html"], ["tail", "replicate=2"], ["ls"]):
        lottery(*words)
        assert "zzz" not in capsys.readouterr().out, words
    assert "zzz" not in (tmp_path / "mine.html").read_text()
    assert [commands.ours(command) for command in FOREIGN] == [""] * len(FOREIGN)


@pytest.mark.parametrize("command", ["lottery run", "lottery run 'name=a b' 'model.hidden=[3]' log=[wandb]", "lottery branch abc branch=shuffle", "lottery run 'name=a;b'"])
def test_a_command_of_ours_is_shown(fabricate, show, command):
    assert f"command     {command}\n" in show(fabricate(record={"command": command}))


def test_options_that_come_from_anywhere_name_no_file_outside():
    for group, name in (("..", "pyproject"), ("model", "../run"), ("model", "/etc/passwd"), ("", "x"),
                        ("model", "a" * 5000), ("model", "\0"), ("model", "nothing")):  # fmt: skip
        assert defaults.option(group, name) is None
    assert defaults.option("model", "lenet5")["name"] == "lenet5"


def test_a_config_that_was_changed_is_damage(fabricate, lottery, capsys):
    """It is still YAML, and most of the run can be shown."""
    folder = fabricate()
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("batch_size: 96", "batch_size: 9"))
    assert lottery("show", "aaaa") == 4
    out, err = capsys.readouterr()
    assert "settings: config.yaml is damaged\n" in out
    assert "level   density" in out
    assert "config.yaml is damaged (its checksum is wrong); " in err
    assert lottery("show", "aaaa", "format=json") == 4
    assert capsys.readouterr().out == ""
    assert Facts(folder).row["state"] == "damaged"


def test_damaged_and_odd_runs(fabricate, show):
    folder = fabricate()
    (folder / "metrics.csv").write_text("x")
    said = show("aaaa", code=4)
    assert "metrics.csv is damaged" in said
    heading = sections.heading(Facts(folder))
    assert "state       damaged\n" in heading
    assert "reached     not known" in heading
    assert len(said.splitlines()) == 1
    (folder / "run.json").write_text("{")
    (folder / "metrics.csv").unlink()
    text = show("aaaa")
    assert "state       damaged" in text
    assert "run.json is damaged" in text
    old = fabricate(ident="bbbbbbbbbb", record={"choices": {}})
    text = show("bbbb")
    assert "settings: all of them, since run.json does not say which options they come from" in text
    assert "  train.batch_size " in text
    (old / "run.json").unlink()
    assert "names no run" in show("bbbb", code=2)


def test_levels_are_those_asked_for_last(fabricate, show):
    fabricate(config={"levels": 2}, record={"levels_asked": 3})
    assert re.search(r"^  levels +3 \(default null\)$", show("aaaa"), re.MULTILINE)


def test_damage_of_another_replicate_does_not_stop_it(fabricate, show):
    fabricate()
    other = fabricate(replicate=1)
    (other / "metrics.csv").write_text("x")
    text = show("aaaa/replicate_0")
    assert "sanity: not judged: " in text
    assert "replicate_1/metrics.csv is damaged" in text
    found = json.loads(show("aaaa/replicate_0", "format=json"))
    assert found["sanity"] == []
    (why,) = found["sanity_not_judged"]
    assert why.startswith("replicate_1 is left out: ")
    assert "replicate_1/metrics.csv is damaged" in why
    (other / "metrics.csv").unlink()
    assert json.loads(show("aaaa/replicate_0", "format=json"))["sanity_not_judged"] is None


def test_a_running_one_says_when_it_ends(fabricate, show, monkeypatch):
    fabricate(record={"state": "running", "ended": None})
    assert "state       killed" in show("aaaa")
    monkeypatch.setattr("lottery.storage.records.locked", lambda path: True)
    sign = {"level": 3, "levels": 3, "branch": "", "density": 0.512, "step": 7, "steps": 12}
    sign |= {"left": 200.0, "row": {"step": 4, "epoch": 1, "val_accuracy": 0.5}}
    monkeypatch.setattr(pulse, "read", lambda folder: sign)
    text = show("aaaa")
    assert "state       running, 3 min left\n  reached     level 2 of 3, density 0.64" in text
    assert "  at work     level 3/3  density 0.512  step 7/12  epoch 1  val 0.5000  run 3:20" in text
    assert "to go on" not in text


def test_a_run_that_was_stopped_says_how_to_go_on_and_no_error(fabricate, show):
    stop = "stopped; to go on from here: lottery run prune=imp"
    fabricate(record={"state": "stopped", "error": stop, "command": "lottery run prune=imp"})
    text = show("aaaa")
    assert "  to go on    lottery run prune=imp\n" in text
    assert "  error" not in text


def test_the_command_of_one_run_of_a_sweep_comes_first(fabricate, show):
    sweep = "lottery run -m prune=imp,random replicate=0,1"
    fabricate(replicate=1, record={"command": sweep})
    text = show("aaaa")
    command = re.search("^  command     (.*)$", text, re.MULTILINE)[1]
    assert " -m" not in command and "prune=imp " in command and "replicate=1" in command
    assert f"  the sweep   {sweep}\n" in text


def test_a_run_without_levels(fabricate, show):
    fabricate(test=(), record={"state": "failed", "error": "out of \x1b[31mmemory"})
    text = show("aaaa")
    assert "reached     no level of 3 yet\n" in text
    assert "error       out of \\x1b[31mmemory" in text
    assert "levels: " not in text


def test_bad_words(fabricate, show):
    assert "there are no runs under outputs; start one: lottery run" in show(code=2)
    assert "format=csv is none of text, json" in show("x", "format=csv", code=2)
    fabricate()
    assert "lenet_300_100" in show()  # the only one there is
    fabricate(replicate=1)
    assert "name one run (lottery ls lists them), as in: lottery show aaaaaaaaaa/replicate_" in show(code=2)
    assert "'aaaa' names several runs; there are: aaaaaaaaaa/replicate_0" in show("aaaa", code=2)
    assert "layers=conv fits none of fc" in show("aaaa", "replicate=1", "layers=conv", code=2)


def test_json_has_everything(run, show):
    folder = run("branch=[reinit]", "levels=1", "train.length=2ep")
    found = json.loads(show("lenet", "format=json"))
    assert found["run"]["folder"] == str(folder)
    assert found["changed"]["train.batch_size"] == {"value": 12, "default": 32}
    assert found["settings"]["train.batch_size"] == 12
    assert [row["level"] for row in found["levels"]] == [0, 1]
    assert [row["branch"] for row in found["branches"]] == ["reinit"]
    assert set(found["trained_by"]) == {"level_00", "level_01", "level_01_reinit"}
    assert set(found["trained_by"].values()) == {f"{folder.parent.name}/replicate_0"}
    assert len(found["layers"]) == 4


def test_levels_that_are_gone_or_damaged_in_the_store(run, show):
    folder = run()
    keys = json.loads((folder / "manifest.json").read_text())["levels"]
    store = folder.parents[2] / "store"
    (store / keys["level_01"]["key"] / "manifest.json").unlink()
    (store / keys["level_02"]["key"] / "manifest.json").write_text("{}")
    assert section(show("lenet"), "where the levels come from") == [
        "  trained by this run: level 0",
        "  is no more in the store: level 1",
        "  is damaged in the store: level 2",
    ]


@pytest.mark.parametrize(
    ("numbers", "said"), [([0], "0"), ([0, 1, 2], "0-2"), ([0, 2, 3, 5], "0 2-3 5")]
)
def test_ranges(numbers, said):
    assert origins.ranges(numbers) == said


def layers(count, levels):
    import pandas as pd

    rows = [
        {"level": level, "layer": f"layer{n}", "total": 1000 * n, "density": 0.8**level}
        for level in range(levels) for n in range(count)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_large_table_of_layers_is_shortened_and_can_be_seen_whole():
    title, text = sections.layer_table(layers(40, 21), "")
    lines = text.splitlines()
    assert "layers=all" in title
    assert len(lines) == 1 + 6 + 1 + 6
    assert lines[0].split()[:4] == ["layer", "weights", "level", "0"]
    assert lines[0].split()[-1] == "20"
    assert lines[7].strip() == "... 28 more"
    assert lines[13].split()[:3] == ["layer39", "39,000", "1"]
    assert max(map(len, lines)) <= 100
    title, text = sections.layer_table(layers(40, 21), "all")
    assert "layers=all" not in title
    assert len(text.splitlines()) == 1 + 40
    assert len(text.splitlines()[0].split()) == 3 + 21
    _, text = sections.layer_table(layers(40, 3), "layer1,layer2*")
    assert len(text.splitlines()) == 1 + 12


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0, "", "0"), (999_999, "", "999,999"), (1_170_000_000, "", "1.17 G"), (0.5, "", "0.5"),
        (0.00687, "J", "6.87 mJ"), (2.5, "J", "2.5 J"), (12_500, "J", "12.5 kJ"), (0, "J", "0 J"),
        (0.05, "s", "0.05 s"), (12345.6, "s", "12,346 s"), (3e-12, "J", "0.003 nJ"),
    ],
)  # fmt: skip
def test_numbers_for_people(value, unit, said):
    assert formats.short(value, unit) == said
