"""Lines of figures: side by side, named where they end, cut where one squashes the others."""

import math
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from lottery.errors import UsageError
from lottery.results.plotting import cuts, drawing, endings, strokes
from lottery.results.plotting.drawing import draw
from lottery.results.tidy import load

DENSITIES = (1.0, 0.8, 0.64, 0.512)
NAMES = "abcdefghijkl"


@pytest.fixture
def methods(fabricate, tmp_path):
    """Return runs of methods, name -> accuracies of the first replicate; others differ a little."""

    def call(replicates=3, folder="outputs", **accuracies):
        for name, levels in accuracies.items():
            for k in range(replicates):
                off = 0.001 * k * k
                keys = [f"dense{k}", *(f"{name}{k}{at}" for at in range(1, len(levels)))]
                fabricate(
                    name=name, ident=(name * 10)[:10], replicate=k, choices={"prune": name},
                    test=[levels[0] - off, *(a + off * (-1) ** at for at, a in enumerate(levels[1:]))],
                    key=keys, step=[10] * len(levels), steps=[10] * len(levels),
                )  # fmt: skip
        return load(tmp_path / "outputs")

    return call


def lines(axes, names):
    """Return the line of each name, and the ends of its bars: x, low, high."""
    found = {}
    for name in names:
        (line,) = [each for each in axes.lines if each.get_label() == name]
        bars = [
            segment for c in axes.collections if isinstance(c, LineCollection)
            and tuple(c.get_color()[0]) == to_rgba(line.get_color()) for segment in c.get_segments()
        ]  # fmt: skip
        found[name] = line, np.array([[b[0][0], b[1][0], b[0][1], b[1][1]] for b in bars])
    return found


def boxes(drawn, texts):
    with drawing.styled(drawn.figure.get_figwidth()):
        drawn.figure.draw_without_rendering()
        return [text.get_window_extent() for text in texts]


@pytest.mark.parametrize(("number", "x"), [(2, "density"), (6, "compression")])
def test_markers_stand_beside_each_other_and_bars_on_their_markers(methods, number, x):
    names = NAMES[:number]
    runs = methods(**dict.fromkeys(names, (0.97, 0.96, 0.95, 0.94)))  # one over the other
    drawn = draw("accuracy", runs, {"x": x})
    (axes,) = drawn.figure.axes
    found = lines(axes, names)
    for name, (line, bars) in found.items():
        own = drawn.table[drawn.table["line"] == name]
        assert bars[:, 0] == pytest.approx(line.get_xdata()[1:])  # of level 0 there is the band
        assert bars[:, 1] == pytest.approx(line.get_xdata()[1:])
        assert bars[:, 2] == pytest.approx(100 * own["test_accuracy_low"].to_numpy()[1:])
        assert bars[:, 3] == pytest.approx(100 * own["test_accuracy_high"].to_numpy()[1:])
        assert line.get_ydata() == pytest.approx(100 * own["test_accuracy"].to_numpy())
    across = np.array([
        axes.transData.transform(np.c_[line.get_xdata(), line.get_ydata()])[:, 0]
        for line, _ in found.values()
    ])  # fmt: skip
    apart, level = np.diff(across, axis=0), np.diff(across, axis=1)
    assert (apart > 0.5 * 300 / 72).all()  # half a point, in pixels
    assert (apart < 5 * 300 / 72).all()
    assert across[-1, :-1] == pytest.approx(across[0, :-1] + apart[:, 0].sum())
    assert apart.sum(axis=0).max() < 0.7 * level.min()  # a level does not run into the next
    edges = axes.get_window_extent()
    assert (across > edges.x0).all()
    assert (across < edges.x1).all()
    middle = np.mean([np.log(line.get_xdata()) for line, _ in found.values()], axis=0)
    own = drawn.table[drawn.table["line"] == "a"][x].to_numpy()
    assert middle == pytest.approx(np.log(100 * own if x == "density" else own))


