"""Tables of text as they lie on disks: GLUE's nine, one's own; what cannot be read is one line. Sentences by a grammar."""

import json
import random
import re

import pytest
import torch
import yaml

from lottery.components.datasets.glue import FORMS, glue
from lottery.components.datasets.phrases import phrases
from lottery.components.datasets.text import text
from lottery.components.datasets.text_pairs import text_pairs
from lottery.config import build
from lottery.errors import UsageError
from lottery.tasks.text import grammar, wordpieces
from lottery.tasks.text.labels import Row, rows_by_split
from lottery.tasks.text.sentences import rows_of, sentences
from lottery.tasks.text.tables import Columns, examples

OPTIONS = {"tokenizer": "learned", "pieces": 200, "length": 32, "window": 1, "validation": 0.25, "split_seed": 0, "subsample": 0}
OWN = {"label": "label", "header": True, "rated": False, "metric": "auto", "test": 0.25} | OPTIONS
ONE = {"sentence": "sentence"} | OWN
TWO = {"first": "one", "second": "two"} | OWN
# As the files begin that GLUE distributes: the header, then a row to be filled in.
GLUE = {
    "cola": (None, "gj04\t{int}\t\t{a}"),
    "sst2": ("sentence\tlabel", "{a} \t{int}"),
    "mrpc": ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", '{int}\t702876\t702977\t"{a}\t{b}'),
    "qqp": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t2\t3\t{a}\t{b}\t{int}"),
    "stsb": ("index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore", "0\tn\tf\t2012\t1\tx\ty\t{a}\t{b}\t{float}"),
    "mnli": ("index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label", "0\t3\t{a}\t{b}\tneutral\t{word}"),
    "qnli": ("index\tquestion\tsentence\tlabel", "0\t{a}\t{b}\t{two}"),
    "rte": ("index\tsentence1\tsentence2\tlabel", "0\t{a}\t{b}\t{two}"),
    "wnli": ("index\tsentence1\tsentence2\tlabel", "0\t{a}\t{b}\t{int}"),
}  # fmt: skip


def lines(form, number):
    header, row = form
    found = [header] if header else []
    for n in range(number):
        found.append(row.format(a=f"it's no {n} film", b=f"a \"{n}", int=n % 2, float=n % 5 + 0.25,
                                word=("neutral", "entailment", "contradiction")[n % 3], two=("entailment", "not_entailment")[n % 2]))  # fmt: skip
    return "\n".join(found) + "\n"


@pytest.mark.parametrize("name", sorted(FORMS))
def test_each_task_of_glue_is_read_as_it_is_distributed(tmp_path, name):
    folder = tmp_path / "glue" / FORMS[name].folder
    folder.mkdir(parents=True)
    (folder / "train.tsv").write_text(lines(GLUE[name], 24))
    (folder / FORMS[name].dev).write_text(lines(GLUE[name], 9))
    task = glue(tmp_path, task=name, path="glue", **OPTIONS)
    assert [task.size(split) for split in ("train", "val", "test")] == [18, 6, 9]
    assert task.outputs == {"mnli": 3, "stsb": 1}.get(name, 2)
    assert tuple(m.name for m in task.metrics) == FORMS[name].metrics
    labels = task.splits["test"].labels.tolist()
    assert labels == [n % 5 + 0.25 for n in range(9)] if name == "stsb" else set(labels) == set(range(task.outputs))
    assert bool(task.splits["train"].pieces.kinds.any()) == (len(FORMS[name].columns.texts) == 2)
    again = glue(tmp_path, task=name, path=str(folder), **OPTIONS)
    assert again.fingerprint == task.fingerprint


def test_the_papers_metric_is_the_first():
    first = {name: form.metrics[0] for name, form in FORMS.items()}
    assert {n: m for n, m in first.items() if m != "accuracy"} == {"cola": "matthews", "stsb": "pearson"}
    assert FORMS["mrpc"].metrics[1] == FORMS["qqp"].metrics[1] == "f1"


