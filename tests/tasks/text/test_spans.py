"""Questions about texts: answers compared, spans found by their letters, windows, bad files."""

import itertools
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lottery.components.datasets.squad import squad
from lottery.errors import UsageError
from lottery.tasks.text import answers
from lottery.tasks.text.questions import Question, set_apart
from lottery.tasks.text.spans import best_span
from lottery.terms import seeds

CPU = torch.device("cpu")
OPTIONS = {"tokenizer": "learned", "pieces": 200, "length": 32, "stride": 9, "question": 12, "answer": 6, "best": 5, "window": 1,
           "validation": 4, "split_seed": 0}  # fmt: skip
NAMES = ("Ada Byron", "the old Miller", "Åse Lund", "Bo", "Max Weber-Hahn", "Eve", "Ian Gray", "Una", "Leo Fox", "Kai")
PLACES = ("Rome", "a small town", "Oslo", "New Delhi", "Lima")


def article(n):
    """Return a text with three questions; the answers to the last lie far apart."""
    name, place = NAMES[n % 10], PLACES[n % 5]
    filler = " ".join(["and so it went on"] * (n % 3 * 3))
    text = f"In {1800 + n} {name} left {place} by night. {filler} Later {name} met Dr. Who{n} there."

    def asked(number, question, *words):
        spans = [{"text": w, "answer_start": text.rindex(w)} for w in words]
        return {"id": f"{n}-{number}", "question": question, "answers": spans}

    return {"context": text, "qas": [
        asked(0, "Who left?", name), asked(1, "When did somebody leave?", str(1800 + n)),
        asked(2, "Whom was met there?", f"Dr. Who{n}", f"Who{n}", f"Dr. Who{n}"),
    ]}  # fmt: skip


def write(folder, train=8, dev=4):
    folder.mkdir(exist_ok=True)
    for name, numbers in (("train-v1.1.json", range(train)), ("dev-v1.1.json", range(train, train + dev))):
        articles = [{"title": f"t{n}", "paragraphs": [article(n)]} for n in numbers]
        (folder / name).write_text(json.dumps({"version": "1.1", "data": articles}))
    return folder


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write(root / "squad")
    return squad(root, path="squad", **OPTIONS).prepare(batch_size=4, device=CPU)


@pytest.mark.parametrize(
    ("given", "true", "exact", "f1"),
    [("Denver Broncos", ["Denver Broncos"], 1, 1), ("the denver broncos!", ["Denver Broncos"], 1, 1), ("Broncos", ["Denver Broncos"], 0, 2 / 3),
     ("a an the", ["the"], 1, 1), ("Paris", ["London"], 0, 0), ("in 1999", ["1999", "nineteen"], 0, 2 / 3), ("1,999", ["1999"], 1, 1),
     ("red red wine", ["red wine"], 0, 0.8), ("", ["x"], 0, 0), ("theatre an d", ["theatre and"], 0, 0.5)],
)  # fmt: skip
def test_ten_answers_by_hand(given, true, exact, f1):
    assert answers.best(answers.exact, given, true) == exact
    assert answers.best(answers.f1, given, true) == pytest.approx(f1)


def words_of(task, split, row):
    ends = task.splits[split].pieces.ends
    return slice(int(ends[row - 1]) if row else 0, int(ends[row]))


def test_every_answer_is_a_span_by_its_letters_or_is_not_in_the_window(task):
    for split in ("train", "val", "test"):
        there, found = task.splits[split], set()
        for row in range(task.size(split)):
            own = there.letters[words_of(task, split, row)]
            question = task.questions[split][int(there.of[row])]
            first, last = there.spans[row].tolist()
            if (first, last) == (0, 0):
                continue
            found.add(int(there.of[row]))
            assert question.text[int(own[first, 0]) : int(own[last, 1])] == question.answers[0]
        assert found == set(range(len(task.questions[split])))


