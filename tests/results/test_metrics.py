"""Whatever reads results asks the metric: which end is better, how it is written, what is a change."""

import csv
import io
import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from lottery.results import sanity, stats
from lottery.results.choice import choose
from lottery.results.comparison import groups
from lottery.results.facts import Facts
from lottery.results.plotting.drawing import draw
from lottery.results.reports import gather
from lottery.results.tidy import Runs, load
from lottery.storage.files import digest
from lottery.storage.ledger import Ledger
from lottery.storage.records import MANIFEST, signed
from lottery.storage.tables import table
from lottery.terms.metric import Metric

PERPLEXITY = Metric(
    "perplexity", "lower", "number", tolerance=0.01, of="dense", mean="log", error="loss"
)
MAPE = Metric("mape", "lower", "share", tolerance=0.005, error="itself")
BLEU = Metric("bleu", "higher", "points", tolerance=0.5, error="ceiling_minus")
REWARD = Metric("reward", "higher", "number", tolerance=0.05, of="span", error="loss")

# The same story in each unit, of three replicates: level 1 beats dense, 2 matches it, 3 falls.
STORY = {
    PERPLEXITY: ([30.1, 28.2, 30.15, 36.0], [30.4, 28.6, 30.38, 37.0], [29.9, 28.1, 29.96, 35.0]),
    MAPE: ([0.121, 0.101, 0.122, 0.181], [0.125, 0.104, 0.1248, 0.19], [0.119, 0.1, 0.1189, 0.17]),
    BLEU: ([27.1, 29.1, 27.0, 20.1], [27.5, 29.7, 27.52, 21.0], [26.9, 28.8, 26.95, 20.0]),
    REWARD: ([-90.0, -50, -91, -180], [-95.0, -57, -94.5, -190], [-88.0, -49, -88.5, -170]),
}
VERDICTS = [stats.BEATS, stats.MATCHES, stats.FALLS]
CHANCE = {PERPLEXITY: 20000.0, MAPE: 0.19, BLEU: None, REWARD: -200.0}
IDENT = {PERPLEXITY: "ffffffffff", MAPE: "eeeeeeeeee", BLEU: "dddddddddd", REWARD: "cccccccccc"}


def worse(metric, value, by=0.1):
    """Return a value that is worse by a tenth."""
    return value + (by if not metric.higher else -by) * abs(value)


@pytest.fixture
def told(fabricate):
    """Make the runs of a story, with controls and learning curves; return their folders."""

    def call(metric, ident="", story=None, branches=True, **more):
        folders = []
        for k, values in enumerate(story or STORY[metric]):
            record = {"metrics": [metric.data()], "chance": CHANCE.get(metric), **more}
            folder = fabricate(
                f"net_{metric.name}_imp", ident or IDENT[metric], k, values, metric=metric.name,
                record=record, val_loss=[1.0, 0.9, 1.0, 1.4], best_step=[10, 8, 9, 12],
                ticket_steps=[10, 20, 30, 40],
            )  # fmt: skip
            ledger = Ledger(folder)
            ledger.read(pytest.fail)
            if branches:
                ledger.write_files({"branches.csv": controls(metric, values)})
            for level, value in enumerate(values):
                key = digest(f"{metric.name}{ident}{k}{level}".encode())[:32]
                ledger.note(f"level_{level:02d}", key=key, trained_by="")
                shelf = folder.parents[2] / "store" / key
                shelf.mkdir(parents=True)
                text = curve(metric, value)
                (shelf / "curve.csv").write_bytes(text)
                body = {"key": key, "files": {"curve.csv": digest(text)}}
                (shelf / MANIFEST).write_text(json.dumps(signed(body)))
            folders.append(folder)
        return folders

    return call


def controls(metric, values):
    """Return branches.csv: at level 1 controls that are worse than the ticket by a tenth."""
    rows = []
    for number, (name, what) in enumerate(sanity.CONTROLS.items()):
        found = worse(metric, values[1], 0.1 + 0.01 * number + 0.003 * (values[0] % 1))
        about = {"level": 1, "branch": name, "settings": what, "density": 0.8, "compression": 1.25}
        columns = {f"val_{metric.name}": found, f"test_{metric.name}": found}
        rows.append(about | {"kept": 800, "total": 1000} | columns)
    return table(rows)


