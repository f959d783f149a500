"""Sentences: read, cut into pieces, batched, judged; a small BERT on them, from nothing and from a folder."""

import itertools
import json
import math

import pandas as pd
import pytest
import torch

from lottery.components.datasets.reviews import reviews
from lottery.components.models.bert import bert
from lottery.components.models.bert_tiny import bert_tiny
from lottery.errors import UsageError
from lottery.tasks.text import measures, wordpieces
from lottery.terms import mask as masks

CPU = torch.device("cpu")
OPTIONS = {"tokenizer": "learned", "pieces": 120, "length": 16, "window": 1, "validation": 12, "split_seed": 0, "subsample": 0}
WORDS = ("dull", "grand", "warm", "weak")


def table(folder, number=90):
    """Write ratings of sentences as the archive has them: good where the second word is grand or warm."""
    lines = []
    for n in range(number):
        word = WORDS[n % 4]
        rating = (1.5 + n % 3) * (1 if word in ("grand", "warm") else -1) if n % 9 else 0.4
        lines.append(f"{n}\t{rating}\tthe {word} film" + " of it" * (n % 5) + "\r\n")
    (folder / "reviews.txt").write_text("".join(lines), encoding="latin-1", newline="")
    return folder / "reviews.txt"


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    table(folder)
    return reviews(folder, path="reviews.txt", rated=False, **OPTIONS).prepare(batch_size=8, device=CPU)


def rows(task, split):
    return [tuple(b["input_ids"][n][b["attention_mask"][n] == 1].tolist()) for b in task.batches(split, 0, 0) for n in range(len(b["labels"]))]


def test_clear_ratings_are_two_classes_and_no_sentence_is_lost(task):
    assert {name: task.size(name) for name in ("train", "val", "test")} == {"train": 52, "val": 12, "test": 16}
    assert task.chance == max(task.splits["train"].labels.bincount().tolist()) / 52
    every = sum((rows(task, name) for name in ("train", "val", "test")), [])
    assert len(every) == 80


def test_batches_are_padded_to_eights_and_their_tail_is_that_of_an_epoch(task):
    for batch in task.batches("train", 1, 5):
        shape = batch["input_ids"].shape
        assert shape[1] % 8 == 0 and batch["attention_mask"].sum(1).max() > shape[1] - 8
        assert all(t.dtype == torch.int64 for t in batch.values())
        assert (batch["input_ids"][batch["attention_mask"] == 0] == task.words.padding).all()
    whole = list(task.batches("train", 1, 5))
    for start in range(len(whole) + 1):
        tail = list(task.batches("train", 1, 5, start))
        assert len(tail) == len(whole) - start
        assert all(torch.equal(a[k], b[k]) for a, b in zip(tail, whole[start:], strict=True) for k in a)
    assert len(whole) == task.steps_per_epoch
    assert rows(task, "train") != [r for b in whole for r in [tuple(x.tolist()) for x in b["input_ids"]]]
    assert not torch.equal(whole[0]["labels"], next(task.batches("train", 2, 5))["labels"])


def test_a_window_parts_sentences_by_length_and_keeps_each_once(tmp_path):
    table(tmp_path)
    plain = reviews(tmp_path, path="reviews.txt", rated=False, **OPTIONS)
    near = reviews(tmp_path, path="reviews.txt", rated=False, **OPTIONS | {"window": 3})
    assert plain.fingerprint != near.fingerprint
    plain, near = (t.prepare(batch_size=8, device=CPU) for t in (plain, near))
    assert sorted(rows(plain, "train")) == sorted(rows(near, "train"))
    spread = [sum(float(b["attention_mask"].sum(1).float().var()) for b in t.batches("train", 0, 1)) for t in (plain, near)]
    assert spread[1] < spread[0] / 2
    tail = list(near.batches("train", 0, 1, 4))
    assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(tail, list(near.batches("train", 0, 1))[4:], strict=True))


def test_pieces_are_learned_the_same_in_any_order_of_counting():
    sentences = [f"{a}{b} {c}" for a, b, c in itertools.product(("un", "re", "im"), ("do", "make", "Ăct"), ("it", "them"))]
    one = wordpieces.learned(sentences, 40)
    assert one == wordpieces.learned(sentences[::-1], 40)
    vocabulary = json.loads(one)["model"]["vocab"]
    assert list(vocabulary)[:5] == list(wordpieces.SPECIAL) and len(vocabulary) <= 40
    assert {"them", "it"} <= set(vocabulary)  # the most frequent pairs were joined
    cut = wordpieces.cut([("undo it",), ("undo it", "Redo")], one, 32)
    read = [list(vocabulary)[n] for n in cut["ids"].tolist()]
    assert read[0] == "[CLS]" and "".join(w.removeprefix("##") for w in read if w[0] != "[") == "undoitundoitredo"
    marks = [n for n, word in enumerate(read) if word == "[SEP]"]
    assert cut["kinds"].nonzero()[:, 0].tolist() == list(range(marks[1] + 1, marks[2] + 1)) and cut["ends"].tolist() == [marks[0] + 1, len(read)]


