"""Exports: each is read back, computes the same, has zeros where pruned, and stands whole or not."""

import builtins
import importlib.util
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

import lottery as door
from lottery.commands.export import described
from lottery.errors import DamagedError, UsageError
from lottery.exchange import cards, exports, finding, foreign, forms, placing, tickets
from lottery.experiment.recorded_run import finished
from lottery.storage import disk, records, store

torch.set_num_threads(1)

# Nets that each pose an exporter a question of their own, on 60 digits.
NETS = {
    "lenet_300_100": ["model.hidden=[6]"],
    "resnet20": ["model.depth=8", "model.width=4"],
    "vgg11_bn": ["model.width=2"],
    "densenet40": ["model.depth=10", "model.growth=4"],
    "torchvision": ["model.net=resnet18"],
}
DIGITS = [
    "dataset=digits", "dataset.subsample=60", "dataset.validation=10", "train.batch_size=20",
    "train.length=1ep", "levels=1", "schedule.keep=0.5", "host.threads=1", "host.progress=none",
]  # fmt: skip
IMAGES = 32  # pixels a side: vgg and torchvision halve them five times


@pytest.fixture
def folder(once, run, capsys, tmp_path):
    """Return a finished run: the dense level, two pruned ones, branches; made once, then copied."""
    words = ("branch=[reinit,hold]", "branch_levels=[1]", "rewind=step", "rewind.to=1ep")
    once("to export", lambda: run(*words))
    capsys.readouterr()
    (found,) = tmp_path.glob("outputs/*/*/replicate_0")
    return found


def net_of(folder, index=1, branch="", weights="end"):
    """Return the net of a level, its mask, and images to try it on."""
    level = finished(folder, index, branch, "test")
    ticket = finding.find(level.shelf.path, weights=weights)
    source = forms.Source.of(level, ticket)
    return source.net, ticket.mask, torch.randn(7, *source.task.input_shape)


def same(one, other):
    return float((one - other).abs().max()) <= 1e-5


def test_a_ticket_is_a_plain_state_dict_with_the_mask_beside_it(folder, lottery, tmp_path, capsys):
    assert lottery("export", folder, "level=1", "as=ticket", "to=t.safetensors") == 0
    said = capsys.readouterr().out
    level = finished(folder, 1, "", "test")
    tensors = load_file(tmp_path / "t.safetensors")
    for name, weight in level.ticket.weights.items():
        assert torch.equal(tensors.pop(name), weight)
    for name, keep in level.ticket.mask.items():
        assert torch.equal(tensors.pop(f"mask/{name}"), keep)
    assert not tensors
    pruned = 80 - round(0.8 * 80)
    assert f"{pruned} of {pruned} pruned weights are exactly 0" in said
    assert "rewind=ticket rewind.path=t.safetensors" in said


def test_a_ticket_describes_itself(folder, lottery, tmp_path):
    lottery("export", folder, "level=1", "as=ticket", "to=t.safetensors")
    about = tickets.unpack((tmp_path / "t.safetensors").read_bytes(), "t").about
    record = json.loads((folder / "run.json").read_text())
    level = finished(folder, 1, "", "test")
    assert about["run"] == f"{folder.parent.parent.name}/{folder.parent.name}/replicate_0"
    assert about["model"]["name"] == "lenet"
    assert about["dataset"]["name"] == "synthetic"
    assert about["data"] == record["data"]
    assert about["command"] == record["command"]
    assert about["choices"] == record["choices"]
    assert about["key"] == level.shelf.key
    assert (about["weights"], about["step"], about["span"]) == ("start", 4, [4, 12])
    assert (about["kept"], about["total"]) == (64, 80)
    assert about["prune"]["criterion"]["name"] == "magnitude"
    assert about["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize("how", ["safetensors", "dense", "torch", "folder"])
def test_an_export_computes_what_the_net_does(folder, lottery, tmp_path, how, capsys):
    net, mask, x = net_of(folder, 2)
    assert lottery("export", folder, "level=2", f"as={how}", "to=out") == 0
    assert "outputs of 100 examples differ by" in capsys.readouterr().out
    path = tmp_path / "out"
    if how == "torch":
        program = torch.export.load(path)
        again, tensors = program.module(), program.state_dict
    elif how == "folder":
        again, tensors = torch.export.load(path / "model.pt2").module(), load_file(path / "model.safetensors")
    else:
        tensors = load_file(path)
        again = net_of(folder, 1)[0]
        again.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("mask/")})
    with torch.no_grad():
        for images in (x, x[:1]):
            assert same(net(images), again(images))
    for name, keep in mask.items():
        assert not tensors[name][~keep].any()
        assert torch.equal(tensors[name], net.state_dict()[name])


