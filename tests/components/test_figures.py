"""Every figure: its numbers against the tables by hand, what it draws, and how it is written."""

import csv
import math
import re
import struct
import subprocess
import sys
import zlib
from statistics import fmean, stdev
from xml.etree import ElementTree

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from lottery import cli
from lottery.components.figures import layers, overlap
from lottery.config import bind, packages
from lottery.errors import UsageError
from lottery.experiment.tables import shared
from lottery.results import labels as naming
from lottery.results.plotting import charts, drawing, fonts, material, strokes, trends
from lottery.results.plotting.drawing import draw, figures
from lottery.results.tidy import Runs, load
from lottery.storage.store import Shelf
from lottery.terms.kept import mask_of, ticket_on
from lottery.terms.metric import ACCURACY, Metric
from lottery.terms.overlap import overlap as of_layers

TINY = [
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]",
    "dataset.std=[0.25]", "train.batch_size=12", "train.length=2ep", "host.threads=1",
    "host.progress=none", "schedule.keep=0.5",
]  # fmt: skip
LENET = ["model=lenet_300_100", "model.hidden=[4]"]
T = {2: 12.706205, 3: 4.302653}  # 97.5 % of Student's t, by the number of values
# For a setting that differs, an analysis, a rule:
ASKING = ("sensitivity", "analysis", "collapse", "layer_scan", "scaling_law", "mask_distance")
SOME = [
    n if n in ("accuracy", "layers") else pytest.param(n, marks=pytest.mark.slow)
    for n in figures()
    if n not in ASKING
]
ANY = [name for name in figures() if name not in ASKING]
ONE_EXPERIMENT = {"curves", "layers", "weights", "filters"}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Return outputs of imp (three replicates, a control), random (two) and a convnet (one)."""
    folder = tmp_path_factory.mktemp("figures") / "outputs"

    def run(*words):
        assert cli.main(["-v", "run", *TINY, f"outputs={folder}", *words]) == 0

    run("-m", *LENET, "prune=imp", "replicate=0,1,2", "levels=3", "branch=[reinit]")
    run("-m", *LENET, "prune=random", "replicate=0,1", "levels=2")
    run(
        "model=lenet5",
        "model.padding=2",
        "model.channels=[3,4]",
        "model.hidden=5",
        "train.length=1ep",
        "levels=1",
        "dataset.size=8",
        "name=convnet",
    )
    return folder


@pytest.fixture(scope="module")
def imp(outputs):
    return load(outputs, "method=imp", "model=lenet_300_100")


@pytest.fixture(scope="module")
def both(outputs):
    return load(outputs, "model=lenet_300_100")


def rows_of(runs, name="metrics.csv"):
    """Return the rows of a table of each run, read without any of ours."""
    return [
        {"replicate": int(f.name[10:]), "method": f.parent.parent.name.split("_")[-1], **row}
        for f in runs.folders
        for row in csv.DictReader((f / name).read_text().splitlines())
    ]


def by_hand(values):
    """Return the mean of two or three values and the ends of its 95 % interval."""
    reach = T[len(values)] * stdev(values) / math.sqrt(len(values))
    return pytest.approx((fmean(values), fmean(values) - reach, fmean(values) + reach), rel=1e-5)


def ends(row, column):
    return row[column], row[f"{column}_low"], row[f"{column}_high"]


@pytest.mark.parametrize("name", ANY)
def test_it_draws_one_run_and_several_replicates(name, outputs, imp):
    one = Runs(imp.folders[:1])
    for runs in (one, imp):
        drawn = draw(name, runs)
        assert len(drawn.table)
        assert drawn.figure.get_figwidth() == pytest.approx(3.3)
        assert drawn.figure.get_figheight() < 9.5
        with drawing.styled(3.3):  # all that has ink, in inches
            left, bottom, right, top = drawn.figure.get_tightbbox().extents
        assert min(left, bottom) >= 0
        assert right <= drawn.figure.get_figwidth()
        assert top <= drawn.figure.get_figheight()
    if name != "overlap":  # one mask only
        assert len(draw(name, load(outputs, "convnet")).table)


@pytest.mark.parametrize("name", ANY)
def test_several_experiments_are_drawn_or_one_line_says_how_to_have_one(name, both):
    if name not in ONE_EXPERIMENT:
        assert len(draw(name, both).table)
        return
    with pytest.raises(UsageError, match="shows one experiment, and there are 2") as error:
        draw(name, both)
    word = str(error.value).rpartition(" ")[2]
    key, _, value = word.partition("=")
    few = both.runs[both.runs[key].astype(str) == value]
    assert few["id"].nunique() == 1


@pytest.mark.parametrize("name", SOME)
def test_the_files_are_what_they_are_called_and_the_same_each_time(name, imp, tmp_path):
    drawn = draw(name, imp)
    written = {
        p.suffix: p for s in (".png", ".svg", ".pdf") for p in drawn.save(tmp_path / f"a{s}")
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.pdf", "a.png", "a.svg"]
    png = written[".png"].read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", png[16:20])[0] == 990  # 3.3 in at 300 dpi
    pdf = written[".pdf"].read_bytes()
    assert pdf[:5] == b"%PDF-"
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf  # whole TrueType letters
    text = ElementTree.parse(written[".svg"]).getroot()
    assert text.tag == "{http://www.w3.org/2000/svg}svg"
    assert list(text.iter("{http://www.w3.org/2000/svg}text"))  # letters, not their outlines
    table = pd.read_csv(written[".csv"], dtype=str, keep_default_na=False)
    assert list(table) == list(drawn.table)
    assert len(table) == len(drawn.table)
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "svg.fonttype": "path"}):
        again = draw(name, imp)  # whatever the user's own style
        assert again.render("svg") == written[".svg"].read_bytes()
        assert again.render("pdf") == pdf


@pytest.mark.parametrize("name", ANY)
def test_inside_a_page_it_takes_the_ink_of_the_page_and_has_ids_of_its_own(name, imp):
    one = draw(name, imp).svg("a")
    assert one.startswith("<svg")
    assert charts.INK not in one
    assert "currentColor" in one
    ids = re.findall(r'\bid="([^"]+)"', one)
    assert ids
    assert all(each.startswith("a-") for each in ids)
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', one)) <= set(ids)
    assert not re.findall(r'(?:href|src)="(?!#|data:)([^"]*)"', one)  # nothing is fetched
    ElementTree.fromstring(one)


def test_accuracy_is_mean_and_interval_over_the_replicates_of_a_level(both):
    drawn = draw("accuracy", both, {"branch": ["all"]})
    rows = [r | {"branch": ""} for r in rows_of(both)]
    rows += rows_of(Runs(both.folders[:3]), "branches.csv")
    for found in drawn.table.to_dict("records"):
        own = [
            r for r in rows
            if r["method"] == found["series"] and int(r["level"]) == found["level"]
            and r["branch"] == found["branch"]
        ]  # fmt: skip
        assert found["replicates"] == len(own) == (3 if found["series"] == "imp" else 2)
        values = [float(r["test_accuracy"]) for r in own]
        assert ends(found, "test_accuracy") == by_hand(values)
        assert found["density"] == float(own[0]["density"])
    assert len(drawn.table) == 4 + 3 + 3
    assert set(drawn.table["line"]) == {"imp", "random", "imp: reinit"}


def test_what_is_drawn_is_what_is_in_the_table(imp):
    drawn = draw("accuracy", imp)
    (axes,) = drawn.figure.axes
    line = next(each for each in axes.lines if each.get_label() == "imp")
    assert line.get_xdata() == pytest.approx(100 * drawn.table["density"].to_numpy())
    assert line.get_ydata() == pytest.approx(100 * drawn.table["test_accuracy"].to_numpy())
    assert axes.get_xlim()[0] > 100 > 12.5 > axes.get_xlim()[1]  # dense left, sparse right
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[0] == "12.5"
    assert labels[-1] == "100"
    assert [text.get_text() for text in axes.texts] == ["imp", "dense", "chance"]
    assert drawn.figure.legends == []


def test_a_dense_net_that_two_methods_share_counts_once(both, outputs):
    rows = both.levels.assign(branch="", line=both.levels["method"])
    ((names, keys),) = trends.dense_nets(rows)
    assert names == {"imp", "random"}
    assert len(keys) == 3
    axes = draw("accuracy", both).figure.axes[0]
    across = [
        line
        for line in axes.lines
        if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2
    ]
    values = [
        100 * float(r["test_accuracy"])
        for r in rows_of(both)
        if r["level"] == "0" and r["method"] == "imp"
    ]
    (chance,) = both.chances
    assert [line.get_ydata()[0] for line in across] == pytest.approx([fmean(values), 100 * chance])
    everything = load(outputs).levels
    assert (
        len(
            trends.dense_nets(
                everything.assign(branch="", line=everything["model"] + everything["method"])
            )
        )
        == 2
    )


def same_colour(bars, line):
    """Say whether a collection of a figure is the bars of a line."""
    own = matplotlib.colors.to_rgba(line.get_color())
    return isinstance(bars, LineCollection) and tuple(bars.get_color()[0]) == own


def test_markers_and_bars_stand_beside_those_of_other_lines_together(both):
    drawn = draw("accuracy", both, {"branch": ["reinit"]})
    (axes,) = drawn.figure.axes
    counts = {"imp": 3, "random": 2, "imp: reinit": 3}  # they differ, so the legend says them
    for name, own in drawn.table.groupby("line"):
        (line,) = (each for each in axes.lines if each.get_label() == f"{name} (n={counts[name]})")
        at = np.log(line.get_xdata() / (100 * own["density"].to_numpy()))
        assert at == pytest.approx([at[0]] * len(own))  # moved as a whole
        assert abs(at[0]) < 0.3 * math.log(2)
        bars = [b for c in axes.collections if same_colour(c, line) for b in c.get_segments()]
        shown = own[own["density"] < 1]  # the band of the dense nets has the interval of level 0
        assert [bar[0, 0] for bar in bars] == pytest.approx(list(line.get_xdata()[-len(shown) :]))
        assert [bar[0, 0] for bar in bars] == [bar[1, 0] for bar in bars]
        half = 50 * (shown["test_accuracy_high"] - shown["test_accuracy_low"])
        assert len(bars) == len(half)
    assert drawn.notes[-1].startswith("bars of one density stand side by side")
    low, high = axes.get_ylim()
    shown = drawn.table[drawn.table["density"] < 1]
    assert low <= 100 * max(0, shown["test_accuracy_low"].min())
    assert high >= 100 * min(1, shown["test_accuracy_high"].max())


def test_without_a_validation_split_the_reason_is_said():
    table = pd.DataFrame({"best_step": [math.nan], "val_loss": [math.nan]})
    with pytest.raises(UsageError, match="since they have no validation split"):
        trends.need(table, "best_step", "early_stop", "y")


def test_units_leave_other_counts_and_are_the_same_level():
    """The density of a level differs by replicate; a level that repeats a word has its number."""
    table = pd.DataFrame(
        {"level": [1, 1, 2, 2, 3], "density": [0.749, 0.779, 0.5, 0.5, 0.5], "series": "a"}
    )
    assert list(overlap.level_words(table)) == [
        "76.4",
        "76.4",
        *["50 (level 2)"] * 2,
        "50 (level 3)",
    ]


def test_more_levels_than_have_room_are_thinned_out():
    class Runs:
        said = []
        note = said.append

    table = pd.DataFrame({"level": list(range(1, 25)), "density": 0.5})
    shown = overlap.thinned(table, Runs)
    assert len(shown) == overlap.MOST
    assert [shown["level"].min(), shown["level"].max()] == [1, 24]
    assert Runs.said == ["12 of 24 pruned levels are shown"]


def test_a_single_density_is_drawn_bright_and_without_a_warning(outputs):
    dense = load(outputs, "model=lenet_300_100", "prune=imp")
    assert layers.scale("density", np.array([[100.0, 100.0]]))(100.0) == 1
    draw("curves", dense, {"level": [0]}).render("svg")


def test_other_columns_and_the_compression(imp):
    drawn = draw("accuracy", imp, {"x": "compression", "y": "val_loss", "ylim": [0, 9]})
    (axes,) = drawn.figure.axes
    assert axes.get_ylabel() == "validation loss"
    assert axes.get_ylim() == (0, 9)
    low, high = axes.get_xlim()
    assert low < 1 < 8 < high
    assert drawn.table["compression"].iloc[0] == 1
    steps = draw("early_stop", imp).table
    own = [float(r["best_step"]) for r in rows_of(imp) if r["level"] == "2"]
    assert steps.loc[steps["level"] == 2, "best_step"].item() == pytest.approx(fmean(own))


def changed(runs, **tables):
    """Return runs whose tables are others."""
    made = Runs(runs.folders)
    made.__dict__.update(tables)
    return made


def test_the_dense_line_is_level_0_and_no_later_level_that_keeps_everything(imp):
    levels = imp.levels[imp.levels["replicate"] == 0].copy()
    levels.loc[levels["level"] == 1, "density"] = 1.0
    levels["test_accuracy"] = [0.5, 0.9, 0.6, 0.6]
    (axes,) = draw("accuracy", changed(imp, levels=levels)).figure.axes
    (across,) = [
        line for line in axes.lines if line.get_linewidth() == 0.8 and len(line.get_xdata())
    ]
    assert set(across.get_ydata()) == {50}
    assert not axes.patches  # one replicate: two levels are no interval


def test_intervals_end_where_values_do(imp):
    """Early stops at 0, 8 and 8 of 8 steps: the interval of their mean reaches beyond both ends."""
    levels = imp.levels.assign(
        best_step=lambda t: np.where((t["replicate"] == 0) & (t["level"] == 1), 0, 8)
    )
    assert set(levels["step"]) == set(levels["steps"]) == {8}
    drawn = draw("early_stop", changed(imp, levels=levels))
    own = drawn.table[drawn.table["level"] == 1].iloc[0]
    assert own["best_step_low"] < 0
    assert own["best_step_high"] > 8
    (band,) = [c for c in drawn.figure.axes[0].collections if c.get_paths()]
    shown = band.get_paths()[0].vertices[:, 1]
    assert (shown.min(), shown.max()) == (0, 8)
    assert drawn.figure.axes[0].get_ylabel() == "early-stop step of the level"


def test_an_early_stop_is_counted_from_where_the_level_begins(imp):
    """Fine-tuning goes on at step 8 of the schedule for 4 steps."""
    pruned = imp.levels["level"] > 0
    levels = imp.levels.assign(best_step=np.where(pruned, 11, 6), step=np.where(pruned, 12, 8),
                               steps=np.where(pruned, 4, 8))  # fmt: skip
    drawn = draw("early_stop", changed(imp, levels=levels))
    assert list(drawn.table["best_step"]) == [6, 3, 3, 3]
    assert drawn.notes == ["imp: levels begin at step 8 of the schedule; steps count from there"]
    said = draw("curves", changed(imp, levels=levels)).notes
    assert "imp: levels begin at step 8 of the schedule; steps are those of the schedule" in said


def test_a_line_says_its_replicates_where_they_differ(imp):
    one = imp.levels.assign(name="lone", id="lone", series="lone")
    table = pd.concat([imp.levels, one[one["replicate"] == 0]])
    means = trends.summary(
        table.assign(line=table["id"], branch=""),
        [*trends.WHO[:1], "id", "level"],
        ["test_accuracy"],
    )
    (first,) = set(imp.levels["id"])
    assert strokes.counted(means) == {first: f"{first} (n=3)", "lone": "lone (n=1)"}
    assert strokes.counted(means[means["line"] == first]) == {first: first}
    said = []
    noting = type("Noting", (), {"note": said.append})
    strokes.say(noting, means, "test_accuracy", moved=False)
    assert said == ["lone: 1 replicate, so it has no interval"]


def test_bars_are_explained_where_there_are_some():
    said = []
    noting = type("Noting", (), {"note": said.append})
    table = pd.DataFrame(
        {"line": ["a", "b"], "replicates": 3, "y_low": [1.0, 1.0], "y_high": [2.0, 1.0]}
    )
    strokes.say(noting, table, "y", moved=True)
    assert said == []
    strokes.say(noting, table.assign(y_high=2.0), "y", moved=True)
    assert said == ["bars of one density stand side by side, so that none hides another"]


def test_no_stroke_leads_over_levels_at_which_a_control_was_not_trained():
    rows = [("t", "", k) for k in range(4)] + [("c", "reinit", 1), ("c", "reinit", 3)]
    means = pd.DataFrame(rows, columns=["line", "branch", "level"]).assign(name="n", id="i")
    assert strokes.joined(means) == [True] * 5 + [False]
    means["joined"] = strokes.joined(means)
    figure = Figure()
    axes = figure.subplots()
    own = means[means["line"] == "c"].assign(y=5.0, y_low=4.0, y_high=6.0)
    strokes.draw_line(axes, own, "level", "y", charts.looks("c")["c"], "c", 0.0)
    assert np.isnan(axes.lines[0].get_xdata()[1])
    assert [axes.lines[0].get_xdata()[k] for k in (0, 2)] == [1, 3]


def test_curves_are_a_line_a_level_also_where_two_keep_as_much(imp):
    levels = imp.levels.assign(density=imp.levels["density"].replace(0.25, 0.5))
    drawn = draw("curves", changed(imp, levels=levels))
    lines = drawn.figure.axes[0].lines
    assert len(lines) == 4
    assert all((np.diff(line.get_xdata()) > 0).all() for line in lines)
    assert drawn.notes[-1] == "levels 1, 2 keep as much as each other, so their colour is one"


def test_curves_and_layers_leave_out_levels_that_only_some_replicates_have(imp):
    def short(table):
        return table[(table["replicate"] < 2) | (table["level"] < 2)]

    runs = changed(imp, curves=short(imp.curves), layers=short(imp.layers))
    note = "imp: left out levels 2, 3, not in all replicates (every=false draws them too)"
    for name in ("curves", "layers"):
        drawn = draw(name, runs)
        assert set(drawn.table["level"]) == {0, 1}
        assert set(drawn.table["replicates"]) == {3}
        assert note in drawn.notes
    none = changed(imp, **{t: getattr(imp, t)[lambda rows: rows["level"] == rows["replicate"]]
                           for t in ("curves", "layers", "levels")})  # fmt: skip
    for name in ("curves", "layers", "accuracy"):
        with pytest.raises(UsageError, match="no level is in all replicates .*every=false"):
            draw(name, none)
    everything = draw("layers", runs, {"every": False})
    assert set(everything.table["level"]) == {0, 1, 2, 3}
    assert everything.notes == []


@pytest.mark.parametrize(
    ("y", "high", "line"),
    [("test_accuracy", 1.0, "ylim=[0,100]"), ("train_loss", 2.5, "ylim=[0,2.62]")],
)
def test_a_cut_axis_says_what_to_type_to_see_all(y, high, line):
    from lottery.components.figures.curves import settled

    said = []
    noting = type("Noting", (), {"note": said.append, "metrics": (ACCURACY,)})
    means = pd.DataFrame({"step": [0, 50, 100], y: [high, 0.1, 0.2]})
    assert len(settled(noting, means, y)) == 2
    assert line in said[0]


def test_an_interval_that_is_cut_hides_no_mean():
    """Both lines are seen, though the interval of one is twenty times as wide as the other's."""
    import matplotlib.pyplot as plt

    from lottery.results.plotting.cuts import cut

    noting = type("Noting", (), {"note": print, "metrics": (Metric("perplexity", "lower", mean="log"),)})
    rows = [("a", 7.34, 5.98, 8.99), ("a", 7.44, 6.75, 8.19), ("b", 7.46, 7.45, 7.47), ("b", 7.52, 7.45, 7.60)]
    drawn = pd.DataFrame(rows, columns=["line", "test_perplexity", "test_perplexity_low", "test_perplexity_high"])
    axes = plt.figure().subplots()
    cut(axes, drawn, "test_perplexity", [7.46], noting)
    low, high = axes.get_ylim()
    assert 7.2 < low < 7.34 and 7.60 < high < 7.8