ROWS = [(f"word {n % 7}, \"so\" it is", f"other {n % 3}", ("no", "yes")[n % 2]) for n in range(16)]


def as_csv(cells):
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def test_one_table_in_three_spellings_is_one_task(tmp_path):
    names = ("one", "two", "label")
    (tmp_path / "t.tsv").write_text("\n".join("\t".join(r) for r in [names, *ROWS]))
    (tmp_path / "t.csv").write_text("\r\n".join(as_csv(r) for r in [names, *ROWS]))
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(dict(zip(names, r, strict=True))) for r in ROWS))
    (tmp_path / "bare.tsv").write_text("\n".join("\t".join(r) for r in ROWS))
    found = [text_pairs(tmp_path, path=f"t.{end}", **TWO) for end in ("tsv", "csv", "jsonl")]
    found.append(text_pairs(tmp_path, path="bare.tsv", **TWO | {"first": "0", "second": "1", "label": "2", "header": False}))
    assert len({task.fingerprint for task in found}) == 1
    assert [found[0].size(s) for s in ("train", "val", "test")] == [9, 3, 4]
    assert found[0].chance == max(found[0].splits["train"].labels.bincount().tolist()) / 9
    other = text_pairs(tmp_path, path="t.tsv", **TWO | {"metric": "matthews"})
    assert [m.name for m in other.metrics] == ["matthews", "accuracy"] and other.fingerprint != found[0].fingerprint


def test_a_folder_has_a_table_a_split_and_dev_is_the_test(tmp_path):
    for name, number in (("train", 12), ("dev", 5), ("test", 7)):
        (tmp_path / f"{name}.tsv").write_text("sentence\tlabel\n" + "".join(f"w{n}\t{n % 3}\n" for n in range(number)))
    task = text(tmp_path, path=str(tmp_path), **ONE | {"validation": 2})
    assert [task.size(s) for s in ("train", "val", "test")] == [10, 2, 5] and task.outputs == 3
    rated = text(tmp_path, path=str(tmp_path), **ONE | {"rated": True})
    assert [m.name for m in rated.metrics] == ["pearson", "spearman"] and rated.outputs == 1


BAD = [
    ("absent.tsv", "", {}, "is not there"),
    ("e.tsv", "  \n", {}, "is empty"),
    ("h.tsv", "sentence\tlabel\n", {}, "h.tsv has no rows; give a table"),
    ("c.tsv", "sentnce\tlabel\na\t1\n", {}, "no column 'sentence'; did you mean sentnce?"),
    ("n.tsv", "a\t1\n", {"header": False}, "type its number"),
    ("s.tsv", "sentence\tlabel\n" + "a\n" * 9 + "a\t1\n", {}, "9 of 10 rows lack a column"),
    ("l.tsv", "sentence\tlabel\n" + "".join(f"a\tb{n}\n" for n in range(9)), {}, "9 different labels; choose another column: dataset.label=NAME$"),
    ("o.tsv", "sentence\tlabel\n" + "a\tyes\n" * 9, {}, "1 different label; choose another"),
    ("r.tsv", "sentence\tlabel\n" + "a\tyes\n" * 9, {"rated": True}, r"'yes' .line 2 of the training rows. is no number, .* 8 other rows; choose another column"),
    ("k.tsv", "sentence\tlabel\n" + "a\t\n" + "a\t1\n" * 9, {}, "1 of 10 rows lacks a column"),
    ("q.csv", 'sentence,label\na,1\n\n"b,2\nc,1\n', {}, "the row of line 4 has a quote that does not end"),
    ("y.csv", 'sentence,label\na,1\n"b" c,2\n', {}, "the row of line 3 has a quote"),
    ("d.tsv", "sentence\tlabel\n" + "a\t--1\nb\t2\n" * 9 + "c\t--2\n" * 9 + "c\t³\n" * 20, {"test": 1.0}, "type a share"),
    ("a.jsonl", '{"sentence": "a", "label": 1, "more": []}\n\n{"sentence": ["a"], "label": 1}', {}, "line 3: sentence is a list"),
    ("b.jsonl", '{"sentence": "a", "label": {}}', {}, "line 1: label is an object"),
    ("g.jsonl", '{"sentence": "a", "label": 1}', {"header": False, "sentence": "0"}, "no column '0'.*choose from sentence, label"),
    ("j.jsonl", '{"sentence": "a"\n', {}, "line 1"),
    ("f.tsv", "sentence\tlabel\n" + "a\t1\nb\t2\nc\t3\n" * 9, {"metric": "f1"}, "of two classes"),
    ("m.tsv", "sentence\tlabel\n" + "a\t1\nb\t2\n" * 9, {"metric": "pearson"}, "type dataset.metric=auto"),
    ("v.tsv", "sentence\tlabel\n" + "a\t1\nb\t2\n" * 9, {"validation": 40}, "ask for more"),
    ("t.tsv", "sentence\tlabel\n" + "a\t1\nb\t2\n" * 9, {"test": 1.0}, "type a share"),
    ("w.tsv", "sentence\tlabel\n" + "a\t1\nb\t2\n" * 9, {"tokenizer": "nowhere"}, "dataset.tokenizer: nowhere has neither"),
    ("p.tsv", "sentence\tlabel\n" + "abcdefgh\t1\nb\t2\n" * 9, {"pieces": 8}, "letters already"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "written", "changes", "said"), BAD, ids=[b[0] for b in BAD])
