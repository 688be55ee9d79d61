"""Grids of episodes as pictures. Needs the ``train`` extra."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.datasets.listing import SegmentationDataset
from model.datasets.sampling import EpisodeViews, View
from model.episode import VOID

_SUPPORT, _TRUTH, _PREDICTION, _VOID = (0, 90, 255), (0, 160, 60), (230, 30, 30), (128, 128, 128)
_TILE = 4 / 3  # width to height; photographs of other shapes keep theirs inside


class GridRow(NamedTuple):
    """An episode, its (h, w) bool prediction at any size, and what stands beside them."""

    episode: EpisodeViews
    mask: Tensor
    title: str


def draw_grid(dataset: SegmentationDataset, rows: Sequence[GridRow], path: Path) -> None:
    """One row an episode: first support, query, its truth, its prediction, as a PNG."""
    figure = Figure(figsize=(10.5, 1.9 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), 4, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        panels = _panels(dataset, row)
        for axis, image in zip(line, panels.values(), strict=True):
            _show(axis, image)
        line[0].set_ylabel(row.title, rotation=0, ha="right", va="center", fontsize=11)
    for axis, heading in zip(axes[0], panels, strict=True):
        axis.set_title(heading, fontsize=11)
    figure.savefig(path, dpi=100)


def tint(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """(H, W, 3) image with the (H, W) mask's pixels half way to the colour."""
    tinted = image.copy()
    tinted[mask] = (image[mask] * 0.5 + np.array(colour) * 0.5).astype(np.uint8)
    return tinted


def _panels(dataset: SegmentationDataset, row: GridRow) -> dict[str, NDArray[np.uint8]]:
    """The pictures of a row by their headings, each at its photograph's own size."""
    query, supports = row.episode
    photograph, _ = dataset.load(query.sample, query.class_id)
    height, width = photograph.shape[:2]
    mask = Image.fromarray(row.mask.cpu().numpy()).resize((width, height), Image.Resampling.NEAREST)
    first = "support" if len(supports) == 1 else f"first of {len(supports)} supports"
    return {
        first: _marked(dataset, supports[0], _SUPPORT),
        "query": photograph,
        "truth": _marked(dataset, query, _TRUTH),
        "prediction": tint(photograph, np.asarray(mask), _PREDICTION),
    }


def _marked(
    dataset: SegmentationDataset, view: View, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """The photograph with its object in the colour, void in grey."""
    photograph, label = dataset.load(view.sample, view.class_id)
    return tint(tint(photograph, label == VOID, _VOID), label == 1, colour)


def _show(axis: Axes, image: NDArray[np.uint8]) -> None:
    """The image in the middle of a tile, so that rows and columns line up whatever its shape."""
    height, width = image.shape[:2]
    half = max(width, height * _TILE) / 2
    axis.imshow(image)
    axis.set(
        xlim=(width / 2 - half, width / 2 + half),
        ylim=(height / 2 + half / _TILE, height / 2 - half / _TILE),
        xticks=[],
        yticks=[],
        facecolor="0.95",
    )
    axis.spines[:].set_visible(False)
