"""Many supports at the cost of a few: some cells of each, those of the object first."""

import numpy as np
from numpy.typing import NDArray

from model.episode import Fusion
from model.executors.protocol import EncodedShots, Executor, ImageFeatures, Sighting

MOST_SHOTS = 10
"""Supports that a query is compared with in full; of more, as many cells are kept as these have."""
OBJECT_SHARE = 0.5
"""Of the kept cells that may be the object's; the rest are of what is around it."""


def find_condensed(
    executor: Executor,
    features: ImageFeatures,
    size: tuple[int, int],
    shots: EncodedShots,
    fusion: Fusion,
) -> Sighting:
    """``executor.find``, at a bounded cost however many supports there are."""
    return executor.find(features, size, condense(shots, fusion), fusion)


def condense(shots: EncodedShots, fusion: Fusion, most: int = MOST_SHOTS) -> EncodedShots:
    """Encodings of K supports -> those of ``most`` at most, of cells from all K.

    The ``union`` compares each support alone, and so needs them all. Each tap's cells (1, K, n, C)
    stand before the object's share of each (1, K, n, 1). Cells that hold most of the object come
    first, evenly from all of them where there are too many, and evenly chosen ones of the rest.
    Prototypes, (1, K, C), are as small as can be and stay.
    """
    if fusion == "union" or shots[0].ndim < 4 or shots[0].shape[1] <= most:
        return shots
    condensed: list[NDArray[np.float32]] = []
    for cells, shares in zip(shots[::2], shots[1::2], strict=True):
        count = cells.shape[2]
        chosen = _chosen(shares.reshape(-1), most * count)
        for array in (cells, shares):
            flat = array.reshape(1, -1, array.shape[-1])
            condensed.append(flat[:, chosen].reshape(1, most, count, -1))
    return tuple(condensed)


def _chosen(shares: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Which of the cells are kept, in order."""
    object_ = np.flatnonzero(shares >= 0.5 * shares.max())
    rest = np.setdiff1d(np.arange(len(shares)), object_, assume_unique=True)
    own = min(len(object_), max(int(OBJECT_SHARE * count), count - len(rest)))
    return np.sort(np.concatenate([_spread(object_, own), _spread(rest, count - own)]))


def _spread(cells: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """``count`` of them, at even distances."""
    places: NDArray[np.intp] = np.linspace(0, len(cells), count, endpoint=False).astype(np.intp)
    return cells[places]