@pytest.mark.slow
@pytest.mark.parametrize("choice", NETS)
def test_every_form_of_several_nets(lottery, choice, tmp_path, capsys):
    import onnxruntime

    size = [] if choice == "lenet_300_100" else [f"dataset.size={IMAGES}"]
    data = DIGITS if not size else [
        "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", *size, *DIGITS[2:],
    ]  # fmt: skip
    assert lottery("run", f"model={choice}", *NETS[choice], *data) == 0
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    net, mask, x = net_of(folder)
    x = x[:, :, :IMAGES, :IMAGES]
    for how in forms.FORMS:
        capsys.readouterr()
        assert lottery("export", folder, "level=1", f"as={how}", f"to=out_{how}") == 0
        said = capsys.readouterr().out
        if how != "dense":
            pruned = sum(int((~m).sum()) for m in mask.values())
            assert f"{pruned:,} of {pruned:,} pruned weights are exactly 0" in said
        assert float(re.search(r"differ by (\S+) at most", said)[1]) <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "out_onnx"))
    program = torch.export.load(tmp_path / "out_torch").module()
    with torch.no_grad():
        expected = net(x)
        scale = max(1.0, float(expected.abs().max()))
        for number in (1, 7):
            (made,) = session.run(None, {"images": x[:number].numpy()})
            assert float((torch.from_numpy(made) - expected[:number]).abs().max()) <= 1e-5 * scale
            assert float((program(x[:number]) - expected[:number]).abs().max()) <= 1e-5 * scale


@pytest.mark.slow
def test_the_smaller_net_as_a_program(run, lottery, tmp_path, capsys):
    folder = run("prune/structure=neuron", "model=lenet_300_100", "model.hidden=[8]", "schedule=listed",
                 "schedule.densities=[0.4]", "levels=1")  # fmt: skip
    net, mask, x = net_of(folder)
    capsys.readouterr()
    for how, name in (("dense", "d.safetensors"), ("torch", "s.pt2"), ("onnx", "s.onnx")):
        compact = [] if how == "dense" else ["compact=true"]
        assert lottery("export", folder, "level=1", f"as={how}", f"to={name}", *compact) == 0
        before, after = re.search(r"([\d,]+) parameters -> ([\d,]+)", capsys.readouterr().out).groups()
        assert int(after) < int(before)
    program = torch.export.load(tmp_path / "s.pt2")
    assert sum(t.numel() for t in program.state_dict.values()) == int(after)
    assert sum(t.numel() for t in load_file(tmp_path / "d.safetensors").values()) == int(after)
    with torch.no_grad():
        assert same(program.module()(x), net(x))


def test_the_format_follows_from_the_name(folder, lottery, tmp_path):
    assert lottery("export", folder, "level=1", "to=a.pt2") == 0
    assert lottery("export", folder, "level=1", "to=a.safetensors") == 0
    assert lottery("export", folder, "level=1", "to=a/") == 0
    assert lottery("export", folder, "level=1") == 0
    torch.export.load(tmp_path / "a.pt2")
    assert tickets.unpack((tmp_path / "a.safetensors").read_bytes(), "").about["weights"] == "end"
    assert (tmp_path / "a" / "README.md").exists()
    assert (folder / "export_level_01_safetensors.safetensors").exists()


@pytest.mark.parametrize(("words", "why"), [
    (["level=9"], "no finished level 9"),
    (["level=1", "branch=shuffle"], "of branch shuffle"),
    (["level=1", "branch=hold"], "held at values other than 0"),
    (["level=x"], "level=x is no level"),
    (["level=1", "as=dense", "to=x.onnx"], "as=dense writes no .onnx file; give another to= or as=onnx"),
    (["level=1", "to=a.tflite"], "to=a.tflite says of no format; end it with .safetensors, .onnx, .pt2 or /"),
    (["level=1", "as=tiket"], "as=tiket is none of ticket, safetensors, dense, onnx, torch, folder; did you mean 'ticket'?"),
    (["level=1", "weights=strat", "as=ticket"], "weights=strat is none of start, end; did you mean 'start'?"),
    (["level=1", "compact=yes"], "compact=yes is none of true, false"),
    (["level=1", "compact=true", "as=folder"], "compact=true is for"),
    (["level=1", "too=x"], "there is no option"),
])  # fmt: skip
def test_a_bad_command_is_one_line(folder, lottery, capsys, tmp_path, words, why):
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert lottery("export", folder, *words) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_that_is_there_is_overwritten(folder, lottery, tmp_path, capsys):
    (tmp_path / "mine.pt2").write_text("precious")
    assert lottery("export", folder, "level=1", "to=mine.pt2") == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "mine.pt2").read_text() == "precious"


