"""Contracts over every yaml and component; binding; identity."""

import copy

import pytest
import yaml
from omegaconf import OmegaConf

from lottery.config import bind, build, identity, schema
from lottery.errors import UsageError
from lottery.tasks.images.outline import Outline

CONF = build.conf_dir()
GROUPS = {
    "model": "model", "dataset": "dataset", "schedule": "schedule", "rewind": "rewind",
    "start": "start", "branch": "branch", "analysis": "analysis", "train/optimizer": "optimizer", "train/lr": "lr",
    "prune/structure": "structure", "prune/allocation": "allocation", "prune/update": "update",
    "prune/at": "moment",
    "log": "log", "figure": "figure",
}  # fmt: skip
FILES = [(path, kind) for group, kind in GROUPS.items() for path in sorted((CONF / group).glob("*.yaml"))]
ROWS = sorted((CONF / "prune").glob("*.yaml"))


def read(path):
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize(("path", "kind"), FILES, ids=lambda v: getattr(v, "stem", v))
def test_a_yaml_lists_every_keyword_of_its_component(path, kind):
    node = read(path)
    function = bind.find(kind, node["name"], "here")
    assert set(node) - {"name", "defaults"} == set(bind.settings_of(function))


@pytest.mark.parametrize(("path", "kind"), FILES, ids=lambda v: getattr(v, "stem", v))
def test_a_yaml_binds_and_says_what_it_is(path, kind):
    assert path.read_text().startswith("#")
    node = OmegaConf.to_container(OmegaConf.load(path))
    build.bind(kind, {key: value for key, value in node.items() if key != "defaults"}, "here")


