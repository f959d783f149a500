"""What a level and its ticket cost, against counts by hand and against torch's flop counter."""

from pathlib import Path

import pandas as pd
import pytest
import shipped
import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lottery.config import build
from lottery.config.bind import bind
from lottery.experiment import cost
from lottery.nets import attention_heads, counting
from lottery.pruning.effort import effort_of
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms import seeds
from lottery.terms.prunable import layers

CONF = build.conf_dir()
MODELS = [path.stem for path in shipped.of_images()]
TASK = Outline({}, "", input_shape=(3, 8, 8), outputs=5, fingerprint="")
WALL = ["seconds", "examples_per_second", "ticket_seconds"]
# The tiny net: 16 inputs, 4 hidden, 4 outputs; 64 + 16 weights and 8 biases, 24 values an example.
# Training: 48 examples in batches of 12, 3 epochs: 12 steps, 144 examples.
DENSE = 80


def energy(kept, weights, batches, examples, gradients=1):
    """Joule, written out: 4.6 pJ a multiply-accumulate, 640 pJ a word, three passes."""
    return 3 * gradients * (4.6 * kept * examples + 640 * (weights * batches + 24 * examples)) / 1e12


def tables(folder):
    found = [pd.read_csv(folder / name) for name in ("metrics.csv", "branches.csv") if (folder / name).exists()]
    return found[0].set_index("level"), found[1].set_index(["level", "branch"]) if found[1:] else None


def by_formula(model, example):
    """Return each layer's multiply-accumulates from shapes: outputs times weights of one output."""
    found = {}

    def note(layer, given, made):
        seen = given[0] if getattr(layer, "transposed", False) else made
        axis = -1 if isinstance(layer, nn.Linear) else 1
        found[layer] = found.get(layer, 0) + seen.numel() // seen.shape[axis] * layer.weight.numel()

    for layer in layers(model).values():
        layer.module.register_forward_hook(note)
    model.eval()(example)
    return {f"{n}.weight": found[m] for n, m in model.named_modules() if m in found}


QUICK = ("lenet_300_100", "conv4", "lenet5", "resnet20", "vgg11_bn", "mobilenet_v1", "wrn16_8")
SOME = [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in MODELS]


@pytest.mark.parametrize("name", SOME)
def test_every_models_layers_are_counted_as_the_formula_has_them(name):
    node = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())
    task = Outline({}, "", input_shape=(3, 32, 32), outputs=5, fingerprint="", device=torch.device("meta"))
    with torch.device("meta"):
        model = bind("model", node, "model")(task)
        seen = counting.forward(model, task)
        assert seen.layers == by_formula(model, torch.zeros(1, 3, 32, 32))
    assert bool(seen.rest) == bool(attention_heads.found(model))  # products of tokens with tokens
    assert seen.parameters == sum(p.numel() for p in model.parameters())


class Attends(nn.Module):
    """Four tokens of 8 numbers: attention, whose layers are used without being called."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 5)

    def forward(self, x):
        tokens = x[:, 0, :4, :8]
        return self.out(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))


def test_attention_counts_by_weight_with_its_products_beside():
    seen = counting.forward(Attends(), TASK)
    into, out, products = 4 * 8 * 24, 4 * 8 * 8, 2 * 4 * 4 * 8
    weights = {"in_proj_weight": into, "out_proj.weight": out}
    assert seen.layers == {f"attention.{n}": w for n, w in weights.items()} | {"out.weight": 40}
    assert seen.rest == products
    assert seen.macs == into + out + products + 40


def test_the_kept_share_of_a_layer_is_exact():
    """Each kept weight of a convolution is used once a place that it makes."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 5))
    seen = counting.forward(model, TASK)
    layers = {"0.weight": {"kept": 7, "total": 108}, "2.weight": {"kept": 0, "total": 1280}}
    net = cost.masked(seen, layers)
    assert (net.macs, net.kept) == (64 * 108 + 1280, 64 * 7)
    assert net.weights == 7 + 4 + 5
    assert net.values == 3 * 64 + 4 * 64 + 5
    assert cost.masked(seen, layers, held=True).kept == net.macs


CRITERIA = sorted(
    p.stem
    for p in (CONF / "prune").glob("*.yaml")
    if yaml.safe_load(p.read_text()).get("criterion", {}).get("name") not in (None, "bn_scale", "magnitude", "random")
)


RESNET = yaml.safe_load((CONF / "model" / "resnet20.yaml").read_text()) | {"width": 4}


def few_images():
    node = yaml.safe_load((CONF / "dataset" / "synthetic.yaml").read_text())
    node |= {"examples": 9, "test_examples": 2, "validation": 3, "classes": 3, "size": 8}
    task = bind("dataset", node, "dataset")(Path())
    return task.prepare(batch_size=3, device=torch.device("cpu"))


