"""`lottery diff`: what differs, and the first level, step and tensor at which two runs part."""

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file

from lottery.experiment.differences import first_gap, masks_apart, unlike
from lottery.storage import disk, store
from lottery.storage.files import digest
from lottery.storage.records import signed


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("diff") / "outputs"


@pytest.fixture
def made(lottery, tiny, outputs, capsys):
    """Return the folder of a run of this name, trained once for all tests."""

    def call(name, *overrides, replicate=0):
        found = [*outputs.glob(f"{name}/*/replicate_{replicate}")]
        if not found:
            own_net = any(word.startswith("model=") for word in overrides)
            words = [w for w in tiny if not (own_net and w.startswith("model"))]
            words += [f"outputs={outputs}", f"name={name}", f"replicate={replicate}"]
            assert lottery("-v", "run", *words, "train/lr=constant", *overrides) == 0
            found = [*outputs.glob(f"{name}/*/replicate_{replicate}")]
        return found[0]

    return call


@pytest.fixture
def diff(lottery, outputs, capsys):
    """Call the command; return what it printed, and check its exit code."""

    def call(*words, code):
        capsys.readouterr()
        assert lottery("diff", *words, f"outputs={outputs}") == code
        said = capsys.readouterr()
        return said.err if code > 1 else said.out

    return call


def copied(folder, outputs, place):
    """Copy the outputs of a run; return its folder there."""
    shutil.copytree(outputs, place / "outputs", symlinks=True)
    return place / "outputs" / folder.relative_to(outputs)


def shelf_of(folder, level):
    levels = json.loads((folder / "manifest.json").read_text())["levels"]
    return folder.parents[2] / "store" / levels[level]["key"]


def rewrite(shelf, name, change):
    """Change a tensor file of a level, its checksum and its manifest with it."""
    data = (shelf / name).read_bytes()
    tensors, about = store.unpack_tensors(data)
    change(tensors)
    changed = store.pack_tensors(tensors, about)
    (shelf / name).write_bytes(changed)
    manifest = json.loads((shelf / "manifest.json").read_text())
    manifest.pop("sha256")
    manifest["files"][name] = digest(changed)
    disk.write_json(shelf / "manifest.json", signed(manifest))


def files(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*") if p.is_file()}


def test_the_first_gap_is_the_first_tensor_and_element_that_are_not_the_same_bits():
    one = {"b": torch.tensor([[0.0, 1.0], [2.0, 3.0]]), "a": torch.tensor(5)}
    other = {"b": torch.tensor([[0.0, 1.0], [2.5, 4.0]]), "a": torch.tensor(6)}
    gap = first_gap(one, other, ["b", "a"])
    assert (gap.place, gap.values, gap.count, gap.total, gap.most) == ("b[1, 0]", (2.0, 2.5), 2, 4, 1.0)
    assert first_gap(one, other, ["a", "b"]).place == "a"
    assert first_gap(one, one, ["b", "a"]) is None


@pytest.mark.parametrize(
    ("a", "b", "same"), [(0.0, -0.0, False), (float("nan"), float("nan"), True), (1.0, 1.0 + 1e-7, False)]
)
def test_bits_are_compared_and_not_values(a, b, same):
    assert (first_gap({"w": torch.tensor([a])}, {"w": torch.tensor([b])}, ["w"]) is None) == same


def test_masks_and_forms_are_told_apart_in_words():
    a, b = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, True])
    assert masks_apart({"w": a}, {"w": b}) == (
        "3 of 4 weights differ (A keeps 2, B 3), first w[1], which A keeps"
    )
    assert unlike({"w": a}, {"v": a}) == "w is in A alone"
    assert unlike({"w": a}, {"w": a.view(2, 2)}) == "w is bool 4 in A, bool 2x2 in B"


def test_a_run_and_itself_do_not_differ(made, diff, outputs):
    folder = made("plain")
    before = files(outputs)
    said = diff("plain", folder, code=0)
    assert diff("name=plain", folder, "prune=imp", code=0) == said
    assert "no run with prune=snip" in diff("plain", "name=plain", "prune=snip", code=2)
    assert "and 'plain' is a third" in diff("plain", folder, "plain", code=2)
    assert "no difference" in said
    assert said.count("shared") == 3
    assert files(outputs) == before


def test_the_same_run_in_two_places_is_compared_bit_by_bit(made, diff, outputs, tmp_path):
    folder = made("plain")
    said = diff("plain", copied(folder, outputs, tmp_path), code=0)
    assert "shared" not in said
    assert said.count("the same") >= 3


