"""Each control is what it says, to the bit, on a tiny run; the sanity battery; `lottery branch`."""

import json
import shutil
from itertools import permutations

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from lottery.results import sanity, sections, stats
from lottery.results.facts import Facts
from lottery.storage.ledger import Ledger
from lottery.storage.links import follow
from lottery.storage.store import Shelf
from lottery.terms.kept import mask_of

COLUMNS = "level,density,compression,kept,total,test_accuracy"
DENSE_STEPS = 12  # of the tiny run


def place(folder, index, branch=""):
    return folder / (f"level_{index:02d}" + (f"_{branch}" if branch else ""))


def weights(folder, index, file="ticket", branch=""):
    found = load_file(place(folder, index, branch) / f"{file}.safetensors")
    return {k.removeprefix("weights/"): v for k, v in found.items() if k.startswith("weights/")}


def mask(folder, index, branch=""):
    shelf = Shelf(folder.parents[2], follow(place(folder, index, branch)))
    return mask_of(shelf)


def counts(found):
    return {name: int(m.sum()) for name, m in found.items()}


def differ(a, b):
    return any(not torch.equal(a[name], b[name]) for name in a)


def test_random_keeps_layer_densities_and_weights(run):
    folder = run("branch=[random]", "branch_levels=[2]")
    drawn, ticket = mask(folder, 2, "random"), mask(folder, 2)
    assert counts(drawn) == counts(ticket)
    assert differ(drawn, ticket)
    dense = weights(folder, 0)
    for name, value in weights(folder, 2, branch="random").items():
        assert torch.equal(value, dense[name].masked_fill(~drawn[name], 0) if name in drawn else dense[name])


def test_random_and_shuffle_are_two_draws(run):
    folder = run("branch=[random,shuffle]", "branch_levels=[1]")
    assert differ(mask(folder, 1, "random"), mask(folder, 1, "shuffle"))


def test_random_from_fresh_weights(run):
    folder = run("branch=[random,reinit]", "branches.random.weights=fresh", "levels=1")
    drawn, again, dense = (weights(folder, *p) for p in ((1, "ticket", "random"), (1, "ticket", "reinit"), (0,)))
    for name, value in drawn.items():
        if name in mask(folder, 1):
            kept = value != 0
            assert torch.equal(kept, mask(folder, 1, "random")[name])
            assert not (value[kept] == dense[name][kept]).any()
            assert not (value[kept] == again[name][kept]).any()


def test_rearranged_weights_are_the_same_values_elsewhere(run):
    folder = run("branch=[rearrange]", "branch_levels=[2]")
    before, after = weights(folder, 2), weights(folder, 2, branch="rearrange")
    for name, keep in mask(folder, 2).items():
        assert torch.equal(before[name].flatten().sort().values, after[name].flatten().sort().values)
        assert torch.equal(mask(folder, 2, "rearrange")[name], after[name] != 0)
        assert not torch.equal(before[name], after[name]), keep.shape


def test_inverted_masks_are_those_of_the_lowest_scores(run):
    folder = run("prune=magnitude_init", "branch=[invert]", "levels=1")
    dense, kept = weights(folder, 0), mask(folder, 1, "invert")
    scores = torch.cat([dense[n].abs().flatten() for n in kept])
    chosen = torch.cat([m.flatten() for m in kept.values()])
    assert scores[chosen].max() <= scores[~chosen].min()
    assert sum(counts(kept).values()) == sum(counts(mask(folder, 1)).values())


def test_an_inverted_iterative_mask_prunes_that_of_the_level_before(run):
    folder = run("branch=[invert]", "branch_levels=[2]")
    before, end, kept = mask(folder, 1), weights(folder, 1, "end"), mask(folder, 2, "invert")
    assert not any((kept[n] & ~before[n]).any() for n in kept)
    scores = torch.cat([end[n].abs()[before[n]] for n in kept])
    chosen = torch.cat([kept[n][before[n]] for n in kept])
    assert scores[chosen].max() <= scores[~chosen].min()


def test_signs_are_kept_and_magnitudes_are_one(run):
    folder = run("branch=[signs]", "branch_levels=[1]")
    dense, ticket = weights(folder, 0), weights(folder, 1)
    for name, value in weights(folder, 1, branch="signs").items():
        if name in mask(folder, 1):
            assert torch.equal(value.sign(), ticket[name].sign())
            sizes = value[value != 0].abs().unique()
            assert sizes.tolist() == pytest.approx([float(dense[name].std(correction=0))])
        else:
            assert torch.equal(value, ticket[name])


