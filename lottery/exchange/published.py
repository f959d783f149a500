"""Take the weights that torchvision publishes, from the folder where torch.hub keeps them."""

import io
import re
import shlex
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lottery.errors import DiskError, UsageError
from lottery.exchange import foreign, starting
from lottery.exchange.tickets import Portable, read_bytes
from lottery.machine import libraries
from lottery.storage.files import digest
from lottery.tasks.images.outline import looking
from lottery.terms.task import Task
from lottery.terms.ticket import State
from lottery.wording.settings import choose
from lottery.wording.text import first_line, printable

SHA = re.compile(r"-([0-9a-f]{8,64})\.")  # in the name of a published file


def of_torchvision(model: nn.Module, task: Task, weights: str, sha256: str | None) -> State:
    """Return published weights as those of step 0 of a net of torchvision.

    The file is looked for where torch.hub keeps it, and fetched where it is not there. It is read
    as tensors alone, and goes through torchvision's own loader, which knows old names. Raises
    UsageError for another net, unknown weights, and a file whose sha256 is not that of its name.
    """
    net = getattr(model, "torchvision_net", None)
    if net is None:
        raise UsageError(
            "start.weights: only nets of torchvision have published weights; type "
            "model=torchvision model.net=resnet18, or give start.path=net.safetensors"
        )
    models = libraries.torchvision("models")
    every = models.get_model_weights(net)
    names = {each.name: each for each in every} | {"DEFAULT": every.DEFAULT} if len(every) else {}
    chosen = choose(names, weights, "start.weights")
    data = content_of(net, chosen)
    content = digest(data)
    known = SHA.search(Path(chosen.url).name)
    if known is None or not content.startswith(known[1]) or sha256 not in (None, content):
        wanted = sha256 or (known[1] if known else "none")
        raise UsageError(
            f"start.weights: {printable(place_of(chosen))} has the sha256 {content}, and is to "
            f"begin with {wanted}; remove it, and it is fetched again"
        )
    foreign.refuse_bomb(data, printable(place_of(chosen)))
    tensors = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)  # and versions
    own = {"aux_logits": False} if net in ("googlenet", "inception_v3") else {}
    made: dict[str, Any] = models.get_model(net, weights=read(chosen, tensors), **own).state_dict()
    where = f"torchvision's {net} {chosen.name}"
    return starting.fitted(model, task, Portable(made, {}, {}), where, content)


def read(weights: Any, tensors: Any) -> Any:
    """Return an option of torchvision's weights that has its tensors, and fetches none."""
    made = object.__new__(type(weights))
    vars(made).update(vars(weights), get_state_dict=lambda *_, **__: tensors)
    return made


def place_of(weights: Any) -> Path:
    """Return where torch.hub keeps a published file."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def content_of(net: str, weights: Any) -> bytes:
    """Return the bytes of a published file; fetched where it is not there. Raises UsageError."""
    file = place_of(weights)
    if not file.is_file():
        fetch = f"curl -fL --create-dirs -o {shlex.quote(str(file))} {weights.url}"
        if looking():
            raise UsageError(
                f"start.weights: {weights.name} of {net} is looked for as {printable(file)}, which "
                f"is not there, and whoever only looks fetches nothing; type: {fetch}"
            )
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(weights.url, str(file), progress=False)
        except (OSError, RuntimeError, DiskError) as error:
            raise UsageError(
                f"start.weights: {weights.name} of {net} is looked for as {printable(file)}, which "
                f"is not there and cannot be fetched ({first_line(error)}); type: {fetch}"
            ) from error
    return read_bytes(file)