@pytest.mark.parametrize("path", sorted((CONF / "train").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_recipe_says_nothing_that_another_optimizer_or_schedule_does_not_have(path):
    """Else train/optimizer=adam or train/lr=cosine would be refused beside it."""
    recipe = read(path)
    assert path.read_text().startswith("#")
    assert set(recipe.get("optimizer", {})) <= {"lr"}
    assert "lr" not in recipe


@pytest.mark.parametrize("path", ROWS, ids=lambda p: p.stem)
def test_every_row_of_the_method_table_binds(path):
    row = read(path)
    assert path.read_text().startswith("#")
    build.bind("criterion", row["criterion"], "prune.criterion")
    assert not {"structure", "allocation", "update"} & set(row)  # or another of them were refused


@pytest.mark.parametrize("kind", bind.FOLDERS)
def test_every_component_is_one_function_named_for_its_file_with_a_docstring(kind):
    names = bind.components(kind)
    assert names
    for name in names:
        function = bind.find(kind, name, "here")
        assert function.__name__ == name
        assert function.__doc__


@pytest.mark.parametrize("kind", [k for k in bind.FOLDERS if k != "criterion"])
def test_every_component_has_a_yaml(kind):
    shown = {read(path)["name"] for path, of in FILES if of == kind}
    assert set(bind.components(kind)) == shown


def test_every_dataset_has_a_recipe():
    recipes = {p.stem for p in (CONF / "train").glob("*.yaml")}
    assert {p.stem for p in (CONF / "dataset").glob("*.yaml")} <= recipes


def test_every_top_level_knob_is_in_run_yaml():
    import dataclasses

    knobs = {f.name for f in dataclasses.fields(schema.Config)}
    groups = {"model", "dataset", "train", "prune", "schedule", "rewind", "start", "branches", "analyses", "loggers", "host"}
    assert set(read(CONF / "run.yaml")) - {"defaults", "hydra"} == knobs - groups


@pytest.mark.parametrize(
    ("kind", "node", "line"),
    [
        ("criterion", {"name": "magnitud"}, "x.name: there is no criterion 'magnitud'; did you mean 'magnitude'?"),
        ("criterion", {"name": "os.system"}, "there is no criterion 'os.system'"),
        ("criterion", {}, "x: says no name"),
        ("criterion", {"name": "magnitude", "pwer": 2}, "x: magnitude has no setting 'pwer'"),
        ("schedule", {"name": "geometric", "kep": 2}, "geometric has no setting 'kep'; did you mean 'keep'?"),
        ("schedule", {"name": "geometric"}, "x: geometric needs a value for 'keep'"),
        ("schedule", {"name": "geometric", "keep": "much"}, "x.keep: 'much' is no float"),
        ("schedule", {"name": "listed", "densities": ["a"]}, "x.densities: ['a'] is no"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(kind, node, line):
    with pytest.raises(UsageError) as error:
        build.bind(kind, node, "x")
    assert line in str(error.value)
    assert "\n" not in str(error.value)


SETTINGS = {
    "model": {"name": "lenet", "hidden": [3]}, "dataset": {"name": "synthetic", "workers": 1},
    "train": {"length": "1ep", "lr": {"end": 1.0}}, "prune": {}, "schedule": {}, "rewind": {},
    "evaluate_every": "1ep", "host": {"threads": 1}, "name": None, "replicate": 0, "levels": 3,
    "checkpoint_every": "60s", "outputs": "a", "data": "b", "branches": {}, "branch_levels": None, "levels_until": None,
}  # fmt: skip


def changed(where, value):
    settings = copy.deepcopy(SETTINGS)
    *path, last = where.split(".")
    node = settings
    for key in path:
        node = node[key]
    node[last] = value
    return identity.run_id(settings)


def test_identity_is_of_what_decides_the_numbers():
    same = identity.run_id(SETTINGS)
    for where, value in {
        "host": {"threads": 9}, "name": "x", "replicate": 4, "levels": 9, "checkpoint_every": "1s",
        "outputs": "c", "data": "d", "branches": {"a": {}}, "dataset.workers": 7, "train.lr.end": 1,
    }.items():  # fmt: skip
        assert changed(where, value) == same, where
    for where, value in {
        "model.hidden": [4], "train.length": "2ep", "train.lr.end": 0.5, "dataset.name": "mnist",
        "prune": {"at": "0it"}, "schedule": {"keep": 0.5}, "rewind": {"to": "1it"},
        "evaluate_every": "2ep",
    }.items():  # fmt: skip
        assert changed(where, value) != same, where


def test_levels_follow_from_a_list_but_not_from_an_endless_schedule():
    listed = build.bind("schedule", {"name": "listed", "densities": [0.5, 0.2, 0.1]}, "s")
    endless = build.bind("schedule", {"name": "geometric", "keep": 0.8}, "s")
    assert build.level_count(None, listed) == 3
    assert build.level_count(2, listed) == 2
    assert build.level_count(None, endless) == 5
    with pytest.raises(UsageError, match="lists 3"):
        build.level_count(4, listed)


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_experiment_composes_and_binds(path):
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="skeleton", node=schema.Config)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        settings = build.plain(compose("run", [f"experiment={path.stem}"]))
    parts = build.parts(settings)
    assert settings["name"] in (path.stem, None)  # None: the experiment's name and the method's
    own = read(path)
    listed = own.get("schedule", {}).get("densities", range(18))
    assert parts.levels == own.get("levels", len(listed))


@pytest.mark.parametrize(("name", "conv"), [("conv2", 0.10), ("conv4", 0.10), ("conv6", 0.15)])
def test_the_conv_presets_prune_at_the_papers_rates(name, conv):
    """Frankle & Carbin 2019, Fig. 2: of what is left, 20 % of fc and 10 % of the output layer."""

    import torch

    from lottery.terms import mask as masks

    preset = read(CONF / "experiment" / f"lth_{name}_cifar10.yaml")
    node = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{name}.yaml"))
    with torch.device("meta"):
        model = build.bind("model", node, "m")(Outline({}, "", input_shape=(3, 32, 32), outputs=10, fingerprint=""))
    left = {n: p.numel() for n, p in masks.prunable(model).items()}
    total = sum(left.values())
    assert len(preset["schedule"]["densities"]) == 18
    for level, density in enumerate(preset["schedule"]["densities"], 1):
        kept = 0.0
        for layer, size in left.items():
            rate = conv if layer.startswith("convs") else 0.1 if layer.startswith("fc") else 0.2
            kept += size * (1 - rate) ** level
        assert density == pytest.approx(kept / total, abs=1e-8)
    rates = preset["prune"]["allocation"]["rates"]
    assert rates == {"fc": 0.5, "conv*": pytest.approx(conv / 0.2)}


def test_the_example_of_the_contributors_guide_works(lottery, tiny, tmp_path, monkeypatch):
    """Its criterion scores, with the settings of its row: power 0 and 1 are magnitude and SNIP."""
    import re
    import types

    guide = (CONF.parent / "CONTRIBUTING.md").read_text()
    code, row = (re.search(rf"```{kind}\n(.*?)```", guide, re.DOTALL)[1] for kind in ("python", "yaml"))
    module = types.ModuleType("saliency")
    exec(code, module.__dict__)
    find = bind.find
    monkeypatch.setattr(
        bind, "find",
        lambda kind, name, where: module.saliency if name == "saliency" else find(kind, name, where),
    )  # fmt: skip
    (tmp_path / "own" / "prune").mkdir(parents=True)
    (tmp_path / "own" / "prune" / "saliency.yaml").write_text(row)
    words = ["--config-dir", tmp_path / "own", *tiny, "prune=saliency", "levels=1"]
    assert lottery("-v", "run", *words) == 0


def test_the_readme_has_the_table_of_every_method():
    import subprocess
    import sys

    script = CONF.parent / "scripts" / "methods.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
