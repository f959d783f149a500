"""Put a net into the forms in which others read it, and read each back."""

import contextlib
import importlib.util
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.exchange import cards, finding, tickets
from lottery.exchange.placing import ALONE, Files
from lottery.exchange.tickets import Portable
from lottery.experiment.level import Level
from lottery.nets.compact import compact, shrink_
from lottery.storage import store
from lottery.terms.copying import load_
from lottery.terms.task import Task, made_up
from lottery.terms.trees import mapped, tensors
from lottery.training.start import build
from lottery.wording.text import in_words

CPU = torch.device("cpu")
NEEDED = ("onnx", "onnxruntime", "onnxscript")
ONNX_MOST = 2**31 - 2**20  # bytes of weights; protobuf ends at 2 GiB
Net = Callable[..., Any]  # called as the net is; gives scores, or what has them


@dataclass(frozen=True)
class Source:
    """A net in evaluation mode on the CPU, the ticket whose weights it has, and how to build it."""

    net: nn.Module
    ticket: Portable
    task: Task
    build: Callable[[], nn.Module]

    @classmethod
    def of(cls, level: Level, ticket: Portable) -> "Source":
        """Return the net of a level with a ticket's weights."""
        run = level.run
        make = partial(build, run.parts, run.task)
        return cls(loaded(make(), ticket.weights), ticket, run.task, make)

    def fresh(self) -> nn.Module:
        """Return a copy of the net, uncompacted."""
        return loaded(self.build(), self.ticket.weights)


class Again(NamedTuple):
    """An export as it was read back: what maps examples to outputs, and its tensors by name.

    `small` is the smaller net where that was written, in which pruned weights have no place.
    """

    nets: tuple[Net, ...]
    tensors: dict[str, Tensor]
    small: nn.Module | None = None


def free_axes(task: Task) -> tuple[Any, ...]:
    """Return for each input of a net which of its axes are free, as torch.export takes it.

    That is the axis by which made-up batches of two and of three examples differ, and those that
    the task names.
    """
    axis = torch.export.Dim("batch")
    lengths = dict.fromkeys(getattr(task, "free_axes", ()), torch.export.Dim.DYNAMIC)
    two, three = (task.inputs(task.example(number)) for number in (2, 3))
    sizes = iter([t.shape for t in tensors(three)])

    def free(tensor: Tensor) -> Any:
        other = next(sizes)
        return lengths | {i: axis for i, size in enumerate(tensor.shape) if size != other[i]}

    return mapped(two, free)  # type: ignore[no-any-return]


def names_of(task: Task) -> list[str]:
    """Return names for the tensors that a net is called with."""
    number = len([*tensors(task.inputs(task.example(1)))])
    if number == 1:
        return [task.world if task.world == "images" else "inputs"]
    return [f"input_{index}" for index in range(number)]


def loaded(net: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Return the net with these weights, in evaluation mode."""
    load_(net, weights)
    net.eval()
    return net


def compacted(source: Source) -> nn.Module:
    """Return the smaller dense net; raises UsageError where it cannot be made."""
    return compact(source.net, source.ticket.mask, source.task)


def ticket_file(source: Source) -> Files:
    """Return a ticket file: the plain state_dict, and the mask beside it."""
    return {ALONE: tickets.pack(source.ticket)}


def read_ticket(source: Source, path: Path) -> Again:
    """Read a ticket file."""
    found = tickets.unpack(tickets.read_bytes(path), path)
    return Again((loaded(source.build(), found.weights),), found.weights)


def dense(source: Source) -> Files:
    """Return the state_dict of a smaller dense net: what the mask removed whole is cut out."""
    about = {"compacted": True, **source.ticket.about}
    return {ALONE: tickets.sealed(compacted(source).state_dict(), about)}


def read_dense(source: Source, path: Path) -> Again:
    """Read the state_dict of a smaller dense net."""
    read, about = store.unpack_tensors(tickets.read_bytes(path))
    tickets.unsealed(read, about, path)
    net = source.build()
    shrink_(net, read)
    net.eval()
    return Again((net,), {}, net)


def onnx(source: Source) -> Files:
    """Return ONNX with a free batch axis."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(
            f"export: as=onnx needs {', '.join(missing)}; type pip install 'lottery[onnx]'"
        )
    size = sum(t.numel() * t.element_size() for t in source.ticket.weights.values())
    if size > ONNX_MOST:
        raise UsageError(
            f"export: as=onnx holds at most {in_words(ONNX_MOST)} in one file, and these weights "
            f"have {in_words(size)}; give as=torch or as=folder"
        )
    program = torch.onnx.export(
        exported(source),
        made_up(source.task, 2, CPU),
        dynamo=True,
        input_names=names_of(source.task),
        output_names=["outputs"],
        verbose=False,
    )
    if program is None:
        raise UsageError("export: torch made no ONNX program of this model")
    return {ALONE: program.model_proto.SerializeToString()}


