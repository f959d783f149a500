"""Put a net into the forms in which others read it, and read each back."""

import importlib.util
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lottery import seeds
from lottery.errors import UsageError
from lottery.exchange import cards, finding, tickets
from lottery.exchange.tickets import Portable
from lottery.levels import Level
from lottery.loop import build
from lottery.nets.compact import compact, shrink_
from lottery.storage import disk, store
from lottery.task import Task

NEEDED = ("onnx", "onnxruntime", "onnxscript")
Net = Callable[[Tensor], Tensor]


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


class Again(NamedTuple):
    """An export as it was read back: what maps examples to outputs, and its tensors by name.

    `small` is the smaller net where that was written, in which pruned weights have no place.
    """

    nets: tuple[Net, ...]
    tensors: dict[str, Tensor]
    small: nn.Module | None = None


def images(task: Task, number: int) -> Tensor:
    """Return examples to trace a net with, [number, *input_shape]."""
    return torch.randn(number, *task.input_shape, generator=seeds.generator(0, "export"))


def loaded(net: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Return the net with these weights, in evaluation mode."""
    net.load_state_dict(weights)
    return net.eval()


def compacted(source: Source) -> nn.Module:
    """Return the smaller dense net; raises UsageError where it cannot be made."""
    return compact(source.net, source.ticket.mask, source.task).eval()


def safetensors(source: Source, path: Path) -> Again:
    """Write a ticket file: the plain state_dict, and the mask beside it."""
    disk.write(path, tickets.pack(source.ticket))
    found = tickets.unpack(tickets.read_bytes(path), path)
    return Again((loaded(source.build(), found.weights),), found.weights)


def dense(source: Source, path: Path) -> Again:
    """Write the state_dict of a smaller dense net: what the mask removed whole is cut out."""
    small = compacted(source)
    about = {"compacted": True, **source.ticket.about}
    tensors = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    disk.write(path, store.pack_tensors(tensors, about))
    read, _ = store.unpack_tensors(tickets.read_bytes(path))
    net = source.build()
    shrink_(net, read)
    return Again((net.eval(),), {}, net)


def onnx(source: Source, path: Path) -> Again:
    """Write ONNX with a free batch axis, checked by onnx and run by onnxruntime."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(
            f"export: as=onnx needs {', '.join(missing)}; type pip install 'lottery[onnx]'"
        )
    import onnx as checker
    import onnxruntime  # type: ignore[import-untyped]
    from onnx import numpy_helper

    program = torch.onnx.export(
        source.net,
        (images(source.task, 2),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["images"],
        output_names=["outputs"],
        verbose=False,
    )
    if program is None:
        raise UsageError("export: torch made no ONNX program of this model")
    program.save(path)
    checker.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    tensors = {
        each.name: torch.from_numpy(numpy_helper.to_array(each).copy())
        for each in checker.load(str(path)).graph.initializer
    }

    def net(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": x.contiguous().numpy()})[0])

    return Again((net,), tensors)


def torch_export(source: Source, path: Path) -> Again:
    """Write a program of torch.export (.pt2) with a free batch axis."""
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(source.net, (images(source.task, 2),), dynamic_shapes=shapes)
    archive = io.BytesIO()  # torch complains of a path under any other name
    torch.export.save(program, archive)
    disk.write(path, archive.getvalue())
    again = torch.export.load(io.BytesIO(tickets.read_bytes(path)))
    return Again((again.module(),), dict(again.state_dict))


def folder(source: Source, path: Path) -> Again:
    """Write a folder as the Hugging Face hub has them, with a program that needs no code of ours.

    model.safetensors is the plain state_dict, masks.safetensors its masks, model.pt2 a program of
    torch.export; config.json and README.md describe them.
    """
    disk.make_folder(path)
    ticket, about = source.ticket, source.ticket.about | {"names": list(source.ticket.weights)}
    weights, masks = tickets.FOLDER
    disk.write(path / weights, store.pack_tensors(ticket.weights, about))
    disk.write(path / masks, store.pack_tensors(ticket.mask, source.ticket.about))
    program = torch_export(source, path / "model.pt2")
    settings = cards.settings(ticket.about)
    disk.write(path / "config.json", (json.dumps(settings, indent=2) + "\n").encode())
    disk.write(path / "README.md", cards.card(ticket.about).encode())
    found = finding.of_folder(path)
    return Again((loaded(source.build(), found.weights), *program.nets), found.weights)


FORMS: dict[str, Callable[[Source, Path], Again]] = {
    "ticket": safetensors,
    "safetensors": safetensors,
    "dense": dense,
    "onnx": onnx,
    "torch": torch_export,
    "folder": folder,
}
