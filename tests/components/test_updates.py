"""Dynamic sparse training: RigL against a loop written by hand, exact counts, the same bits again."""

import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from lottery.config import build
from lottery.pruning import regrow
from lottery.storage.links import follow
from lottery.storage.settings import read_config
from lottery.storage.store import Shelf
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.kept import mask_of
from lottery.terms.step import Step

FAST = ["prune.update.every=2it", "prune.update.until=0.8", "levels=1", "schedule.keep=0.4"]


def place(folder, index=1):
    return folder / f"level_{index:02d}"


def tensors(folder, file, prefix="weights/", index=1):
    found = load_file(place(folder, index) / f"{file}.safetensors")
    return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}


def final_mask(folder, index=1):
    return mask_of(Shelf(folder.parents[2], follow(place(folder, index))))


def first_mask(folder, index=1):
    shapes = {k: v.shape for k, v in tensors(folder, "ticket", index=index).items()}
    return masks.unpack(tensors(folder, "ticket", "mask/", index), shapes)


def test_exchange_drops_the_smallest_and_grows_the_best():
    """Of four kept weights half go: 1 and 2; growth ranks 9, 8 among what is then pruned."""
    mask = {"a": torch.tensor([True, True, True, True, False, False])}
    weights = {"a": torch.tensor([1.0, -4, 3, -2, 0, 0])}
    growth = {"a": torch.tensor([7.0, 9, 9, 0, 8, 1])}
    after = regrow.exchange(mask, weights, growth, 0.5)
    assert after["a"].tolist() == [True, True, True, False, True, False]  # the first comes back


def test_exchange_leaves_dense_and_empty_layers():
    mask = {"a": torch.tensor([True, True]), "b": torch.tensor([False, False])}
    weights = {n: torch.ones(2) for n in mask}
    assert regrow.exchange(mask, weights, weights, 0.9) == mask


@pytest.mark.parametrize(
    ("step", "share"),
    [(0, None), (1, None), (4, 0.3 * (1 + math.cos(math.pi * 4 / 9)) / 2), (8, 0.3 * (1 + math.cos(math.pi * 8 / 9)) / 2), (10, None), (12, None)],
)
def test_the_share_falls_with_a_cosine(step, share):
    options = {"every": "2it", "until": "0.75", "fraction": 0.3, "anneal": "cosine"}
    found = regrow.share_at(Step(step, 4), Step(12, 4), options)
    assert found == (share if share is None else pytest.approx(share))
    if share is not None:
        assert regrow.share_at(Step(step, 4), Step(12, 4), options | {"anneal": "constant"}) == 0.3


def by_hand(folder, every, until, fraction):
    """RigL with SGD and momentum in a plain loop: masks multiplied, momentum of the dropped cleared."""
    settings = read_config(folder / "config.yaml")
    task = build.bind("dataset", settings["dataset"], "d")(folder).prepare(
        batch_size=12, device=torch.device("cpu")
    )
    model = build.bind("model", settings["model"], "m")(task)
    model.load_state_dict(tensors(folder, "ticket"))
    mask = {n: m.float() for n, m in first_mask(folder).items()}
    parameters = dict(model.named_parameters())
    moment = {n: torch.zeros_like(p) for n, p in parameters.items()}
    data = seeds.derive("data", 0)
    for step in range(12):
        pixels, labels = list(task.batches("train", step // 4, data))[step % 4]
        loss = F.cross_entropy(model(pixels), labels)
        grads = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values()))))
        with torch.no_grad():
            if step and step % every == 0 and step < until:
                share = fraction / 2 * (1 + math.cos(math.pi * step / until))
                for name, m in mask.items():
                    kept = int(m.sum())
                    moved = int(share * kept)
                    size = torch.where(m.bool(), parameters[name].abs(), -torch.ones_like(m))
                    stays = torch.zeros(m.numel())
                    stays[size.flatten().argsort(descending=True, stable=True)[: kept - moved]] = 1
                    grow = torch.where(stays.bool(), -torch.ones_like(stays), grads[name].abs().flatten())
                    stays[grow.argsort(descending=True, stable=True)[:moved]] = 1
                    mask[name] = stays.view_as(m)
                    moment[name] *= mask[name]
                    parameters[name] *= mask[name]
                continue
            for name, parameter in parameters.items():
                keep = mask.get(name, torch.ones(()))
                gradient = (grads[name] + 1e-4 * parameter) * keep
                moment[name] = gradient if step == 0 else 0.9 * moment[name] + gradient
                parameter -= 0.05 * moment[name]
    return mask, dict(model.state_dict())