def test_overlaps_have_three_digits_and_their_interval_where_there_is_room(both, imp):
    drawn = draw("overlap", both)
    (row,) = drawn.table.to_dict("records")
    said = [text.get_text() for text in drawn.figure.axes[0].texts]
    half = 50 * (row["overlap_high"] - row["overlap_low"])
    assert charts.short(100 * row["by_chance"]) in said
    assert f"{charts.short(100 * row['overlap'])}\n± {half:.2g}" in said
    assert "overlap (%) below" in drawn.figure._suptitle.get_text()


def test_letters_that_no_font_has_are_known_and_nothing_raw_is_said(imp, monkeypatch):
    labels = dict.fromkeys(zip(imp.levels["name"], imp.levels["id"], strict=True), "日本")
    monkeypatch.setattr(material, "labels", lambda folders: labels)
    monkeypatch.setattr(fonts, "having", lambda letters: [])
    drawn = draw("accuracy", imp, {"branch": ["reinit"]})  # a warning would be an error here
    assert drawn.lacking == "日本"
    assert drawn.render("png")
    assert draw("layers", imp).lacking == ""


def test_a_run_that_is_left_out_is_said_each_time_that_it_is_drawn(
    fabricate, tmp_path, monkeypatch
):
    """Letters that our font lacks take a second drawing, of tables that were read before."""
    fabricate(choices={"prune": "日"})  # without keys, as in tables from elsewhere
    damaged = fabricate(ident="bbbbbbbbbb")
    (damaged / "metrics.csv").write_text("level\n9\n")
    runs = load(tmp_path / "outputs")
    monkeypatch.setattr(fonts, "having", lambda letters: ["DejaVu Serif"])  # it draws again
    for _ in range(2):
        assert f"{damaged} is left out: " in "".join(draw("accuracy", runs).notes)


