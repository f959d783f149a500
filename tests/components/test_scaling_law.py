"""The scaling law against planted constants, and analyses of several runs from the command line."""

import csv
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest

import lottery as product
from lottery.components.analyses.scaling_law import scaling_law
from lottery.config import bind
from lottery.errors import UsageError
from lottery.experiment.across import Reports
from lottery.results import axes, scaling
from lottery.results.scaling import Law, Points
from lottery.terms.analysis import Reported
from lottery.terms.metric import ACCURACY, Metric

PLANTED = Law(gamma=1.2, p=0.9, e_up=0.85, phi=0.6, psi=1.1)
ASKED = {"depth": None, "width": None, "data": None, "held_out": None, "target": None}


def literal(density, depth, width, dense, law):
    """Return the law as the paper writes it, with complex numbers."""
    m = depth**law.phi * width**law.psi * density
    jp = 1j * law.p
    return dense * abs((m - jp * (law.e_up / dense) ** (1 / law.gamma)) / (m - jp)) ** law.gamma


def planted(noise=0.0, law=PLANTED, levels=13):
    """Return points of 3 depths, 4 widths and 2 sizes of the data that obey a law."""
    draw = np.random.default_rng(0)
    rows = []
    for depth, width, data in itertools.product((2, 4, 8), (4, 8, 16, 32), (0.12, 0.06)):
        dense = data * (depth * width) ** -0.1
        for density in 0.6 ** np.arange(1, levels + 1):
            error = literal(density, depth, width, dense, law) * (1 + noise * draw.standard_normal())
            rows.append((density, depth, width, dense, error))
    return Points(*np.array(rows).T)


def test_the_law_is_the_papers_and_has_its_limits():
    density = np.array([1.0, 0.5, 0.1, 0.001])
    same = [np.full(4, x) for x in (4.0, 8.0, 0.05)]
    expected = [literal(d, 4.0, 8.0, 0.05, PLANTED) for d in density]
    assert PLANTED.error(density, *same) == pytest.approx(expected, rel=1e-12)
    ends = PLANTED.error(np.array([1e9, 1e-9]), *(x[:2] for x in same))
    assert ends == pytest.approx([0.05, 0.85], rel=1e-6)
    middle = Law(1.5, 1e-3, 1e4)  # between its ends a power law of slope -gamma
    low, high = middle.error(np.array([0.01, 0.02]), *(np.ones(2),) * 2, np.full(2, 1e-6))
    assert math.log(high / low, 2) == pytest.approx(-1.5, abs=0.02)


@pytest.mark.parametrize(("noise", "levels"), [(0.0, 13), (0.03, 40)])
def test_planted_constants_are_found_again(noise, levels):
    points = planted(noise, levels=levels)
    found = scaling.fit(points, joint=True)
    for name in ("gamma", "p", "e_up", "phi", "psi"):  # p is m of a net of depth and width 1, far off
        within = 0.02 if noise and name == "p" else 0.01
        assert getattr(found, name) == pytest.approx(getattr(PLANTED, name), rel=within), name
    mean, deviation = scaling.spread(found.deviation(points))
    assert abs(mean) < 0.01 and deviation == pytest.approx(noise, abs=0.006)
    clean = planted()
    assert np.abs(found.deviation(clean)).max() < (1e-6 if not noise else 0.02)


def test_planted_constants_of_one_config_are_found_again():
    law = Law(0.7, 0.002, 0.9)
    density = 0.7 ** np.arange(1, 21)
    one, dense = np.ones(20), np.full(20, 0.03)
    error = law.error(density, one, one, dense)
    found = scaling.fit(Points(density, one, one, dense, error))
    assert [found.gamma, found.p, found.e_up] == pytest.approx([0.7, 0.002, 0.9], rel=0.01)
    assert found.phi == found.psi == 0
    assert found.density(0.1, 1, 1, 0.03) == pytest.approx(np.interp(0.1, error, density), rel=0.05)  # errors rise
    assert found.density(0.02, 1, 1, 0.03) is None  # not even the dense net
    assert found.density(0.99, 1, 1, 0.03) == pytest.approx(scaling.SPARSEST)