@pytest.mark.parametrize("name", CRITERIA)
def test_a_criterion_takes_as_many_gradients_as_its_cost_says(name):
    node = yaml.safe_load((CONF / "prune" / f"{name}.yaml").read_text())["criterion"]
    known = {"size": 6, "per_class": 0, "batch": 3, "probes": 2, "length": "2it", "period": "1it"}
    node |= {key: value for key, value in known.items() if key in node}
    task = few_images()
    model = bind("model", RESNET, "model")(task).eval()
    mask = masks.dense(model)
    criterion = bind("criterion", node, "prune.criterion")
    batch = next(task.batches("train", 0, 0))
    with FlopCounterMode(display=False) as one:
        task.loss(model, batch).backward()
    with FlopCounterMode(display=False) as all_of_it:
        criterion(model, mask, task, seeds.generator("x"), 0.5)
    effort = effort_of(criterion)
    examples = 6 if "length" in node or "size" in node else effort.examples
    gradients = examples * effort.gradients(criterion.keywords, masks.total(mask))
    assert all_of_it.get_total_flops() / one.get_total_flops() == pytest.approx(gradients / 3, rel=0.03)


def test_obd_one_by_one_takes_a_product_a_weight():
    node = yaml.safe_load((CONF / "prune" / "obd.yaml").read_text())["criterion"] | {"probes": 0}
    assert effort_of(bind("criterion", node, "c")).gradients(node, 80) == 161


def test_iterative_pruning_pays_for_every_level_before(run):
    levels, _ = tables(run("levels=3"))
    kept = [80, 64, 51, 41]
    assert levels["kept"].tolist() == kept
    assert levels["steps"].tolist() == [12] * 4
    assert levels["examples"].tolist() == [144] * 4
    assert levels["macs"].tolist() == [DENSE] * 4
    assert levels["macs_kept"].tolist() == kept  # every weight of linear layers is used once
    assert levels["training_macs"].tolist() == [3 * DENSE * 144] * 4
    assert levels["training_macs_kept"].tolist() == [3 * k * 144 for k in kept]
    assert levels["energy"].tolist() == pytest.approx([energy(k, k + 8, 12, 144) for k in kept])
    for column in ("steps", "examples", "seconds", "energy"):
        assert levels[f"ticket_{column}"].tolist() == pytest.approx(levels[column].cumsum().tolist())
    assert levels["ticket_macs"].tolist() == levels["training_macs"].cumsum().tolist()
    assert levels["ticket_macs_kept"].tolist() == levels["training_macs_kept"].cumsum().tolist()


def test_pruning_at_initialization_pays_for_scoring_and_itself(run):
    folder = run("prune=snip", "prune.criterion.per_class=0", "prune.criterion.size=30", "prune.criterion.batch=7")
    levels, _ = tables(folder)
    assert levels["ticket_steps"].tolist() == [12, 12, 12]  # no dense training
    assert levels["ticket_examples"].tolist() == [144, 174, 174]
    one = levels.loc[1]
    assert one["ticket_macs"] == 3 * DENSE * 174
    assert one["ticket_macs_kept"] == 3 * (one["kept"] * 144 + DENSE * 30)
    scored = energy(DENSE, 88, 5, 30)
    assert one["ticket_energy"] == pytest.approx(one["energy"] + scored)
    pace = levels.loc[0, "examples_per_second"]
    assert one["ticket_seconds"] == pytest.approx(one["seconds"] + 30 / pace)


@pytest.mark.parametrize(
    ("overrides", "steps", "examples", "gradients"),
    [
        # (steps of level 0 that its ticket needs, examples that were scored, gradients of them)
        (["prune=early", "prune.at=1ep"], 4, 0, 0),
        (["prune=early", "prune.at=5it"], 5, 0, 0),
        (["prune=oneshot"], 12, 0, 0),
        (["prune=oneshot", "rewind=step", "rewind.to=5it"], 12, 0, 0),
        (["prune=random"], 0, 0, 0),
        (["prune=random", "rewind=step", "rewind.to=5it"], 5, 0, 0),
        (["prune=random", "rewind=lr"], 12, 0, 0),
        (["prune=random", "rewind=reinit"], 0, 0, 0),
        (["prune=snip", "prune.criterion.per_class=3"], 0, 12, 12),
        (["prune=snip", "prune.criterion.per_class=0", "prune.criterion.size=0"], 0, 48, 48),
        (["prune=grasp", "prune.criterion.per_class=3"], 0, 12, 48),
        (["prune=snip_iterative", "prune.rounds=3", "prune.criterion.per_class=3"], 0, 36, 36),
        (["prune=synflow", "prune.rounds=5"], 0, 5, 5),
    ],
)  # fmt: skip
def test_a_ticket_pays_for_what_it_is_made_from(run, overrides, steps, examples, gradients):
    levels, _ = tables(run(*overrides, "levels=1"))
    own, dense = levels.loc[1], levels.loc[0]
    before = 12 * steps  # batches are whole here
    assert own["ticket_steps"] == own["steps"] + steps
    assert own["ticket_examples"] == own["examples"] + before + examples
    assert own["ticket_macs"] == 3 * DENSE * (own["examples"] + before + gradients)
    kept = own["macs_kept"] * own["examples"] + DENSE * (before + gradients)
    assert own["ticket_macs_kept"] == 3 * kept
    seconds = own["seconds"] + dense["seconds"] * steps / 12 + gradients / dense["examples_per_second"]
    assert own["ticket_seconds"] == pytest.approx(seconds)