def test_only_torch_free_modules_are_needed_for_runs_that_share_all(made, shell, outputs):
    made("plain")
    code = "import sys; from lottery import cli; c = cli.main(sys.argv[1:]); sys.exit(c or 'torch' in sys.modules)"
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code, "diff", "plain", "plain", f"outputs={outputs}"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_learning_rate_parts_at_step_1(made, diff, outputs):
    made("plain")
    made("fast", "train.optimizer.lr=0.1")
    before = files(outputs)
    said = diff("plain", "fast", "replay=true", code=1)
    assert "train.optimizer.lr" in said.split("environment")[0]
    assert "level_00: the same up to step 0, they part by step 4" in said
    assert "step 4: curve: train_loss is" in said
    assert "step 12: weights: layers.0.weight[0, 0] is" in said
    assert "replay: they part at step 1: layers.0.weight[0, 0] is" in said
    assert said.count("gives again all that was kept, up to step 4") == 2
    assert files(outputs) == before


def test_a_state_that_both_kept_narrows_it_down_and_momentum_parts_a_step_later(made, diff):
    """At step 1 momentum is the gradient, whatever its decay; the weights part at step 2."""
    late = ["rewind=step", "rewind.to=1it", "levels=1"]
    made("heavy", *late)
    made("light", *late, "train.optimizer.momentum=0.5")
    said = diff("heavy", "light", "replay=true", code=1)
    assert "level_00: the same up to step 1, they part by step 4" in said
    assert "replay: they part at step 2: layers.0.weight[0, 0] is" in said


def test_another_rewind_parts_in_the_ticket_of_level_1(made, diff):
    made("plain")
    made("late", "rewind=step", "rewind.to=4it")
    said = diff("plain", "late", "replay=true", code=1)
    assert "level_00            shared" in said
    assert "level_01: they part before the first step, in the ticket" in said
    assert "weights of the ticket: layers.0.weight[0, 0] is" in said
    assert "mask of the ticket" not in said
    assert "training schedule: A begins at its step 0, B at 4" in said
    assert "replay: not needed" in said


def test_another_criterion_parts_in_the_mask_of_level_1(made, diff):
    made("plain")
    made("blind", "prune=random")
    said = diff("plain", "blind", code=1)
    assert "prune.criterion.name" in said
    assert "level_00            shared" in said
    details = said.split("\nlevel_01: ")[1]
    assert "mask of the ticket: " in details.splitlines()[1]
    assert "of 80 weights differ (A keeps 64, B 64), first layers." in details


def test_another_replicate_parts_in_the_ticket_of_level_0(made, diff):
    made("pair", "levels=0")
    made("pair", "levels=0", replicate=1)
    said = diff("pair/replicate_0", "pair/replicate_1", code=1)
    assert "replicate 0 1 other seeds" in " ".join(said.split())
    assert "level_00: they part before the first step, in the ticket" in said
    assert "weights of the ticket: layers.0.weight[0, 0] is" in said


def test_what_changes_no_number_is_said_to(made, diff):
    made("plain")
    made("again", "checkpoint_every=5it", "levels=1")
    said = diff("plain", "again", code=0)
    for setting in ("checkpoint_every", "levels", "name"):
        (line,) = [line for line in said.splitlines() if line.strip().startswith(setting)]
        assert line.endswith("changes no number of a level")
    assert "in A alone: level_02" in said
    assert "no difference" in said


def test_a_longer_training_parts_where_the_shorter_ends(made, diff):
    made("plain")
    made("long", "train.length=4ep")
    said = diff("plain", "long", "levels=0", "replay=true", code=1)
    assert "level_00: they part at step 12" in said
    assert "A trains up to step 12, B up to step 16" in said
    assert "replay: the same up to step 12" in said
    assert "level_01" not in said


@pytest.mark.parametrize(
    ("name", "place"), [("ticket.safetensors", (2, 7)), ("end.safetensors", (3, 15))]
)
def test_a_single_changed_weight_is_found_at_its_index(made, diff, outputs, tmp_path, name, place):
    folder = made("plain")
    other = copied(folder, outputs, tmp_path)
    shelf = shelf_of(other, "level_01")
    kept = float(load_file(shelf / name)["weights/layers.0.weight"][place])

    def nudge(tensors):
        tensors["weights/layers.0.weight"][place] = 7.0

    rewrite(shelf, name, nudge)
    said = diff("plain", other, "replay=true", code=1)
    assert "level_00            the same" in said
    assert "level_02            the same" in said
    wanted = f"layers.0.weight[{place[0]}, {place[1]}] is {kept:.9g} in A, 7 in B"
    assert f"{wanted}; 1 of 64 elements differ, by {7 - kept:.3g} at most" in said
    if name == "end.safetensors":
        assert "level_01: the same up to step 8, they part by step 12" in said
        assert "replay: the same up to step 12" in said
        assert "A: gives again all that was kept, up to step 12" in said
        assert "B: does not give again what was kept, first at step 12, layers.0.weight[3, 15]" in said


