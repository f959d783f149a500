"""Pairs of lines: batches by length, the loss by hand, exact resume, exact masks, refusals."""

import json
import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from lottery.components.datasets.numbers import numbers
from lottery.components.models.transformer import Transformer, transformer
from lottery.errors import UsageError
from lottery.nets import counting
from lottery.pruning import scoring
from lottery.tasks.text.lines import Lines, cut
from lottery.tasks.text.translation import Split, Translation
from lottery.tasks.text.vocabulary import BEGIN, END, PAD, UNKNOWN
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.task import ones

OPTIONS = {"examples": 60, "validation": 12, "test": 13, "split_seed": 0, "tokens": 0, "sentences": 0, "beam": 1, "penalty": 0.6}
NET = {"width": 8, "encoder": 1, "decoder": 2, "heads": 2, "hidden": 12, "dropout": 0.1, "pre_norm": False, "init": "xavier_uniform"}
WORDS = ["dataset=numbers", "dataset.examples=60", "dataset.validation=12", "dataset.test=13", "model.width=8", "model.hidden=12",
         "model.heads=2", "model.encoder=1", "model.decoder=1", "train.batch_size=12", "train.length=2ep", "train.warmup=0it",
         "host.threads=1", "host.progress=none"]  # fmt: skip


def made(batch_size=7, smoothing=0.0, **changed):
    return numbers(None, **OPTIONS | changed).prepare(batch_size=batch_size, device=torch.device("cpu"), label_smoothing=smoothing)


@pytest.fixture
def task():
    return made()


@pytest.fixture
def net(task):
    torch.manual_seed(0)
    return transformer(task, **NET)


def test_lines_of_any_length():
    lines = Lines.of([[5, 6], [], [7]])
    assert len(lines) == 3 and lines.lengths.tolist() == [2, 0, 1]
    assert lines.padded(torch.tensor([1, 0]), after=END).tolist() == [[END, PAD, PAD], [5, 6, END]]
    assert lines.padded(torch.tensor([2]), before=BEGIN).tolist() == [[BEGIN, 7]]


@pytest.mark.parametrize(
    ("lines", "tokens", "batches"),
    [(9, 0, [(0, 5)]), (2, 0, [(0, 2), (2, 4), (4, 5)]), (9, 6, [(0, 3), (3, 4), (4, 5)]), (9, 12, [(0, 4), (4, 5)]), (1, 99, [(n, n + 1) for n in range(5)])],
)  # fmt: skip
def test_batches_are_cut_by_lines_and_by_tokens(lines, tokens, batches):
    assert cut(torch.tensor([1, 2, 2, 3, 9]), lines, tokens) == batches


def test_a_batch_is_its_pairs(task):
    batch = task.picked("train", torch.tensor([3, 0]))
    for row, number in enumerate((3, 0)):
        source, target = task.splits["train"].pairs[number]
        words = task.words.numbers([source, target])
        assert [t for t in batch["source"][row].tolist() if t != PAD] == [*words[0], END]
        assert [t for t in batch["given"][row].tolist() if t != PAD] == [BEGIN, *words[1]]
        assert [t for t in batch["wanted"][row].tolist() if t != PAD] == [*words[1], END]
        assert task.words.line(batch["wanted"][row].tolist()) == target
    assert task.count(batch) == 2 and task.weight(batch) == sum(len(task.words.numbers([task.splits["train"].pairs[n][1]])[0]) + 1 for n in (3, 0))
    assert all(torch.equal(t, batch[name][1:]) for name, t in task.cut(batch, 1, 2).items())
    assert task.words.numbers(["one lakh"])[0] == [task.words.known["one"]] and task.words.numbers(["four"])[0] != [UNKNOWN]


