"""Tickets on other tasks: what is taken, what is fresh, what is refused, and that bits stay."""

import re
import shlex

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from lottery.config import build, compose
from lottery.errors import UsageError
from lottery.exchange import finding, tickets
from lottery.exchange.transfer import beginning, fitted, output_layer
from lottery.experiment import launch, loop
from lottery.experiment.recorded_run import finished
from lottery.storage.settings import read_config
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms.step import Step

torch.set_num_threads(1)

SOURCE = ["rewind=step", "rewind.to=1ep", "levels=3"]
OTHER = ["dataset.seed=5", "dataset.test_examples=20"]  # other images
LAYERS = ("layers.0.weight", "fc.weight")


def weights_of(folder, index, part="start"):
    return finding.find(folder / f"level_{index:02d}", weights=part)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(v, other[n]) for n, v in one.items())


@pytest.fixture
def source(once, run, lottery, capsys, tmp_path):
    """Return a finished run of four levels, late resetting; made once, then copied."""
    ticket = ("level=2", "as=ticket", "to=t.safetensors")
    once("to transfer", lambda: lottery("export", run(*SOURCE), *ticket))
    capsys.readouterr()
    (found,) = tmp_path.glob("outputs/*/*/replicate_0")
    return found


@pytest.fixture
def ticket(source, tmp_path):
    """Return the file of level 2's ticket."""
    return tmp_path / "t.safetensors"


def start(path, *more):
    return ["rewind=ticket", f"rewind.path={path}", "levels=1", *more]


@pytest.mark.parametrize("form", ["file", "level", "run", "config"])
def test_a_ticket_trains_to_the_bits_of_the_level_that_it_is_from(run, source, ticket, tmp_path, form):
    """Same data, recipe and seed, so even the key in the store is the same; trained apart here."""
    where = {
        "file": [f"rewind.path={ticket}"], "level": [f"rewind.path={source}/level_02"],
        "run": [f"rewind.path={source}", "rewind.level=2"],
        "config": [f"rewind.path={source.parent}", "rewind.level=2"],
    }[form]  # fmt: skip
    moved = run("rewind=ticket", *where, "levels=1", f"outputs={tmp_path}/elsewhere")  # its own step
    (moved,) = tmp_path.glob("elsewhere/*/*/replicate_0")
    before, after = finished(source, 2, "", "test"), finished(moved, 1, "", "test")
    assert before.shelf.path != after.shelf.path
    assert before.shelf.key == after.shelf.key
    assert same(before.end.weights, after.end.weights)
    assert same(before.mask, after.mask)
    assert before.manifest["result"]["test_loss"] == after.manifest["result"]["test_loss"]


def test_an_imported_ticket_trains_to_the_same_bits(run, lottery, source, ticket, tmp_path, tiny):
    """Out by export, in by import with the names of the model, and trained."""
    overrides = [w for w in tiny if w.startswith(("dataset", "model"))]
    assert lottery("import", ticket, "to=again.safetensors", *overrides) == 0
    run("rewind=ticket", "rewind.path=again.safetensors", "levels=1", "rewind.to=1ep", f"outputs={tmp_path}/b")
    (moved,) = tmp_path.glob("b/*/*/replicate_0")
    assert same(finished(source, 2, "", "x").end.weights, finished(moved, 1, "", "x").end.weights)


def test_another_task_trains_the_mask_and_the_weights_as_they_are(run, source, ticket):
    folder = run(*OTHER, *start(ticket))
    taken, level = weights_of(source, 2), finished(folder, 1, "", "test")
    assert same(level.ticket.weights, taken.weights)
    assert same(level.ticket.mask, taken.mask)
    assert (level.ticket.span.start, level.ticket.span.stop) == (0, 12)
    assert finished(folder, 0, "", "test").ticket.mask["fc.weight"].all()
    for name, keep in taken.mask.items():
        assert not level.end.weights[name][~keep].any()
    assert not same(level.end.weights, weights_of(source, 2, "end").weights)