def test_a_bad_table_is_one_line(tmp_path, name, written, changes, said):
    if written:
        (tmp_path / name).write_text(written)
    with pytest.raises(UsageError, match=said) as caught:
        text(tmp_path, path=name, **ONE | changes)
    assert "\n" not in str(caught.value)


def labels(*rows, rated=False):
    """Return the classes of the rows of a train and of a test table, by as_rows of words."""
    parts = {split: [Row(("a",), word, n) for n, word in enumerate(words.split(), 2)] for split, words in zip(("train", "test"), rows, strict=False)}
    found, number = rows_by_split(parts, rated)
    return [found[split].labels for split in parts], number


def test_a_whole_number_is_one_class_however_it_is_written():
    assert labels("10 2.0 02 10.0 -1 -1. 1e1 +2", "10.00 -01") == ([[2, 1, 1, 2, 0, 0, 2, 1], [2, 0]], 3)
    assert labels("true True true True", "True") == ([[1, 0, 1, 0], [0]], 2)
    assert labels("--1 -1 --1 -1 ² ²") == ([[0, 1, 0, 1, 2, 2]], 3)
    big = "12345678901234567"
    assert labels(f"{big} {big}8 {big}8 {big}.0")[1] == 2


SENDS = [  # labels of train and test, whether rated -> what is said
    ("1 2 nan 1 2", "1", True, r"'nan' \(line 4 of the training rows\) is no number; take the row out"),
    ("1 2 1 2", "1 x inf", True, r"'x' \(line 3 of the test rows\) is no number, nor is that of 1 other row; take them out"),
    ("a b a b", "a", True, "type dataset.rated=false"),
    ("a b c 1", "a", True, "choose another column: dataset.label=NAME"),
    ("1 2 3 4.5", "1", False, "4 different labels; choose another column: dataset.label=NAME, or type dataset.rated=true"),
    ("1 2 nan 4", "1", False, r"or take out 'nan' \(line 4 of the training rows\) and type dataset.rated=true"),
    ("1 1 1 1", "1", False, "1 different label; choose another column: dataset.label=NAME$"),
    ("a b a b", "a c", False, r"'c' \(line 3 of the test rows\) is none of the labels of the training rows, a, b; take the row out"),
    ("1 2 1 2", "1.0 1.5", False, r"'1.5' \(line 3 of the test rows\) is none"),
]  # fmt: skip