@pytest.mark.parametrize("tokens", [0, 40])
def test_an_epoch_has_every_pair_once_in_batches_of_like_lengths(tokens):
    task = made(tokens=tokens)
    every = {epoch: list(task.batches("train", epoch, 3)) for epoch in (0, 1)}
    for batches in every.values():
        lines = sorted(task.words.line(row) for b in batches for row in b["wanted"].tolist())
        assert lines == sorted(target for _, target in task.splits["train"].pairs)
        assert len(batches) == task.steps_per_epoch
        assert all(task.count(b) <= 7 and (not tokens or task.count(b) == 1 or task.count(b) * max(b["source"].shape[1], b["wanted"].shape[1]) <= tokens) for b in batches)
    assert tokens == 0 or task.steps_per_epoch > made().steps_per_epoch == 9
    one, two = ([b["wanted"].tolist() for b in every[epoch]] for epoch in (0, 1))
    assert sorted(map(str, one)) != sorted(map(str, two))  # others meet, and in another order
    for start in (0, 1, 4, task.steps_per_epoch - 1):
        tail = [b["wanted"].tolist() for b in task.batches("train", 1, 3, start)]
        assert tail == two[start:]
    assert next(task.batches("train", 1, 4))["wanted"].tolist() != two[0]
    assert [task.count(b) for b in task.batches("val", 0, 0)] == [12] and task.size("dev") == 0


