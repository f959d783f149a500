"""Describe a net for those who find it on its own: config.json and a model card."""

import re
from typing import Any

import yaml

from lottery.exchange.transfer import OPTION
from lottery.terms.metric import Measured, metrics_of
from lottery.wording.text import in_markdown, printable, started

KEYS = (
    "world", "input_shape", "outputs", "inputs", "weights", "step", "density", "kept", "total",
    "level", "branch", "began_with", "model", "dataset", "data", "train", "prune", "schedule",
    "rewind", "run", "key", "result", "metrics", "measured_by", "files", "command", "sweep",
    "versions",
)  # fmt: skip
AT = {"start": "before training, at the rewind point (step {step})", "end": "after training"}

CARD = """---
{front}
# license: yours to choose; the tool that wrote this gives none
---

# {model}, {kept:,} of {total:,} weights ({percent:.4g} %), on {dataset}

## What it is

A sparse {model}: of the {total:,} weights that could be pruned, {kept:,} are kept and the others
are exactly 0 (density {density:.6g}). The weights are those {when}.{said}

| | |
|---|---|
{table}

## How it was trained

Level {level}{branch} of the run {run} (method {method}, rewind {rewind}), made with lottery
{lottery} and torch {torch}.{began} {command}

All settings are in config.json.

## How to use it

With torch alone. {inputs}:

```python
import torch

program = torch.export.load("model.pt2")  # weights and code
outputs = program.module()({called}){shape}
```

{library}With a net of your own that has the same parameters, and lottery installed:

```python
import lottery

mask = lottery.load_ticket(model, ".")  # the weights are in place; mask: name -> bool
```

## Files

- `model.safetensors`: the plain state_dict
- `masks.safetensors`: name of each pruned weight -> bool of its shape, True = kept
- `model.pt2`: the net as a program of torch.export, the number of examples free
- `config.json`: every setting
{files}"""

LIBRARY = """With {name} and the tokenizer beside it:

```python
from transformers import AutoTokenizer, {kind}

net = {kind}.from_pretrained(".", local_files_only=True)
words = AutoTokenizer.from_pretrained(".", local_files_only=True)
```

"""

SPLITS = ("test", "val", "train")  # in the order of the table


def settings(about: dict[str, Any]) -> dict[str, Any]:
    """Return what config.json holds."""
    name = about["model"]["name"]
    head = {"architectures": [name], "model_type": name}
    labels = {"num_labels": about["outputs"]} if "outputs" in about else {}
    return head | labels | {key: about[key] for key in KEYS if key in about}


def card(about: dict[str, Any]) -> str:
    """Return README.md: YAML for the hub, then what this is, how it was made, how to use it."""
    chosen = about["choices"]
    model, dataset = chosen.get("model", about["model"]["name"]), about["dataset"]["name"]
    images, library = "input_shape" in about, about.get("opens_with")
    tag = "image-classification" if images else library and library["tag"]
    front = {
        "library_name": library["name"] if library else "pytorch",
        **({"pipeline_tag": tag} if tag else {}),
        "tags": ["lottery-ticket", "pruning", "sparse", printable(model)],
        "datasets": [printable(dataset)],
    }
    spread = {"mean": about["dataset"].get("mean"), "std": about["dataset"].get("std")}
    return CARD.format(
        front=yaml.safe_dump(front, sort_keys=False).strip(),
        model=word(model),
        dataset=word(dataset),
        percent=100 * about["density"],
        when=AT[about["weights"]].format(step=about["step"]),
        said=f"\n\nOf the dense model: {in_markdown(about['said'])}" if about.get("said") else "",
        began=began(about),
        library=LIBRARY.format(**library) if library else "",
        table=reached(about),
        method=word(chosen.get("prune", "?")),
        **{key: about[key] for key in ("kept", "total", "density", "level")},
        run=code(about["run"]),
        branch=f", branch {word(about['branch'])}," if about["branch"] else "",
        rewind=word(about["rewind"]["name"]),
        lottery=about["versions"]["lottery"],
        torch=about["versions"]["torch"],
        command=commands(about),
        inputs=images_in_words(about, spread)
        if images
        else f"`inputs` are a tuple of {about['inputs']} for one example",
        called="images" if images else "*inputs",
        shape=f"  # [N, {about['outputs']}]" if images else "",
        files="".join(f"- {code(name)}: of the data set\n" for name in about.get("files", ())),
    )


def began(about: dict[str, Any]) -> str:
    """Return which file the weights of step 0 are from; "" where they were drawn."""
    source = about.get("began_with")
    text = in_markdown(started(source)) if source else ""
    return f" {text[:1].upper()}{text[1:]}." if text else ""


def images_in_words(about: dict[str, Any], spread: dict[str, Any]) -> str:
    """Return in words what a net of images takes."""
    shape = ", ".join(map(str, about["input_shape"]))
    scaled = "; pixels from 0 to 1, less {mean}, over {std}, by channel".format(**spread)
    return f"`images` is float32 [N, {shape}]{scaled if spread['mean'] else ''}"


def commands(about: dict[str, Any]) -> str:
    """Return the command of this run, and that of the sweep that it was part of, as code."""
    if not about["command"]:
        return "The command that made it is not known."
    text = f"This command makes it again:\n\n{block(about['command'])}"
    if about["sweep"]:
        text += f"\n\nIt was trained with others, by\n\n{block(about['sweep'])}"
    return text


def block(text: str) -> str:
    """Return text as a block of code, whatever is in it."""
    fence = "`" * max(3, 1 + longest(text))
    return f"{fence}\n{printable(text)}\n{fence}"


def code(text: str) -> str:
    """Return text as code in a line, whatever is in it."""
    fence, room = "`" * (1 + longest(text)), " " if "`" in text else ""
    return f"{fence}{room}{printable(text)}{room}{fence}"


def longest(text: str) -> int:
    """Return the length of the longest row of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)


def word(text: str) -> str:
    """Return the name of an option as it is, and anything else as code in a line."""
    return text if OPTION.fullmatch(text) else code(text)


def reached(about: dict[str, Any]) -> str:
    """Return a row for each number that the trained level reached, shares as shares of 1."""
    said = "" if about["weights"] == "end" else " once trained"
    found, rows = about["result"], []
    for split in SPLITS:
        for metric in metrics_of(about):
            if (value := found.get(f"{split}_{metric.name}")) is not None:
                text = f"{value:.4f}" if metric.percent else metric.shown(value)
                rows.append(f"| {Measured(metric, split).label}{said} | {text} |")
    if "test_loss" in found:
        rows.append(f"| test loss{said} | {found['test_loss']:.4f} |")
    for name, how in about.get("measured_by", {}).items():
        rows.append(f"| {word(name)} measured by | {code(how)} |")
    return "\n".join(rows)
