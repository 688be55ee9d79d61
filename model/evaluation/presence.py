"""Whether the object is there at all: queries that show it beside queries that do not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.datasets.listing import SegmentationDataset
from model.datasets.sampling import EpisodeViews, View
from model.decision import Decision
from model.errors import DatasetError
from model.evaluation.gallery import EncodedQuery, EncodedSupport, Gallery
from model.executors.protocol import Sighting
from model.transforms import restore

Finder = Callable[[EncodedQuery, Sequence[EncodedSupport]], Sighting]
"""A query and its K supports -> logits and presence."""

MARKED = 0.01
"""Share of a photograph above which a mask is one that a user sees."""


@dataclass(frozen=True)
class PresenceScores:
    """How well presence is told, in percent; ``auc`` is the area under the ROC curve.

    ``found`` of the queries with the object pass the threshold. ``marked`` of those without it get
    a mask over MARKED of their area, which is ``marked_area`` of all of it.
    """

    auc: float
    found: float
    marked: float
    marked_area: float


def draw_absent(
    dataset: SegmentationDataset, episodes: Sequence[EpisodeViews], seed: int
) -> list[EpisodeViews]:
    """Each episode with a query in which its class is not seen.

    Episodes of a class that every photograph shows are left out; DatasetError where none is left.
    """
    generator = np.random.default_rng((seed, len(episodes)))
    without: dict[int, list[int]] = {}
    drawn = []
    for episode in episodes:
        class_id = episode.query.class_id
        if class_id not in without:
            without[class_id] = _without(dataset, class_id)
        if without[class_id]:
            query = View(int(generator.choice(without[class_id])), class_id, 0)
            drawn.append(EpisodeViews(query, episode.supports))
    if episodes and not drawn:
        names = ", ".join(repr(dataset.classes[class_id]) for class_id in sorted(without))
        raise DatasetError(f"every photograph shows {names}; none tests their absence")
    return drawn


def _without(dataset: SegmentationDataset, class_id: int) -> list[int]:
    return [index for index, sample in enumerate(dataset.samples) if not sample.shows(class_id)]


def score_presence(
    find: Finder,
    gallery: Gallery,
    present: Sequence[EpisodeViews],
    absent: Sequence[EpisodeViews],
    decision: Decision,
) -> PresenceScores:
    """Find the object in all queries, those with it and those without."""
    with_it = [sight(find, gallery, episode) for episode in tqdm(present, "present", leave=False)]
    without = [sight(find, gallery, episode) for episode in tqdm(absent, "absent", leave=False)]
    areas = np.array([_area(found, decision) for found in without])
    seen, unseen = (np.array([one.presence for one in group]) for group in (with_it, without))
    return PresenceScores(
        auc=100 * area_under_curve(seen, unseen),
        found=100 * float(np.mean(seen >= decision.presence_threshold)),
        marked=100 * float(np.mean(areas > MARKED)),
        marked_area=100 * float(areas.mean()),
    )


def area_under_curve(with_it: NDArray[np.float64], without: NDArray[np.float64]) -> float:
    """How often a query with the object has the higher presence of the two; equal ones half."""
    higher = (with_it[:, None] > without[None]).mean()
    equal = (with_it[:, None] == without[None]).mean()
    return float(higher + equal / 2)


def sight(find: Finder, gallery: Gallery, episode: EpisodeViews) -> Sighting:
    """Find the episode's object in its query."""
    return find(
        gallery.query(episode.query), [gallery.support(support) for support in episode.supports]
    )


def _area(found: Sighting, decision: Decision) -> float:
    """The share of the photograph that is marked: none where the object is not found."""
    if not decision.finds(found.presence):
        return 0.0
    height, width = found.logits.shape[-2:]
    probability = restore(found.logits, (height, width))
    return float((probability > decision.object_threshold).mean())