@pytest.mark.parametrize("how", ["ticket", "torch", "folder"])
def test_a_net_that_comes_back_other_is_not_put_in_place(folder, lottery, tmp_path, monkeypatch, capsys, how):
    """One weight off by a thousandth, in what was read back."""
    plain = forms.loaded

    def broken(net, weights):
        if broken.calls:
            weights = weights | {"fc.bias": weights["fc.bias"] + 1e-3}
        broken.calls += 1
        return plain(net, weights)

    broken.calls = 0
    monkeypatch.setattr(forms, "loaded", broken)
    load = torch.export.load

    def other(path):
        program = load(path)
        program.state_dict["fc.bias"].data += 1e-3
        return program

    monkeypatch.setattr(torch.export, "load", other)
    before = sorted(tmp_path.rglob("*"))
    assert lottery("export", folder, "level=1", f"as={how}", "to=x") == 2
    assert "outputs differ by 0.001; nothing was written" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_pruned_weight_that_is_not_0_is_not_put_in_place(folder, monkeypatch, tmp_path):
    """Too small to change an output by 1e-5."""
    level = finished(folder, 1, "", "test")
    source = forms.Source.of(level, finding.find(level.shelf.path, weights="end"))
    written = forms.FORMS["torch"]

    def tampered(source, path):
        again = written.read(source, path)
        name, keep = next(iter(source.ticket.mask.items()))
        again.tensors[name] = again.tensors[name].masked_fill(~keep, 1e-9)
        return again

    monkeypatch.setitem(forms.FORMS, "torch", written._replace(read=tampered))
    with pytest.raises(UsageError, match="are not 0; nothing was written"):
        exports.write(source, "torch", tmp_path / "x.pt2", False)
    assert not list(tmp_path.glob("*x.pt2*"))


@pytest.mark.parametrize("call", ["write", "link"])
def test_a_full_disk_leaves_nothing_and_names_the_bytes(folder, lottery, tmp_path, monkeypatch, capsys, call):
    def refuse(*args):
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(disk.os, call, refuse)
    if call == "link":  # where there are none, a file that is new takes the place
        monkeypatch.setattr(disk.os, "open", refusing_new(disk.os.open))
    assert lottery("export", folder, "level=1", "to=w[1].safetensors") == 5
    said = capsys.readouterr().err
    assert "cannot write w[1].safetensors: No space left on device (" in said
    assert said.count("\n") == 1
    if call == "write":
        assert re.search(r"\(\d+\.\d kB needed, ", said)
    assert sorted(tmp_path.rglob("*")) == before


def refusing_new(plain):
    def refuse(path, flags, *more, **named):
        if flags & os.O_EXCL:
            raise OSError(28, "No space left on device")
        return plain(path, flags, *more, **named)

    return refuse


@pytest.mark.parametrize("how", ["ticket", "onnx", "folder"])
def test_an_export_is_on_the_disk_before_it_has_its_name(folder, lottery, tmp_path, monkeypatch, how):
    """Every file that a form makes goes through one writer; onnx is made here of a few bytes."""
    level = finished(folder, 1, "", "test")
    source = forms.Source.of(level, described(level, folder, "", "end"))
    again = forms.Again((source.net,), source.ticket.weights)
    made = lambda source: {"": b"an ONNX program"}  # noqa: E731
    monkeypatch.setitem(forms.FORMS, "onnx", forms.Form(made, lambda source, path: again))
    events, sync = [], os.fsync
    for name in ("link", "rename"):
        plain = getattr(os, name)
        monkeypatch.setattr(os, name, lambda a, b, plain=plain: (events.append((a, b)), plain(a, b)))
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append(os.fstat(handle).st_ino), sync(handle)))
    exports.write(source, how, tmp_path / "out", False)
    ((moved, target),) = (event for event in events if isinstance(event, tuple))
    place = events.index((moved, target))
    assert Path(target) == tmp_path / "out"
    written = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert {path.stat().st_ino for path in written} <= set(events[:place])
    assert tmp_path.stat().st_ino in events[place:]


@pytest.mark.parametrize("as_", ["ticket", "folder"])
def test_of_two_exports_to_one_place_the_second_is_refused(folder, lottery, tmp_path, monkeypatch, capsys, as_):
    """The other one ends between the look whether the place is free and the name that is given."""
    place, target = placing.place, tmp_path / "x"

    def late(made, asked, asked_by):
        if as_ == "folder":
            target.mkdir()
            (target / "README.md").write_text("of the other")
        else:
            target.write_text("of the other")
        place(made, asked, asked_by)

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(placing, "place", late)
    assert lottery("export", folder, "level=1", f"as={as_}", "to=x") == 2
    said = capsys.readouterr().err
    assert "export: x is there already, and nothing is replaced; give another to=PATH, or move it away" in said
    assert said.count("\n") == 1
    other = target / "README.md" if as_ == "folder" else target
    assert other.read_text() == "of the other"
    assert sorted({*tmp_path.rglob("*")} - {target, other}) == before


@pytest.mark.slow
def test_two_exports_at_once_leave_one_that_is_whole(folder, tmp_path):
    """Whichever comes first: one is done, the other refused, and the file is the first one's."""
    words = [[sys.executable, "-m", "lottery", "export", str(folder), f"level={n}", "to=x.safetensors"] for n in (1, 2)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen(w, cwd=tmp_path, env=env, stdout=-1, stderr=-1, text=True) for w in words]
    ended = [process.communicate() for process in running]
    assert sorted(process.returncode for process in running) == [0, 2], ended
    winner = 1 + [process.returncode for process in running].index(0)
    assert tickets.unpack((tmp_path / "x.safetensors").read_bytes(), "x").about["level"] == winner
    assert not list(tmp_path.glob(".tmp-*"))


