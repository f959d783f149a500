"""Hidden words: which are hidden and how, batches, metrics by hand, a small BERT on them."""

import json
import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from lottery.components.datasets.masked_docs import masked_docs
from lottery.components.datasets.masked_text import masked_text
from lottery.errors import UsageError
from lottery.nets.encoders import encoder
from lottery.tasks.text.masked import SEEN, masked
from lottery.terms import mask as masks
from lottery.terms import seeds

CPU = torch.device("cpu")
OPTIONS = {"tokenizer": "learned", "pieces": 90, "length": 24, "window": 1, "share": 0.15}
SUBJECTS, ENDS = ("red", "blue", "old", "warm", "thin"), ("falls", "rises", "sleeps", "turns")


def line(n):
    return " ".join(f"the {SUBJECTS[(n + k) % 5]} door {ENDS[(n * k) % 4]}" for k in range(1 + n % 3))


def text(number=200, **changed):
    lines = [line(n) for n in range(number)]
    parts = {"train": lines[:-80], "val": lines[-80:-40], "test": lines[-40:]}
    return masked(None, parts, **OPTIONS | changed).prepare(batch_size=16, device=CPU)


@pytest.fixture(scope="module")
def task():
    return text()


def originals(task, batch):
    """Return the pieces of a batch as they were."""
    asked = batch["labels"] != SEEN
    return torch.where(asked, batch["labels"], batch["input_ids"])


def test_a_share_is_hidden_and_of_these_eight_in_ten_and_marks_never_are(task):
    counts, places, others = Counter(), 0, 0
    marks = torch.tensor(task.words.marks)
    for epoch in range(12):
        for batch in task.batches("train", epoch, 3):
            asked = batch["labels"] != SEEN
            true = originals(task, batch)
            assert asked.any(1).all()
            assert not torch.isin(true, marks)[asked].any() and not asked[batch["attention_mask"] == 0].any()
            given, own = batch["input_ids"][asked], batch["labels"][asked]
            assert not torch.isin(given[given != task.words.hidden], marks).any()
            counts["hidden"] += int((given == task.words.hidden).sum())
            counts["own"] += int((given == own).sum())
            counts["all"] += len(own)
            long = (~torch.isin(true, marks)).sum(1) > 7  # of fewer pieces one is more than the share
            places, others = places + int((~torch.isin(true, marks))[long].sum()), others + int(asked[long].sum())
    assert others / places == pytest.approx(0.15, abs=0.015)
    assert counts["hidden"] / counts["all"] == pytest.approx(0.8, abs=0.025)
    assert counts["own"] / counts["all"] == pytest.approx(0.1 + 0.1 / len(task.ordinary), abs=0.025)


