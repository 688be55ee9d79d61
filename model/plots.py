"""Pictures for people: learning curves and grids of episodes. Needs the ``train`` extra."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from model.episode import VOID
from model.resume import Progress
from model.sampling import EpisodeViews, View, ViewLoader

_SUPPORT, _TRUTH, _PREDICTION, _VOID = (0, 90, 255), (0, 160, 60), (230, 30, 30), (128, 128, 128)


def draw_curves(progress: Progress, path: Path) -> None:
    """Loss of each step with its moving average, and held-out mIoU, as a PNG."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left = figure.subplots()
    steps = np.arange(1, len(progress.losses) + 1)
    left.plot(steps, progress.losses, color="0.8", linewidth=0.6)
    window = max(1, len(progress.losses) // 50)
    smooth = np.convolve(progress.losses, np.ones(window) / window, mode="valid")
    left.plot(steps[window - 1 :], smooth, color="C0", label=f"loss, mean of {window} steps")
    left.set(xlabel="step", ylabel="cross-entropy", ylim=(0, None))
    right = left.twinx()
    if progress.validation:
        right.plot(*zip(*progress.validation, strict=True), "o-", color="C1", label="held-out mIoU")
        right.axvline(progress.best_step, color="C1", linestyle=":", linewidth=1)
    right.set(ylabel="mIoU (%)", ylim=(0, None))
    figure.legend(loc="outside upper center", ncols=2)
    figure.savefig(path, dpi=120)


def draw_grid(
    loader: ViewLoader, episodes: Sequence[EpisodeViews], masks: Tensor, path: Path
) -> None:
    """One row an episode: first support, query with its truth, query with the (B, H, W) mask."""
    figure = Figure(figsize=(7.5, 2.6 * len(episodes)), layout="constrained")
    axes = figure.subplots(len(episodes), 3, squeeze=False)
    for row, episode, mask in zip(axes, episodes, masks.cpu().numpy(), strict=True):
        name = loader.dataset.classes[episode.query.class_id]
        query = _pixels(loader, episode.query)
        panels = {
            f"support: {name}": _truth(loader, episode.supports[0], _SUPPORT),
            "query, truth": _truth(loader, episode.query, _TRUTH),
            "query, prediction": tint(query, mask, _PREDICTION),
        }
        for axis, (title, image) in zip(row, panels.items(), strict=True):
            axis.imshow(image)
            axis.set_title(title, fontsize=9)
            axis.axis("off")
    figure.savefig(path, dpi=100)


def tint(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """(H, W, 3) image with the (H, W) mask's pixels half way to the colour."""
    tinted = image.copy()
    tinted[mask] = (image[mask] * 0.5 + np.array(colour) * 0.5).astype(np.uint8)
    return tinted


def _pixels(loader: ViewLoader, view: View) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = loader.load(view)[0].permute(1, 2, 0).numpy()
    return pixels


def _truth(loader: ViewLoader, view: View, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    label = loader.load(view)[1].numpy()
    return tint(tint(_pixels(loader, view), label == VOID, _VOID), label == 1, colour)