def test_fewer_points_than_constants_are_refused_and_what_does_not_differ_has_none():
    points = planted(levels=2)
    few = points.pick(np.arange(len(points)) < 4)
    assert scaling.constants(few, joint=True) == ["gamma", "p", "e_up", "psi"][: 3 + (few.width[0] != few.width[3])]
    with pytest.raises(ValueError, match="2 points are fewer than the 3 constants"):
        scaling.fit(points.pick(np.arange(len(points)) < 2), joint=True)


def test_the_interval_holds_as_many_as_it_says():
    draw = np.random.default_rng(1).normal(0.01, 0.05, 20_000)
    low, high = scaling.interval(1 + draw, 0.01, 0.05)  # of an error of 1
    assert np.mean((low <= 1) & (high >= 1)) == pytest.approx(0.95, abs=0.01)
    assert scaling.interval(np.ones(1), 0.0, 0.7)[1].tolist() == [math.inf]


def level(depth, width, data, index, density, error, dense, replicate=0, **more):
    settings = {"model.depth": depth, "model.width": width, "dataset.subsample": data, **more}
    config = f"{depth}_{width}_{data}"
    total = 100 * depth * width
    return Reported(
        f"runs/{config}/replicate_{replicate}", config, replicate, index, density, round(density * total),
        total, {"val": error, "test": error}, {"val": dense, "test": dense}, settings, f"{config}{index}",
    )  # fmt: skip


def reports(replicates=1, levels=8, metric=ACCURACY):
    made = []
    for depth, width, data in itertools.product((2, 4), (4, 8, 16), (100, 0)):
        dense = (0.1 if data else 0.05) * (depth * width) ** -0.1
        for replicate, index in itertools.product(range(replicates), range(levels + 1)):
            density = 0.5**index
            error = literal(density, depth, width, dense, PLANTED) if index else dense
            wide = 1 + 0.02 * (-1) ** replicate * (replicates > 1)
            made.append(level(depth, width, data, index, density, error * wide, dense * wide, replicate))
    return Reports(metric, made)


def test_runs_give_points_held_out_levels_and_nets_for_a_target():
    found = scaling_law(reports(), **{**ASKED, "held_out": "width=16", "target": 0.2})
    joint, held, each, *_ = found[""]
    assert joint["fit"] == "joint" and joint["points"] == 64 and held["points"] == 32
    assert abs(held["mean_percent"]) < 0.1 and held["deviation_percent"] < 0.1
    assert [joint[c] for c in ("gamma", "p", "e_up", "phi", "psi")] == pytest.approx([1.2, 0.9, 0.85, 0.6, 1.1], rel=0.01)
    points = pd.DataFrame(found["points"])
    assert len(points) == 96 and set(points["data"]) == {"100", "all"}
    assert set(points.loc[points["held_out"] == "yes", "width"]) == {16}
    assert points["test_predicted"].tolist() == pytest.approx(points["test_error"].tolist(), rel=1e-3)
    nets = pd.DataFrame(found["nets"])
    assert nets["kept"].is_monotonic_increasing and len(nets) == 12
    for row in found["nets"]:
        dense = (0.1 if row["data"] == "100" else 0.05) * (row["depth"] * row["width"]) ** -0.1
        assert literal(row["density"], row["depth"], row["width"], dense, PLANTED) == pytest.approx(0.2, rel=0.01)
        assert row["kept"] == math.ceil(row["density"] * 100 * row["depth"] * row["width"])
        assert row["range"] == ("measured" if row["density"] >= 0.5**8 else "extrapolated")


@pytest.mark.slow
def test_replicates_are_means_and_their_noise_is_told():
    found = scaling_law(reports(replicates=2), **ASKED)
    assert found[""][0]["points"] == 96
    noise = found[""][-1]
    assert noise["fit"] == "one replicate to another" and noise["points"] == 96
    assert noise["deviation_percent"] == pytest.approx(100 * 0.02 * math.sqrt(2))


@pytest.mark.slow
def test_levels_without_an_error_are_named_and_left_out():
    many = reports()
    many.levels[3] = level(2, 4, 100, 3, 0.125, 0.0, 0.08)
    many.levels[4] = level(2, 4, 100, 4, 0.0625, math.nan, 0.08)
    found = scaling_law(many, **ASKED)
    assert found[""][0]["points"] == 94
    (line,) = many.notes
    assert "runs/2_4_100/replicate_0 level 3, runs/2_4_100/replicate_0 level 4" in line


def few():
    """Return the levels of three configs."""
    return Reports(ACCURACY, reports().levels[:27])