def test_longer_goes_on_at_the_last_rate(run):
    folder = run("branch=[longer]", "branches.longer.steps=2ep", "levels=1", "train/lr=milestones")
    curve = pd.read_csv(place(folder, 1, "longer") / "curve.csv")
    assert curve["step"].tolist()[-1] == DENSE_STEPS + 8
    assert curve["lr"].tolist()[-1] == pytest.approx(0.05 * 0.01)
    own = pd.read_csv(place(folder, 1) / "curve.csv")
    assert curve["val_loss"].tolist()[: len(own)] == own["val_loss"].tolist()


def test_reorder_trains_the_same_ticket_on_another_order(run):
    folder = run("branch=[reorder]", "levels=1")
    assert not differ(weights(folder, 1), weights(folder, 1, branch="reorder"))
    assert differ(weights(folder, 1, "end"), weights(folder, 1, "end", "reorder"))


def test_rewind_trains_the_mask_from_another_step(run):
    folder = run("branch=[rewind]", "branches.rewind.to=5it", "levels=1")
    kept = load_file(place(folder, 0) / "5it.safetensors")
    for name, value in weights(folder, 1, branch="rewind").items():
        keep = mask(folder, 1).get(name, torch.ones_like(value).bool())
        assert torch.equal(value, kept[f"weights/{name}"].masked_fill(~keep, 0))
    assert pd.read_csv(place(folder, 1, "rewind") / "curve.csv")["step"][0] == 5


BN = ["model=resnet20", "model.depth=8", "model.width=2", "dataset.size=8", "train.length=2ep", "levels=1"]


def test_bn_only_moves_nothing_but_batchnorm(run):
    folder = run(*BN, "branch=[bn_only]")
    start, end = weights(folder, 1, branch="bn_only"), weights(folder, 1, "end", "bn_only")
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    norms = {n.rpartition(".")[0] for n in start if n.endswith("running_mean")}
    assert moved <= {f"{n}.{last}" for n in norms for last in
                     ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}  # fmt: skip
    assert {f"{n}.weight" for n in norms} <= moved


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_held_weights_stay_at_their_value_to_the_bit(run, optimizer):
    """Weight decay would move them: SGD adds it to the gradient, AdamW scales the weight."""
    words = [f"train/optimizer={optimizer}", "train.optimizer.weight_decay=0.1"]
    folder = run("branch=[hold]", "branch_levels=[2]", *words)
    dense, end = weights(folder, 0), weights(folder, 2, "end", "hold")
    assert not differ(dense, weights(folder, 2, branch="hold"))
    for name, keep in mask(folder, 2).items():
        assert torch.equal(end[name][~keep], dense[name][~keep])
        assert not torch.equal(end[name][keep], dense[name][keep])


def test_a_mask_goes_to_another_dense_net_unit_by_unit(run, tmp_path):
    folder = run("branch=[rebasin,naive]", "rewind=step", "rewind.to=2it", "schedule.keep=0.5")
    other = weights(folder, 0, branch="other_init")
    assert differ(other, weights(folder, 0))
    begun = weights(folder, 0, "2it", "other_init")
    for level in (1, 2):
        own, moved, naive = mask(folder, level), mask(folder, level, "rebasin"), mask(folder, level, "naive")
        assert all(torch.equal(own[name], naive[name]) for name in own)
        into, out = own
        orders = [list(o) for o in permutations(range(4))]
        fits = [o for o in orders if torch.equal(own[into][o], moved[into]) and torch.equal(own[out][:, o], moved[out])]
        assert fits and counts(moved) == counts(own)
        for branch, keep in (("rebasin", moved), ("naive", naive)):
            for name, value in weights(folder, level, branch=branch).items():
                assert torch.equal(value, begun[name].masked_fill(~keep[name], 0) if name in keep else begun[name])
    rows = pd.read_csv(folder / "branches.csv").set_index(["level", "branch"])
    assert rows.loc[(0, "other_init"), "steps"] == DENSE_STEPS
    spare = rows.loc[(2, "rebasin"), "ticket_steps"] - rows.loc[(2, "naive"), "ticket_steps"]
    assert spare == DENSE_STEPS - 2  # naive needs the other net up to the rewind point
    made = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "outputs/store").iterdir()}
    run("branch=[rebasin,naive]", "rewind=step", "rewind.to=2it", "schedule.keep=0.5")
    assert made == {f.name: f.stat().st_mtime_ns for f in (tmp_path / "outputs/store").iterdir()}