def test_a_font_of_this_machine_that_has_the_letters_is_found():
    assert fonts.having("a") != []  # matplotlib brings some
    assert fonts.having("\U0010ffff") == []  # no letter
    assert len(fonts.having("日a")) <= 2


def test_as_few_fonts_are_taken_as_have_the_letters(monkeypatch):
    held = {"Latin": "ab", "Kanji": "日本", "Wide": "a日", "Other": "b"}
    monkeypatch.setattr(
        fonts, "families",
        lambda wanted: [(n, wanted & set(map(ord, has))) for n, has in held.items()],
    )  # fmt: skip
    assert fonts.having("日") == ["Kanji"]
    assert fonts.having("日本a") == ["Kanji", "Latin"]
    assert fonts.having("a日") == ["Wide"]
    assert fonts.having("x") == []
    assert fonts.having("xb") == ["Latin"]


def test_levels_that_only_some_replicates_have_are_left_out_and_said(both):
    shorter = both.levels[~((both.levels["method"] == "imp") & (both.levels["replicate"] == 2)
                            & (both.levels["level"] > 1))]  # fmt: skip
    runs = Runs(both.folders)
    runs.__dict__["levels"] = shorter
    drawn = draw("accuracy", runs)
    imp = drawn.table[drawn.table["series"] == "imp"]
    assert list(imp["level"]) == [0, 1]
    assert drawn.notes == [
        "imp: left out levels 2, 3, not in all replicates (every=false draws them too)"
    ]
    everything = draw("accuracy", runs, {"every": False})
    imp = everything.table[everything.table["series"] == "imp"]
    assert list(imp["replicates"]) == [3, 3, 2, 2]
    assert everything.notes == []