def test_batches_begin_anywhere_and_each_epoch_hides_others(task):
    for window in (1, 3):
        net = text(window=window)
        whole = list(net.batches("train", 1, 5))
        assert len(whole) == net.steps_per_epoch == -(-net.size("train") // 16)
        for start in range(len(whole) + 1):
            tail = list(net.batches("train", 1, 5, start))
            assert len(tail) == len(whole) - start
            assert all(torch.equal(a[k], b[k]) for a, b in zip(tail, whole[start:], strict=True) for k in a)
    seen = []
    for seed, epoch in ((5, 1), (5, 2), (6, 1)):
        batch = list(task.batches("train", epoch, seed))
        seen.append({tuple(t.tolist()) for b in batch for t in b["labels"]})
    assert seen[0] != seen[1] and seen[0] != seen[2]
    one, other = (list(task.batches("val", epoch, seed)) for epoch, seed in ((0, 0), (3, 4)))
    assert all(torch.equal(a[k], b[k]) for a, b in zip(one, other, strict=True) for k in a)


def test_what_is_hidden_of_a_text_does_not_depend_on_its_batch():
    """The same texts in batches of another size have the same pieces hidden."""
    one, other = (text().prepare(batch_size=size, device=CPU) for size in (16, 7))
    rows = [
        sorted(
            tuple(x for x, there in zip(r, a) if there)
            for b in t.batches("train", 2, 1)
            for r, a in zip(b["input_ids"].tolist(), b["attention_mask"].tolist())
        )
        for t in (one, other)
    ]
    assert rows[0] == rows[1]


def test_a_long_paragraph_is_cut_and_no_piece_is_lost():
    long = " ".join(line(n) for n in range(30))
    parts = {"train": [line(n) for n in range(60)], "test": [long, "", "  ", "the old door"]}
    made = masked(None, parts, **OPTIONS).prepare(batch_size=4, device=CPU)
    pieces = made.splits["test"].pieces
    sizes = pieces.ends.diff(prepend=torch.zeros(1, dtype=torch.int64))
    assert int(sizes.max()) == 24 and made.size("test") == len(sizes) > 3
    from lottery.tasks.text.wordpieces import opened

    reader = opened().Tokenizer.from_str(made.tokenizer)
    expected = [n for p in (long, "the old door") for n in reader.encode(p, add_special_tokens=False).ids]
    marks = set(made.words.marks)
    assert [n for n in pieces.ids.tolist() if n not in marks] == expected


def test_chance_is_the_most_frequent_piece_and_the_vocabulary_that_of_training(task):
    marks = set(task.words.marks)
    counts = Counter(n for n in task.splits["train"].pieces.ids.tolist() if n not in marks)
    assert task.chance == max(counts.values()) / sum(counts.values())
    parts = {"train": ["the old door"] * 9, "test": ["zzz door"]}
    words = json.loads(masked(None, parts, **OPTIONS).tokenizer)["model"]["vocab"]
    assert "door" in words and not any("z" in word for word in words)


class Fixed(nn.Module):
    """Gives scores that follow from the pieces that it sees."""

    def __init__(self, vocabulary, flat=False):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(vocabulary, vocabulary) if flat else torch.randn(vocabulary, vocabulary))

    def forward(self, ids, there, kinds):
        return self.table[ids]


