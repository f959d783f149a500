"""`dataset.classes=[...]`: a data set of some of its classes."""

import json

import pandas as pd
import pytest
import torch

from lottery.errors import UsageError
from lottery.tasks.images.splits import Images
from lottery.tasks.images.subset import some_classes

PIXELS = torch.arange(6, dtype=torch.uint8).reshape(6, 1, 1, 1)
SPLITS = {"train": Images(PIXELS, torch.tensor([0, 1, 2, 3, 1, 2]))}
RUN = ["dataset=digits", "model=lenet_300_100", "model.hidden=[4]", "levels=1", "train.length=1ep", "host.threads=1"]


def test_labels_are_numbered_anew_in_the_order_asked_for():
    found, classes, options = some_classes(SPLITS, 4, {"classes": [2, 1]})
    assert found["train"].labels.tolist() == [1, 0, 1, 0] and classes == 2
    assert found["train"].pixels.flatten().tolist() == [1, 2, 4, 5] and options == {"classes": [2, 1]}
    found, classes, options = some_classes(SPLITS, 4, {"classes": ["c", "a"]}, ["a", "b", "c", "d"])
    assert found["train"].labels.tolist() == [1, 0, 0] and options == {"classes": [2, 0]}


def test_none_is_all_of_them_as_if_there_were_no_such_option():
    found, classes, options = some_classes(SPLITS, 4, {"classes": None, "subsample": 3})
    assert found is SPLITS and classes == 4 and options == {"subsample": 3}


@pytest.mark.parametrize(("asked", "said"), [
    (5, "is no list"), ([1], "needs 2 classes or more"), ([], "needs 2 classes or more"), ([1, 1], "is there twice"),
    ([1, 4], "there is no class 4"), ([True, 1], "there is no class True"), (["cat", 0], "there is no class cat"),
])  # fmt: skip
def test_classes_that_cannot_be_are_refused(asked, said):
    with pytest.raises(UsageError, match=said) as error:
        some_classes(SPLITS, 4, {"classes": asked})
    assert "\n" not in str(error.value)


def test_a_run_of_some_classes_is_another_run_of_other_data(lottery, tmp_path, capsys):
    for more in ([], ["dataset.classes=null"], ["dataset.classes=[3,5,7]"], ["dataset.classes=[5,3,7]"]):
        assert lottery("run", *RUN, *more) == 0
    runs = {path.parent.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("outputs/*/*/*/run.json")}
    assert len(runs) == 3  # null is what stands there anyway
    assert len({run["data"] for run in runs.values()}) == 3
    totals = {int(pd.read_csv(path)["total"].iloc[0]) for path in tmp_path.glob("outputs/*/*/*/metrics.csv")}
    assert totals == {64 * 4 + 4 * 10, 64 * 4 + 4 * 3}
    chances = sorted(round(run["chance"], 2) for run in runs.values())
    assert chances[0] == pytest.approx(0.1, abs=0.02) and min(chances[1:]) > 0.3
