"""Read masks and weights that other tools have written; nothing in them is ever run."""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from lottery.errors import UsageError
from lottery.exchange import headers
from lottery.exchange.tickets import (
    FOLDER,
    FORMAT,
    MASK,
    NUMBERS,
    SEAL,
    lists,
    read_bytes,
    readable,
    unsealed,
)
from lottery.terms.trees import form
from lottery.wording.text import first_line, printable

TORCH = (".pt", ".pth", ".bin", ".ckpt")
WRAPPED = ("state_dict", "model_state_dict", "model")  # where a checkpoint keeps its state_dict
WRAPPERS = ("module.", "_orig_mod.", "model.")  # what DataParallel, compile and trainers put before
STEP = re.compile(r"model_ep(\d+)_it(\d+)\.pth")
GLOBAL = re.compile(r"GLOBAL ([\w.]{1,99})")  # in torch's error: what a pickle asks for
ORIG, MASKED = "_orig", "_mask"  # of torch.nn.utils.prune


class Found(NamedTuple):
    """What a file holds: weights and masks by the names there, and what it says of itself.

    Masks hold 0 and 1 of any type. `ordered` says whether the weights are in their net's order,
    which plain safetensors files do not keep. `files` are those that were read.
    """

    weights: dict[str, Tensor]
    mask: dict[str, Tensor]
    about: dict[str, Any]
    kind: str
    ordered: bool
    files: tuple[Path, ...]


def read(path: Path, mask: Path | None, weights: str) -> Found:
    """Return what a file or folder of ours, of torch.nn.utils.prune or of OpenLTH holds.

    `mask` is a file of masks alone. Of a level of OpenLTH, `weights` start takes the earliest
    state, end the last. Raises UsageError for anything else.
    """
    if path.is_dir():
        found = folder(path, weights)
    else:
        tensors, about = tensors_in(path)
        found = split(tensors, about, (path,))
    if mask is not None:
        alone = {bare(name): tensor for name, tensor in tensors_in(mask)[0].items()}
        found = found._replace(mask=alone, files=(*found.files, mask))
    return found


def folder(path: Path, weights: str) -> Found:
    """Return what a folder holds: of the Hugging Face hub, or a level of OpenLTH."""
    if (path / FOLDER[0]).is_file():
        tensors, about = tensors_in(path / FOLDER[0])
        found = split(tensors, about, (path / FOLDER[0],))
        if not (path / FOLDER[1]).is_file():
            return found
        mask, _ = tensors_in(path / FOLDER[1])
        return found._replace(mask=mask, files=(*found.files, path / FOLDER[1]))
    level = path if (path / "mask.pth").is_file() else path / "main"
    states = [
        (int(m[1]), int(m[2]), p)
        for p in level.glob("model_*.pth")
        if (m := STEP.fullmatch(p.name))
    ]
    if not (level / "mask.pth").is_file() or not states:
        raise UsageError(
            f"import: {printable(path)} has neither {FOLDER[0]} nor, as a level of OpenLTH has, "
            "mask.pth and model_epE_itI.pth; name the folder of one level (level_3 or level_3/main)"
        )
    epoch, step, chosen = min(states) if weights == "start" else max(states)
    found = Found(
        tensors_in(chosen)[0],
        tensors_in(level / "mask.pth")[0],
        {"step": f"{epoch}ep{step}it"},
        "OpenLTH",
        True,
        (chosen, level / "mask.pth"),
    )
    return found._replace(weights=unwrapped(found.weights), mask=unwrapped(found.mask))


