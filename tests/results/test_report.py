"""`lottery report`: what it says, how it looks in a browser, and that nothing in it runs."""

import base64
import hashlib
import io
import json
import math
import re
import shutil
import signal
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, stdev

import jinja2
import pytest
import torch

from lottery import cli
from lottery.errors import DiskError, UsageError
from lottery.results import sanity, stats
from lottery.results.choice import choose
from lottery.results.reports import gather, one, page, sheets
from lottery.results.tidy import Runs
from lottery.storage import disk, records
from lottery.storage.files import TEMPORARY, digest
from lottery.storage.tables import table
from lottery.terms.metric import ACCURACY
from lottery.wording.text import printable

T = {2: 12.706205, 3: 4.302653}  # 97.5 % of Student's t, by the number of values
NASTY = [
    "<script>window.canary=1</script>", "</style><script>window.canary=1</script>", "{{ 7*7 }}",
    "\"' onmouseover=window.canary=1 x='", "javascript:window.canary=1", "\u202egnp.exe",
    "<img src=x onerror=window.canary=1>", "-->]]><svg onload=window.canary=1>", "a\nb\x1b[31m",
]  # fmt: skip
TINY = [
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]",
    "dataset.std=[0.25]", "model=lenet_300_100", "model.hidden=[4]", "train.batch_size=12",
    "train.length=2ep", "host.threads=1", "host.progress=none",
    "schedule.keep=0.4",
]  # fmt: skip


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Return outputs of imp with its controls (three replicates, 3 pruned levels) and of random (one)."""
    folder = tmp_path_factory.mktemp("report") / "outputs"
    names = [n for n in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, n)]
    before = {n: signal.getsignal(getattr(signal, n)) for n in names}

    def run(*words):
        assert cli.main(["-v", "run", *TINY, f"outputs={folder}", *words]) == 0

    run("prune=random", "levels=2")
    run("-m", "prune=imp", "replicate=0,1,2", "levels=3", "sanity=true", "branch_levels=[2]")
    torch.set_flush_denormal(False)
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)
    return folder


@pytest.fixture(scope="module")
def reports(outputs, tmp_path_factory):
    """Return the pages of one config and of both."""
    folder = tmp_path_factory.mktemp("pages")
    both = {"one": ["prune=imp"], "both": []}
    for name, words in both.items():
        to = folder / f"{name}.html"
        assert cli.main(["-v", "report", *words, f"outputs={outputs}", f"to={to}"]) == 0
    return folder


def made(folder, name="one"):
    return (folder / f"{name}.html").read_text()


def replicates(fabricate, *accuracies, ident="aaaaaaaaaa", **more):
    """Write a replicate for each list of accuracies by level; return their folders.

    Pruned levels lie a thousandth of a point apart: differences that are all the same are no verdict.
    """
    return [
        fabricate(ident=ident, replicate=k, test=(*test[:1], *(a + (k - 1) / 1e6 for a in test[1:])), **more)
        for k, test in enumerate(accuracies)
    ]


@pytest.fixture
def gathered(monkeypatch):
    """Return a report without figures, which take most of the time."""

    def refuse(name, runs, settings=None):
        raise UsageError(f"{name}: nothing to draw")

    monkeypatch.setattr(one.drawing, "draw", refuse)
    return lambda folders: gather.gather(folders, 0.005)


@pytest.fixture
def told(gathered):
    """Return the one part of a report on the replicates of a config, without figures."""

    def call(folders):
        (part,) = gathered(folders).parts
        return part

    return call


def texts(made):
    return [[(cell.text, cell.reach) for cell in row] for row in made.rows]


class Tags(HTMLParser):
    """Every element of a page with its attributes, and all of its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


# What it says


def test_three_replicates_that_match(fabricate, told):
    own = [(0.970, 0.971, 0.972, 0.90), (0.972, 0.973, 0.974, 0.91), (0.974, 0.975, 0.976, 0.92)]
    part = told(replicates(fabricate, *own))
    assert part.finding[0] == (
        "With 64 % of its weights (1.56× fewer) the net still matches the dense net (97.20 ± 0.50 % "
        "test accuracy): 97.40 ± 0.50 % over 3 replicates."
    )
    assert part.finding[1] == (
        "The best ticket keeps 64 % of the weights and reaches 97.40 ± 0.50 % test accuracy; of 3 "
        "pruned levels it is the one picked by validation accuracy."
    )
    assert [(t.value, t.title) for t in part.tiles] == [
        ("64 %", "Matches dense down to"), ("97.20 %", "Dense test accuracy"),
        ("97.40 %", "Best ticket"), ("51.2 %", "Smallest density"), ("3", "Replicates"),
    ]  # fmt: skip
    reach = 100 * T[3] * stdev([0.97, 0.972, 0.974]) / math.sqrt(3)
    assert f"{reach:.2f}" == "0.50"
    levels = next(s for s in part.sections if s.title == "Levels").tables[0]
    assert [c.title for c in levels.columns][:5] == [
        "Level", "Density", "Test accuracy", "Verdict", "Against dense"
    ]  # fmt: skip
    assert [row[:5] for row in texts(levels)] == [
        [("0", ""), ("1.0000", ""), ("97.20", "± 0.50"), ("dense", ""), ("", "")],
        [
            ("1", ""),
            ("0.8000", ""),
            ("97.30", "± 0.50"),
            ("matches dense", ""),
            ("+0.10", "± 0.00"),
        ],
        [
            ("2", ""),
            ("0.6400", ""),
            ("97.40", "± 0.50"),
            ("matches dense", ""),
            ("+0.20", "± 0.00"),
        ],
        [("3", ""), ("0.5120", ""), ("91.00", "± 2.48"), ("falls below", ""), ("−6.20", "± 1.99")],
    ]


def test_numbers_are_those_of_the_tables(outputs, told):
    folders = sorted(outputs.glob("*_imp/*/replicate_*"))
    by_hand = []
    for folder in folders:
        lines = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
        by_hand.append([float(line[lines[0].index("test_accuracy")]) for line in lines[1:]])
    levels = next(s for s in told(folders).sections if s.title == "Levels").tables[0]
    changes, words = [], []
    for level, row in enumerate(texts(levels)):
        values = [own[level] for own in by_hand]
        reach = T[3] * stdev(values) / math.sqrt(3)
        assert row[2] == (f"{100 * fmean(values):.2f}", f"± {100 * reach:.2f}")
        gaps = [own[level] - own[0] for own in by_hand]
        changes.append(gaps if level else [])
        if level:
            words.append(row[3][0])
            assert float(row[4][0].replace("−", "-")) == pytest.approx(100 * fmean(gaps), abs=0.005)
    tests = stats.tested(changes)[1:]
    assert words == [stats.verdict(d, p=t.adjusted) for d, t in zip(changes[1:], tests, strict=True)]


