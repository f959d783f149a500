"""What a command leaves on the screen when it is done: a table, a line a run, a branch's table."""

import re

from lottery.experiment import conclusion
from lottery.storage.records import locked

HEAD = "level   density compression"


def test_a_sweep_prints_its_first_table_and_a_line_a_run_after_it(run, capsys):
    run("-m", "replicate=0,1,2", "levels=1")
    out = capsys.readouterr().out
    assert out.count(HEAD) == 1
    first, _, rest = out.partition("replicate=1: ")
    assert first.count("levels: 2 trained") == 1
    told = ["replicate=1: " + rest.splitlines()[0], rest.splitlines()[1]]
    for k, line in zip((1, 2), told, strict=True):
        assert re.fullmatch(
            rf"replicate={k}: level 1, density 0\.8\d*, test \d+\.\d\d % \([+-]\d+\.\d\d to dense\), "
            rf"2 trained; outputs/\S+/replicate_{k}", line,
        ), line  # fmt: skip
    run("-m", "replicate=0,1", "levels=1")  # again: nothing is trained
    out = capsys.readouterr().out
    assert out.count(HEAD) == 1
    assert ", 2 already there; outputs/" in out


def test_where_the_first_run_fails_the_first_that_is_done_has_the_table(run, capsys):
    run("-m", "train.optimizer.lr=1e30,0.05,0.04", "levels=0", code=6)
    out = capsys.readouterr().out
    assert out.count(HEAD) == 1
    assert "train.optimizer.lr=0.04: level 0, density 1, test " in out


def test_a_single_run_prints_its_table(run, capsys):
    run("levels=1")
    assert capsys.readouterr().out.count(HEAD) == 1


def test_branch_prints_the_table_of_the_branch_and_no_other(run, lottery, capsys):
    folder = run("levels=2", "branch=[reinit]")
    capsys.readouterr()
    assert lottery("branch", folder, "branch=shuffle", "levels=2") == 0
    out = capsys.readouterr().out
    assert out.count(HEAD) == 1
    head, *lines = out.splitlines()
    assert head.startswith("branch shuffle")
    table = lines[1 : lines.index("")]
    assert [line.split()[0] for line in table] == ["0", "2"]
    assert "levels: " in out


def test_a_sweep_ends_with_the_verdict_over_all_replicates_of_each_config(run, capsys):
    folder = run("-m", "prune=imp,random", "replicate=0,1", "levels=1", "branch=[shuffle]")
    assert folder
    out = capsys.readouterr().out
    jobs, _, end = out.partition("\nsweep: 4 of 4 runs done")
    assert HEAD in jobs
    assert "shuffle" not in jobs.partition("replicate=1: ")[2]
    assert end.count("_imp/") == 2 + 1
    assert end.count("_random/") == 2 + 1


def test_the_table_is_made_before_another_process_may_take_the_run(run, monkeypatch):
    """Else `lottery clean` could remove what is to be read for it."""
    held, real = [], conclusion.closing

    def closing(made, *given):
        held.append(locked(made.run.folder / ".lock"))
        return real(made, *given)

    monkeypatch.setattr(conclusion, "closing", closing)
    run("levels=0")
    assert held == [True]