def split(tensors: dict[str, Tensor], about: dict[str, Any], files: tuple[Path, ...]) -> Found:
    """Tell weights from masks: mask/NAME as in our files, NAME_orig and NAME_mask of torch."""
    tensors, about = unwrapped(tensors), dict(about)
    bare_names = (n.removesuffix(ORIG) for n in tensors if n.endswith(ORIG))
    pruned = {n for n in bare_names if n + MASKED in tensors}  # else it is a name like any other
    mask = {n: tensors[n + MASKED] for n in pruned}
    mask |= {n.removeprefix(MASK): t for n, t in tensors.items() if n.startswith(MASK)}
    weights = {
        n.removesuffix(ORIG) if n.removesuffix(ORIG) in pruned else n: t
        for n, t in tensors.items()
        if not n.startswith(MASK) and n.removesuffix(MASKED) not in pruned
    }
    kind = "lottery" if about else "torch.nn.utils.prune" if pruned else "state_dict"
    names = about.pop("names", None)
    listed = lists(names, weights)
    if listed:
        weights = {name: weights[name] for name in names}
    return Found(weights, mask, about, kind, listed or files[0].suffix in TORCH, files)


def bare(name: str) -> str:
    """Return the name of the weight that a mask belongs to."""
    return name.removeprefix(MASK).removesuffix(MASKED)


def unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without what wrappers put before every name."""
    for prefix in WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    return tensors


def tensors_in(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a file, and what a file of ours says of itself; raises UsageError."""
    if path.suffix == ".safetensors":
        tensors, about = safetensors(path)
    elif path.suffix in TORCH:
        tensors, about = state_dict(read_bytes(path), path), {}
    elif not path.exists():
        raise UsageError(f"import: {printable(path)} is not there")
    else:
        raise UsageError(
            f"import: {printable(path)}: give a .safetensors file, a state_dict saved by torch "
            f"({', '.join(TORCH)}), or a folder of OpenLTH or of the Hugging Face hub"
        )
    if odd := [name for name, tensor in tensors.items() if tensor.dtype not in NUMBERS]:
        raise UsageError(
            f"import: {printable(path)}: {printable(odd[0])} is {form(tensors[odd[0]])}, which is "
            "no number here"
        )
    return tensors, about


def safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a safetensors file and our description, {} where there is none.

    Raises DamagedError for a file of ours whose checksum is wrong.
    """
    try:
        with readable(path):
            about = headers.said(headers.header(path))
        tensors = load(read_bytes(path))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"import: {printable(path)} is no safetensors file ({first_line(error)})"
        ) from error
    if not isinstance(about, dict):
        return tensors, {}
    ours = about.get("ticket") == FORMAT
    if ours or SEAL in about:
        about = unsealed(tensors, about, path)
    return tensors, about if ours else {}


def state_dict(data: bytes, path: Path) -> dict[str, Tensor]:
    """Return a state_dict that torch.save wrote, read with weights_only=True and no other way.

    A checkpoint may keep it under `state_dict` or the like. Raises UsageError for what is no plain
    tensor, and for tensors larger than the file.
    """
    where = printable(path)
    refuse_bomb(data, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 (a file from anywhere raises anything)
        held = GLOBAL.search(str(error))
        why = f"it holds {printable(held[1])}" if held else first_line(error)
        raise UsageError(
            f"import: torch.load(weights_only=True) refuses {where} ({why}); it is read in no "
            "other way, since a pickle can run code: save tensors alone, "
            "torch.save(net.state_dict(), FILE)"
        ) from error
    inside = [
        found[k]
        for k in WRAPPED
        if isinstance(found, Mapping) and isinstance(found.get(k), Mapping)
    ]
    found = inside[0] if inside else found
    if not isinstance(found, Mapping) or not found:
        raise UsageError(f"import: {where} holds no state_dict")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UsageError(f"import: {where}: {printable(name)[:80]!r} is no tensor by its name")
        if not plain(tensor, len(data)):
            raise UsageError(
                f"import: {where}: {printable(name)} is no plain tensor ({form(tensor)})"
            )
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def plain(tensor: Tensor, most: int) -> bool:
    """Say whether a tensor is dense numbers in memory, no more than the file can hold."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    size = tensor.numel() * tensor.element_size()
    return size <= most and tensor.untyped_storage().nbytes() <= most


def refuse_bomb(data: bytes, where: str) -> None:
    """Raise UsageError for an archive that unpacks to more than it is; torch compresses nothing."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            odd = any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise UsageError(f"import: {where} is damaged ({first_line(error)})") from error
    if odd:
        raise UsageError(f"import: {where} is compressed, which torch.save never does")