def test_a_denser_level_that_does_not_match_is_said(fabricate, told):
    own = [(0.97, 0.90, 0.97), (0.97, 0.90, 0.97), (0.97, 0.90, 0.97)]
    assert (
        told(replicates(fabricate, *own))
        .finding[0]
        .endswith("In between, 80 % is not shown to match it.")
    )


@pytest.mark.parametrize(
    ("own", "start"),
    [
        ([(0.97, 0.90)] * 3, "Every pruned level falls below the dense net (97.00 ± 0.00 %"),
        ([(0.97, 0.99), (0.97, 0.97), (0.97, 0.94)], "No pruned level is shown to match the dense"),
        ([(0.97, 0.98)] * 3, "With 80 % of its weights (1.25× fewer) the net even beats the dense"),
        ([(0.97,)] * 3, "100 % of the weights reach a test accuracy of 97.00 ± 0.00 %; no pruned"),
    ],
)
def test_findings(fabricate, own, start, told):
    assert told(replicates(fabricate, *own)).finding[0].startswith(start)


def test_one_replicate_gets_no_interval_and_no_verdict(fabricate, told, gathered):
    folders = replicates(fabricate, (0.97, 0.98, 0.966, 0.93))
    part = told(folders)
    assert part.finding[0] == (
        "One replicate, so no interval and no verdict: down to 64 % of the weights (96.60 %) a level "
        "lies within 0.5 points of the dense net (97.00 % test accuracy), or above. From 3 "
        "replicates on this page says whether that is chance."
    )
    assert part.tiles[0].value == "–"
    assert part.tiles[0].note == "needs 3 replicates"
    assert "±" not in "".join(Tags(page.html(gathered(folders)).decode()).words)


def test_two_replicates_are_too_few(fabricate, told):
    part = told(replicates(fabricate, (0.97, 0.90), (0.97, 0.90)))
    assert part.finding[0] == (
        "2 replicates, which is too few for a verdict: every pruned level lies more than 0.5 points "
        "below the dense net (97.00 ± 0.00 % test accuracy)."
    )


def test_replicates_that_are_still_at_work_are_no_verdict(fabricate, told):
    """Three are dense, two pruned: nothing was judged, so nothing is said to be too far apart."""
    part = told(replicates(fabricate, (0.97, 0.968), (0.97, 0.97), (0.97,)))
    assert part.finding[0].startswith(
        "2 of 3 replicates have a pruned level so far, too few for a verdict: down to 80 % of the"
    )
    assert part.tiles[0].note == "needs 3 replicates"


def test_verdicts_of_which_none_holds_are_counted(fabricate, told):
    own = [(0.97, 0.99, 0.90, 0.5), (0.97, 0.97, 0.90, 0.5), (0.97, 0.94, 0.90)]
    assert told(replicates(fabricate, *own)).finding[0] == (
        "No pruned level is shown to match the dense net (97.00 ± 0.00 % test accuracy); of 3 "
        "pruned levels: 1 falling below it, 1 unclear (the replicates lie too far apart for a "
        "tolerance of 0.5 points), 1 with fewer than 3 replicates."
    )


def test_the_best_ticket_is_picked_by_validation_accuracy(fabricate, told, gathered):
    """The one that the test split would pick has the lower validation accuracy."""
    own = (0.97, 0.96, 0.99)
    part = told([fabricate(test=own, val_accuracy=(0.9, 0.8, 0.7))])
    (tile,) = (t for t in part.tiles if t.title == "Best ticket")
    assert (tile.value, tile.note) == (
        "96.00 %", "at 80 % of the weights, picked by validation accuracy"
    )  # fmt: skip
    empty = {"val_accuracy": (math.nan,) * 3}
    part = told([fabricate(ident="bbbbbbbbbb", test=own, **empty)])
    (tile,) = (t for t in part.tiles if t.title == "Best ticket")
    assert tile.value == "99.00 %"
    assert tile.note.endswith("picked by this very test accuracy, so rather high")
    assert "picked by this very test accuracy" in part.finding[1]
    other = {"choices": {"prune": "random"}, "config": {"prune.criterion.name": "random"}}
    folders = [
        fabricate("a", "cccccccccc", test=(0.97, 0.95), val_accuracy=(0.9, 0.9)),
        fabricate("b", "dddddddddd", test=(0.97, 0.99), val_accuracy=(0.9, 0.8), **other),
    ]
    (tile,) = (t for t in gathered(folders).tiles if t.title == "Best ticket")
    assert tile.value == "95.00 %"
    assert tile.note.endswith("picked by validation accuracy")


def test_the_tolerance_reaches_the_controls(outputs, gathered):
    def verdicts(tolerance):
        (part,) = gather.gather(choose(outputs, ["prune=imp"]), tolerance).parts
        (made,) = next(s for s in part.sections if s.title == "Sanity").tables
        return [row[-1].text for row in made.rows], made.note

    assert verdicts(0.99)[0] == [sanity.DENSITIES]
    assert "more than 99 points" in verdicts(0.99)[1]
    assert verdicts(0.0)[0] != [sanity.DENSITIES]


def test_what_is_private_stays_here(fabricate, told):
    """A page travels: where a run was written besides, and passwords, do not."""
    typed = "lottery run log=[mlflow] loggers.mlflow.uri=https://u:hunter2@h/ data=s3://a:b@h/x"
    config = {"loggers.mlflow.uri": "https://u:hunter2@h/", "data": "s3://a:b@h/x"}
    chosen = {"log": "mlflow"}
    part = told(
        [
            fabricate(
                record={"command": typed, "followed_by": [typed]}, config=config, choices=chosen
            )
        ]
    )
    assert [said for _, said in part.sections[-1].commands] == [
        "lottery run 'data=s3://***@h/x'"
    ] * 2
    settings = next(s for s in part.sections if s.title == "Settings")
    assert len(settings.tables) == 2  # those that differ from the defaults, and all
    for some in settings.tables:
        found = {row[0].text: row[1].text for row in some.rows}
        assert found["data"] == "s3://***@h/x"
        assert not [key for key in found if key.startswith("loggers")]
    assert "log=" not in " ".join(settings.words)


def test_no_password_stands_in_a_comparison(fabricate, gathered):
    """Neither among the settings that differ, nor in the names and the first lines of the configs."""
    folders = [
        fabricate(ident=ident * 10, config={"model.path": f"s3://u:hunter2@h/{ident}",
                                            "rewind.path": "s3://u:hunter2@h"})
        for ident in "ab"
    ]  # fmt: skip
    found = page.html(gathered(folders)).decode()
    assert "s3://***@h/b" in found
    assert "hunter2" not in found
    assert "path s3://***@h/a" in found  # the name of a config