@pytest.mark.parametrize(("train", "test", "rated", "said"), SENDS)
def test_no_label_sends_in_a_circle(train, test, rated, said):
    with pytest.raises(UsageError, match=said):
        labels(train, test, rated=rated)
    if "type dataset.rated=" in said and not said.startswith("or"):
        labels(train, test, rated=not rated)


def test_glue_has_no_column_to_choose(tmp_path):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("sentence\tlabel\na\t1\na\t1\n")
    with pytest.raises(UsageError, match="^dataset.path: the training rows have 1 different label; give the files as") as caught:
        glue(tmp_path, task="sst2", path=".", **OPTIONS)
    assert "dataset.label" not in str(caught.value)


def test_a_table_of_its_own_is_the_validation_split(tmp_path):
    for name, number in (("train", 12), ("val", 4), ("test", 7)):
        (tmp_path / f"{name}.tsv").write_text("sentence\tlabel\n" + "".join(f"{name} w{n}\t{n % 2}\n" for n in range(number)))
    for share in (0.1, 0, 3):
        task = text(tmp_path, path=str(tmp_path), **ONE | {"validation": share})
        assert [task.size(split) for split in ("train", "val", "test")] == [12, 4, 7]


@pytest.mark.parametrize(("validation", "subsample"), [(40, 0), (40, 14), (0.5, 8), (0, 99)])
def test_numbers_that_are_too_large_are_answered_with_some_that_are_not(tmp_path, validation, subsample):
    (tmp_path / "t.tsv").write_text("sentence\tlabel\n" + "a\t1\nb\t2\n" * 9)  # 14 to train on
    with pytest.raises(UsageError, match="ask for more; type dataset") as caught:
        text(tmp_path, path="t.tsv", **ONE | {"validation": validation, "subsample": subsample})
    typed = dict(re.findall(r"dataset\.(\w+)=(\S+)", str(caught.value).rpartition("type")[2]))
    said = {key: float(value) if "." in value else int(value) for key, value in typed.items()}
    assert text(tmp_path, path="t.tsv", **ONE | {"validation": validation, "subsample": subsample} | said).size("train") > 0


@pytest.mark.parametrize("root", [True, False])
def test_an_empty_sentence_without_marks_is_told_each_time(tmp_path, root):
    plain = json.loads(wordpieces.learned(["a b"], 20)) | {"post_processor": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(plain))
    rows = {split: rows_of([("a b",), ("",), ("b",)], [0, 1, 0]) for split in ("train", "test")}
    options = OPTIONS | {"validation": 0, "tokenizer": str(tmp_path)}
    for _ in range(2):
        with pytest.raises(UsageError, match="^dataset: in the train split 1 sentence has no word piece.*type dataset.tokenizer=learned"):
            sentences(tmp_path if root else None, rows, 2, ("accuracy",), **options)
    assert sentences(None, rows, 2, ("accuracy",), **options | {"tokenizer": "learned"}).size("train") == 3


def test_cells_are_read_as_they_are(tmp_path, capsys):
    long = "long " * 40_000  # above csv's own limit
    (tmp_path / "t.csv").write_text(f'sentence,label\nan 8" screen,yes\n"{long}",no\n"two\nlines",yes\nempty, \n' + "a,no\n" * 100)
    rows = examples(tmp_path / "t.csv", Columns(("sentence",), "label"))
    assert [(row.line, row.label) for row in rows[:4]] == [(2, "yes"), (3, "no"), (4, "yes"), (7, "no")]
    assert rows[0].texts == ('an 8" screen',) and len(rows[1].texts[0]) == len(long) - 1
    assert capsys.readouterr().err == f"lottery: warning: {tmp_path}/t.csv: 1 row lacks a column, and is left out\n"
    (tmp_path / "t.jsonl").write_text('{"s": true, "l": 1.0}\n{"s": 1.50, "l": false}\n{"s": "a", "l": NaN, "x": [1]}\n')
    rows = examples(tmp_path / "t.jsonl", Columns(("s",), "l"))
    assert [(*row.texts, row.label) for row in rows] == [("true", "1.0"), ("1.50", "false"), ("a", "NaN")]