def test_lines_that_share_no_place_stay_where_they_are():
    import pandas as pd

    figure = Figure()
    axes = figure.subplots()
    axes.set(xscale="log", xlim=(1, 1000))
    table = pd.DataFrame({"line": list("aabb"), "x": [2.0, 20.0, 5.0, 50.0]})
    assert strokes.shifts(axes, table, "x", ["a", "b"]) == {"a": 0, "b": 0}
    assert axes.get_xlim() == (1, 1000)
    near = table.assign(x=[2.0, 20.0, 2.01, 50.0])
    found = strokes.shifts(axes, near, "x", ["a", "b"])
    assert found["a"] == -found["b"] < 0
    assert (strokes.moved(axes, near["x"], found["b"]) > near["x"]).all()


@pytest.mark.parametrize(("number", "width"), [(12, 3.3), (6, 2.5)])
def test_names_stand_at_the_ends_of_lines_and_none_on_another(methods, number, width):
    names = NAMES[:number]
    ends = [0.94 - 0.0001 * at * at for at in range(number)]  # close, and all but one over others
    runs = methods(**{n: (0.97, 0.96, 0.95, end) for n, end in zip(names, ends, strict=True)})
    drawn = draw("accuracy", runs, {"width": width})
    (axes,) = drawn.figure.axes
    assert [text.get_text() for text in axes.texts] == [*names, "dense"]
    assert drawn.figure.legends == []
    written = boxes(drawn, axes.texts)
    frame = axes.get_window_extent()
    assert all(box.x0 > frame.x1 for box in written)
    assert all(box.x1 <= drawn.figure.bbox.x1 for box in written)
    order = sorted(written, key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 0.5 for low, high in zip(order, order[1:]))
    middles = [(box.y0 + box.y1) / 2 for box in written]
    assert middles == sorted(middles[:-1], reverse=True) + middles[-1:]  # as their lines are
    leaders = [one for one in drawn.figure.artists if isinstance(one, ConnectionPatch)]
    for leader, text, (line, _) in zip(
        leaders, axes.texts, lines(axes, names).values(), strict=False
    ):
        assert leader.xy1 == text.get_position()
        assert leader.xy2 == pytest.approx((line.get_xdata()[-1], line.get_ydata()[-1]))
        assert leader.get_edgecolor() == to_rgba(line.get_color())


def test_names_without_room_at_the_ends_stand_in_a_legend(methods, fabricate, tmp_path):
    long = methods(**{f"a_method_of_a_very_long_name_{n}": (0.97, 0.96) for n in "ab"})
    drawn = draw("accuracy", long)
    assert len(drawn.figure.axes[0].texts) == 0
    said = [text.get_text() for text in drawn.figure.legends[0].get_texts()]
    assert said == ["a_method_of_a_very_long_name_a", "a_method_of_a_very_long_name_b", "dense"]
    assert draw("accuracy", long, {"width": 6.75}).figure.legends == []
    short = methods(c=(0.97, 0.96, 0.95, 0.94), d=(0.97, 0.96))  # d ends in the midst
    few = draw("accuracy", type(short)(tuple(f for f in short.folders if len(f.parts[-3]) == 1)))
    assert [text.get_text() for text in few.figure.legends[0].get_texts()] == ["c", "d", "dense"]


@pytest.mark.parametrize("heights", [(5, 5, 5, 5), (0, 1, 50, 49), (99, 100, 100, 3), (200, -7)])
def test_heights_are_moved_as_little_as_can_be(heights):
    found = endings.apart(heights, 10, 0, 100)
    order = np.argsort(heights, kind="stable")
    assert (np.diff(found[order]) >= 10 - 1e-9).all()
    assert found.min() >= 0
    assert found.max() <= 100
    grid = np.arange(0, 101)
    best = min(
        sum((h - p) ** 2 for h, p in zip(np.asarray(heights)[order], spots, strict=True))
        for spots in placements(grid, len(heights), 10)
    )
    own = sum((h - p) ** 2 for h, p in zip(heights, found, strict=True))
    assert own <= best + 1e-9