def test_a_hash_is_as_long_as_in_other_tables(fabricate, told):
    part = told([fabricate(config={"rewind.sha256": "0123456789abcdef" * 4})])
    (settings,) = (s for s in part.sections if s.title == "Settings")
    assert "'01234567'" in str(settings)
    assert "0123456789" not in str(settings)


def test_a_run_on_its_way_is_said(fabricate, told):
    done = fabricate(replicate=0)
    killed = fabricate(replicate=1, test=(0.97, 0.96), record={"state": "running"})
    (last,) = (line for line in told([done, killed]).finding if "killed" in line)
    assert last == "Replicate 1: killed. Here are the levels that are finished so far."
    levels = next(s for s in told([done, killed]).sections if s.title == "Levels").tables[0]
    column = [c.title for c in levels.columns].index("Replicates")
    assert [row[column].text for row in levels.rows] == ["2", "2", "1"]


def test_validation_accuracy_stands_in_where_there_is_no_test_split(fabricate, told):
    empty = {"test_accuracy": (math.nan,) * 3, "val_accuracy": (0.9, 0.8, 0.7)}
    part = told([fabricate(**empty)])
    assert "validation accuracy" in part.finding[0]
    assert [t.title for t in part.tiles if t.value == "90.00 %"] == ["Dense validation accuracy"]


def test_controls_and_verdicts(outputs, sketched):
    folders = sorted(outputs.glob("*/*/replicate_*"))
    part = next(p for p in gather.gather(folders, 0.005).parts if "_imp/" in p.place)
    titles = [s.title for s in part.sections]
    assert [title for title in titles if title != "Warnings"] == [  # level 3 may lose a layer
        "Accuracy against density", "Levels", "Layers", "Cost", "Sanity", "Branches",
        "Learning curves", "Masks beside others", "Settings", "Environment", "Reproduce",
    ]  # fmt: skip
    sanity, branches = (part.sections[titles.index(t)] for t in ("Sanity", "Branches"))
    judged = {row[0].text: row[-1].text for row in sanity.tables[0].rows}
    rows = list((outputs / part.place / "sanity.csv").read_text().splitlines())
    assert judged == {line.split(",")[0]: line.split(",")[-1] for line in rows[1:]}
    masks = part.sections[titles.index("Masks beside others")].tables[0]
    every = Runs(tuple(folders)).overlaps
    first = every[every["id"] == part.place.partition("/")[2]].iloc[0]
    assert [cell.text for cell in masks.rows[0]] == [
        "1", "0.4000", f"{first['other_run']}/{first['other_id']}", "1",
        *(f"{100 * first[key]:.1f}" for key in ("overlap", "by_chance")),
    ]  # fmt: skip
    (alone,) = gather.gather([f for f in folders if "_imp/" in str(f)], 0.005).parts
    assert "Masks beside others" not in [s.title for s in alone.sections]
    assert [row[2].text for row in branches.tables[0].rows][:3] == [
        "random weights=rewind", "reinit", "shuffle scope=layerwise"
    ]  # fmt: skip


def test_cost_has_a_scale_a_column_and_no_section_without_counts(fabricate, told):
    counted = {
        "steps": (84, 84), "examples": (7760, 7760), "training_macs_kept": (1.2e9, 0.9e9),
        "ticket_steps": (84, 168), "ticket_macs_kept": (1.2e9, 2.1e12), "ticket_energy": (0.02, 0.04),
    }  # fmt: skip
    part = told([fabricate(test=(0.9, 0.8), **counted)])
    search, alone = next(s for s in part.sections if s.title == "Cost").tables
    assert [(c.title, c.unit) for c in search.columns[2:]] == [
        ("Steps", ""), ("Training, kept weights", "TMAC"), ("Energy, estimate", "mJ")
    ]  # fmt: skip
    assert [cell.text for cell in search.rows[1]] == ["1", "0.8000", "168", "2.10", "40.00"]
    assert [cell.text for cell in alone.rows[1]] == ["1", "0.8000", "84", "7,760", "0.90"]
    part = told([fabricate(ident="bbbbbbbbbb")])
    assert "Cost" not in [s.title for s in part.sections]


def test_shared_levels_are_counted(fabricate, told):
    folders = replicates(
        fabricate, (0.9, 0.8), (0.9, 0.8), shared=(True, False), seconds=(30.0, 9.0)
    )
    levels = next(s for s in told(folders).sections if s.title == "Levels")
    assert levels.words == [
        "2 of 4 levels were trained by another run and shared, 60.0 s of training that was not "
        "repeated."
    ]
    assert [row[-1].text for row in levels.tables[0].rows] == ["2 of 2", ""]


def test_settings_that_differ_come_first(run, told):
    part = told([run("train.batch_size=24")])
    settings = next(s for s in part.sections if s.title == "Settings")
    differing, whole = settings.tables
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in differing.rows}
    assert rows["train.batch_size"] == ["24", "32"]
    assert "train.momentum" not in rows
    assert whole.label == f"All {len(whole.rows)} settings"
    assert settings.words[0].startswith("Options: model=lenet_300_100 dataset=synthetic")


def test_environment_and_commands_say_whose_they_are(fabricate, told):
    folders = [
        fabricate(replicate=k, record={"torch": t, "host": "a", "command": f"lottery run replicate={k}",
                                       "followed_by": ["lottery branch X branch=shuffle"],
                                       "drift": [f"then: torch {t} -> 3"] if k else []})
        for k, t in enumerate(("2.12.0", "2.13.0"))
    ]  # fmt: skip
    part = told(folders)
    environment, reproduce = part.sections[-2:]
    assert environment.words == ["Changed in replicate 1: then: torch 2.13.0 -> 3"]
    assert environment.open
    rows = {row[0].text: row[1].text for row in environment.tables[0].rows}
    assert rows == {"torch": "2.12.0 (replicate 0); 2.13.0 (replicate 1)", "host": "a"}
    assert list(reproduce.commands) == [
        ("Makes replicate 0", "lottery run replicate=0"),
        ("Makes replicate 1", "lottery run replicate=1"),
        ("Then, on replicates 0, 1", "lottery branch X branch=shuffle"),
    ]


# Several configs