def brute(pairs):
    tp, tn, fp, fn = (sum(p == kind for p in pairs) for kind in ((1, 1), (0, 0), (1, 0), (0, 1)))
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "accuracy": (tp + tn) / len(pairs),
        "f1": 2 * tp / (2 * tp + fp + fn) if tp else 0,
        "matthews": (tp * tn - fp * fn) / below if below else 0,
    }


def test_measures_of_classes_by_their_definition():
    for pairs in itertools.product([(0, 0), (0, 1), (1, 0), (1, 1)], repeat=4):
        a, b = torch.tensor(pairs).unbind(1)
        for name, value in brute(pairs).items():
            assert measures.MEASURES[name].of(a, b) == pytest.approx(value), (name, pairs)


def test_correlations_by_their_definition():
    draw = torch.Generator().manual_seed(1)
    for _ in range(20):
        a = torch.randint(4, (9,), generator=draw).float()
        b = torch.randint(5, (9,), generator=draw).float()
        known = pd.DataFrame({"a": a, "b": b})
        assert measures.pearson(a, b) == pytest.approx(known.corr().iloc[0, 1])
        assert measures.spearman(a, b) == pytest.approx(known.rank().corr().iloc[0, 1])
    assert measures.pearson(torch.ones(4), torch.arange(4.0)) == 0


def test_what_is_pruned_is_what_chen_et_al_prune(task):
    """bert-base: 84,934,656 weights of the encoder in 72 matrices, 589,824 of the pooler; on the meta device."""
    said = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
            "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2}  # fmt: skip
    from lottery.nets.encoders import encoder

    with torch.device("meta"):
        mask = masks.dense(encoder(task, said))
    assert len(mask) == 73 and masks.total(mask) == 84_934_656 + 589_824
    assert masks.total({n: m for n, m in mask.items() if "pooler" in n}) == 589_824
    small = bert_tiny(task, layers=1, width=16, heads=2, dropout=0.0, std=0.02)
    assert not any("classifier" in n or "embeddings" in n for n in masks.dense(small))
    assert "classifier.weight" in masks.dense(small, ["*", "classifier"])


@pytest.fixture(scope="module")
def folder(task, tmp_path_factory):
    """Return a folder as transformers saves an encoder, without a head."""
    from lottery.machine.libraries import opened

    place = tmp_path_factory.mktemp("net")
    torch.manual_seed(3)
    net = bert_tiny(task, layers=1, width=16, heads=2, dropout=0.0, std=0.02)
    opened("transformers", "hf", "here")
    net.bert.save_pretrained(place)
    (place / "tokenizer.json").write_text(task.tokenizer)
    return place


def test_a_folder_is_read_run_and_known_by_its_content(lottery, folder, tmp_path, capsys):
    words = ["model=bert", f"model.path={folder}", "dataset=reviews", f"dataset.path={table(tmp_path)}", "dataset.length=16",
             "dataset.validation=12", "train.batch_size=16", "train.length=1ep", "levels=1", "host.progress=none",
             "branch=[shuffle_weights]", f"data={tmp_path}"]  # fmt: skip
    assert lottery("run", *words) == 0
    (there,) = tmp_path.glob("outputs/*/*/replicate_0")
    assert json.loads((there / "run.json").read_text())["start"]["drawn"] == ["classifier.weight", "classifier.bias"]
    levels = pd.read_csv(there / "metrics.csv")
    assert levels["kept"].tolist() == [masks.total(masks.dense(bert_tiny_of(folder))), round(0.8 * levels["total"][0])]
    moved = folder.rename(folder.with_name("moved"))
    try:
        again = [w.replace(str(folder), str(moved)) for w in words]
        assert lottery("run", *again) == 0
        assert "0 trained" in capsys.readouterr().out
    finally:
        moved.rename(folder)


def bert_tiny_of(folder):
    class Any:
        vocabulary, longest, answer, outputs = 10, 16, "sentence", 2

    return bert(Any(), path=str(folder), sha256=None, dropout=None)


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere.tar.gz", "is not there; fetch it: pip download"), (".", "is a folder"), ("empty.txt", "is empty"),
     ("odd.txt", "line 1: a number, a rating"), ("cut.tar.gz", "is a damaged archive")],
)  # fmt: skip
def test_no_reviews_is_one_line(tmp_path, path, said):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "odd.txt").write_text("sentence,label\na,1\n")
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08 and no more")
    with pytest.raises(UsageError, match=said) as caught:
        reviews(tmp_path, path=path, rated=False, **OPTIONS)
    assert "\n" not in str(caught.value)


def test_a_package_that_is_not_there_is_one_line(lottery, tmp_path, capsys):
    assert lottery("run", "dataset=reviews", "model=bert", "model.path=package:no_such_net/model", "levels=0") == 2
    assert "pip install --no-deps no-such-net" in capsys.readouterr().err
    assert lottery("run", "dataset=phrases", "model=bert", "levels=0") == 2
    assert "type model.path=FOLDER" in capsys.readouterr().err
