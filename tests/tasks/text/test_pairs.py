"""Pairs of lines from files and from catalogues: what is read, what is refused, BLEU as sacrebleu's."""

import os
import struct
import subprocess
import sys

import pytest
import sacrebleu
import torch

from lottery.components.datasets.numbers import draw
from lottery.config import build
from lottery.errors import UsageError
from lottery.tasks.text import catalogues
from lottery.tasks.text.bleu import bleu
from lottery.tasks.text.byte_pairs import BytePairs
from lottery.tasks.text.number_words import english, german
from lottery.tasks.text.parallel import pairs_of
from lottery.tasks.text.vocabulary import SPECIAL

PARALLEL = {"name": "parallel", "path": "pairs", "languages": [], "vocabulary": 290, "longest": 0, "tokens": 0, "sentences": 0,
            "beam": 1, "penalty": 0.6}  # fmt: skip
CATALOGUES = {"name": "catalogues", "path": "locale", "language": "de", "names": False, "validation": 0.2, "test": 0.2,
              "vocabulary": 290, "tokens": 0, "sentences": 0, "beam": 1, "penalty": 0.6}  # fmt: skip


def made(root, node, **changed):
    return build.bind("dataset", node | changed, "dataset")(root)


def write(folder, **texts):
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def mo(messages, order="<", charset="UTF-8", encoding="utf-8"):
    """Return a .mo file of messages, as msgfmt writes it."""
    header = f"Content-Type: text/plain; charset={charset}\nPlural-Forms: nplurals=2; plural=(n != 1);\n"
    pairs = sorted((k.encode(encoding), v.encode(encoding)) for k, v in {"": header, **messages}.items())
    at, tables, data = 28 + 16 * len(pairs), [b"", b""], b""
    for side in (0, 1):
        for pair in pairs:
            tables[side] += struct.pack(f"{order}2I", len(pair[side]), at + len(data))
            data += pair[side] + b"\0"
    head = struct.pack(f"{order}7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + tables[0] + tables[1] + data


def put(root, language="de", **files):
    folder = root / "locale" / language / "LC_MESSAGES"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name.replace('__', '-')}.mo").write_bytes(data)


def test_lines_are_pairs_and_english_comes_first(tmp_path):
    write(tmp_path / "pairs", train_en=" a b \n\nc\n", train_de="A B\r\nX\r\nC\n", dev_en="d", dev_de="D\n", test_en="e\n", test_de="E")
    found = pairs_of(tmp_path, "pairs", [])
    assert found == {"train": [("a b", "A B"), ("c", "C")], "val": [("d", "D")], "test": [("e", "E")]}
    assert pairs_of(tmp_path, str(tmp_path / "pairs"), ["de", "en"])["train"] == [("A B", "a b"), ("C", "c")]


