"""Show one run: its levels, its branches, its state.

usage: lottery show RUN [outputs=DIR]

RUN is a path, an id or the start of one, or a run's name; add /replicate_1 to pick a replicate.
"""

from pathlib import Path

from lottery.commands import options
from lottery.errors import UsageError
from lottery.wording import printable


def main(arguments: list[str]) -> int:
    """Print the run; return the exit code."""
    words, chosen = options(arguments, __doc__, {"outputs": "outputs"})
    if words is None:
        return 0
    if len(words) != 1:
        raise UsageError("show: name one run (lottery ls lists them)")
    from lottery import results, sanity
    from lottery.records import read_record

    folder = results.find_run(Path(chosen["outputs"]), words[0])
    record = read_record(folder)
    print(printable(folder))
    for key in (
        "state",
        "command",
        "started",
        "ended",
        "seconds",
        "device",
        "threads",
        "torch",
        "lottery",
        "git",
        "host",
        "error",
    ):
        if record.get(key) is not None:
            value = record[key]
            said = f"{value:.1f}" if isinstance(value, float) else printable(value)
            print(f"  {key:<9} {said}")
    for line in record.get("drift", []):
        print(f"  drift     {printable(line)}")
    levels = results.metrics(folder)
    if len(levels):
        print("\n" + results.level_table(levels.to_dict("records")))
    branches = results.branches(folder)
    for name, rows in branches.groupby("branch", sort=False) if len(branches) else ():
        print(f"\nbranch {printable(name)}")
        dense = levels.iloc[:1].to_dict("records")
        print(results.level_table(dense + rows.to_dict("records")))
    judged = sanity.judge(sorted(folder.parent.glob("replicate_*")))
    if judged:
        print(f"\n{sanity.HEADING}\n{sanity.sanity_table(judged)}")
    return 0
