"""A run's learning curves as a picture. Needs the ``train`` extra."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from model.progress import Progress


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
