"""Next words: columns, a memory that goes on, perplexity by brute force, exact resume, exact masks."""

import copy
import json
import math
from functools import partial

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file
from torch import nn

from lottery.components.models.lstm_lm import lstm_lm
from lottery.config import build
from lottery.errors import UsageError
from lottery.machine import signals
from lottery.nets import counting
from lottery.pruning.scoring import gradients, probing
from lottery.tasks.text.language import Language, language
from lottery.terms import mask as masks
from lottery.terms.task import remembered, restore_
from lottery.training.passes import passes

OPTIONS = {"tokens": "blanks", "lowercase": False, "min_count": 1, "bptt": 4, "shift": True}
NET = {"embedding": 6, "hidden": 6, "layers": 2, "dropout": 0.5, "tied": "auto"}


def lines(number, words=7):
    """Return lines of a language where each word makes two others likely."""
    draw, found, last = torch.Generator().manual_seed(number), [], 0
    for _ in range(number):
        row = []
        for sure, other in zip(torch.rand(6, generator=draw), torch.randint(words, (6,), generator=draw), strict=True):
            last = (3 * last + 1) % words if sure < 0.7 else int(other)
            row.append(f"w{last}")
        found.append(" ".join(row))
    return found


def text(**changed):
    return language({"train": lines(40), "val": lines(9), "test": lines(10)}, **OPTIONS | changed)


@pytest.fixture
def task():
    return text().prepare(batch_size=3, device=torch.device("cpu"))


@pytest.fixture
def model(task):
    torch.manual_seed(1)
    return lstm_lm(task, **NET)


@pytest.fixture
def place(tmp_path):
    """Write a text; return the words of a run on it that takes well under a second."""
    (tmp_path / "text.txt").write_text("\n".join(lines(80)) + "\n")
    return ["dataset=wikitext", f"data={tmp_path}", "dataset.path=text.txt", "dataset.bptt=5", "model.embedding=6", "model.hidden=6",
            "train.batch_size=4", "train.length=2ep", "train.optimizer.lr=1", "host.threads=1", "host.progress=none"]  # fmt: skip


def test_columns_go_on_where_they_ended(task):
    """By hand: 280 words, 3 columns of 93, 23 chunks of 4; the next column begins where one ends."""
    whole = task.splits["train"].tolist()
    still = text(shift=False).prepare(batch_size=3, device=torch.device("cpu"))
    chunks = list(still.batches("train", 5, 7))
    assert len(whole) == 280 and len(chunks) == still.steps_per_epoch == 23
    for k, chunk in enumerate(chunks):
        for row in range(3):
            at = 93 * row + 4 * k
            assert chunk["tokens"][row].tolist() == whole[at : at + 4]
            assert chunk["following"][row].tolist() == whole[at + 1 : at + 5]
    assert still.size("train") == 69 and task.weight(chunks[0]) == 12 and task.count(chunks[0]) == 3


@pytest.mark.parametrize("start", [0, 1, 11, 22])
def test_batches_begin_anywhere_and_each_epoch_elsewhere(task, start):
    every, tail = list(task.batches("train", 2, 5)), list(task.batches("train", 2, 5, start))
    assert len(tail) == 23 - start
    for a, b in zip(every[start:], tail, strict=True):
        assert a["chunk"] == b["chunk"] and all(torch.equal(a[k], b[k]) for k in ("tokens", "following"))
    others = [next(task.batches("train", epoch, seed))["tokens"] for epoch, seed in ((2, 5), (3, 5), (2, 6))]
    assert torch.equal(others[0], every[0]["tokens"])
    assert not torch.equal(others[0], others[1]) and not torch.equal(others[0], others[2])


def by_word(model, words):
    """Return the nats of each word after the first, the net seeing one word at a time."""
    memory, found = None, []
    for given, after in zip(words[:-1], words[1:], strict=True):
        scores, memory = model(given.view(1, 1), memory)
        found.append(float(-scores[0, 0].log_softmax(0)[after]))
    return found