def test_a_nested_method_that_scores_early_pays_for_the_levels_as_far_as_it_scores(run):
    """Level 2 prunes level 1 at its step 4, and level 1 pruned level 0 at its step 4."""
    levels, _ = tables(run("prune.at=1ep", "rewind=step", "rewind.to=6it"))
    assert levels["steps"].tolist() == [12, 6, 6]
    # Level 0 up to step 6, for the rewind; of level 1, which starts at step 6, nothing.
    assert levels["ticket_steps"].tolist() == [12, 6 + 6, 6 + 6]


def test_learning_rate_rewinding_pays_for_all_before_and_finetuning_for_its_own_steps(run):
    levels, _ = tables(run("rewind=finetune", "rewind.steps=2ep"))
    assert levels["steps"].tolist() == [12, 8, 8]
    assert levels["ticket_steps"].tolist() == [12, 20, 28]


def test_a_search_counts_its_steps_in_every_round(run):
    levels, _ = tables(run("prune=edge_popup", "prune.criterion.length=2ep1it", "prune.rounds=2"))
    assert levels["ticket_steps"].tolist() == [12, 12 + 2 * 9, 12 + 2 * 9]
    assert levels["ticket_examples"].tolist() == [144, 144 + 2 * 108, 144 + 2 * 108]
    weights = energy(DENSE, 88, 2 * 9, 2 * 108)
    assert levels.loc[1, "ticket_energy"] == pytest.approx(levels.loc[1, "energy"] + weights)


def test_a_short_last_batch_is_counted_as_it_is(run):
    """48 examples in batches of 20: 20, 20, 8; after one of 47 a lone one is left out."""
    levels, _ = tables(run("train.batch_size=20", "train.length=5it", "levels=0", "evaluate_every=5it"))
    assert levels.loc[0, "examples"] == 48 + 40
    levels, _ = tables(run("train.batch_size=47", "train.length=3it", "levels=0", "evaluate_every=3it"))
    assert levels.loc[0, "examples"] == 3 * 47


def test_branches_pay_for_their_levels_ticket(run, lottery):
    words = ["branch=[reinit,longer,hold,rewind]", "branches.longer.steps=1ep", "branches.rewind.to=5it"]
    folder = run(*words, "levels=2")
    levels, branches = tables(folder)
    assert branches.loc[1, "steps"].to_dict() == {"reinit": 12, "longer": 16, "hold": 12, "rewind": 7}
    # The mask of level 1 comes from all of level 0, that of level 2 from both.
    assert branches.loc[1, "ticket_steps"].to_dict() == {"reinit": 24, "longer": 28, "hold": 24, "rewind": 19}
    assert branches.loc[(2, "reinit"), "ticket_steps"] == 36
    assert branches.loc[(1, "hold"), "macs_kept"] == DENSE  # they are not zero
    assert branches.loc[(1, "longer"), "macs_kept"] == levels.loc[1, "macs_kept"]
    # A later command that does not ask for them leaves what the tables say of them.
    before = (folder / "branches.csv").read_bytes()
    (folder / "branches.csv").unlink()
    run("levels=2")
    assert (folder / "branches.csv").read_bytes() == before


def test_a_branch_of_an_at_init_method_pays_for_level_0_as_far_as_it_starts(run):
    _, branches = tables(run("prune=random", "levels=1", "branch=rewind", "branches.rewind.to=5it"))
    assert branches.loc[(1, "rewind"), "ticket_steps"] == 7 + 5


def test_moving_masks_keep_as_many_weights_of_a_layer(run):
    folder = run("prune=rigl", "prune.update.every=2it", "prune.update.until=end", "prune/allocation=uniform")
    levels, _ = tables(folder)
    assert levels["macs_kept"].tolist() == levels["kept"].tolist()


def test_who_trained_a_level_changes_no_cost(run, tmp_path):
    own, _ = tables(run("prune=oneshot", "levels=1"))
    shared, _ = tables(run("prune=imp", "levels=1"))  # whose first level is the same
    assert shared["shared"].all()
    assert not own["shared"].any()
    pd.testing.assert_frame_equal(own.drop(columns="shared"), shared.drop(columns="shared"))
    assert len(list(Path(tmp_path, "outputs", "store").glob("*/manifest.json"))) == 2


def test_only_the_clock_differs_between_two_trainings(lottery, tiny):
    found = []
    for outputs in ("a", "b"):
        assert lottery("run", *tiny, f"outputs={outputs}", "sanity=true") == 0
        (folder,) = Path(outputs).glob("*/*/replicate_0")
        found.append(tables(folder))
    for one, other in zip(*found, strict=True):
        pd.testing.assert_frame_equal(one.drop(columns=WALL), other.drop(columns=WALL))
