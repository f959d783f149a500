"""When a mask is made: a rule that finds it while training, against a literal queue of masks."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lottery.components.moments.early_bird import early_bird
from lottery.errors import UsageError
from lottery.experiment.looking import Looked, Timeline
from lottery.experiment.recorded_run import finished
from lottery.nets.compact import compact
from lottery.results.plotting.drawing import draw
from lottery.results.tidy import load
from lottery.storage.store import Shelf
from lottery.terms.copying import load_
from lottery.terms.looks import distance
from lottery.terms.step import Span, Step, parse
from lottery.training.start import build

SIZE = 4  # steps an epoch
QUIET = ["prune/at=early_bird", "prune.at.every=1it", "prune.at.window=2", "prune.at.most=8it"]


class Planted:
    """Masks that were planted, one at the end of each epoch."""

    def __init__(self, *masks, layers=1):
        self.masks, self.seen, self.said = masks, [], []
        self.layers = layers

    def steps(self, every, most):
        pace, last = (parse(text, SIZE, SIZE * len(self.masks)).iteration for text in (every, most))
        return [Step(at, SIZE) for at in range(pace, last + 1, pace)]

    def mask(self, step):
        self.seen.append(step.iteration)
        bits = torch.tensor(self.masks[step.iteration // SIZE - 1], dtype=torch.bool)
        parts = bits.chunk(self.layers)
        return {str(n): part for n, part in enumerate(parts)}

    def warn(self, text):
        self.said.append(text)


def asked(looks, window=3, threshold=0.25, every="1ep", most="end"):
    return early_bird(looks, window=window, threshold=threshold, every=every, most=most).iteration


def by_hand(masks, window, threshold):
    """Return the epoch of the paper's algorithm: a queue, and all distances to its newest."""
    queue = []
    for epoch, mask in enumerate(masks, start=1):
        queue = [*queue, mask][-window:]
        apart = [sum(a != b for a, b in zip(mask, one)) / len(mask) for one in queue[:-1]]
        if len(queue) == window and max(apart) <= threshold:
            return epoch
    return len(masks)


A, B, C, D = [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1], [1, 1, 1, 0]


def test_the_distance_is_the_share_of_weights_that_differ():
    one = {"a": torch.tensor([True, True, False]), "b": torch.tensor([[False]])}
    other = {"a": torch.tensor([True, False, True]), "b": torch.tensor([[True]])}
    assert distance(one, other) == 3 / 4 and distance(one, one) == 0


def test_a_planted_sequence():
    """A, C, A: half and all of it differ; then A stands still for three epochs in a row."""
    looks = Planted(A, C, A, D, A, A)
    assert asked(looks, threshold=0.25) == 5 * SIZE  # A, D, A: a quarter differs, exactly met
    assert looks.seen == [4, 8, 12, 16, 20] and not looks.said
    assert asked(Planted(A, C, A, D, A, A, A), threshold=0.24) == 7 * SIZE
    assert asked(Planted(A, C, A, D, A, A), window=2, threshold=0.0) == 6 * SIZE
    assert asked(Planted(A, C, A, D, A, A, layers=2), threshold=0.25) == 5 * SIZE


def test_the_newest_is_compared_with_each_not_with_the_one_before():
    """A drifts by a quarter an epoch: its neighbours are close, the ends of the window are not."""
    drift = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    looks = Planted(*drift)
    assert asked(looks, threshold=0.25) == 4 * SIZE and "0.5 from one before it" in looks.said[0]


@pytest.mark.parametrize("seed", range(20))
def test_a_queue_by_hand(seed):
    draw = torch.Generator().manual_seed(seed)
    still = torch.rand(30, 10, generator=draw) < torch.linspace(0.5, 0.02, 30)[:, None]
    masks = (torch.rand(1, 10, generator=draw) < 0.5) ^ still
    for window, threshold in ((2, 0.1), (3, 0.2), (5, 0.3), (5, 0.1)):
        found = by_hand(masks.tolist(), window, threshold)
        assert asked(Planted(*masks.tolist()), window, threshold) == found * SIZE


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7])
def test_a_threshold_that_is_exactly_met(threshold):
    one, other = [0] * 30, [1] * round(30 * threshold) + [0] * (30 - round(30 * threshold))
    assert asked(Planted(one, other, other), 2, threshold) == 2 * SIZE