def curve(metric, value):
    """Return a curve.csv that ends at a value."""
    steps = [{"step": s, "epoch": s / 5, "train_loss": 1 / (s + 1)} for s in (0, 5, 10)]
    ends = (worse(metric, value, 0.5), worse(metric, value), value)
    return table([row | {f"test_{metric.name}": v} for row, v in zip(steps, ends, strict=True)])


@pytest.fixture
def said(lottery, capsys):
    """Return what a command prints."""

    def call(*words, code=0):
        capsys.readouterr()
        assert lottery(*words) == code
        out, err = capsys.readouterr()
        return err if code else out

    return call


EVERY = pytest.mark.parametrize("metric", STORY, ids=lambda m: m.name)


@EVERY
def test_verdicts_are_the_right_way_round_and_plus_is_better(told, said, metric):
    told(metric)
    rows = json.loads(said("compare", "format=json"))["rows"]
    assert [row["verdict"] for row in rows] == ["", *VERDICTS]
    assert {row["metric"] for row in rows} == {f"test_{metric.name}"}
    for level, sign in ((1, 1), (3, -1)):
        assert sign * rows[level]["dense_difference"] > 0
    gains = [metric.gain(v[3], v[0]) for v in STORY[metric]]
    assert rows[3]["dense_difference"] == pytest.approx(sum(gains) / 3)
    assert rows[3]["mean"] == pytest.approx(metric.average([v[3] for v in STORY[metric]]))


def test_a_comparison_is_written_in_the_unit_of_the_metric(told, said):
    told(PERPLEXITY)
    text = said("compare")
    assert "test perplexity at each density" in text
    assert "gain over dense" in text
    assert "change to dense" not in text
    mean = math.exp(sum(math.log(v[0]) for v in STORY[PERPLEXITY]) / 3)
    assert re.search(rf"1 +A +{mean:.2f} \(29\.\d+ to 30\.\d+; n=3\)", text)
    assert "perplexity of the same replicate's dense level minus its own (+ is better)" in text
    assert "tolerance      1 % of dense" in text
    for metric, title, slack in (
        (MAPE, "test mape in % at each density", "0.5 points"),
        (BLEU, "test bleu at each density", "0.5 points"),
        (REWARD, "test reward at each density", "5 % of the way from chance to dense"),
    ):
        told(metric)
        text = said("compare", IDENT[metric])
        assert title in text
        assert f"tolerance      {slack}" in text
        assert ("gain over dense" in text) == (not metric.higher)
    assert "12.17 ± 0.76 (n=3)" in said("compare", IDENT[MAPE])
    assert "27.17 ± 0.76 (n=3)" in said("compare", IDENT[BLEU])


def test_the_tolerance_is_a_share_of_dense_or_of_the_span_from_chance(told):
    (perplexity,) = groups(told(PERPLEXITY))
    dense = PERPLEXITY.average([v[0] for v in STORY[PERPLEXITY]])
    assert perplexity.allowance("test_perplexity") == pytest.approx(0.01 * dense)
    assert perplexity.allowance("test_perplexity", 0.1) == pytest.approx(0.1 * dense)
    (reward,) = groups(told(REWARD))
    assert reward.allowance("test_reward") == pytest.approx(0.05 * (200 - 91))
    assert reward.allowance("test_loss") == 0


def test_a_tolerance_that_is_typed_is_in_the_terms_of_the_metric(told, said):
    told(PERPLEXITY)
    rows = json.loads(said("compare", "format=json", "tolerance=0.3"))
    assert [row["verdict"] for row in rows["rows"][1:]] == [stats.MATCHES] * 3
    assert (rows["tolerance"], rows["tolerance_of"]) == (0.3, "dense")
    assert "tolerance=3 is no share of 1" in said("compare", "tolerance=3", code=2)
    told(BLEU)
    rows = json.loads(said("compare", IDENT[BLEU], "format=json", "tolerance=9"))
    assert [row["verdict"] for row in rows["rows"][1:]] == [stats.MATCHES] * 3
    assert "tolerance=x is no number" in said("compare", IDENT[BLEU], "tolerance=x", code=2)


