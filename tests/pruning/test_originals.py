"""The authors' counts against their rules, spelt out in numpy on small arrays with ties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery.config import build
from lottery.errors import UsageError

OPENLTH = {"fraction": 0.2, "ignored": 0}


def allocate(name, scores, kept, density, **more):
    """Return as one numpy array the mask that an allocation gives two layers."""
    half = len(scores) // 2
    split = {"a": slice(0, half), "b": slice(half, None)}
    wide = torch.tensor(scores, dtype=torch.float32)
    held = torch.tensor(kept, dtype=torch.bool)
    found = build.bind("allocation", {"name": name} | more, "here")(
        {n: wide[s].view(1, -1) for n, s in split.items()},
        {n: held[s].view(1, -1) for n, s in split.items()},
        density,
    )
    return torch.cat([found["a"], found["b"]], 1)[0].numpy()


def grasp_rule(saliencies, density):
    """Take the R-th largest of all saliencies; keep those that are not above it."""
    removed = int((1 - density) * len(saliencies))
    if removed == 0:
        return np.ones(len(saliencies), bool)
    threshold = sorted(saliencies, reverse=True)[removed - 1]
    return np.array([s <= threshold for s in saliencies])


def synflow_rule(scores, density):
    """Take the k-th smallest of all scores; remove those that are not above it."""
    number = int((1 - density) * len(scores))
    if number < 1:
        return np.ones(len(scores), bool)
    return np.asarray(scores) > np.sort(scores)[number - 1]


def openlth_rule(scores, kept, fraction, ignored):
    """Sort what is left; the entry at the place ceil(20 % of it), counted from 0, goes as well."""
    left = np.sort([s for s, k in zip(scores, kept, strict=True) if k])
    threshold = left[math.ceil(fraction * (len(left) + ignored))]
    return np.array([bool(k) and s > threshold for s, k in zip(scores, kept, strict=True)])


def test_grasp_removes_one_less_than_asked():
    scores = [5.0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    found = allocate("grasp_original", scores, [1] * 10, 0.7)  # R = 3: two go
    assert found.tolist() == [True, False, False] + [True] * 7
    assert allocate("grasp_original", [1.0, 1, 1, 2], [1] * 4, 0.25).all()  # R = 3, a tie of three


def test_synflow_removes_all_ties():
    assert allocate("synflow_original", [1.0, 2, 3, 4], [1] * 4, 0.5).tolist() == [0, 0, 1, 1]
    assert allocate("synflow_original", [1.0, 2, 2, 4], [1] * 4, 0.5).tolist() == [0, 0, 0, 1]
    assert allocate("synflow_original", [1.0, 2, 2, 4], [1] * 4, 0.8).all()  # k = 0


def test_openlth_removes_one_more_than_a_fifth():
    scores = [5.0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    found = allocate("openlth", scores, [1] * 10, 0.8, **OPENLTH)
    assert [s for s, k in zip(scores, found) if not k] == [1, 2, 3]
    more = allocate("openlth", scores, [1] * 10, 0.8, **(OPENLTH | {"ignored": 4}))
    assert [s for s, k in zip(scores, more) if not k] == [1, 2, 3, 4]  # ceil(0.2 * 14) + 1
    tie = allocate("openlth", [1.0, 2, 2, 2, 5, 6, 7, 8, 9, 10], [1] * 10, 0.8, **OPENLTH)
    assert tie.sum() == 6


ties = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=14)


@settings(max_examples=150, deadline=None)
@given(ties, st.floats(0.01, 1.0))
def test_grasp_is_the_rule(scores, density):
    found = allocate("grasp_original", scores, [1] * len(scores), density)
    assert found.tolist() == grasp_rule([-s for s in scores], density).tolist()


@settings(max_examples=150, deadline=None)
@given(st.data(), ties, st.floats(0.01, 1.0))
def test_synflow_is_the_rule_with_pruned_scores_of_zero(data, scores, density):
    kept = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    masked = [abs(s) if k else 0.0 for s, k in zip(scores, kept, strict=True)]
    found = allocate("synflow_original", np.abs(scores), kept, density)
    assert found.tolist() == (synflow_rule(masked, density) & np.array(kept)).tolist()


@settings(max_examples=150, deadline=None)
@given(st.data(), ties, st.floats(0.0, 0.9), st.integers(0, 3))
def test_openlth_is_the_rule_and_never_empties_the_net(data, scores, fraction, ignored):
    kept = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    how = {"fraction": fraction, "ignored": ignored}
    if math.ceil(fraction * (sum(kept) + ignored)) >= sum(kept):
        with pytest.raises(UsageError, match="would remove"):
            allocate("openlth", scores, kept, 0.5, **how)
        return
    found = allocate("openlth", scores, kept, 0.5, **how)
    assert found.tolist() == openlth_rule(scores, kept, fraction, ignored).tolist()


def test_grasp_counts_weights_that_were_pruned_before():
    found = allocate("grasp_original", [9.0, 1, 2, 3, 4], [0, 1, 1, 1, 1], 0.4)  # R = 3: one more
    assert found.tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("more", "words"),
    [({"fraction": 1.0}, "fraction: 1.0 is outside"), ({"ignored": -1}, "ignored: -1 is below 0")],
)
def test_openlth_settings_that_cannot_be(more, words):
    with pytest.raises(UsageError, match=words):
        allocate("openlth", [1.0, 2.0], [1, 1], 0.5, **(OPENLTH | more))


def test_openlth_of_lenet_leaves_its_own_counts():
    """Of 266,200 weights it leaves 212,959, then 170,366: a weight less than a fifth each time."""
    scores = np.random.default_rng(0).permutation(266_200).astype(float)
    kept = np.ones(266_200, bool)
    for expected in (212_959, 170_366):
        kept = allocate("openlth", scores, kept, 0.8, **OPENLTH)
        assert kept.sum() == expected


@pytest.mark.parametrize(
    ("preset", "kept"), [("snip_original", 67), ("grasp_original", 69), ("synflow_original", 68)]
)
def test_presets_end_at_their_counts(run, preset, kept):
    """Of 80 weights 67.2 are to stay and 12.8 to go: 67 stay, or int(12.8) - 1 go, or int(12.8)."""
    folder = run(f"prune={preset}", "levels=1", "schedule.keep=0.84")
    row = (folder / "metrics.csv").read_text().splitlines()[2]
    assert str(kept) in row.split(","), row


def test_the_openlth_preset_removes_a_weight_more_each_level(run):
    folder = run("prune=openlth", "levels=2")
    header, _, one, two = (line.split(",") for line in (folder / "metrics.csv").read_text().splitlines())
    column = header.index("kept")
    assert [one[column], two[column]] == ["63", "49"]  # 80 - 17, 63 - 14