def test_comparison_ranks_configs_and_says_what_differs(fabricate, gathered):
    weak = replicates(
        fabricate, *[(0.97, 0.90)] * 3, ident="aaaaaaaaaa", choices={"prune": "random"}
    )
    good = replicates(
        fabricate, *[(0.97, 0.97, 0.972)] * 3, ident="bbbbbbbbbb", config={"train.batch_size": 64}
    )
    lone = [fabricate(ident="cccccccccc", test=(0.97, 0.96), choices={"prune": "snip"})]
    found = gathered([*weak, *good, *lone])
    assert found.finding[0].startswith(
        "Of 3 configs, imp goes furthest: with 64 % of its weights it"
    )
    assert found.finding[1] == "Without a pruned level that is shown to match dense: random."
    assert found.finding[2].endswith("3 replicates of a pruned level: snip.")
    assert [part.title for part in found.parts] == ["imp", "snip", "random"]
    assert found.title == "imp / snip / random"
    comparison = next(s for s in found.sections if s.title == "Comparison")
    summary, common, gaps = comparison.tables
    assert [row[0].text for row in summary.rows] == ["imp", "snip", "random"]
    assert [(c.text, c.reach) for c in summary.rows[0][3:5]] == [
        ("0.6400", ""),
        ("97.20", "± 0.00"),
    ]
    assert [[c.text for c in row] for row in common.rows] == [
        ["1.0000", "97.00", "97.00", "97.00"], ["0.8000", "97.00", "96.00", "90.00"]
    ]  # fmt: skip
    assert [c.text for c in gaps.rows[1]] == ["0.8000", "−1.00", "−7.00"]
    assert [c.reach for c in gaps.rows[1]] == ["", "", "(all differences the same)"]
    assert [c.title for c in gaps.columns] == ["Density", "snip", "random"]  # no p, and no column
    assert gaps.note == ""
    (differing,) = next(s for s in found.sections if s.title == "Settings that differ").tables
    assert ["train.batch_size", "64", "96", "96"] in [[c.text for c in r] for r in differing.rows]


def test_notes_call_configs_by_their_titles(fabricate, gathered):
    def spread(k, levels):
        return (0.97, *(0.96 - k**levels / 1000 - level / 100 for level in range(levels)))

    folders = [fabricate(ident=ident * 10, replicate=k, test=spread(k, levels), choices={"prune": prune})
               for ident, levels, prune in (("a", 3, "imp"), ("b", 2, "snip")) for k in range(3)]  # fmt: skip
    notes = str([t.note for s in gathered(folders).sections for t in s.tables])
    assert "Holm over 2 levels of snip, 2 of 3 levels of imp, changes to snip over 3" in notes


def test_a_config_whose_dense_net_was_trained_badly_does_not_win(fabricate, gathered):
    """It keeps its own accuracy down to 64 %, and that is 40 points below the other's dense net."""
    rate = "train.optimizer.lr"
    weak = replicates(
        fabricate, *[(0.40, 0.41, 0.42)] * 3, ident="aaaaaaaaaa", config={rate: 0.001}
    )
    good = replicates(fabricate, *[(0.80, 0.80, 0.70)] * 3, ident="bbbbbbbbbb", config={rate: 0.5})
    found = gathered([*weak, *good])
    assert [part.title for part in found.parts] == ["imp, lr 0.5", "imp, lr 0.001"]
    assert found.finding[:2] == [
        "Of 2 configs, imp, lr 0.5 goes furthest: with 80 % of its weights it still matches its "
        "dense net (80.00 ± 0.00 %): 80.00 ± 0.00 % test accuracy over 3 replicates.",
        "Matching only a dense net of their own, with more than 0.5 points less than the best one "
        "(80.00 %, imp, lr 0.5): imp, lr 0.001 (42.00 % at 64 % of the weights, dense 40.00 %).",
    ]
    assert [(t.value, t.title, t.note) for t in found.tiles][:2] == [
        ("80 %", "Matches dense down to", "imp, lr 0.5"), ("80.00 %", "Best dense net", "imp, lr 0.5")
    ]  # fmt: skip
    summary = next(s for s in found.sections if s.title == "Comparison").tables[0]
    assert summary.note.startswith("Sparsest match: of its own dense net.")
    bad = replicates(fabricate, *[(0.90, 0.50)] * 3, ident="cccccccccc", config={rate: 0.9})
    found = gathered([*weak, *bad])
    assert found.finding[0] == "No config is shown to match its dense net and the best of these."
    assert "(90.00 %, imp, lr 0.9): imp, lr 0.001 (42.00 % at" in found.finding[1]


def test_a_dense_net_that_configs_share_is_one_whatever_its_replicates(fabricate, gathered):
    """The two replicates of snip are the better two of imp's three: that is no better net."""
    own = [(0.80, 0.80), (0.90, 0.90001), (0.90, 0.90)]
    folders = [fabricate(ident="aaaaaaaaaa", replicate=k, test=test, key=(f"d{k}", f"i{k}"))
               for k, test in enumerate(own)]  # fmt: skip
    folders += [fabricate(ident="bbbbbbbbbb", replicate=k, test=own[k], key=(f"d{k}", f"s{k}"),
                          choices={"prune": "snip"}) for k in (1, 2)]  # fmt: skip
    found = gathered(folders)
    assert found.finding[0].startswith("Of 2 configs, imp goes furthest: with 80 % of its weights")
    assert "Best dense net" not in [t.title for t in found.tiles]


def test_the_lucky_net_of_one_replicate_is_no_bar(fabricate, gathered):
    """The sentence, the tile and the order of the configs are of one bar."""
    good = replicates(fabricate, *[(0.90, 0.90, 0.90)] * 3, ident="aaaaaaaaaa")
    less = replicates(
        fabricate, *[(0.90, 0.90, 0.5)] * 3, ident="bbbbbbbbbb", choices={"prune": "random"}
    )
    lucky = [fabricate(ident="cccccccccc", test=(0.95, 0.91), choices={"prune": "snip"})]
    found = gathered([*less, *good, *lucky])
    assert found.finding[0].startswith("Of 3 configs, imp goes furthest: with 64 % of its weights")
    tiles = {t.title: (t.value, t.note) for t in found.tiles}
    assert tiles["Matches dense down to"] == ("64 %", "imp")
    assert tiles["Best dense net"][0] == "90.00 %"
    assert [part.title for part in found.parts] == ["imp", "random", "snip"]


def test_nets_of_other_data_are_no_measure(fabricate, gathered):
    mine = replicates(fabricate, *[(0.5, 0.5)] * 3, ident="aaaaaaaaaa", record={"data": "d2"})
    other = replicates(fabricate, *[(0.9, 0.5)] * 3, ident="bbbbbbbbbb", choices={"prune": "snip"})
    assert "imp goes furthest" in gathered([*mine, *other]).finding[0]


