"""Type what newcomers type: every line of newcomers.yaml, and what its answers say to type."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from lottery import cli
from lottery.config import answers

HABITS = yaml.safe_load((Path(__file__).parent / "newcomers.yaml").read_text())
COMMANDS = cli.commands()


def read(typed):
    """Return the command and the words that a line comes to; raises UsageError."""
    word, *rest = shlex.split(typed)
    if word == "help":
        word, rest = rest[0], ["--help"]
    if word not in COMMANDS:
        word, rest = answers.command_meant(word, rest, COMMANDS, cli.newest_run)
    if word == "plot":
        from lottery.commands.plot import named

        return [word, *named(rest)]
    return [word, *(answers.meant(word, rest) if word in ("run", "plan") and "--help" not in rest else rest)]


@pytest.mark.parametrize("habit", [h for h in HABITS if "is" in h], ids=lambda h: h["typed"])
def test_what_is_plain_simply_works(habit):
    assert read(habit["typed"]) == shlex.split(habit["is"])


@pytest.mark.parametrize("habit", [h for h in HABITS if "says" in h], ids=lambda h: h["typed"])
def test_what_is_not_plain_is_answered_in_one_line(habit, lottery, capsys, tmp_path, monkeypatch):
    for where in ("run", "plan"):
        monkeypatch.delattr(f"lottery.commands.{where}.compose_each")  # nothing is composed
    monkeypatch.setattr(answers, "complaint", lambda words: "")  # nor what is told to type: below
    assert lottery(*shlex.split(habit["typed"])) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("lottery: ") and "hydra" not in said
    bare = said.replace("'", "")
    assert [word for word in habit["says"] if word not in bare] == [], said
    assert not list(tmp_path.iterdir())


def commands_in(said):
    """Return the commands that a line prints: behind "type:", "or", and in backquotes."""
    behind = re.split(r" \((?:[^()]*)\)| or (?=lottery )", said.rpartition("; type: ")[2] if "; type: " in said else "")
    return [shlex.split(c)[1:] for c in [*behind, *re.findall(r"`([^`]+)`", said)] if c.strip().startswith("lottery ")]


def bound(words):
    """Compose and bind what the words of a run say, as a run does before it reads any data."""
    from lottery.config.build import parts
    from lottery.config.compose import compose_each

    found = []
    code = compose_each(words, lambda job: (parts(job.settings), found.append(job.settings)))
    return code, found


@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.slow)])
def test_every_command_of_an_answer_can_be_typed(lottery, capsys, monkeypatch, tmp_path, every):
    typed = {}
    with monkeypatch.context() as patch:
        for where in ("run", "plan"):
            patch.delattr(f"lottery.commands.{where}.compose_each")
        patch.setattr(answers, "complaint", lambda words: "")
        for habit in HABITS:
            if "says" in habit:
                lottery(*shlex.split(habit["typed"]))
                for command in commands_in(capsys.readouterr().err.strip()):
                    typed.setdefault(tuple(command), habit["typed"])
    assert len(typed) > 50
    monkeypatch.setattr("lottery.results.watching.server.Server.serve_forever", lambda server: None)
    (tmp_path / "DIR" / "experiment").mkdir(parents=True)
    (tmp_path / "DIR/experiment/mine.yaml").write_text("# @package _global_\nlevels: 1\n")
    for name in ("net", "x", "resnet18"):  # which somebody has, or `lottery import` makes first
        (tmp_path / f"{name}.safetensors").write_bytes(b"")
    (tmp_path / "FOLDER").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "FOLDER" / name).write_bytes(b"{}")
    for command, habit in list(typed.items())[::every]:
        if command[0] in ("run", "plan") and "--help" not in command:
            assert read(shlex.join(command)) == list(command), habit
            assert "--cfg" in command or bound(command[1:])[1], habit
        elif not {"RUN", "abc", "FILE"} & set(command):
            assert lottery(*command) in (0, 2), habit
            assert "no option" not in capsys.readouterr().err, habit


@pytest.mark.parametrize(("typed", "why"), [
    ("train=false test=true", "train=false names no option"), ("--pruner lt2", "prune: there is no 'lt2'"),
    ("vgg19 synflow 0.01", "'0.01' is no override"), ("--lr 0.1 --nope", "there is no flag '--nope'"), ("--epochs 3 zzz=1", "there is no setting 'zzz'"),
])  # fmt: skip
def test_what_cannot_be_composed_is_not_told_to_type(typed, why, lottery, capsys):
    assert lottery("run", *typed.split()) == 2
    said = capsys.readouterr().err
    assert why in said and "; type: " not in said and said.count("\n") == 1


@pytest.mark.parametrize("word", ["zzz=1", "sanitty=true", "prune=bogus", "frobnicate", "epochz=3", "--frob 1"])
def test_what_nobody_knows_is_refused_and_nothing_is_written(word, lottery, capsys, tmp_path):
    assert lottery("run", *word.split()) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_synonym_is_the_same_run(lottery, tiny, tmp_path):
    from lottery.config.identity import run_id

    ((one,), (other,)) = (bound(answers.meant("run", [*tiny, *w]))[1] for w in (["train.lr=0.01", "seed=2"], ["train.optimizer.lr=0.01", "replicate=2"]))
    assert run_id(one) == run_id(other) and one == other