def placements(grid, number, line, first=0):
    """Yield all placements of so many heights, `line` apart or more, in steps that are enough."""
    if not number:
        yield ()
        return
    for at in grid[grid >= first][:: 1 if number < 3 else 5]:
        for rest in placements(grid, number - 1, line, at + line):
            yield (at, *rest)


@pytest.mark.slow
def test_y_is_cut_where_one_method_squashes_the_others_and_the_figure_says_so(methods):
    runs = methods(
        a=(0.97, 0.965, 0.96, 0.958), b=(0.97, 0.96, 0.95, 0.1), c=(0.97, 0.96, 0.95, 0.94)
    )
    drawn = draw("accuracy", runs)
    (axes,) = drawn.figure.axes
    low, high = axes.get_ylim()
    others = drawn.table[drawn.table["line"] != "b"]
    assert 90 < low < 100 * others["test_accuracy_low"].min()
    assert 100 * others["test_accuracy_high"].max() < high < 100
    said = axes.get_title(loc="left").replace("\n", " ")
    reached = 100 * drawn.table.set_index(["line", "level"]).loc[("b", 3), "test_accuracy"]
    assert said == f"not shown, below {low:.3g} %: b down to {reached:.3g} %"
    assert drawn.notes[-1] == f"y is cut; {said} (ylim=[0,100] shows all)"
    (text,) = [text for text in axes.texts if text.get_text() == "b"]
    (arrow,) = [one for one in drawn.figure.artists if one.xy1 == text.get_position()]
    assert arrow.xy2[1] == low  # the edge behind which it lies
    (box,) = boxes(drawn, [text])
    assert box.y0 >= axes.get_window_extent().y0 - 0.5
    whole = draw("accuracy", runs, {"ylim": [0, 100]})
    assert whole.figure.axes[0].get_ylim() == (0, 100)
    assert whole.figure.axes[0].get_title(loc="left") == ""
    points = draw("accuracy", runs, {"y": "change"})
    assert points.figure.axes[0].get_ylim()[0] > -10
    assert "b down to -8" in points.figure.axes[0].get_title(loc="left")


def test_y_is_not_cut_where_all_can_be_read(methods):
    runs = methods(a=(0.97, 0.965, 0.96, 0.958), b=(0.97, 0.96, 0.94, 0.90))
    (axes,) = draw("accuracy", runs).figure.axes
    assert axes.get_ylim()[0] < 90
    assert axes.get_title(loc="left") == ""
    alone = type(runs)(runs.folders[-3:])
    assert draw("accuracy", alone).figure.axes[0].get_title(loc="left") == ""


def test_half_of_the_lines_or_more_are_seen_whole():
    spans = [(90, 98), (91, 99), (92, 97), (10, 98), (12, 98)]
    assert cuts.edge(spans, [97], 2) == 90
    assert cuts.edge(spans[2:], [97], 2) == -math.inf  # two of three fall
    assert cuts.edge([(96.9, 97), (90, 97)], [97], 2) == -math.inf  # 7 points: no squashing
    assert cuts.edge([(96.9, 97), (50, 97)], [97], 2) == 96.9
    assert cuts.edge([(-0.3, -0.1), (-0.4, -0.1), (-50, -0.1)], [], 0) == -0.4  # losses, from above