def test_rigl_is_the_algorithm_of_the_paper(run):
    folder = run("prune=rigl", "prune/allocation=uniform", *FAST)
    mask, end = by_hand(folder, every=2, until=round(0.8 * 12), fraction=0.3)
    ours = final_mask(folder)
    assert any(not torch.equal(ours[n], first_mask(folder)[n]) for n in ours)
    for name in mask:
        assert torch.equal(ours[name], mask[name].bool()), name
    for name, value in tensors(folder, "end").items():
        torch.testing.assert_close(value, end[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["set", "rigl"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_each_layer_keeps_its_count_and_pruned_weights_are_zero(run, method, optimizer):
    folder = run(f"prune={method}", f"train/optimizer={optimizer}", "prune.update.anneal=constant", *FAST)
    before, after = first_mask(folder), final_mask(folder)
    assert {n: int(m.sum()) for n, m in before.items()} == {n: int(m.sum()) for n, m in after.items()}
    assert any(not torch.equal(before[n], after[n]) for n in before)
    masks.check_zero(tensors(folder, "end"), after)
    table = pd.read_csv(folder / "metrics.csv")
    assert table["kept"][1] == round(0.4 * table["total"][1])


def test_the_dense_level_is_shared_with_static_methods(run, capsys):
    run("prune=random", *FAST[2:])
    run("prune=rigl", *FAST)
    assert "1 trained, 1 shared" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adam", marks=pytest.mark.slow)])
def test_a_moved_mask_comes_back_from_a_checkpoint(run, tmp_path, optimizer, monkeypatch):
    """The mask is state: a run resumed at any step ends with the bits of one that went through."""
    from lottery.machine import signals
    from lottery.training import train
    from lottery.training.resume import checkpoint

    words = ["prune=rigl", f"train/optimizer={optimizer}", *FAST]
    whole = run(*words, "outputs=whole")
    whole = next((tmp_path / "whole").glob("*/*/replicate_0"))
    stops = iter(range(3, 30, 2))
    stop = next(stops)
    steps = train.steps

    def interrupted(training, end):
        for step in steps(training, end):
            yield step
            if any(not bool(m.all()) for m in training.mask.values()) and step == stop:
                checkpoint(training, places[0])
                places[0].settle()
                raise KeyboardInterrupt

    places = []
    resume = train.resume

    def noted(start, checkpoints, watch, strict):
        places[:] = [checkpoints]
        return resume(start, checkpoints, watch, strict)

    monkeypatch.setattr(train, "steps", interrupted)
    monkeypatch.setattr(train, "resume", noted)
    for _ in range(4):
        run(*words, code=130)
        stop = next(stops)
    monkeypatch.setattr(train, "steps", steps)
    signals.forget()
    again = run(*words)
    for name in ("end", "mask", "ticket"):
        file = f"{name}.safetensors"
        assert (place(again) / file).read_bytes() == (place(whole) / file).read_bytes()


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("prune.update.fraction=1.5", "prune.update.fraction: 1.5 is not between 0 and 1"),
        ("prune.update.anneal=slowly", "'slowly' is neither cosine nor constant"),
        ("prune.update.every=0it", "prune.update.every=0it is no length"),
        ("prune.update.until=late", "'late' names no step of training"),
        ("prune/structure=neuron", "rigl moves single weights"),
    ],
)
def test_what_cannot_be_is_refused_before_training(run, word, line, capsys):
    more = ["prune/allocation=globally", "prune.update.every=2it"] if "structure" in word else []
    assert run("prune=rigl", word, *more, code=2) is None
    assert line in capsys.readouterr().err


def test_slimming_shrinks_batchnorm_scales(run):
    """The gradient of s * |g| pulls every scale towards 0 by lr * s a step, beside all else."""
    words = ["model=resnet20", "model.depth=8", "model.width=2", "dataset.size=8", "levels=0",
             "train.optimizer.momentum=0", "train.optimizer.weight_decay=0", "train.length=1it",
             "train/lr=constant"]  # fmt: skip
    folder, slim = run(*words), run(*words, "train.slimming=0.5")
    start = tensors(folder, "ticket", index=0)
    plain, pulled = tensors(folder, "end", index=0), tensors(slim, "end", index=0)
    norms = {n.rpartition(".")[0] for n in start if n.endswith("running_mean")}
    for name in start:
        shift = plain[name] - pulled[name]
        if name.rpartition(".")[0] in norms and name.endswith(".weight"):
            torch.testing.assert_close(shift, 0.05 * 0.5 * start[name].sign(), rtol=1e-4, atol=1e-6)
        else:
            assert torch.equal(plain[name], pulled[name])
