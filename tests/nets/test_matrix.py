"""Every net that users bring, under every criterion and structure: a right mask, or one true line."""

import itertools
from pathlib import Path

import pytest
import torch
import yaml
import zoo

from lottery.config import build
from lottery.config.bind import bind
from lottery.errors import UsageError
from lottery.nets.compact import compact
from lottery.nets.heads import heads
from lottery.nets.taking import taken
from lottery.pruning.keep import keep_top
from lottery.pruning.prune import same
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.prunable import layers
from lottery.terms.units import allocate

CONF = build.conf_dir() / "prune"
QUICK = {"size": 8, "per_class": 0, "batch": 4, "probes": 1, "length": "2it", "period": "1it"}
HALF = 0.5
NETS = [name for name in zoo.NETS if name != "compiled"]


def nodes():
    """Return a criterion's settings by the name of a yaml, one of each kind of criterion."""
    found = {}
    for path in sorted(CONF.glob("*.yaml")):
        node = yaml.safe_load(path.read_text()).get("criterion", {})
        if node.get("name") and node not in found.values():
            found[path.stem] = node | {k: v for k, v in QUICK.items() if k in node}
    return found


def structures():
    return {p.stem: yaml.safe_load(p.read_text()) for p in sorted((CONF / "structure").glob("*.yaml"))}


@pytest.fixture(scope="module")
def task():
    node = yaml.safe_load((CONF.parent / "dataset" / "synthetic.yaml").read_text())
    node |= {"examples": 40, "test_examples": 4, "validation": 8, "classes": 4, "size": 4}
    node |= {"channels": 1, "mean": [0.5], "std": [0.25]}
    return bind("dataset", node, "dataset")(Path()).prepare(batch_size=8, device=torch.device("cpu"))


def net_of(name, task):
    torch.manual_seed(0)
    return taken(getattr(zoo, name)(task), task)


def refused(error):
    assert "\n" not in str(error) and "bug" not in str(error)


def check_scores(name, criterion, task):
    """A criterion leaves the net as it was, and scores every weight with a number."""
    model = net_of(name, task)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    mask = masks.dense(model)
    try:
        scores = bind("criterion", nodes()[criterion], "prune.criterion")(
            model, mask, task, seeds.generator("x"), HALF
        )
    except UsageError as error:
        refused(error)
        assert criterion.startswith("bn_scale") or criterion in REFUSES.get(name, ()), error
        return
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert {n: s.shape for n, s in scores.items()} == {n: m.shape for n, m in mask.items()}
    assert all(s.isfinite().all() for s in scores.values())
    flat = [n for n, s in scores.items() if same(s.reshape(-1))]
    if criterion in ("snip", "taylor", "grasp", "fisher"):
        assert set(flat) <= BLIND.get(name, set())
    kept = keep_top(scores, mask, masks.count(HALF, mask))
    assert masks.kept(kept) == round(HALF * masks.total(mask))


# Criteria that a net does not take. `bn_scale` wants BatchNorms that can be followed.
REFUSES = {
    "inference": {"fisher", "obd", "snip_original", "synflow", "synflow_original", "taylor"},  # in eval
    "checkpointed": {"force", "grasp", "grasp_original", "snip", "snip_iterative"},  # in train
}

# Layers that the loss does not know, whose scores are all 0.
LAST = "cell.weight_hh_l{}_reverse"  # the last row's output, which no row after it feeds
BLIND = {
    "rnn_bidirectional": {LAST.format(0)},
    "lstm_projected": {LAST.format(1)},
    "unused": {"spare.weight", "conv.weight"},
    "detached": {"gate.weight"},
    "branching": {"b.weight", "c.weight"},
}


def check_structure(name, structure, task):
    """A structure cuts no output of the scores, and what is cut off leaves the outputs as they are."""
    model = net_of(name, task)
    mask = masks.dense(model)
    draw = seeds.generator("scores")
    scores = {n: torch.rand(m.shape, generator=draw) for n, m in mask.items()}
    allocation = bind("allocation", {"name": "globally"}, "prune.allocation")
    try:
        units = bind("structure", structures()[structure], "prune.structure")(model, task, scores, mask)
        after = allocate(units, allocation, HALF, mask)
    except UsageError as error:
        refused(error)
        assert structure in ("channel", "neuron", "filter", "unit", "head"), error
        return
    wanted = round(HALF * masks.total(mask))
    assert masks.kept(after) == wanted or (units.whole and 0 < masks.kept(after) <= wanted)
    if structure in ("filter", "channel", "neuron"):
        axes = {n: layer.kind.outputs for n, layer in layers(model).items()}
        for head in heads(model, task) & after.keys():
            rows = after[head].movedim(axes[head], 0).flatten(1)
            assert (rows == rows[0]).all(), head  # what goes of a head goes with its inputs
    masks.apply_(model, after)
    try:
        small = compact(model, after, task)
    except UsageError as error:
        refused(error)
        return
    noise = torch.randn(5, *task.input_shape)
    with torch.no_grad():
        model.eval()  # which need not return the net
        small.eval()
        assert torch.allclose(model(noise), small(noise), atol=1e-5)


PAIRS = list(itertools.product(NETS, nodes()))
SOME = [pair for index, pair in enumerate(PAIRS) if index % 7 == 0]
SIDES = list(itertools.product(NETS, structures()))
FEW = [pair for index, pair in enumerate(SIDES) if index % 5 == 0]
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


@pytest.mark.parametrize(("name", "criterion"), SOME)
def test_a_criterion_scores_a_net(name, criterion, task):
    check_scores(name, criterion, task)


@pytest.mark.parametrize(("name", "structure"), FEW)
def test_a_structure_prunes_a_net(name, structure, task):
    check_structure(name, structure, task)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_every_criterion_and_structure(name, task):
    for criterion in nodes():
        check_scores(name, criterion, task)
    for structure in structures():
        check_structure(name, structure, task)
