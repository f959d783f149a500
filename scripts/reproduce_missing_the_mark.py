"""Turn the runs of experiment=missing_the_mark_digits (or _mnist) into tables and a figure.

    lottery run -m experiment=missing_the_mark_digits
    lottery run -m experiment=missing_the_mark_digits prune=oneshot rewind=lr
    python scripts/reproduce_missing_the_mark.py digits [OUTPUTS] [FOLDER]

Reads OUTPUTS (default: outputs) and writes missing_the_mark_digits.csv, .md and .png to FOLDER
(default: benchmarks). Where OUTPUTS is such a .csv, its numbers are judged and drawn anew, and the
head of the .md beside it stays.
"""

import sys
from pathlib import Path

import matplotlib
import pandas as pd
import yaml

from lottery.results import results, sanity, stats
from lottery.storage.records import read_run
from lottery.terms.metric import ACCURACY

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (after the choice of a backend)

METHODS = {  # (prune, rewind) -> label
    ("random", "init"): "random",
    ("magnitude_init", "init"): "magnitude at init",
    ("snip", "init"): "SNIP",
    ("grasp", "init"): "GraSP",
    ("synflow", "init"): "SynFlow",
    ("oneshot", "lr"): "magnitude after training",
    ("oneshot", "init"): "the same, rewound to init",
}
ARMS = {  # name -> (label, colour, marker); colours of Okabe and Ito, told apart by every eye
    "ticket": ("as pruned", "#000000", "o"),
    "shuffle": ("mask shuffled within layers", "#009E73", "^"),
    "random": ("random mask, same layer densities", "#56B4E9", "v"),
    "reinit": ("weights drawn anew", "#D55E00", "s"),
}


def main(data: str, outputs: Path, folder: Path) -> None:
    """Write the three files and print the tables."""
    name = f"missing_the_mark_{data}"
    folder.mkdir(exist_ok=True)
    if outputs.suffix == ".csv":
        rows = pd.read_csv(outputs)
        first = "\n".join(outputs.with_suffix(".md").read_text().splitlines()[:3]) + "\n"
    else:
        rows, first = gather(data, outputs), head(data, outputs)
        rows.to_csv(folder / f"{name}.csv", index=False)
    text = f"{first}\n{accuracies(rows)}\n{judgements(judge(rows))}"
    (folder / f"{name}.md").write_text(text)
    draw(rows, folder / f"{name}.png")
    print(text)


def gather(data: str, outputs: Path) -> pd.DataFrame:
    """Return a row a method, replicate, level and arm."""
    frames = []
    for (prune, rewind), method in METHODS.items():
        bases = [
            base
            for base in sorted(outputs.glob(f"missing_the_mark_{data}_{prune}/*"))
            if rewinds(base) == rewind
        ]
        if len(bases) != 1:
            sys.exit(f"{method}: {len(bases)} configs under {outputs}, one is needed; see the head of this file")
        for run in sorted(bases[0].glob("replicate_*")):
            arms = [results.metrics(run).assign(branch="ticket"), results.branches(run)]
            arm = pd.concat([a for a in arms if len(a)]).assign(replicate=int(run.name[10:]), method=method)
            frames.append(arm.rename(columns={"branch": "arm"}))
    keep = ["method", "replicate", "level", "arm", "density", "kept", "total", "effective_density",
            "collapsed_layers", "val_accuracy", "test_accuracy"]  # fmt: skip
    return pd.concat(frames)[keep]


