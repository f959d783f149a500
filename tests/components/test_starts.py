"""Step 0 comes from a start: drawn, from a file by name, from a ticket without its mask."""

import dataclasses
import hashlib
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lottery.config import build, identity
from lottery.exchange import finding, foreign
from lottery.experiment.recorded_run import finished
from lottery.machine import libraries
from lottery.storage import records

WIDER = ["dataset.classes=5", "dataset.seed=1"]


@pytest.fixture
def net(once, run, lottery, tmp_path):
    """Train a tiny net, prune it once; return the file of its trained weights."""

    def make():
        folder = run("levels=1", "name=before")
        assert lottery("export", folder, "level=0", "as=safetensors", "to=net.safetensors") == 0
        assert lottery("export", folder, "level=1", "as=ticket", "to=ticket.safetensors") == 0
        assert lottery("export", folder, "level=1", "as=folder", "to=folder") == 0

    once("pretrained", make)
    return tmp_path / "net.safetensors"


def start_of(folder, index=0):
    return finished(folder, index, "", "test").ticket.weights


def plain(file):
    return {n: t for n, t in load_file(file).items() if not n.startswith("mask/")}


def same(one, other, names=None):
    return all(torch.equal(one[n], other[n]) for n in names or one)


FILE = ["start=pretrained", "start.path=net.safetensors", "levels=1"]


def test_level_0_begins_with_the_weights_of_the_file_and_so_does_a_rewind_to_init(net, run):
    folder = run(*FILE)
    assert same(start_of(folder), plain(net))
    found = finished(folder, 1, "", "test").ticket
    assert same({n: found.weights[n][keep] for n, keep in found.mask.items()},
                {n: plain(net)[n][keep] for n, keep in found.mask.items()})  # fmt: skip
    source = records.read_run(folder)["start"]
    assert source["from"] == str(net)
    assert source["sha256"] == hashlib.sha256(net.read_bytes()).hexdigest()


def test_fresh_weights_are_drawn_and_never_those_of_the_file(net, run):
    words = [*FILE, "branch=[reinit]", "rewind=reinit"]
    drawn = finished(run(*words), 1, "", "test").ticket
    plainly = finished(run("rewind=reinit", "levels=1"), 1, "", "test").ticket
    both = {n: drawn.mask[n] & plainly.mask[n] for n in drawn.mask}
    for name, keep in both.items():
        assert torch.equal(drawn.weights[name][keep], plainly.weights[name][keep])


def test_replicates_differ_in_the_head_alone_where_the_classes_differ(net, run):
    zero, one = (start_of(run(*FILE, *WIDER, f"replicate={k}", "levels=0")) for k in (0, 1))
    body = [n for n in zero if not n.startswith("fc.")]
    assert same(zero, plain(net), body)
    assert same(zero, one, body)
    assert not torch.equal(zero["fc.weight"], one["fc.weight"])
    drawn = start_of(run(*WIDER, "levels=0"))
    assert torch.equal(zero["fc.weight"], drawn["fc.weight"])


def test_a_moved_file_is_the_same_run_and_an_edited_one_another(net, run, lottery, tmp_path, capsys):
    folder = run(*FILE)
    net.rename(tmp_path / "moved.safetensors")
    moved = [*FILE, "start.path=moved.safetensors"]
    assert run(*moved) == folder
    assert records.read_run(folder)["start"]["from"].endswith("moved.safetensors")
    tensors = plain(tmp_path / "moved.safetensors")
    save_file({**tensors, "fc.bias": tensors["fc.bias"] + 1}, tmp_path / "moved.safetensors")
    other = run(*moved)
    assert other.parent != folder.parent
    capsys.readouterr()
    lottery("diff", folder, other)
    said = capsys.readouterr().out
    assert "start.sha256" in said
    assert "level_00            not the same from the start" in said or "they part" in said


def test_a_file_that_is_gone_is_needed_for_what_is_not_there_alone(net, run, lottery, tiny, capsys):
    folder = run(*FILE)
    net.unlink()
    capsys.readouterr()
    assert run(*FILE) == folder
    assert "2 already there" in capsys.readouterr().out
    assert run(*FILE, "levels=2") == folder  # from level 0
    assert lottery("run", *tiny, *FILE, "replicate=1") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "start.path: net.safetensors is not there; to go on put it back" in line
    assert lottery("ls", "start=pretrained,ticket") == 0
    assert lottery("show", folder) == 0