@pytest.mark.parametrize("mask", [[1, 1, 1, 1], [0, 0, 0, 1]], ids=["density 1", "ties"])
def test_masks_that_never_change_are_found_with_the_first_full_window(mask):
    assert asked(Planted(*[mask] * 6), window=5, threshold=0.0) == 5 * SIZE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"window": 5}, "there are 3, one each 1ep up to end; type prune.at.window=3"),
        ({"window": 1}, "window=1 masks cannot be compared"),
        ({"threshold": 1.5}, "threshold=1.5 is no share"),
        ({"threshold": -0.1}, "threshold=-0.1 is no share"),
    ],
)
def test_settings_that_find_nothing(settings, said):
    with pytest.raises(UsageError, match=said):
        asked(Planted(A, B, C), **settings)


def test_where_a_rule_may_look():
    line = Timeline(lambda at: parse(at, SIZE, 40), Span(6, 40), Step(40, SIZE))
    assert [step.iteration for step in line.between("1ep", "0.5")] == [8, 12, 16, 20]
    assert [step.iteration for step in line.between("16it", "end")] == [16, 32]
    for words, said in ((("0it", "end"), "no length"), (("1ep", "11ep"), "after the end"), (("1ep", "7it"), "no mask")):
        with pytest.raises(UsageError, match=said):
            line.between(*words)


def test_every_two_masks_are_held_against_each_other():
    masks = dict(zip((4, 8, 12), (A, C, D)))

    def made(step):
        return {"a": torch.tensor(masks[step][:3]).bool(), "b": torch.tensor([masks[step][3:]]).bool()}

    looked = Looked(Timeline(lambda at: parse(at, SIZE, 12), Span(0, 12), Step(12, SIZE)), made, watch=None)
    for step in looked.steps("1ep", "end"):
        assert all(torch.equal(one, two) for one, two in zip(looked.mask(step).values(), looked.at(step.iteration).values()))
    assert looked.distances() == [(8, 4, 1.0), (12, 4, 0.25), (12, 8, 0.75)]


def rows(folder, name):
    (file,) = (folder / "analyses").glob(f"{name}-*.csv")
    return list(csv.DictReader(file.read_text().splitlines()))


@pytest.mark.slow
def test_a_level_has_the_mask_of_the_moment_that_was_found(run, lottery, tmp_path):
    folder = run(*QUIET, "prune.at.threshold=0.05", "prune.nested=false", "rewind=scored", "schedule=listed",
                 "schedule.densities=[0.5,0.25]")  # fmt: skip
    entries = json.loads((folder / "manifest.json").read_text())["levels"]
    for index in (1, 2):
        found = finished(folder, index, "", "a test")
        step = int(entries[f"level_{index:02}"]["moment"])
        dense = finished(folder, 0, "", "a test")
        state = dense.state(Step(step, 4))
        assert found.ticket.span == Span(step, 12)
        sizes = torch.cat([state.weights[n].abs().flatten() for n in found.mask])
        keep = torch.cat([m.flatten() for m in found.mask.values()])
        assert sizes[keep].min() >= sizes[~keep].max()
        for name, mask in found.mask.items():  # trained on from there
            assert torch.equal(found.ticket.weights[name], state.weights[name] * mask)
        (row,) = (r for r in rows(folder, "early_bird") if int(r["level"]) == index)
        assert float(row["epoch"]) == step / 4 and row["key"] == found.shelf.key
        looks = int(row["looks"])
        pairs = [r for r in rows(folder, "early_bird_distances") if int(r["level"]) == index]
        assert looks == step and len(pairs) == looks * (looks - 1) // 2  # a look each step
        cost = dict(list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))[index])
        assert int(cost["ticket_steps"]) == 12  # those before the moment, and those after it
        assert float(row["search_share"]) == pytest.approx(step / 12)
    same = ["prune.at=8it", "prune.nested=false", "rewind=scored", "schedule=listed", "schedule.densities=[0.5,0.25]"]
    other = run(*QUIET, "prune.at.threshold=0", "prune.at.every=8it", "prune.at.most=8it", *same)
    assert json.loads((other / "manifest.json").read_text())["levels"]["level_01"].keys() == {"key"}
    assert lottery("verify", f"outputs={tmp_path / 'outputs'}", "level=1") == 0


