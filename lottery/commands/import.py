"""Make a ticket of masks and weights that another tool has written.

usage: lottery import PATH to=FILE [masks=FILE|zeros] [weights=start|end] [OVERRIDE...]

PATH is
  a .safetensors file    a state_dict, its masks as mask/NAME (as lottery export writes them)
  a .pt or .pth file     a state_dict saved by torch, with torch.nn.utils.prune's masks or without
  a folder               a level of OpenLTH (level_3/main), or model.safetensors and
                         masks.safetensors
masks=FILE has the masks in a file of their own, NAME -> 0 and 1; masks=zeros takes every weight
that is 0 as pruned. With model=NAME (and dataset=NAME, model.SETTING=...: as for lottery run) the
names become those of that model: by name, else by order and shape where every one fits; zeros then
count in the layers that it prunes. weights says what the weights are (start, the default: of the
rewind point, from which lottery run rewind=ticket trains; end: trained ones), and picks the file of
an OpenLTH level; a file of ours knows. Torch files are read with weights_only=True.
"""

# ruff: noqa: N999 (a command is its file's name)

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery.commands import one_of, options
from lottery.config.answers import meant
from lottery.errors import UsageError

if TYPE_CHECKING:
    from lottery.config.composed import Composed
    from lottery.exchange.foreign import Found
    from lottery.exchange.tickets import Portable

CONFIG_DIR = ("--config-dir", "-cd")
KNOWN = {"to": "", "masks": "", "weights": ""}


def main(arguments: list[str]) -> int:
    """Write the ticket and say what was found; return the exit code."""
    own, rest = split(arguments)
    overrides = [a for a in rest if "=" in a and a[:1] != "-" and a.partition("=")[0] not in KNOWN]
    words, chosen = options([a for a in rest if a not in overrides], __doc__, KNOWN)
    if words is None:
        return 0
    told = [*words, *(f"{key}={value}" for key, value in chosen.items() if value)]
    overrides = meant("import", [*own, *overrides], told)
    if len(words) != 1 or not chosen["to"]:
        named = words[0] if words else "net.pth"
        new = Path(named).name.partition(".")[0] + "_ticket.safetensors"
        typed = shlex.join(["lottery", "import", named, f"to={chosen['to'] or new}"])
        raise UsageError(f"import: name a file or folder and to=: {typed}")
    if chosen["weights"]:
        one_of(chosen, "weights", ("start", "end"), "import")
    if overrides and not any(word.startswith("model=") for word in overrides):
        raise UsageError(f"import: {overrides[0]} says nothing without model=NAME")
    from lottery.exchange import foreign, placing, tickets
    from lottery.results import retyped
    from lottery.wording.text import in_words, printable

    target = Path(chosen["to"]).expanduser()
    if target.suffix != ".safetensors":
        raise UsageError(
            f"import: to={target}: a ticket is a file whose name ends with .safetensors; give one"
        )
    placing.refuse_taken(target, "import", same_as_new=True)
    path = Path(words[0]).expanduser()
    masks = Path(chosen["masks"]).expanduser() if chosen["masks"] not in ("", "zeros") else None
    found = foreign.read(path, masks, chosen["weights"] or "start")
    ticket, notes = fitted(found, chosen, overrides)
    data = tickets.pack(ticket)
    placing.put({placing.ALONE: data}, target, "import")
    about = ticket.about
    print(
        f"{found.kind}, {in_words(len(data))}: density {about['density']:.6g}, {about['kept']:,} "
        f"of {about['total']:,} weights kept; {'; '.join(notes)}"
    )
    if overrides:
        words = ["lottery", "run", *overrides, *retyped.rewinding(target, about)]
        print(f"a run starts from it: {printable(shlex.join(words))}")
    print(printable(target))
    return 0


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the words that name a folder of the user's own options, and the others."""
    rest = list(arguments)
    for word in arguments:
        flag, equals, _ = word.partition("=")
        if flag in CONFIG_DIR:
            place = rest.index(word)
            own = rest[place : place + (1 if equals else 2)]
            return own, rest[:place] + rest[place + len(own) :]
    return [], rest


def fitted(
    found: Found, chosen: dict[str, str], overrides: list[str]
) -> tuple[Portable, list[str]]:
    """Return the ticket, by the names of the model where one is asked for, and what to say."""
    from lottery.exchange import matching, tickets
    from lottery.machine.version import __version__
    from lottery.wording.text import printable

    raw = matching.zeros_of(found.weights) if chosen["masks"] == "zeros" else found.mask
    mask = matching.binary(raw, found.weights)
    matching.check_layers(mask)
    weights, nonzero = matching.emptied(found.weights, mask)
    notes, about = [f"{nonzero:,} pruned weights were not 0 and are now"], dict(found.about)
    said = about.get("weights", chosen["weights"] or "start")
    if said not in tickets.WEIGHTS or said != (chosen["weights"] or said):
        raise UsageError(
            f"import: it says that its weights are of the {printable(said)}; a ticket's are of the "
            "start or the end, and weights= cannot say otherwise"
        )
    if overrides:
        model = asked(overrides)
        own, dense = model["weights"], model["dense"]
        names = matching.matched(weights, own, found.ordered)
        unsure = matching.by_order_alone(names, weights)
        if chosen["masks"] == "zeros":  # a parameter of no layer may hold zeros
            mask = matching.prunable(mask, names, dense)
        weights, mask = matching.renamed(weights, mask, names, own, dense, model.get("names", {}))
        notes += [f"names {matching.in_words(names)}", *([unsure] if unsure else [])]
        about |= model["about"]
    elif chosen["masks"] == "zeros":
        notes.append("counted is every weight of two axes, embeddings too: model=NAME says more")
    about |= tickets.described(mask, said) | {
        "source": {
            "kind": found.kind,
            "files": digests(found.files),
        },
        "versions": about.get("versions", {"lottery": __version__}),
    }
    return tickets.Portable(weights, mask, about), notes


def digests(paths: Sequence[Path]) -> dict[str, str]:
    """Return the sha256 of files by their names; by their paths where two have one name."""
    from lottery.exchange.tickets import read_bytes
    from lottery.storage.files import digest

    names = Counter(path.name for path in paths)
    return {p.name if names[p.name] == 1 else str(p): digest(read_bytes(p)) for p in paths}


def asked(overrides: list[str]) -> dict[str, Any]:
    """Return weights, dense mask and description of the model that overrides ask for."""
    from lottery.config.compose import compose_each

    made: list[dict[str, Any]] = []
    compose_each(overrides, lambda composed: made.append(built(composed)))
    return made[0]


def built(composed: Composed) -> dict[str, Any]:
    """Return the same of one composed config."""
    import torch

    from lottery.config import build as config
    from lottery.terms import mask as masks
    from lottery.terms.task import takes
    from lottery.training.start import build
    from lottery.wording.text import expanded

    settings = composed.settings
    parts = config.parts(settings)
    task = parts.dataset(expanded(settings["data"])).prepare(
        batch_size=parts.recipe.batch_size, device=torch.device("cpu")
    )
    net = build(parts, task)
    about = {
        "model": settings["model"],
        "dataset": settings["dataset"],
        "choices": composed.choices,
        **takes(task),
    }
    about["tied"] = masks.tied(net)
    return {
        "weights": net.state_dict(), "dense": masks.dense(net), "names": masks.names(net),
        "about": about,
    }  # fmt: skip