@torch.no_grad()
def test_perplexity_is_that_of_the_words_one_by_one(task, model):
    model.train()
    found = task.evaluate(model, "test")
    assert model.training
    nats = by_word(copy.deepcopy(model).eval(), task.splits["test"].long())
    assert len(nats) == len(task.splits["test"]) - 1
    assert found["loss"] == pytest.approx(sum(nats) / len(nats), rel=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(sum(nats) / len(nats)), rel=1e-5)


def test_perplexity_of_who_knows_nothing_and_of_who_is_wrong(task, model):
    nn.init.zeros_(model.fc.weight)
    nn.init.zeros_(model.fc.bias)
    assert task.evaluate(model, "val")["perplexity"] == pytest.approx(task.vocabulary)
    of = [row.count(f"w{n}") for n in range(7) for row in [" ".join(lines(40)).split()]]
    share = [n / 280 for n in (*of, 40) if n]
    assert task.chance == pytest.approx(math.exp(-sum(s * math.log(s) for s in share)))
    model.fc.bias.data[0] = 5e3  # sure of a word that never comes
    assert task.evaluate(model, "val") == {"loss": pytest.approx(5e3), "perplexity": math.inf}
    model.fc.bias.data[0] = math.nan
    assert math.isnan(task.evaluate(model, "val")["perplexity"])


def test_the_memory_goes_from_chunk_to_chunk_and_begins_anew_in_an_epoch(task, model):
    model.eval()
    columns = [torch.cat([b["tokens"] for b in task.batches("train", 0, 0)], 1)[:, n : n + 4] for n in (0, 4)]
    batches = list(task.batches("train", 0, 0))
    for again in range(2):
        first = task.loss(model, batches[0])
        assert task.held["memory_00"].shape == (2, 3, 6) and not task.held["memory_00"].requires_grad
        _, memory = model(columns[0])
        scores, _ = model(columns[1], memory)
        expected = F.cross_entropy(scores.flatten(0, 1), batches[1]["following"].flatten())
        torch.testing.assert_close(task.loss(model, batches[1]), expected)
        if not again:
            begun = first
    assert torch.equal(begun, first)
    before = remembered(task)
    task.loss(model, task.cut(batches[3], 1, 2))  # what is none of the stream leaves no trace
    task.loss(model, task.example(2))
    task.evaluate(model, "val")
    task.scoring_batches(torch.Generator(), size=4)
    assert all(torch.equal(remembered(task)[k], before[k]) for k in before)
    restore_(task, {})
    torch.testing.assert_close(task.loss(model, batches[3]), task.loss(model, task.cut(batches[3], 0, 3)))


def test_nets_without_a_memory_and_with_one_tensor_are_taken(task):
    plain = nn.Sequential(nn.Embedding(task.vocabulary, 4), nn.Linear(4, task.vocabulary))
    batches = list(task.batches("train", 0, 0))
    assert task.loss(plain, batches[0]).isfinite() and remembered(task) == {}
    assert task.evaluate(plain, "val")["perplexity"] > 1

    class Gru(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(4, task.vocabulary, batch_first=True)

        def forward(self, tokens, memory=None):
            return self.gru(F.one_hot(tokens % 4, 4).float(), memory)

    net = Gru()
    two = [float(task.loss(net, batch).detach()) for batch in batches[:2]]
    kept = remembered(task)
    restore_(task, {})
    task.loss(net, batches[0])
    restore_(task, kept)
    assert list(kept) == ["memory"] and float(task.loss(net, batches[2]).detach()) != two[1]


def steps(model, task, optimizer, start, stop):
    for _ in passes(model, task, 4, start, stop):
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()


def test_ten_steps_killed_at_each_are_the_same_to_the_bit(model):
    """With dropout, momentum and a memory; the tenth step lies in the second epoch."""
    make = partial(torch.optim.SGD, lr=1.0, momentum=0.9)
    task = text(bptt=11).prepare(batch_size=3, device=torch.device("cpu"))
    assert task.steps_per_epoch == 8
    whole, begun = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    steps(whole, task, make(whole.parameters()), 0, 10)
    for kill in range(1, 10):
        one, fresh = copy.deepcopy(model), text(bptt=11).prepare(batch_size=3, device=torch.device("cpu"))
        one.load_state_dict(begun)
        optimizer = make(one.parameters())
        steps(one, fresh, optimizer, 0, kill)
        saved = copy.deepcopy((one.state_dict(), optimizer.state_dict(), remembered(fresh)))
        other, after = lstm_lm(fresh, **NET), text(bptt=11).prepare(batch_size=3, device=torch.device("cpu"))
        other.load_state_dict(saved[0])
        resumed = make(other.parameters())
        resumed.load_state_dict(saved[1])
        restore_(after, saved[2])
        steps(other, after, resumed, kill, 10)
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), other.parameters(), strict=True)), kill


