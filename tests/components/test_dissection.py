"""Which concepts units detect, held against loops over hand-made activations."""

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from lottery.components.analyses.dissection import detected, dissection, quantiles
from lottery.errors import UsageError
from lottery.tasks.images.concepts import Concepts, folder_of_concepts, made_up_concepts

DIGITS = ["model=lenet5", "model.padding=2", "model.channels=[3,4]", "model.hidden=5", "dataset.size=8", "levels=1"]

OPTIONS = {"mean": [0.0], "std": [1.0]}  # of pixels


def concepts(*segments, categories):
    return Concepts([f"c{n}" for n in range(len(categories))], torch.tensor(categories), [], list(segments))


def test_the_threshold_has_a_share_above_it():
    made = torch.arange(20.0).view(5, 1, 2, 2)  # 20 activations of a unit in 5 images
    (found,) = quantiles(made, 0.1).tolist()
    assert found == 17 and int((made > found).sum()) == 2
    assert quantiles(made, 0.01).tolist() == [19]  # none of 20
    assert quantiles(torch.zeros(2, 1, 2, 2), 0.5).tolist() == [0]  # ties: at most the share


def test_intersection_over_union_by_hand():
    """Two images of 2 x 2, two units, concepts a and b of one category and c of another."""
    made = torch.tensor([[[[1.0, 0], [0, 0]], [[0, 1], [1, 0]]], [[[0, 0], [0, 1]], [[1, 1], [1, 1]]]])
    one = torch.tensor([[[1, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 0], [0, 0]]]).bool()
    two = torch.tensor([[[0, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 1], [0, 0]]]).bool()  # only c is annotated
    best, which = detected(made, torch.tensor([0.5, 0.5]), concepts(one, two, categories=[0, 0, 1]))
    # unit 0: a 1/1 (the second image does not count), b 0/2, c 0/3; unit 1: a 0/3, b 1/2, c 2/4
    assert best.tolist() == [1.0, 0.5] and which.tolist() == [0, 1]  # a tie goes to the first


def test_it_is_what_loops_over_images_units_and_pixels_find():
    draw = torch.Generator().manual_seed(0)
    made = torch.rand(3, 4, 2, 2, generator=draw)
    segments = [torch.rand(3, 6, 6, generator=draw) > 0.6 for _ in range(2)] + [torch.zeros(3, 6, 6, dtype=torch.bool)]
    thresholds = torch.tensor([0.3, 0.5, 0.6, 2.0])
    found, which = detected(made, thresholds, concepts(*segments, categories=[0, 0, 1]))
    for unit in range(4):
        each = []
        for concept, group in ((0, (0, 1)), (1, (0, 1)), (2, (2,))):
            both = union = 0
            for image, segment in zip(made, segments, strict=True):
                if not any(bool(segment[c].any()) for c in group):
                    continue
                grown = F.interpolate(image[None], (6, 6), mode="bilinear", align_corners=False)[0, unit]
                for y in range(6):
                    for x in range(6):
                        on, there = bool(grown[y, x] > thresholds[unit]), bool(segment[concept, y, x])
                        both, union = both + (on and there), union + (on or there)
            each.append(both / union if union else 0.0)
        assert float(found[unit]) == pytest.approx(max(each)) and int(which[unit]) == each.index(max(each))


@pytest.mark.parametrize(("weight", "name"), [((1.0, -1, -1), "red"), ((-1.0, 1, 1), "cyan"), ((-1.0, -1, 1.5), "blue")])
def test_a_filter_of_a_colour_detects_that_colour(weight, name):
    found = made_up_concepts(144)
    net = nn.Conv2d(3, 1, 1, bias=False)
    net.weight.data = torch.tensor(weight).view(1, 3, 1, 1)
    made = net(torch.stack(found.images).float() / 255).detach()
    best, which = detected(made, quantiles(made, 0.01), found)
    assert found.names[int(which)] == name and float(best) > 0.04


