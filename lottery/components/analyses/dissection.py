import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lottery.errors import UsageError
from lottery.tasks.images.concepts import Concepts, folder_of_concepts, made_up_concepts
from lottery.terms.analysis import Finished, Row, Rows

TOP = 0.005  # share of a unit's activations that are above its threshold


def dissection(
    level: Finished, *, path: str | None, images: int, batch: int, top: float, iou: float
) -> Rows:
    """Return how many units of each convolution detect a concept, and how many concepts they do.

    Network Dissection (Bau et al. 2017) of pruned nets (Frankle et al. 2019, "Dissecting Pruned
    Neural Networks"): a unit's threshold has the share `top` of its activations over all images
    above it; where they are, upsampled bilinearly to the segmentation's size, is held against each
    concept by intersection over union, summed over the images that have annotations of the
    concept's category; above `iou` the unit is a detector of the best concept, ties by the order of
    concepts. The concepts are those of the folder `path`, or without one `images` pictures of
    shapes, colours and textures that are made here. A unit without a kept weight detects nothing.
    Behind the table is one of units: dissection_units. A net without convolutions has none, which
    is said, and so has a convolution that is not called. Raises UsageError for numbers out of
    range, and for data that are no images.
    """
    for name, value, low, high in (("top", top, 0, 1), ("iou", iou, 0, 1)):
        if not low < value < high:
            raise UsageError(
                f"analyses.dissection.{name}={value} is not between {low} and {high}; type "
                f"analyses.dissection.{name}={TOP if name == 'top' else 0.04}"
            )
    for name, value in (("images", images), ("batch", batch)):
        if value < 1:
            raise UsageError(
                f"analyses.dissection.{name}={value} is below 1; type "
                f"analyses.dissection.{name}=100"
            )
    shape = getattr(level.task, "input_shape", ())
    options = getattr(level.task, "options", None)
    if len(shape) != 3 or options is None:
        raise UsageError("analysis dissection: it looks at images, and this data has none")
    set_of = folder_of_concepts(path) if path else made_up_concepts(images)
    level.advance(f"{len(set_of.names)} concepts in {len(set_of.segments)} images")
    net = level.net(level.end.weights)
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    if not layers:
        level.warn("dissection: this net has no convolution, so that it has no units")
    inputs = set_of.fitted(shape, options)
    found: list[Row] = []
    units: list[Row] = []
    for name, module in layers.items():
        level.advance(f"units of {name}")
        parts = list(activations(net, module, inputs, batch, level))
        if not parts:
            level.warn(f"dissection: {name} is not called, so that it has no units")
            continue
        made = torch.cat(parts)
        thresholds = quantiles(made, top)
        best, concept = detected(made, thresholds, set_of)
        alive = module.weight.detach().flatten(1).ne(0).any(1).cpu()
        detects = (best > iou) & alive
        seen = concept[detects]
        found.append({
            "layer": name, "units": len(best), "alive": int(alive.sum()),
            "detectors": int(detects.sum()), "concepts": len({*seen.tolist()}),
        })  # fmt: skip
        units += [
            {
                "layer": name, "unit": unit, "concept": set_of.names[int(concept[unit])],
                "iou": float(best[unit]), "threshold": float(thresholds[unit]),
                "detector": "yes" if detects[unit] else "no",
            }
            for unit in range(len(best))
        ]  # fmt: skip
    concepts = {row["concept"] for row in units if row["detector"] == "yes"}
    whole: Row = {"layer": "all"}
    whole |= {c: sum(row[c] for row in found) for c in ("units", "alive", "detectors")}
    return {"": [*found, {**whole, "concepts": len(concepts)}], "units": units}


def activations(
    net: nn.Module, module: nn.Module, inputs: Tensor, batch: int, level: Finished
) -> Iterator[Tensor]:
    """Yield what a layer gives for images, [B, units, H, W], on the CPU; nothing if not called."""
    seen: list[Tensor] = []
    hook = module.register_forward_hook(lambda layer, given, made: seen.append(made.detach()))
    try:
        with torch.no_grad():
            for part in torch.split(inputs, batch):
                seen.clear()
                net(part.to(level.task.device))
                if seen:
                    yield seen[-1].float().cpu()
    finally:
        hook.remove()


def quantiles(made: Tensor, top: float) -> Tensor:
    """Return of each unit the least of its activations that at most the share `top` are above."""
    flat = made.transpose(0, 1).flatten(1)
    above = math.floor(top * flat.shape[1])
    return flat.topk(above + 1, dim=1).values[:, -1]


def detected(made: Tensor, thresholds: Tensor, concepts: Concepts) -> tuple[Tensor, Tensor]:
    """Return of each unit its largest intersection over union, and the concept that it is with."""
    number, classes = made.shape[1], len(concepts.names)
    both, union = torch.zeros(number, classes), torch.zeros(number, classes)
    for image, segment in zip(made, concepts.segments, strict=True):
        size = segment.shape[-2:]
        grown = F.interpolate(image[None], size, mode="bilinear", align_corners=False)[0]
        on = (grown > thresholds[:, None, None]).flatten(1).float()
        flat = segment.flatten(1).float()
        inside = on @ flat.T
        counted = concepts.annotated(segment).float()
        both += inside * counted
        union += (on.sum(1)[:, None] + flat.sum(1)[None] - inside) * counted
    found = torch.where(union > 0, both / union.clamp(min=1), torch.zeros_like(both))
    best = found.max(1).values
    return best, (found == best[:, None]).int().argmax(1)