def test_what_a_killed_export_left_goes_and_what_a_living_one_makes_stays(folder, lottery, tmp_path):
    dead, other, mine = (tmp_path / name for name in (".tmp-1-t.safetensors", ".tmp-1-u.safetensors", ".tmp-x-t.safetensors"))
    for place in (dead, other, mine):
        place.mkdir()
        (place / "half").write_text("half")
    living = subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path / "t.safetensors"], stdin=-1, stdout=-1, text=True)
    place = Path(living.stdout.readline().strip())
    assert lottery("export", folder, "level=1", "to=t.safetensors") == 0
    assert not dead.exists()
    assert (other.exists(), mine.exists(), place.exists()) == (True, True, True)
    living.communicate("end\n")
    assert not place.exists()


HOLDS = """
import pathlib, sys
from lottery.storage import disk
with disk.workplace(pathlib.Path(sys.argv[1])) as place:
    print(place, flush=True)
    sys.stdin.readline()
"""


def test_a_name_that_no_disk_takes_is_refused_by_that_name(folder, lottery, tmp_path, capsys):
    assert lottery("export", folder, "level=1", f"to={300 * 'a'}.pt2") == 2
    assert "cannot write 'aaaaaaaa" in capsys.readouterr().err
    longest = f"{240 * 'a'}.safetensors"
    assert lottery("export", folder, "level=1", f"to={longest}") == 0
    assert (tmp_path / longest).exists()


def test_a_place_under_a_file_is_refused(folder, lottery, tmp_path, capsys):
    (tmp_path / "mine").write_text("precious")
    assert lottery("export", folder, "level=1", "to=mine/x.pt2") == 2
    assert "mine is no folder, so that nothing can stand in it" in capsys.readouterr().err