BOTH = {f"{split}_{language}": "one two\n" * 3 for split in ("train", "val", "test") for language in ("en", "de")}
REFUSED = {
    "no path": ({}, {"path": ""}, "give the folder"),
    "nothing": ({}, {"path": "gone"}, "gone is not there; give a folder with train.en"),
    "a file": ({}, {"path": "pairs/note"}, "note is no folder"),
    "an empty folder": (dict.fromkeys(BOTH), {}, "two training files, such as train.en and train.de, but"),
    "three languages": ({"train_fr": "x"}, {}, r"type dataset.languages=\[de,en\]"),
    "no such language": ({}, {"languages": ["en", "fr"]}, "has no train.fr"),
    "one language": ({}, {"languages": ["en"]}, "source and target, two of the endings"),
    "the same twice": ({}, {"languages": ["en", "en"]}, "source and target, two of the endings"),
    "three named": ({}, {"languages": ["en", "de", "de"]}, "source and target, two of the endings"),
    "no val": ({"val_de": None}, {}, "has no valid.de or val.de or dev.de; it takes train, val and test in both"),
    "other lengths": ({"test_de": "one\n"}, {}, "test.en has 3 lines and test.de 1"),
    "empty": ({"val_en": ""}, {}, "val.en has no words"),
    "one side": ({"val_en": "a\n\n", "val_de": "\nb\n"}, {}, "no line of .*val.en has words on both sides"),
    "latin": ({"train_de": b"gr\xfc\xdfe\n" * 3}, {}, "no text in UTF-8.*iconv"),
    "few": ({}, {"vocabulary": 100}, "vocabulary=100 is below 260.*; type dataset.vocabulary=8000"),
    "long": ({}, {"longest": 1}, "type dataset.longest=0"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_parallel_text_is_told_in_a_line(tmp_path, case):
    files, changed, said = REFUSED[case]
    write(tmp_path / "pairs", note="", **{name: text for name, text in (BOTH | files).items() if text is not None})
    with pytest.raises(UsageError, match=said) as caught:
        made(tmp_path, PARALLEL, **changed)
    assert "\n" not in str(caught.value)


def test_long_pairs_are_left_out_of_training_alone(tmp_path):
    long = "a b\n" + "far too long for this one " * 9 + "\n"
    write(tmp_path / "pairs", train_en=long, train_de="x y\nz\n", val_en=long, val_de="x\ny\n", test_en="a\n", test_de="a\n")
    task = made(tmp_path, PARALLEL, longest=20)
    assert [pair[0] for pair in task.splits["train"].pairs] == ["a b"] and task.size("val") == 2
    assert len(task.splits["train"].source) == len(task.splits["train"].target) == 1


def test_bleu_is_sacrebleus(tmp_path):
    said = ["the cat sat on a mat .", "Hello , world", "42"]
    wanted = ["the cat sat on the mat .", "Hello , World !", "42 things"]
    judge = bleu("dataset=parallel")
    assert judge.score(said, wanted) == sacrebleu.corpus_bleu(said, [wanted]).score
    for part in ("nrefs:1", "case:mixed", "tok:13a", f"version:{sacrebleu.__version__}"):
        assert part in judge.signature
    assert judge.score(wanted, wanted) == pytest.approx(100)
    write(tmp_path / "pairs", **BOTH | {"train_de": "one two\neins two\none two three\n"})
    task = made(tmp_path, PARALLEL)
    sources, targets = zip(*task.splits["train"].pairs, strict=True)
    assert task.chance == sacrebleu.corpus_bleu(sources, [targets]).score  # of who says it as it is
    assert task.measured_by == {"bleu": judge.signature} and task.metrics[0].error == "ceiling_minus"


@pytest.mark.parametrize(("module", "node"), [("sacrebleu", PARALLEL), ("tokenizers", PARALLEL), ("sacrebleu", CATALOGUES)])
def test_a_missing_extra_is_one_line(tmp_path, monkeypatch, module, node):
    monkeypatch.setitem(sys.modules, module, None)
    write(tmp_path / "pairs", **BOTH)
    with pytest.raises(UsageError, match=rf"needs {module}; type: pip install 'lottery\[translate\]'"):
        made(tmp_path, node)


def test_numbers_need_no_extra(monkeypatch):
    for module in ("sacrebleu", "tokenizers"):
        monkeypatch.setitem(sys.modules, module, None)
    node = {"name": "numbers", "examples": 20, "validation": 4, "test": 4, "split_seed": 0} | {k: PARALLEL[k] for k in ("tokens", "sentences", "beam", "penalty")}
    assert made(None, node).size("train") == 20


def test_byte_pairs_are_of_the_training_text_and_lose_nothing():
    lines = [f(number) for number in draw(200, 0) for f in (english, german)]
    words, again = BytePairs(lines, 300), BytePairs(lines, 300)
    assert words.content == again.content and words.size == 300
    for line in ("one hundred", "Grüße, 日本!", "<pad> <end>", "a  b"):
        (numbers,) = words.numbers([line])
        assert min(numbers) >= len(SPECIAL) and max(numbers) < 300 and words.line([1, *numbers, 2, 0]) == line
    assert BytePairs(lines, 290).content != words.content


def test_a_catalogue_as_msgfmt_writes_it():
    messages = {
        "Open the file": "Öffne die Datei", "menu\x04Save it": "Sichere es", "%d file\x00%d files": "%d Datei\x00%d Dateien", "": "x",
    }  # fmt: skip
    wanted = [("%d file", "%d Datei"), ("Open the file", "Öffne die Datei"), ("Save it", "Sichere es")]
    for order in "<>":
        assert catalogues.catalogue(mo({k: v for k, v in messages.items() if k}, order)) == wanted
    assert catalogues.catalogue(mo({"Open it": "Öffne es"}, charset="ISO-8859-1", encoding="latin-1")) == [("Open it", "Öffne es")]


WHOLE = mo({"Open the file": "Öffne die Datei", "No": "Nein"})
BROKEN = {
    "empty": b"", "text": b"msgid hello world, and so on", "head": WHOLE[:19], "cut": WHOLE[:-9], "tables": WHOLE[:40],
    "revision": WHOLE[:4] + b"\0\0\x09\0" + WHOLE[8:], "many": WHOLE[:8] + b"\xff\xff\xff\x7f" + WHOLE[12:],
    "charset": mo({"a b": "c d"}, charset="x-klingon"), "no text": mo({"a b": "c d"}, charset="zlib"),
    "bytes": mo({"a b": "ä ö"}, charset="UTF-8", encoding="latin-1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_catalogue_is_left_out_and_told(tmp_path, capsys, case):
    with pytest.raises(ValueError, match=r"\w") as caught:
        catalogues.catalogue(BROKEN[case])
    assert "\n" not in str(caught.value)
    put(tmp_path, good=WHOLE, bad=BROKEN[case])
    assert catalogues.messages(tmp_path, "locale", "de", False) == [("Open the file", "Öffne die Datei")]
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "1 of 2 catalogues are left out" in line and "bad.mo (" in line


def test_any_bytes_are_pairs_or_a_value_error():
    draw = torch.Generator().manual_seed(0)
    for _ in range(300):
        data = bytearray(WHOLE)
        for at, value in zip(torch.randint(len(data), (3,), generator=draw), torch.randint(256, (3,), generator=draw), strict=True):
            data[int(at)] = int(value)
        try:
            assert all(isinstance(side, str) for pair in catalogues.catalogue(bytes(data)) for side in pair)
        except ValueError:
            continue


def test_which_messages_are_taken(tmp_path):
    one = {"Open the file": "Öffne Datei", "Quit": "Beenden jetzt", "a b": "a b", "two\nlines here": "zwei Zeilen", " Go  on ": "Weiter so", "x " * 31: "y " * 31}
    put(tmp_path, one=mo(one), two=mo({"Open the file": "Die Datei"}), three=mo({"Open the file": "Die Datei"}), iso_639=mo({"New Guinea": "Neu Guinea"}))
    (tmp_path / "locale" / "more").mkdir()
    os.symlink(tmp_path / "locale", tmp_path / "locale" / "more" / "loop")
    found = catalogues.messages(tmp_path, "locale", "de", False)
    assert found == [("Go on", "Weiter so"), ("Open the file", "Die Datei")]
    assert ("New Guinea", "Neu Guinea") in catalogues.messages(tmp_path, "locale", "de", True)


def test_splits_follow_the_source_alone():
    pairs = [(english(number), german(number)) for number in draw(400, 0)]
    found, fewer = (catalogues.by_hash(some, 0.2, 0.1) for some in (pairs, pairs[::2]))
    assert sum(map(len, found.values())) == 400 and 20 <= len(found["test"]) <= 60 and 50 <= len(found["val"]) <= 110
    assert all({*fewer[split]} <= {*found[split]} for split in found)
    signs = catalogues.by_hash([(f"Open it{s}", s) for s in ("", ":", "...")] + pairs, 0.2, 0.1)
    assert sorted(sum("Open it" in a for a, _ in own) for own in signs.values()) == [0, 0, 3]


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"path": "gone"}, "gone is no folder"), ({"language": "fr"}, r"there is no fr/LC_MESSAGES/\*.mo below .*there are de"),
     ({"language": "../x"}, "is no language; type dataset.language=de"), ({"test": 3}, "test=3 is a share of the pairs.*type dataset.test=0.1"), ({"test": 0.5, "validation": 0.5}, "nothing to train on; type dataset.validation=0.1 dataset.test=0.1"),
     ({}, "too few pairs of lines .1")],
)  # fmt: skip
def test_catalogues_that_cannot_be_are_told(tmp_path, changed, said):
    put(tmp_path, good=WHOLE)
    with pytest.raises(UsageError, match=said) as caught:
        made(tmp_path, CATALOGUES, **changed)
    assert "\n" not in str(caught.value)