def test_the_content_may_be_typed_and_is_then_compared(net, run, lottery, tiny, capsys):
    content = hashlib.sha256(net.read_bytes()).hexdigest()
    assert run(*FILE, f"start.sha256={content}") == run(*FILE)
    assert lottery("run", *tiny, *FILE, "start.sha256=abc", "name=x") == 2
    assert f"has another content, sha256 {content}" in capsys.readouterr().err


def test_the_content_may_be_typed_in_capitals(net, run):
    folder = run(*FILE)
    content = hashlib.sha256(net.read_bytes()).hexdigest()
    assert run(*FILE, f"start.sha256={content.upper()}", "name=again").parent.name == folder.parent.name


@pytest.mark.parametrize("start", ["pretrained", "ticket"])
def test_a_file_that_is_swapped_while_it_is_read_is_not_taken(net, lottery, tiny, capsys, monkeypatch, start):
    """Else a run would be known by the one content and have the weights of the other."""
    file = net.parent / ("ticket.safetensors" if start == "ticket" else "net.safetensors")
    module, reader = (finding, "find") if start == "ticket" else (foreign, "read")
    read = getattr(module, reader)

    def swapping(*given, **more):
        found = read(*given, **more)
        file.write_bytes(file.read_bytes() + b" ")
        return found

    monkeypatch.setattr(module, reader, swapping)
    assert lottery("run", *tiny, f"start={start}", f"start.path={file.name}", "levels=0", "name=new") == 2
    assert f"start.path: {file.name} has another content" in capsys.readouterr().err


def test_a_cut_off_run_goes_on_with_the_same_bits(net, run, cut):
    words = [*FILE, *WIDER, "checkpoint_every=1it"]
    folder = run(*words)
    wanted = [finished(folder, index, "", "test").end.weights for index in (0, 1)]
    shutil.rmtree(folder.parents[2])
    cut(7, run, *words)
    run(*words)
    for index, weights in enumerate(wanted):
        assert same(finished(folder, index, "", "test").end.weights, weights)