def test_windows_cover_a_text_and_are_a_stride_apart(task):
    there = task.splits["train"]
    assert task.size("train") > len(task.questions["train"])  # some texts are longer than a window
    for n, question in enumerate(task.questions["train"]):
        places = [
            {tuple(p) for p in there.letters[words_of(task, "train", row)].tolist() if p[1] > p[0]}
            for row in (there.of == n).nonzero()[:, 0].tolist()
        ]
        assert all(len(part) <= 32 for part in places)
        covered = {at for part in places for start, end in part for at in range(start, end)}
        assert covered == {at for at, letter in enumerate(question.text) if letter != " "}
        starts = [sorted(part)[0] for part in places]
        every = sorted(set().union(*places))
        assert {b - a for a, b in itertools.pairwise(every.index(s) for s in starts)} <= {9}


def test_no_text_is_in_training_and_validation(task):
    texts = {split: {q.text for q in task.questions[split]} for split in ("train", "val", "test")}
    assert not texts["train"] & texts["val"] and not texts["train"] & texts["test"]
    assert len(task.questions["val"]) == 6 and len(task.questions["train"]) == 18 and len(task.questions["test"]) == 12


def test_batches_begin_anywhere(task):
    whole = list(task.batches("train", 1, 5))
    assert len(whole) == task.steps_per_epoch
    for start in range(len(whole) + 1):
        tail = list(task.batches("train", 1, 5, start))
        assert len(tail) == len(whole) - start
        assert all(torch.equal(a[k], b[k]) for a, b in zip(tail, whole[start:], strict=True) for k in a)
    assert not torch.equal(whole[0]["spans"], next(task.batches("train", 2, 5))["spans"])


def test_the_best_span_is_that_of_all_that_may_be():
    draw = torch.Generator().manual_seed(0)
    for _ in range(50):
        scores, inside = torch.randn(9, 2, generator=draw), torch.rand(9, generator=draw) < 0.7
        inside[4] = True
        spans = [(a, b) for a in range(9) for b in range(a, min(9, a + 3)) if inside[a] and inside[b]]
        expected = max(spans, key=lambda s: scores[s[0], 0] + scores[s[1], 1])
        assert best_span(scores, inside, 9, 3) == expected
    scores = torch.tensor([[0.0, 5.0], [1.0, 0.0], [9.0, 0.0]])
    assert best_span(scores, torch.ones(3).bool(), 1, 3) == (2, 2)  # the one end lies before it


class Knows(nn.Module):
    """Gives high scores to the spans of a task's windows; `shift` moves the last piece."""

    def __init__(self, task, shift=0):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self.known = {}
        for split in ("train", "val", "test"):
            for batch in task.batches(split, 0, 0):
                for ids, there, span in zip(batch["input_ids"], batch["attention_mask"], batch["spans"] + torch.tensor([0, shift])):
                    self.known[tuple(ids[there == 1].tolist())] = span.tolist()

    def forward(self, ids, there, kinds):
        scores = torch.zeros(*ids.shape, 2) + self.bias
        for row, (one, own) in enumerate(zip(ids, there)):
            first, last = self.known[tuple(one[own == 1].tolist())]
            if (first, last) != (0, 0):
                scores[row, first, 0] = scores[row, last, 1] = 30.0
        return scores


@torch.no_grad()
def test_who_knows_the_spans_is_right_and_a_word_more_costs_some(task):
    assert {k: task.evaluate(Knows(task), "test")[k] for k in ("f1", "exact")} == {"f1": 1.0, "exact": 1.0}
    other = task.evaluate(Knows(task, shift=1), "test")
    assert other["exact"] < 0.8 and 0.3 < other["f1"] < 1
    batch = next(task.batches("test", 0, 0))
    scores = Knows(task)(*task.inputs(batch))
    by_hand = []
    for row, (first, last) in enumerate(batch["spans"].tolist()):
        own = scores[row][batch["attention_mask"][row] == 1]
        by_hand += [float(F.cross_entropy(own[:, n], torch.tensor(at))) for n, at in ((0, first), (1, last))]
    assert float(task.loss(Knows(task), batch)) == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-5)
    assert task.weight(batch) == task.count(batch) == len(batch["spans"])


