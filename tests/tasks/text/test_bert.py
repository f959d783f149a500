"""A small BERT through the command line: killed at any step, every criterion, exported for transformers, in words."""

import json
import shutil

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from lottery.components.datasets.phrases import phrases
from lottery.components.models.bert import bert
from lottery.components.models.bert_tiny import bert_tiny
from lottery.config import build
from lottery.errors import UsageError
from lottery.terms import mask as masks
from lottery.terms.parts import Pruning

CPU = torch.device("cpu")
SMALL = ["dataset=phrases", "dataset.examples=120", "dataset.test=40", "dataset.validation=40", "model.layers=1", "model.width=8",
         "train.batch_size=16", "train.length=2ep", "levels=1", "checkpoint_every=1it", "host.threads=1", "host.progress=none"]  # fmt: skip
OPTIONS = {"tokenizer": "learned", "pieces": 120, "length": 32, "window": 1, "validation": 20, "split_seed": 0, "subsample": 0}


@pytest.fixture(scope="module")
def task():
    return phrases(None, examples=80, test=30, rated=False, **OPTIONS).prepare(batch_size=16, device=CPU)


def net_of(task):
    torch.manual_seed(0)
    return bert_tiny(task, layers=1, width=8, heads=2, dropout=0.0, std=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("at", [*range(1, 12), 16])
def test_ten_steps_killed_at_each_end_with_the_same_bits(bits, lottery, tmp_path, cut, once, at):
    words = [*SMALL, "model.dropout=0.2", "branch=[shuffle_weights]"]
    once("sentences", lambda: lottery("run", *words))
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    expected = bits(folder)
    assert {"level_00", "level_01", "level_01_shuffle_weights"} <= {name for name, *_ in expected}
    (tmp_path / "outputs").rename(tmp_path / "whole")
    cut(at, lottery, "run", *words)
    assert lottery("run", *words) == 0
    assert bits(folder) == expected


@pytest.mark.slow  # transformers take five seconds to import
@pytest.mark.parametrize("name", ["snip", "grasp", "fisher", "taylor", "movement", "wanda", "synflow", "obd"])
def test_every_kind_of_criterion_keeps_exactly_half_of_a_bert(task, name):
    from lottery.pruning.prune import prune

    node = yaml.safe_load((build.conf_dir() / "prune" / f"{name}.yaml").read_text())
    own = node["criterion"] | {k: v for k, v in {"size": 8, "length": "2it", "probes": 1, "batch": 4}.items() if k in node["criterion"]}
    parts = {"criterion": own, "structure": {"name": "weight"}, "allocation": {"name": "globally"}, "update": {"name": "static"}}
    how = Pruning(**{kind: build.bind(kind, part, "here") for kind, part in parts.items()}, update_settings={"name": "static"},
                  **{k: node[k] for k in ("at", "path", "nested", "revive", "exact")}, rounds=1, include=("*",), exclude=())  # fmt: skip
    model = net_of(task)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    kept = prune(model, masks.dense(model), 0.5, task, 0, how)
    assert masks.kept(kept) == round(0.5 * masks.total(kept)) and "classifier.weight" not in kept
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters() if n not in kept)


def test_what_lies_on_no_path_is_found_through_attention(task):
    from lottery.training.monitor import effective

    model = net_of(task)
    mask = masks.dense(model)
    layer = "bert.encoder.layer.0."
    assert all(torch.equal(live, mask[n]) for n, live in effective(model, task, mask).items())
    mask[f"{layer}output.dense.weight"][:, 5] = False  # nobody hears the sixth hidden unit
    live = effective(model, task, mask)[f"{layer}intermediate.dense.weight"]
    assert not live[5].any() and live[:5].all() and live[6:].all()


def test_multiply_accumulates_are_those_of_the_formula(task):
    from lottery.nets.counting import forward

    model, tokens = net_of(task), task.usual
    seen = forward(model, task)
    assert seen.layers["bert.encoder.layer.0.attention.self.query.weight"] == 64 * tokens
    assert seen.layers["bert.pooler.dense.weight"] == 64
    products = 2 * tokens * tokens * 8
    assert sum(seen.layers.values()) + seen.rest == 64 * 12 * tokens + 64 + 16 + products


def test_a_reinit_is_drawn_as_the_config_says_and_shuffled_weights_are_the_same_values(lottery, tmp_path):
    words = [*SMALL, "model.width=32", "train.length=1it", "branch=[reinit,shuffle_weights]", "evaluate_every=end"]
    assert lottery("run", *words) == 0
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    dense, level, moved, fresh = (load_file(folder / p / "ticket.safetensors") for p in
                                  ("level_00", "level_01", "level_01_shuffle_weights", "level_01_reinit"))  # fmt: skip
    mask = load_file(folder / "level_01" / "mask.safetensors")
    name = next(n for n in dense if n.endswith("intermediate.dense.weight"))
    assert mask and float(fresh[name][fresh[name] != 0].std()) == pytest.approx(0.04, rel=0.1)
    assert torch.equal(moved[name] == 0, level[name] == 0) and not torch.equal(moved[name], level[name])
    there = set(dense[name].flatten().tolist())
    assert set(moved[name][moved[name] != 0].tolist()) < there
    assert len(set(fresh[name][fresh[name] != 0].tolist()) & there) < 20  # by accident


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"dropout": 1.0}, "^model.dropout: 1 is no share"), ({"dropout": -0.1}, "^model.dropout: -0.1 is no share"), ({"dropout": float("nan")}, "^model.dropout"),
     ({"std": -1.0}, "^model.std: -1.0 is too small"), ({"heads": 3}, "type model.width=9$")],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_told_by_its_name(task, tmp_path, changed, said):
    with pytest.raises(UsageError, match=said):
        bert_tiny(task, **{"layers": 1, "width": 8, "heads": 2, "dropout": 0.0, "std": 0.1} | changed)
    if "dropout" in changed:
        (tmp_path / "config.json").write_text(json.dumps(net_of(task).config_file()))
        with pytest.raises(UsageError, match=said):
            bert(task, path=str(tmp_path), sha256=None, **changed)


