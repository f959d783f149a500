"""Texts of the user's and of Python: what is a line, a word, a split, and what is refused."""

import gzip
import re
import subprocess

import pytest

from lottery.config import build
from lottery.errors import UsageError
from lottery.tasks.text import corpora
from lottery.tasks.text.words import numbers, stream, vocabulary

WIKITEXT = {"name": "wikitext", "path": "here", "validation": 0.2, "test": 0.2, "tokens": "blanks", "lowercase": False,
            "min_count": 1, "bptt": 3, "shift": True}  # fmt: skip
DOCS = {"name": "python_docs", "split_seed": 0, "validation": 0.1, "test": 0.1, "tokens": "words", "lowercase": True,
        "min_count": 3, "bptt": 35, "shift": True}  # fmt: skip


def made(root, node=WIKITEXT, **changed):
    return build.bind("dataset", node | changed, "dataset")(root)


def put(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_three_texts_are_read_as_published(tmp_path):
    """<eos> ends every line, an empty one too; a word that is only in val or test is <unk>."""
    put(tmp_path / "here", wiki_train_tokens=" b a \n \n a <unk> b\n", wiki_valid_tokens="a new\n", wiki_test_tokens="b b")
    task = made(tmp_path)
    assert task.words == ("<unk>", "<eos>", "a", "b") and task.vocabulary == 4
    assert task.splits["train"].tolist() == [3, 2, 1, 1, 2, 0, 3, 1]
    assert task.splits["val"].tolist() == [2, 0, 1] and task.splits["test"].tolist() == [3, 3, 1]


def test_one_text_is_cut_in_three_by_lines(tmp_path):
    (tmp_path / "here").write_bytes(b"\xef\xbb\xbf" + b"".join(b"a%d b\r\n" % n for n in range(10)))
    found = corpora.text_of(tmp_path, "here", 0.2, 0.1)
    assert [len(found[split]) for split in ("train", "val", "test")] == [7, 2, 1]
    assert found["train"][0] == "a0 b" and found["test"] == ["a9 b"]
    assert sum(found.values(), []) == [f"a{n} b" for n in range(10)]


def test_places_are_words(tmp_path):
    """Sequences of numbers of places, one of a tour in each line, are a text as they are."""
    (tmp_path / "tours").write_text("\n".join("17 4 99 4" if n % 2 else "17 17 3" for n in range(20)))
    task = made(tmp_path, path="tours")
    assert set(task.words) == {"<unk>", "<eos>", "17", "4", "99", "3"}


def test_signs_are_words_if_asked_and_small_letters(tmp_path):
    line = 'If "x_1" is None, raise!! '
    assert next(stream([line], "blanks", False)) == ["If", '"x_1"', "is", "None,", "raise!!", "<eos>"]
    assert next(stream([line], "words", True)) == ["if", '"', "x_1", '"', "is", "none", ",", "raise", "!!", "<eos>"]


def test_the_vocabulary_is_that_of_enough_words():
    lines = [["b", "a", "c", "<unk>"], ["b", "a"], ["b"]]
    assert vocabulary(lines, 1) == ("<unk>", "b", "a", "c")
    assert vocabulary(lines, 2) == ("<unk>", "b", "a")
    assert numbers(lines, ("<unk>", "b", "a")).tolist() == [1, 2, 0, 0, 1, 2, 1]
    with pytest.raises(UsageError, match="min_count=3 leaves 1 word of 4; type dataset.min_count=1"):
        vocabulary(lines, 3)


def test_the_topics_of_python_are_cut_by_topic_and_none_is_twice():
    topics = corpora.python_topics()
    every = [p for paragraphs in topics.values() for p in paragraphs]
    assert len(every) == len(set(every)) > 1000 and not any("\n" in p or re.search(r"[*=]{5}$", p) for p in every)
    one, two = (corpora.by_topic(topics, 0.1, 0.1, seed) for seed in (0, 1))
    for found in (one, two):
        assert sorted(sum(found.values(), [])) == sorted(every)
        whole = sum(map(len, every))
        for split in ("val", "test"):
            assert 0.08 < sum(map(len, found[split])) / whole <= 0.1
            assert all(set(p) <= set(found[split]) or not set(p) & set(found[split]) for p in topics.values())
    assert one["test"] != two["test"] and one == corpora.by_topic(topics, 0.1, 0.1, 0)


def test_the_fingerprint_is_of_content_and_of_options(tmp_path, monkeypatch):
    put(tmp_path / "here", train_txt="a b c a b c\n" * 5, valid_txt="a c\n" * 5, test_txt="c a\n" * 5)
    put(tmp_path / "there", new_train="a b c a b c\n" * 5, new_dev="a c\n" * 5, new_test="c a\n" * 5)
    first = made(tmp_path).fingerprint
    assert made(tmp_path, path="there").fingerprint == first == made(tmp_path, validation=0.3).fingerprint
    assert len({first, *(made(tmp_path, **{k: v}).fingerprint for k, v in (("bptt", 2), ("shift", False)))}) == 3
    put(tmp_path / "there", new_dev="a b\n" * 5)
    assert made(tmp_path, path="there").fingerprint != first
    docs = made(None, DOCS).fingerprint
    assert made(None, DOCS, split_seed=1).fingerprint != docs
    topics = corpora.python_topics()
    monkeypatch.setattr(corpora, "python_topics", lambda: topics)
    topics["assert"].append("One more.")  # as in another version of Python
    import lottery.components.datasets.python_docs as module

    monkeypatch.setattr(module, "python_topics", lambda: topics)
    assert made(None, DOCS).fingerprint != docs


LONG = "a b c a b c\n" * 9
REFUSED = {  # what lies there and what is asked -> what the line says
    "nothing": ({}, {}, "there is no .*here; give a text, or a folder with three: dataset.path=FILE"),
    "no path": ({}, {"path": ""}, "name a text"),
    "a device": ({}, {"path": "/dev/zero"}, "/dev/zero is no file"),
    "an empty folder": ({"here/.keep": ""}, {}, "no text with train in its name .it has: no file.*give the file itself"),
    "no test": ({"here/train.txt": LONG, "here/dev.txt": LONG}, {}, "no text with test in its name .it has: dev.txt, train.txt"),
    "two of one": ({"here/train.txt": LONG, "here/train.raw": LONG}, {}, "several files with train in their names, train.raw, train.txt; keep one"),
    "empty": ({"here/train": " \n\n", "here/val": LONG, "here/test": LONG}, {}, "train has no words"),
    "latin": ({"here": b"caf\xe9\n" * 9}, {}, r"no text in UTF-8 \(byte 3\); type: iconv -f LATIN1 -t UTF-8 .*here > NEW"),
    "windows": ({"here": "a é\n".encode("utf-16")}, {}, r"no text in UTF-8 \(byte 0\); type: iconv -f UTF-16 -t UTF-8 .*here > NEW"),
    "wide": ({"here": "a b\n".encode("utf-16-be")}, {}, "zero bytes; type: iconv -f UTF-16BE -t UTF-8 .*here > NEW"),
    "an archive": ({"here": b"\x1f\x8b\x08\0\0"}, {}, "unpack it: gunzip < .*here > NEW"),
    "a zip": ({"here": b"PK\x03\x04\0\0\x0a"}, {}, "unpack it: unzip .*here, then give dataset.path"),
    "zeros": ({"here": b"a\0b cde"}, {}, "it has zero bytes; give a text"),
    "one line": ({"here": "a b " * 1999}, {}, "too few lines to be cut in three .1; none is left for .*fold -s -w 500 .*here > NEW"),
    "one short line": ({"here": "a b " * 99}, {}, "too few lines to be cut in three .1; none is left for train.; it is too short: give a longer text, dataset.path=FILE"),
    "few lines": ({"here": "a b\n" * 4}, {"validation": 0.1, "test": 0.1}, "none is left for val.; type dataset.validation=0.2 dataset.test=0.2"),
    "all is test": ({"here": LONG}, {"test": 0.8, "validation": 0.2}, "leave nothing to train on; type dataset.validation=0.1 dataset.test=0.1"),
    "no share": ({"here": LONG}, {"test": 20}, "dataset.test=20 is a share of the text.*type dataset.test=0.1"),
    "rare words": ({"here": LONG}, {"min_count": 99}, "min_count=99 leaves 0 words of 4; type dataset.min_count=1"),
    "no count": ({"here": LONG}, {"min_count": 0}, "min_count=0 is below 1; type dataset.min_count=1"),
    "no bptt": ({"here": LONG}, {"bptt": 0}, "bptt=0 is below 1; type dataset.bptt=35"),
    "no tokens": ({"here": LONG}, {"tokens": "letters"}, "dataset.tokens: there is no 'letters'.*choose from blanks, words"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_text_is_told_in_a_line(tmp_path, case):
    files, changed, line = REFUSED[case]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=line) as caught:
        made(tmp_path, **changed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", ["latin", "windows", "wide", "an archive", "one line", "few lines"])
def test_what_is_typed_then_works(tmp_path, monkeypatch, case):
    files, _, _ = REFUSED[case]
    data = "".join(f"one more caf\xe9 {n}\n" for n in range(99))
    data = {"latin": data.encode("latin-1"), "windows": data.encode("utf-16"), "wide": data.encode("utf-16-le"), "an archive": gzip.compress(data.encode())}.get(case) or files["here"].encode()
    (folder := tmp_path / "a folder").mkdir()
    (folder / "my text.txt").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        corpora.text_of(folder, "my text.txt", 0.1, 0.1)
    *_, typed = str(caught.value).split("; ")
    if case == "few lines":
        shares = [float(word.partition("=")[2]) for word in typed.removeprefix("type ").split()]
        assert all(corpora.text_of(folder, "my text.txt", *shares).values())
        return
    subprocess.run(typed.partition(": ")[2], shell=True, check=True)
    (made,) = tmp_path.glob("NEW*")
    assert all(corpora.text_of(tmp_path, made.name, 0.1, 0.1).values())


def test_a_text_of_the_folder_that_one_is_in_is_pointed_at(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text(LONG)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"type dataset.path={tmp_path / 'mine.txt'}"):
        made(tmp_path / "data", path="mine.txt")


def test_a_python_without_its_topics_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydoc_data.topics", None)
    with pytest.raises(UsageError, match="no pydoc_data.topics .*dataset=wikitext dataset.path=FILE"):
        made(None, DOCS)