def test_nets_are_chosen_by_validation_errors_though_one_of_them_is_0():
    many = few()
    many.levels[3].error["val"] = 0.0
    found = scaling_law(many, **{**ASKED, "target": 0.2})
    assert found["nets"][0]["val_error"] == 0.2 and found[""][0]["split"] == "test" and found[""][0]["points"] == 23
    assert "runs/2_4_100/replicate_0 level 3" in many.notes[0]


def test_a_choice_by_test_errors_is_said():
    many = few()
    for each in many:
        each.error["val"] = each.dense["val"] = math.nan
    found = scaling_law(many, **{**ASKED, "target": 0.2})
    assert found["nets"][0]["test_error"] == 0.2
    assert many.notes == ["there are no validation errors, so that nets are chosen by test errors"]


@pytest.mark.slow
def test_no_net_for_a_target_is_said_and_other_settings_are_named():
    many = reports()
    many.levels[-1] = level(4, 16, 0, 8, 0.5**8, 0.4, 0.04, **{"train.lr": 1})
    found = scaling_law(many, **{**ASKED, "target": 0.001})
    assert not found["nets"]
    assert "no net reaches a val error of 0.10 %" in " ".join(many.notes)
    many.levels = [level(2, w, 0, i, 0.5**i, 0.1 * 2**i, 0.1, **{"train.lr": w}) for w in (1, 2) for i in range(4)]
    many.notes.clear()
    scaling_law(many, **ASKED)
    assert many.notes == ["the runs also differ in train.lr, which the law does not know"]