def test_many_verdicts_are_said_to_be_many(fabricate, gathered):
    densities = tuple(0.9**k for k in range(22))
    folders = replicates(fabricate, *[(0.9,) * 22] * 3, densities=densities)
    folders += [fabricate(ident="bbbbbbbbbb", choices={"prune": "snip"})]
    assert gathered(folders).finding[-1] == "Verdicts: Holm over 21 levels."
    assert "erdicts:" not in gathered(folders[2:]).finding[-1]
    other = replicates(fabricate, *[(0.9,) * 3] * 3, ident="cccccccccc", choices={"prune": "random"})
    assert gathered([*folders, *other]).finding[-1] == (
        "Verdicts: Holm over 2 to 21 levels of each config, not over the 2 configs."
    )
    alone = gather.gather([*folders, *other], 0.005, "none").finding[-1]
    assert alone == "Verdicts: each level for itself, not corrected for how many there are."


def test_levels_that_keep_as_much_as_each_other_are_rows_of_their_own(fabricate, told, gathered):
    """LR rewinding at density 1, a common control, and two levels at 0.5."""
    own, densities = [(0.90, 0.95, 0.94, 0.93)] * 3, (1.0, 1.0, 0.5, 0.5)
    folders = replicates(fabricate, *own, densities=densities)
    part = told(folders)
    levels = next(s for s in part.sections if s.title == "Levels").tables[0]
    assert [[cell.text for cell in row[:5]] for row in levels.rows] == [
        ["0", "1.0000", "90.00", "dense", ""],
        ["1", "1.0000", "95.00", "nothing pruned", ""],
        ["2", "0.5000", "94.00", "beats dense", "+4.00"],
        ["3", "0.5000", "93.00", "beats dense", "+3.00"],
    ]
    assert [t.value for t in part.tiles if t.title == "Dense test accuracy"] == ["90.00 %"]
    spread = next(s for s in part.sections if s.title == "Layers").tables[1]
    assert [c.title for c in spread.columns[1:]] == ["Level 0", "Level 1", "Level 2", "Level 3"]
    other = replicates(fabricate, *own, ident="bbbbbbbbbb", densities=densities,
                       choices={"prune": "random"})  # fmt: skip
    both = next(s for s in gathered([*folders, *other]).sections if s.title == "Comparison")
    shared = both.tables[1]
    assert [[cell.text for cell in row] for row in shared.rows] == [
        ["1.0000", "90.00", "90.00"], ["1.0000", "95.00", "95.00"],
        ["0.5000", "94.00", "94.00"], ["0.5000", "93.00", "93.00"],
    ]  # fmt: skip


def test_means_over_differing_replicates_are_said_to_be_such(fabricate, told):
    part = told(replicates(fabricate, (0.9, 0.8), (0.9, 0.8), (0.9,)))
    spread = next(s for s in part.sections if s.title == "Layers").tables[1]
    said = "Density of each layer, means of the 2 to 3 replicates that have each level"
    assert spread.caption == said
    last = next(s for s in part.sections if s.title == "Layers").tables[0]
    assert last.caption == "Layers at level 1, mean of 2 replicates"


def test_the_caption_of_the_cost_promises_no_search_that_is_not_known(fabricate):
    levels = {"step": (84, 84), "seconds": (9.0, 8.0), "key": ("a", "b")}
    for ident, cost, said in (
        ("aaaaaaaaaa", (84.0, 168.0), "the ticket cost, search included"),
        ("bbbbbbbbbb", (84.0, math.nan), "each level cost"),
    ):
        folder = fabricate(ident=ident, test=(0.9, 0.8), ticket_steps=cost, **levels)
        assert one.cost_caption(one.Runs((folder,))) == f"Accuracy against what {said}."


def test_other_data_are_not_compared_in_silence(fabricate, gathered):
    mine = fabricate(ident="aaaaaaaaaa")
    other = fabricate(ident="bbbbbbbbbb", record={"data": "d2"}, choices={"dataset": "mnist"})
    assert any("not all" in s.lower() and "same data" in s for s in gathered([mine, other]).finding)


def test_many_configs_are_rows_and_their_parts_have_no_figures(fabricate):
    folders = [
        fabricate(
            ident=f"{k:010d}",
            test=(0.97, 0.9 + k / 1000),
            key=(f"{k}a", f"{k}b"),
            config={"train.batch_size": k},
        )  # fmt: skip
        for k in range(1, gather.FULL + 2)
    ]
    found = gather.gather(folders, 0.005)
    curves, comparison, differences = found.sections
    assert curves.words[0].startswith("The figures show the first 6 configs of the table below")
    assert len(comparison.tables) == 1
    assert [c.title for c in differences.tables[0].columns] == ["Config", "train.batch_size"]
    assert [row[1].text for row in differences.tables[0].rows] == [str(k) for k in range(1, 10)]
    assert not [p for part in found.parts for s in part.sections for p in s.pictures]
    best = [row[6].order for row in comparison.tables[0].rows]
    assert best == sorted(best, reverse=True)


# Damage


def test_a_damaged_run_is_named_and_the_others_reported(
    fabricate, gathered, lottery, tmp_path, capsys
):
    fabricate(replicate=0)
    path = fabricate(replicate=1) / "metrics.csv"
    path.write_bytes(path.read_bytes().replace(b"0.96", b"0.99"))
    assert lottery("report", "to=a.html") == 0
    assert "metrics.csv is damaged" in capsys.readouterr().out
    text = Path("a.html").read_text()
    assert "Left out: " in text
    assert "metrics.csv is damaged" in text
    assert "One replicate" in text


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("best_step", ("now", "then", "when"), "its best_step is no number"),
        ("density", (1.0, 0.8, 1.5), "its density is no share of 1"),
        ("density", (1.0, 0.8, 0.0), "its density is 0"),
        ("level", (0, 1, 1.5), "its level is no index"),
    ],
)
def test_odd_tables_are_damage(fabricate, gathered, column, values, why):
    good, odd = fabricate(replicate=0), fabricate(replicate=1, **{f"{column}": values})
    path = odd / "metrics.csv"
    found = gathered([good, odd])
    assert found.problems == [f"Left out: {path} is no table of a run ({why})"]
    assert found.tiles[-1].value == "1"


def test_a_damaged_curve_leaves_out_its_figure(outputs, gathered, tmp_path):
    copy = tmp_path / "outputs"
    shutil.copytree(outputs, copy, symlinks=True)
    folder = next(copy.glob("*_random/*/replicate_0"))
    key = records.levels(folder)["level_01"]["key"]
    (copy / "store" / key / "curve.csv").write_text("step,test_accuracy\n1,0.99\n")
    found = gather.gather([folder], 0.005)
    assert "Learning curves" not in [s.title for s in found.parts[0].sections]
    assert len(found.problems) == 1
    assert "its learning curves are left out" in found.problems[0]
    assert "curve.csv is damaged" in found.problems[0]


