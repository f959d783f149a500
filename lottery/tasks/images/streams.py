"""Read an image task from disk batch by batch, where the pixels do not fit into memory.

What a batch holds is a function of (seed, epoch, example), never of which worker read it or how
many there are.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lottery.errors import LotteryError, UsageError
from lottery.machine.environment import explained, reader_ended
from lottery.tasks.images.augmentation import ImageOptions, check_options, cut_out, normalise
from lottery.tasks.images.classification import EVALUATION_BATCH, Batch, Labelled
from lottery.tasks.images.contents import AT_ONCE
from lottery.tasks.images.decoding import DECODER, Form, Unreadable, broken_among
from lottery.tasks.images.folders import Tree, content_digest
from lottery.tasks.images.outline import AbsentError, Outline, outline
from lottery.tasks.images.pictures import told
from lottery.tasks.images.reading import Plan, Reader
from lottery.tasks.images.splits import Images, split_up
from lottery.tasks.images.subset import some_classes
from lottery.terms import seeds
from lottery.terms.task import Picks

ZOOM = 256 / 224  # evaluation scales the shorter side to this many times the side that is cut out


@dataclass(frozen=True, eq=False)
class StreamTask(Labelled):
    """A task of image classification whose images stay on disk until a batch wants them.

    In `splits` the number of its file stands for the pixels of an example, int64 [N].
    """

    reader: Reader
    options: ImageOptions
    workers: int
    idle: list[Any] = field(default_factory=list, init=False)  # loaders that nobody reads from

    def batches(self, split: str, epoch: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield (float32 [B, C, H, W], int64 [B]); train is shuffled and augmented."""
        if split != "train":
            yield from self.evaluation_batches(split, start)
            return
        order = torch.randperm(self.size("train"), generator=seeds.generator(seed, "order", epoch))
        steps, side = range(start, self.steps_per_epoch), self.options["cutout"]
        rows = [order[step * self.batch_size : (step + 1) * self.batch_size] for step in steps]
        for step, (raw, labels) in zip(steps, self._read("train", rows, (seed, epoch))):
            if side:
                draw = seeds.generator(seed, "cutout", epoch, step)
                raw = cut_out(raw, torch.rand((2, len(raw), 1), generator=draw), side)
            yield self._normalise(raw), labels

    def evaluation_batches(self, split: str, start: int = 0) -> Iterator[Batch]:
        """Yield a split in its order, neither shuffled nor augmented."""
        rows = list(torch.split(torch.arange(self.size(split)), EVALUATION_BATCH))[start:]
        for raw, labels in self._read(split, rows, None):
            yield self._normalise(raw), labels

    def scoring_batches(self, generator: torch.Generator, **picks: Unpack[Picks]) -> list[Batch]:
        """Return `per_class` training examples of each class, or `size` of any, in batches."""
        rows, augment = self.picked(generator, picks), picks.get("augment", False)
        side = self.options["cutout"] if augment else 0
        seed = int(torch.randint(2**62, (), generator=generator)) if augment else 0
        batches: list[Batch] = []
        for raw, ys in self._read("train", rows, (seed, 0) if augment else None):
            if side:
                raw = cut_out(raw, torch.rand((2, len(raw), 1), generator=generator), side)
            batches.append((self._normalise(raw), ys))
        return batches

    def _read(
        self, split: str, rows: list[Tensor], words: tuple[int, int] | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pixels uint8 [B, C, H, W] and labels of the examples in `rows`, on the device.

        Takes an idle loader or makes one, and gives it back: evaluation in the midst of an epoch
        must not disturb the loader of that epoch.
        """
        examples = self.splits[split]
        loader = self.idle.pop() if self.idle else self._loader()
        loader.sampler.keys = [(words, examples.pixels[picked].tolist()) for picked in rows]
        finished = False
        try:
            for picked, raw in zip(rows, loader):
                if isinstance(raw, Unreadable):
                    raise UsageError(self._broken(raw))
                if isinstance(raw, LotteryError):
                    raise raw
                labels = examples.labels[picked].to(self.device)
                yield raw.to(self.device, non_blocking=True), labels
            finished = True
        except GeneratorExit:
            finished = True
        except (ConnectionError, EOFError) as error:  # a worker died while it handed over a batch
            raise reader_ended(f"{type(error).__name__}: {error}") from error
        except RuntimeError as error:  # said here, before its siblings end and raise elsewhere
            if known := explained(error):
                raise known from error
            raise
        finally:
            if finished:  # else a worker may be dead
                self.idle.append(loader)

    def _broken(self, met: Unreadable) -> str:
        """Return the line for a picture that cannot be decoded, and all others like it.

        Of a set too large to be decoded here and now only the one that was met is known.
        """
        files, form = self.reader.files, self.reader.form
        every = broken_among(files, form, self.workers) if files.size <= AT_ONCE else []
        line = told(every or [met.broken], files.root)
        return f"{line}; a run that has begun then needs another name=..., since its data change"

    def _loader(self) -> Any:
        return DataLoader(
            self.reader,
            batch_size=None,
            sampler=Plan(),
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=self.device.type == "cuda",
            collate_fn=as_is,
            generator=torch.Generator(),  # else each epoch takes a number from the global one
        )

    def _normalise(self, raw: Tensor) -> Tensor:
        return normalise(raw, self.options, self.channels_last)


def as_is(batch: Any) -> Any:
    """Return what the reader returned."""
    return batch


def stream_task(
    tree: Tree, form: Form, workers: int, options: ImageOptions, root: Path | None = None
) -> StreamTask | Outline:
    """Return a task that reads its images as they are wanted.

    Its fingerprint is the content of the files, whose hashes are cached below `root`; each is held
    against its hash when it is read. With `crop` above 0, random resized crops stand for the padded
    ones of smaller sets. While one only looks, an outline stands for much that was never hashed.
    """
    if workers < 0:
        raise UsageError(f"dataset.workers={workers} is below 0")
    try:
        files = tree.hashed(root)
    except AbsentError as absent:
        examples = {split: len(members) for split, members in tree.splits.items()}
        return outline(form[:3], tree.classes, examples, options, absent, tree.names)
    numbered: dict[str, Images] = {}
    start = 0
    for split, members in tree.splits.items():
        numbers = torch.arange(start, start + len(members))
        numbered[split] = Images(numbers, torch.tensor([file.label for file in members]))
        start += len(members)
    numbered, classes, options = some_classes(numbered, tree.classes, options, tree.names)
    check_options(options, form.channels, len(numbered["train"]), classes)
    splits = split_up(numbered["train"], numbered["test"], classes, options, numbered.get("val"))
    source = content_digest(tree, files, DECODER, form[:4])
    if form.shorter:
        form = form._replace(shorter=round(form.shorter * ZOOM))
    reader = Reader(files, form, options["crop"] > 0, options["flip"])
    words = json.dumps(["stream", source, options], sort_keys=True)
    fingerprint = hashlib.sha256(words.encode()).hexdigest()
    return StreamTask(
        reader, options, workers, splits=splits, input_shape=tuple(form[:3]), outputs=classes,
        fingerprint=fingerprint,
    )  # fmt: skip