def test_a_metric_without_a_ceiling_is_fitted_by_its_loss():
    perplexity = Metric("perplexity", better="lower", error="loss")
    found = scaling_law(reports(metric=perplexity), **ASKED)
    assert found[""][0]["e_up"] == pytest.approx(0.85, rel=0.01)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"held_out": "width=7"}, "holds no level out"),
        ({"held_out": "width"}, "is no comparison"),
        ({"held_out": "model.with=7"}, "no run has a setting"),
        ({"held_out": "width<b"}, "are not both numbers"),
        ({"held_out": "density<1"}, "0 points are fewer than the 3 constants"),
        ({"depth": "model.deep"}, "not all runs have it"),
        ({"target": -1.0}, "is no error"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(asked, said):
    with pytest.raises(UsageError, match=said) as caught:
        scaling_law(reports(), **ASKED | asked)
    assert "\n" not in str(caught.value)


def test_conditions_know_lists_axes_and_densities():
    settings = {"model.hidden": [96, 96], "model.name": "lenet"}
    here = Reported("r", "c", 0, 2, 0.25, 1, 4, {}, {}, settings, "k")
    used = {"width": "model.hidden", "depth": "model.hidden", "data": ""}
    for text, fits in (("width=96", True), ("depth=2", True), ("width<96", False), ("model.hidden=[96, 96]", True),
                       ("model.name=lenet,vgg", True), ("density<=0.25", True), ("level=1,2", True), (None, False)):  # fmt: skip
        assert axes.condition(text, [settings], used, "x")(here) is fits, text
    assert axes.key_of("depth", None, [settings], "x") == "model.hidden"
    assert axes.number(0, "data") == math.inf and axes.number(True, "width") is None


@pytest.fixture
def several(lottery, tiny, tmp_path):
    """Run nets of three widths; return their folders."""
    words = [w for w in tiny if not w.startswith(("model.hidden", "levels"))]
    sweep = ["model.hidden=[4],[8],[12]", "levels=3", "schedule.keep=0.4", "name=law"]
    assert lottery("run", "-m", *words, *sweep) == 0
    return sorted(tmp_path.glob("outputs/law/*/replicate_0"))


ASK = ("analyze", "law", "analysis=[scaling_law]", "scaling_law.target=0.7")


@pytest.mark.slow
def test_it_is_asked_once_shown_loaded_drawn_and_made_again(lottery, several, tmp_path, capsys):
    before = {path: path.read_bytes() for folder in several for path in folder.glob("*.*")}
    assert lottery(*ASK) == 0
    said = capsys.readouterr().out
    assert "analysis scaling_law" in said and "of 3 runs" in said and "joint" in said
    assert before == {path: path.read_bytes() for folder in several for path in folder.glob("*.*")}
    (record,) = tmp_path.glob("outputs/law/analyses/scaling_law-*.json")
    files = sorted(record.parent.glob("*.csv"))
    times = [path.stat().st_mtime_ns for path in files]
    assert lottery(*ASK) == 0 and capsys.readouterr().out == said
    assert times == [path.stat().st_mtime_ns for path in files]
    runs = product.load(tmp_path / "outputs", "law")
    assert {"scaling_law", "scaling_law_points"} <= set(runs.analyses)
    assert len(runs.analysis("scaling_law_points")) == 9
    assert not len(product.load(tmp_path / "outputs", several[0].parent.name).analysis("scaling_law"))
    assert lottery("plot", "figure=scaling_law", "law", "to=law.png", "curves=2") == 0
    assert lottery("plot", "figure=analysis", "law", "of=scaling_law") == 2
    assert lottery("report", "law", "to=law.html") == 0
    page = (tmp_path / "law.html").read_text()
    assert "Analyses of several runs" in page and "gamma" in page
    points = next(path for path in files if "points" in path.name)
    whole = points.read_bytes()
    points.write_bytes(whole[:40])
    with pytest.warns(UserWarning, match="is damaged"):
        assert not len(product.load(tmp_path / "outputs", "law").analysis("scaling_law"))
    assert lottery(*ASK) == 0 and points.read_bytes() == whole
    capsys.readouterr()


@pytest.mark.slow
def test_a_pack_holds_it_and_doctor_sees_what_is_damaged(lottery, several, tmp_path, capsys):
    assert lottery("analyze", *several, "analysis=scaling_law") == 0
    assert lottery("pack", "to=theirs") == 0
    (record,) = (tmp_path / "outputs/law/analyses").glob("*.json")
    for path in record.parent.iterdir():
        assert (tmp_path / "theirs/law/analyses" / path.name).read_bytes() == path.read_bytes()
    assert lottery("doctor") == 0 == lottery("doctor", "outputs=theirs")
    with (table := next(record.parent.glob("scaling_law_points-*.csv"))).open("a") as file:
        file.write("1\n")
    capsys.readouterr()
    assert lottery("doctor") == 4
    said = capsys.readouterr().out
    assert f"{table.name}  its checksum is wrong" in said and f"type: rm -r outputs/law/analyses/{record.name}" in said
    record.unlink()
    assert lottery("doctor") == 0 == lottery("analyze", *several, "analysis=scaling_law")
    assert record.is_file() and lottery("doctor") == 0


def test_a_run_refuses_it_and_says_what_to_type(lottery, tiny, capsys):
    assert lottery("run", *tiny, "name=law", "analysis=[scaling_law]") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "lottery analyze law analysis=scaling_law" in line


@pytest.mark.slow
def test_an_own_analysis_of_several_runs_lies_beside_their_names(lottery, several, tmp_path, monkeypatch, capsys):
    def spread(levels, *, power: float):
        """Return the largest error of each level."""
        levels.note("as asked")
        at = {}
        for each in levels:
            at.setdefault(each.level, []).append(each.error["test"] ** power)
        return {"": [{"level": n, "test_worst": max(errors), "runs": len(errors)} for n, errors in at.items()]}

    find = bind.find
    monkeypatch.setattr(bind, "find", lambda kind, name, where: spread if name == "spread" else find(kind, name, where))
    monkeypatch.setattr("lottery.config.build.option", lambda group, name: {"name": "spread", "power": 1.0})
    monkeypatch.setattr("lottery.commands.sets", lambda word, kind: word.startswith("spread."))
    other = tmp_path / "outputs" / "other"
    assert lottery("run", "dataset=digits", "levels=0", "train.length=2it", "model=lenet_300_100",
                   "model.hidden=[4]", "host.threads=1", "host.progress=none", "name=other") == 0  # fmt: skip
    assert other.is_dir()
    assert lottery("analyze", "law", "other", "analysis=spread", "levels=0") == 0
    said = capsys.readouterr().out
    assert "of 4 runs" in said and "note: as asked" in said
    (table,) = tmp_path.glob("outputs/analyses/spread-*.csv")
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert row["runs"] == "4" and 0 < float(row["test_worst"]) <= 1
    (record,) = tmp_path.glob("outputs/analyses/spread-*.json")
    assert json.loads(record.read_text())["notes"] == ["as asked"]
    assert lottery("ls") == 0 and "analyses" not in capsys.readouterr().out.split()