@pytest.mark.parametrize("path", ["ticket.safetensors", "folder"])
@pytest.mark.parametrize("start", ["ticket", "pretrained"])
def test_a_ticket_gives_its_weights_and_no_mask(net, run, tmp_path, start, path):
    folder = run(f"start={start}", f"start.path={path}", "levels=0")
    found = finished(folder, 0, "", "test").ticket
    file = tmp_path / path
    assert same(found.weights, plain(file if file.is_file() else file / "model.safetensors"))
    assert all(bool(keep.all()) for keep in found.mask.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("start=pretrained", "start.path: give the weights to begin with"),
        ("start=ticket", "start.path: give a ticket"),
        ("start=pretrained start.path=nowhere", "start.path: nowhere is not there"),
        ("start=pretrained start.path=outputs", "start.path: outputs has no model.safetensors"),
        ("start=pretrained start.path=net.safetensors model.hidden=[5]", "layers.0.weight is float32 4x16 in the file"),
        ("start=pretrained start.path=net.safetensors model.hidden=[4,4]", "this model alone has layers.1.weight"),
        ("start=pretrained start.path=broken.safetensors", "start.path: broken.safetensors is no safetensors file"),
        ("start=pretrained start.path=net.pth", "type: lottery import net.pth to=net.safetensors masks=zeros"),
        ("start=pretrained start.path=infinite.safetensors", "a weight is not finite"),
        ("start=ticket start.path=other.safetensors", "is no ticket file"),
        ("start=pretrained start.weights=DEFAULT", "only nets of torchvision have published weights"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(net, lottery, tiny, tmp_path, capsys, words, said):
    save_file({"a": torch.full((1,), torch.inf)}, tmp_path / "other.safetensors")
    own = plain(net)
    save_file({**own, "fc.bias": own["fc.bias"] + torch.inf}, tmp_path / "infinite.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"none")
    torch.save(own, tmp_path / "net.pth")
    capsys.readouterr()
    assert lottery("run", *tiny, *words.split(), "name=wrong") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not (tmp_path / "outputs" / "wrong").exists()


def test_what_the_line_on_a_torch_file_says_to_type_works(net, run, lottery, tmp_path):
    torch.save(plain(net), tmp_path / "net.pth")
    own = plain(net)
    net.unlink()
    assert lottery("import", "net.pth", "to=net.safetensors", "masks=zeros") == 0
    assert same(start_of(run(*FILE)), own)


def test_floats_get_the_type_of_the_net(net, run):
    halves = {n: t.half() for n, t in plain(net).items()}
    save_file(halves, net)
    assert same(start_of(run(*FILE)), {n: t.float() for n, t in halves.items()})


def test_a_run_that_draws_its_weights_is_known_as_before_there_was_a_choice():
    plain = {"train": {"optimizer": {}}, "dataset": {}}
    for start, other in (
        ({"name": "init"}, False),
        ({"name": "pretrained", "path": "a", "sha256": "1"}, True),
    ):
        assert (identity.run_id({**plain, "start": start}) != identity.run_id(plain)) == other
    moved = {"name": "pretrained", "path": "b", "sha256": "1"}
    assert identity.run_id({**plain, "start": moved}) == identity.run_id({**plain, "start": start})


def test_a_config_from_before_there_was_a_start_is_read(run):
    from lottery.storage.settings import read_settings

    settings = read_settings(run("levels=0"))
    del settings["start"], settings["train"]["optimizer"]["groups"]
    assert build.parts(settings).start.func.__name__ == "init"


TORCHVISION = ["model=torchvision", "model.net=shufflenet_v2_x0_5", "dataset.channels=3", "dataset.size=32", "levels=0",
               "dataset.mean=[0.5,0.5,0.5]", "dataset.std=[0.5,0.5,0.5]", "train.length=1it"]  # fmt: skip


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Let torch.hub keep a published file of shufflenet_v2_x0_5, of weights that were drawn here."""
    models = libraries.torchvision("models")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        own = models.shufflenet_v2_x0_5().state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(own, folder / "new")
    sha = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    file = (folder / "new").rename(folder / f"shufflenetv2_x0.5-{sha[:8]}.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    chosen = models.get_model_weights("shufflenet_v2_x0_5").DEFAULT
    here = dataclasses.replace(chosen.value, url=f"file:///nowhere/{file.name}")
    monkeypatch.setattr(chosen, "_value_", here)
    return file, own, sha


def test_published_weights_come_through_torchvisions_loader(hub, run):
    file, own, sha = hub
    folder = run(*TORCHVISION, "start=pretrained", "start.weights=DEFAULT")
    found = start_of(folder)
    assert same(found, own, [n for n in found if not n.startswith("fc")])
    assert records.read_run(folder)["start"]["sha256"] == sha
    assert records.read_run(folder)["start"]["drawn"] == ["fc.weight", "fc.bias"]


def test_a_published_file_that_is_not_there_or_another_is_one_line(hub, lottery, tiny, capsys):
    file, _, sha = hub
    words = ["run", *[w for w in tiny if not w.startswith("model")], *TORCHVISION, "start=pretrained"]
    file.write_bytes(file.read_bytes() + b" ")
    assert lottery(*words, "start.weights=DEFAULT") == 2
    assert f"is to begin with {sha[:8]}; remove it" in capsys.readouterr().err
    file.unlink()
    assert lottery(*words, "start.weights=DEFAULT") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"type: curl -fL --create-dirs -o {file} file:///nowhere/{file.name}" in line
    assert lottery(*words, "start.weights=IMAGENET") == 2
    assert "did you mean IMAGENET1K_V1?" in capsys.readouterr().err


def test_who_only_looks_fetches_no_published_file(hub, lottery, tiny, capsys, monkeypatch):
    hub[0].unlink()
    asked = []
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *words, **more: asked.append(words))
    words = [w for w in tiny if not w.startswith("model")]
    assert lottery("plan", *words, *TORCHVISION, "start=pretrained", "start.weights=DEFAULT") == 2
    line = capsys.readouterr().err
    assert "whoever only looks fetches nothing; type: curl -fL" in line and line.count("\n") == 1
    assert asked == []


@pytest.mark.slow
def test_a_net_whose_modules_ask_for_their_version_trains(lottery, tmp_path):
    """torchvision's MNASNet refuses a state_dict that does not say which."""
    words = ["model=torchvision", "model.net=mnasnet0_5", "train.length=1it", "levels=1", "train.batch_size=4"]
    few = ["dataset.subsample=20", "dataset.validation=0", "host.threads=1", "host.progress=none"]
    assert lottery("run", *words, *few) == 0