def test_cost_is_over_what_a_ticket_took_or_over_seconds_in_old_runs(imp):
    old = Runs(imp.folders)
    old.__dict__["levels"] = imp.levels[
        [c for c in imp.levels if "ticket_" not in c and "macs" not in c]
    ]
    with pytest.raises(UsageError, match="^cost: rollbacks is 0 at every level"):
        draw("cost", changed(imp, levels=imp.levels.assign(rollbacks=0)), {"x": "rollbacks"})
    drawn = draw("cost", old)
    assert "seconds" in drawn.table
    said = "seconds is of each level alone: the search for its ticket is not in it"
    assert drawn.notes == [said]
    new = Runs(imp.folders)
    new.__dict__["levels"] = imp.levels.assign(
        ticket_steps=lambda t: 100.0 * (t["level"] + 1), ticket_macs_kept=math.nan
    )
    drawn = draw("cost", new)
    assert list(drawn.table["ticket_steps"]) == [100, 200, 300, 400]
    (axes,) = drawn.figure.axes
    assert axes.get_xscale() == "log"
    assert "down to 12.5 % of the weights" in axes.get_xlabel()
    assert drawn.notes == []
    energy = draw("cost", Runs(imp.folders), {"x": "best_step"})
    assert "best_step" in energy.table


def test_curves_are_means_over_replicates_at_each_evaluation(imp):
    drawn = draw("curves", imp, {"y": "val_loss", "level": [0, 3]})
    assert set(drawn.table["level"]) == {0, 3}
    for found in drawn.table.to_dict("records"):
        own = []
        for folder in imp.folders:
            rows = csv.DictReader(
                (folder / f"level_{found['level']:02d}" / "curve.csv").read_text().splitlines()
            )
            own += [float(r["val_loss"]) for r in rows if int(r["step"]) == found["step"]]
        assert ends(found, "val_loss") == by_hand(own)
    assert list(drawn.table["density"].unique()) == [1, 0.125]
    control = draw("curves", imp, {"control": "reinit"})
    assert set(control.table["level"]) == {1, 2, 3}


def test_all_branches_of_runs_that_have_none_are_none(outputs):
    drawn = draw("accuracy", load(outputs, "prune=random"), {"branch": ["all"]})
    assert set(drawn.table["line"]) == {"random"}


def test_a_legend_has_the_columns_that_it_has_room_for():
    def drawn(names):
        with drawing.styled(3.3):
            figure = Figure()
            axes = figure.subplots()
            for name in names:
                axes.plot([0, 1], label=name)
            charts.legend(figure, axes)
            left, _, right, _ = figure.get_tightbbox().extents
            assert left >= 0
            assert right <= 3.3
        return figure.legends[0]._ncols

    assert drawn(["imp", "random", "reinit", "dense"]) == 2  # two and two
    assert drawn(["imp, rewind init", "imp, rewind step 2ep"]) == 2
    assert drawn(["imp, rewind step 2ep: shuffle", "dense"]) == 1
    assert (
        drawn(["torchvision, image_folder, imp, rewind step 2ep, name of_an_experiment", "dense"])
        == 1
    )


def test_many_levels_are_thinned_out_and_both_ends_stay():
    from lottery.components.figures.curves import picked

    assert picked(list(range(31)), []) == [0, 3, 5, 8, 11, 14, 16, 19, 22, 25, 27, 30]
    assert picked([0, 1, 2], []) == [0, 1, 2]
    assert picked(list(range(31)), [7]) == [7]
    with pytest.raises(UsageError, match="level=9 is not finished"):
        picked([0, 1], [9])


def test_layers_are_means_over_replicates(imp):
    drawn = draw("layers", imp)
    for found in drawn.table.to_dict("records"):
        own = [
            float(r["density"]) for r in rows_of(imp, "layers.csv")
            if r["layer"] == found["layer"] and int(r["level"]) == found["level"]
        ]  # fmt: skip
        assert len(own) == 3
        assert ends(found, "density") == by_hand(own)
    axes = drawn.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["layers.0", "fc"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "50", "25", "12.5"]
    written = [text.get_text() for text in axes.texts]
    assert len(written) == 8
    assert written[0] == "100"
    assert "by_chance" in draw("layers", imp, {"value": "by_chance"}).table


