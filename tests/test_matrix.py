"""Every criterion x structure x allocation x schedule x rewind that makes sense runs two levels."""

import functools
import itertools
import random

import pandas as pd
import pytest
import yaml

from lottery.config import build

CONF = build.conf_dir()
NET = [
    "dataset=digits", "dataset.subsample=60", "dataset.validation=10", "model=resnet20",
    "model.depth=8", "model.width=4", "train.batch_size=20", "train.length=2ep", "levels=2",
    "evaluate_every=end", "host.threads=1", "host.progress=none",
]  # fmt: skip
# Of the rows' settings, those that cost time or that a net trained for six steps cannot meet.
QUICK = {
    "movement": ["prune.criterion.length=2it"],
    "gem_miner": ["prune.criterion.length=3it", "prune.criterion.period=1it"],
    "edge_popup": ["prune.criterion.length=2it"],
    "obd": ["prune.criterion.probes=2", "prune.criterion.size=20"],
    "fisher": ["prune.criterion.size=5"],
    "early": ["prune.at=1ep"],
    "early_bird": ["prune.at.every=1it", "prune.at.window=2", "prune.at.most=4it"],
    **dict.fromkeys(("synflow", "synflow_original", "snip_iterative", "force"), ["prune.rounds=3"]),
}
WHOLE = {"filter", "channel", "neuron", "block", "head"}
COUNTED = {"openlth", "grasp_original", "synflow_original"}  # allocations with counts of their own


def names(group):
    return sorted(p.stem for p in (CONF / group).glob("*.yaml"))


AXES = {
    "prune": names("prune"),
    "prune/structure": names("prune/structure"),
    "prune/allocation": names("prune/allocation"),
    "prune/update": names("prune/update"),
    "schedule": names("schedule"),
    "rewind": [name for name in names("rewind") if name not in ("ticket", "scored")],  # test_transfer.py, test_moments.py
}


@functools.cache  # twelve thousand rows are asked about while pytest collects
def preset(name):
    return yaml.safe_load((CONF / "prune" / f"{name}.yaml").read_text())


def reason(row):
    """Return why a row makes no sense, as a part of the line that says so; None where it does."""
    structure, allocation = row["prune/structure"], row["prune/allocation"]
    exact = preset(row["prune"])["exact"]
    if structure == "neuron":
        return "no unit that this structure may remove"
    if structure == "unit":
        return "for nets that are stacked"
    if structure == "head":
        return "no attention whose heads are known"
    if structure in WHOLE and allocation == "erk" and structure != "block":
        return "erk"
    if structure in WHOLE and allocation == "openlth":
        return "prune.exact=false" if exact else "the lowest that this structure reaches"
    if row["rewind"] == "finetune" and row["prune/update"] != "static":
        return "where this rewind starts"
    if structure in WHOLE | {"n_m"} and row["prune/update"] != "static":
        return "moves single weights"
    if structure in WHOLE - {"block"} and allocation == "given":
        return "only the table has a layer"
    if allocation in COUNTED and exact:
        return "prune.exact=false"
    return None


def pairs(row):
    return set(itertools.combinations(sorted(row.items()), 2))


def covering(axes, tries=40):
    """Return rows that make sense, in which any two values that can go together meet (greedy)."""
    draw = random.Random(0)
    keys = sorted(axes)
    two = itertools.combinations(keys, 2)
    missing = {((a, x), (b, y)) for a, b in two for x in axes[a] for y in axes[b]}
    rows = []
    while missing:
        wanted = dict(min(missing))
        drawn = ({k: wanted.get(k) or draw.choice(axes[k]) for k in keys} for _ in range(tries))
        sensible = [row for row in drawn if reason(row) is None]
        if not sensible:  # these two never go together
            missing -= {tuple(sorted(wanted.items()))}
            continue
        best = max(sensible, key=lambda row: len(pairs(row) & missing))
        rows.append(best)
        missing -= pairs(best)
    return rows


ROWS = covering(AXES)
EACH = list({row["prune"]: row for row in ROWS}.values())[::4]


