"""Words and rows through the whole command line: the runner knows of no world."""

import csv
import json
import math

import foreign as worlds
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from lottery.config import build
from lottery.machine import signals
from lottery.training.search import steps as search_steps

METRIC = {"chains": "perplexity", "rows": "relative_error"}
CRITERIA = {  # prune= -> words that it needs where there are no classes
    "edge_popup": [], "fisher": [], "gem_miner": [], "imp": [], "magnitude_init": [], "movement": [],
    "obd": [], "oneshot": [], "openlth": [], "random": [], "set": [], "snip_original": [],
    "synflow": [], "synflow_original": [], "taylor": [], "wanda": [],
    "force": ["prune.criterion.per_class=0"], "grasp": ["prune.criterion.per_class=0"],
    "snip": ["prune.criterion.per_class=0"], "snip_iterative": ["prune.criterion.per_class=0"],
    "grasp_original": ["prune.criterion.per_class=0", "prune.criterion.halves=false"],
    "early": ["prune.at=1ep"], "rigl": ["prune.update.every=4it"],
}  # fmt: skip

QUICK = ("grasp", "imp", "snip", "synflow")


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def task(**settings):
    found = worlds.chains(None, **({"vocabulary": 12, "words": 480, "length": 6, "width": 8} | settings))
    return found.prepare(batch_size=4, device=torch.device("cpu"))


@pytest.mark.parametrize("world", METRIC)
def test_a_run_says_what_it_measured(foreign, world):
    folder = foreign.run(world)
    record = json.loads((folder / "run.json").read_text())
    assert record["metrics"][0]["name"] == METRIC[world]
    assert record["metrics"][0]["better"] == "lower"
    assert record["chance"] > 0
    levels = table(folder / "metrics.csv")
    assert len(levels) == 3
    for row in levels:
        assert float(row[f"test_{METRIC[world]}"]) > 0
        assert float(row[f"best_val_{METRIC[world]}"]) > 0
        assert not [column for column in row if "accuracy" in column]


def test_the_numbers_are_those_of_the_net(foreign):
    """By brute force: the test perplexity from the weights of the last level, word by word."""
    folder = foreign.run("chains")
    weights, data = load_file(folder / "level_02" / "end.safetensors"), task()
    net = worlds.word_net(data)
    net.load_state_dict({k.removeprefix("weights/"): v for k, v in weights.items() if k.startswith("weights/")})
    text, memory, nats = data.splits["test"], None, []
    for at in range(len(nats), (len(text) - 1) // 6 * 6):
        with torch.no_grad():
            scores, memory = net(text[at].view(1, 1), memory)
        nats.append(float(F.cross_entropy(scores[0], text[at + 1].view(1))))
    (row,) = [row for row in table(folder / "metrics.csv") if row["level"] == "2"]
    assert float(row["test_perplexity"]) == pytest.approx(math.exp(sum(nats) / len(nats)), rel=1e-5)
    kept = sum(int(t.count_nonzero()) for k, t in weights.items() if "lstm.weight" in k or "output.weight" in k)
    assert kept == int(row["kept"]) == round(0.64 * 608)
    assert float(row["density"]) == kept / 608  # of the LSTM's two matrices and the output layer


@pytest.mark.parametrize("world", METRIC)
@pytest.mark.parametrize("criterion", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in CRITERIA])
def test_every_criterion_works_or_is_refused_in_a_line(foreign, world, criterion):
    needs = [w for w in CRITERIA[criterion] if world == "chains" or "halves" not in w]
    words = [f"prune={criterion}", "levels=1", "train.length=2ep", *needs]
    folder = foreign.run(world, *words)
    (dense, pruned) = table(folder / "metrics.csv")
    whole = int(dense["total"])
    assert int(pruned["kept"]) == round(float(pruned["density"]) * whole) < whole
    for word in needs:
        if "per_class" not in word:
            continue
        line = foreign.said("run", *foreign.words(world, *(w for w in words if w != word)), code=2)
        assert line.count("\n") == 1 and word in line, line


def test_what_needs_channels_says_so(foreign):
    for words in (["prune=bn_scale"], ["prune/structure=channel"], ["prune/structure=neuron"]):
        line = foreign.said("run", *foreign.words("chains", *words), code=2)
        assert line.count("\n") == 1 and line.startswith("lottery: prune"), line


