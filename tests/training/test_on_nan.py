"""Numbers that are not finite: found by the step alone, never by when a checkpoint is due."""

import pytest
import torch
from safetensors.torch import load_file

from lottery.storage.records import read_run

# Tiny gradients whose squares overflow Adam's second moment: infinity that no weight shows.
OVERFLOW = ["train/optimizer=adam", "train.optimizer.lr=0.001", "dataset.std=[1e-23]", "levels=1"]


@pytest.mark.parametrize("every", ["60s", "1it", "2it", "5it"])
def test_when_a_checkpoint_is_due_decides_nothing(run, capsys, every):
    """An optimizer may overflow before any weight does: seen at the next row, whatever was saved."""
    folder = run(*OVERFLOW, f"checkpoint_every={every}", code=6)
    said = capsys.readouterr().err
    assert "what the optimizer keeps of it is not finite after step 4;" in said
    for path in folder.parents[2].glob("store/*/checkpoint-*"):
        assert all(bool(t.isfinite().all()) for t in load_file(path).values()), path


def test_ignore_goes_on_with_it(run):
    run(*OVERFLOW, "train.on_nan=ignore", "levels=0")


def test_a_rollback_says_when_it_has_tried_enough(run, capsys):
    run("train.optimizer.lr=1e30", "train.on_nan=rollback", "levels=0", code=6)
    said = capsys.readouterr().err
    assert said.count("going back to step") == 8
    assert "it was rolled back 8 times" in said


def test_a_search_that_overflows_is_found_at_once_and_not_saved(run, capsys):
    words = ["prune=edge_popup", "prune.criterion.lr=1e38", "levels=1", "checkpoint_every=1it"]
    folder = run(*words, code=6)
    assert "a score is not finite after" in capsys.readouterr().err
    for path in folder.glob("scoring_*/checkpoint-*"):
        floats = [t for t in load_file(path).values() if t.is_floating_point()]
        assert all(bool(torch.isfinite(t).all()) for t in floats), path


def test_the_command_that_finishes_a_run_stays_on_record(run):
    folder = run("levels=2")
    assert "levels=2" in read_run(folder)["command"]
    run("levels=1")
    assert "levels=2" in read_run(folder)["command"]
    run("levels=3")
    assert "levels=3" in read_run(folder)["command"]
