"""What lottery plan says is what lottery run then does; and it writes nothing."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from lottery.components.datasets import cifar10, cifar100, fashion_mnist, mnist, svhn
from lottery.planning.planned import LEVEL
from lottery.tasks.images import downloads
from lottery.tasks.images.outline import Outline, outline

COUNTS = ("train", "shared", "already there")
HOW = ("trained", "shared", "already there")


@pytest.fixture
def plan(lottery, tiny, capsys):
    """Return what `lottery plan` says of a tiny run or sweep, as JSON."""

    def call(*overrides, timed="no"):
        capsys.readouterr()
        own_net = any(str(word).startswith("model=") for word in overrides)
        words = [w for w in tiny if not (own_net and w.startswith("model"))]
        assert lottery("plan", *words, *overrides, f"time={timed}", "format=json") == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def ran(lottery, tiny, capsys):
    """Run it; return trained, shared, already there as the closing lines have it, a run each."""

    def call(*overrides):
        capsys.readouterr()
        own_net = any(str(word).startswith("model=") for word in overrides)
        words = [w for w in tiny if not (own_net and w.startswith("model"))]
        assert lottery("run", *words, *overrides) == 0
        closing = re.compile(r"^levels: .*|^.*: level \d+, density .*; .*$", re.M)  # the latter: in sweeps
        lines = closing.findall(capsys.readouterr().out)
        return [tuple(sum(map(int, re.findall(rf"(\d+) {how}", line))) for how in HOW) for line in lines]

    return call


def counts(said):
    return [tuple(job[what] for what in COUNTS) for job in said["jobs"]]


def trained_steps(folder="outputs"):
    """Return the steps of every level and branch in the tables, by run."""
    found = {}
    for path in Path(folder).glob("*/*/replicate_*/*.csv"):
        if path.name in ("metrics.csv", "branches.csv"):
            found.setdefault(path.parent, []).extend(pd.read_csv(path)["steps"])
    return {run: sum(steps) for run, steps in found.items()}


def slowly(*overrides):
    return pytest.param([*overrides], marks=pytest.mark.slow, id=" ".join(overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["prune=imp", "sanity=true", "branch_levels=[2]"], id="imp"),
        pytest.param(["prune=snip", "rewind=step", "rewind.to=5it"], id="snip"),
        slowly("prune=random"),
        slowly("prune=imp", "rewind=step", "rewind.to=5it"),
        slowly("prune=imp", "rewind=finetune", "rewind.steps=1ep"),
        slowly("prune=random", "rewind=reinit"),
        slowly("prune=early", "prune.at=1ep", "rewind=lr"),
        slowly("prune=imp", "branch=[rewind,longer,invert]", "branches.rewind.to=7it"),
        slowly("prune=random", "schedule=listed", "schedule.densities=[1.0,0.5]"),  # dense again
    ],
)
def test_a_run_does_what_was_planned(plan, ran, overrides):
    said = plan(*overrides)
    assert not Path("outputs").exists()
    (job,) = said["jobs"]
    assert counts(said) == ran(*overrides)
    assert sum(row["steps"] for row in job["levels"]) == sum(trained_steps().values())
    tables = [p for p in Path("outputs").glob("*/*/*/*.csv") if p.name in ("metrics.csv", "branches.csv")]
    rows = {(r.level, getattr(r, "branch", "")): r for p in tables for r in pd.read_csv(p).itertuples()}
    for row in job["levels"]:
        made = rows[row["level"], row["branch"]]
        assert (row["kept"], row["total"]) == (made.kept, made.total)
        assert (row["steps"], row["examples"]) == (made.steps, made.examples)
    again = plan(*overrides)
    assert counts(again) == ran(*overrides)
    assert again["jobs"][0]["train"] == 0
    assert again["total"]["steps"] == 0
    assert again["total"]["disk"] == 0


SWEEPS = {
    "a dense net a replicate": ["prune=imp,random", "replicate=0,1"],
    "rewinds": ["prune=imp,random", "rewind=init,lr"],
    "the same config twice": ["prune=imp", "replicate=0,0"],
    "one-shot is the first level of IMP": ["prune=imp,oneshot"],
    "a listed schedule that begins alike": [
        "prune=random", "schedule=listed", "levels=null", "schedule.densities=[0.5,0.3],[0.5,0.2]",
    ],
    "nested lists that part": [
        "prune=imp", "schedule=listed", "levels=null", "schedule.densities=[0.5,0.3],[0.6,0.3]",
    ],
    "rewinds to two steps": ["rewind=step", "rewind.to=0it,3it"],
    "another net": ["model.hidden=[4],[5]"],
    "branches of two commands": ["prune=imp,oneshot", "branch=reinit"],
    "a path of one round": ["prune=synflow", "prune.rounds=1", "prune.path=linear,exponential"],
}  # fmt: skip


QUICK = ("one-shot is the first level of IMP",)
SOME = [
    pytest.param(w, id=name, marks=[] if name in QUICK else pytest.mark.slow) for name, w in SWEEPS.items()
]


@pytest.mark.parametrize("words", SOME)
def test_a_sweep_shares_what_was_planned(plan, ran, words):
    said = plan("-m", *words)
    assert not Path("outputs").exists()
    done = ran("-m", *words)
    assert counts(said) == done
    assert said["total"]["train"] == sum(trained for trained, _, _ in done)
    shared = sum(r["steps"] for job in said["jobs"] for r in job["levels"] if r["what"] == "shared")
    assert said["total"]["steps_saved"] == shared
    assert counts(plan("-m", *words)) == ran("-m", *words)


def test_init_and_a_rewind_to_step_0_are_the_same(plan, ran):
    ran("rewind=init")
    assert counts(plan("rewind=step", "rewind.to=0it")) == ran("rewind=step", "rewind.to=0it")


def test_a_run_that_was_begun_goes_on(plan, ran):
    ran("levels=1", "branch=reinit")
    wanted = ["levels=3", "branch=[reinit,shuffle]"]
    said = plan(*wanted)
    assert counts(said) == ran(*wanted)
    assert [row["what"] for row in said["jobs"][0]["levels"][:4]] == [
        "already there", "already there", "already there", "train",
    ]  # fmt: skip


def test_what_another_run_has_trained_is_found_whoever_did(plan, ran):
    ran("prune=imp", "levels=1")
    said = plan("prune=oneshot", "levels=1")
    assert [row["what"] for row in said["jobs"][0]["levels"]] == ["shared", "shared"]
    assert re.fullmatch(r"[0-9a-f]{10}/replicate_0", said["jobs"][0]["levels"][1]["by"])
    assert counts(said) == ran("prune=oneshot", "levels=1")
    said = plan("prune=imp", "levels=2", "name=other")
    assert counts(said) == ran("prune=imp", "levels=2", "name=other")


def test_a_level_that_is_gone_from_the_store_is_planned_again(plan, ran, lottery):
    ran("levels=2")
    (link,) = Path("outputs").glob("*/*/*/level_02")
    (link.resolve() / "manifest.json").unlink()
    assert counts(plan("levels=2")) == [(1, 0, 2)] == ran("levels=2")


def test_states_that_nobody_kept_are_counted(plan, ran):
    ran("levels=0")
    words = ["rewind=step", "rewind.to=5it", "levels=2"]
    (job,) = plan(*words)["jobs"]
    assert job["replayed_steps"] == 5
    ran(*words)
    assert plan(*words, "levels=3")["jobs"][0]["replayed_steps"] == 0


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["prune=imp", "prune/allocation=uniform"], id="uniform"),
        slowly("prune=imp", "prune/allocation=erk"),
        slowly("prune=imp", "prune/allocation=layerwise"),
        slowly("prune=snip", "prune.criterion.size=8", "prune/allocation=uniform", "prune.rounds=3"),
    ],
)
def test_layers_are_told_where_no_score_decides_them(plan, ran, overrides):
    (job,) = plan(*overrides, "levels=3")["jobs"]
    ran(*overrides, "levels=3")
    (path,) = Path("outputs").glob("*/*/*/layers.csv")
    layers = pd.read_csv(path)
    for row in job["levels"]:
        made = layers[layers["level"] == row["level"]]
        assert {k.removesuffix(".weight"): v for k, v in row["layers"].items()} == dict(
            zip(made["layer"], made["kept"], strict=True)
        )


def test_where_scores_decide_no_layer_is_told(plan):
    levels = plan("prune=imp")["jobs"][0]["levels"]
    assert [row["layers"] is None for row in levels] == [False, True, True]


def test_whole_units_keep_at_most_what_is_planned(plan, ran):
    words = ["prune=imp", "prune/structure=filter", "model.hidden=[8,6]"]
    (job,) = plan(*words)["jobs"]
    assert [row["kept_is"] for row in job["levels"]] == ["exact", "at most", "at most"]
    ran(*words)
    (path,) = Path("outputs").glob("*/*/*/metrics.csv")
    made = pd.read_csv(path)["kept"].tolist()
    assert all(real <= row["kept"] for real, row in zip(made, job["levels"], strict=True))


def test_a_search_shows_its_steps(plan):
    words = ["prune=edge_popup", "prune.criterion.length=2ep", "prune.rounds=2"]
    levels = plan(*words)["jobs"][0]["levels"]
    assert [row["search_steps"] for row in levels] == [0, 16, 16]


@pytest.mark.slow
def test_the_disk_suffices_and_is_not_far_too_much(plan, ran):
    words = ["model.hidden=[400,300]", "levels=4"]
    (job,) = plan(*words)["jobs"]
    ran(*words)
    used = sum(p.stat().st_size for p in Path("outputs").rglob("*") if p.is_file() and not p.is_symlink())
    assert used <= job["disk"] <= 2 * used


def test_steps_are_timed_in_memory_only(plan):
    (job,) = plan("levels=1", timed="yes")["jobs"]
    assert not Path("outputs").exists()
    assert job["steps_timed"] == 9  # of 12, after three to warm up
    assert job["seconds_a_step"] > 0
    assert job["seconds"] > job["steps"] * job["seconds_a_step"] + 2 * LEVEL  # files of two levels
    # 80 weights and 8 biases in float32; SGD has a momentum of each.
    expected = {"weights": 352, "gradients": 352, "optimizer": 352}
    assert {k: job["memory"][k] for k in expected} == expected
    assert job["memory"]["activations"] >= 12 * (16 + 4) * 4


@pytest.mark.slow
def test_timing_moves_nothing(plan, ran):
    plan("levels=1", timed="yes")
    ran("levels=1")
    (path,) = Path("outputs").glob("*/*/*/metrics.csv")
    after = pd.read_csv(path)["train_loss"]
    ran("levels=1", "outputs=other")
    (path,) = Path("other").glob("*/*/*/metrics.csv")
    assert pd.read_csv(path)["train_loss"].equals(after)


def test_the_time_of_a_sweep_with_workers_is_that_of_its_jobs_side_by_side(plan, lottery, tiny, capsys):
    total = plan("-m", "replicate=0,1,2,3", "levels=1", "host.workers=2", timed="yes")["total"]
    assert total["workers"] == 2 and total["seconds"] / 2.2 < total["seconds_with_workers"] < total["seconds"]
    assert lottery("plan", "-m", *tiny, "replicate=0,1", "workers=2") == 0
    assert " with 2 workers, " in capsys.readouterr().out


def test_the_text_of_a_run_and_of_a_sweep(lottery, tiny, capsys):
    words = ["prune=snip", "prune.criterion.per_class=2", "branch=reinit", "layers=yes", "prune/allocation=uniform"]
    assert lottery("plan", *tiny, *words) == 0
    out = capsys.readouterr().out
    for text in (
        "outputs/lenet_300_100_synthetic_snip/", "1 reinit", "64/80", "8 examples",
        "levels: 5 to train, 0 shared, 0 already there", "steps: 60, 720 examples",
        "scoring: 16 examples", "ms a step, timed over 9 on cpu, 1 thread)", "memory of a step: ",
        "disk: at most ", "layers.0       64       51       41",
    ):  # fmt: skip
        assert text in out, text
    assert lottery("plan", *tiny, "-m", "prune=imp,random", "time=no") == 0
    out = capsys.readouterr().out
    assert "2 jobs: 5 to train, 1 shared, 0 already there" in out
    assert "saved by sharing: 1 trainings (12 steps)" in out
    assert "ms a step" not in out
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prune=impp"], "did you mean 'imp'"),
        (["rewind=step", "rewind.to=9ep"], "after the end of training"),
        (["model.widht=3"], "no setting 'widht'"),
        (["levels=40"], "keeps 0 of 80 weights"),
        (["time=maybe"], "time=maybe is none of yes, no"),
        (["format=csv"], "format=csv is none of table, json"),
        (["prune=imp,random"], "add -m"),
    ],
)
def test_what_a_run_refuses_a_plan_refuses(lottery, tiny, capsys, words, said):
    assert lottery("plan", *tiny, *words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not Path("outputs").exists()


def test_a_sweep_names_the_jobs_that_would_be_refused_and_plans_the_others(lottery, tiny, capsys):
    assert lottery("plan", *tiny, "-m", "levels=1,60", "time=no", "format=json") == 2
    done = capsys.readouterr()
    said = json.loads(done.out)
    assert len(said["jobs"]) == 1
    assert said["refused"][0]["code"] == 2
    assert "keeps 0 of 80 weights" in done.err


def test_help_and_a_run_at_work(lottery, tiny, capsys):
    assert lottery("plan", "--help") == 0
    assert "usage: lottery plan" in capsys.readouterr().out
    assert lottery("plan", "--cfg", "job", *tiny) == 0
    assert "lenet" in capsys.readouterr().out


STEPS = {  # of a training of one epoch, batches of 1,000, by the sizes that the papers give
    "cifar10": 45, "cifar100": 45, "mnist": 55, "fashion_mnist": 55, "svhn": 69, "tiny_imagenet": 95,
    "imagenet": 1272,
}  # fmt: skip


REST = [n for n in STEPS if n not in ("cifar10", "imagenet")]


@pytest.mark.parametrize(
    "dataset", ["cifar10", "imagenet", *(pytest.param(n, marks=pytest.mark.slow) for n in REST)]
)
def test_data_that_are_not_there_are_planned_by_their_sizes(lottery, capsys, monkeypatch, dataset):
    def refused(*words, **more):
        raise AssertionError("plan has touched the network")

    monkeypatch.setattr(downloads.urllib.request, "urlopen", refused)
    words = ["data=nowhere", f"dataset={dataset}", "model=lenet_300_100", "model.hidden=[4]", "host.threads=1",
             "train.length=1ep", "train.batch_size=1000", "train.warmup=0it", "levels=1", "time=no"]  # fmt: skip
    assert lottery("plan", *words, "format=json", "host.device=cpu") == 0
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert [row["steps"] for row in job["levels"]] == [STEPS[dataset]] * 2
    assert "is not in" in job["data_missing"]
    assert not Path("nowhere").exists()
    assert not Path("outputs").exists()


def test_the_sizes_that_stand_for_a_data_set_are_those_of_its_files():
    for module in (mnist, fashion_mnist):
        pixels = {name: size for s in module.FILES.sources for name, size in s.parts.items() if "idx3" in name}
        assert list(pixels.values()) == [16 + n * 28 * 28 for n in module.FILES.examples.values()]
    for module, labels in ((cifar10, 1), (cifar100, 2)):
        read = sum(size for source in module.FILES.sources for size in source.parts.values())
        assert read == sum(module.FILES.examples.values()) * (labels + 3 * 32 * 32)
    for module in (cifar10, cifar100, svhn):
        assert module.FILES.shape == (3, 32, 32)


def test_images_that_were_never_decoded_are_not_decoded_for_a_plan(lottery, capsys, tmp_path):
    for number, split in enumerate(("train", "val")):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for index in range(6):
                Image.new("RGB", (6, 6), (number, 40 * index, 9)).save(folder / f"{index}.png")
    words = ["dataset=image_folder", f"dataset.path={tmp_path / 'pets'}", "data=cache", "dataset.size=8",
             "dataset.validation=2", "model=lenet_300_100", "model.hidden=[4]", "train.length=1ep", "levels=1",
             "train.batch_size=5", "host.threads=1", "host.progress=none", "host.device=cpu"]  # fmt: skip
    assert lottery("plan", *words) == 0
    said = capsys.readouterr().out
    assert "data: the images of " in said
    assert "are not decoded yet: planned by its sizes" in said
    assert "steps: 4, 20 examples" in said
    assert "ms a step" in said
    assert not Path("cache").exists()
    assert lottery("run", *words) == 0
    assert lottery("plan", *words) == 0
    said = capsys.readouterr().out
    assert "data:" not in said
    assert "0 to train, 0 shared, 2 already there" in said


def test_an_outline_gives_batches_of_its_shape():
    options = {"validation": 4, "split_seed": 0, "subsample": 9, "label_noise": 0.0, "crop": 0, "flip": False,
               "cutout": 0, "mean": [0.5], "std": [0.5]}  # fmt: skip
    task = outline((1, 2, 3), 3, {"train": 16, "test": 700}, options, "all of it")
    task = task.prepare(batch_size=4, device=torch.device("cpu"))
    assert isinstance(task, Outline)
    assert [task.size(split) for split in ("train", "val", "test", "other")] == [9, 4, 700, 0]
    assert task.steps_per_epoch == 2  # the lone ninth is left out
    assert [tuple(x.shape) for x, _ in task.batches("train", 0, 0)] == [(4, 1, 2, 3)] * 2
    assert len(list(task.evaluation_batches("test"))) == 2
    ((pixels, labels),) = task.scoring_batches(torch.Generator(), per_class=1)
    assert (tuple(pixels.shape), labels.tolist()) == ((3, 1, 2, 3), [0, 1, 2])
    assert 0 <= task.evaluate(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3)), "val")["accuracy"] <= 1