@pytest.mark.parametrize(
    "at", [20, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 7, 19, 38, 57, 58, 64, 100, 150))]
)
def test_a_run_that_was_stopped_ends_with_the_same_bits(foreign, bits, monkeypatch, at):
    """The step is taken up with what the task remembered, whether it was told to stop or fell."""
    whole = bits(foreign.run("chains", "name=whole", "rewind=step", "rewind.to=7it", "branch=[shuffle]"))
    for path in foreign.outputs.glob("store/*"):  # else the levels would be shared
        path.rename(foreign.outputs / f"gone-{path.name}")
    loss, calls = worlds.Chains.loss, [0]
    for how in ("stopped", "fallen"):

        def stopping(self, model, batch, temperature=1.0, how=how):
            calls[0] += 1
            if calls[0] == at:
                if how == "fallen":
                    raise MemoryError
                signals.ASKED.append(143)
            return loss(self, model, batch, temperature)

        calls[0] = -1  # the trial of the net is one call
        words = foreign.words("chains", f"name={how}", "rewind=step", "rewind.to=7it", "branch=[shuffle]",
                              "checkpoint_every=3it")  # fmt: skip
        monkeypatch.setattr(worlds.Chains, "loss", stopping)
        assert foreign.lottery("run", *words) != 0
        monkeypatch.setattr(worlds.Chains, "loss", loss)
        signals.forget()
        assert foreign.lottery("run", *words) == 0
        (folder,) = foreign.outputs.glob(f"{how}/*/replicate_0")
        assert bits(folder) == whole
        for path in foreign.outputs.glob("store/*"):
            path.rename(foreign.outputs / f"{how}-{path.name}")


def test_a_rewind_point_in_an_epoch_has_the_memory_of_that_step(foreign):
    folder = foreign.run("chains", "rewind=step", "rewind.to=7it", "levels=1")
    ticket = load_file(folder / "level_01" / "ticket.safetensors")
    state = load_file(folder / "level_00" / "7it.safetensors")
    assert ticket["task/h"].abs().sum() > 0
    assert torch.equal(ticket["task/h"], state["task/h"])
    begun = load_file(folder / "level_00" / "ticket.safetensors")
    assert not [name for name in begun if name.startswith("task/")]


def test_a_search_begins_without_a_memory():
    data, seen = task(), []
    data.restore({"h": torch.full((1, 4, 8), 9.0), "c": torch.full((1, 4, 8), 9.0)})
    net = worlds.word_net(data)
    for _ in range(2):
        for step in search_steps(net, data, 3, 2, torch.optim.SGD(net.parameters(), lr=0.1), {}):
            seen.append((step, float(net.output.weight.grad.abs().sum())))
    assert seen[:2] == seen[2:]


@pytest.mark.parametrize("start", [0, 1, 5, 18])
def test_batches_begin_anywhere(start):
    data = task()
    every = list(data.batches("train", 2, 11))
    tail = list(data.batches("train", 2, 11, start))
    assert len(every) == data.steps_per_epoch == 19
    assert all(torch.equal(a["words"], b["words"]) for a, b in zip(every[start:], tail, strict=True))


def test_a_model_of_images_is_refused(foreign):
    words = [w for w in foreign.words("chains") if not w.startswith("model=")]
    line = foreign.said("run", *words, "model=lenet_300_100", code=2)
    assert line == ("lottery: model=lenet asks for images, and this dataset has text; choose a model of text\n")


def test_labels_that_are_not_there_are_not_smoothed(foreign):
    line = foreign.said("run", *foreign.words("rows", "train.label_smoothing=0.1"), code=2)
    assert "train.label_smoothing=0" in line and line.count("\n") == 1


def test_a_task_without_its_verbs_is_refused(foreign, monkeypatch):
    monkeypatch.delattr(worlds.Rows, "weight")
    line = foreign.said("run", *foreign.words("rows"), code=2)
    assert "dataset=rows: its Rows has no weight" in line and line.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("world", ["chains", pytest.param("rows", marks=pytest.mark.slow)])
def test_every_command_knows_what_to_do(foreign, world):
    first = foreign.run(world, "name=one", "rewind=step", "rewind.to=7it", "branch=[shuffle]")
    foreign.run(world, "name=two", "replicate=1")
    assert "levels: 2 to train" in foreign.said("plan", *foreign.words(world, "name=three"))
    for words in (
        ["bench", "one", "level=last", "repeats=2", "warm=1"], ["branch", "one", "branch=[reinit,hold]"],
        ["ls"], ["doctor"], ["report", "one", "two"], ["plot", "one", "two", "figure=accuracy"],
    ):  # fmt: skip
        assert foreign.said(*words)
    name = METRIC[world].replace("_", " ")
    assert f"test {name}" in foreign.said("show", "one")
    assert "gain over dense" in foreign.said("compare", "one", "two")
    assert foreign.lottery("diff", "one", "two") == 1
    for form in ("ticket", "safetensors", "torch", "folder"):
        said = foreign.said("export", "one", "level=last", f"as={form}")
        assert "read back: outputs of" in said
    again = torch.export.load(first / "export_level_02_torch.pt2").module()
    net = build.bind("model", {"name": "row_net", "width": 8}, "m")(worlds.rows(None, examples=60, features=5)) \
        if world == "rows" else worlds.word_net(task())  # fmt: skip
    weights = load_file(first / "level_02" / "end.safetensors")
    net.load_state_dict({k.removeprefix("weights/"): v for k, v in weights.items() if k.startswith("weights/")})
    data = task() if world == "chains" else worlds.rows(None, examples=60, features=5)
    for number in (2, 7):
        given = data.inputs(data.example(number))
        made, expected = again(*given), net(*given)
        if world == "chains":
            made, expected = made[0], expected[0]
        torch.testing.assert_close(made, expected)


