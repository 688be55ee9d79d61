"""How far a presence may be believed, as a picture. Needs the ``train`` extra."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10
_CURVE, _MARK, _EVEN = "#4477aa", "#cc3311", "0.6"


class Told(NamedTuple):
    """The presence of every query with the object, and of every query without it."""

    with_it: NDArray[np.float64]
    without: NDArray[np.float64]


def reliability(told: Told) -> list[tuple[float, float, int]]:
    """The mean presence of each bin, the share of its queries that show the object, their number.

    Both kinds count as one half of all queries. Empty bins are left out.
    """
    rows = []
    for number in range(BINS):
        inside = [group[np.minimum(group * BINS, BINS - 1).astype(int) == number] for group in told]
        shares = [len(part) / len(group) for part, group in zip(inside, told, strict=True)]
        if not any(shares):
            continue
        sums = [float(part.sum()) / len(group) for part, group in zip(inside, told, strict=True)]
        rows.append((sum(sums) / sum(shares), shares[0] / sum(shares), sum(map(len, inside))))
    return rows


def draw_reliability(told: Told, threshold: float, path: Path) -> None:
    """The reliability curve, and the ROC curve with the threshold's point, beside each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = reliability(told)
    left.plot([0, 1], [0, 1], color=_EVEN, linestyle="--", linewidth=1)
    left.plot([row[0] for row in rows], [row[1] for row in rows], "o-", color=_CURVE)
    left.axvline(threshold, color=_MARK, linewidth=1)
    left.set(xlabel="presence that was told", ylabel="share that shows the object")
    levels = np.unique(np.concatenate(told))
    passed = [[float((group >= level).mean()) for level in levels] for group in told]
    right.plot([0, 1], [0, 1], color=_EVEN, linestyle="--", linewidth=1)
    right.plot(passed[1], passed[0], color=_CURVE)
    right.plot(
        float((told.without >= threshold).mean()),
        float((told.with_it >= threshold).mean()),
        "o",
        color=_MARK,
        label=f"threshold {threshold}",
    )
    right.set(xlabel="queries without it that pass", ylabel="queries with it that pass")
    right.legend(loc="lower right")
    for axis in (left, right):
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    figure.savefig(path, dpi=120)
