"""The network on its device: loading, preparing, warm-up and requests."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint, load_checkpoint
from model.episode import Fusion, Photograph, Support
from model.executors.choose import Placement, at_side, open_executor
from model.executors.condensing import find_condensed
from model.executors.favourites import RECURS
from model.executors.protocol import EncodedShots, Executor, PreparedSupport, Sighting, stack_shots
from model.predictor import Predictor, PreparedQuery
from service.giving_up import go_on
from service.inference.cache import PrototypeCache
from service.settings import Settings

# Height and width of photographs as cameras take them.
LANDSCAPE, PORTRAIT = (3, 4), (4, 3)
CAMERAS = (LANDSCAPE, PORTRAIT, (2, 3), (3, 2), (9, 16), (16, 9), (1, 1))


class FreshSupport(NamedTuple):
    """A support that the network has not seen, and the key that its encoding is kept under."""

    support: PreparedSupport
    key: bytes | None = None


Shot = FreshSupport | EncodedShots
"""One support at the network's size, or what the network keeps of it: arrays (1, 1, ...)."""


class Task(NamedTuple):
    """What the network needs of one request; already at the network's size.

    ``shots`` has how many of the supports, in order, show each of the classes to look for.
    """

    supports: tuple[Shot, ...]
    query: PreparedQuery
    fusion: Fusion
    shots: tuple[int, ...]


@dataclass(frozen=True)
class Prediction:
    """(N, 2, h, w) logits of N classes, the presence of each in 0..1, and the times taken.

    ``size`` is the query's own (height, width), ``guide`` what crisp borders need of it, where they
    are wanted. ``encodings`` has each support's own, for those who use it again; ``computed`` of
    them were not at hand.
    """

    logits: NDArray[np.float32]
    presence: tuple[float, ...]
    size: tuple[int, int]
    guide: Photograph | None
    encodings: tuple[EncodedShots, ...]
    computed: int
    encode_ms: float
    segment_ms: float


Work = Callable[[], Prediction]
"""What the inference thread does at a time: a task, by the engine that it was prepared for."""


class Engine:
    """A checkpoint on its device.

    ``prepare`` and ``restore`` are for any thread, ``run`` for one at a time.
    """

    def __init__(self, checkpoint: Checkpoint, executor: Executor, cache_bytes: int = 0) -> None:
        self.checkpoint = checkpoint
        self.executor = executor
        self.predictor = Predictor(executor)
        self.prototypes = PrototypeCache(cache_bytes)

    @classmethod
    def load(cls, settings: Settings) -> "Engine":
        """Raises CheckpointError, ConfigError or DeviceError, each with one sentence."""
        checkpoint = at_side(load_checkpoint(settings.checkpoint), settings.input_side)
        executor = open_executor(checkpoint, placement_of(settings))
        return cls(checkpoint, executor, settings.prototype_cache_bytes)

    def prepare(
        self,
        supports: Iterable[Support | Shot],
        query: Photograph | PreparedQuery,
        fusion: Fusion,
        shots: Sequence[int] | None = None,
    ) -> Task:
        """Resize to the network's size what is not; an iterator is held one shot at a time.

        Without ``shots`` all supports show one class.
        """
        prepared = tuple(
            self.fresh(support) if isinstance(support, Support) else support for support in supports
        )
        if not isinstance(query, PreparedQuery):
            query = self.prepare_query(query)
        counts = (len(prepared),) if shots is None else tuple(shots)
        return Task(prepared, query, fusion, counts)

    def prepare_query(self, photograph: Photograph, refined: bool = False) -> PreparedQuery:
        """Resize a query; ImageShapeError if it is no photograph."""
        return self.predictor.prepare_query(photograph, refined)

    def fresh(self, support: Support, key: bytes | None = None) -> FreshSupport:
        """Resize one shot; with a key, its encoding is kept for the next time."""
        return FreshSupport(self.predictor.prepare_support(support), key)

    def encode(self, support: PreparedSupport) -> EncodedShots:
        """One shot, as the network keeps it: arrays (1, 1, ...). One at a time, as ``run``."""
        return self.executor.encode(support, self.executor.read(support.image, once=True))

    def warm_up_tasks(self, thorough: bool = False) -> Iterator[Task]:
        """Real work, so that no request pays for the first kernels and allocations.

        On a GPU, where a new size takes some seconds, it is of all usual sizes, and often enough
        that they get graphs of their own. ``thorough`` adds two classes, for which an executor may
        have other graphs.
        """
        side, on_cpu = self.predictor.transform.side, self.executor.device == "cpu"
        for height, width in (LANDSCAPE, PORTRAIT) if on_cpu else CAMERAS:
            longest = max(height, width)
            photograph = np.zeros((side * height // longest, side * width // longest, 3), np.uint8)
            support = Support(photograph, np.ones(photograph.shape[:2], np.bool_))
            for _ in range(1 if on_cpu else RECURS):
                yield self.prepare([support], photograph, "average")
            if thorough:
                yield self.prepare([support, support], photograph, "average", shots=(1, 1))

    def run(self, task: Task) -> Prediction:
        """Encode the supports that are not at hand, then read the query and compare.

        Ends between two of them once nobody waits for the task.
        """
        started = time.perf_counter()
        encoded = [self._encode(shot) for shot in task.supports]
        encodings = tuple(encoding for encoding, _ in encoded)
        computed = sum(fresh for _, fresh in encoded)
        encode_ms = _since(started)
        started = time.perf_counter()
        found = self._find(task, encodings)
        return Prediction(
            np.stack([each.logits for each in found]),
            tuple(each.presence for each in found),
            task.query.size,
            task.query.guide,
            encodings,
            computed,
            encode_ms,
            segment_ms=_since(started),
        )

    def restore(self, prediction: Prediction, number: int = 0) -> NDArray[np.float32]:
        """(H, W) probability of the object, of class ``number``, at the query's own size."""
        logits = prediction.logits[number]
        return self.predictor.restore(logits, prediction.size, prediction.guide)

    def close(self) -> None:
        """Give memory back; nothing may run on it any more. Takes up to a second."""
        self.executor.close()
        self.prototypes = PrototypeCache(0)

    def _encode(self, shot: Shot) -> tuple[EncodedShots, bool]:
        """The encoding of a shot, and whether it was not at hand, sent or kept."""
        if not isinstance(shot, FreshSupport):
            return shot, False
        go_on()
        kept = None if shot.key is None else self.prototypes.get(shot.key)
        if kept is not None:
            return kept, False
        encoding = self.encode(shot.support)
        if shot.key is not None:
            self.prototypes.keep(shot.key, encoding)
        return encoding, True

    def _find(self, task: Task, encodings: Sequence[EncodedShots]) -> list[Sighting]:
        """Each of the task's classes; the query is read once for all."""
        query, rest = task.query, iter(encodings)
        features = self.executor.read(query.image, once=len(task.shots) == 1)
        classes = [stack_shots(islice(rest, count)) for count in task.shots]
        size, fusion = query.network_size, task.fusion
        found = []
        for shots in classes:
            go_on()
            found.append(find_condensed(self.executor, features, size, shots, fusion))
        return found


def placement_of(settings: Settings) -> Placement:
    """How the settings want a network to run."""
    placement = Placement(
        settings.executor,
        settings.device,
        settings.precision,
        settings.threads,
        fixed_shapes=settings.fixed_shapes,
    )
    if settings.cache_dir is None:
        return placement
    return dataclasses.replace(placement, cache=settings.cache_dir)


def _since(started: float) -> float:
    """Milliseconds."""
    return (time.perf_counter() - started) * 1e3