def test_later_levels_prune_on_from_the_ticket(run, source, ticket):
    """By hand: the lowest of the kept magnitudes go, each level 0.8 of the one before."""
    folder = run(*OTHER, *start(ticket), "levels=3")
    kept = masks.kept(weights_of(source, 2).mask)
    assert kept == 51
    rows = pd.read_csv(folder / "metrics.csv")
    expected = [80, 51, round(51 / 80 * 0.8 * 80), round(51 / 80 * 0.8**2 * 80)]
    assert list(rows.kept) == expected
    for index in (2, 3):
        parent, level = finished(folder, index - 1, "", "x"), finished(folder, index, "", "x")
        flat = torch.cat([parent.end.weights[n].abs().masked_fill(~parent.mask[n], -1).flatten() for n in LAYERS])
        chosen = torch.zeros(80, dtype=torch.bool)
        chosen[flat.topk(expected[index]).indices] = True
        assert torch.equal(torch.cat([level.mask[n].flatten() for n in LAYERS]), chosen)
        original = weights_of(source, 2).weights
        for name in LAYERS:
            assert torch.equal(level.ticket.weights[name], original[name] * level.mask[name])


def test_the_schedule_goes_on_at_its_own_pace_for_listed_densities_too(run, ticket):
    folder = run(*OTHER, *start(ticket), "schedule=listed", "schedule.densities=[0.9,0.45,0.3]", "levels=3")
    assert list(pd.read_csv(folder / "metrics.csv").kept) == [80, 51, round(51 / 2), 17]


def test_other_classes_get_a_fresh_unpruned_output_layer(run, source, ticket, capsys):
    folder = run(*OTHER, "dataset.classes=3", *start(ticket), "levels=2", "host.progress=lines")
    said = capsys.readouterr().err
    level, dense = finished(folder, 1, "", "x"), finished(folder, 0, "", "x")
    assert level.ticket.mask["fc.weight"].shape == (3, 4)
    assert level.ticket.mask["fc.weight"].all()
    for name in ("fc.weight", "fc.bias"):
        assert torch.equal(level.ticket.weights[name], dense.ticket.weights[name])
    taken = weights_of(source, 2)
    for name in ("layers.0.weight", "layers.0.bias"):
        assert torch.equal(level.ticket.weights[name], taken.weights[name])
    kept = int(taken.mask["layers.0.weight"].sum()) + 12
    assert f"level 1: the ticket's mask, density {kept / 76:.4g}; not pruned: fc\n" in said
    assert list(pd.read_csv(folder / "metrics.csv").kept) == [76, kept, round(0.8 * kept / 76 * 76)]


def test_the_output_layer_is_fresh_where_that_is_asked(run, source, ticket):
    folder = run(*OTHER, *start(ticket, "rewind.output=fresh"))
    level = finished(folder, 1, "", "x")
    assert level.ticket.mask["fc.weight"].all()
    assert not torch.equal(level.ticket.weights["fc.bias"], weights_of(source, 2).weights["fc.bias"])


def test_trained_weights_and_branches_are_tickets_too(run, lottery, source, tmp_path):
    assert lottery("branch", source, "branch=reinit", "levels=2") == 0
    run("rewind=ticket", f"rewind.path={source}", "rewind.level=2", "rewind.branch=reinit", "levels=1",
        "name=branch")  # fmt: skip
    run(*start(source, "rewind.level=2", "rewind.weights=end"), "name=end")
    (one,) = tmp_path.glob("outputs/branch/*/replicate_0")
    (other,) = tmp_path.glob("outputs/end/*/replicate_0")
    reinit = finished(source, 2, "reinit", "x").ticket.weights
    assert same(finished(one, 1, "", "x").ticket.weights, reinit)
    assert same(finished(other, 1, "", "x").ticket.weights, weights_of(source, 2, "end").weights)


def test_controls_of_a_transferred_ticket(run, source, ticket):
    """Random positions and fresh weights, at the densities of the ticket's layers."""
    fresh = ["branch=[random,reinit]", "branches.random.weights=fresh"]
    folder = run(*OTHER, *start(ticket), *fresh)
    taken = weights_of(source, 2).mask
    random, reinit = (finished(folder, 1, name, "x").ticket for name in ("random", "reinit"))
    assert same(reinit.mask, taken)
    assert not same(random.mask, taken)
    for name, keep in taken.items():
        assert random.mask[name].sum() == keep.sum()
        for control in (random, reinit):
            assert int((control.weights[name] != 0).sum()) == int(control.mask[name].sum())
        assert not torch.equal(reinit.weights[name], weights_of(source, 2).weights[name])