def test_weights_that_onnx_cannot_hold_are_one_line(folder, lottery, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(forms, "ONNX_MOST", 300)
    assert lottery("export", folder, "level=1", "to=x.onnx") == 2
    assert "at most 300 bytes in one file, and these weights have 352 bytes; give as=torch" in capsys.readouterr().err


ODD = "a\x1b[31mb`x`<b>"  # a name that a terminal and Markdown would obey


@pytest.mark.parametrize("command", [["export", "as=ticket"], ["export", "as=folder"], ["bench", "repeats=2", "warm=0"], ["compact"]])
def test_names_from_the_disk_are_safe_to_print(folder, lottery, tmp_path, capsys, command):
    odd = folder.parent.parent.rename(tmp_path / "outputs" / ODD) / folder.parent.name / folder.name
    name, *more = command
    assert lottery(name, odd, "level=1", *more) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\\x1b[31mb" in said.out
    if "as=folder" in more:
        card = next(odd.glob("export_*/README.md")).read_text()
        assert "\x1b" not in card
        assert f"of the run `` {ODD.encode('unicode_escape').decode()}/" in card


def test_a_card_is_what_it_says_whatever_the_record_says(folder, lottery, tmp_path, capsys):
    record = records.read_run(folder)
    choices = record["choices"] | {"model": "x`<b>|\n# H", "prune": "y``z"}
    commands = {  # one that a shell reads as words stands in a longer fence; any other is not shown
        "lottery run 'name=```'": "makes it again:\n\n````\nlottery run 'name=```'\n````\n",
        "lottery run 'a\x1b[31m'\n```\n# H\n": "The command that made it is not known.\n",
        "lottery run $(id)": "The command that made it is not known.\n",
    }
    for number, (command, shown) in enumerate(commands.items()):
        (folder / "run.json").write_text(json.dumps(records.signed(record | {"choices": choices, "command": command})))
        assert lottery("export", folder, "level=1", f"to=hub{number}/") == 0
        card = (tmp_path / f"hub{number}" / "README.md").read_text()
        assert shown in card
        assert "\x1b" not in card
        assert "# H" not in card.splitlines()
        assert "# `` x`<b>|\\n# H ``, " in card
        assert "method ``` y``z ```, " in card
        assert yaml.safe_load(card.split("---")[1])["datasets"] == ["synthetic"]
        if "not known" in shown:
            assert command.split("\n")[0][12:] not in card


def test_a_level_that_the_store_has_lost_is_one_line(folder, lottery, capsys):
    shutil.rmtree(finished(folder, 1, "", "test").shelf.path)
    assert lottery("export", folder, "level=1") == 2
    said = capsys.readouterr().err
    assert "is not whole in the store, or of another version; type the run's command again" in said
    assert said.count("\n") == 1


def test_a_run_of_a_sweep_has_its_own_command_and_then_that_of_the_sweep(folder, lottery, tmp_path):
    record = records.read_run(folder)
    sweep = f"{record['command'].replace('lottery run', 'lottery run -m')} replicate=0,1,2"
    (folder / "run.json").write_text(json.dumps(records.signed(record | {"command": sweep})))
    assert lottery("export", folder, "level=1", "as=ticket", "to=t.safetensors") == 0
    about = tickets.unpack((tmp_path / "t.safetensors").read_bytes(), "t").about
    words = shlex.split(about["command"])
    assert {"model=lenet_300_100", "rewind.to=1ep", "branch=[reinit,hold]", "levels=2"} < {*words}
    assert not [word for word in words if word.startswith(("-m", "replicate"))]
    assert about["sweep"] == sweep
    said = cards.commands(about)
    assert [code.strip() for code in said.split("```")[1::2]] == [about["command"], sweep]


@pytest.mark.parametrize("command", ["export", "bench", "compact"])
def test_a_config_that_is_not_as_it_was_written_is_said_to_be_damaged(folder, lottery, capsys, command):
    path = folder / "config.yaml"
    written = path.read_text()
    for text in (written[:400], written.replace("momentum: 0.9", "momentum: 0.1")):
        assert text != written
        path.write_text(text)
        assert lottery(command, folder, "level=1") == 4
        said = capsys.readouterr().err
        assert "config.yaml is damaged" in said
        assert said.count("\n") == 1


def test_no_secret_of_the_command_travels(folder, lottery, tmp_path):
    record = records.read_run(folder)
    typed = f"{record['command']} log=[mlflow] loggers.mlflow.uri=https://me:hunter2@host/ data=s3://me:hunter2@host/"
    (folder / "run.json").write_text(json.dumps(records.signed(record | {"command": typed})))
    assert lottery("export", folder, "level=1", "to=hub/") == 0
    files = [path for path in (tmp_path / "hub").iterdir() if path.is_file()]
    assert len(files) == 5
    assert not [path.name for path in files if b"hunter2" in path.read_bytes()]
    assert f"{record['command']} 'data=s3://***@host/'" in (tmp_path / "hub" / "README.md").read_text()


@pytest.mark.parametrize("command", ["export", "bench", "compact"])
@pytest.mark.parametrize("level", ["²", "-2", "1.0", "٣"])
def test_a_level_is_typed_in_plain_digits(folder, lottery, capsys, command, level):
    assert lottery(command, folder, f"level={level}") == 2
    said = capsys.readouterr().err
    assert f"{command}: level={level} is no level" in said
    assert said.count("\n") == 1


def test_the_last_level_has_a_word(folder, lottery, tmp_path, capsys):
    assert lottery("export", folder, "level=-1", "as=ticket", "to=t.safetensors") == 0
    assert tickets.unpack((tmp_path / "t.safetensors").read_bytes(), "t").about["level"] == 2
    assert lottery("export", folder, "level=last", "branch=reinit", "as=ticket", "to=u.safetensors") == 0
    assert tickets.unpack((tmp_path / "u.safetensors").read_bytes(), "u").about["level"] == 1
    for command, more, head in (("bench", ["repeats=2", "warm=0"], "level 2: density"), ("compact", [], "compact_level_02")):
        capsys.readouterr()
        assert lottery(command, folder, "level=last", *more) == 0
        assert head in capsys.readouterr().out


@pytest.mark.parametrize("command", ["export", "bench", "compact"])
@pytest.mark.parametrize(("words", "why"), [
    (["level=99"], "has no finished level 99; it has 0, 1, 2"),
    (["level=2", "branch=reinit"], "has no finished level 2 of branch reinit; it has 1"),
    (["level=last", "branch=shuffle"], "has no finished level of branch shuffle; its branches are hold, reinit"),
])  # fmt: skip
def test_a_level_that_is_not_there_is_answered_with_those_that_are(folder, lottery, capsys, command, words, why):
    assert lottery(command, folder, *words) == 2
    assert why in capsys.readouterr().err

def test_without_the_extra_onnx_is_one_line(folder, lottery, monkeypatch, capsys, tmp_path):
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "onnxruntime" else plain(name, *a))
    assert lottery("export", folder, "level=1", "to=x.onnx") == 2
    assert "pip install 'lottery[onnx]'" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()


def test_a_model_that_cannot_be_expressed_is_one_line(folder, lottery, monkeypatch, capsys, tmp_path):
    def refuse(*args, **kwargs):
        raise RuntimeError("Data-dependent branching\nand much more")

    monkeypatch.setattr(torch.export, "export", refuse)
    assert lottery("export", folder, "level=1", "to=x.pt2") == 2
    said = capsys.readouterr().err
    assert "as=torch cannot express this model (Data-dependent branching)" in said
    assert said.count("\n") == 1


def test_the_card_says_what_it_is_and_its_code_runs(folder, lottery, tmp_path, monkeypatch):
    assert lottery("export", folder, "level=2", "to=hub/") == 0
    text = (tmp_path / "hub" / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["tags"][:1] == ["lottery-ticket"]
    assert front["datasets"] == ["synthetic"]
    assert "license" not in front
    record = json.loads((folder / "run.json").read_text())
    assert record["command"] in text
    row = finished(folder, 2, "", "test").manifest["result"]
    assert f"| test accuracy | {row['test_accuracy']:.4f} |" in text
    assert f"density {row['density']:.6g}" in text
    net, mask, x = net_of(folder, 2)
    monkeypatch.chdir(tmp_path / "hub")
    names = {"images": x, "model": net_of(folder, 1)[0]}
    with torch.no_grad():
        for code in re.findall(r"```python\n(.*?)```", text, re.S):
            exec(builtins.compile(code, "card", "exec"), names)  # noqa: S102 (what a reader would type)
        assert same(names["outputs"], net(x))
        assert same(names["model"](x), net(x))
    assert all(torch.equal(names["mask"][n], m) for n, m in mask.items())
    settings = json.loads((tmp_path / "hub" / "config.json").read_text())
    assert settings["model"]["hidden"] == [4]
    assert math.isclose(settings["density"], row["density"])


def test_a_run_without_validation_has_a_card_and_plain_json(run, lottery, tmp_path):
    """JSON has no NaN, which a validation accuracy is then."""
    folder = run("dataset.validation=0", "levels=1")
    assert lottery("export", folder, "level=1", "to=hub/") == 0
    settings = json.loads((tmp_path / "hub" / "config.json").read_text(), parse_constant=pytest.fail)
    assert "val_accuracy" not in settings["result"]
    assert "validation accuracy" not in (tmp_path / "hub" / "README.md").read_text()


def test_a_ticket_goes_into_a_net_of_your_own(folder, lottery, tmp_path):
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(16, 4)])
            self.fc = nn.Linear(4, 4)

    level = finished(folder, 1, "", "test")
    lottery("export", folder, "level=1", "to=n.safetensors")
    for path, expected in (
        (folder / "level_01", level.ticket.weights),
        (str(level.shelf.path), level.ticket.weights),
        (tmp_path / "n.safetensors", level.end.weights),
    ):
        mine = Mine()
        mask = door.load_ticket(mine, path)
        assert all(torch.equal(v, expected[k]) for k, v in mine.state_dict().items())
        assert mask.keys() == level.ticket.mask.keys()
        assert all(torch.equal(mask[n], m) for n, m in level.ticket.mask.items())
    lottery("export", folder, "level=1", "as=dense", "to=d.safetensors")
    with pytest.raises(UsageError, match="is the smaller dense net"):
        door.load_ticket(mine, tmp_path / "d.safetensors")
    door.load_ticket(mine, folder / "level_01", weights="end")
    assert torch.equal(mine.fc.bias, level.end.weights["fc.bias"])
    with pytest.raises(UsageError, match="weights of the end, not of the start"):
        door.load_ticket(mine, tmp_path / "n.safetensors", weights="start")