@torch.no_grad()
def test_metrics_are_those_of_each_hidden_place(task):
    flat = task.evaluate(Fixed(task.vocabulary, flat=True), "test")
    assert flat["perplexity"] == pytest.approx(task.vocabulary) and flat["loss"] == pytest.approx(math.log(task.vocabulary))
    net = Fixed(task.vocabulary)
    losses, right = [], []
    for batch in task.batches("test", 0, 0):
        for ids, labels in zip(batch["input_ids"], batch["labels"]):
            for place in labels.ne(SEEN).nonzero()[:, 0].tolist():
                scores = net.table[ids[place]]
                losses.append(float(F.cross_entropy(scores, labels[place])))
                right.append(int(scores.argmax()) == int(labels[place]))
    found = task.evaluate(net, "test")
    assert found["accuracy"] == sum(right) / len(right)
    assert found["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    batch = next(task.batches("train", 0, 0))
    assert task.weight(batch) == int((batch["labels"] != SEEN).sum()) and task.count(batch) == 16
    halves = [task.cut(batch, 0, 5), task.cut(batch, 5, 16)]
    parts = sum(task.weight(h) * float(task.loss(net, h)) for h in halves) / task.weight(batch)
    assert parts == pytest.approx(float(task.loss(net, batch)), rel=1e-5)


def test_scoring_takes_training_texts(task):
    one, two = (task.scoring_batches(seeds.generator("s"), size=20, batch=8) for _ in range(2))
    assert [task.count(b) for b in one] == [8, 8, 4]
    assert all(torch.equal(a[k], b[k]) for a, b in zip(one, two, strict=True) for k in a)
    assert sum(map(task.count, task.scoring_batches(seeds.generator("s")))) == task.size("train")
    for picks, word in (({"per_class": 2}, "per_class=0"), ({"by_class": True}, "halves=false")):
        with pytest.raises(UsageError, match=word):
            task.scoring_batches(seeds.generator("s"), **picks)


def test_an_example_is_made_up_and_always_the_same(task):
    one, two = task.example(3), task.example(3)
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert one["input_ids"].shape == (3, task.usual) and (one["labels"] != SEEN).any(1).all()


def test_the_output_layer_is_the_embedding_and_the_encoder_is_pruned(task):
    said = {"model_type": "bert", "vocab_size": task.vocabulary, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 64}  # fmt: skip
    net = encoder(task, said)
    dense = masks.dense(net)
    assert len(dense) == 12 and masks.total(dense) == 2 * 12 * 16 * 16  # no pooler, none of the head
    assert net.cls.predictions.decoder.weight is net.bert.embeddings.word_embeddings.weight
    asked = masks.dense(net, ["*embeddings*", "cls.*"])
    assert set(asked) == {f"bert.embeddings.{n}_embeddings.weight" for n in ("word", "position", "token_type")} | {
        "cls.predictions.transform.dense.weight"}  # fmt: skip
    batch = task.example(2)
    assert net(*task.inputs(batch)).shape == (2, task.usual, task.vocabulary)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"share": 0.0}, "dataset.share=0 "), ({"share": 1.5}, "dataset.share=1.5"), ({"length": 4}, "dataset.length=4"),
     ({"window": 0}, "dataset.window=0"), ({"pieces": 6}, "dataset.pieces=6")],
)  # fmt: skip
def test_options_that_cannot_be_are_one_line(changed, said):
    with pytest.raises(UsageError, match=said) as caught:
        text(**changed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere.txt", "there is no"), ("empty.txt", "has no words"), ("latin.txt", "no text in UTF-8"), ("short.txt", "too few lines"),
     (".", "no text with train|several files"), ("", "name a text"), ("zero.txt", "zero bytes")],
)  # fmt: skip
def test_no_text_is_one_line(tmp_path, path, said):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes("caf\xe9 \xfc\n".encode("latin-1") * 9)
    (tmp_path / "short.txt").write_text("one line alone\n")
    (tmp_path / "zero.txt").write_bytes(b"a\0b\n" * 9)
    with pytest.raises(UsageError, match=said) as caught:
        masked_text(tmp_path, path=path, validation=0.1, test=0.1, **OPTIONS)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_hides_nothing_is_one_line(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "door"]))
    with pytest.raises(UsageError, match=r"no piece that hides another"):
        text(tokenizer=str(tmp_path))
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "nothing"]))
    with pytest.raises(UsageError, match="train text has no word that the tokenizer knows; type dataset.tokenizer=learned"):
        text(tokenizer=str(tmp_path))


def test_a_split_of_unknown_words_is_told_each_time(tmp_path, capsys):
    """What was kept of it is none of the damaged."""
    for _ in range(2):
        with pytest.raises(UsageError, match="^dataset: the test text has no word that the tokenizer knows; give a text with letters"):
            masked(tmp_path, {"train": ["a b a b"], "test": ["ξ ω"]}, **OPTIONS)
    assert capsys.readouterr().err == ""


def test_topics_of_python_and_nothing_below_the_data_folder(tmp_path):
    made = masked_docs(tmp_path / "no", split_seed=0, validation=0.1, test=0.1, **OPTIONS | {"pieces": 300})
    assert made.size("train") > 1000 and not (tmp_path / "no").exists()


WORDS = ["dataset=masked_text", "dataset.path=text.txt", "dataset.validation=0.2", "dataset.test=0.2", "dataset.length=24",
         "dataset.pieces=60", "model.width=8", "model.layers=1", "train.batch_size=16", "train.length=2ep", "host.progress=none",
         "host.threads=1", "levels=1", "checkpoint_every=1it", "data=."]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("at", [*range(1, 12), 17])
