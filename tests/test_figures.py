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

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lottery import cli, components, monitor
from lottery.errors import UsageError
from lottery.figures import layers, overlap
from lottery.levels import mask_of, ticket_on
from lottery.looking.tidy import Runs, load
from lottery.plotting import charts, drawing, material, trends
from lottery.plotting.drawing import draw, figures
from lottery.storage.store import Shelf

TINY = [
    "dataset=synthetic", "dataset.examples=60", "dataset.test_examples=20", "dataset.validation=12",
    "dataset.classes=4", "dataset.channels=1", "dataset.size=4", "dataset.mean=[0.5]",
    "dataset.std=[0.25]", "train.batch_size=12", "train.length=2ep", "host.threads=1",
    "host.progress=none", "schedule.keep=0.5",
]  # fmt: skip
LENET = ["model=lenet_300_100", "model.hidden=[4]"]
T = {2: 12.706205, 3: 4.302653}  # 97.5 % of Student's t, by the number of values
SOME = [
    n if n in ("accuracy", "layers") else pytest.param(n, marks=pytest.mark.slow) for n in figures()
]
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


@pytest.mark.parametrize("name", figures())
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


@pytest.mark.parametrize("name", figures())
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


@pytest.mark.parametrize("name", figures())
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
    assert "dense" in [text.get_text() for text in drawn.figure.legends[0].get_texts()]


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
    assert [line.get_ydata()[0] for line in across] == pytest.approx([fmean(values)])
    everything = load(outputs).levels
    assert (
        len(
            trends.dense_nets(
                everything.assign(branch="", line=everything["model"] + everything["method"])
            )
        )
        == 2
    )


def test_means_stand_at_their_densities_and_bars_beside_each_other(both):
    drawn = draw("accuracy", both, {"branch": ["reinit"]})
    (axes,) = drawn.figure.axes
    for name, own in drawn.table.groupby("line"):
        (line,) = (each for each in axes.lines if each.get_label() == name)
        assert line.get_xdata() == pytest.approx(100 * own["density"].to_numpy())
    assert drawn.notes[-1].startswith("bars of one density stand side by side")
    assert trends.shifts(3, True) == pytest.approx([-trends.APART, 0, trends.APART])
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
    assert "seconds" in draw("cost", old).table
    new = Runs(imp.folders)
    new.__dict__["levels"] = imp.levels.assign(
        ticket_steps=lambda t: 100.0 * (t["level"] + 1), ticket_macs_kept=math.nan
    )
    drawn = draw("cost", new)
    assert list(drawn.table["ticket_steps"]) == [100, 200, 300, 400]
    (axes,) = drawn.figure.axes
    assert axes.get_xscale() == "log"
    assert "down to 12.5 % of the weights" in axes.get_xlabel()
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

    assert drawn(["imp", "random", "reinit", "dense"]) == 3
    assert drawn(["imp, rewind init", "imp, rewind step 2ep"]) == 2
    assert drawn(["imp, rewind step 2ep: shuffle", "dense"]) == 1
    assert (
        drawn(["torchvision, image_folder, imp, rewind step 2ep, name of_an_experiment", "dense"])
        == 1
    )


def test_many_levels_are_thinned_out_and_both_ends_stay():
    from lottery.figures.curves import picked

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