def shelves(runs, method, level):
    levels = runs.levels[(runs.levels["method"] == method) & (runs.levels["level"] == level)]
    return {
        r["replicate"]: Shelf(runs.folders[0].parents[2], r["key"])
        for r in levels.to_dict("records")
    }


def jaccard(one, other):
    """Return overlap and overlap by chance, from masks that are not packed."""
    return of_layers(shared(one[name], other[name]) for name in one)


def test_overlap_of_levels_and_of_methods_is_that_of_their_masks(imp, both):
    table = draw("overlap", imp).table.set_index(["one", "other"])
    assert list(table.index) == [("50", "25"), ("50", "12.5"), ("25", "12.5")]
    for (one, other), (a, b) in {("50", "12.5"): (1, 3), ("25", "12.5"): (2, 3)}.items():
        first, second = shelves(imp, "imp", a), shelves(imp, "imp", b)
        masks = [(mask_of(first[k]), mask_of(second[k])) for k in range(3)]
        row = table.loc[(one, other)]
        assert ends(row, "overlap") == by_hand([jaccard(x, y)[0] for x, y in masks])
        assert row["by_chance"] == pytest.approx(fmean(jaccard(x, y)[1] for x, y in masks))
    drawn = draw("overlap", both)
    first, second = shelves(both, "imp", 2), shelves(both, "random", 2)
    masks = [(mask_of(first[k]), mask_of(second[k])) for k in range(2)]
    (row,) = drawn.table.to_dict("records")
    assert (row["one"], row["other"], row["replicates"]) == ("imp", "random", 2)
    assert ends(row, "overlap") == by_hand([jaccard(x, y)[0] for x, y in masks])
    assert drawn.notes == ["masks that keep 25 % of the weights"]
    assert draw("overlap", both, {"at": 0.5}).notes == ["masks that keep 50 % of the weights"]
    three = draw("overlap", imp, {"between": "replicates"}).table
    assert list(three["one"]) == ["replicate 0", "replicate 0", "replicate 1"]


def test_overlap_refuses_masks_of_different_nets(outputs):
    with pytest.raises(UsageError, match="are of different nets"):
        draw("overlap", load(outputs, "replicate=0"), {"at": 0.5})


def test_weights_count_every_kept_and_pruned_weight_once(imp):
    table = draw("weights", imp, {"bins": 5}).table
    shelf = shelves(imp, "imp", 3)
    dense = shelves(imp, "imp", 0)
    kept = sum(int(m.sum()) for s in shelf.values() for m in mask_of(s).values())
    total = sum(m.numel() for s in shelf.values() for m in mask_of(s).values())
    counts = table.groupby(["net", "training", "which"])["count"].sum()
    for training in ("before", "after"):
        own = counts["ticket", training, "kept"], counts["dense", training, "kept"]
        assert own == pytest.approx((kept / 3, kept / 3))  # the mean of three replicates
        assert counts["dense", training, "pruned"] == pytest.approx((total - kept) / 3)
    assert set(table["replicates"]) == {3}
    row = table[
        (table["net"] == "dense") & (table["training"] == "before") & (table["which"] == "pruned")
    ].iloc[3]
    found = 0
    for replicate, each in shelf.items():
        weights = ticket_on(dense[replicate]).weights
        for name, mask in mask_of(each).items():
            values = weights[name][~mask]
            found += int(((values >= row["low"]) & (values < row["high"])).sum())
    assert row["count"] == pytest.approx(found / 3)
    one = draw("weights", Runs(imp.folders[:1]), {"level": 0})
    assert set(one.table["net"]) == {"dense"}
    assert one.table["count"].dtype.kind == "i"
    assert one.figure.axes[0].get_ylabel() == "dense net\nnumber of weights"


def test_filters_are_the_first_layer_and_its_mask(imp, outputs):
    drawn = draw("filters", imp, {"most": 2})
    shelf = shelves(imp, "imp", 3)[0]
    mask = mask_of(shelf)["layers.0.weight"].view(4, 16)
    weight = shelf.read_tensors("end.safetensors")[0]["weights/layers.0.weight"].view(4, 16)
    shown = sorted(drawn.table["filter"].unique())
    assert len(shown) == 2
    most = sorted((int(row.sum()) for row in mask), reverse=True)[:2]
    assert sorted((int(mask[k].sum()) for k in shown), reverse=True) == most
    for k in shown:
        own = drawn.table[drawn.table["filter"] == k]
        assert list(own["kept"]) == mask[k].tolist()
        assert own["weight"].to_numpy() == pytest.approx(weight[k].numpy())
        assert (own["weight"][~own["kept"]] == 0).all()
    assert drawn.notes == [
        "of 3 replicates replicate 0 is drawn",
        "2 of 4 are drawn: those that keep most (most=N)",
    ]
    assert drawn.figure.axes[0].get_title() == "level 3, 12.5 % of the weights, after training"
    convnet = draw("filters", load(outputs, "convnet"), {"at": "start"}).table
    assert convnet.groupby(["filter", "channel"]).size().eq(25).all()