def test_runs_that_measure_different_things_are_one_line(told, said):
    told(PERPLEXITY)
    told(BLEU)
    for words in (["compare"], ["plot", "figure=accuracy"], ["plot", "figure=cost", "y=change"]):
        line = said(*words, code=2)
        assert "these runs measure different things (bleu: dddddddddd; perplexity: ffff" in line
        assert line.count("\n") == 1
    text = said("compare", "metric=val_loss")
    assert "test loss at" not in text
    assert "note: these runs measure different things (A: bleu; B: perplexity), so their" in text
    (hint,) = re.findall(r"as in (id=\w+),", said("compare", code=2))
    assert "test bleu" in said("compare", hint)
    assert "metric=test_bleu" in said("compare", IDENT[PERPLEXITY], "metric=test_bleu", code=2)


@EVERY
def test_ls_shows_sorts_and_filters_in_the_unit_of_the_metric(told, said, metric):
    told(metric)
    last = [values[3] for values in STORY[metric]]
    best = sorted(last, reverse=metric.higher)
    text = said("ls", "sort=-test", "columns=replicate,test")
    head, *lines = text.splitlines()
    assert head.split() == ["rep", "test", metric.label, *["%"] * metric.percent]
    assert [line.split()[1] for line in lines] == [metric.shown(v) for v in best]
    rows = list(csv.DictReader(io.StringIO(said("ls", f"sort=test_{metric.name}", "format=csv"))))
    assert [float(row[f"test_{metric.name}"]) for row in rows] == best[::-1]
    assert "test_accuracy" not in rows[0]
    middle = sorted(last)[1]
    for key in ("test", f"test_{metric.name}"):
        sign = f"{key}>{middle * metric.scale:.6g}"
        assert len(said("ls", sign, "columns=id").splitlines()) == 2
    assert len(said("ls", f"test={metric.shown(middle)}", "columns=id").splitlines()) == 2
    assert "did you mean 'test'" in said("ls", "tests>1", code=2)


def test_a_list_of_runs_that_measure_different_things_says_what_each_number_is(
    told, fabricate, said
):
    told(PERPLEXITY)
    told(MAPE)
    fabricate(ident="aaaaaaaaaa")
    lines = {line.split()[0]: line for line in said("ls", "columns=id,replicate,test").splitlines()}
    assert lines["id"].split() == ["id", "rep", "test"]
    assert lines["aaaaaaaaaa"].endswith("accuracy 95.00 %")
    assert lines[IDENT[MAPE]].endswith("mape 17.00 %")
    assert lines[IDENT[PERPLEXITY]].endswith("perplexity 35.00")
    (row, *_) = csv.DictReader(io.StringIO(said("ls", "id=aaaaaaaaaa", "format=csv")))
    assert row["test_accuracy"] == "0.95"
    rows = json.loads(said("ls", "format=json"))
    assert {"test_accuracy", "test_mape", "test_perplexity"} <= set(rows[0])
    assert len(said("ls", "test_perplexity>36", "columns=id").splitlines()) == 2
    assert load("outputs").runs["test_mape"].notna().sum() == 3
    assert "mape 17.00" not in Runs(tuple(choose(Path("outputs"), [])))._repr_html_()


@EVERY
def test_show_says_what_is_measured_and_where_chance_is(told, said, metric):
    told(metric)
    text = said("show", f"{IDENT[metric]}/replicate_0")
    values = STORY[metric][0]
    assert f"test {metric.label} {metric.said(values[3])}" in text
    unit = " in %" if metric.percent else ""
    known = "" if CHANCE[metric] is None else f", chance {metric.shown(CHANCE[metric])}"
    assert f"levels: {metric.label}{unit}{known}" in text
    for level, sign in ((1, "+"), (3, "-")):
        line = next(one for one in text.splitlines() if one.startswith(f"    {level} "))
        assert line.split()[-1][0] == sign
    assert "accuracy" not in text
    assert sanity.WEIGHTS in text
    assert "branch shuffle" in text