def test_a_folder_without_weights_is_told_by_the_name_that_was_typed(lottery, tmp_path, capsys, task):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "config.json").write_text(json.dumps(net_of(task).config_file()))
    words = [*SMALL[:4], "model=bert", "dataset.tokenizer=learned", "dataset.pieces=120", "levels=0", "train.length=1it", "evaluate_every=end", "host.progress=none"]
    assert lottery("run", *words, "model.path=net") == 2
    line = capsys.readouterr().err
    assert line.startswith("lottery: model.path: ") and "net has no model.safetensors; give the folder of a net" in line
    assert line.endswith("model.path=FOLDER, or type start=init for weights that are drawn\n")
    assert lottery("run", *words, "model.path=net", "start=init") == 0
    capsys.readouterr()
    (tmp_path / "other").mkdir()
    assert lottery("run", *words, "model.path=net", "start=pretrained", "start.path=other") == 2
    assert capsys.readouterr().err.startswith("lottery: start.path: ")


def test_a_bin_is_refused_with_the_command_that_converts_it(lottery, tmp_path, capsys, task):
    (tmp_path / "net").mkdir()
    model = net_of(task)
    torch.save(dict(model.bert.state_dict()), tmp_path / "net" / "pytorch_model.bin")
    (tmp_path / "net" / "config.json").write_text(json.dumps(model.config_file()))
    (tmp_path / "net" / "vocab.txt").write_text("\n".join(json.loads(task.tokenizer)["model"]["vocab"]))
    words = [*SMALL[:4], "model=bert", "model.path=net", "levels=0", "train.length=1it", "evaluate_every=end", "host.progress=none"]
    assert lottery("run", *words) == 2
    said = capsys.readouterr().err
    typed = said.split("type: lottery ")[1].split(", then")[0].split()
    assert lottery(*typed) == 0 and lottery("run", *words) == 0
    capsys.readouterr()
    (folder,) = tmp_path.glob("outputs/bert_phrases_imp/*/replicate_0")
    assert lottery("show", str(folder)) == 0
    shown = capsys.readouterr().out
    assert "dataset.tokenizer" not in shown and "start.path" not in shown  # they are the model's
    save_file(load_file(tmp_path / "net" / "model.safetensors"), tmp_path / "net" / "model.safetensors")
    config = json.loads((tmp_path / "net" / "config.json").read_text()) | {"hidden_act": "relu"}
    (tmp_path / "net" / "config.json").write_text(json.dumps(config))
    assert lottery("run", *words) == 0  # another net, in another place
    assert len(list(tmp_path.glob("outputs/bert_phrases_imp/*"))) == 2


@pytest.mark.slow
def test_a_folder_is_one_that_transformers_reads(lottery, tmp_path, task):
    from lottery.machine.libraries import opened

    assert lottery("run", *SMALL) == 0
    (run,) = tmp_path.glob("outputs/*/*/replicate_0")
    assert lottery("export", str(run), "level=1", "as=folder", "to=net") == 0
    assert lottery("export", str(run), "level=1", "as=onnx", "to=net.onnx") == 0
    library = opened("transformers", "hf", "here")
    net, told = library.AutoModelForSequenceClassification.from_pretrained(tmp_path / "net", local_files_only=True, output_loading_info=True)
    assert not any(told.values())
    kept = load_file(tmp_path / "net" / "masks.safetensors")
    assert all(not net.get_parameter(n)[~keep].any() for n, keep in kept.items())
    words = library.AutoTokenizer.from_pretrained(tmp_path / "net", local_files_only=True)
    assert words("the film is good")["input_ids"][0] == words.cls_token_id
    card = (tmp_path / "net" / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card and "A small BERT with random weights" in card
    shutil.rmtree(tmp_path / "net" / "model.pt2", ignore_errors=True)


@pytest.mark.slow
def test_a_small_bert_learns_phrases_that_it_never_saw(lottery, tmp_path):
    assert lottery("run", "dataset=phrases", "dataset.examples=3400", "levels=0", "host.threads=1", "host.progress=none") == 0
    (run,) = tmp_path.glob("outputs/*/*/replicate_0")
    found = pd.read_csv(run / "metrics.csv").iloc[0]
    assert found["val_accuracy"] > 0.8 and found["test_accuracy"] > 0.7
