"""What rough marks cost in place of exact masks, and what completion makes of them.

python benchmarks/rough_marks.py --checkpoint FILE --data data/voc --fold 0 --pairs 60 --seed 0

draws pairs of two photographs of one class of a fold that the checkpoint has not seen, marks the
first as a hurried hand would, and prints IoU x 100, the mean over pairs, void not counted. Objects
of less than LEAST_SHARE of their photograph are left out: a dot covers them.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.datasets.listing import SegmentationDataset, open_image
from model.datasets.pascal import PASCAL_5I, default_list, pascal_voc
from model.datasets.sampling import EpisodeSampler, View
from model.episode import VOID, Photograph, Support
from model.executors.protocol import EncodedShots, stack_shots
from model.predictor import PreparedQuery
from rough_hand import Mask, background, marks
from service.images.drawing import draw_bounds, draw_object
from service.images.marks import Mark
from service.inference.engine import Engine
from service.settings import read_settings

Probability = NDArray[np.float32]
Scores = dict[str, dict[str, list[float]]]
"""IoU of each pair, by the kind of mark and by what was measured."""
LEAST_SHARE = 0.02
COLUMNS = {
    "marked": "the mark itself",
    "found": "found by it",
    "found, background": "with background",
    "completed": "completed",
    "within": "and kept to the mark",
    "within, background": "with background",
    "found by completed": "found by that",
}


class Photographs:
    """One pair at a time, each photograph read by the network once."""

    def __init__(self, engine: Engine, image: Photograph, truth: NDArray[np.uint8]) -> None:
        self.image, self.truth, self._predictor = image, truth, engine.predictor
        self._executor = engine.predictor.executor
        self._query = engine.prepare_query(image, refined=True)
        self._features = self._executor.read(self._query.image, once=False)
        self._threshold = engine.checkpoint.decision.object_threshold

    def encode(self, mask: Mask) -> EncodedShots:
        """As a support."""
        support = self._predictor.prepare_support(Support(self.image, mask))
        return stack_shots([self._executor.encode(support, self._features)])

    def find(self, shots: EncodedShots) -> Probability:
        """(H, W), refined."""
        query: PreparedQuery = self._query
        sighting = self._executor.find(self._features, query.network_size, shots, "average")
        return self._predictor.restore(sighting.logits, query.size, query.guide)

    def marked(self, probability: Probability) -> Mask:
        """By the network's own threshold."""
        return np.asarray(probability > self._threshold)

    def iou(self, mask: Mask) -> float:
        """With the truth."""
        counted, true = self.truth != VOID, self.truth == 1
        union = np.count_nonzero((mask | true) & counted)
        return np.count_nonzero(mask & true) / union if union else 1.0


def score_pair(support: Photographs, query: Photographs, scores: Scores) -> None:
    """Add a pair's scores."""
    truth = support.truth == 1
    exact = support.encode(truth)
    scores["exact mask"]["found"].append(query.iou(query.marked(query.find(exact))))
    scores["exact mask"]["completed"].append(support.iou(support.marked(support.find(exact))))
    beside = background(truth)
    for kind, mark in marks(truth).items():
        with_background = mark.model_copy(update={"background_strokes": beside})
        for name, iou in _scores_of(support, query, mark, with_background):
            scores[kind][name].append(iou)


def _scores_of(
    support: Photographs, query: Photographs, mark: Mark, with_background: Mark
) -> Iterator[tuple[str, float]]:
    size = support.truth.shape
    rough = draw_object(mark, support.image)
    shots = support.encode(rough)
    yield "marked", support.iou(rough)
    found = query.iou(query.marked(query.find(shots)))
    yield "found", found
    less = draw_object(with_background, support.image)
    changed = less.any() and (less != rough).any()
    yield (
        "found, background",
        query.iou(query.marked(query.find(support.encode(less)))) if changed else found,
    )
    probability = support.find(shots)
    yield "completed", support.iou(support.marked(probability))
    completed = support.marked(probability) & draw_bounds(mark, size)
    yield "within", support.iou(completed)
    beside = support.marked(probability) & draw_bounds(with_background, size)
    yield "within, background", support.iou(beside)
    shots = support.encode(completed if completed.any() else rough)
    yield "found by completed", query.iou(query.marked(query.find(shots)))


def draw_pairs(dataset: SegmentationDataset, fold: int, seed: int) -> Iterator[tuple[View, View]]:
    """Support and query without end, the class of the fold by chance."""
    sampler = EpisodeSampler(dataset, PASCAL_5I[fold], 1, seed, "class")
    for index in count():
        query, (support,) = sampler.episode(index)
        labels = [
            dataset.read_label(dataset.samples[v.sample], v.class_id) for v in (support, query)
        ]
        if all((label == 1).mean() >= LEAST_SHARE for label in labels):
            yield support, query


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="a folder as VOC has it")
    parser.add_argument("--fold", type=int, choices=range(4), default=0)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="each pair's scores go here")
    given = parser.parse_args()
    engine = Engine.load(read_settings(checkpoint=given.checkpoint, device="cpu"))
    dataset = pascal_voc(given.data, default_list(given.data, "val"))
    scores: Scores = defaultdict(lambda: defaultdict(list))
    pairs = islice(draw_pairs(dataset, given.fold, given.seed), given.pairs)
    for views in tqdm(pairs, total=given.pairs, unit="pair"):
        score_pair(*(_open(engine, dataset, view) for view in views), scores)
        if given.json:
            given.json.write_text(json.dumps(scores), encoding="utf-8")
    print(_table(scores))
    checkpoint = engine.checkpoint
    print(
        f"\n{given.pairs} pairs of fold {given.fold}, seed {given.seed}, "
        f"{len(dataset.samples)} photographs; {checkpoint.card.name}, {checkpoint.sha256[:12]}, "
        f"{engine.executor.precision}"
    )


def _open(engine: Engine, dataset: SegmentationDataset, view: View) -> Photographs:
    sample = dataset.samples[view.sample]
    image = np.array(open_image(sample.image).convert("RGB"))
    return Photographs(engine, image, dataset.read_label(sample, view.class_id))


def _table(scores: Scores) -> str:
    lines = [" | ".join(["| shown by", *COLUMNS.values()]) + " |", "|---" * 8 + "|"]
    for kind, measured in scores.items():
        cells = [
            f"{100 * np.mean(measured[name]):.1f}" if name in measured else "" for name in COLUMNS
        ]
        lines.append(" | ".join([f"| {kind}", *cells]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