@pytest.mark.slow
def test_a_rule_that_finds_nothing_says_so_and_takes_the_last(run, capsys):
    folder = run(*QUIET, "prune.at.threshold=0", "levels=1", "prune.criterion={name:random}", "prune.nested=false")
    (row,) = rows(folder, "early_bird")
    assert (row["found"], float(row["epoch"])) == ("yes", 0.5)  # random scores are those of the replicate
    folder = run(*QUIET, "prune.at.threshold=0", "levels=1", "train.optimizer.lr=1")
    (row,) = rows(folder, "early_bird")
    assert (row["found"], float(row["epoch"])) == ("no", 2.0)
    assert "no 2 masks in a row were alike up to 8it" in capsys.readouterr().err


def test_the_same_command_finds_what_was_there(run, lottery, capsys):
    folder = run(*QUIET, "levels=1", "branch=[shuffle]")
    before = {p: p.read_bytes() for p in folder.rglob("*.csv")}
    (folder / rows_file(folder)).write_text("odd")
    again = run(*QUIET, "levels=1", "branch=[shuffle]")
    assert again == folder and {p: p.read_bytes() for p in folder.rglob("*.csv")} == before
    assert "it is kept as" in capsys.readouterr().err


@pytest.mark.slow
def test_a_branch_that_is_added_later_starts_at_the_moment_too(run, lottery):
    """Branches stand in the manifest beside their level, which alone says what was found."""
    words = [*QUIET, "prune.nested=false", "rewind=scored", "levels=1"]
    folder = run(*words, "branch=[hold,naive]")
    before = {name: (folder / name).read_bytes() for name in ("metrics.csv", "branches.csv")}
    costs = {r["branch"]: int(r["ticket_steps"]) for r in csv.DictReader(before["branches.csv"].decode().splitlines())}
    assert (costs["hold"], costs["naive"]) == (12, 14)  # two to the mask (twice for naive), ten of its own
    run(*words, "branch=[hold,naive]")
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert lottery("branch", folder, "branch=reorder") == 0
    level, added = (finished(folder, 1, name, "a test") for name in ("", "reorder"))
    assert added.ticket.span == level.ticket.span == Span(2, 12)
    assert lottery("branch", folder, "branch=shuffle") == 0
    state, moved = finished(folder, 0, "", "a test").state(Step(2, 4)), finished(folder, 1, "shuffle", "a test")
    for name, mask in moved.ticket.mask.items():
        assert torch.equal(moved.ticket.weights[name], state.weights[name] * mask)