@pytest.mark.slow
@pytest.mark.parametrize("at", [*range(1, 11), 31, 45, 60])
def test_a_run_that_was_stopped_ends_with_the_same_bits(bits, lottery, place, tmp_path, monkeypatch, at):
    """A checkpoint and a rewind point in the middle of an epoch hold the memory."""
    words = [*place, "rewind=step", "rewind.to=7it", "levels=1", "checkpoint_every=3it"]
    loss, calls = Language.loss, [0]

    def stopping(self, model, batch, temperature=1.0):
        if "chunk" in batch:
            calls[0] += 1
            if calls[0] == at:
                signals.ASKED.append(143)
        return loss(self, model, batch, temperature)

    monkeypatch.setattr(Language, "loss", stopping)
    assert lottery("run", *words) == 143
    signals.forget()
    monkeypatch.setattr(Language, "loss", loss)
    assert lottery("run", *words) == 0
    (cut,) = tmp_path.glob("outputs/*/*/replicate_0")
    found = bits(cut)
    assert any(found["level_01", "ticket.safetensors", "task/memory_00"])
    assert lottery("run", *words, f"outputs={tmp_path / 'whole'}") == 0
    (whole,) = tmp_path.glob("whole/*/*/replicate_0")
    assert found == bits(whole)


@pytest.mark.parametrize(
    ("tied", "include", "layers"),
    [("no", ["*"], 5), ("no", ["*", "embedding"], 6), ("yes", ["*"], 4), ("yes", ["*", "embedding"], 5), ("yes", ["lstm.*"], 4)],
)
def test_what_is_pruned_is_counted_once(task, tied, include, layers):
    net = lstm_lm(task, **NET | {"tied": tied})
    mask = masks.dense(net, include)
    words, lstm = task.vocabulary * 6, 2 * 2 * 24 * 6
    assert len(mask) == layers and masks.total(mask) == lstm + words * (layers - 4)