@EVERY
def test_a_ticket_that_beats_its_controls_has_chosen_weights(told, metric):
    folders = told(metric)
    (row,) = sanity.judge(folders)
    assert row["verdict"] == sanity.WEIGHTS
    assert row["difference"] > 0
    flat = sanity.judge(folders, tolerance=0.9 if metric.percent or metric.of != "unit" else 50)
    assert flat[0]["verdict"] == sanity.DENSITIES


def test_controls_of_a_mean_of_logarithms_are_averaged_so():
    group = pd.DataFrame({"density": 0.5, "ticket": [90.0, 80.0], "shuffle": [10.0, 10.0],
                          "random": [1000.0, 1000.0]})  # fmt: skip
    assert sanity.compared(1, group, PERPLEXITY)[1] == pytest.approx([10, 20])
    assert sanity.compared(1, group, BLEU)[1] == pytest.approx([-415, -425])


def test_of_a_loss_plus_is_better_too(fabricate, said):
    losses = [1.0, 0.8, 1.3]
    for k in range(3):
        fabricate(replicate=k, test_loss=[loss + k / 100 for loss in losses])
    rows = json.loads(said("compare", "metric=test_loss", "format=json"))["rows"]
    assert [row["dense_difference"] for row in rows[1:]] == pytest.approx([0.2, -0.3])
    assert "gain over dense" in said("compare", "metric=test_loss")
    drawn = draw("accuracy", load("outputs"), y="change_test_loss")
    assert drawn.table["change_test_loss"].tolist() == pytest.approx([0, 0.2, -0.3])
    assert "gain over dense" in drawn.figure.axes[0].get_ylabel()


@EVERY
@pytest.mark.slow
def test_figures_are_drawn_in_the_unit_of_the_metric(told, metric):
    runs = Runs(tuple(told(metric)))
    drawn = draw("accuracy", runs)
    (axes,) = drawn.figure.axes
    assert axes.get_ylabel() == f"test {metric.label}" + " (%)" * metric.percent + " ↓" * (metric.better == "lower")
    assert axes.get_yscale() == ("log" if metric.mean == "log" else "linear")
    line = next(one for one in axes.lines if one.get_label() == "imp")
    means = [metric.scale * metric.average([v[at] for v in STORY[metric]]) for at in range(4)]
    assert line.get_ydata() == pytest.approx(means)
    assert drawn.table[f"test_{metric.name}"].tolist() == pytest.approx(
        [value / metric.scale for value in means]
    )
    low, high = axes.get_ylim()
    assert low < min(means) < max(means) < high
    inside = CHANCE[metric] is not None and low < metric.scale * CHANCE[metric] < high
    assert ("chance" in [text.get_text() for text in axes.texts]) == inside
    (axes,) = draw("accuracy", runs, y="change").figure.axes
    assert axes.get_yscale() == "linear"
    line = next(one for one in axes.lines if one.get_label() == "imp")
    assert line.get_ydata()[1] > 0 > line.get_ydata()[3]
    to = "change to" if metric.higher else "gain over"
    assert axes.get_ylabel() == f"{to} dense" + " (points)" * metric.in_points
    for figure, y in (("cost", "test"), ("early_stop", "best_step"), ("curves", "test")):
        assert draw(figure, runs, y=y).figure.axes
    (axes, _) = draw("curves", runs).figure.axes
    assert axes.get_ylabel() == f"test {metric.label}" + " (%)" * metric.percent + " ↓" * (metric.better == "lower")


def test_sensitivity_draws_the_first_metric(fabricate, tmp_path):
    for k in (0, 1):
        config = {"train.optimizer.lr": 0.1 * (k + 1)}
        record = {"metrics": [PERPLEXITY.data()]}
        fabricate(ident=f"{k}" * 10, test=(30.0, 31.0, 33.0 + k), metric="perplexity",
                  record=record, config=config, key=[f"{k}0", f"{k}1", f"{k}2"])  # fmt: skip
    drawn = draw("sensitivity", load(tmp_path / "outputs"), setting="lr")
    assert drawn.figure.axes[0].get_ylabel() == "test perplexity ↓"
    assert drawn.table["test_perplexity"].tolist()[-2:] == pytest.approx([33.0, 34.0])