def test_nothing_to_report_is_one_line(fabricate, lottery, capsys):
    assert lottery("report") == 2
    assert "there are no runs under outputs; start one: lottery run" in capsys.readouterr().err
    fabricate(test=())
    assert lottery("report") == 2
    assert capsys.readouterr().err == (
        "lottery: report: these runs have no finished level yet; lottery ls shows how far they are\n"
    )
    assert lottery("report", "nosuchrun") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'nosuchrun' names no run" in line


def test_all_damaged_is_exit_4(fabricate, lottery, capsys):
    path = fabricate() / "metrics.csv"
    path.write_text("level\n1\n")
    assert lottery("report") == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "metrics.csv is damaged" in line


def test_a_figure_that_cannot_be_drawn_leaves_its_section_out(fabricate, monkeypatch):
    folder = fabricate()

    def refuse(name, runs, settings=None):
        raise UsageError(f"{name}: nothing to draw")

    monkeypatch.setattr(one.drawing, "draw", refuse)
    found = gather.gather([folder], 0.005)
    assert found.problems == []
    assert "Accuracy against density" not in [s.title for s in found.parts[0].sections]
    assert "<svg" not in page.html(found).decode()

    def stumble(name, runs, settings=None):
        raise ValueError("odd numbers")

    monkeypatch.setattr(one.drawing, "draw", stumble)
    assert (
        "The figure 'accuracy' is left out: odd numbers" in gather.gather([folder], 0.005).problems
    )


def test_letters_that_our_font_has_not_are_drawn_as_text(fabricate, monkeypatch):
    monkeypatch.setattr(gather, "FULL", 1)  # the comparison alone has figures: it is quicker
    keys = {"key": ("a", "b", "c")}
    folders = [fabricate(**keys), fabricate(ident="bbbbbbbbbb", choices={"prune": "中文"}, **keys)]
    found = gather.gather(folders, 0.005)  # a warning would be an error here
    assert "中文" in found.sections[0].pictures[0].svg


# Where it goes


def test_the_usual_place_holds_the_configs(fabricate, gathered, lottery, tmp_path, capsys):
    fabricate(name="a", ident="1111111111")
    fabricate(name="a", ident="2222222222", config={"train.batch_size": 7})
    fabricate(name="b", ident="3333333333")
    for words, place in (
        (["3333"], "outputs/b/3333333333/report.html"), (["a"], "outputs/a/report.html"),
        ([], "outputs/report.html"), (["b", "to=new/folder/x.html"], "new/folder/x.html"),
    ):  # fmt: skip
        assert lottery("report", *words) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"{place} (")
        assert (tmp_path / place).read_text().startswith("<!doctype html>")
    assert not list(tmp_path.rglob(f"{TEMPORARY}*"))
    capsys.readouterr()
    assert lottery("ls", "format=csv") == 0  # a report among the runs is none of them
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_file_of_another_is_left_alone(fabricate, gathered, lottery, tmp_path, capsys):
    folder = fabricate().parent
    (folder / "report.html").write_text("mine")
    assert lottery("report") == 2
    assert (
        "is there and no report of lottery; name another: to=FILE.html" in capsys.readouterr().err
    )
    assert (folder / "report.html").read_text() == "mine"
    (folder / "report.html").unlink()
    Path("mine.html").write_text("mine")
    assert lottery("report", "to=mine.html") == 2
    assert Path("mine.html").read_text() == "mine"
    assert lottery("report") == 0
    first = (folder / "report.html").stat().st_ino
    assert lottery("report") == 0
    assert (folder / "report.html").stat().st_ino != first  # replaced as a whole


def test_outputs_that_cannot_be_written_ask_for_a_place(
    fabricate, gathered, lottery, monkeypatch, capsys
):
    fabricate()

    def refuse(path, data):
        raise DiskError(f"cannot write {path}: Read-only file system; write outputs=DIR")

    monkeypatch.setattr(disk, "write", refuse)
    assert lottery("report") == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("report.html: Read-only file system; name another place: to=FILE.html")
    assert lottery("report", "to=x.html") == 5
    assert capsys.readouterr().err.endswith("Read-only file system; write outputs=DIR\n")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("to=metrics.csv", "to=metrics.csv.html"), ("to=outputs", "to=outputs/report.html"),
     ("tolerance=2", "half a hundredth is tolerance=0.005"), ("tolerance=x", "is no share of 1"),
     ("torelance=0.1", "did you mean 'tolerance'?")],
)  # fmt: skip
def test_bad_words_are_one_line(fabricate, lottery, capsys, word, hint):
    fabricate()
    assert lottery("report", word) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert hint in line


def test_help_names_what_it_takes(lottery, capsys):
    assert lottery("report", "--help") == 0
    assert "usage: lottery report" in capsys.readouterr().out


# What it is made of


def policy(text):
    """Return the Content-Security-Policy of a page by its directives."""
    (content,) = (
        attrs["content"] for tag, attrs in Tags(text).elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )  # fmt: skip
    return dict(part.strip().split(" ", 1) for part in content.split(";"))