def test_a_net_of_your_own_that_does_not_fit_stays_as_it_is(folder):
    wrong = nn.Sequential(nn.Linear(16, 4))
    before = {k: v.clone() for k, v in wrong.state_dict().items()}
    with pytest.raises(UsageError, match=r"it has no 0.weight, 0.bias and the model has no layers.0.weight, .*, fc.bias$"):
        door.load_ticket(wrong, folder / "level_01")
    with pytest.raises(UsageError, match=r"does not fit the model: in order, layers.0.bias .* stands where"):
        door.load_ticket(nn.Sequential(nn.Linear(16, 4, bias=False), nn.Linear(4, 4)), folder / "level_01", by_order=True)
    other = nn.Module()
    other.layers, other.fc = nn.ModuleList([nn.Linear(16, 4)]), nn.Linear(4, 3)
    with pytest.raises(UsageError, match="fc.weight is float32 4x4 there, float32 3x4 in the model"):
        door.load_ticket(other, folder / "level_01")
    with pytest.raises(UsageError, match="level=3"):
        door.load_ticket(other, folder)
    with pytest.raises(UsageError, match="cannot be read"):
        door.load_ticket(other, "nowhere.safetensors")
    assert all(torch.equal(v, before[k]) for k, v in wrong.state_dict().items())


def test_a_ticket_goes_into_a_net_of_other_names_by_order_and_shape(folder):
    level = finished(folder, 1, "", "test")
    mine = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 4))
    with pytest.raises(UsageError, match=r"it has no 1.weight, .* and the model has no layers.0.weight, .*load_ticket\(..., by_order=True\) takes them"):
        door.load_ticket(mine, folder / "level_01")
    mask = door.load_ticket(mine, folder / "level_01", by_order=True)
    theirs = {"1.weight": "layers.0.weight", "1.bias": "layers.0.bias", "3.weight": "fc.weight", "3.bias": "fc.bias"}
    assert all(torch.equal(v, level.ticket.weights[theirs[k]]) for k, v in mine.state_dict().items())
    assert list(mask) == ["1.weight", "3.weight"]
    assert all(torch.equal(keep, level.ticket.mask[theirs[name]]) for name, keep in mask.items())


