"""Fit a ticket to another task: its tensors to the net, its step to the schedule."""

import contextlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from lottery.errors import UsageError
from lottery.exchange import matching
from lottery.exchange.tickets import Portable
from lottery.nets.heads import Heads
from lottery.terms.mask import Mask
from lottery.terms.step import Step, parse
from lottery.terms.trees import form
from lottery.wording.text import printable, some

OPTION = re.compile(r"[\w./-]{1,99}")
OUTPUTS = ("auto", "fresh", "ticket")
LONGEST_STEP = 40  # characters of a step in words


def fitted(
    ticket: Portable,
    own: Mapping[str, Tensor],
    output: str,
    where: Path | str,
    heads: Heads | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    setting: str = "rewind.path",
    kind: str = "ticket",
    behind: Callable[[str], bool] | None = None,
) -> tuple[dict[str, Tensor], Mask]:
    """Return a ticket's weights and mask for a net whose weights are `own`, in that order.

    With `output` fresh, or auto where the number of classes differs, the output layer stays as it
    is in `own`, and without a mask: `heads` says what it is, by default the last layer. `names` are
    all names of each parameter; errors speak of the `setting` that brings such a `kind` of file.
    Where a net says by names what stands `behind` its encoder, another task's may be there: what
    the ticket alone has of it is left out, what the net alone has is fresh. Raises UsageError
    unless all else is the same by name and shape.
    """
    if output not in OUTPUTS:
        raise UsageError(f"rewind.output: '{output}' is none of {', '.join(OUTPUTS)}")
    place = f"{setting}: {printable(where)}"
    if behind is not None and output != "ticket":
        ticket = joined(ticket, own, names or {}, behind)
    if odd := [
        *(n for n in own if n not in ticket.weights),
        *(n for n in ticket.weights if n not in own),
    ]:
        side = "this model alone has" if odd[0] in own else "it alone has"
        raise UsageError(
            f"{place} is a {kind} of another model: {side} {some(odd)}; {made_with(ticket)}"
        )
    last = heads or {name: frozenset({0}) for name in output_layer(own, names or {}, behind)}
    classes = {name for name in last if ticket.weights[name].shape != own[name].shape}
    fresh = set(last) if output == "fresh" or (output == "auto" and classes) else set()
    for name, tensor in own.items():
        there = ticket.weights[name]
        narrow = name in fresh and same_but(there.shape, tensor.shape, last[name])
        if not narrow and (there.shape != tensor.shape or there.dtype != tensor.dtype):
            raise UsageError(
                f"{place}: {printable(name)} is {form(there)} in the {kind}, {form(tensor)} in "
                f"this model; a {kind} fits the same model on data of the same form: images of the "
                "same channels (and size, where the first layer is linear), words of the same "
                "vocabulary"
            )
    weights = {
        name: tensor if name in fresh else ticket.weights[name] for name, tensor in own.items()
    }
    matching.refuse_split(weights, names or {}, place)
    return weights, {name: keep for name, keep in ticket.mask.items() if name not in fresh}


def same_but(one: torch.Size, other: torch.Size, axes: Collection[int]) -> bool:
    """Say whether two shapes are the same but along some axes."""
    return len(one) == len(other) and all(
        a == b or axis in axes for axis, (a, b) in enumerate(zip(one, other, strict=True))
    )


def made_with(ticket: Portable) -> str:
    """Say which model to choose, by what a ticket says of itself, which anyone may have written."""
    chosen = ticket.about.get("choices")
    model = chosen.get("model") if isinstance(chosen, dict) else None
    if isinstance(model, str) and OPTION.fullmatch(model):
        return f"it was made with model={model}"
    return "choose the model that it was made with"


def joined(
    ticket: Portable,
    own: Mapping[str, Tensor],
    names: Mapping[str, Sequence[str]],
    behind: Callable[[str], bool],
) -> Portable:
    """Return a ticket without what it alone has behind an encoder, and with what it lacks there.

    That is the net's own; of a tied tensor, which stands in the encoder too, the ticket's.
    """
    weights = {n: t for n, t in ticket.weights.items() if n in own or not behind(n)}
    for name in own:
        if name not in weights and behind(name):
            every = next((each for each in names.values() if name in each), ())
            tied = next((n for n in every if n in ticket.weights and not behind(n)), "")
            weights[name] = ticket.weights[tied] if tied else own[name]
    return Portable(weights, {n: m for n, m in ticket.mask.items() if n in weights}, ticket.about)


def output_layer(
    weights: Mapping[str, Tensor],
    names: Mapping[str, Sequence[str]] = MappingProxyType({}),
    behind: Callable[[str], bool] | None = None,
) -> set[str]:
    """Return the names of the parameters of the last layer, which is one with weights.

    Of a net that says what stands `behind` its encoder all of that, but for what is tied to it.
    """
    if behind is not None:
        tied = {n for every in names.values() if not all(map(behind, every)) for n in every}
        return {name for name in weights if behind(name) and name not in tied}
    last = [name for name, tensor in weights.items() if tensor.dim() > 1][-1]
    prefix = last.rpartition(".")[0]
    return {name for name in weights if name.rpartition(".")[0] == prefix}


def beginning(about: Mapping[str, Any], length: Step, data: str) -> tuple[Step, str]:
    """Return the step that a ticket's training starts from, and what to warn of, or "".

    `length` is that of the new training, `data` the fingerprint of its data. The ticket's own step
    where it says that it is of the same data, steps an epoch and length; else step 0, with a
    warning. Trained weights start at step 0, and those of an unknown step, too.
    """
    first = Step(0, length.steps_per_epoch)
    own = step_of(about, length)
    if about.get("weights") == "end" or own is None or not own.iteration:
        return first, ""
    differ = [
        f"{what} {there if isinstance(there, int) else 'not known'} there, {here} here"
        for key, what, here in (
            ("steps_per_epoch", "steps an epoch are", length.steps_per_epoch),
            ("length", "steps of training are", length.iteration),
        )
        if (there := about.get(key)) != here
    ]
    differ += ["the data are others, or not known"] * (about.get("data") != data)
    if not differ:
        return own, ""
    late = own.iteration >= length.iteration
    keep = "" if late else f"rewind.to={own.iteration}it to start at its own, or "
    return first, (
        f"rewind.to: the ticket's weights are of step {own.iteration}, and this run starts from "
        f"them at step 0 of its schedule, since {'; '.join(differ)}; type {keep}rewind.to=0it to "
        "have it so without this line"
    )


def step_of(about: Mapping[str, Any], length: Step) -> Step | None:
    """Return the step that a ticket says of itself, which anyone may have written; None for none.

    That of another tool counts epochs, as long as those of the new training.
    """
    said = about.get("step")
    if type(said) is int and said >= 0:
        return Step(said, length.steps_per_epoch)
    if isinstance(said, str) and len(said) < LONGEST_STEP:
        with contextlib.suppress(UsageError):
            return parse(said, length.steps_per_epoch)
    return None
