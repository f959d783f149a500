"""Tables on narrow and on wide terminals: nothing is broken, and what has no room is said."""

import shlex

import pytest

from lottery.results import formats, sanity
from lottery.results.results import level_table


@pytest.fixture
def looked(fabricate, lottery, capsys, monkeypatch):
    """Return the lines of a looking command on a terminal of so many columns; 0: a file."""
    for k in range(3):
        fabricate(replicate=k, test=(0.97, 0.965 + 0.001 * k, 0.95))
        fabricate(name="a_name_that_is_rather_long_for_a_terminal_of_sixty", ident="b" * 10, replicate=k,
                  test=(0.97, 0.96 - 0.001 * k, 0.94), choices={"prune": "another_method"},
                  config={"prune.criterion.name": "random"})  # fmt: skip

    def call(columns, *words):
        if columns:
            monkeypatch.setenv("COLUMNS", str(columns))
        else:
            monkeypatch.delenv("COLUMNS", raising=False)
        assert lottery(*words) == 0
        return capsys.readouterr().out.splitlines()

    return call


def test_tables_fit_sixty_columns_and_say_what_they_leave_out(looked):
    whole = looked(0, "ls")
    assert looked(200, "ls") == whole
    for words in (["ls"], ["compare"]):
        lines = looked(60, *words)
        assert max(map(len, lines)) <= 60, words
    narrow = looked(60, "compare")
    (head,) = [line.split() for line in narrow if line.startswith("density")]
    assert head == ["density", "run", "mean", "…", "verdict", "p"]
    assert "…" not in "".join(looked(60, "compare", "format=markdown"))
    assert looked(200, "compare") == looked(0, "compare")
    shown = looked(60, "show", "aaaaaaaaaa/replicate_0")
    place = next(i for i, line in enumerate(shown) if line.startswith("level "))
    assert all(len(line) <= 60 for line in shown[place : place + 4])
    assert shown[place].split() == ["level", "density", "compression", "…", "val", "acc", "test", "acc",
                                    "vs", "dense"]  # fmt: skip


def test_a_table_of_levels_is_as_it_was_in_a_file(monkeypatch):
    rows = [{"level": 0, "density": 1.0, "compression": 1.0, "kept": 1000, "total": 1000,
             "val_accuracy": 0.5, "test_accuracy": 0.97},
            {"level": 1, "density": 0.8, "compression": 1.25, "kept": 800, "total": 1000,
             "val_accuracy": None, "test_accuracy": 0.96}]  # fmt: skip
    assert level_table(rows).splitlines() == [
        "level   density compression            kept/total  val acc test acc vs dense",
        "    0    1.0000       1.00x      1,000/1,000         50.00    97.00",
        "    1    0.8000       1.25x        800/1,000                  96.00    -1.00",
    ]
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, level_table(rows).splitlines())) <= 40


def test_words_lose_their_middle_before_columns_go():
    lines = [
        ["job", "steps", "time"],
        ["prune=imp train.optimizer.lr=0.1 replicate=1", "12,000", "3 min"],
    ]
    found, heads = formats.fitting([list(line) for line in lines], {"steps", "time"}, 45)
    assert heads == ["job", "steps", "time"]
    assert "…" in found[1][0]
    assert found[1][1:] == ["12,000", "3 min"]
    found, heads = formats.fitting([list(line) for line in lines], {"steps", "time"}, 30)
    assert heads[-1] == formats.CUT
    assert formats.fitting(lines, (), None) == (lines, lines[0])


def test_verdicts_on_tickets_stay_on_a_narrow_terminal(monkeypatch):
    row = {"level": 1, "density": 0.8, "replicates": 3, "ticket": 0.9639, "shuffle": 0.9657, "random": None,
           "reinit": None, "difference": -0.0019, "low": -0.028, "high": 0.0243, "family": 3,
           "verdict": sanity.UNKNOWN}  # fmt: skip
    monkeypatch.delenv("COLUMNS", raising=False)
    assert sanity.sanity_table([row]).splitlines()[1:] == [
        "level  density   n  ticket shuffle  ticket - controls         verdict",
        f"    1   0.8000   3   96.39   96.57  -0.19 (-2.80 to +2.43)    {sanity.UNKNOWN}",
    ]
    monkeypatch.setenv("COLUMNS", "60")
    lines = sanity.sanity_table([row]).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[-2].split() == ["level", "density", "n", "verdict", "…"]
    assert lines[-1].endswith(sanity.UNKNOWN)


def test_prose_is_wrapped_and_a_command_stays_one_that_can_be_typed(monkeypatch):
    command = "lottery run -m model=lenet_300_100 'dataset.mean=[0.5, 0.25]' prune=imp,random replicate=0,1,2"
    text = (
        f"  command     {command}\n"
        "  warning     level 3: layers.0 is without a weight left; no signal reaches the output\n"
        "note: A is left out (damaged; type lottery run model=resnet20 dataset=digits: it goes on)\n"
        "  short       x  y"
    )
    monkeypatch.delenv("COLUMNS", raising=False)
    assert formats.wrapped(text) == text
    monkeypatch.setenv("COLUMNS", "60")
    lines = formats.wrapped(text).splitlines()
    assert max(map(len, lines)) <= 60
    place = next(i for i, line in enumerate(lines) if line.startswith("  warning"))
    typed = "\n".join(lines[:place]).replace("  command     ", "", 1)
    assert shlex.split(typed.replace("\\\n", "")) == shlex.split(command)
    assert lines[place + 1][:14] == " " * 14 and lines[place + 1][14] != " "
    assert lines[-2] == "  lottery run model=resnet20 dataset=digits: it goes on)"
    assert lines[-1] == "  short       x  y"


def test_nothing_that_show_says_is_wider_than_the_terminal(looked):
    for words in (["show", "aaaaaaaaaa/replicate_0"], ["show", "bbbbbbbbbb/replicate_1"]):
        lines = looked(60, *words)
        wide = [line for line in lines if len(line) > 60]
        assert all("/" in line for line in wide), wide  # a path has no place to be broken at