def test_each_replicate_takes_the_ticket_of_its_number(run, source, tmp_path):
    other = run(*SOURCE, "replicate=1")
    assert other.name == "replicate_1"
    words = [*OTHER, "rewind=ticket", f"rewind.path={source.parent}", "rewind.level=2", "levels=1", "name=moved"]
    run(*words)
    run(*words, "replicate=1")
    moved = sorted(tmp_path.glob("outputs/moved/*/replicate_*"))
    assert len({m.parent for m in moved}) == 1
    for one, from_ in zip(moved, (source, other), strict=True):
        assert same(finished(one, 1, "", "x").ticket.weights, weights_of(from_, 2).weights)


def test_a_run_goes_on_and_is_shared(run, ticket, capsys, tmp_path):
    folder = run(*OTHER, *start(ticket))
    capsys.readouterr()
    assert run(*OTHER, *start(ticket), "levels=2") == folder
    assert "1 trained, 0 shared, 2 already there" in capsys.readouterr().out
    run(*OTHER, *start(ticket), "schedule.keep=0.5")  # another run, whose level 1 is the same
    assert "0 trained, 2 shared" in capsys.readouterr().out


def test_a_ticket_that_has_changed_is_refused(run, lottery, source, ticket, capsys):
    folder = run(*OTHER, *start(ticket))
    before = (folder / "run.json").read_bytes()
    ticket.unlink()
    assert lottery("export", source, "level=3", "as=ticket", f"to={ticket}") == 0
    capsys.readouterr()
    run(*OTHER, *start(ticket), "levels=2", code=2)
    assert "the ticket of rewind.path has changed since this run began" in capsys.readouterr().err
    assert (folder / "run.json").read_bytes() == before
    ticket.unlink()
    run(*OTHER, *start(ticket), "levels=2", code=2)
    assert "cannot be read" in capsys.readouterr().err


def test_a_ticket_that_changes_during_the_run_is_not_mixed_in(run, source, ticket, monkeypatch):
    """The file is read once: what is written over it before level 2 is the next command's matter."""
    reads, plain, make = [], finding.find, loop.next_ticket

    def find(place, *more, **named):
        reads.append(place)
        return plain(place, *more, **named)

    def next_ticket(of, states):
        if states.index == 2:
            found = tickets.unpack(ticket.read_bytes(), ticket)
            doubled = {name: 2 * w for name, w in found.weights.items()}
            ticket.write_bytes(tickets.pack(tickets.Portable(doubled, found.mask, found.about)))
        return make(of, states)

    monkeypatch.setattr(finding, "find", find)
    monkeypatch.setattr(loop, "next_ticket", next_ticket)
    folder = run(*OTHER, *start(ticket), "levels=2")
    assert len(reads) == 1
    level, original = finished(folder, 2, "", "x"), weights_of(source, 2).weights
    for name in LAYERS:
        assert torch.equal(level.ticket.weights[name], original[name] * level.mask[name])


def test_what_a_ticket_from_elsewhere_cost_is_not_known(run, lottery, source, ticket, capsys, tmp_path):
    folder = run(*OTHER, *start(ticket), "levels=2", "branch=[reinit]")
    levels = pd.read_csv(folder / "metrics.csv").set_index("level")
    known = [c for c in levels if c.startswith("ticket_")]
    assert len(known) == 6
    assert levels.loc[0, known].notna().all()
    assert levels.loc[1:, known].isna().all(axis=None)
    assert levels.loc[1:, ["steps", "training_macs", "energy"]].notna().all(axis=None)
    branches = pd.read_csv(folder / "branches.csv")
    assert branches["steps"].notna().all()
    assert not [c for c in known if c in branches and branches[c].notna().any()]
    capsys.readouterr()
    assert lottery("plot", "figure=cost", "to=c.svg") == 0
    drawn = pd.read_csv(tmp_path / "c.csv")
    assert drawn["ticket_macs_kept"].notna().all()
    assert set(drawn[drawn["level"] > 0]["id"]) == {source.parent.name}
    assert "what its ticket cost is not known" in capsys.readouterr().out
    assert lottery("plot", folder, "figure=cost", "to=d.svg") == 0  # alone: by what the levels cost
    assert len(pd.read_csv(tmp_path / "d.csv")) == 3
    assert lottery("show", folder) == 0