def test_made_up_images_show_each_combination_once_and_always_the_same():
    found = made_up_concepts(144)
    shown = {tuple(s.flatten(1).any(1).nonzero().flatten().tolist()) for s in found.segments}
    assert len(shown) == 144 and all(len(each) == 3 for each in shown)
    assert len(found.names) == 16 and found.categories.tolist() == [0] * 6 + [1] * 6 + [2] * 4
    assert all(torch.equal(a, b) for a, b in zip(found.images, made_up_concepts(144).images, strict=True))
    assert min(int(s.any(0).sum()) for s in found.segments) > 50  # pixels of a shape


def test_a_folder_has_masks_by_category_and_concept(tmp_path):
    with pytest.raises(UsageError, match=r"images/NAME.png"):
        folder_of_concepts(str(tmp_path))
    for place in ("images", "masks/colour/red", "masks/shape/dot"):
        (tmp_path / place).mkdir(parents=True)
    Image.new("RGB", (4, 3), (255, 0, 0)).save(tmp_path / "images" / "a.png")
    mask = Image.new("L", (4, 3))
    mask.putpixel((3, 0), 255)
    mask.save(tmp_path / "masks/colour/red/a.png")
    found = folder_of_concepts(str(tmp_path))
    assert found.names == ["red", "dot"] and found.categories.tolist() == [0, 1]
    assert found.segments[0].nonzero().tolist() == [[0, 0, 3]]
    assert found.annotated(found.segments[0]).tolist() == [True, False]
    fitted = found.fitted((1, 2, 2), OPTIONS)
    assert fitted.shape == (1, 1, 2, 2) and float(fitted.mean()) == pytest.approx(1 / 3, abs=0.01)
    Image.new("L", (2, 2)).save(tmp_path / "masks/shape/dot/a.png")
    with pytest.raises(UsageError, match="not as large"):
        folder_of_concepts(str(tmp_path))
    (tmp_path / "images" / "b.png").write_text("no picture")
    with pytest.raises(UsageError):
        folder_of_concepts(str(tmp_path))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen, self.spare = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1)

    def forward(self, x):
        return self.seen(x)


@pytest.mark.parametrize(
    ("net", "layers", "says"),
    [(Unused(), ["seen", "all"], "spare is not called"), (nn.Flatten(), ["all"], "no convolution")],
)
def test_what_has_no_units_is_said_and_costs_nothing(net, layers, says):
    class Level:
        end, said = type("End", (), {"weights": {}})(), []
        task = type("Task", (), {"input_shape": (1, 4, 4), "options": OPTIONS, "device": "cpu"})()

        def net(self, weights):
            return net

        def advance(self, said):
            pass

        def warn(self, said):
            self.said.append(said)

    level = Level()
    found = dissection(level, path=None, images=2, batch=2, top=0.1, iou=0.1)
    assert [row["layer"] for row in found[""]] == layers
    assert found[""][-1]["units"] == (2 if "seen" in layers else 0)
    assert len(level.said) == 1 and says in level.said[0]


@pytest.mark.slow
def test_units_of_a_run(run, lottery, capsys):
    folder = run(*DIGITS, "analysis=[dissection]", "analyses.dissection.images=12", "analyses.dissection.iou=0.01")
    (path,) = folder.glob("analyses/dissection-*.csv")
    (behind,) = folder.glob("analyses/dissection_units-*.csv")
    rows, units = pd.read_csv(path), pd.read_csv(behind)
    assert rows["units"].tolist() == [3, 4, 7] * 2
    for (level, layer), part in units.groupby(["level", "layer"]):
        own = rows[(rows["level"] == level) & (rows["layer"] == layer)].iloc[0]
        on = part[part["detector"] == "yes"]
        assert (own["detectors"], own["concepts"]) == (len(on), on["concept"].nunique())
    assert lottery("plot", "figure=analysis", "of=dissection", "y=detectors", "to=a.png") == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["top=0"], "top=0.005"), (["path=nowhere"], "path=null"),
    ],
)  # fmt: skip
def test_what_cannot_be_dissected_is_refused(run, words, says, capsys):
    assert run(*DIGITS, "analysis=[dissection]", *(f"analyses.dissection.{w}" for w in words), code=2) is None
    assert says in capsys.readouterr().err.splitlines()[-1]