def test_the_policy_allows_the_one_script_and_no_request(reports):
    text = made(reports)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    own = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy(text) == {
        "default-src": "'none'", "style-src": "'unsafe-inline'", "script-src": f"'sha256-{own}'",
        "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["one", "both"])
def test_it_refers_to_nothing_outside(reports, name):
    text = made(reports, name)
    assert len(text) < 1_000_000
    assert text.count('role="img"') == {"one": 12, "both": 30}[name]  # other tests leave figures out
    ids = [attrs["id"] for _, attrs in Tags(text).elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in Tags(text).elements:
        assert tag not in ("iframe", "object", "embed", "form", "base", "foreignobject")
        for key, value in attrs.items():
            assert not key.startswith("on")
            assert key not in ("src", "action", "formaction", "srcset")
            if key in ("href", "xlink:href"):
                assert value.startswith(("#", "data:"))
                assert not value.startswith("#") or value[1:] in ids
    assert not re.search(r"url\((?!#)|@import|http-equiv=.?refresh", text)


def hostile(fabricate, text, ident="aaaaaaaaaa", **more):
    """Write a run that says `text` wherever a run says anything."""
    folder = fabricate(
        name="<img src=x onerror=window.canary=1>\u202e", ident=ident,
        choices=dict.fromkeys(("model", "dataset", "prune", "rewind"), text),
        config={"train.note": text, text: text},
        record={
            "command": text, "followed_by": [text], "drift": [text], "host": text, "git": text,
            "torch": text, "device": text, "state": text, "started": text, "error": text,
            "environment": {"machine": text},
        },
        test=(0.9, 0.8), key=("a", text), **more,
    )  # fmt: skip
    rows = [{"level": v, "layer": text, "kept": 1, "total": 2, "density": 0.5, "replicate": text}
            for v in (0, 1)]  # fmt: skip
    branch = {"level": 1, "branch": text, "settings": text, "density": 0.5, "compression": 2,
              "kept": 1, "total": 2, "test_accuracy": 0.7}  # fmt: skip
    body = records.read_manifest(folder)
    for name, some in {"layers.csv": rows, "branches.csv": [branch]}.items():
        data = table(some)
        (folder / name).write_bytes(data)
        body["files"][name] = [digest(data)]
    (folder / records.MANIFEST).write_text(json.dumps(records.signed(body)))
    return folder


def test_nothing_from_the_disk_is_obeyed(fabricate, monkeypatch):
    monkeypatch.setattr(gather, "FULL", 1)  # of two only the comparison has figures: it is quicker
    text = " ".join(NASTY)
    alone = [hostile(fabricate, text)]
    for folders in (alone, [*alone, hostile(fabricate, f"{text} too", ident="bbbbbbbbbb")]):
        written = page.html(gather.gather(folders, 0.005)).decode()
        got = Tags(written)
        tags = [tag for tag, _ in got.elements]
        assert tags.count("script") == 1
        assert "svg" in tags
        assert not {"img", "iframe", "b"} & {*tags}
        for _, attrs in got.elements:
            assert not [key for key in attrs if key.startswith("on")]
            assert attrs.get("href", "#").startswith(("#", "data:,"))
        assert "\u202e" not in written
        assert "\x1b" not in written
        said = [words for words in got.words if printable(text) in words]
        assert len(said) >= 18 * len(folders)  # title, settings, layers, branches, machine, ...


def test_a_template_can_neither_miss_a_name_nor_forget_to_escape():
    made = page.environment()
    with pytest.raises(jinja2.UndefinedError):
        made.from_string("{{ nothing }}").render()
    assert made.from_string("<p title='{{ x }}'>{{ x }}</p>").render(x="'<b>\u202e\n") == (
        "<p title='&#39;&lt;b&gt;\\u202e\\n'>&#39;&lt;b&gt;\\u202e\\n</p>"
    )


SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'


def test_a_drawing_passes_as_it_is():
    svg = SVG.format(
        '<g id="a"><use xlink:href="#a" style="fill: url(#b)"/><text>&lt;b&gt;</text></g>'
    )
    assert page.drawing(svg) == svg
    lifted = page.drawing(SVG.format('<path style="stroke: #0072b2"/>'))
    assert 'style="stroke: var(--blue, #0072b2)"' in lifted


@pytest.mark.parametrize(
    "inner",
    ["<script>1</script>", "<foreignObject/>", "<g onload='x'/>", "<a href='#a'/>",
     "<image href='http://x/y.png'/>", "<use xlink:href='file:///etc/passwd'/>",
     "<image href='data:image/svg+xml;base64,AA'/>", "<style>@import 'x'</style>",
     "<rect style='fill: url(http://x)'/>", "<!DOCTYPE x>", "<?xml-stylesheet href='x'?>",
     "<animate attributeName='href'/>"],
)  # fmt: skip
def test_more_than_a_drawing_is_refused(inner):
    with pytest.raises(ValueError, match="a figure holds"):
        page.drawing(SVG.format(inner))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: sheets.figure(-0.004, 2), "0.00"), (lambda: sheets.figure(-1234.5, 1), "−1,234.5"),
        (lambda: sheets.figure(0.0, 2, sign=True), "0.00"), (lambda: sheets.figure(1, 0, True), "+1"),
        (lambda: sheets.density(1.0), "1.0000"), (lambda: sheets.density(0.26215), "0.2621"),
        (lambda: sheets.density(0.0123456), "0.0123"), (lambda: sheets.density(0.00123), "0.00123"), (lambda: sheets.kept(0.262151), "26.2 %"),
        (lambda: sheets.kept(1.0), "100 %"), (lambda: sheets.kept(0.00123), "0.12 %"),
        (lambda: sheets.times(3.8146), "3.81×"), (lambda: sheets.times(123.4), "123×"),
        (lambda: sheets.duration(9.96), "10.0 s"), (lambda: sheets.duration(250), "4 min 10 s"),
        (lambda: sheets.duration(12000), "3 h 20 min"), (lambda: sheets.duration(190000), "2 d 4 h"),
        (lambda: sheets.duration(math.nan), ""), (lambda: sheets.scale([2e9, math.nan])[1], "G"),
        (lambda: sheets.scale([0.0])[1], ""), (lambda: ACCURACY.apart(0.01), "1 point"),
        (lambda: sheets.several(2, "level"), "2 levels"),
    ],
)  # fmt: skip
def test_numbers_for_people(call, text):
    assert call() == text


# In a browser


IN_SIGHT = """
() => {
  const at = document.querySelector("#c1-levels > summary").getBoundingClientRect();
  return at.top >= 0 && at.bottom <= innerHeight;
}
"""