def test_exact_counts_of_lstm_embedding_and_output_layer(lottery, place, tmp_path, capsys):
    """With momentum and decay; pruned weights stay +0.0, and tables know that less is better."""
    words = [*place, "model.tied=no", "prune.include=[\"*\",embedding]", "train.optimizer.momentum=0.9", "levels=2",
             "train.optimizer.weight_decay=0.01", "train.optimizer.lr=0.5", "schedule.keep=0.5"]  # fmt: skip
    assert lottery("run", *words) == 0
    (folder,) = tmp_path.glob("outputs/lstm_lm_wikitext_imp/*/replicate_0")
    table = pd.read_csv(folder / "metrics.csv")
    total = 2 * 2 * 24 * 6 + 2 * 9 * 6
    assert table["total"].tolist() == [total] * 3 and table["kept"].tolist() == [total, total // 2, total // 4]
    mask, end = (load_file(folder / "level_02" / f"{name}.safetensors") for name in ("mask", "end"))
    zeros = {k.removeprefix("weights/"): int((v.view(torch.int32) == 0).sum()) for k, v in end.items() if "weight" in k}
    assert sum(zeros[n] for n in ("embedding.weight", "fc.weight")) > 0 and sum(zeros.values()) >= total - total // 4
    assert len([k for k in mask if "weight" in k]) == 6
    record = json.loads((folder / "run.json").read_text())
    assert record["metrics"][0] == {"name": "perplexity", "better": "lower", "unit": "number", "tolerance": 0.01, "of": "dense",
                                    "mean": "log", "error": "loss", "trials": 0}  # fmt: skip
    assert lottery("show", "lstm_lm_wikitext_imp") == 0 and "test perplexity" in capsys.readouterr().out


@pytest.mark.slow
def test_an_exported_folder_has_the_words_by_their_numbers(lottery, place, tmp_path, capsys):
    assert lottery("run", *place, "levels=1") == 0
    capsys.readouterr()
    assert lottery("export", "lstm_lm_wikitext_imp", "level=1", "as=dense") == 2
    line = capsys.readouterr().err
    assert "channels cannot be followed through an LSTM (lstm.0)" in line and "type as=folder or as=onnx" in line and line.count("\n") == 1
    for how in ("folder", "onnx"):
        assert lottery("export", "lstm_lm_wikitext_imp", "level=1", f"as={how}", f"to={tmp_path / how}") == 0
    words = (tmp_path / "folder" / "vocabulary.txt").read_text().split()
    assert words[0] == "<unk>" and set(words[1:]) == {"<eos>", *(f"w{n}" for n in range(7))}
    program = torch.export.load(tmp_path / "folder" / "model.pt2").module()
    assert program(torch.arange(15).view(3, 5) % 9)[0].shape == (3, 5, 9)


@pytest.mark.parametrize("dataset", ["phrases", "masked_phrases", "numbers"])
def test_what_has_no_next_words_is_refused_in_a_line(lottery, capsys, dataset):
    assert lottery("run", f"dataset={dataset}", "dataset.examples=60", "dataset.validation=20", "dataset.test=20", "model=lstm_lm") == 2
    line = capsys.readouterr().err
    assert "model=lstm_lm asks for next words, and this dataset has " in line and line.count("\n") == 1
    usual = "transformer_tiny" if dataset == "numbers" else "bert_tiny"
    assert line.endswith(f"; type model={usual} or dataset=python_docs\n")


@pytest.mark.parametrize("tied", ["yes", "no"])
def test_multiply_accumulates_are_those_of_each_word(task, tied):
    """A layer of an LSTM takes |W_ih| + |W_hh| a word, the output layer V x H, the embedding none."""
    net = lstm_lm(task, **NET | {"tied": tied, "hidden": 6, "layers": 3})
    found = counting.forward(net, task)
    fc = "embedding.weight" if tied == "yes" else "fc.weight"
    for name, macs in found.layers.items():
        each = {fc: task.vocabulary * 6}.get(name, 24 * 6 if "lstm" in name else 0)
        assert macs == task.bptt * each, name
    assert found.macs == task.bptt * (3 * 2 * 24 * 6 + task.vocabulary * 6)


def test_scoring_takes_rows_of_the_training_text(task):
    batches = task.scoring_batches(torch.Generator().manual_seed(0), size=7, batch=3)
    whole = " ".join(map(str, task.splits["train"].tolist()))
    assert [len(b["tokens"]) for b in batches] == [3, 3, 1] and all("chunk" not in b for b in batches)
    for batch in batches:
        for row, after in zip(batch["tokens"].tolist(), batch["following"].tolist(), strict=True):
            assert " ".join(map(str, [*row, after[-1]])) in whole and row[1:] == after[:-1]
    assert sum(map(task.count, task.scoring_batches(torch.Generator()))) == 279 // 4
    for asked, told in (({"per_class": 3}, "per_class=0"), ({"by_class": True}, "halves=false")):
        with pytest.raises(UsageError, match=f"type prune.criterion.{told}"):
            task.scoring_batches(torch.Generator(), **asked)


def criteria():
    """Return a criterion's settings by the name of a yaml, one of each kind, for rows of words."""
    found, quick = {}, {"size": 6, "per_class": 0, "batch": 4, "probes": 1, "length": "2it", "period": "1it", "halves": False}
    for path in sorted((build.conf_dir() / "prune").glob("*.yaml")):
        node = yaml.safe_load(path.read_text()).get("criterion", {})
        if node.get("name") and node not in found.values():
            found[path.stem] = node | {key: value for key, value in quick.items() if key in node}
    return found


@pytest.mark.parametrize("name", criteria())
@pytest.mark.parametrize("tied", ["yes", "no"])
def test_every_criterion_scores_words_or_is_refused_in_a_line(task, name, tied):
    net = lstm_lm(task, **NET | {"tied": tied})
    mask = masks.dense(net, ["*", "embedding"])
    score = build.bind("criterion", criteria()[name], "prune.criterion")
    if name == "bn_scale":
        with pytest.raises(UsageError, match="needs BatchNorms with a scale, and this model has none"):
            score(net, mask, task, torch.Generator(), 0.5)
        return
    if "synflow" in name and tied == "no":
        with pytest.raises(UsageError, match=r"says nothing of an embedding.*type prune.exclude=\[embedding\]"):
            score(net, mask, task, torch.Generator(), 0.5)
        mask = masks.dense(net, ["*"])
    scores = score(net, mask, task, torch.Generator(), 0.5)
    assert {n: s.shape for n, s in scores.items()} == {n: m.shape for n, m in mask.items()}
    assert all(s.isfinite().all() for s in scores.values())
    assert all(s.any() for s in scores.values())


def test_a_net_without_vectors_has_no_signal(task, lottery, place, capsys, monkeypatch):
    """SynFlow is refused before anything is trained; monitors do without, and say so once."""
    with pytest.raises(UsageError, match="this net has none"):
        task.signal(nn.Linear(2, 2))
    monkeypatch.setattr("lottery.components.models.lstm_lm.LstmLm.forward", lambda self, tokens, memory=None:
                        self.fc(self.lstm[0](self.embedding(tokens))[0]))  # fmt: skip
    assert lottery("run", *place, "levels=1", "prune=synflow") == 2
    line = capsys.readouterr().err
    assert "which this net does not take in place of words" in line and line.count("\n") == 1
    assert lottery("run", *place, "levels=2", "train.length=1ep") == 0
    line = capsys.readouterr().err
    assert "effective weights are not known" in line and line.count("\n") == 1


def test_wanda_of_an_embedding_counts_words(task):
    net = lstm_lm(task, **NET | {"tied": "no"})
    node = criteria()["wanda"] | {"size": 0, "batch": 0}
    scores = build.bind("criterion", node, "prune.criterion")(net, masks.dense(net, ["embedding"]), task, torch.Generator(), 0.5)
    times = torch.cat([b["tokens"].flatten() for b in task.scoring_batches(torch.Generator())]).bincount(minlength=9)
    expected = net.embedding.weight.detach().abs() * times.sqrt().unsqueeze(1)
    torch.testing.assert_close(scores["embedding.weight"], expected)


def test_recurrent_layers_have_gradients_in_evaluation_mode_on_a_gpu_too(task, model, monkeypatch):
    """cuDNN's have none there, so that it is off for the pass, and on again."""
    monkeypatch.setattr(torch._C, "_get_cudnn_enabled", lambda: seen[-1])
    monkeypatch.setattr(torch._C, "_set_cudnn_enabled", lambda on: seen.append(on))
    for mode, expected in (("eval", [True, False, True]), ("train", [True, True])):
        seen = [True]
        with probing(model, masks.dense(model), task, torch.Generator(), size=2, per_class=0, batch=0, augment=False,
                     temperature=1.0, mode=mode) as probe:  # fmt: skip
            gradients(probe, 0)
        assert seen == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [(["model.tied=yes", "model.hidden=5"], "type model.embedding=5"), (["model.tied=maybe"], "none of auto, yes, no"),
     (["model.dropout=1"], "no share in"), (["train.batch_size=900"], "type train.batch_size=89"),
     (["train.batch_size=900", "dataset.bptt=9000"], "a smaller dataset.bptt"), (["prune=snip"], "type prune.criterion.per_class=0"),
     (["train.label_smoothing=0.1"], "label_smoothing=0")],
)  # fmt: skip
def test_what_cannot_be_is_told(lottery, place, capsys, words, said):
    assert lottery("run", *place, "levels=1", *words) == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1