def test_weight_matching_gives_every_level_the_same_order(run):
    folder = run("branch=[rebasin]", "branches.rebasin.match=weights")
    assert counts(mask(folder, 1, "rebasin")) == counts(mask(folder, 1))
    start = weights(folder, 0, branch="other_init")
    for name, value in weights(folder, 2, branch="rebasin").items():
        keep = mask(folder, 2, "rebasin").get(name)
        assert torch.equal(value, start[name] if keep is None else start[name].masked_fill(~keep, 0))


def test_controls_of_whole_units_are_whole_units_and_judged(run):
    words = ["prune/structure=neuron", "sanity=true", "levels=1", "schedule.keep=0.6"]
    folder = run(*words)
    own = mask(folder, 1)
    for branch in ("shuffle", "random"):
        there = mask(folder, 1, branch)
        assert counts(there) == counts(own)
        into, out = there.values()
        assert torch.equal(into.any(1), out.any(0)) and torch.equal(into.all(1), into.any(1))
    assert sanity.plain(folder)


def test_the_other_dense_net_is_planned(lottery, tiny, capsys):
    assert lottery("plan", *tiny, "branch=[rebasin,naive]", "levels=1") == 0
    assert capsys.readouterr().out.count("other_init") == 1
    assert lottery("plan", *tiny, "branch=[naive]", "levels=1") == 0
    assert "other_init" not in capsys.readouterr().out  # its initial weights are enough


@pytest.mark.parametrize("branch", ["shuffle", "hold", "random"])
def test_trained_weights_of_a_pruned_net_cannot_move(run, branch, capsys):
    assert run(f"branch=[{branch}]", "rewind=lr", code=2) is None
    assert "the rewind keeps weights of the level before" in capsys.readouterr().err
    run(f"branch=[{branch}]", "rewind=lr", "prune=oneshot")  # here no weight is pruned yet


def test_scored_weights_of_a_pruned_net_cannot_move(run, capsys):
    """Level 2 begins where level 1 did: what that has pruned is 0, wherever the mask goes."""
    words = ["branch=[shuffle]", "rewind=scored", "prune.at=1ep"]
    assert run(*words, code=2) is None and "pruned there" in capsys.readouterr().err
    run(*words, "levels=1")
    run(*words, "branch_levels=[1]")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["branch=[random]", "branches.random.weights=new"], "neither fresh nor rewind"),
        (["branch=[reorder]", "branches.reorder.order=0"], "is the level's own"),
        (["branch=[bn_only]"], "has no BatchNorm"),
        (["branch=[rebasin]", "branches.rebasin.match=x"], "there is no 'x'"),
        (["branch=[rebasin]", "branches.rebasin.examples=0"], "examples=0 are none; type 1000"),
        (["branch=[rebasin]", "model.hidden=[]"], "has no hidden units that could change places"),
        (["branch=[longer]", "branches.longer.steps=x"], "names no step of training"),
        (["branch=[longer]", "branches.longer.steps=0it"], "steps=0it is no longer"),
        (["branch=[rewind]", "branches.rewind.to=9ep"], "branch rewind: from step 36 there is nothing left"),
        (["branch=[rewind]", "branches.rewind.to=end"], "there is nothing left to train"),
        (["branch=[shuffle]", "branch_levels=[9]"], "this run has 2 pruned levels"),
        (["branch=[shuffle]", "prune/structure=filter", "branches.shuffle.scope=globally"], "within their layer only"),
        (["sanity=true", "prune=rigl"], "nothing of prune/update=rigl"),
        (["train.slimming=-1"], "train.slimming: -1.0 is below 0"),
        (["train.slimming=0.1"], "no BatchNorm whose scales"),
        (["prune=set", "prune.update.every=9ep"], "move no mask in training of 3ep"),
        (["prune=rigl", "prune.update.until=9ep"], "move no mask"),
        (["prune=rigl", "prune.update.every=2it", "rewind=finetune"], "where this rewind starts"),
        (["prune/structure=block", "prune.structure.rows=0"], "a block of 0 by 4 weights is none"),
    ],
)
def test_what_cannot_be_is_refused_before_training(run, words, line, capsys):
    assert run(*words, code=2) is None
    assert line in capsys.readouterr().err