def test_a_perplexity_that_overflows_is_infinite_and_no_error(told, said):
    """It makes its mean infinite: the mean of the others would flatter a net that diverged."""
    story = [[30.1, 28.2, math.inf, math.inf], [30.4, 28.6, 1e200, math.inf],
             [29.9, 28.1, 30.0, math.inf]]  # fmt: skip
    folders = told(PERPLEXITY, story=story)
    rows = json.loads(said("compare", "format=json"))["rows"]
    assert [row["verdict"] for row in rows[1:]] == [stats.BEATS, stats.UNCLEAR, stats.FALLS]
    text = said("compare")
    assert re.search(r"0\.512 +A +inf \(n=3\)", text)
    assert "inf" in said("ls", "columns=id,test")
    assert len(said("ls", "test>1000", "columns=id").splitlines()) == 4
    assert "inf" in said("show", f"{IDENT[PERPLEXITY]}/replicate_0")
    drawn = draw("accuracy", Runs(tuple(folders)))
    assert any("test_perplexity is infinite at level 2, 3" in note for note in drawn.notes)
    made = gather.gather(folders)
    assert "inf" in str(made.parts)
    huge = [[30.1, 1e160], [30.4, 3e160], [29.9, 2e160]]
    told(PERPLEXITY, "9999999999", huge)
    (row,) = json.loads(said("compare", "9999999999", "format=json"))["rows"][1:]
    assert row["verdict"] == stats.UNCLEAR  # squares of such numbers are none


def test_means_of_logarithms_have_the_interval_of_logarithms():
    mean, low, high = stats.reach([1.0, math.e**2, math.e**4], PERPLEXITY)
    reach = stats.interval([0.0, 2.0, 4.0])[2]
    assert (mean, low, high) == pytest.approx((math.e**2, math.exp(4 - reach), math.exp(reach)))
    assert stats.reach([1.0, 1e300], PERPLEXITY)[2] == math.inf
    assert stats.reach([1.0, 2.0, 3.0]) == stats.interval([1.0, 2.0, 3.0])
    assert math.isnan(stats.reach([-math.inf, math.inf])[0])


@EVERY
def test_a_report_finds_the_right_way_round(told, sketched, metric):
    made = gather.gather(told(metric))
    found = " ".join(made.finding)
    assert "With 64 % of its weights" in found
    assert "the net still matches the dense net (" in found
    assert f"test {metric.label}" in found
    assert "The best ticket keeps 80 % of the weights" in found
    assert "accuracy" not in str([made.finding, made.tiles, made.sections]).lower()
    tables = {t.caption.partition(",")[0]: t for s in made.parts[0].sections for t in s.tables}
    levels = tables["Levels"]
    heads = [(c.title, c.unit) for c in levels.columns]
    unit, apart = "%" * metric.percent, "points" if metric.in_points else ""
    assert (f"Test {metric.label}", unit) in heads
    assert ("Against dense", apart) in heads
    verdicts = [row[[h for h, _ in heads].index("Verdict")].text for row in levels.rows]
    assert verdicts == ["dense", *VERDICTS]
    chance = CHANCE[metric]
    assert (chance is None) != ("Chance is" in levels.note)
    assert ("+ is better" in levels.note) == (not metric.higher)
    assert "Tickets against their controls" in tables
    assert sanity.WEIGHTS in str(tables)
    tiles = {tile.title: tile.value for tile in made.tiles}
    assert tiles["Best ticket"] == metric.said(metric.average([v[1] for v in STORY[metric]]))


def test_a_report_ranks_the_lower_perplexity_first(told, sketched):
    """Two configs whose tickets match nothing: the one with the better ticket leads."""
    story = [[30.0, 33.0], [30.4, 33.1], [29.8, 33.3]]
    folders = told(PERPLEXITY, "1111111111", [[a, b + 2] for a, b in story])
    folders += told(PERPLEXITY, "2222222222", story)
    made = gather.gather(folders)
    assert [part.place.rpartition("/")[2] for part in made.parts] == ["2222222222", "1111111111"]
    assert "Every pruned level is worse than the dense net" in made.parts[0].finding[0]
    tiles = {tile.title: tile.value for tile in made.tiles}
    assert tiles["Best ticket"] == PERPLEXITY.said(PERPLEXITY.average([b for _, b in story]))