def words(row, tmp_path):
    schedule = {
        "geometric": ["schedule.keep=0.5"],
        "linear": ["schedule.step=0.3"],
        "listed": ["schedule.densities=[0.5,0.3]"],
        "compression": ["schedule.step=0.35"],
    }[row["schedule"]]
    rewind = {"step": ["rewind.to=1ep"], "finetune": ["rewind.steps=2it"]}.get(row["rewind"], [])
    table = [f"prune.allocation.path={tmp_path}/densities.csv"]
    more = table if row["prune/allocation"] == "given" else []
    more += ["prune.update.every=2it"] if row["prune/update"] != "static" else []
    more += ["prune.structure.n=3"] if row["prune/structure"] == "n_m" else []  # up to 0.75
    return [f"{k}={v}" for k, v in row.items()] + schedule + rewind + more + QUICK.get(row["prune"], [])


def layers():
    """Return the layers of the net and their sizes."""
    widths = [4, 4, 8, 16]
    found = {"conv": 4 * 1 * 9}
    for block, (before, after) in enumerate(itertools.pairwise(widths)):
        found[f"blocks.{block}.conv1"] = after * before * 9
        found[f"blocks.{block}.conv2"] = after * after * 9
        if before != after:
            found[f"blocks.{block}.shortcut.conv"] = after * before
    return found | {"fc": 160}


def check_row(lottery, tmp_path, row):
    lines = "".join(f"{name},0.5\n" for name in layers())
    (tmp_path / "densities.csv").write_text(f"layer,density\n{lines}")
    assert lottery("-v", "run", *NET, *words(row, tmp_path)) == 0
    (folder,) = tmp_path.glob("outputs/*/*/replicate_0")
    table = pd.read_csv(folder / "metrics.csv")
    asked = [round(d * table["total"][0]) for d in DENSITIES[row["schedule"]]]
    kept = table["kept"].tolist()[1:]
    exact = preset(row["prune"])["exact"]
    if row["prune/structure"] in WHOLE:
        assert all(0 < k <= a for k, a in zip(kept, asked))
    elif exact:
        assert kept == asked
    else:
        assert all(k < table["total"][0] for k in kept)


DENSITIES = {
    "geometric": [0.5, 0.25],
    "linear": [0.7, 0.4],
    "listed": [0.5, 0.3],
    "compression": [10**-0.35, 10**-0.7],
}


@pytest.mark.parametrize("row", EACH, ids=lambda r: "-".join(r.values()))
def test_rows_of_the_table_run_two_levels(lottery, tmp_path, row):
    check_row(lottery, tmp_path, row)


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for r in ROWS if r not in EACH], ids=lambda r: "-".join(r.values()))
def test_every_pair_that_goes_together_runs_two_levels(lottery, tmp_path, row):
    check_row(lottery, tmp_path, row)


REFUSED = [
    {"prune/structure": "neuron"},
    {"prune/structure": "unit"},
    {"prune/structure": "head"},
    {"prune/structure": "filter", "prune/allocation": "erk"},
    {"prune/structure": "channel", "prune/allocation": "erk"},
    {"prune/structure": "filter", "prune/allocation": "given"},
    {"prune/structure": "filter", "prune/update": "rigl"},
    {"prune/structure": "block", "prune/update": "set"},
    {"prune/structure": "n_m", "prune/update": "rigl"},
    {"rewind": "finetune", "prune/update": "set"},
    {"prune/allocation": "openlth"},
    {"prune/allocation": "grasp_original"},
    {"prune/allocation": "synflow_original"},
]
PLAIN = {
    "prune": "imp", "prune/structure": "weight", "prune/allocation": "globally",
    "prune/update": "static", "schedule": "listed", "rewind": "init",
}  # fmt: skip


@pytest.mark.parametrize("change", REFUSED, ids=lambda c: "-".join(c.values()))
def test_what_makes_no_sense_is_refused_before_training(lottery, tmp_path, capsys, change):
    row = PLAIN | change
    lines = "".join(f"{name},0.5\n" for name in layers())
    (tmp_path / "densities.csv").write_text(f"layer,density\n{lines}")
    assert lottery("run", *NET, *words(row, tmp_path)) == 2
    err = capsys.readouterr().err
    assert reason(row) in err
    assert err.count("\n") == 1
    assert not (tmp_path / "outputs").exists()
