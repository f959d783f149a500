"""The command of one run of a sweep: composed again, it is that run and no other."""

import json
import shlex

import pytest

from lottery.config import build, compose
from lottery.config.identity import run_folder
from lottery.results import retyped
from lottery.results.facts import Facts
from lottery.storage.ledger import Ledger
from lottery.storage.records import signed, whose

SWEEP = [
    "-m", "model=lenet_300_100", "prune=imp", "prune.include=[\"layers.*\"]", "rewind=step",
    "rewind.to=1ep,\"0.25\"", "train/optimizer=adam", "train.optimizer.lr=1e-5", "train.clip=1",
    "train.optimizer.betas=[0.8,0.9]", "dataset.subsample=100", "branch=[reinit,random]",
    "branches.random.weights=fresh", "replicate=2", "levels=2", "name='it\\'s \"a\" {x}'", "host.threads=1",
    "log=[tensorboard]", "sanity=true",
]  # fmt: skip


def composed(words):
    """Return the jobs that words compose."""
    found = []
    assert compose.compose_each(words, found.append) == 0
    return found


def recorded(job, words, outputs):
    """Write what a run leaves of its config; return its folder."""
    settings = job.settings | {"outputs": str(outputs)}
    folder = run_folder(settings, job.name)
    folder.mkdir(parents=True)
    Ledger(folder).write_files({"config.yaml": build.text(settings).encode()})
    command = shlex.join(["lottery", "run", *words])
    body = {"run": whose(folder), "choices": job.choices, "command": command}
    (folder / "run.json").write_text(json.dumps(signed(body)))
    return folder


def test_each_run_of_a_sweep_has_a_command_of_its_own(tmp_path):
    jobs = composed(SWEEP)
    folders = [recorded(job, SWEEP, tmp_path) for job in jobs]
    commands = [retyped.alone(Facts(folder)) for folder in folders]
    assert len({*commands}) == len(jobs) == 2
    words = shlex.split(commands[1])  # its rewind point is text that looks like a number
    assert words[:2] == ["lottery", "run"]
    assert not [word for word in words if word.startswith(("-", "host", "log", "outputs", "data="))]
    (again,) = composed(words[2:])
    assert run_folder(again.settings, again.name).parts[-3:] == folders[1].parts[-3:]
    for key in again.settings.keys() - {"host", "loggers"}:
        assert again.settings[key] == jobs[1].settings[key], key


def test_an_experiment_that_sweeps_by_itself(tmp_path):
    """Its methods and replicates stand in its yaml, and not in the command."""
    words = ["-m", "experiment=missing_the_mark_digits"]
    (job,) = composed([*words[1:], "prune=snip", "replicate=2"])  # as one of its jobs
    (again,) = composed(shlex.split(retyped.alone(Facts(recorded(job, words, tmp_path))))[2:])
    assert again.settings | {"name": None} == job.settings | {"name": None}
    assert again.name == job.name


def test_the_levels_are_those_of_the_longest_command(fabricate):
    """The first one gave none, which config.yaml has for good."""
    record = {"command": "lottery run -m prune=imp,random levels=12", "levels_asked": 12}
    command = retyped.alone(Facts(fabricate(config={"levels": None}, record=record)))
    assert "levels=12" in shlex.split(command)


def test_a_run_of_its_own_keeps_the_command_that_was_typed(fabricate):
    typed = "lottery run prune=imp 'name=a b' log=[wandb]"
    assert retyped.alone(Facts(fabricate(record={"command": typed}))) == typed
    odd = "lottery run -m 'name=a"  # no shell takes it
    assert retyped.of_sweep(odd)
    folder = fabricate(replicate=1, record={"command": odd, "choices": {}})
    assert retyped.alone(Facts(folder)) == ""  # what is no command of ours is not shown


@pytest.mark.parametrize("value", [
    "a", "1ep", "0.25", "1e-4", "true", "null", "", "a b", "a,b", "a=b", 'say "x"', "it's", "a\\b", 'a\\"b', "ends\\",
    "${x}", "[1]", "日本", "*", "~/x y", "nan", "@x", "a:b",
    0, 1, 1.0, 1e-05, True, False, None, [], [1, "1", None], {"a": [0.5, "x y"]}, {},
])  # fmt: skip
def test_a_value_comes_back_as_it_was(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (read,) = OverridesParser.create().parse_overrides([f"key={retyped.spelled(value)}"])
    found = read.value()
    assert found == value
    assert type(found) is type(value)