def test_the_branch_command_adds_to_a_finished_run(run, lottery, capsys):
    folder = run("prune=magnitude_init", "replicate=0")
    run("prune=magnitude_init", "replicate=1")
    first = json.loads((folder / "run.json").read_text())["levels_asked"]
    name = folder.parent.parent.name
    words = ["prune=magnitude_init", f"name={name}"]  # filters name it as well as its name
    assert lottery("-v", "branch", *words, "branch=shuffle,reinit", "levels=2", "shuffle.scope=globally") == 0
    assert "2 trained, 0 shared, 3 already there" in capsys.readouterr().out
    for replicate in (0, 1):
        table = pd.read_csv(folder.parent / f"replicate_{replicate}" / "branches.csv")
        assert table[["level", "branch"]].values.tolist() == [[2, "reinit"], [2, "shuffle"]]
    assert json.loads((folder / "run.json").read_text())["levels_asked"] == first
    whole = counts(mask(folder, 2, "shuffle"))
    assert sum(whole.values()) == sum(counts(mask(folder, 2)).values())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["branch=shuffel"], "there is no 'shuffel'; did you mean 'shuffle'?"),
        ([], "name one run and a branch"),
        (["branch=shuffle", "levels=9"], "has 2 finished pruned levels"),
        (["branch=shuffle", "levels=x"], "levels=x are no whole numbers"),
        (["branch=shuffle", "reinit.scope=x"], "of what is not asked for"),
        (["branch=shuffle", "shuffle.scop=x"], "shuffle has no setting 'scop'; did you mean 'scope'?"),
        (["branch=shuffle", "shuffle.scope=x"], "neither layerwise nor globally"),
        (["branch=shuffle", "depth=3"], "no run has 'depth'"),
        (["branch=shuffle", "prune=random"], "no run with prune=random"),
    ],
)
def test_the_branch_command_says_what_is_wrong(run, lottery, words, line, capsys):
    folder = run()
    before = sorted(folder.iterdir())
    assert lottery("branch", folder, *words) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_the_branch_command_knows_no_such_run(lottery, capsys):
    assert lottery("branch", "nothing", "branch=shuffle") == 2
    assert "'nothing' names no run" in capsys.readouterr().err


def test_sanity_trains_three_controls_and_judges(run, capsys):
    folder = run("sanity=true", "levels=1", "replicate=0")
    assert run("levels=1", "replicate=0") == folder  # no part of the run's identity
    run("sanity=true", "levels=1", "replicate=1")
    out = capsys.readouterr().out
    assert "sanity: tickets against their controls" in out
    branches = pd.read_csv(folder / "branches.csv")
    assert sorted(branches["branch"]) == ["random", "reinit", "shuffle"]
    table = pd.read_csv(folder.parent / "sanity.csv")
    assert table["replicates"].tolist() == [2]
    levels_ = [pd.read_csv(folder.parent / f"replicate_{k}" / "metrics.csv") for k in (0, 1)]
    tickets = [t["test_accuracy"][1] for t in levels_]
    assert table["ticket"][0] == pytest.approx(sum(tickets) / 2)


def row(level, density, accuracy, *more):
    return ",".join(map(str, [level, density, 1 / density, 100 * density, 100, accuracy, *more]))


def write_levels(folder, ticket):
    """Write metrics.csv: a dense level of 0.9, and one ticket."""
    folder.mkdir()
    lines = [COLUMNS, row(0, 1.0, 0.9), row(1, 0.1, ticket), ""]
    Ledger(folder).write_files({"metrics.csv": "\n".join(lines).encode()})