def test_another_encoding_and_a_folder_without_tables_are_told(tmp_path):
    (tmp_path / "latin.tsv").write_bytes("sentence\tlabel\ncaf\xe9\t1\n".encode("latin-1"))
    with pytest.raises(UsageError, match="iconv -f LATIN1"):
        text(tmp_path, path="latin.tsv", **ONE)
    with pytest.raises(UsageError, match="no table whose name begins with train"):
        text(tmp_path, path=str(tmp_path), **ONE)
    with pytest.raises(UsageError, match="SST-2/train.tsv"):
        glue(tmp_path, task="sst2", path=".", **OPTIONS)
    with pytest.raises(UsageError, match="did you mean sst2"):
        glue(tmp_path, task="sst", path=".", **OPTIONS)


def worth(text):
    """Return what a sentence of one clause is worth, by its own words."""
    *_, adjective = words = text.split()
    value = grammar.PLAIN.get(adjective) or (2.0 if adjective.endswith("ful") else -2.0)
    for word, factor in (grammar.DEGREES | grammar.DENIALS).items():
        value *= factor if word and f" {word} " in f" {' '.join(words)} " else 1
    return value


def test_a_phrase_is_worth_what_its_words_say():
    some = list(grammar.phrases(400, random.Random(3), later=False, rated=True))
    for each in some:
        for frame, (one, two) in grammar.FRAMES.items():
            middle = frame.removeprefix("although ").replace("{0}", "").replace("{1}", "")
            if middle in each.text and each.text.startswith("although") == frame.startswith("although"):
                first, second = each.text.removeprefix("although ").split(middle)
                assert each.worth == pytest.approx(one * worth(first) + two * worth(second)), each
                break
        else:
            assert each.worth == pytest.approx(worth(each.text)), each


def test_test_phrases_are_new_and_classes_are_even():
    node = yaml.safe_load((build.conf_dir() / "dataset" / "phrases.yaml").read_text())
    options = {k: v for k, v in node.items() if k not in ("name", "defaults")} | {"tokenizer": "learned", "examples": 300, "test": 80, "validation": 60}
    task = phrases(None, **options)
    assert task.fingerprint == phrases(None, **options).fingerprint
    for split, size in (("train", 240), ("val", 60), ("test", 80)):
        assert task.size(split) == size
    assert task.splits["test"].labels.sum() == 40
    known, later = (list(grammar.phrases(200, random.Random(1), flag, rated=False)) for flag in (False, True))
    for each in later:
        denied = any(f" {word} " in each.text for word in grammar.DENIALS)
        assert not grammar.known(each.text) or (" yet " in each.text and denied)
    assert all(grammar.known(each.text) for each in known)


def counts(some, words):
    found = torch.zeros(len(some), len(words))
    for row, each in zip(found, some, strict=True):
        for word in each.text.split():
            row[words.get(word, 0)] += 1
    return found, torch.tensor([float(each.worth > 0) for each in some])


def test_a_bag_of_words_tells_little():
    train, test = (list(grammar.phrases(n, random.Random(1), flag, rated=False)) for n, flag in ((1500, False), (500, True)))
    words = {word: n for n, word in enumerate(sorted({w for each in train for w in each.text.split()}))}
    (x, y), (tx, ty) = counts(train, words), counts(test, words)
    weights = torch.linalg.lstsq(torch.cat([x.T @ x + torch.eye(len(words))]), x.T @ (2 * y - 1)[:, None]).solution
    right = [float((((a @ weights)[:, 0] > 0) == (b > 0)).float().mean()) for a, b in ((x, y), (tx, ty))]
    assert right[0] < 0.7 and right[1] < 0.65