def test_pruned_weights_have_a_colour_that_no_weight_has():
    from lottery.components.figures import filters

    images = np.array([[[[0.5, 0.0], [-0.5, 0.0]]]])
    kept = np.array([[[[True, True], [True, False]]]])
    picture = filters.drawn(images, kept, "a").axes[0].images[0].get_array()
    high = picture.shape[0]
    cells = [
        np.array(picture[y * high // 2 + 1, x * high // 2 + 1, :3]) for y, x in np.ndindex(2, 2)
    ]
    assert cells[3] == pytest.approx([0x8A / 255] * 3)
    assert cells[1].min() > 0.95  # 0 is white
    assert len({tuple(np.round(cell, 3)) for cell in cells}) == 4


@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        ("accuracy", {"x": "steps"}, "x=steps is neither density nor compression"),
        ("accuracy", {"y": "accuracy"}, "y=accuracy is no column of numbers here (there are: density"),
        ("accuracy", {"branch": ["shufle"]}, "no run has a branch 'shufle' (there are: reinit)"),
        ("accuracy", {"ylim": [1]}, "ylim: [1.0] are not two numbers"),
        ("accuracy", {"colour": 1}, "accuracy has no setting 'colour'"),
        ("accuracy", {"every": "often"}, "figure.every: 'often' is no bool"),
        ("accuracy", {"width": "wide"}, "width=wide: it is column (3.3 in), page (6.75 in)"),
        ("accuracy", {"width": 50}, "width=50"),
        ("curves", {"x": "seconds"}, "x=seconds is neither step nor epoch"),
        ("curves", {"control": "hold"}, "no run has a branch 'hold'"),
        ("layers", {"value": "x"}, "value=x is no column of numbers"),
        ("overlap", {"between": "runs"}, "between=runs is none of"),
        ("overlap", {"at": -1.0}, "at=-1 is no density"),
        ("accuracy", {"ylim": [math.nan, 1]}, "ylim: [nan, 1.0] are not two numbers"),
        ("curves", {"level": [9]}, "level=9 is not finished (there are: 0, 1, 2, 3)"),
        ("weights", {"level": 9}, "level=9 is not finished; the last one is 3"),
        ("weights", {"layer": "conv*"}, "no layer fits layer=conv* (there are: layers.0, fc)"),
        ("weights", {"bins": 1}, "bins=1"),
        ("filters", {"at": "middle"}, "at=middle is neither start nor end"),
        ("filters", {"most": 0}, "most=0"),
        ("acuracy", {}, "there is no figure 'acuracy'; did you mean 'accuracy'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said_in_one_line(imp, name, settings, line):
    with pytest.raises(UsageError) as error:
        draw(name, imp, settings)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_units_that_see_no_square_image():
    from lottery.components.figures.filters import as_images

    assert as_images(np.zeros((5, 12)), 3).shape == (5, 3, 2, 2)
    for inputs, channels in ((12, 1), (13, 3), (16, None)):
        with pytest.raises(UsageError, match="no square image"):
            as_images(np.zeros((5, inputs)), channels)


@pytest.mark.parametrize("name", figures())
def test_nothing_to_draw_is_one_line(name, tmp_path, imp):
    with pytest.raises(UsageError, match="there is no run to draw"):
        draw(name, Runs(()))
    empty = tmp_path / "outputs" / "a" / "0123456789" / "replicate_0"
    empty.mkdir(parents=True)
    (empty / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="these runs have no"):
        draw(name, Runs((empty,)))


def test_more_lines_than_can_be_told_apart():
    table = pd.DataFrame(
        {"series": [f"run {k}" for k in range(13)], "method": list("aaaaaaaaaaaab"),
         "rewind": "init", "model": "m", "dataset": "d", "name": "n",
         "id": [str(k) for k in range(13)]}
    )  # fmt: skip
    assert trends.few(table[:12], "series", "accuracy") == [f"run {k}" for k in range(12)]
    with pytest.raises(
        UsageError, match="shows 12 lines at most, and there are 13 .*; name a RUN, or narrow: id=0"
    ):
        trends.few(table, "series", "accuracy")


def test_labels_say_what_tells_experiments_apart_and_no_more(outputs, tmp_path):
    folders = load(outputs).folders
    labels = naming.labels(folders)
    assert set(labels.values()) == {"lenet_300_100, imp", "lenet_300_100, random", "lenet5, imp"}
    assert set(naming.labels(load(outputs, "prune=random").folders).values()) == {"random"}
    other = tmp_path / "outputs"
    for words in (["rewind=init"], ["rewind=step", "rewind.to=1ep"], ["train.batch_size=6"]):
        assert cli.main(["run", *TINY, *LENET, f"outputs={other}", "levels=0", *words]) == 0
    found = set(naming.labels(load(other).folders).values())
    assert found == {
        "imp, rewind step 1ep",
        "imp, rewind init, batch_size 6",
        "imp, rewind init, batch_size 12",
    }


def test_tick_labels_have_both_ends_and_room_between():
    assert charts.ticks_between(26.2144, 100) == [26.2144, 40, 50, 70, 100]
    assert charts.ticks_between(0.1, 100) == [0.1, 1, 10, 100]
    assert charts.ticks_between(1.8, 100) == [1.8, 5, 10, 20, 50, 100]
    found = charts.ticks_between(0.001, 0.1)  # 0.002 would touch 0.001
    assert found == pytest.approx([0.001, 0.005, 0.01, 0.02, 0.05, 0.1])
    assert charts.ticks_between(7, 7) == [7]
    generator = np.random.default_rng(0)
    for low, ratio in zip(
        10 ** generator.uniform(-6, 12, 300), 10 ** generator.uniform(0.01, 9, 300), strict=True
    ):
        ticks = charts.ticks_between(low, low * ratio)
        assert (ticks[0], ticks[-1]) == (low, low * ratio)
        gaps = np.diff(np.log(ticks)) / math.log(ratio)
        assert len(ticks) == 2 or gaps.min() > charts.CLOSE
    assert [charts.short(v) for v in (0.123456, 26.2144, 999, 1500, 2.5e6, 3e12)] == \
        ["0.123", "26.2", "999", "1.5k", "2.5M", "3T"]  # fmt: skip


def test_dashes_colours_and_markers_are_all_different_and_grey_tells_the_ramp():
    assert len(set(charts.COLOURS)) == len(set(charts.MARKERS)) == len(set(map(str, charts.DASHES)))
    many = [(look.colour, look.marker, look.dashes, look.hollow)
            for look in charts.looks([str(k) for k in range(charts.SERIES)]).values()]  # fmt: skip
    assert len({*map(str, many)}) == 12
    for chosen in ((0, 3), (0, 2), (1, 3)):  # any two of these tell the twelve apart
        assert len({str([each[k] for k in chosen]) for each in many}) == 12
    greys = [
        sum(w * int(c[i : i + 2], 16) for w, i in ((0.3, 1), (0.59, 3), (0.11, 5)))
        for c in charts.RAMP
    ]
    assert greys == sorted(greys)
    assert min(np.diff(greys)) > 20


class Entry:
    """An installed package's figure."""

    name = "spread"

    @staticmethod
    def load():
        def spread(runs, *, column: str = "test_accuracy", size: int):
            """Draw how far replicates are apart."""
            from matplotlib.figure import Figure

            table = runs.levels[["series", "level", column]]
            figure = Figure()
            figure.subplots().scatter(table["level"], table[column], s=size)
            return figure, table

        return spread


def test_a_figure_of_an_installed_package_is_one_of_ours(imp, monkeypatch):
    own = packages.entries
    monkeypatch.setattr(packages, "entries", lambda group: [Entry] if group == "lottery.figure" else own(group))
    assert "spread" in figures()
    drawn = draw("spread", imp, {"size": 3, "width": "page"})
    assert drawn.figure.get_figwidth() == pytest.approx(6.75)
    assert len(drawn.table) == 12
    with pytest.raises(UsageError, match="spread needs a value for 'size'"):
        draw("spread", imp)
    with pytest.raises(UsageError, match="spread has no setting 'sise'; did you mean 'size'"):
        draw("spread", imp, {"sise": 3})


def test_a_png_says_nothing_of_when_it_was_made(imp):
    data = draw("accuracy", imp).render("png")
    assert draw("accuracy", imp).render("png") == data
    place, kinds = 8, []
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind = data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        assert (
            zlib.crc32(kind + body)
            == struct.unpack(">I", data[place + 8 + length : place + 12 + length])[0]
        )
        kinds.append(kind)
        place += 12 + length
    assert set(kinds) <= {b"IHDR", b"pHYs", b"tEXt", b"IDAT", b"IEND"}
    assert data.count(b"tEXt") == data.count(b"tEXtSoftware\0lottery") == 1
    for kind in ("svg", "pdf"):
        assert not re.search(rb"20\d\d-\d\d-\d\d|CreationDate", draw("accuracy", imp).render(kind))


def test_figures_leave_the_users_style_as_it_was(imp):
    before = dict(matplotlib.rcParams)
    draw("accuracy", imp).render("svg")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
def test_no_figure_of_tables_imports_pyplot_or_torch(imp):
    script = (
        "import sys; from lottery.results.plotting.drawing import draw; from lottery.results.tidy import load\n"
        f"draw('accuracy', load({str(imp.folders[0].parents[2])!r}, 'prune=imp')).render('pdf')\n"
        "sys.exit(len({'matplotlib.pyplot', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_run_called_like_a_formula_or_a_tag_is_drawn_as_it_is_called(imp):
    runs = Runs(imp.folders)
    runs.__dict__["levels"] = imp.levels
    seen = material.Material(runs)
    seen.__dict__["_labels"] = dict.fromkeys(
        zip(imp.levels["name"], imp.levels["id"], strict=True), "$x^{<b>&"
    )
    with drawing.styled(3.3):
        figure, _ = bind.bind("figure", drawing.defaults("accuracy"), "figure")(seen)
    text = drawing.Drawn(figure, pd.DataFrame()).svg("a")
    ElementTree.fromstring(text)
    assert "$x^{&lt;b&gt;&amp;" in text


# Accuracy against a setting


@pytest.fixture
def swept(fabricate, tmp_path):
    """Write a run for each value, of three replicates; return them. A level keeps 1, 0.8, 0.64."""

    def call(values, key="train.optimizer.lr", method="imp", replicates=3, **more):
        for place, value in enumerate(values):
            for replicate in range(replicates):
                test = [0.9 + 0.01 * replicate, 0.8 + 0.01 * replicate + 0.001 * place, 0.7]
                net = [
                    f"{method}{place if method == 'own' else ''}{replicate}{k}" for k in range(3)
                ]
                net[0] = f"dense{replicate}" if method != "own" else net[0]
                fabricate(
                    name=f"a_{method}", ident=f"{method[0]}{place:09d}", replicate=replicate,
                    test=test, choices={"prune": method} | more.get("choices", {}),
                    config={key: value, "prune.criterion.name": method} | more.get("config", {}),
                    step=(20, 20, 20), epoch=(2.0, 2.0, 2.0), key=net,
                )  # fmt: skip
        return load(tmp_path / "outputs")

    return call


def test_accuracy_against_a_rate_is_mean_and_interval_at_shared_densities(swept):
    drawn = draw("sensitivity", swept([0.01, 0.1, 0.3]))
    assert list(drawn.table.columns[:3]) == ["line", "setting", "value"]
    assert list(dict.fromkeys(drawn.table["line"])) == ["dense", "80 % kept", "64 % kept"]
    assert set(drawn.table["setting"]) == {"train.optimizer.lr"}
    own = drawn.table[drawn.table["line"] == "80 % kept"]
    assert list(own["value"]) == [0.01, 0.1, 0.3]
    for place, row in enumerate(own.to_dict("records")):
        assert row["replicates"] == 3
        assert ends(row, "test_accuracy") == by_hand(
            [0.8 + 0.01 * k + 0.001 * place for k in range(3)]
        )
    (axes,) = drawn.figure.axes
    assert axes.get_xscale() == "log"  # over a decade
    assert axes.get_xlabel() == "train.optimizer.lr"
    named = {line.get_label(): line for line in axes.lines}
    assert named["80 % kept"].get_ydata() == pytest.approx(100 * own["test_accuracy"].to_numpy())
    assert named["dense"].get_color() == charts.INK
    two = draw("sensitivity", load(drawn_of(swept), "train.optimizer.lr>0.05"), {"at": [0.64]})
    assert two.figure.axes[0].get_xscale() == "linear"
    assert set(two.table["line"]) == {"64 % kept"}


def drawn_of(swept):
    """Return the outputs that a fixture has written."""
    return swept([]).folders[0].parents[2]


def test_the_step_that_weights_go_back_to_is_a_number_of_steps_and_init_is_0(swept):
    """20 steps are 2 epochs: 1ep is 10, 0.25 is 5, and late resetting is drawn beside init."""
    back = {"choices": {"rewind": "step"}, "config": {"rewind.name": "step"}}
    swept(["1ep", "5it", "0.1"], "rewind.to", **back)
    runs = swept(["init"], "rewind.name", method="init", choices={"prune": "imp"},
                 config={"prune.criterion.name": "imp"})  # fmt: skip
    drawn = draw("sensitivity", runs, {"at": [0.8]})
    assert list(drawn.table["value"]) == [0, 2, 5, 10]
    assert set(drawn.table["line"]) == {"80 % kept"}
    (axes,) = drawn.figure.axes
    assert axes.get_xlabel() == "step that weights go back to"
    log = draw("sensitivity", runs, {"axis": "log"}).figure.axes[0]
    assert log.get_xscale() == "symlog"
    assert [label.get_text() for label in log.get_xticklabels()][0] == "0"


def test_runs_that_do_not_go_back_are_left_out_and_said(swept):
    swept(["1ep", "5it"], "rewind.to", choices={"rewind": "step"}, config={"rewind.name": "step"})
    runs = swept(["0it"], "rewind.to", method="lr", choices={"rewind": "lr", "prune": "imp"},
                 config={"rewind.name": "lr", "prune.criterion.name": "imp"})  # fmt: skip
    drawn = draw("sensitivity", runs, {"setting": "rewind.to"})
    assert set(drawn.table["value"]) == {5, 10}
    assert drawn.notes == ["imp, rewind lr 0it: left out, its rewind.to is no number"]


def test_methods_have_lines_of_their_own_and_the_dense_net_that_they_share_has_one(swept):
    swept([0.1, 0.2])
    runs = swept([0.1, 0.2], method="random")
    drawn = draw("sensitivity", runs, {"at": [1, 0.64]})
    assert set(drawn.table["line"]) == {"dense", "imp, 64 % kept", "random, 64 % kept"}
    assert set(drawn.table["replicates"]) == {3}
    own = draw("sensitivity", swept([0.1, 0.2], method="own"), {"at": [1]})
    assert set(own.table["line"]) == {"imp, dense", "random, dense", "own, dense"}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {},
            "several differ; name one, as in setting=train.batch_size: train.batch_size, train.optim",
        ),
        ({"setting": "lrr"}, "setting=lrr is none that differs; did you mean 'lr'?"),
        ({"setting": "lr", "at": [0.3]}, "no level keeps 0.3 of the weights within 0.02"),
        ({"setting": "lr", "near": 2}, "near=2.0 is no share of 1"),
        ({"setting": "lr", "axis": "logg"}, "axis=logg is none of auto, linear, log"),
        ({"setting": "lr", "y": "lr"}, "y=lr is no column of numbers here"),
    ],
)
def test_what_no_setting_can_be_drawn_against_is_one_line(swept, settings, line):
    swept([0.1, 0.2], replicates=1)
    runs = swept([7, 8], "train.batch_size", method="batch", replicates=1,
                 choices={"prune": "imp"}, config={"prune.criterion.name": "imp"})  # fmt: skip
    with pytest.raises(UsageError) as error:
        draw("sensitivity", runs, settings)
    assert line in str(error.value)


def test_runs_that_differ_in_their_method_alone_have_no_setting_to_draw(swept):
    swept([0.1], replicates=1)
    with pytest.raises(UsageError, match="differ in no setting that is a number"):
        draw("sensitivity", swept([0.1], method="random", replicates=1))


@pytest.mark.slow
def test_transfer_is_the_change_to_the_target_by_the_data_set_of_the_mask(tmp_path):
    """Two sources, the mask of each on the other's data as well, and a random mask: by hand."""
    folder = tmp_path / "outputs"

    def run(*words):
        assert cli.main(["-v", "run", *TINY, *LENET, f"outputs={folder}", "levels=1", *words]) == 0

    run("-m", "dataset.label_noise=0,0.5", "name=source", "replicate=0,1")
    run("name=drawn", "prune=random")
    for path in sorted(folder.glob("source/*")):
        run("-m", "dataset.label_noise=0,0.5", "replicate=0,1", "rewind=ticket", "rewind.level=1",
            f"rewind.path={path}", "name=moved")  # fmt: skip
    noise, changes = {}, {}
    for place in sorted(folder.glob("*/*/replicate_*"), reverse=True):  # the sources first
        settings = yaml.safe_load((place / "config.yaml").read_text())
        own = noise[place.parent.name] = f"synthetic label_noise={settings['dataset']['label_noise']:g}"
        path = settings["rewind"].get("path")
        source = "random" if "drawn" in str(place) else noise[path.rpartition("/")[2]] if path else own
        dense, pruned = csv.DictReader((place / "metrics.csv").read_text().splitlines())
        change = float(pruned["test_accuracy"]) - float(dense["test_accuracy"])
        changes.setdefault((source, own), {})[place.name] = change
    table = draw("transfer", load(folder)).table.set_index(["source", "target"])
    assert len(changes) == 5  # 0, as typed, and 0.0, as it is by default, are one
    assert table["change"].to_dict() == pytest.approx({k: fmean(v.values()) for k, v in changes.items()})
    assert {k: len(v) for k, v in changes.items()} == table["replicates"].to_dict()
    assert list(table["value"] - table["dense"]) == pytest.approx(list(table["change"]))
    with pytest.raises(UsageError, match="in several ways"):
        run("name=again", "train.optimizer.lr=0.07")
        draw("transfer", load(folder))


def test_curves_of_several_methods_lie_over_each_other_beside_their_dense_net(both):
    drawn = draw("curves", both, {"at": 0.25, "y": "test_loss"})
    assert set(drawn.table["line"]) == {"imp", "random", "dense"}
    curves = both.curves.merge(both.levels[["id", "replicate", "level", "density"]])
    for line, own in drawn.table.groupby("line"):
        method = curves if line == "dense" else curves[curves["method"] == line]
        method = method[(method["branch"] == "") & (method["level"] == (0 if line == "dense" else 2))]
        for _, row in own.iterrows():
            values = method[method["step"] == row["step"]].drop_duplicates("replicate")["test_loss"]
            assert row["test_loss"] == pytest.approx(fmean(values))
            reach = T[len(values)] * stdev(values) / len(values) ** 0.5
            assert row["test_loss_high"] == pytest.approx(fmean(values) + reach)
    assert len({line.get_color() for line in drawn.figure.axes[0].get_lines()}) == 3
    at_level = draw("curves", both, {"level": [2], "y": "test_loss"})
    pd.testing.assert_frame_equal(at_level.table, drawn.table)
    with pytest.raises(UsageError, match="no run has a level near at=0.9"):
        draw("curves", both, {"at": 0.9})


def test_the_gap_is_drawn_in_points_with_its_dense_nets(imp):
    drawn = draw("accuracy", imp, {"y": "gap"})
    levels = imp.levels
    gaps = levels["train_accuracy"] - levels["test_accuracy"]
    assert drawn.table["gap_accuracy"].tolist() == pytest.approx(
        gaps.groupby(levels["level"]).mean().tolist()
    )
    axes = drawn.figure.axes[0]
    assert axes.get_ylabel() == "training minus test accuracy (points)"
    across = [line.get_ydata() for line in axes.get_lines() if len(set(line.get_ydata())) == 1]
    assert any(y[0] == pytest.approx(100 * gaps[levels["level"] == 0].mean()) for y in across)


def test_what_a_level_reaches_before_training_is_the_first_row_of_its_curve(imp):
    curves = imp.curves[imp.curves["branch"] == ""]
    first = curves.sort_values("step").groupby(["replicate", "level"]).first()
    levels = imp.levels.set_index(["replicate", "level"])
    for column in ("val_accuracy", "test_accuracy", "test_loss"):
        assert levels[f"start_{column}"].tolist() == first[column].tolist()
    assert draw("accuracy", imp, {"y": "start"}).table["start_test_accuracy"].notna().all()


def test_panels_have_one_legend_one_look_a_method_and_the_tables_of_each(outputs):
    runs = load(outputs)
    drawn = draw("accuracy", runs, panels="model,method")
    page = drawn.figure
    assert len(page.legends) == 1 and not any(axes.get_legend() for axes in page.axes)
    seen = [axes for axes in page.axes if axes.get_visible()]
    assert len(seen) == len(set(drawn.table["panel"])) < len(page.axes)  # no convnet was random
    (imp,) = (axes for axes in seen if axes.get_title(loc="left") == "lenet_300_100, imp")
    alone = draw("accuracy", load(outputs, "model=lenet_300_100", "method=imp")).table
    own = drawn.table[drawn.table["panel"] == "lenet_300_100, imp"]
    assert own["test_accuracy"].tolist() == alone["test_accuracy"].tolist()
    assert len({axes.get_ylim() for axes in seen}) == 1  # of one data set
    assert imp.get_ylabel() and not imp.get_title(loc="center")
    by_model = draw("accuracy", runs, panels=["model"]).figure
    assert by_model.get_figwidth() == pytest.approx(drawing.WIDTHS["page"])
    first, second = (
        {line.get_label().split(" (")[0]: line.get_color() for line in axes.get_lines()}
        for axes in by_model.axes[:2]
    )
    assert first["imp"] == second["imp"] != (first | second)["random"]
    names = [text.get_text() for text in by_model.legends[0].get_texts()]
    assert len(names) == len(set(names)) and {"imp (n=3)", "imp", "random (n=2)"} <= set(names)


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("accuracy", "modle", "no run has 'modle'; did you mean 'model'?"),
        ("accuracy", "model,method,id", "one key, or two: rows and columns"),
        ("layers", "id", "panels= is for figures of lines on one pair of axes"),
    ],
)
def test_panels_that_cannot_be(outputs, name, keys, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        draw(name, load(outputs), panels=keys)
    draw("accuracy", load(outputs, "method=imp", "model=lenet_300_100"))  # and nothing is left of it