@pytest.fixture
def visit(browser):
    """Open a file in a window of its own; it may log nothing and ask for nothing but itself."""
    contexts, told, asked, allowed = [], [], [], []

    def call(path, width=1280, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        opened = context.new_page()
        opened.set_default_timeout(
            300_000
        )  # of what comes at once, on a machine with nothing else to do
        opened.on("console", lambda message: told.append(message.text))
        opened.on("pageerror", lambda error: told.append(str(error)))
        opened.on("request", lambda request: asked.append(request.url))
        allowed.append(path.absolute().as_uri())
        opened.goto(allowed[-1])
        return opened

    yield call
    for context in contexts:
        context.close()
    assert told == []
    assert [url for url in asked if url.partition("#")[0] not in allowed] == []
    assert asked


def column(opened, table, index):
    """Return the texts of a column of a table, from above."""
    cells = opened.locator(f"{table} tbody tr").locator(f":scope > :nth-child({index})")
    return [text.split(" ±")[0].strip() for text in cells.all_inner_texts()]


def test_browser_sorts_numbers_by_value_both_ways_and_by_keyboard(visit, reports):
    opened = visit(reports / "one.html")
    table = "#c1-levels > .scroll:nth-of-type(1)"
    heads = opened.locator(f"{table} thead th")
    titles = [text.split("\n")[0].strip() for text in heads.all_inner_texts()]
    level, kept = heads.nth(0), heads.nth(titles.index("Kept weights"))

    def values(at):
        texts = column(opened, table, at + 1)
        return [float(t.replace("−", "-").replace(",", "")) for t in texts if t]

    assert values(0) == [0, 1, 2, 3]
    assert level.get_attribute("aria-sort") == "ascending"
    level.locator("button").click()  # it stood in this order already, so this turns it round
    assert level.get_attribute("aria-sort") == "descending"
    assert values(0) == [3, 2, 1, 0]
    for wanted in ("ascending", "descending"):
        kept.locator("button").focus()
        opened.keyboard.press("Enter")
        assert kept.get_attribute("aria-sort") == wanted
        assert level.get_attribute("aria-sort") == "none"
        found = values(titles.index("Kept weights"))
        assert found == sorted([80, 32, 13, 5], reverse=wanted == "descending")  # 5 before 13
    for reverse in (False, True):
        heads.nth(4).locator("button").click()
        assert column(opened, table, 5)[-1] == ""  # dense has no distance to itself: stays below
        assert values(4) == sorted(values(4), reverse=reverse)
        assert len(values(4)) == 3


def test_browser_folds_links_copies_and_prints(visit, reports):
    opened = visit(reports / "one.html", permissions=["clipboard-read", "clipboard-write"])
    inside = opened.locator("#c1-levels table").first
    inside.wait_for(state="visible")
    for _ in range(3):  # from the second time on the address is that of the link already
        opened.locator("#c1-levels > summary").click()
        inside.wait_for(state="hidden")
        opened.locator("nav a", has_text="Levels").click()
        inside.wait_for(state="visible")
        assert opened.url.endswith("#c1-levels")
        while not opened.evaluate(IN_SIGHT):  # wait_for_function needs eval, which the page forbids
            opened.wait_for_timeout(20)
    opened.locator("#c1-levels > summary").click()
    inside.wait_for(state="hidden")
    opened.emulate_media(media="print")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    inside.wait_for(state="visible")
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    inside.wait_for(state="hidden")
    opened.emulate_media(media="screen")
    opened.evaluate("() => { window.setTimeout = () => 0 }")  # "Copied" stays until it was seen
    opened.locator("#c1-reproduce .command button").first.click()
    command = opened.locator("#c1-reproduce code").first.inner_text()
    assert command.startswith("lottery run")
    opened.locator(".command button").first.filter(has_text="Copied").wait_for()
    assert opened.evaluate("navigator.clipboard.readText()") == command


def test_browser_opens_a_fold_for_a_typed_address_and_for_the_way_back(visit, reports):
    opened = visit(reports / "one.html")
    inside = opened.locator("#c1-levels table").first
    for go in (
        lambda: opened.evaluate("() => { location.hash = 'c1-levels' }"),
        lambda: opened.locator("nav a", has_text="Levels").press("Enter"),
        lambda: [opened.evaluate("() => { location.hash = 'top' }"), opened.go_back()],
    ):
        opened.locator("#c1-levels > summary").click()
        inside.wait_for(state="hidden")
        go()
        inside.wait_for(state="visible")


@pytest.mark.parametrize("name", ["one", "both"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_browser_has_contrast_and_no_sideways_scroll(visit, reports, contrasts, name, scheme):
    for width in (1280, 400):
        opened = visit(reports / f"{name}.html", width, scheme)
        opened.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ratios = opened.evaluate(contrasts)
        assert {"H1.", "TD.n", "text."} <= ratios.keys()
        assert {n: r for n, r in ratios.items() if r < 4.5} == {}
    dark = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", dark)[0]) < 60) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_browser_shows_the_verdict_on_a_phone_and_that_there_is_more(visit, reports, scheme):
    opened = visit(reports / "one.html", 400, scheme)
    box = opened.locator("#c1-levels > .scroll").first
    verdict = box.locator("tbody tr").nth(1).locator("td").nth(2)
    assert verdict.inner_text().split()[0] in ("unclear", "matches", "falls", "beats")
    edge = verdict.bounding_box()
    assert edge["x"] + edge["width"] <= 400
    assert box.evaluate("at => at.scrollWidth > at.clientWidth")

    def shade():  # the pixels of the box's right edge, half-way down
        from PIL import Image

        picture = Image.open(io.BytesIO(box.screenshot())).convert("L")
        return picture.getpixel((picture.width - 4, picture.height - 12))

    there = shade()
    box.evaluate("at => at.scrollLeft = at.scrollWidth")
    assert shade() - there > (20 if scheme == "light" else 4)


def test_browser_shows_all_without_scripts(visit, reports):
    opened = visit(reports / "one.html", java_script_enabled=False)
    assert opened.locator("#c1-levels table").first.is_visible()
    assert opened.locator("button").count() == 0


@pytest.mark.slow
def test_browser_obeys_nothing_of_a_hostile_run(visit, fabricate, tmp_path):
    folders = [hostile(fabricate, text, ident=f"{k:010d}") for k, text in enumerate(NASTY)]
    (tmp_path / "x.html").write_bytes(page.html(gather.gather(folders, 0.005)))
    (tmp_path / "y.html").write_bytes(page.html(gather.gather(folders[:1], 0.005)))
    for name in ("x.html", "y.html"):
        opened = visit(tmp_path / name)
        opened.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        for box in opened.locator("td, th, pre, h2").all()[:40]:
            box.hover()
        assert opened.evaluate("window.canary") is None


def test_browser_stops_a_script_that_got_in(browser, reports, tmp_path):
    text = made(reports).replace("<main", "<script>window.canary=1</script><main", 1)
    (tmp_path / "x.html").write_text(text)
    opened = browser.new_page()
    said = []
    opened.on("console", lambda message: said.append(message.text))
    opened.goto((tmp_path / "x.html").as_uri())
    assert opened.evaluate("window.canary") is None
    opened.close()
    assert ["Content Security Policy" in line for line in said] == [True]


def test_sections_in_which_nothing_stands_are_left_out_with_their_entries(
    fabricate, gathered, tmp_path
):
    folders = [
        fabricate(ident=name * 10, record={"command": ""}, choices={"prune": name})
        for name in ("a", "b")
    ]
    for some in (folders[:1], folders):
        report = gathered(some)
        sections = [*report.sections, *(s for part in report.parts for s in part.sections)]
        titles = {section.title for section in sections}
        assert not titles & {"Environment", "Reproduce", "Cost", "Learning curves", "Branches"}
        assert titles >= {"Levels", "Settings"}
        for section in sections:
            assert section.pictures or section.commands or any(t.rows for t in section.tables)
        text = page.html(report).decode()
        listed = set(re.findall(r'<li><a href="#([^"]+)"', text))
        assert listed <= {section.anchor for section in sections}
        assert "Environment</a>" not in text


def test_tables_without_a_row_go_and_a_section_with_words_stays():
    head = [sheets.Column("a")]
    empty, full = sheets.Table("e", head, []), sheets.Table("f", head, [[sheets.words("1")]])
    made = [
        sheets.Section("x", "X", tables=[empty]),
        sheets.Section("y", "Y", tables=[empty, full]),
        sheets.Section("z", "Z", words=["changed"], tables=[empty]),
    ]
    assert [(s.anchor, list(s.tables)) for s in sheets.filled(made)] == [("y", [full]), ("z", [])]