def test_change_is_paired_by_replicate_and_in_points(methods):
    runs = methods(a=(0.97, 0.96, 0.95), b=(0.98, 0.97, 0.96))
    drawn = draw("accuracy", runs, {"y": "change"})
    levels = runs.levels
    dense = levels[levels["level"] == 0].set_index(["name", "replicate"])["test_accuracy"]
    for row in drawn.table.to_dict("records"):
        own = levels[(levels["name"] == row["name"]) & (levels["level"] == row["level"])]
        values = [
            100 * (one["test_accuracy"] - dense[(one["name"], one["replicate"])])
            for one in own.to_dict("records")
        ]
        assert row["change"] == pytest.approx(fmean(values))
        spread = 4.302653 * np.std(values, ddof=1) / math.sqrt(3)
        assert row["change_high"] - row["change"] == pytest.approx(spread, abs=1e-5)
    (axes,) = drawn.figure.axes
    assert axes.get_ylabel() == "change to dense (points)"
    assert axes.get_ylim()[0] < -1
    assert [text.get_text() for text in axes.texts] == ["a", "b", "dense"]  # of both, the 0
    validation = draw("accuracy", runs, {"y": "change_val_accuracy"})
    assert validation.figure.axes[0].get_ylabel() == "validation accuracy: change to dense (points)"
    with pytest.raises(UsageError, match="y=change_speed is no column of numbers"):
        draw("accuracy", runs, {"y": "change_speed"})


def test_runs_without_a_dense_net_have_no_change(methods, fabricate, tmp_path):
    runs = methods(a=(0.97, 0.96, 0.95))
    fabricate(name="t", ident="t" * 10, densities=(0.5, 0.4), test=(0.9, 0.8), key=("x", "y"),
              choices={"prune": "ticket"})  # fmt: skip
    runs = load(tmp_path / "outputs")
    drawn = draw("accuracy", runs, {"y": "change"})
    assert set(drawn.table["line"]) == {"a"}
    assert drawn.notes == ["ticket: left out, it has no dense net to be compared with"]
    with pytest.raises(UsageError, match="accuracy: these runs have no value of change"):
        draw("accuracy", type(runs)(runs.folders[-1:]), {"y": "change"})


def test_draw_takes_keywords_and_the_runs_first_or_second(methods):
    import lottery

    runs = methods(a=(0.97, 0.96, 0.95), b=(0.98, 0.97, 0.96))
    drawn = lottery.draw(runs, "accuracy", y="change", ylim=(-5, 1), branch="all")
    assert drawn.figure.axes[0].get_ylim() == (-5, 1)
    assert "change" in drawn.table
    by_settings = {"y": "change", "ylim": [-5, 1], "branch": ["all"]}
    assert lottery.draw("accuracy", runs, by_settings).table.equals(drawn.table)
    with pytest.raises(UsageError, match="accuracy has no setting 'colour'"):
        lottery.draw("accuracy", runs, colour="red")
    for words in (("accuracy", "outputs"), (runs, runs)):
        with pytest.raises(UsageError, match="give a figure and runs"):
            lottery.draw(*words)


def test_runs_are_a_table_in_a_notebook_and_nothing_in_it_is_obeyed(fabricate, tmp_path):
    from html.parser import HTMLParser

    fabricate(name="<script>x", choices={"prune": "a<b & c"})
    fabricate(ident="b" * 10, test=(0.97, 0.9566))
    text = load(tmp_path / "outputs")._repr_html_()
    tags, words = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)
    parser.handle_data = words.append
    parser.feed(text)
    assert set(tags) == {"table", "thead", "tbody", "tr", "th", "td", "p"}
    assert tags.count("tr") == 3
    assert {"<script>x", "a<b & c", "95.66", "done", "2 runs"} <= set(words)
    assert load(tmp_path / "outputs", "method=a<b & c")._repr_html_().count("<tr>") == 2
    from lottery.results.tidy import Runs

    assert Runs(())._repr_html_() == "<p>0 runs</p>"


def test_the_band_of_dense_nets_ends_at_the_last_step():
    axes = Figure().subplots()
    dense = pd.DataFrame({"key": ["a", "b", "c"], "best_step": [42, 56, 56], "step": 56})
    strokes.dense_lines(axes, [({"x"}, {"a", "b", "c"})], dense, "best_step", {}, False)
    (band,) = axes.patches
    assert band.get_y() + band.get_height() == pytest.approx(56)
