"""What SG-One is compared with: classifiers of feature cells that no episode has trained.

They see the deepest map of its backbone and nothing else (the baselines of OSLSM, Shaban et al.
2017). Logistic regression needs the ``eval`` extra.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from model.evaluation.extras import need_scikit_learn
from model.evaluation.gallery import EncodedQuery, EncodedSupport
from model.evaluation.scoring import Method
from model.executors.protocol import ImageFeatures
from model.transforms import Logits


class Cells(NamedTuple):
    """The feature cells of some images."""

    directions: NDArray[np.float32]  # (n, C), each of length 1
    is_object: NDArray[np.bool_]  # (n,)


def nearest_neighbour(query: EncodedQuery, supports: Sequence[EncodedSupport]) -> Logits:
    """Each cell takes the label of the support cell with the highest cosine.

    The margin is the cosine to the nearest object cell minus that to the nearest other cell: its
    sign is the neighbour's label, and between cells it is interpolated.
    """
    known = _support_cells(supports)
    cosine = _directions(query.features) @ known.directions.T
    nearest_object = cosine[:, known.is_object].max(axis=1, initial=-1)
    nearest_other = cosine[:, ~known.is_object].max(axis=1, initial=-1)
    return _logits(nearest_object - nearest_other, query)


def logistic_regression(query: EncodedQuery, supports: Sequence[EncodedSupport]) -> Logits:
    """scikit-learn's LogisticRegression with ``class_weight="balanced"``, on cells of length 1.

    Where the supports are all object, or show none, the query is marked as they are.
    ConfigError where scikit-learn is not installed.
    """
    need_scikit_learn()
    from sklearn.linear_model import LogisticRegression

    known, cells = _support_cells(supports), _directions(query.features)
    if known.is_object.all() or not known.is_object.any():
        return _logits(np.full(len(cells), known.is_object[0] - 0.5, np.float32), query)
    classifier = LogisticRegression(class_weight="balanced", max_iter=1000)
    classifier.fit(known.directions, known.is_object)
    return _logits(classifier.decision_function(cells).astype(np.float32), query)


BaselineName = Literal["1nn", "logreg"]
BASELINES: dict[BaselineName, Method] = {
    "1nn": nearest_neighbour,
    "logreg": logistic_regression,
}


def _support_cells(supports: Sequence[EncodedSupport]) -> Cells:
    return Cells(
        np.concatenate([_directions(support.features) for support in supports]),
        np.concatenate([_is_object(support) for support in supports]),
    )


def _directions(features: ImageFeatures) -> NDArray[np.float32]:
    """-> (h·w, C), row by row."""
    cells = F.normalize(torch.as_tensor(features[-1])[0].float().flatten(1).T, dim=1)
    directions: NDArray[np.float32] = cells.cpu().numpy()
    return directions


def _is_object(support: EncodedSupport) -> NDArray[np.bool_]:
    """(h·w,) cells that are at least half object; of a smaller object, the cell with most of it."""
    grid = support.features[-1].shape[-2:]
    share = F.interpolate(support.mask[None, None], size=grid, mode="area").flatten()
    is_object: NDArray[np.bool_] = (share >= share.max().clamp(1e-6, 0.5)).numpy()
    return is_object


def _logits(margins: NDArray[np.float32], query: EncodedQuery) -> Logits:
    """(h·w,) margins of the query's cells -> (2, H, W) logits at the size of its input."""
    grid = torch.from_numpy(margins).view(1, 1, *query.features[-1].shape[-2:])
    margin = F.interpolate(grid, size=query.size, mode="bilinear", align_corners=False)[0, 0]
    logits: Logits = torch.stack([torch.zeros_like(margin), margin]).numpy()
    return logits
