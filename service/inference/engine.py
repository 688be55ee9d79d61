"""The network on its device: loading, preparing, warm-up and batches."""

import dataclasses
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint, load_checkpoint
from model.episode import Fusion, Photograph, Support
from model.executors.choose import Placement, open_executor
from model.executors.favourites import RECURS
from model.executors.protocol import EncodedShots, Executor, Features, PreparedSupport, stack_shots
from model.predictor import PreparedQuery, Segmenter
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
class Segmentation:
    """(N, 2, h, w) logits of N classes, and the times taken.

    ``size`` is the query's own (height, width). ``encodings`` has each support's own, for those who
    use it again; ``computed`` of them were not at hand.
    """

    logits: NDArray[np.float32]
    size: tuple[int, int]
    encodings: tuple[EncodedShots, ...]
    computed: int
    encode_ms: float
    segment_ms: float


class Engine:
    """A checkpoint on its device.

    ``prepare`` and ``restore`` are for any thread, ``run_batch`` for one at a time.
    """

    def __init__(self, checkpoint: Checkpoint, executor: Executor, cache_bytes: int = 0) -> None:
        self.checkpoint = checkpoint
        self.executor = executor
        self.segmenter = Segmenter(executor)
        self.prototypes = PrototypeCache(cache_bytes)

    @classmethod
    def load(cls, settings: Settings) -> "Engine":
        """Raises CheckpointError, ConfigError or DeviceError, each with one sentence."""
        checkpoint = load_checkpoint(settings.checkpoint)
        if settings.input_side is not None:
            transform = dataclasses.replace(checkpoint.transform, side=settings.input_side)
            checkpoint = dataclasses.replace(checkpoint, transform=transform)
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

    def prepare_query(self, photograph: Photograph) -> PreparedQuery:
        """Resize a query; ImageShapeError if it is no photograph."""
        return self.segmenter.prepare_query(photograph)

    def fresh(self, support: Support, key: bytes | None = None) -> FreshSupport:
        """Resize one shot; with a key, its encoding is kept for the next time."""
        return FreshSupport(self.segmenter.prepare_support(support), key)

    def warm_up_tasks(self, thorough: bool = False) -> Iterator[Task]:
        """Real work, so that no request pays for the first kernels and allocations.

        On a GPU, where a new size takes some seconds, it is of all usual sizes, and often enough
        that they get graphs of their own. ``thorough`` adds two classes, for which an executor may
        have other graphs.
        """
        side, on_cpu = self.segmenter.transform.side, self.executor.device == "cpu"
        for height, width in (LANDSCAPE, PORTRAIT) if on_cpu else CAMERAS:
            longest = max(height, width)
            photograph = np.zeros((side * height // longest, side * width // longest, 3), np.uint8)
            support = Support(photograph, np.ones(photograph.shape[:2], np.bool_))
            for _ in range(1 if on_cpu else RECURS):
                yield self.prepare([support], photograph, "average")
            if thorough:
                yield self.prepare([support, support], photograph, "average", shots=(1, 1))

    def run_batch(self, tasks: Sequence[Task]) -> list[Segmentation]:
        """One result for each task, in order. One bad task fails the batch: see InHalves."""
        return list(self._run(tasks))

    def restore(self, segmentation: Segmentation, number: int = 0) -> NDArray[np.float32]:
        """(H, W) probability of the object, of class ``number``, at the query's own size."""
        return self.segmenter.restore(segmentation.logits[number], segmentation.size)

    def _run(self, tasks: Sequence[Task]) -> Iterator[Segmentation]:
        """All images of a batch are read together, and each support once, whoever sends it."""
        known = self._known(tasks)
        unknown = _unknown(tasks, known)
        images = [shot.support.image for shot in unknown.values()]
        images += [task.query.image for task in tasks]
        started = time.perf_counter()
        features = self.executor.read(images, once=all(len(task.shots) == 1 for task in tasks))
        # All images have about the same number of pixels, hence the same cost.
        read_ms = _since(started) / len(images)
        cost_ms = {}
        for (name, shot), read in zip(unknown.items(), features, strict=False):
            started = time.perf_counter()
            known[name] = self.executor.encode(shot.support, read)
            cost_ms[name] = read_ms + _since(started)
            if shot.key is not None:
                self.prototypes.keep(shot.key, known[name])
        for task, read in zip(tasks, features[len(unknown) :], strict=True):
            names = [_name(shot) for shot in task.supports]
            encodings = tuple(known[name] for name in names)
            own_ms = [cost_ms.pop(name) for name in names if name in cost_ms]
            started = time.perf_counter()
            logits = self._compare(task, read, encodings)
            yield Segmentation(
                logits,
                task.query.size,
                encodings,
                computed=len(own_ms),
                encode_ms=sum(own_ms),
                segment_ms=read_ms + _since(started),
            )

    def _known(self, tasks: Sequence[Task]) -> dict[Hashable, EncodedShots]:
        """The encodings that are at hand, sent or kept, by the names of their shots."""
        known: dict[Hashable, EncodedShots] = {}
        for shot in (shot for task in tasks for shot in task.supports):
            if not isinstance(shot, FreshSupport):
                known[_name(shot)] = shot
            elif shot.key is not None and (kept := self.prototypes.get(shot.key)) is not None:
                known[shot.key] = kept
        return known

    def _compare(
        self, task: Task, query: Features, encodings: Sequence[EncodedShots]
    ) -> NDArray[np.float32]:
        """-> (N, 2, h, w) logits of the task's N classes."""
        rest, size = iter(encodings), task.query.network_size
        classes = [stack_shots(islice(rest, count)) for count in task.shots]
        return np.stack(
            [self.executor.compare(query, size, shots, task.fusion) for shots in classes]
        )


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


def _unknown(
    tasks: Sequence[Task], known: Mapping[Hashable, EncodedShots]
) -> dict[Hashable, FreshSupport]:
    """The supports that must be encoded, each once, by the names of their shots."""
    return {
        _name(shot): shot
        for task in tasks
        for shot in task.supports
        if isinstance(shot, FreshSupport) and _name(shot) not in known
    }


def _name(shot: Shot) -> Hashable:
    """Equal for shots of one key; without a key, each is itself."""
    if isinstance(shot, FreshSupport) and shot.key is not None:
        return shot.key
    return id(shot)


def _since(started: float) -> float:
    """Milliseconds."""
    return (time.perf_counter() - started) * 1e3