def test_overlap_of_levels_and_of_methods_is_that_of_their_masks(imp, both):
    table = draw("overlap", imp).table.set_index(["one", "other"])
    assert list(table.index) == [("50", "25"), ("50", "12.5"), ("25", "12.5")]
    for (one, other), (a, b) in {("50", "12.5"): (1, 3), ("25", "12.5"): (2, 3)}.items():
        first, second = shelves(imp, "imp", a), shelves(imp, "imp", b)
        masks = [(mask_of(first[k]), mask_of(second[k])) for k in range(3)]
        row = table.loc[(one, other)]
        assert ends(row, "overlap") == by_hand([monitor.overlap(x, y) for x, y in masks])
        assert row["by_chance"] == pytest.approx(fmean(monitor.chance(x, y) for x, y in masks))
    drawn = draw("overlap", both)
    first, second = shelves(both, "imp", 2), shelves(both, "random", 2)
    masks = [(mask_of(first[k]), mask_of(second[k])) for k in range(2)]
    (row,) = drawn.table.to_dict("records")
    assert (row["one"], row["other"], row["replicates"]) == ("imp", "random", 2)
    assert ends(row, "overlap") == by_hand([monitor.overlap(x, y) for x, y in masks])
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
        assert counts["ticket", training, "kept"] == counts["dense", training, "kept"] == kept
        assert counts["dense", training, "pruned"] == total - kept
    row = table[
        (table["net"] == "dense") & (table["training"] == "before") & (table["which"] == "pruned")
    ].iloc[3]
    found = 0
    for replicate, each in shelf.items():
        weights = ticket_on(dense[replicate]).weights
        for name, mask in mask_of(each).items():
            values = weights[name][~mask]
            found += int(((values >= row["low"]) & (values < row["high"])).sum())
    assert row["count"] == found
    assert set(draw("weights", imp, {"level": 0}).table["net"]) == {"dense"}


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
    convnet = draw("filters", load(outputs, "convnet"), {"at": "start"}).table
    assert convnet.groupby(["filter", "channel"]).size().eq(25).all()


def test_pruned_weights_have_a_colour_that_no_weight_has():
    from lottery.figures import filters

    images = np.array([[[[0.5, 0.0], [-0.5, 0.0]]]])
    kept = np.array([[[[True, True], [True, False]]]])
    picture = filters.drawn(images, kept).axes[0].images[0].get_array()
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
    from lottery.figures.filters import as_images

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
        {"series": [f"run {k}" for k in range(7)], "method": list("aaaaaab"), "rewind": "init",
         "model": "m", "dataset": "d", "name": "n", "id": [str(k) for k in range(7)]}
    )  # fmt: skip
    assert trends.few(table[:6], "series", "accuracy") == [f"run {k}" for k in range(6)]
    with pytest.raises(
        UsageError, match="shows 6 lines at most, and there are 7 .*; name a RUN, or narrow: id=0"
    ):
        trends.few(table, "series", "accuracy")


def test_labels_say_what_tells_experiments_apart_and_no_more(outputs, tmp_path):
    folders = load(outputs).folders
    labels = material.labels(folders)
    assert set(labels.values()) == {"lenet_300_100, imp", "lenet_300_100, random", "lenet5, imp"}
    assert set(material.labels(load(outputs, "prune=random").folders).values()) == {"random"}
    other = tmp_path / "outputs"
    for words in (["rewind=init"], ["rewind=step", "rewind.to=1ep"], ["train.batch_size=6"]):
        assert cli.main(["run", *TINY, *LENET, f"outputs={other}", "levels=0", *words]) == 0
    found = set(material.labels(load(other).folders).values())
    assert found == {
        "imp, rewind step 1ep",
        "imp, rewind init, batch_size 6",
        "imp, rewind init, batch_size 12",
    }


def test_tick_labels_have_both_ends_and_room_between():
    assert charts.ticks_between(26.2144, 100) == [26.2144, 40, 50, 70, 100]
    assert charts.ticks_between(0.1, 100) == [0.1, 1, 10, 100]
    assert charts.ticks_between(1.8, 100) == [1.8, 5, 10, 20, 50, 100]
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
    own = components.entry_points
    monkeypatch.setattr(
        components, "entry_points",
        lambda group: [Entry] if group == "lottery.figure" else own(group=group),
    )  # fmt: skip
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
    assert set(kinds) <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    for kind in ("svg", "pdf"):
        assert not re.search(rb"20\d\d-\d\d-\d\d|CreationDate", draw("accuracy", imp).render(kind))


def test_figures_leave_the_users_style_as_it_was(imp):
    before = dict(matplotlib.rcParams)
    draw("accuracy", imp).render("svg")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
def test_no_figure_of_tables_imports_pyplot_or_torch(imp):
    script = (
        "import sys; from lottery.plotting.drawing import draw; from lottery.looking.tidy import load\n"
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
        figure, _ = components.bind("figure", drawing.defaults("accuracy"), "figure")(seen)
    text = drawing.Drawn(figure, pd.DataFrame()).svg("a")
    ElementTree.fromstring(text)
    assert "$x^{&lt;b&gt;&amp;" in text