def test_by_order_is_by_name_where_the_names_are_the_same(folder):
    net, mask, _ = net_of(folder)
    weights = {k: v.clone() for k, v in net.state_dict().items()}
    nn.init.zeros_(net.fc.weight)
    found = door.load_ticket(net, folder / "level_01", weights="end", by_order=True)
    assert all(torch.equal(v, weights[k]) for k, v in net.state_dict().items())
    assert found.keys() == mask.keys()


def test_what_only_its_order_tells_apart_is_named(tmp_path):
    """Two layers of one shape may be registered in another order in a net of one's own."""
    theirs = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3), "c": nn.Linear(3, 2)})
    keep = {f"{n}.weight": torch.ones(2 if n == "c" else 3, 3, dtype=torch.bool) for n in "abc"}

    def ticket(name):
        made = tickets.Portable(theirs.state_dict(), keep, tickets.described(keep, "end"))
        (tmp_path / name).write_bytes(tickets.pack(made))
        return tmp_path / name

    mine = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    with pytest.warns(UserWarning, match=r"nothing but their order tells 0.weight, 1.weight apart, which are alike") as said:
        door.load_ticket(mine, ticket("t.safetensors"), by_order=True)
    assert len(said) == 1
    assert torch.equal(mine[1].weight, theirs["b"].weight)
    nn.init.zeros_(theirs["a"].weight)
    nn.init.zeros_(theirs["b"].weight)  # whichever is which
    door.load_ticket(mine, ticket("same.safetensors"), by_order=True)
    door.load_ticket(theirs, tmp_path / "t.safetensors", by_order=True)  # their own names


def test_the_counters_of_batchnorm_come_along_by_order(tmp_path):
    theirs = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    theirs[1].num_batches_tracked += 77
    keep = {"0.weight": torch.ones(2, 1, 3, 3, dtype=torch.bool)}
    ticket = tickets.Portable(theirs.state_dict(), keep, tickets.described(keep, "end"))
    (tmp_path / "t.safetensors").write_bytes(tickets.pack(ticket))
    mine = nn.Sequential()
    mine.add_module("conv", nn.Conv2d(1, 2, 3))
    mine.add_module("norm", nn.BatchNorm2d(2))
    assert door.load_ticket(mine, tmp_path / "t.safetensors", by_order=True).keys() == {"conv.weight"}
    assert mine.norm.num_batches_tracked == 77


def test_pruned_weights_stay_0_in_a_loop_of_your_own(folder):
    net, mask, x = net_of(folder, 2)
    assert any(not m.all() for m in mask.values())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    handle = door.keep_masked(optimizer, net, mask)
    weights = dict(net.named_parameters())

    def step():
        optimizer.zero_grad()
        net(x).square().sum().backward()
        optimizer.step()
        return sum(int(torch.count_nonzero(weights[n][~m])) for n, m in mask.items())

    before = net.fc.weight.detach().clone()
    assert [step() for _ in range(3)] == [0, 0, 0]
    assert not torch.equal(before, net.fc.weight)
    handle.remove()
    assert step() > 0


def test_a_ticket_file_of_odd_content_is_refused(tmp_path):
    good = tickets.Portable(
        {"fc.weight": torch.tensor([[1.0, 0.0]]), "fc.bias": torch.zeros(1)},
        {"fc.weight": torch.tensor([[True, False]])}, {"ticket": 1, "weights": "start"},
    )  # fmt: skip
    data = tickets.pack(good)
    again = tickets.unpack(data, "here")
    assert torch.equal(again.mask["fc.weight"], good.mask["fc.weight"])

    def refuse(match, tensors, about):
        about = {"ticket": 1, "names": ["fc.weight", "fc.bias"]} | about
        with pytest.raises(UsageError, match=match):
            tickets.unpack(tickets.sealed(good.weights | tensors, about), "here")

    keep = good.mask["fc.weight"]
    refuse("pruned weights of fc.weight are not 0", {"mask/fc.weight": ~keep}, {})
    refuse("the mask of fc.weight is uint8 1x2", {"mask/fc.weight": keep.to(torch.uint8)}, {})
    refuse("the mask of fc.weight is bool 2x1", {"mask/fc.weight": keep.T}, {})
    refuse("it masks conv.weight", {"mask/conv.weight": keep}, {})
    refuse("it has no mask", {}, {})
    refuse("format 2", {"mask/fc.weight": keep}, {"ticket": 2})
    refuse("does not list its weights", {"mask/fc.weight": keep}, {"names": ["fc.weight"]})
    refuse("does not list its weights", {"mask/fc.weight": keep}, {"names": [["fc.weight"], "fc.bias"]})
    refuse("not finite", {"mask/fc.weight": keep, "fc.bias": torch.tensor([math.nan])}, {})
    save_file(good.weights, tmp_path / "plain.safetensors")
    with pytest.raises(UsageError, match="is no ticket file"):
        tickets.unpack((tmp_path / "plain.safetensors").read_bytes(), "here")
    for cut in (0, 4, 20, len(data) - 1):
        with pytest.raises(UsageError, match="is no ticket file"):
            tickets.unpack(data[:cut], "here")