def write_controls(folder, structure="weight", **accuracies):
    lines = [row(1, 0.1, v, name, sanity.CONTROLS[name]) for name, v in accuracies.items()]
    ledger = Ledger(folder)
    ledger.read(pytest.fail)
    table = "\n".join([f"{COLUMNS},branch,settings", *lines, ""])
    config = "model: {name: lenet}\ndataset: {name: digits}\ntrain: {length: 1ep}\n"
    config += f"prune:\n  structure: {{name: {structure}}}\n  update: {{name: static}}\n"
    ledger.write_files({"branches.csv": table.encode(), "config.yaml": config.encode()})


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.04, 0.05, 0.06], sanity.WEIGHTS),
        ([0.001, -0.001, 0.0005], sanity.DENSITIES),
        ([-0.05, -0.06, -0.04], sanity.DENSITIES),  # worse than its shuffle
        ([0.05, -0.05, 0.01], sanity.UNKNOWN),
        ([0.002, 0.0021, 0.0019], sanity.DENSITIES),  # sure, and too small to matter
        ([0.02, 0.02, 0.02], stats.SAME),  # no spread, no test
        ([0.02, 0.02], sanity.UNKNOWN),  # two say nothing, even where they agree
        ([0.05], sanity.UNKNOWN),
    ],
)
def test_the_verdict_follows_the_interval(tmp_path, differences, verdict):
    """One level, dense 0.9; a ticket of 0.8 + d beside controls of 0.8."""
    folders = []
    for number, difference in enumerate(differences):
        folder = tmp_path / f"replicate_{number}"
        write_levels(folder, 0.8 + difference)
        write_controls(folder, shuffle=0.79, random=0.81, reinit=0.8)
        folders.append(folder)
    (row,) = sanity.judge(folders)
    assert row["verdict"] == verdict
    assert row["difference"] == pytest.approx(sum(differences) / len(differences))
    assert row["initial"] == pytest.approx(row["difference"])
    assert verdict in sanity.sanity_table([row])


def test_a_difference_within_the_tolerance_is_none(tmp_path):
    for number, difference in enumerate((0.04, 0.05, 0.06)):
        write_levels(tmp_path / f"replicate_{number}", 0.8 + difference)
        write_controls(tmp_path / f"replicate_{number}", shuffle=0.8, random=0.8)
    (row,) = sanity.judge(sorted(tmp_path.iterdir()), 0.045)
    assert row["verdict"] == sanity.WEIGHTS
    (row,) = sanity.judge(sorted(tmp_path.iterdir()), 0.1)
    assert row["verdict"] == sanity.DENSITIES


def test_means_are_of_the_replicates_that_count(tmp_path):
    """The fourth has no random mask: its ticket of 0.3 is in no mean of the row."""
    for number, ticket in enumerate((0.84, 0.85, 0.86, 0.3)):
        folder = tmp_path / f"replicate_{number}"
        write_levels(folder, ticket)
        write_controls(folder, shuffle=ticket - 0.02, **({"random": 0.8} if number < 3 else {}))
    (row,) = sanity.judge(sorted(tmp_path.iterdir()))
    assert (row["replicates"], row["verdict"]) == (3, sanity.WEIGHTS)
    assert [row[k] for k in ("ticket", "shuffle", "random")] == pytest.approx([0.85, 0.83, 0.8])
    assert row["difference"] == pytest.approx(0.85 - (0.83 + 0.8) / 2)


def test_means_of_a_level_with_one_of_the_controls(tmp_path):
    """Level 1 has shuffled masks alone, level 2 random ones: each is judged by what it has."""
    for number in range(3):
        folder = tmp_path / f"replicate_{number}"
        write_levels(folder, 0.9 + (number - 1) / 1000)
        write_controls(folder, shuffle=0.8)
        levels = pd.read_csv(folder / "metrics.csv")
        second = levels[levels["level"] == 1].assign(level=2)
        both = pd.concat([levels, second])
        controls = pd.read_csv(folder / "branches.csv")
        other = controls.assign(
            level=2, branch="random", settings=sanity.CONTROLS["random"], test_accuracy=0.7
        )
        ledger = Ledger(folder)
        ledger.read(pytest.fail)
        tables = {"metrics.csv": both, "branches.csv": pd.concat([controls, other])}
        ledger.write_files({k: t.to_csv(index=False).encode() for k, t in tables.items()})
    rows = sanity.judge(sorted(tmp_path.iterdir()))
    assert [(row["level"], row["replicates"], row["verdict"]) for row in rows] == [
        (1, 3, sanity.WEIGHTS), (2, 3, sanity.WEIGHTS)
    ]  # fmt: skip
    assert [row["difference"] for row in rows] == pytest.approx([0.1, 0.2])


def test_replicates_without_the_control_do_not_count(tmp_path):
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        write_levels(folder, 0.9)
        write_controls(folder, shuffle=0.8, random=0.8, reinit=0.8)
    write_controls(folders[2], reinit=0.8)
    (row,) = sanity.judge(folders)
    assert (row["replicates"], row["verdict"]) == (2, sanity.UNKNOWN)
    write_controls(folders[0], structure="filter", shuffle=0.8, random=0.8)
    assert len(sanity.judge(folders[:1])) == 1  # its controls have moved whole filters