def test_branches_are_compared_with_what_sets_their_training_apart(made, diff):
    made("one", "branch=[shuffle,reorder]", "levels=1")
    made("two", "branch=[shuffle,reorder]", "levels=1", "branches.reorder.order=2")
    said = diff("one", "two", "replay=true", code=1)
    assert "level_01_shuffle    shared" in said
    assert "level_01_reorder: the same up to step 0, they part by step 4" in said
    assert "order: 1 in A, 2 in B" in said
    assert "replay: they part at step 1: " in said


def test_a_moving_mask_is_followed(made, diff):
    """Both train alike until the first update, which takes the place of the update of step 5."""
    moving = ["levels=1", "prune/update=set", "prune.update.every=4it", "evaluate_every=3ep"]
    made("calm", *moving, "prune.update.fraction=0.3")
    made("wild", *moving, "prune.update.fraction=0.6")
    said = diff("calm", "wild", "replay=true", code=1)
    assert "level_00            shared" in said
    assert "level_01: the same up to step 0, they part by step 12" in said
    assert "replay: they part at step 5: layers." in said
    assert said.count("gives again all that was kept, up to step 12") == 2


def test_other_nets_cannot_be_compared_and_other_data_can(made, diff):
    made("plain")
    made("wide", "model=lenet_300_100", "model.hidden=[5]")
    said = diff("plain", "wide", "replay=true", code=1)
    assert "the tensors cannot be compared: layers.0.weight is float32 4x16 in A, float32 5x16 in B" in said
    made("conv", "model=resnet20", "model.depth=8", "model.width=2", "levels=0")
    assert "the tensors cannot be compared: layers.0.weight is in A alone" in diff("plain", "conv", code=1)
    made("other_data", "dataset.seed=1", "levels=0")
    said = diff("plain", "other_data", "replay=true", code=1)
    assert "data: not the same" in said
    assert "level_00: they part at step 0" in said
    assert "replay: they part at step 1: " in said


def test_runs_without_a_common_level_are_named(made, diff, run, tmp_path):
    made("plain")
    failed = run("train.optimizer.lr=1e30", code=6)
    for words in (["plain", failed], ["plain", "plain", "levels=7"]):
        said = diff(*words, code=2)
        assert len(said.strip().splitlines()) == 1
        assert "finished in both runs" in said


@pytest.mark.parametrize(
    "words",
    [["plain"], ["plain", "plain", "plain"], ["plain", "nowhere"], ["plain", "plain", "replay=maybe"],
     ["plain", "plain", "levels=first"], ["plain", "plain", "step=1"]],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_in_a_line(made, diff, words):
    made("plain")
    said = diff(*words, code=2)
    assert len(said.strip().splitlines()) == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "name", ["config.yaml", "run.json", "manifest.json", "level_01/end.safetensors",
             "level_01/ticket.safetensors", "level_01/curve.csv", "level_01/manifest.json"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_damage_is_named(made, diff, outputs, tmp_path, name, damage):
    folder = made("plain")
    other = copied(folder, outputs, tmp_path)
    path = other / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data) if damage == "flip" else bytes(data[:-20]))
    said = diff("plain", other, code=4)
    assert len(said.strip().splitlines()) == 1
    assert str(path.resolve()) in said or str(path) in said


def test_a_replay_that_the_config_does_not_lead_to_is_refused(made, diff, monkeypatch):
    """The data set has changed, say: the level's key cannot be made again."""
    made("plain")
    made("fast", "train.optimizer.lr=0.1")
    monkeypatch.setattr("lottery.experiment.recorded_run.key_of", lambda run, ticket: 32 * "0")
    said = diff("plain", "fast", "replay=true", code=2)
    assert "does not follow from" in said
    assert len(said.strip().splitlines()) == 1