@pytest.fixture
def small():
    """Return a ticket of a few numbers."""
    keep = {"fc.weight": torch.tensor([[True, False, True]])}
    weights = {"fc.weight": torch.tensor([[1.0, 0.0, 2.0]]), "fc.bias": torch.tensor([0.5])}
    return tickets.Portable(weights, keep, tickets.described(keep, "start") | {"odd": {3: (1, 2)}})


def test_no_bit_of_a_ticket_changes_unseen(small, tmp_path):
    """A file that no more says that it is ours is one of another tool, to import, and that alone."""
    data, path = tickets.pack(small), tmp_path / "t.safetensors"
    key = data.index(b"lottery")
    readers = {finding.find: 0, lambda path: foreign.read(path, None, "start"): 0}
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        for reader in readers:
            try:
                found = reader(path)
            except (UsageError, DamagedError, UserWarning):
                readers[reader] += 1
            else:
                assert isinstance(found, foreign.Found)
                assert place in range(key, key + len("lottery"))
                assert not found.about
    ours, theirs = readers.values()
    assert (ours, theirs >= len(data) - len("lottery")) == (len(data), True)


def test_damage_is_said_by_every_reader(small, lottery, tiny, tmp_path, capsys):
    data = bytearray(tickets.pack(small))
    data[-1] ^= 1
    (tmp_path / "t.safetensors").write_bytes(data)
    words = [*tiny, "rewind=ticket", "rewind.path=t.safetensors", "levels=1"]
    for command in (["import", "t.safetensors", "to=u.safetensors"], ["run", *words]):
        assert lottery(*command) == 4
        said = capsys.readouterr().err
        assert "t.safetensors is damaged (its checksum is wrong); make it again with lottery export" in said
        assert said.count("\n") == 1
    with pytest.raises(DamagedError, match="its checksum is wrong"):
        door.load_ticket(nn.Module(), tmp_path / "t.safetensors")
    assert not (tmp_path / "u.safetensors").exists()


def test_damage_of_a_folder_is_seen(folder, lottery, tmp_path, capsys):
    assert lottery("export", folder, "level=1", "to=hub/") == 0
    for name in tickets.FOLDER:
        path = tmp_path / "hub" / name
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert lottery("import", "hub", "to=u.safetensors") == 4
        assert f"{name} is damaged" in capsys.readouterr().err
        with pytest.raises(DamagedError, match=name):
            finding.find(tmp_path / "hub")
        path.write_bytes(data)
    assert lottery("import", "hub", "to=u.safetensors") == 0


def test_a_ticket_of_an_older_version_is_read_with_a_word(small, lottery, tmp_path, capsys):
    tensors = small.weights | {f"mask/{n}": m for n, m in small.mask.items()}
    about = small.about | {"names": list(small.weights)}
    (tmp_path / "t.safetensors").write_bytes(store.pack_tensors(tensors, about))
    with pytest.warns(UserWarning, match="t.safetensors has no checksum"):
        found = finding.find(tmp_path / "t.safetensors")
    assert torch.equal(found.weights["fc.weight"], small.weights["fc.weight"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert lottery("import", "t.safetensors", "to=u.safetensors") == 0
    said = capsys.readouterr().err
    assert said.startswith("lottery: warning: t.safetensors has no checksum")
    assert said.count("\n") == 1
    tickets.unpack((tmp_path / "u.safetensors").read_bytes(), "u")  # has one now


def test_the_header_is_judged_before_the_tensors_are_read(small, lottery, tmp_path, monkeypatch, capsys):
    """Files of 4 GiB, sparse on the disk: of no tensors, of another tool, of too few tensors."""
    monkeypatch.setattr(tickets, "read_plain", lambda *_: pytest.fail("it reads all of it"))
    size = 2**32
    whole = {"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    heads = {
        "zeros": b"", "no JSON": b"{" * 100, "a list": b"[]", "a tensor that is none": b'{"w": 3}',
        "deep": b"[" * 50_000, "few": json.dumps({"w": whole["w"] | {"data_offsets": [0, 4]}}).encode(),
        "another tool": json.dumps(whole).encode(),
        "another format": json.dumps(whole | {"__metadata__": {"lottery": '{"ticket": 2}'}}).encode(),
    }  # fmt: skip
    path = tmp_path / "n.safetensors"
    for what, head in heads.items():
        path.write_bytes(len(head).to_bytes(8, "little") + head)
        os.truncate(path, 8 + len(head) + size)
        with pytest.raises(UsageError, match="n.safetensors is no ticket file"):
            finding.find(path)
        if not what.startswith("another"):  # which import may read
            assert lottery("import", "n.safetensors", "to=t.safetensors") == 2
            assert capsys.readouterr().err.count("\n") == 1
