"""What a run will need is asked once: of its rewind, its branches, and the ticket that it brings."""

import pytest

from lottery.experiment import settled
from lottery.experiment.recorded_run import finished
from lottery.terms.step import Span


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_rewind_and_a_branch_are_asked_once(lottery, tiny, monkeypatch, command):
    """Before anything is trained, however often checks, cost, space and plan need the answer."""
    made, real = [], settled.Wish.__init__
    monkeypatch.setattr(
        settled.Wish, "__init__", lambda self, of: (made.append(1), real(self, of))[1]
    )
    words = ["rewind=step", "rewind.to=1ep", "prune.at=2ep", "branch=[shuffle,reinit]"]
    assert lottery(command, *tiny, *words) == 0
    assert len(made) == 1 + 2


def test_what_is_settled_of_a_run_that_is_to_be_read(run):
    folder = run("rewind=step", "rewind.to=1ep", "branch=[shuffle]", "branch_levels=[2]", "levels=2")
    found = finished(folder, 1, "", "a test").run.settled
    assert found.length.iteration == 12  # 3 epochs of 4 steps
    assert (found.span(0), found.span(1)) == (Span(0, 12), Span(4, 12))
    assert found.trainings == [(0, ""), (1, ""), (2, ""), (2, "shuffle")]
    assert found.rewind.steps == (4,) and found.rewind.source == ("step", "4")
    assert (found.wanted(0), found.wanted(1)) == ({4}, set())
    assert (found.density(0), found.density(2)) == (1, pytest.approx(0.64))
    assert found.brought is None and found.fingerprint is None
    assert not (found.rewind.drew or found.branch("shuffle").drew)


def test_a_ticket_settles_mask_density_and_fingerprint(run):
    first = run("levels=1")
    words = ["rewind=ticket", f"rewind.path={first / 'level_01'}", "levels=2"]
    level = finished(run(*words), 1, "", "a test")
    found = level.run.settled
    assert {n: m.tolist() for n, m in found.brought.items()} == {
        n: m.tolist() for n, m in level.mask.items()
    }
    share = sum(int(m.sum()) for m in level.mask.values()) / 80
    assert (found.density(1), found.density(2)) == (share, pytest.approx(share * 0.8))
    assert found.fingerprint.endswith(" 0it")  # no step was typed, so that of the file counts