@pytest.mark.slow
def test_a_report_of_a_ticket_from_elsewhere(run, lottery, source, ticket, capsys):
    folder = run(*OTHER, *start(ticket), "levels=2", "branch=[reinit]")
    capsys.readouterr()
    assert lottery("report", folder, source, "to=r.html") == 0
    assert capsys.readouterr().err == ""


def printed(capsys, begins):
    """Return the words of the command that the last command printed after these."""
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(begins)]
    return shlex.split(line.partition(": ")[2])


SOURCES = {
    "late": SOURCE,
    "recipe": [*SOURCE, "train/optimizer=adam", "train.optimizer.lr=0.02", "train.clip=1", "replicate=3", "sanity=true"],
    "moving": ["prune=set", "prune.update.every=2it", "rewind=step", "rewind.to=3it", "levels=2", "schedule=listed",
               "schedule.densities=[0.6,0.3]", "prune.exclude=[fc]", "name=my name"],
}  # fmt: skip


@pytest.mark.parametrize("kind", [
    kind if kind == "recipe" else pytest.param(kind, marks=pytest.mark.slow) for kind in SOURCES
])  # fmt: skip
def test_the_command_that_export_prints_trains_the_level_again(run, lottery, capsys, tmp_path, kind):
    """Typed as it stands, with other outputs: the very key, and the bits, of the level."""
    source = run(*SOURCES[kind])
    capsys.readouterr()
    assert lottery("export", source, "level=2", "as=ticket", "to=a b, (c)'s.safetensors") == 0
    words = printed(capsys, "another task starts from it")
    assert words[:2] == ["lottery", "run"]
    before = finished(source, 2, "", "test")
    assert f"rewind.to={before.ticket.span.start}it" in words
    assert lottery(*words[1:], f"outputs={tmp_path}/b") == 0
    (moved,) = tmp_path.glob("b/*/*/replicate_*")
    after = finished(moved, 1, "", "test")
    assert before.shelf.key == after.shelf.key
    assert same(before.end.weights, after.end.weights)


def test_the_command_that_export_prints_knows_the_folder_of_options(run, lottery, capsys, tmp_path):
    """The run has a model of the user's own, and the outputs lie elsewhere."""
    (tmp_path / "my conf" / "model").mkdir(parents=True)
    (tmp_path / "my conf" / "model" / "mine.yaml").write_text("name: lenet\nhidden: [5]\ninit: xavier_normal\n")
    own = ["--config-dir", "my conf", "model=mine"]
    run(*own, "levels=1", "rewind=step", "rewind.to=2it", f"outputs={tmp_path}/far off")
    (source,) = tmp_path.glob("far off/*/*/replicate_0")
    capsys.readouterr()
    assert lottery("export", source, "level=1", "as=ticket", "weights=end", "to=t.safetensors") == 0
    words = printed(capsys, "another task starts from it")
    assert "rewind.weights=end" in words
    assert lottery(*words[1:]) == 0
    assert len(list(tmp_path.glob("far off/*/*/replicate_0"))) == 2
    assert lottery("import", "t.safetensors", "to=u.safetensors", *own, *[w for w in words if w.startswith("dataset")]) == 0
    again = printed(capsys, "a run starts from it")
    recipe = [w for w in words if w.startswith(("train", "levels"))]
    assert lottery(*again[1:], *recipe) == 0