def test_ten_steps_killed_at_each_end_with_the_same_bits(bits, lottery, tmp_path, cut, once, at):
    def whole():
        (tmp_path / "text.txt").write_text("\n".join(line(n) for n in range(130)))
        assert lottery("run", *WORDS) == 0

    once("masked", whole)
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    expected = bits(folder)
    assert sum(file == "mask.safetensors" for _, file, _ in expected) >= 6
    (tmp_path / "outputs").rename(tmp_path / "whole")
    cut(at, lottery, "run", *WORDS)
    assert lottery("run", *WORDS) == 0
    assert bits(folder) == expected


def test_files_name_a_tied_tensor_once_and_may_have_a_pooler(task):
    said = {"model_type": "bert", "vocab_size": task.vocabulary, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 8}  # fmt: skip
    net = encoder(task, said)
    own = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    decoder, words = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
    there = {n: t + 1 for n, t in own.items() if n != decoder} | {"bert.pooler.dense.weight": torch.ones(8, 8), "classifier.bias": torch.ones(2)}
    found = net.from_file(there, own)
    assert found.keys() == own.keys() and torch.equal(found[decoder], found[words]) and torch.equal(found[words], own[words] + 1)
    bare = {n.removeprefix("bert."): t for n, t in there.items() if n.startswith("bert.")}
    found = net.from_file(bare, own)
    assert found.keys() == own.keys() and torch.equal(found[decoder], own[words] + 1)
    assert torch.equal(found["cls.predictions.bias"], own["cls.predictions.bias"])


@pytest.mark.slow
def test_a_net_of_hidden_words_is_exported_read_by_the_library_and_goes_on_as_another_task(lottery, tmp_path, monkeypatch):
    """A folder for transformers, which a run begins with; the mask of each task trains on the other."""
    from lottery.machine.libraries import opened

    (tmp_path / "text.txt").write_text("\n".join(line(n) if n % 9 else f"{line(2)} {line(5)}" for n in range(130)))  # of two lengths in eights
    lines = (f"{n}\t{1 + n % 3 if n % 2 else -1}\tthe {SUBJECTS[n % 2]} door\r\n" for n in range(90))
    (tmp_path / "reviews.txt").write_text("".join(lines), newline="")
    few = ["train.length=1ep", "train.batch_size=16", "host.progress=none", "host.threads=1", "data=.", "prune.include=[*.layer.*]"]
    assert lottery("run", *WORDS, *few, "name=first", "levels=0") == 0
    assert lottery("export", "first", "level=0", "as=folder", "to=net/") == 0
    net = opened("transformers", "hf", "here").AutoModelForMaskedLM.from_pretrained("net", local_files_only=True)
    trained = load_file(next(tmp_path.glob("outputs/first/*/replicate_0/level_00/end.safetensors")))
    assert all(torch.equal(t, trained[f"weights/{n}"]) for n, t in net.state_dict().items())
    data = {
        "words": ["dataset=masked_text", "dataset.path=text.txt", "dataset.validation=0.2", "dataset.test=0.2", "dataset.length=24"],
        "reviews": ["dataset=reviews", "dataset.path=reviews.txt", "dataset.validation=10", "dataset.length=24"],
    }
    start = [*few, "model=bert", "model.path=net", "levels=1"]
    for name, own in data.items():
        assert lottery("run", *own, *start, f"name={name}") == 0
    for name, own in data.items():
        for other in data:
            (place,) = tmp_path.glob(f"outputs/{other}/*")
            ticket = ["rewind=ticket", f"rewind.path={place}", "rewind.level=1", "rewind.output=fresh"]
            assert lottery("run", *own, *start, *ticket, f"name={other}_{name}") == 0
            mask, there = (load_file(next(tmp_path.glob(f"outputs/{n}/*/replicate_0/level_01/mask.safetensors"))) for n in (other, f"{other}_{name}"))
            assert all(torch.equal(mask[n], there[n]) for n in mask)
    assert lottery("plot", "figure=transfer", "words_words", "words_reviews", "reviews_words", "reviews_reviews", "to=t.png") == 0
