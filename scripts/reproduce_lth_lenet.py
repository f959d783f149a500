"""Turn the runs of experiment=lth_lenet_mnist into the table and the figure of the README.

    lottery run -m experiment=lth_lenet_mnist replicate=0,1,2
    python scripts/reproduce_lth_lenet.py [OUTPUTS] [FOLDER]

Reads OUTPUTS (default: outputs) and writes lth_lenet_mnist.csv, .md and .png to FOLDER (default:
benchmarks).
"""

import sys
from pathlib import Path

import matplotlib
import pandas as pd

from lottery.results import results

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (after the choice of a backend)

ARMS = {  # name -> (label, colour, marker); colours of Okabe and Ito, told apart by every eye
    "ticket": ("ticket (original initialisation)", "#0072B2", "o"),
    "reinit": ("same mask, random re-initialisation", "#D55E00", "s"),
    "shuffle": ("random mask, same layer densities", "#009E73", "^"),
}


def main(outputs: Path, folder: Path) -> None:
    """Write the three files."""
    rows = gather(outputs)
    table = summary(rows)
    folder.mkdir(exist_ok=True)
    rows.to_csv(folder / "lth_lenet_mnist.csv", index=False)
    (folder / "lth_lenet_mnist.md").write_text(markdown(table))
    draw(table, folder / "lth_lenet_mnist.png")
    print(compact(table))


def gather(outputs: Path) -> pd.DataFrame:
    """Return a row a replicate, level and arm."""
    frames = []
    for run in outputs.glob("lth_lenet_mnist/*/replicate_*"):
        arms = [results.metrics(run).assign(branch="ticket"), results.branches(run)]
        frames.append(pd.concat([a for a in arms if len(a)]).assign(replicate=run.name[10:]))
    if not frames:
        sys.exit(f"no runs of lth_lenet_mnist under {outputs}; see the head of this file")
    rows = pd.concat(frames).rename(columns={"branch": "arm"})
    # A level counts once all replicates have it: means over different replicates do not compare.
    done = rows.groupby(["level", "arm"])["replicate"].transform("nunique")
    return rows[done == rows["replicate"].nunique()].sort_values(["level", "arm", "replicate"])


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean, minimum and maximum over the replicates, a row a level and arm."""
    columns = ["test_accuracy", "best_test_accuracy", "best_step"]
    grouped = rows.groupby(["level", "arm"])
    table = grouped[columns].agg(["mean", "min", "max"])
    table.columns = ["_".join(c) for c in table.columns]
    table["density"] = grouped["density"].first()
    table["replicates"] = grouped["replicate"].nunique()
    return table.reset_index()


def markdown(table: pd.DataFrame) -> str:
    """Return the table for people: mean (min-max)."""
    lines = [
        "| kept % | arm | test acc. at the end | test acc. at early stop | early-stop step |",
        "|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        cells = [f"{100 * row['density']:.1f}", row["arm"] if row["level"] else "dense"]
        for column in ("test_accuracy", "best_test_accuracy"):
            mean, low, high = (100 * row[f"{column}_{k}"] for k in ("mean", "min", "max"))
            cells.append(f"{mean:.2f} ({low:.2f}-{high:.2f})")
        steps = [row[f"best_step_{k}"] for k in ("mean", "min", "max")]
        cells.append(f"{steps[0]:,.0f} ({steps[1]:,.0f}-{steps[2]:,.0f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def compact(table: pd.DataFrame) -> str:
    """Return the table of the README: the levels that have all arms, accuracies at early stop."""
    arms = list(ARMS)
    lines = [
        "| kept % | " + " | ".join(f"{arm}: acc." for arm in arms) + " | "
        + " | ".join(f"{arm}: step" for arm in arms) + " |",
        "|" + "---|" * (1 + 2 * len(arms)),
    ]  # fmt: skip
    for level, part in table.groupby("level"):
        rows = part.set_index("arm").to_dict("index")
        if level and len(rows) < len(arms):
            continue
        cells = [f"{100 * rows['ticket']['density']:.1f}"]
        for column, scale, form in (("best_test_accuracy", 100, "{:.2f}"), ("best_step", 1, "{:,.0f}")):
            for arm in arms:
                if arm in rows:
                    mean, low, high = (scale * rows[arm][f"{column}_{k}"] for k in ("mean", "min", "max"))
                    cells.append(f"{form.format(mean)} ({form.format(low)}-{form.format(high)})")
                else:
                    cells.append("")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw accuracy and early-stop step against the weights kept, mean and range."""
    plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.9), layout="constrained")
    panels = [("test_accuracy", "test accuracy at the end (%)", 100),
              ("best_step", "step of the lowest validation loss", 1)]  # fmt: skip
    for axis, (column, label, scale) in zip(axes, panels, strict=True):
        for arm, (name, colour, marker) in ARMS.items():
            part = table[table["arm"] == arm]
            x = 100 * part["density"]
            low, high = scale * part[f"{column}_min"], scale * part[f"{column}_max"]
            axis.plot(x, scale * part[f"{column}_mean"], color=colour, marker=marker, ms=3.5,
                      lw=1.2, label=name)  # fmt: skip
            axis.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)
        dense = table[table["level"] == 0].iloc[0]
        level = scale * dense[f"{column}_mean"]
        axis.axhline(level, color="0.5", lw=0.8, ls="--", label="dense net")
        axis.set(xscale="log", xlabel="weights kept (%)", ylabel=label)
        ticks = [100, 51.2, 21, 8.6, 3.5, 1.8]
        axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axis.minorticks_off()
        axis.set_xlim(110, min(100 * table["density"].min() * 0.92, 20))
    axes[0].legend(frameon=False, fontsize=7, loc="lower left")
    figure.savefig(path, dpi=200)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else "outputs"), Path(words[1] if words[1:] else "benchmarks"))