def rows_file(folder):
    return next(p.relative_to(folder) for p in (folder / "analyses").glob("early_bird-*.csv"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prune.at=early_bird"], "type prune/at=early_bird"),
        (["prune/at=early_bird"], "no mask to make each 1ep; type prune.at.every=1it"),  # in a quarter of 3 epochs
        ([*QUIET, "prune.at.most=end", "rewind=scored"], "type prune.at.most=0.5, or rewind=init"),
        ([*QUIET, "rewind=scored"], "type prune.nested=false"),
        (["rewind=scored"], "nothing left to train"),
        (["prune.at=null"], "prune.at"),
        ([*QUIET, "prune.at.most=5ep"], "most=5ep is after the end"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(lottery, tiny, capsys, words, said):
    assert lottery("run", *tiny, *words) == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1
    assert not Path("outputs").exists()


def test_a_plan_says_at_most(lottery, tiny, capsys):
    assert lottery("plan", *tiny, *QUIET, "rewind=scored", "prune.nested=false", "time=no") == 0
    said = capsys.readouterr().out
    assert "at most 10  train" in said and "scored: as a rule finds, at 2it at the earliest, at most 2ep" in said
    lottery("plan", *tiny, *QUIET, "rewind=scored", "prune.nested=false", "time=no", "format=json")
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert (job["steps_are"], job["scored_from_to"], job["steps"]) == ("at most", [2, 8], 12 + 2 * 10)


@pytest.mark.slow
def test_steps_are_text_whatever_they_look_like(lottery, tiny):
    for word, shown in (("prune.at=0.5", "0.5"), ("prune.at=2ep", "2ep"), ("prune.at=1", "1")):
        assert lottery("run", *tiny, word, "levels=0", f"name={shown}") == 0
    written = [p.read_text() for p in sorted(Path("outputs").glob("*/*/*/config.yaml"))]
    found = [line for text in written for line in text.splitlines() if line.startswith("  at:")]
    assert found == ["  at: '0.5'", "  at: '1'", "  at: 2ep"]


@pytest.mark.slow
def test_the_figure_frames_the_moment(run, tmp_path):
    run(*QUIET, "levels=2", "prune.nested=false", "prune.at.threshold=0.05")
    drawn = draw("mask_distance", load(tmp_path / "outputs"))
    panels = [axes for axes in drawn.figure.axes if axes.get_title()]
    assert len(panels) == 2 and "found at epoch" in panels[0].get_title()
    assert set(drawn.table) == {"level", "density", "epoch", "other_epoch", "distance"}
    for settings, said in (({"of": "magic"}, "no masks that magic"), ({"level": [7]}, "level 7")):
        with pytest.raises(UsageError, match=said):
            draw("mask_distance", load(tmp_path / "outputs"), settings)


KILLED = ["model=resnet20", "model.depth=8", "model.width=4", "dataset=digits", "dataset.subsample=200", "levels=2",
          "model.bn_scale=ones", "train.length=8ep", "train.batch_size=20", "prune=early_bird", "rewind=scored",
          "prune.at.every=2it", "prune.at.window=4", "prune.at.most=0.5", "prune.at.threshold=0.02", "host.threads=1",
          "checkpoint_every=5it", "schedule=listed", "schedule.densities=[0.6,0.4]"]  # fmt: skip


def left(folder):
    """Return what a run promises: its masks and weights, and what the rule has seen."""
    found = {}
    for index in range(3):
        level = finished(folder, index, "", "a test")
        assert isinstance(level.shelf, Shelf)
        found[index] = (level.shelf.key, level.manifest["files"]["end.safetensors"])
    for name in ("early_bird", "early_bird_distances"):
        every = rows(folder, name)
        found[name] = [{k: v for k, v in row.items() if "seconds" not in k} for row in every]
    return found


@pytest.mark.slow
def test_a_kill_at_any_point_of_the_search_ends_with_the_same_bits(tmp_path):
    command = [sys.executable, "-m", "lottery", "run", *KILLED]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*command, f"outputs={whole}"], check=True, capture_output=True)
    kills = 0
    for delay in (0.2, 0.6, 0.0, 1.0):
        child = subprocess.Popen([*command, f"outputs={broken}"], stdout=-3, stderr=-3)
        marks = len(list(broken.rglob("*")))
        while child.poll() is None and len(list(broken.rglob("*"))) == marks:
            time.sleep(0.01)
        time.sleep(delay)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.wait()
    subprocess.run([*command, f"outputs={broken}"], check=True, capture_output=True)
    one, other = (left(next(place.glob("*/*/replicate_0"))) for place in (whole, broken))
    assert kills and one == other


@pytest.mark.slow
def test_a_ticket_that_is_cut_out_trains_like_the_masked_net(lottery, tmp_path, monkeypatch):
    """As many steps of plain SGD on the same batches, without the channels and under the mask."""
    monkeypatch.chdir(tmp_path)
    assert lottery("run", *[w for w in KILLED if w != "levels=2"], "levels=1", "train.optimizer.weight_decay=0") == 0
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    assert lottery("compact", folder, "level=1", "at=start") == 0
    assert (folder / "compact_level_01_start" / "compact.safetensors").exists()
    level = finished(folder, 1, "", "a test")
    model = build(level.run.parts, level.run.task)
    load_(model, level.ticket.weights)
    nets = [model, compact(model, level.ticket.mask, level.run.task)]
    assert sum(p.numel() for p in nets[1].parameters()) < 0.8 * sum(p.numel() for p in nets[0].parameters())
    for x, y in [(batch, torch.arange(8) % 10) for batch in torch.randn(5, 8, 1, 8, 8, generator=torch.Generator().manual_seed(0))]:
        losses = []
        for net in nets:
            net.train()
            loss = torch.nn.functional.cross_entropy(net(x), y)
            net.zero_grad()
            loss.backward()
            with torch.no_grad():
                for name, p in net.named_parameters():
                    keep = level.ticket.mask[name] if net is model and name in level.ticket.mask else 1
                    p -= 0.05 * p.grad * keep
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