def test_a_copy_of_a_replicate_is_none_for_sanity(run, capsys):
    """What is called replicate_0.bak is no replicate, and no damage either."""
    folder = run("branch=[shuffle]", "levels=1")
    shutil.copytree(folder, folder.with_name("replicate_0.bak"))
    (folder.with_name("replicate_0.bak") / "branches.csv").write_text("odd")
    capsys.readouterr()
    run("branch=[shuffle]", "levels=1", "replicate=1")
    assert "replicate_0.bak" not in "".join(capsys.readouterr())
    assert pd.read_csv(folder.parent / "sanity.csv")["replicates"].tolist() == [2]
    rows, why = sections.judged(Facts(folder))
    assert (len(rows), why) == (1, [])


def test_a_branch_of_other_settings_is_no_control(run, lottery):
    """A mask shuffled in the whole net keeps no layer densities; it is trained, and not judged by."""
    folder = run("branch=[shuffle]", "levels=1")
    assert (folder.parent / "sanity.csv").exists()
    table = pd.read_csv(folder.parent / "sanity.csv")
    (folder.parent / "sanity.csv").unlink()
    assert lottery("branch", folder, "branch=shuffle", "shuffle.scope=globally") == 0
    branches = pd.read_csv(folder / "branches.csv")
    assert branches["settings"].tolist() == ["shuffle scope=globally"]
    assert not (folder.parent / "sanity.csv").exists()
    run("branch=[shuffle]", "levels=1")
    assert pd.read_csv(folder.parent / "sanity.csv").equals(table)


def test_a_branch_that_is_there_is_not_made_again(run, monkeypatch):
    from lottery.experiment import chain

    run("branch=[invert]", "levels=1")
    monkeypatch.setattr(chain.Chain, "inverted", lambda self: pytest.fail("scored again"))
    run("branch=[invert]", "levels=1")


def test_the_branch_command_keeps_what_the_run_says_of_itself(run, lottery):
    folder = run("levels=1")
    before = json.loads((folder / "run.json").read_text())
    assert lottery("branch", folder, "branch=signs") == 0
    after = json.loads((folder / "run.json").read_text())
    assert after["command"] == before["command"]
    assert len(after["followed_by"]) == 1
    assert after["state"] == "done"


def test_the_branch_command_refuses_an_edited_config(run, lottery, capsys):
    folder = run("levels=1")
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("lr: 0.05", "lr: 0.06"))
    assert lottery("branch", folder, "branch=signs") == 4
    err = capsys.readouterr().err
    assert "config.yaml is damaged (its checksum is wrong); to have it written anew: rm -r " in err
    assert not list(folder.glob("*signs*"))


def test_fresh_weights_of_a_branch_are_not_those_of_the_rewind(run):
    folder = run("rewind=reinit", "branch=[reinit]", "levels=1")
    assert place(folder, 1).resolve() != place(folder, 1, "reinit").resolve()


@pytest.mark.parametrize("row", ["synflow_original", "grasp_original", "openlth", "grasp", "snip"])
def test_every_count_of_an_inverted_mask_holds(run, row):
    """Inverted scores are below 0, and pruned weights must not outrank them."""
    rounds = ["prune.rounds=1"] if row == "synflow_original" else []
    folder = run(f"prune={row}", "branch=[invert]", *rounds)
    table, inverted = (pd.read_csv(folder / f"{n}.csv") for n in ("metrics", "branches"))
    for level, kept in zip(inverted["level"], inverted["kept"]):
        assert abs(kept - table["kept"][level]) <= 2


def test_the_interval_is_students():
    """Mean 2, deviation 1, t(2) = 4.302653: 2 -+ 4.302653 / sqrt(3)."""
    mean, low, high = stats.interval([1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))


@pytest.mark.parametrize("broken", ["metrics.csv", "run.json"])
def test_damage_in_another_replicate_leaves_its_verdict_out(broken, run, lottery, tiny, capsys):
    first = run("sanity=true", "levels=1")
    (first / broken).write_text("level\n0\n")
    capsys.readouterr()
    assert lottery("run", *tiny, "sanity=true", "levels=1", "replicate=1") == 0
    said = capsys.readouterr()
    assert "the verdict leaves out replicate_0" in said.err
    assert "ticket - controls" in said.out
