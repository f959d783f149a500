"""Write the table of every method in README.md from the rows in conf/prune/.

python scripts/methods.py           writes it
python scripts/methods.py --check   exits 1 where README.md has another one
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- methods: python scripts/methods.py -->\n", "<!-- end of methods -->\n"
HEAD = ("prune=", "paper", "criterion", "scored at", "rounds", "structure", "allocation", "prunes", "mask in training")


def main(arguments: list[str]) -> int:
    """Write or check the table; return the exit code."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    wanted = before + BEGIN + table() + END + after
    if "--check" in arguments:
        if wanted != text:
            print("README.md: its table of methods is not that of conf/prune/; run scripts/methods.py")
        return int(wanted != text)
    readme.write_text(wanted)
    return 0


def table() -> str:
    """Return the rows of conf/prune/ as a markdown table."""
    rows = [cells(path) for path in sorted((ROOT / "conf" / "prune").glob("*.yaml"))]
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(path: Path) -> list[str]:
    """Return one row: its name, its paper and its columns."""
    row = yaml.safe_load(path.read_text())
    chosen = {k: v for part in row["defaults"] if isinstance(part, dict) for k, v in part.items()}
    rounds = str(row["rounds"]) + (" (may return)" if row["revive"] else "")
    return [
        f"`{path.stem}`",
        paper(path),
        row["criterion"]["name"],
        row["at"],
        rounds,
        str(chosen["structure"]),
        str(chosen["allocation"]),
        "the level before" if row["nested"] else "the dense net",
        str(chosen["update"]),
    ]


def paper(path: Path) -> str:
    """Return the paper that the first line of a row names in brackets."""
    line = path.read_text().splitlines()[0]
    found = re.search(r"\(([^()]*\d{4}[^()]*)\)", line)
    if not found:
        raise SystemExit(f"{path}: its first line names no paper, as (Frankle & Carbin 2019)")
    return found[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