def test_a_ticket_goes_to_another_task_of_its_world(foreign):
    foreign.run("chains", "name=one", "levels=1")
    foreign.said("export", "one", "level=1", "as=ticket", "to=ticket.safetensors")
    folder = foreign.run("chains", "name=two", "dataset.words=600", "levels=1", "rewind=ticket",
                         "rewind.path=ticket.safetensors", "rewind.to=0it")  # fmt: skip
    one, two = (load_file(f / "level_01" / "mask.safetensors") for f in
                (next(foreign.outputs.glob("one/*/replicate_0")), folder))  # fmt: skip
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_weights_of_another_vocabulary_are_told_so_and_not_of_images_alone(foreign):
    foreign.run("chains", "name=one", "levels=0")
    foreign.said("export", "one", "level=0", "as=safetensors", "to=net.safetensors")
    words = foreign.words("chains", "dataset.vocabulary=15", "start=pretrained", "start.path=net.safetensors")
    line = foreign.said("run", *words, code=2)
    assert "embedding.weight is float32 12x8" in line and "words of the same vocabulary" in line


def test_the_effective_weights_of_an_lstm_are_those_on_a_path(foreign):
    """A unit whose output nobody reads, not even itself, is dead; the monitor may say NaN, never more."""
    folder = foreign.run("chains", "levels=3", "schedule.keep=0.3")
    for row in table(folder / "layers.csv"):
        effective = float(row["effective"]) if row["effective"] else math.nan
        assert math.isnan(effective) or effective <= float(row["kept"])


def test_a_data_set_without_a_recipe_says_so(foreign):
    words = [w for w in foreign.words("chains") if w != "train=digits"]
    line = foreign.said("run", *words, code=2)
    assert "a dataset that brings no recipe of its own takes one of these" in line and " digits," in line
    assert foreign.run("chains")  # which has that word


def test_what_a_setting_of_a_package_is_called_can_be_looked_up_as_told(foreign):
    line = foreign.said("run", *foreign.words("chains", "dataset.cow=1"), code=2)
    assert "the same words without that, and --cfg job --package dataset" in line
    assert "vocabulary: 12" in foreign.said("run", *foreign.words("chains"), "--cfg", "job", "--package", "dataset")


def test_an_embedding_alone_may_be_pruned_without_a_signal_through_it(foreign):
    folder = foreign.run("chains", "prune.include=[embedding]", "levels=1")
    assert [row["effective"] for row in table(folder / "layers.csv")] == ["", ""]
    record = json.loads((folder / "run.json").read_text())
    assert "a signal passes by all that its mask has" in str(record["warnings"])


@pytest.mark.slow
def test_padded_phrases_in_a_dataclass_and_a_net_that_gives_a_dict(foreign):
    folder = foreign.run("couplets", "name=one", "branch=[shuffle,reinit]")
    first, last = table(folder / "metrics.csv")
    assert float(last["test_bleu"]) == pytest.approx(50 * (1 + float(last["test_matthews"])))
    assert float(last["macs"]) == float(first["macs"]) > 7 * (768 + 256 + 2 * 512) + 48  # and T x T products
    assert "effective weights are not known" in str(json.loads((folder / "run.json").read_text())["warnings"])
    for form in ("torch", "folder"):  # whose examples lie along the second axis
        assert "read back" in foreign.said("export", "one", "level=1", f"as={form}")
    again = torch.export.load(folder / "export_level_01_torch.pt2").module()
    data = worlds.couplets(None)
    for number in (1, 5):
        assert again(*data.inputs(data.example(number)))["logits"].shape == (number, 3)
    assert "dense" in foreign.said("bench", "one", "level=1", "repeats=2", "warm=1")
    for words in (["prune=snip", "prune.criterion.per_class=0"], ["prune=wanda"], ["prune/structure=filter"]):
        foreign.run("couplets", *words)
    line = foreign.said("run", *foreign.words("couplets", "prune=synflow"), code=2)
    assert line.count("\n") == 1 and "this dataset's task names none (signal)" in line


@pytest.mark.slow
def test_a_search_lowers_a_metric_of_which_less_is_better(foreign):
    """By brute force: the order of the trials from the tables of their runs, replicates by logarithms."""
    more = ["space.train.optimizer.lr=log:0.01:2", "replicate=0,1", "trials=7", "stop=none", "format=json", "levels=1"]
    words = [w for w in foreign.words("chains") if not w.startswith(("train.optimizer.lr=", "levels="))]
    process = foreign.process("search", *words, *more)
    out = process.communicate()[0]
    assert process.returncode == 0, out
    found = json.loads(out[out.index("\n{") : out.rindex("\n}") + 2])
    assert found["goal"] == "val_perplexity" and len(found["trials"]) == 7
    scores = []
    for row in found["trials"]:
        ends = [table(path)[-1] for path in foreign.outputs.parent.glob(f"{row['folder']}/replicate_*/metrics.csv")]
        assert len(ends) == 2
        scores.append(math.exp(sum(math.log(float(end["val_perplexity"])) for end in ends) / 2))
        assert row["val_perplexity"] == pytest.approx(scores[-1])
    assert scores == sorted(scores) and len(set(scores)) > 3
    assert [row["rank"] for row in found["trials"]] == [*range(1, 8)]
