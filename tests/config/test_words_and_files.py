"""Whatever words and yaml files hold: exit code 2 and one line, or it works. Never 1."""

import pytest

from lottery.config import build as config
from lottery.config.compose import compose_each
from lottery.config.identity import run_folder
from lottery.errors import LotteryError, UsageError

VALUES = ["3", "1e400", "1" + "0" * 30, "nan", "true", "null", "", "[]", "[a,b]", "[[1],[2]]", "[null]", "{}", "{a:1}",
          "{name:3}", "-0.0", "\udc80"]  # fmt: skip
GROUPS = ["model", "dataset", "train", "prune", "schedule", "rewind", "branch", "log", "host", "experiment",
          "train/optimizer", "train/lr", "prune/structure", "prune/allocation", "prune/update", "prune/at"]  # fmt: skip
SETTINGS = """levels replicate branch_levels sanity strict name outputs data evaluate_every checkpoint_every
    train.length train.batch_size train.warmup train.clip train.precision train.slimming train.label_smoothing
    train.channels_last train.on_nan train.optimizer.lr train.optimizer.momentum train.optimizer.nesterov
    train.optimizer train.lr train.lr.name prune.at prune.rounds prune.path prune.nested prune.include prune.exclude
    prune.criterion prune.criterion.name prune.structure.name host.device host.threads host.deterministic
    host.progress model.depth model.width model.init model.name dataset.name dataset.validation schedule.keep
    schedule.name rewind.name branches loggers train.nesting +train.epochz ++host.cores""".split()
WORDS = [f"{key}={value}" for key in GROUPS + SETTINGS for value in VALUES]


@pytest.mark.parametrize("word", [pytest.param(w, marks=[pytest.mark.slow] * (n % 67 > 0)) for n, w in enumerate(WORDS)], ids=ascii)
def test_a_word_is_taken_or_refused_in_a_line(word):
    def bind(job):
        run_folder(job.settings, job.name)
        config.parts(job.settings)

    try:
        compose_each([word], bind)
    except LotteryError as error:
        assert error.code == 2
        assert "\n" not in str(error)


LAUGHS = "\n".join(["a: &a0 [x, x, x, x, x, x, x, x, x]"] + [
    f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)
])  # fmt: skip
FILES = {
    "deep": (b"x: " + b"[" * 2000 + b"]" * 2000, "nested more than 50 deep"),
    "a billion laughs": (LAUGHS.encode(), "aliases stand for more than 100,000 values"),
    "itself": (b"x: &a [*a]", "stands for what it is in"),
    "a call": (b"x: !!python/object/apply:os.getcwd []", "has the tag !!python"),
    "latin-1": (b"# caf\xe9\nlevels: 1\n", "line 1 is not in UTF-8"),
    "a list": (b"- 1\n- 2\n", "holds no settings"),
    "a number": (b"5", "holds no settings"),
    "a key twice": (b"levels: 1\nlevels: 2\n", "duplicate key"),
    "a tab": (b"\tlevels: 1\n", "this is no YAML"),
    "5,000 digits": (b"levels: " + b"9" * 5000, "digits"),
    "two documents": (b"levels: 1\n---\nlevels: 2\n", "line 2: this is no YAML"),
    "no key": (b"null: 1\n", "key type"),
    "a misspelt key": (b"levles: 1\n", "levels"),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_no_config_is_named(what, tmp_path):
    data, said = FILES[what]
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_bytes(b"# @package _global_\n" + data)
    with pytest.raises(UsageError) as caught:
        compose_each(["--config-dir", str(tmp_path), "experiment=own"], lambda job: None)
    assert said.replace("line 1 is", "line 2 is").replace("line 2: t", "line 3: t") in str(caught.value)
    assert "own" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xef\xbb\xbflevels: 2\n", b"levels: 2\r\n", b"", b"name: &n x\ntrain: {warmup: 0it}\n"])
def test_what_is_a_config_composes(data, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_bytes(data[:3] * data.startswith(b"\xef") + b"# @package _global_\n" + data.lstrip(b"\xef\xbb\xbf"))
    seen = []
    compose_each(["--config-dir", str(tmp_path), "experiment=own"], seen.append)
    if b"levels" in data:
        assert seen[0].settings["levels"] == 2


def test_an_experiment_without_its_first_line_is_told_so(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text("")
    with pytest.raises(UsageError, match="own.yaml: .* first line is not: # @package _global_"):
        compose_each(["--config-dir", str(tmp_path), "experiment=own"], lambda job: None)


def test_a_bug_of_ours_while_composing_is_no_fault_of_the_words(monkeypatch):
    def broken(config, besides=()):
        return {}["a bug"]

    monkeypatch.setattr("lottery.config.sweeping.refuse_others", broken.__class__(
        broken.__code__, {"__name__": "lottery.config.sweeping"}, None, ((),)
    ))  # fmt: skip
    with pytest.raises(KeyError):
        compose_each([], lambda job: None)


def test_bytes_that_are_no_text_are_told_so():
    with pytest.raises(UsageError, match="no UTF-8"):
        compose_each(["name=\udcff"], lambda job: None)


def test_a_container_without_a_home_or_a_folder(monkeypatch, capsys):
    import pwd
    from pathlib import Path

    from lottery import cli
    from lottery.config.blame import in_words
    from lottery.wording.text import expanded

    def lacks(error):
        def call(*_):
            raise error

        return call

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", lacks(KeyError("uid not found")))
    assert expanded("~/x") == Path("/~/x")
    with pytest.raises(RuntimeError) as caught:
        Path("~/x").expanduser()
    assert "export HOME=DIR" in str(in_words(caught.value))
    monkeypatch.delenv("LOTTERY_DATA", raising=False)
    assert cli.main(["doctor", "fast=true", "outputs=nowhere"]) in (0, 2, 4)
    said = "".join(capsys.readouterr())
    assert "this user has no home folder; type data=DIR" in said
    monkeypatch.setattr("os.getcwd", lacks(FileNotFoundError(2, "No such file or directory")))
    assert cli.main(["ls"]) == 2
    assert cli.main(["--help"]) == 0
    assert "has been removed; cd to one that is there" in capsys.readouterr().err