@pytest.mark.parametrize(("change", "length", "start", "why"), [
    ({}, Step(12, 4), 4, ""),
    ({"step": 0, "data": "other"}, Step(12, 4), 0, ""),
    ({"weights": "end", "step": 12}, Step(12, 4), 0, ""),
    ({"data": "other"}, Step(12, 4), 0, "the data are others, or not known; type rewind.to=4it to start at its own, or rewind.to=0it"),
    ({}, Step(16, 4), 0, "steps of training are 12 there, 16 here; type rewind.to=4it"),
    ({}, Step(12, 8), 0, "steps an epoch are 4 there, 8 here; type rewind.to=4it"),
    ({"length": "x"}, Step(12, 4), 0, "steps of training are not known there, 12 here; type rewind.to=4it"),
    ({"length": 3}, Step(3, 4), 4, ""),
    ({}, Step(3, 4), 0, "steps of training are 12 there, 3 here; type rewind.to=0it"),
])  # fmt: skip
def test_a_ticket_starts_at_its_own_step_where_it_fits(change, length, start, why):
    about = {"step": 4, "weights": "start", "data": "d", "length": 12, "steps_per_epoch": 4}
    step, said = beginning(about | change, length, "d")
    assert step.iteration == start
    assert why in said
    assert bool(said) == bool(why)


def test_a_ticket_of_other_data_says_from_which_step_it_starts(run, source, capsys):
    """Once a run, though the rewind is asked many times."""
    folder = run(*OTHER, "rewind=ticket", f"rewind.path={source}/level_02", "levels=1")
    assert finished(folder, 1, "", "x").ticket.span.start == 0
    said = capsys.readouterr().err
    assert said.count("rewind.to: the ticket's weights are of step 4") == 1
    run(*OTHER, "rewind=ticket", f"rewind.path={source}/level_02", "levels=1", "rewind.to=0it")
    assert "rewind.to" not in capsys.readouterr().err


def test_a_ticket_of_the_same_weights_and_another_step_is_another(run, ticket, capsys):
    run(*start(ticket))
    found = tickets.unpack(ticket.read_bytes(), ticket)
    ticket.write_bytes(tickets.pack(tickets.Portable(found.weights, found.mask, found.about | {"step": 5})))
    run(*start(ticket), "levels=2", code=2)
    assert "the ticket of rewind.path has changed" in capsys.readouterr().err


@pytest.mark.parametrize("step", [None, -1, True, 2**70, "soon", "x" * 99, [4], {}, 0.5, "1ep0it"])
def test_a_step_that_anyone_may_have_written(step):
    about = {"step": step, "weights": "start", "data": "d", "length": 12, "steps_per_epoch": 4}
    found, why = beginning(about, Step(12, 4), "d")
    assert (found.iteration, why) == {"1ep0it": (4, ""), 2**70: (2**70, "")}.get(step if isinstance(step, str | int) else "", (0, ""))


def test_a_ticket_of_another_model_names_its_own(lottery, ticket, capsys):
    assert lottery("run", "rewind=ticket", f"rewind.path={ticket}") == 2
    assert "it was made with model=lenet_300_100" in capsys.readouterr().err


def test_a_level_can_be_looked_at_when_its_ticket_is_gone(run, lottery, ticket, tmp_path):
    folder = run(*OTHER, *start(ticket))
    ticket.unlink()
    assert lottery("export", folder, "level=1", "to=n.safetensors") == 0
    assert tickets.unpack((tmp_path / "n.safetensors").read_bytes(), "n").about["level"] == 1


@pytest.mark.parametrize(("words", "why"), [
    ([], "rewind.path: give a ticket file"),
    (["rewind.path=TICKET", "prune=snip", "levels=2"], "prune.nested=true"),
    (["rewind.path=TICKET", "branch=[shuffle]"], "branch shuffle: it needs weights at positions"),
    (["rewind.path=TICKET", "branch=[random]"], "branch random: it needs weights at positions"),
    (["rewind.path=TICKET", "branch=[invert]"], "branch invert"),
    (["rewind.path=TICKET", "schedule=listed", "schedule.densities=[0.5,0.6]", "levels=2"], "above the 0.6375 of the level before"),
])  # fmt: skip
def test_what_does_not_fit_is_one_line_before_anything_is_written(lottery, tiny, source, ticket, capsys, tmp_path, words, why):
    words = [w.replace("TICKET", str(ticket)) for w in words]
    before = sorted(tmp_path.rglob("*"))
    assert lottery("run", *tiny, "rewind=ticket", "levels=1", *words) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def settings(tiny, tmp_path_factory):
    """Return the settings of a run from a ticket; composed once, since that takes longest."""
    kept = tmp_path_factory.getbasetemp() / "settings.yaml"
    if not kept.exists():
        made = []
        compose.compose_each([*tiny, "rewind=ticket", "levels=1"], lambda c: made.append(c.settings))
        kept.write_text(build.text(made[0]))
    return read_config(kept)