def judge(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the verdict of each method and level, by the rule of `lottery show`."""
    verdicts = []
    for method in METHODS.values():
        of_method = rows[rows["method"] == method]
        frames = [arms_of(part) for _, part in of_method.groupby("replicate")]
        verdicts.append(pd.DataFrame(sanity.judged(frames)).assign(method=method))
    return pd.concat(verdicts)


def arms_of(part: pd.DataFrame) -> pd.DataFrame:
    """Return level, density and a column an arm, the test accuracies of one replicate."""
    wide = part.pivot_table(index=["level"], columns="arm", values="test_accuracy").dropna()
    density = part[part["arm"] == "ticket"].set_index("level")["density"]
    return wide.join(density).reset_index()


def head(data: str, outputs: Path) -> str:
    """Return what was run, when and on what."""
    record = read_run(next(outputs.glob(f"missing_the_mark_{data}_snip/*/replicate_0")))
    config = yaml.safe_load(next(outputs.glob(f"missing_the_mark_{data}_snip/*/replicate_0/config.yaml")).read_text())
    command = f"lottery run -m experiment=missing_the_mark_{data} train.length={config['train']['length']}"
    return (
        f"# Missing the Mark on {data}\n\n`{command}` and the same with `prune=oneshot rewind=lr`, "
        f"{record['started'][:10]}, torch {record['torch']}, {record['device']}, {record['threads']} thread(s) a run. "
        f"Made by `python scripts/reproduce_missing_the_mark.py {data}`.\n"
    )


def rewinds(base: Path) -> str:
    """Return the rewind of a config."""
    found = yaml.safe_load(next(base.glob("replicate_*/config.yaml")).read_text())
    return str(found["rewind"]["name"])


def accuracies(rows: pd.DataFrame) -> str:
    """Return test accuracy by method and density: mean (min-max), and that of the dense net."""
    tickets = rows[rows["arm"] == "ticket"]
    dense = tickets[tickets["level"] == 0].drop_duplicates("replicate")["test_accuracy"]
    pruned = tickets[tickets["level"] > 0]
    densities = sorted(pruned["density"].round(4).unique(), reverse=True)
    lines = [
        f"Test accuracy (%) at the end of training, mean (minimum-maximum) of {len(dense)} replicates; "
        f"dense {spread(dense)}.\n",
        f"| kept % | {' | '.join(METHODS.values())} |",
        "|---|" + "---|" * len(METHODS),
    ]
    for density in densities:
        here = pruned[pruned["density"].round(4) == density]
        cells = [spread(here[here["method"] == m]["test_accuracy"]) for m in METHODS.values()]
        lines.append(f"| {100 * density:.3g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread(values: pd.Series) -> str:
    """Return mean (min-max) in per cent."""
    return f"{100 * values.mean():.2f} ({100 * values.min():.2f}-{100 * values.max():.2f})"


def judgements(verdicts: pd.DataFrame) -> str:
    """Return the verdicts: differences in points with their 95 % intervals."""
    family = verdicts["family"].tolist()
    lines = [
        "Difference in points between the ticket and its controls, with the 95 % interval of the mean "
        "paired difference; *positions* are the shuffled and the random mask together. Verdicts: "
        f"{stats.corrected(min(family), max(family))} of each method, not over the methods.\n",
        "| method | kept % | ticket - positions | ticket - reinit | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in verdicts.to_dict("records"):
        initial = {"ticket": row["ticket"], "difference": row["initial"], "low": row["initial_low"], "high": row["initial_high"]}
        cells = [row["method"], f"{100 * row['density']:.3g}", sanity.around(row, ACCURACY),
                 sanity.around(initial, ACCURACY), row["verdict"]]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Draw a panel a method: the test error of the ticket and its controls by the weights kept."""
    plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(2, 4, figsize=(8.4, 4.2), sharex=True, sharey=True, layout="constrained")
    rows = rows.assign(error=100 - 100 * rows["test_accuracy"])
    dense = rows[(rows["arm"] == "ticket") & (rows["level"] == 0)]["error"].mean()
    for axis, label in zip(axes.flat, METHODS.values()):
        axis.axhline(dense, color="#888888", lw=0.8, ls="--")
        for arm, (name, colour, marker) in ARMS.items():
            part = rows[(rows["method"] == label) & (rows["arm"] == arm) & (rows["level"] > 0)]
            grouped = part.groupby("level")["error"].agg(["mean", "min", "max"])
            x = 100 * part.groupby("level")["density"].mean()
            axis.plot(x, grouped["mean"], color=colour, marker=marker, ms=3.2, lw=1.1, label=name)
            axis.fill_between(x, grouped["min"], grouped["max"], color=colour, alpha=0.13, lw=0)
        axis.set(xscale="log", yscale="log", title=label)
        axis.set_xticks(x, [f"{v:.2g}" for v in x])
        axis.minorticks_off()
    axes[0, 0].invert_xaxis()
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100) if 0.7 * rows["error"].min() < t < 1.3 * rows["error"].max()]
    axes[0, 0].set_yticks(ticks, [str(t) for t in ticks])
    axes[0, 3].tick_params(labelbottom=True)
    axes[1, 3].axis("off")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    line = plt.Line2D([], [], color="#888888", lw=0.8, ls="--")
    axes[1, 3].legend([*handles, line], [*labels, "dense"], loc="center left", frameon=False, fontsize=7.5)
    figure.supxlabel("weights kept (%)", fontsize=9)
    figure.supylabel("test error (%)", fontsize=9)
    figure.savefig(path, dpi=160)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    places = [Path(p) for p in sys.argv[2:]]
    main(sys.argv[1], *places, *[Path("outputs"), Path("benchmarks")][len(places):])