class Endless(torch.nn.Module):
    """A net that has learned nothing and never says that a line ends."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def begin(self, source):
        return self.net.begin(source)

    def advance(self, words, state):
        scores, state = self.net.advance(words, state)
        return scores.index_fill(1, torch.tensor([END]), -math.inf), state


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("ends", [True, False])
def test_what_a_line_becomes_depends_on_no_other(net, beam, ends):
    """Alone, and beside longer ones: a line has at most 50 tokens more than its own source."""
    net.eval()
    said, task = net if ends else Endless(net), made(beam=beam)
    split = task.splits["train"]
    together = task.translated(said, "train", 6)
    for row, pair in enumerate(split.pairs[:6]):
        alone = Split([pair], split.source.picked([row]), split.target.picked([row]))
        assert replace(task, splits={"train": alone}).translated(said, "train", 1) == [together[row]]
    assert len(set(split.source.lengths[:6].tolist())) > 1


def test_the_loss_is_the_mean_over_target_tokens(task, net):
    """By hand: token by token, smoothed in training and never in evaluation."""
    batch, smooth = task.picked("train", torch.tensor([3, 0, 5])), made(smoothing=0.1)
    net.eval()
    scores = net(*task.inputs(batch)).log_softmax(-1).detach()
    plain, soft = [], []
    for row in range(3):
        for place, word in enumerate(batch["wanted"][row].tolist()):
            if word != PAD:
                plain.append(-scores[row, place, word])
                soft.append(0.9 * plain[-1] - 0.1 * scores[row, place].mean())
    torch.testing.assert_close(task.loss(net, batch).detach(), sum(plain) / len(plain))
    torch.testing.assert_close(smooth.loss(net, batch).detach(), sum(soft) / len(soft))
    warm = F.cross_entropy(net(*task.inputs(batch)).flatten(0, 1) / 2, batch["wanted"].flatten(), ignore_index=PAD)
    torch.testing.assert_close(task.loss(net, batch, 2.0), warm)
    parts = [task.cut(batch, 0, 1), task.cut(batch, 1, 3)]
    whole = sum(task.loss(net, part) * task.weight(part) for part in parts) / task.weight(batch)
    torch.testing.assert_close(whole, task.loss(net, batch))


@torch.no_grad()
def test_evaluation_is_line_by_line(net):
    """By brute force: each pair alone; what is said by the scores of whole lines."""
    task, nats, tokens, right = made(smoothing=0.1, sentences=9), 0.0, 0, 0
    net.eval()
    for row, (_, target) in enumerate(task.splits["test"].pairs):
        batch = task.picked("test", torch.tensor([row]))
        scores = net(*task.inputs(batch))[0].log_softmax(-1)
        nats -= float(sum(scores[place, word] for place, word in enumerate(batch["wanted"][0])))
        tokens += len(batch["wanted"][0])
        said = [BEGIN]
        while len(said) < 60:
            following = net(batch["source"], torch.tensor([said]))[0, -1]
            following[[PAD, BEGIN]] = -math.inf
            if int(following.argmax()) == END:
                break
            said.append(int(following.argmax()))
        right += row < 9 and task.words.line(said) == target
    net.train()
    found = task.evaluate(net, "test")
    assert net.training and found["exact"] == right / 9
    assert found["loss"] == pytest.approx(nats / tokens, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-5)


def test_a_net_that_knows_nothing_has_the_perplexity_of_the_vocabulary(task):
    class Even(torch.nn.Module):
        def forward(self, source, given):
            return torch.zeros(*given.shape, task.vocabulary)

    assert task.evaluate(Even(), "val")["perplexity"] == pytest.approx(task.vocabulary)

    class Lost(Even):
        def forward(self, source, given):
            return super().forward(source, given) + torch.nan

    assert math.isnan(task.evaluate(Lost(), "val")["perplexity"])


def test_examples_touch_no_data_and_scoring_draws_from_its_generator(task):
    one, many = task.example(1), task.example(5)
    assert task.count(many) == 5 and all(torch.equal(one[name], many[name][:1]) for name in one)
    assert one["given"].shape == one["wanted"].shape and one["given"][0, 0] == BEGIN
    whole = task.scoring_batches(torch.Generator().manual_seed(3), size=10, batch=4)
    again = task.scoring_batches(torch.Generator().manual_seed(3), size=10, batch=4)
    assert [task.count(b) for b in whole] == [4, 4, 2]
    assert all(torch.equal(a["source"], b["source"]) for a, b in zip(whole, again, strict=True))
    assert sum(task.count(b) for b in task.scoring_batches(torch.Generator())) == 60
    for asked, line in (({"per_class": 3}, "per_class=0"), ({"by_class": True}, "halves=false")):
        with pytest.raises(UsageError, match=line):
            task.scoring_batches(torch.Generator(), **asked)


def test_the_fingerprint_is_of_content_and_of_options():
    first = made().fingerprint
    assert first == made(batch_size=5).fingerprint
    others = [made(**{name: value}).fingerprint for name, value in (("split_seed", 1), ("tokens", 50), ("sentences", 5), ("beam", 2), ("penalty", 1.0))]
    assert len({first, *others}) == 6


def test_source_target_and_output_are_one_parameter_pruned_where_asked(task, net):
    assert masks.names(net)["embedding.weight"] == ("embedding.weight", "fc.weight")
    whole = masks.dense(net)
    assert "embedding.weight" not in whole and sum(m.numel() for m in whole.values()) == 3 * (4 * 64) + 2 * (4 * 64) + 3 * (2 * 96)
    asked = masks.dense(net, include=["*", "embedding"])
    assert asked.keys() - whole.keys() == {"embedding.weight"}
    assert masks.dense(net, include=["*", "fc"]).keys() == asked.keys()
    assert masks.dense(net, exclude=["fc"]).keys() == whole.keys()
    masks.apply_(net, {"embedding.weight": torch.zeros(task.vocabulary, 8, dtype=torch.bool)})
    assert not net.fc.weight.any()


def test_macs_are_those_of_every_product(task, net):
    """By brute force, from shapes: each weight as often as tokens pass it, products of attention apart."""
    source, target = (task.example(1)[name].shape[1] for name in ("source", "given"))
    found = counting.forward(net, task)
    for name, macs in found.layers.items():
        times = source if name.startswith("encoder") or "cross.k" in name or "cross.v" in name else target
        size = dict(net.named_parameters())[name].numel()
        assert macs == times * size, name
    assert found.rest == 2 * 8 * (source * source + 2 * (target * target + target * source))
    assert "embedding.weight" in found.layers and found.layers["embedding.weight"] == target * 8 * task.vocabulary


def test_a_signal_stands_in_place_of_vectors(task, net):
    given = ones(task, net, torch.float64, torch.device("cpu"))
    assert [tuple(t.shape[2:]) for t in given] == [(8,), (8,)] and net.double()(*given).shape[2] == task.vocabulary
    with pytest.raises(UsageError, match="no embedding"):
        task.signal(torch.nn.Linear(2, 2))


def test_scores_have_second_derivatives(task, net):
    whole, draw = masks.dense(net), torch.Generator().manual_seed(0)
    settings = {"per_class": 0, "size": 6, "batch": 6, "augment": False, "mode": "eval", "temperature": 1.0}
    with scoring.probing(net, whole, task, draw, **settings) as probe:
        slopes = scoring.gradients(probe, 0, create_graph=True)
        total = sum((g**2).sum() for g in slopes.values())
        assert all(g.isfinite().all() for g in scoring.derive(total, probe.weights).values())


def test_settings_of_the_net_that_cannot_be(task):
    for changed, line in (({"heads": 3}, "type model.width=12"), ({"dropout": 1.0}, "dropout: 1"), ({"decoder": 0}, "decoder: 0 is too small")):
        with pytest.raises(UsageError, match=line):
            transformer(task, **NET | changed)


def test_the_same_seed_draws_the_same_net(task):
    one, two = (seeded(task, 5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert float(seeded(task, 5, width=64, hidden=8).embedding.weight.detach().std()) == pytest.approx(1 / 8, rel=0.05)


def seeded(task, seed, **changed):
    with seeds.drawing(seed):
        return transformer(task, **NET | changed)


def test_sizes_of_the_papers_net():
    class Wmt:
        vocabulary, padding = 37_000, PAD

    with torch.device("meta"):
        net = Transformer(Wmt.vocabulary, PAD, 512, (6, 6), 8, 2048, 0.1, False)
    assert sum(p.numel() for p in net.parameters()) - 512 * 37_000 == 44_138_496


def test_a_run_names_its_metrics_and_is_the_net_of_its_data(lottery, capsys, tmp_path):
    assert lottery("run", *WORDS, "levels=1") == 0
    (folder,) = tmp_path.glob("outputs/transformer_tiny_numbers_imp/*/replicate_0")
    table = pd.read_csv(folder / "metrics.csv")
    assert {"val_exact", "test_exact", "test_perplexity", "best_val_loss"} <= {*table.columns}
    assert table["total"].tolist() == [1152, 1152] and table["kept"].tolist() == [1152, 922]
    weights = load_file(folder / "level_01" / "end.safetensors")
    zeros = sum(int((t == 0).sum()) for name, t in weights.items() if t.dim() == 2 and name.startswith("weights/") and "embedding" not in name and "fc" not in name)
    assert zeros == 230
    assert [m["name"] for m in json.loads((folder / "run.json").read_text())["metrics"]] == ["exact", "perplexity"]
    for words, said in (
        (["model=resnet20"], "asks for images, and this dataset has translation"),
        (["prune=bn_scale"], "prune"),
        (["prune=snip"], "type prune.criterion.per_class=0"),
        (["prune/structure=channel"], "prune"),
    ):
        kept = [w for w in WORDS if not (words[0].startswith("model=") and w.startswith("model."))]
        capsys.readouterr()
        assert lottery("run", *kept, *words) == 2
        line = capsys.readouterr().err
        assert said in line and line.count("\n") == 1
    assert lottery("run", "dataset=digits", "model=transformer_tiny") == 2
    assert "asks for words, and this dataset has images" in capsys.readouterr().err


@pytest.mark.parametrize("at", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 19))])
def test_ten_steps_killed_at_each_end_with_the_same_bits(bits, lottery, tmp_path, monkeypatch, cut, once, at):
    words = ["run", *WORDS, "levels=1", "checkpoint_every=1it", "prune.include=[*,embedding]"]
    once("numbers", lambda: lottery(*words))
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    whole = bits(folder)
    (tmp_path / "outputs").rename(tmp_path / "whole")
    cut(at, lottery, *words)
    assert lottery(*words) == 0
    assert bits(folder) == whole


def test_the_class_says_its_world():
    assert Translation.world == "translation" and [m.better for m in made().metrics] == ["higher", "lower"]