@pytest.mark.parametrize(("changes", "why"), [
    ({"rewind.path": "nowhere.safetensors"}, "cannot be read"),
    ({"rewind.path": "CONFIG", "rewind.level": 2, "replicate": 7}, "has no replicate_7, it has replicate_0"),
    ({"rewind.path": "SOURCE"}, "where one of its levels is wanted"),
    ({"rewind.path": "SOURCE", "rewind.level": 9}, "has no finished level 9; it has 0, 1, 2, 3"),
    ({"rewind.path": "SOURCE", "rewind.level": 2, "rewind.branch": "x"}, "has no finished level 2 of branch x; its branches are none"),
    ({"rewind.path": "SOURCE", "rewind.level": 2, "rewind.branch": "../x"}, "has no finished level 2 of branch ../x; its branches are none"),
    ({"rewind.path": "folder"}, "neither a ticket file nor the folder of a run"),
    ({"rewind.weights": "end"}, "has the weights of the start, not of the end"),
    ({"rewind.weights": "x"}, "none of start, end"),
    ({"rewind.output": "x"}, "none of auto, fresh, ticket"),
    ({"rewind.to": "end"}, "nothing left to train"),
    ({"model.hidden": [5]}, "layers.0.weight is float32 4x16 in the ticket, float32 5x16"),
    ({"model.hidden": [4, 4]}, "a ticket of another model: this model alone has layers.1.weight"),
    ({"model.hidden": []}, "a ticket of another model: it alone has layers.0.weight"),
    ({"dataset.channels": 2, "dataset.mean": [0.5] * 2, "dataset.std": [0.5] * 2}, "images of the same channels"),
    ({"dataset.classes": 3, "rewind.output": "ticket"}, "fc.weight is float32 4x4 in the ticket, float32 3x4"),
    ({"prune.exclude": ["fc"]}, "the ticket prunes fc"),
    ({"sanity": True}, "it needs weights at positions"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_written(settings, source, ticket, tmp_path, changes, why):
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for key, value in ({"rewind.path": str(ticket)} | changes).items():
        *path, last = key.split(".")
        node = settings
        for part in path:
            node = node[part]
        node[last] = {"SOURCE": str(source), "CONFIG": str(source.parent)}.get(str(value), value)
    with pytest.raises(UsageError, match=re.escape(why)) as refused:
        launch.launch(settings, build.parts(settings), "moved", "lottery run")
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("method", ["snip", "oneshot"])
def test_a_method_that_starts_from_the_dense_net_may_have_one_level(run, source, ticket, method):
    folder = run(*start(ticket), f"prune={method}")
    assert same(finished(folder, 1, "", "x").ticket.mask, weights_of(source, 2).mask)


def test_invert_is_for_later_levels(run, ticket):
    folder = run(*OTHER, *start(ticket), "levels=2", "branch=[invert]", "branch_levels=[2]")
    parent, level = finished(folder, 1, "", "x"), finished(folder, 2, "invert", "x")
    assert masks.kept(level.mask) == round(51 * 0.8)
    assert all(not bool((level.mask[n] & ~parent.mask[n]).any()) for n in LAYERS)


def test_a_damaged_level_is_said_to_be(run, source, capsys):
    path = finished(source, 2, "", "x").shelf.path / "ticket.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    run(*start(source, "rewind.level=2"), code=4)
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("choice", ["resnet20", "vgg11_bn", "densenet40", "mobilenet_v1"])
def test_the_output_layer_of_every_kind_of_net_is_found(choice, tmp_path):
    small = {"resnet20": {"depth": 8, "width": 4}, "vgg11_bn": {"width": 2},
             "densenet40": {"depth": 10, "growth": 4}, "mobilenet_v1": {"width": 0.25}}[choice]  # fmt: skip
    node = OmegaConf.to_container(OmegaConf.load(build.conf_dir() / "model" / f"{choice}.yaml"))
    make = build.bind("model", node | small, "model")
    nets = [make(Outline({}, "", input_shape=(3, 32, 32), outputs=k, fingerprint="")) for k in (10, 7)]
    own = nets[1].state_dict()
    last = output_layer(own)
    weight = next(n for n in last if n.endswith("weight"))
    assert own[weight].shape[0] == 7
    keep = masks.dense(nets[0])
    found = tickets.Portable(nets[0].state_dict(), keep, {})
    weights, mask = fitted(found, own, "auto", tmp_path)
    assert set(keep) - set(mask) == {weight}
    nets[1].load_state_dict(weights)
    assert all(torch.equal(weights[n], own[n] if n in last else nets[0].state_dict()[n]) for n in own)


ENCODER = {"net.a.weight": torch.ones(2, 3), "net.b.weight": torch.full((3, 3), 2.0)}
POOLER = {"net.pooler.weight": torch.full((3, 3), 3.0)}
CLASSES = {"classifier.weight": torch.full((2, 3), 4.0)}
WORDS = {"words.dense.weight": torch.full((3, 3), 5.0), "words.out.weight": ENCODER["net.a.weight"]}
NAMES = {"net.a.weight": ["net.a.weight", "words.out.weight"]}


def behind(name):
    return not name.startswith("net.") or ".pooler." in name


def test_an_encoder_goes_to_a_net_with_another_head_and_what_is_tied_goes_with_it():
    own = {n: t * 10 for n, t in (ENCODER | POOLER | CLASSES).items()}
    keep = {"net.b.weight": torch.eye(3).bool(), "words.dense.weight": torch.eye(3).bool()}
    ticket = tickets.Portable(ENCODER | WORDS, keep, {})
    for output in ("fresh", "auto"):
        weights, mask = fitted(ticket, own, output, "x", None, {}, behind=behind)
        assert list(weights) == list(own) and list(mask) == ["net.b.weight"]
        assert same(weights, own | ENCODER)
    own = {n: t * 10 for n, t in (ENCODER | WORDS).items()}
    keep = {"net.b.weight": torch.eye(3).bool(), "net.pooler.weight": torch.eye(3).bool()}
    weights, mask = fitted(tickets.Portable(ENCODER | POOLER | CLASSES, keep, {}), own, "fresh", "x", None, NAMES, behind=behind)
    assert list(mask) == ["net.b.weight"]
    assert same(weights, own | ENCODER | {"words.out.weight": ENCODER["net.a.weight"]})
    ticket = tickets.Portable(ENCODER | WORDS, {}, {})
    assert same(fitted(ticket, own, "auto", "x", None, NAMES, behind=behind)[0], ENCODER | WORDS)
    fresh = fitted(ticket, own, "fresh", "x", None, NAMES, behind=behind)[0]
    assert same(fresh, ENCODER | WORDS | {"words.dense.weight": own["words.dense.weight"]})


def test_another_head_is_refused_where_the_tickets_is_asked_for_and_another_encoder_always():
    own, ticket = ENCODER | POOLER | CLASSES, tickets.Portable(ENCODER | WORDS, {}, {})
    with pytest.raises(UsageError, match="this model alone has"):
        fitted(ticket, own, "ticket", "x", behind=behind)
    with pytest.raises(UsageError, match=r"it alone has net.c.weight"):
        more = tickets.Portable(ticket.weights | {"net.c.weight": torch.ones(1)}, {}, {})
        fitted(more, own, "fresh", "x", behind=behind)
    with pytest.raises(UsageError, match=r"this model alone has net.c.weight"):
        fitted(ticket, own | {"net.c.weight": torch.ones(1)}, "fresh", "x", behind=behind)