def test_scoring_and_examples(task):
    one, two = (task.scoring_batches(seeds.generator("s"), size=6, batch=4) for _ in range(2))
    assert [task.count(b) for b in one] == [4, 2] and all(torch.equal(a[k], b[k]) for a, b in zip(one, two) for k in a)
    with pytest.raises(UsageError, match="per_class=0"):
        task.scoring_batches(seeds.generator("s"), per_class=2)
    assert torch.equal(task.example(3)["spans"], task.example(3)["spans"]) and task.count(task.example(3)) == 3


BROKEN = {
    "no json": lambda said: "{",
    "no list": lambda said: [1],
    "no data": lambda said: {},
    "no question": lambda said: {"data": []},
    "no answers": lambda said: {"data": [{"paragraphs": [{"context": "a b", "qas": [{"id": 1, "question": "q", "answers": []}]}]}]},
    "elsewhere": lambda said: {"data": [{"paragraphs": [{"context": "a b", "qas": [{"id": "7", "question": "q", "answers": [{"text": "b", "answer_start": 0}]}]}]}]},
    "a version 2": lambda said: {"data": [{"paragraphs": [{"context": "a b", "qas": [{"id": 1, "question": "q"}]}]}]},
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_of_another_form_is_one_line(tmp_path, how):
    write(tmp_path / "s")
    made = BROKEN[how](None)
    (tmp_path / "s/train-v1.1.json").write_text(made if isinstance(made, str) else json.dumps(made))
    with pytest.raises(UsageError, match=r"train-v1.1.json") as caught:
        squad(tmp_path, path="s", **OPTIONS)
    assert "\n" not in str(caught.value)


def test_folders_and_options_that_cannot_be_are_one_line(tmp_path):
    write(tmp_path / "s")
    (tmp_path / "one").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/train.json").touch()
    (tmp_path / "empty/dev.json").touch()
    cases = [
        ("nowhere", {}, "is not there"), ("s/train-v1.1.json", {}, "is no folder"), ("one", {}, "has no .json with train"), ("empty", {}, "is empty"),
        ("s", {"validation": 99}, "leave none"), ("s", {"validation": -1}, "below 0"), ("s", {"stride": 0}, "dataset.stride=0"),
        ("s", {"length": 14}, "no room for a text"), ("s", {"pieces": 6}, "dataset.pieces=6"), ("s", {"tokenizer": "none"}, "dataset.tokenizer"),
    ]  # fmt: skip
    for path, changed, said in cases:
        with pytest.raises(UsageError, match=said) as caught:
            squad(tmp_path, path=path, **OPTIONS | changed)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sizes", [(3,), (2, 2), (1, 5, 2)])
def test_the_number_to_set_apart_that_is_advised_works(sizes):
    every = [Question(f"text {n}", "What?", ((0, 4),)) for n, size in enumerate(sizes) for _ in range(size)]
    for seed in range(4):
        with pytest.raises(UsageError, match="leave none") as caught:
            set_apart(every, len(every), seed)
        number = int(str(caught.value).rpartition("type dataset.validation=")[2])
        train, val = set_apart(every, number, seed)
        assert train and len(val) == number
        with pytest.raises(UsageError, match="leave none"):
            set_apart(every, number + 1, seed)


@pytest.mark.slow
def test_a_small_bert_learns_where_answers_stand(lottery, tmp_path, cut):
    import pandas as pd

    write(tmp_path / "squad", 40, 10)
    words = ["run", "dataset=squad", "dataset.path=squad", "dataset.validation=12", "data=.", "dataset.length=48", "dataset.question=16",
             "model.width=16", "model.layers=1", "train.length=12ep", "train.optimizer.lr=4e-3", "levels=1", "host.progress=none", "host.threads=1",
             "checkpoint_every=1it"]  # fmt: skip
    cut(9, lottery, *words)
    assert lottery(*words) == 0
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    levels = pd.read_csv(folder / "metrics.csv")
    assert levels["kept"].tolist() == [12 * 16 * 16, round(0.8 * 12 * 16 * 16)]
    before = (folder / "level_01/curve.csv").read_bytes()
    assert lottery(*words, "outputs=whole", "checkpoint_every=60s") == 0
    assert next(tmp_path.glob("whole/*/*/replicate_0/level_01/curve.csv")).read_bytes() == before
