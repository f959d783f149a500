"""Say how large and how fast a level is: dense, masked, compacted, 2:4.

usage: lottery bench RUN level=N|last [branch=NAME] [batch=1] [device=auto] [threads=N] [repeats=50]
                     [warm=5] [format=table|json] [outputs=DIR]

RUN is a path, an id or a name, or filters, as for `lottery show`. Latency is measured here and
now, on examples of zeros: all forms in turns, so that what else the machine does hits them alike,
each over the dense net at that moment. What cannot be measured says why. Sizes are computed or
those of files; what fewer multiplications could save at best is theory: a mask of single weights
saves no time on dense kernels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lottery.commands import one_level, one_of, selection, whole
from lottery.errors import UsageError
from lottery.results.formats import aligned, as_json, wrapped
from lottery.wording.text import in_words, printable

KNOWN = {
    "level": "", "branch": "", "batch": "1", "device": "auto", "threads": "", "repeats": "50",
    "warm": "5", "format": "table", "outputs": "outputs",
}  # fmt: skip
LEAST = {"batch": 1, "repeats": 2, "warm": 0}


def main(arguments: list[str]) -> int:
    """Measure and print; return the exit code."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    wanted = one_level(words, chosen, "bench")
    form = one_of(chosen, "format", ("table", "json"), "bench")
    numbers = {key: number(chosen, key, least) for key, least in LEAST.items()}
    threads = number(chosen, "threads", 1) if chosen["threads"] else None
    from lottery.experiment.measuring import describe
    from lottery.experiment.recorded_run import finished
    from lottery.machine.devices import pick_device
    from lottery.machine.environment import set_up
    from lottery.results import choice

    folder = choice.one(Path(chosen["outputs"]), words, "bench")
    set_up(threads, False)
    device = pick_device(chosen["device"])
    level = finished(folder, wanted, chosen["branch"], "bench")
    report = describe(level, chosen["branch"], device, **numbers)
    print(as_json(report) if form == "json" else wrapped(text(report)))
    return 0


def number(chosen: dict[str, str], key: str, least: int) -> int:
    """Return a setting as a number; raises UsageError for one that is none, or too small."""
    found = whole(chosen[key], least)
    if found is None:
        raise UsageError(f"bench: {key}={chosen[key]} is no number from {least} on")
    return found


def text(report: dict[str, Any]) -> str:
    """Return the report for people."""
    branch = f" {report['branch']}" if report["branch"] else ""
    parts = [
        printable(f"{report['run']} level {report['level']}{branch}")
        + f": density {report['density']:.4g}, {report['kept']:,} of {report['total']:,} weights",
        "",
        size_table(report["size"]),
        "",
        macs_table(report["macs"]),
        "",
        latency_table(report["latency"]),
    ]
    if report["compacted"]:
        parts += [
            "",
            f"outputs of the compacted net: at most {report['compacted']['difference']:.2g} from "
            f"the whole one's (the largest is {report['compacted']['largest_output']:.3g})",
        ]
    return "\n".join(parts)


def size_table(sizes: dict[str, Any]) -> str:
    """Return the sizes as a table."""
    whole = sizes["dense"]["bytes"]
    lines = [
        (
            name,
            f"{size['bytes']:,}",
            in_words(size["bytes"]),
            share(size["bytes"], whole),
            size["how"],
        )
        for name, size in sizes.items()
    ]
    return aligned(("size", "bytes", "", "of dense", ""), lines, ("bytes", "of dense"))


def share(part: float, whole: float) -> str:
    """Return a share in per cent."""
    return f"{100 * part / whole:.1f} %"


def macs_table(macs: dict[str, Any]) -> str:
    """Return multiply-accumulates and what they save at best as a table."""
    if why := macs.get("not_measured"):
        return f"multiply-accumulates: not counted, since {why}"
    names = [name for name in ("dense", "kept", "compacted") if name in macs]
    lines = [
        (
            name, f"{macs[name]:,}", share(macs[name], macs["dense"]),
            f"{macs['speedup'][name]:.2f}x" if macs["speedup"].get(name) else "", "theoretical",
        )
        for name in names
    ]  # fmt: skip
    heads = ("multiply-accumulates", "an example", "of dense", "at best", "")
    return aligned(heads, lines, heads[1:4])


def latency_table(latency: dict[str, Any]) -> str:
    """Return the latencies as a table, with what they were measured on."""
    lines, missing = [], []
    for name, form in latency["forms"].items():
        if why := form.get("not_measured"):
            missing.append(f"{name}: not measured, since {why}")
            continue
        low, middle, high = (f"{1000 * form[key]:.3f}" for key in ("low", "median", "high"))
        ratios = [f"{form[key]:.2f}" for key in ("ratio_low", "ratio", "ratio_high")]
        against = ["", ""] if name == "dense" else [ratios[1], f"{ratios[0]} to {ratios[2]}"]
        lines.append((name, middle, f"{low} to {high}", *against, "measured"))
    heads = ("latency", "ms", "middle 90 %", "of dense", "middle 90 %", "")
    order = "channels-last, " if latency["channels_last"] else ""
    threads = f"{latency['threads']} thread" + "s" * (latency["threads"] > 1)
    return "\n".join(
        [
            aligned(heads, lines, heads[1:5]),
            *missing,
            f"batch of {latency['batch']} on {latency['device']}, {threads}, {order}torch "
            f"{latency['torch']}; {latency['repeats']} repeats after {latency['warm']}, in turns",
            "masked is what training and evaluation use: zeros are multiplied like other values",
        ]
    )
