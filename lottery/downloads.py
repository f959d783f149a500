"""Fetch and parse a data set with torchvision at its first use; afterwards read our own cache.

Nothing of ours unpickles. torchvision's parser of CIFAR does, and only files whose md5 it has
compared with the ones in its source just before.
"""

import sys
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch

from lottery import images
from lottery.cache import Tensors, cached
from lottery.errors import DamagedError, DiskError, UsageError
from lottery.images import ImageOptions, Images, ImageTask

UNPARSABLE = (AssertionError, ValueError, LookupError, TypeError, EOFError)


def downloaded(
    root: Path,
    options: ImageOptions,
    *,
    name: str,
    dataset: str,
    folder: str,
    classes: int,
    by: str = "train",
) -> ImageTask:
    """Return the task of the torchvision class `dataset`, cached as `name`.

    `folder` below root is where torchvision keeps its files; `by` is the argument with which it
    tells the splits apart, "train" or "split". Raises UsageError where the files are neither there
    nor to be had, DamagedError where they cannot be parsed.
    """
    tensors, sha = cached(root, name, lambda: parse(root, dataset, root / folder, by))
    train, test = (
        Images(tensors[f"{split}_pixels"], tensors[f"{split}_labels"].long())
        for split in ("train", "test")
    )
    return images.image_task(train, test, sha, classes, options)


def parse(root: Path, dataset: str, folder: Path, by: str) -> Tensors:
    """Return the pixels uint8 [N, C, H, W] and labels uint8 [N] of train and test."""
    kind: Any = getattr(images.torchvision("datasets"), dataset)
    try:
        pair = [fetch(kind, root, folder, by, split) for split in ("train", "test")]
        return {
            f"{split}_{part}": tensor
            for split, parsed in zip(("train", "test"), pair)
            for part, tensor in zip(("pixels", "labels"), tensors_of(parsed))
        }
    except ModuleNotFoundError as error:
        raise UsageError(f"{dataset} needs {error.name}; pip install {error.name}") from error
    except UNPARSABLE as error:
        why = " ".join(str(error).split())
        raise DamagedError(
            f"the files of {dataset} in {folder} are damaged ({why}); remove them, "
            "and they are downloaded again"
        ) from error


def fetch(kind: Any, root: Path, folder: Path, by: str, split: str) -> Any:
    """Return one split as torchvision parses it; only what is missing touches the network."""
    chosen = {by: split == "train" if by == "train" else split}
    try:
        return kind(str(root), **chosen)
    except RuntimeError as error:
        if "not found" not in str(error):
            raise ValueError(str(error)) from error
        # Missing, or its md5 is wrong: torchvision gives both the same words.
        print(f"downloading {kind.__name__} to {folder}", file=sys.stderr)
    except OSError as error:
        raise DiskError(f"cannot read {error.filename or folder}: {error.strerror}") from error
    try:
        return kind(str(root), **chosen, download=True)
    except (OSError, RuntimeError, HTTPException) as error:
        why = shortened(str(error))
        splits = [""] if by == "train" else ["split='train', ", "split='test', "]
        calls = "; ".join(f"{kind.__name__}({str(root)!r}, {s}download=True)" for s in splits)
        raise UsageError(
            f"{kind.__name__} is not in {folder} (or damaged) and cannot be downloaded ({why}); on "
            f'a machine with a network: python -c "from torchvision.datasets import '
            f'{kind.__name__}; {calls}", then copy {folder} here'
        ) from error


def shortened(text: str, most: int = 160) -> str:
    """Return a text in one line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def tensors_of(parsed: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return uint8 [N, C, H, W] and uint8 [N] of a parsed data set, in whatever layout it is."""
    raw = torch.as_tensor(parsed.data)
    if raw.ndim == 3:
        raw = raw[:, None]
    elif raw.shape[1] not in (1, 3):
        raw = raw.permute(0, 3, 1, 2)
    labels = torch.as_tensor(parsed.targets if hasattr(parsed, "targets") else parsed.labels)
    if len(raw) != len(labels):
        raise ValueError(f"{len(raw)} images, {len(labels)} labels")
    return raw.contiguous(), labels.to(torch.uint8)