def test_a_dense_net_of_higher_perplexity_is_no_measure(told, sketched):
    """A config that only matches a bad dense net of its own does not win."""
    bad = [[60.0, 59.9], [60.4, 60.41], [59.8, 59.8]]
    folders = told(PERPLEXITY, "1111111111", bad) + told(PERPLEXITY, "2222222222")
    made = gather.gather(folders)
    assert made.parts[0].place.endswith("2222222222")
    assert "Gain over imp, 2222222222, replicate by replicate; + is better" in str(made.sections)
    (alone,) = gather.gather(folders[:1]).parts
    assert "Against dense: + is better. Chance is 20000." in str(alone.sections)
    said = " ".join(made.finding)
    assert re.search(r"with more than 0\.30\d* more than the best one", said)


def test_a_report_keeps_metrics_apart(told, said, sketched):
    told(PERPLEXITY)
    told(BLEU)
    made = gather.gather(choose(Path("outputs"), []))
    assert {line.partition(":")[0] for line in made.finding} == {"Perplexity", "Bleu"}
    assert {"Best ticket, bleu", "Best ticket, perplexity"} <= {t.title for t in made.tiles}
    anchors = [s.anchor for s in made.sections]
    assert len(set(anchors)) == len(anchors) >= 4
    assert "report.html" in said("report")


@pytest.mark.parametrize(
    "nonsense",
    [7, [{"name": 3}], [{"name": "x", "tolerance": 10**400}],
     *(pytest.param(more, marks=pytest.mark.slow) for more in (
         "x", [7], [[]], {}, [{}], [{"name": "a b"}], [{"name": "x", "better": 1}], [{"name": "x", "unit": []}],
         [{"name": "x", "tolerance": "much"}], [{"name": "x" * 500}], [None]))],
)  # fmt: skip
def test_nonsense_for_a_metric_breaks_nothing(run, said, nonsense):
    folder = run("levels=1")
    record = json.loads((folder / "run.json").read_text())
    del record["sha256"]
    for chance in (True, "x", 10**400, [1]):
        found = signed(record | {"metrics": nonsense, "chance": chance})
        (folder / "run.json").write_text(json.dumps(found))
        assert Facts(folder).metric.name == "accuracy"
        assert Facts(folder).chance is None
        for words in (["ls"], ["show", folder], ["compare"], ["doctor"]):
            assert said(*words)


def test_a_metric_of_another_name_without_a_number_is_empty(fabricate, said):
    """The record says bleu, the table has accuracies: nothing is invented, nothing breaks."""
    folder = fabricate(record={"metrics": [BLEU.data()]})
    assert "95.00" not in said("ls")
    said("show", str(folder))
    assert "no run has a number of metric=test_bleu" in said("compare", code=2)
    assert "y=test_bleu is no column" in said("plot", "figure=accuracy", code=2)
    said("report")


def test_doctor_has_nothing_against_other_metrics(run, said):
    folder = run("levels=1")
    record = json.loads((folder / "run.json").read_text())
    del record["sha256"]
    found = signed(record | {"metrics": [PERPLEXITY.data()]})
    (folder / "run.json").write_text(json.dumps(found))
    said("doctor")


@pytest.mark.parametrize("metrics", ["x", [BLEU.data() | {"better": "sideways"}]])
def test_a_record_that_cannot_be_read_of_another_metric_is_reported(told, said, sketched, metrics):
    """The record falls back to accuracy, of which the tables have none."""
    told(BLEU)
    for path in Path("outputs").glob("*/*/replicate_*/run.json"):
        record = json.loads(path.read_text())
        del record["sha256"]
        path.write_text(json.dumps(signed(record | {"metrics": metrics})))
    for words in (["ls"], ["report"]):
        assert said(*words)
