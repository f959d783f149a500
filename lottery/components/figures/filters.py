"""The first layer as images: its weights, and which of them are pruned."""

import math

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lottery.errors import UsageError
from lottery.results.plotting import charts, trends
from lottery.results.plotting.source import Chart, Source
from lottery.wording.text import MINUS

PRUNED = "#8a8a8a"  # no colour of the map
MAP = "PuOr"  # white is 0; the ends differ for every eye
WHEN = {"start": "before", "end": "after"}
SHARP = 1200  # pixels across, so that no viewer blurs the cells
GAP = 0.25  # of a panel, between two of them


def filters(runs: Source, *, level: int, at: str, most: int) -> Chart:
    """Draw the weights of the first layer, a panel a filter or unit; pruned ones are grey.

    A filter has a panel a channel, side by side. A unit of a fully connected layer shows the square
    image that it sees. Of several replicates the first is drawn. Raises UsageError for several
    experiments, and for inputs that are no square image.
    """
    if at not in WHEN:
        raise UsageError(f"filters: at={at} is neither start nor end")
    if most < 1:
        raise UsageError(f"filters: most={most} is below 1")
    rows = trends.at_level(trends.rows_of(runs.levels, "filters"), level, "filters")
    row = rows.sort_values("replicate").iloc[0].to_dict()
    if len(rows) > 1:
        runs.note(f"of {len(rows)} replicates replicate {row['replicate']} is drawn")
    start = runs.weights(row, "start")
    name = first_layer(start)
    weight = start[name] if at == "start" else runs.weights(row)[name]
    keep = runs.mask(row).get(name, np.ones(weight.shape, bool))
    mean = runs.facts(row).flat.get("dataset.mean")  # a number a channel, for every set of images
    channels = len(mean) if isinstance(mean, list) else None
    images, kept = as_images(weight, channels), as_images(keep, channels)
    order = np.argsort(-kept.sum(axis=(1, 2, 3)), kind="stable")[:most]
    order = np.sort(order)
    if len(order) < len(images):
        runs.note(f"{len(order)} of {len(images)} are drawn: those that keep most (most=N)")
    table = cells(name, order, images, kept)
    share = f"{charts.short(100 * row['density'])} % of the weights"
    heading = f"level {row['level']}, {share}, {WHEN[at]} training"
    return drawn(images[order], kept[order], heading), table


def first_layer(weights: dict[str, np.ndarray]) -> str:
    """Return the layer next to the input: the first, in the model's order, that has a matrix."""
    for name, values in weights.items():
        if values.ndim in (2, 4):
            return name
    raise UsageError("filters: this net has neither a convolution nor a fully connected layer")


def as_images(values: np.ndarray, channels: int | None) -> np.ndarray:
    """Return weights as [K, C, H, W]; raises UsageError where units see no square image."""
    if values.ndim == 4:
        return values
    inputs = values.shape[1]
    side = math.isqrt(inputs // channels) if channels else 0
    if not channels or channels * side * side != inputs:
        raise UsageError(
            f"filters: the first layer has {inputs} inputs, which are no square image of "
            f"{channels or 'a known number of'} channels"
        )
    return values.reshape(len(values), channels, side, side)


def cells(name: str, order: np.ndarray, images: np.ndarray, kept: np.ndarray) -> pd.DataFrame:
    """Return a row a weight that is drawn: filter, channel, row, column, weight, kept."""
    place = np.indices(images[order].shape).reshape(4, -1)
    return pd.DataFrame(
        {
            "layer": name.removesuffix(".weight"),
            "filter": order[place[0]],
            "channel": place[1],
            "row": place[2],
            "column": place[3],
            "weight": images[order].reshape(-1),
            "kept": kept[order].reshape(-1),
        }
    )


def drawn(images: np.ndarray, kept: np.ndarray, heading: str) -> Figure:
    """Return the panels in a grid, with a bar for the weights."""
    number, channels, high, wide = images.shape
    reach = float(np.quantile(np.abs(images[kept]), 0.99)) if kept.any() else 1.0
    norm = Normalize(-reach or -1.0, reach or 1.0)
    colours = colormaps[MAP](norm(images))
    colours[~kept] = (*to_rgb(PRUNED), 1.0)
    across = panels_across(number, channels * wide, high)
    picture = tiled(colours, across)
    scale = max(1, -(-SHARP // picture.shape[1]))
    picture = np.kron(picture, np.ones((scale, scale, 1)))
    figure = Figure()
    width = figure.get_figwidth()
    figure.set_figheight(width * picture.shape[0] / picture.shape[1] + 0.7)
    axes = figure.subplots()
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(heading)
    bar = figure.colorbar(
        ScalarMappable(norm, MAP), ax=axes, location="bottom", aspect=40, pad=0.02, shrink=0.6
    )
    bar.outline.set_linewidth(0.4)
    bar.set_label("weight")
    bar.set_ticks([-reach, 0, reach], labels=[f"{MINUS}{reach:.2g}", "0", f"{reach:.2g}"])
    if not kept.all():
        patch = Patch(color=PRUNED, label="pruned")
        figure.legend(handles=[patch], loc="lower right")
    return figure


def panels_across(number: int, wide: int, high: int) -> int:
    """Return into how many columns panels go, so that the whole is not higher than wide."""
    return min(number, max(1, math.ceil(math.sqrt(1.6 * number * high / wide))))


def tiled(panels: np.ndarray, across: int) -> np.ndarray:
    """Return panels [N, C, H, W, 4] as one image, filters apart and their channels side by side.

    What is between them is transparent.
    """
    number, channels, high, wide, _ = panels.shape
    cell = 4  # pixels a weight, so that gaps can be thinner than it
    gap = max(1, round(GAP * cell * min(high, wide) / 2))
    thin = max(1, gap // 4)
    broad = channels * wide * cell + (channels - 1) * thin
    down = -(-number // across)
    image = np.zeros((down * (high * cell + gap) - gap, across * (broad + gap) - gap, 4))
    for index, panel in enumerate(panels):
        top = (index // across) * (high * cell + gap)
        for channel, values in enumerate(panel):
            left = (index % across) * (broad + gap) + channel * (wide * cell + thin)
            block = np.kron(values, np.ones((cell, cell, 1)))
            image[top : top + high * cell, left : left + wide * cell] = block
    return image
