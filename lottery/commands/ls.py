"""List the runs under outputs/, a line each.

usage: lottery ls [WORD...] [outputs=DIR]

WORD keeps the runs whose name or id holds it.
"""

from pathlib import Path

from lottery.commands import options
from lottery.wording import printable


def main(arguments: list[str]) -> int:
    """Print the table; return the exit code."""
    words, chosen = options(arguments, __doc__, {"outputs": "outputs"})
    if words is None:
        return 0
    from lottery import results

    outputs = Path(chosen["outputs"])
    folders = results.run_folders(outputs)
    rows = [results.describe(f) for f in folders if all(w in str(f) for w in words)]
    if not rows:
        print(f"no runs under {outputs}; start one: lottery run")
        return 0
    heads = ("run", "id", "replicate", "levels", "density", "test", "state", "started")
    cells = [heads, *([cell(r[h]) for h in heads] for r in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    for line in cells:
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )
    return 0


def cell(value: object) -> str:
    """Return a value as it stands in the table."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else printable(value)
