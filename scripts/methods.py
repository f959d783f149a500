"""Write the tables of methods and the list of options from the yaml files in conf/.

python scripts/methods.py           writes README.md, docs/methods.md and docs/options.md
python scripts/methods.py --check   exits 1 where one of them says something else
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"
HEAD = ("prune=", "paper", "criterion", "scored at", "rounds", "structure", "allocation", "prunes", "mask in training")
GROUPS = {  # the order in docs/options.md, and what each chooses
    "model": "the net",
    "dataset": "what there is to learn",
    "train": "the recipe; by default the one named after the data set",
    "train/optimizer": "the optimizer of the recipe",
    "train/lr": "the learning rate over the steps",
    "start": "the weights of step 0",
    "prune": "how a mask is made; the columns of each row are in [methods](methods.md)",
    "prune/structure": "what is removed together",
    "prune/allocation": "how the density is spread over the layers",
    "prune/update": "how the mask changes while a level trains",
    "prune/at": "a rule that finds while training when the mask is made; a step is `prune.at=5ep`",
    "schedule": "the density of each level",
    "rewind": "what each level starts from",
    "branch": "follow-ups of a finished level, several as `branch=[shuffle,reinit]`",
    "analysis": "what is asked of finished levels, several as `analysis=[connectivity,stability]`",
    "experiment": "presets: several of the above at once, mostly those of a paper",
    "host": "the machine; never changes what a run is",
    "log": "who else is told while it runs, several as `log=[tensorboard,wandb]`",
    "figure": "what `lottery plot` draws",
}


def main(arguments: list[str]) -> int:
    """Write or check the pages; return the exit code."""
    wrong = []
    for name, mark, made in (
        ("README.md", "methods", short()),
        ("docs/methods.md", "methods", table() + "\n" + sentences()),
        ("docs/options.md", "options", options()),
    ):
        path = ROOT / name
        wanted = between(path, mark, made)
        if "--check" not in arguments:
            path.write_text(wanted)
        elif path.read_text() != wanted:
            wrong.append(name)
    if wrong:
        print(f"{', '.join(wrong)}: not what conf/ says; run python scripts/methods.py")
    return int(bool(wrong))


def between(path: Path, mark: str, made: str) -> str:
    """Return the text of a page with what stands between its two comments replaced."""
    begin, end = f"<!-- {mark}: python scripts/methods.py -->\n", f"<!-- end of {mark} -->\n"
    before, rest = path.read_text().split(begin)
    return f"{before}{begin}{made}{end}{rest.split(end)[1]}"


def rows() -> dict[str, dict[str, Any]]:
    """Return the rows of the method table by name, with the options of their columns."""
    found = {}
    for path in sorted((CONF / "prune").glob("*.yaml")):
        row = yaml.safe_load(path.read_text())
        parts = {k: v for part in row["defaults"] if isinstance(part, dict) for k, v in part.items()}
        found[path.stem] = row | {k: v for k, v in parts.items() if v is not None}
    return found


def short() -> str:
    """Return the methods of each kind, a line a kind."""
    kinds: dict[str, list[str]] = {
        "after training, a level from the level before": [],
        "after training, each level from the dense net": [],
        "at initialization or early in training": [],
        "at initialization, and the mask moves in training": [],
    }
    after_level, after_dense, early, moving = kinds.values()
    for name, row in rows().items():
        late = after_level if row["nested"] else after_dense
        kind = moving if row["update"] != "static" else late if row["at"] == "end" else early
        kind.append(f"`{name}`")
    return "| a mask is made | `prune=` |\n| --- | --- |\n" + "".join(f"| {kind} | {' '.join(names)} |\n" for kind, names in kinds.items())


def table() -> str:
    """Return the rows of conf/prune/ as a markdown table."""
    lines = [HEAD, ["---"] * len(HEAD), *(cells(name, row) for name, row in rows().items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(name: str, row: dict[str, Any]) -> list[str]:
    """Return one row: its name, its paper and its columns."""
    rounds = str(row["rounds"]) + (" (may return)" if row["revive"] else "")
    return [
        f"`{name}`",
        paper(CONF / "prune" / f"{name}.yaml"),
        row["criterion"]["name"],
        row["at"],
        rounds,
        str(row["structure"]),
        str(row["allocation"]),
        "the level before" if row["nested"] else "the dense net",
        str(row["update"]),
    ]


def paper(path: Path) -> str:
    """Return the paper that the first line of a row names in brackets."""
    line = path.read_text().splitlines()[0]
    found = re.search(r"\(([^()]*\d{4}[^()]*)\)", line)
    if not found:
        raise SystemExit(f"{path}: its first line names no paper, as (Frankle & Carbin 2019)")
    return found[1]


def sentences() -> str:
    """Return what each method does, as the head of its file has it."""
    return "".join(f"- **`{name}`**: {head(CONF / 'prune' / f'{name}.yaml')}\n" for name in rows())


def head(path: Path) -> str:
    """Return the comment that a yaml begins with, on one line."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").strip())
    if not lines:
        raise SystemExit(f"{path}: it does not begin with a comment that says what it is")
    return " ".join(lines)


def options() -> str:
    """Return every option of every group with what it is, a heading a group."""
    there = {p.parent.relative_to(CONF).as_posix() for p in CONF.glob("*/**/*.yaml")}
    if unknown := there - GROUPS.keys():
        raise SystemExit(f"conf/{sorted(unknown)[0]}: say in GROUPS of this script what it chooses")
    parts = []
    for group, what in GROUPS.items():
        if group in there:
            files = sorted((CONF / group).glob("*.yaml"))
            listed = "".join(f"- [`{p.stem}`](../conf/{group}/{p.name}): {head(p)}\n" for p in files)
            parts.append(f"## `{group}=`\n\n{what[0].upper()}{what[1:]}.\n\n{listed}")
    return "\n" + "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