def test_a_replay_takes_the_lowered_rates_of_rollbacks(made, diff, outputs, tmp_path, monkeypatch):
    broken = []

    def break_once(training, trained, loss):
        if training.step == 7 and not broken:
            broken.append(training.step)
            training.broken += training.step

    with monkeypatch.context() as patch:
        patch.setattr("lottery.training.loop.note_broken_", break_once)
        folder = made("back", "train.on_nan=rollback", "levels=0")
    assert json.loads((shelf_of(folder, "level_00") / "manifest.json").read_text())["lowered"] == [4]
    other = copied(folder, outputs, tmp_path)
    rewrite(shelf_of(other, "level_00"), "end.safetensors", lambda t: t["weights/fc.bias"].zero_())
    said = diff(folder, other, "replay=true", code=1)
    assert "weights: fc.bias[0] is" in said
    assert "A: gives again all that was kept, up to step 12" in said
    assert "B: does not give again what was kept, first at step 12, fc.bias[0]" in said


@pytest.mark.parametrize("curve", [b"step,val_loss\nfirst,1.0\n", b"epoch\n1\n", b""])
def test_a_curve_that_is_none_is_damage_though_its_checksum_is_right(
    made, diff, outputs, tmp_path, curve
):
    folder = made("plain")
    other = copied(folder, outputs, tmp_path)
    shelf = shelf_of(other, "level_01")
    (shelf / "curve.csv").write_bytes(curve)
    manifest = json.loads((shelf / "manifest.json").read_text())
    manifest.pop("sha256")
    manifest["files"]["curve.csv"] = digest(curve)
    disk.write_json(shelf / "manifest.json", signed(manifest))
    if curve:
        assert "curve.csv is damaged (it is no curve)" in diff("plain", other, code=4)
    else:  # no row in common: the rest is compared
        assert "no difference" in diff("plain", other, code=0)


def test_what_a_terminal_would_obey_is_spelled_out(made, diff, outputs, tmp_path):
    folder = made("plain")
    other = copied(folder, outputs, tmp_path)
    text = (other / "config.yaml").read_text().replace("name: plain", 'name: "\\e[2Jplain"')
    (other / "config.yaml").write_text(text)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest.pop("sha256")
    manifest["files"]["config.yaml"] = [digest(text.encode())]
    disk.write_json(other / "manifest.json", signed(manifest))
    said = diff("plain", other, code=0)
    assert "\x1b" not in said
    assert "\\x1b[2Jplain" in said


def test_rows_at_other_steps_make_no_difference(made, diff):
    """Means over other stretches of steps are not compared; the weights are."""
    made("plain")
    made("fine", "evaluate_every=2it", "levels=0")
    said = diff("plain", "fine", code=0)
    (line,) = [line for line in said.splitlines() if line.strip().startswith("evaluate_every")]
    assert line.split() == ["evaluate_every", "1ep", "2it"]
    assert "level_00            the same" in said


def test_a_convolutional_net_under_adam_in_bf16_is_replayed_too(made, diff):
    net = ["model=resnet20", "model.depth=8", "model.width=2", "dataset.size=8", "levels=1",
           "train/optimizer=adam", "train.precision=bf16"]  # fmt: skip
    made("sharp", *net)
    made("smooth", *net, "train.label_smoothing=0.1")
    said = diff("sharp", "smooth", "replay=true", code=1)
    assert "replay: they part at step 1: conv.weight[" in said
    assert said.count("gives again all that was kept, up to step 4") == 2


def test_a_replay_that_strays_names_the_environment_of_the_level(made, diff, outputs, tmp_path):
    folder = made("plain")
    other = copied(folder, outputs, tmp_path)
    shelf = shelf_of(other, "level_00")
    rewrite(shelf, "end.safetensors", lambda tensors: tensors["weights/fc.bias"].zero_())
    manifest = json.loads((shelf / "manifest.json").read_text())
    manifest.pop("sha256")
    manifest["environment"]["machine"] = "vax"
    manifest["drift"] = ["step 8: torch 1.0 -> 2.0"]
    disk.write_json(shelf / "manifest.json", signed(manifest))
    said = diff("plain", other, "replay=true", "levels=0", code=1)
    (line,) = [line for line in said.splitlines() if line.startswith("  B: does not give again")]
    assert "(it was trained in another environment: step 8: torch 1.0 -> 2.0; machine vax -> " in line


def test_a_level_that_has_gone_from_the_store_is_named(made, diff, outputs, tmp_path):
    folder = made("plain")
    other = copied(folder, outputs, tmp_path)
    shutil.rmtree(shelf_of(other, "level_02"))
    said = diff("plain", other, code=2)
    assert f"level_02 of {other} is not in the store" in said
    assert len(said.strip().splitlines()) == 1
    assert "no difference" in diff("plain", other, "levels=0,1", code=0)