def read_onnx(source: Source, path: Path) -> Again:
    """Read ONNX: checked by onnx, run by onnxruntime."""
    import onnx as checker
    import onnxruntime  # type: ignore[import-untyped]
    from onnx import numpy_helper

    data = tickets.read_bytes(path)
    checker.checker.check_model(data, full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = {
        each.name: torch.from_numpy(numpy_helper.to_array(each).copy())
        for each in checker.load_from_string(data).graph.initializer
    }

    def net(*given: Any) -> Tensor:
        feed = dict(zip(names_of(source.task), tensors(given), strict=True))
        arrays = {name: tensor.contiguous().numpy() for name, tensor in feed.items()}
        return torch.from_numpy(session.run(None, arrays)[0])

    return Again((net,), found)


def program(source: Source) -> bytes:
    """Return a program of torch.export (.pt2) with a free batch axis."""
    archive = io.BytesIO()  # torch complains of a path under any other name
    torch.export.save(exported(source), archive)
    return archive.getvalue()


def exported(source: Source) -> torch.export.ExportedProgram:
    """Return the net as a program whose number of examples is free.

    Where following its calls fixes that number (len(x) is a number of Python), its code is read.
    """
    make = partial(
        torch.export.export,
        source.net,
        made_up(source.task, 2, CPU),
        dynamic_shapes=free_axes(source.task),
    )
    with contextlib.redirect_stderr(io.StringIO()):  # torch prints a program that it gives up
        try:
            return make(strict=False)
        except Exception:
            with contextlib.suppress(Exception):
                return make(strict=True)
            raise


def read_program(source: Source, path: Path) -> Again:
    """Read a program of torch.export."""
    again = torch.export.load(io.BytesIO(tickets.read_bytes(path)))
    return Again((again.module(),), dict(again.state_dict))


def folder(source: Source) -> Files:
    """Return a folder as the Hugging Face hub has them, with a program that needs no code of ours.

    model.safetensors is the plain state_dict, masks.safetensors its masks, model.pt2 a program of
    torch.export; config.json and README.md describe them. What the task says a net of it needs
    beside its weights (`files`) is there, too. Where a library makes the net from a config.json
    (`config_file`), it has what that library reads, and ours as `lottery` in it.
    """
    ticket, more = source.ticket, getattr(source.task, "files", {})
    about = ticket.about | ({"files": [*more]} if more else {})
    settings = cards.settings(about)
    if config := getattr(source.net, "config_file", None):
        settings = config() | {"lottery": settings}
        about = about | {"opens_with": source.net.opens_with}
    weights, masks = tickets.FOLDER
    return {
        weights: tickets.sealed(ticket.weights, about | {"names": list(ticket.weights)}),
        masks: tickets.sealed(ticket.mask, about),
        "model.pt2": program(source),
        "config.json": (json.dumps(settings, indent=2) + "\n").encode(),
        "README.md": cards.card(about).encode(),
        **more,
    }


def read_folder(source: Source, path: Path) -> Again:
    """Read a folder: the ticket, and the program."""
    found = finding.of_folder(path)
    nets = read_program(source, path / "model.pt2").nets
    return Again((loaded(source.build(), found.weights), *nets), found.weights)


class Form(NamedTuple):
    """How a net is put into a form, and how that is read back."""

    make: Callable[[Source], Files]
    read: Callable[[Source, Path], Again]


FORMS = {
    "ticket": Form(ticket_file, read_ticket),
    "safetensors": Form(ticket_file, read_ticket),
    "dense": Form(dense, read_dense),
    "onnx": Form(onnx, read_onnx),
    "torch": Form(lambda source: {ALONE: program(source)}, read_program),
    "folder": Form(folder, read_folder),
}