def test_the_fingerprint_is_that_of_what_was_read(tmp_path):
    pairs = {english(number): german(number) + " ja" for number in draw(60, 0) if " " in english(number)}
    put(tmp_path, one=mo(pairs))
    first = made(tmp_path, CATALOGUES)
    (tmp_path / "other" / "deep").mkdir(parents=True)
    (tmp_path / "locale").rename(tmp_path / "other" / "deep" / "share")
    again = made(tmp_path, CATALOGUES, path="other")
    assert again.fingerprint == first.fingerprint and again.words.content == first.words.content
    put(tmp_path / "other" / "deep", one=mo(pairs | {"one more": "noch einer"}))
    assert made(tmp_path, CATALOGUES, path="other/deep/locale").fingerprint != first.fingerprint


@pytest.mark.slow
def test_a_machines_own_catalogues(lottery, tmp_path, capsys):
    """A run on made-up catalogues: BLEU in every table, with its arrow, and how it was measured."""
    put(tmp_path, one=mo({english(number): german(number) + " ja" for number in draw(300, 0) if " " in english(number)}))
    words = ["dataset=catalogues", f"data={tmp_path}", "dataset.path=locale", "dataset.vocabulary=300", "model.width=16", "model.hidden=16",
             "train.length=1ep", "train.warmup=0it", "levels=1", "host.threads=1", "host.progress=none"]  # fmt: skip
    assert lottery("run", *words) == 0
    assert lottery("show", "transformer_tiny_catalogues_imp") == 0
    assert "test bleu" in capsys.readouterr().out


@pytest.mark.slow
def test_byte_pairs_are_the_same_in_another_process():
    code = "from lottery.tasks.text.byte_pairs import BytePairs; import hashlib; print(hashlib.sha256(BytePairs([str(n * n) + ' x' for n in range(3000)], 500).content.encode()).hexdigest())"
    found = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}).stdout for seed in "12"}
    assert len(found) == 1
