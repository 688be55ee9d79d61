"""Features of a frozen backbone, computed once for each view and reused by every episode."""

import copy
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from model.checkpoint import write_atomically
from model.datasets.augmentation import object_weights
from model.datasets.sampling import EpisodeViews, View, ViewLoader
from model.network.backbone import Features, normalise
from model.network.siamese import SiameseBackbone
from model.transforms import TransformConfig


class FeatureBatch(NamedTuple):
    """B episodes of K shots behind the backbone, on its device."""

    supports: Features  # of B·K images
    support_masks: Tensor  # (B, K, H, W) float32
    query: Features  # of B images
    query_labels: Tensor  # (B, H, W) uint8 in {0, 1, VOID}
    class_ids: Tensor  # (B,) on the CPU


class Reading(NamedTuple):
    """A view as the backbone reads it: ``apart`` as a support, where those are read apart."""

    view: View
    apart: bool


class Entry(NamedTuple):
    """A view behind the backbone."""

    features: Features  # each (1, C, h, w)
    label: Tensor  # (H, W) uint8 in {0, 1, VOID}


class FeatureStore:
    """Remembers features and labels of views until ``capacity_bytes`` are full.

    Views beyond that are computed each time: draws are random, so no entry is worth more than
    another. With a ``folder`` every view is kept there instead, and other runs of the same backbone
    find it there. The store reads with a copy of the backbone, which therefore must not learn.
    """

    def __init__(
        self,
        backbone: SiameseBackbone,
        loader: ViewLoader,
        transform: TransformConfig,
        device: torch.device,
        dtype: torch.dtype,
        folder: Path | None = None,
        capacity_bytes: int = 8 << 30,
    ) -> None:
        backbone = copy.deepcopy(backbone).eval().requires_grad_(False)
        self.backbone = backbone.to(device, dtype).to(memory_format=torch.channels_last)
        self.loader, self.transform, self.device, self.dtype = loader, transform, device, dtype
        self.free_bytes = capacity_bytes
        self._entries: dict[Reading, Entry] = {}
        self.folder = folder and folder / self._identity()

    def batch(self, episodes: Sequence[EpisodeViews]) -> FeatureBatch:
        """Features of a batch of episodes; new views go through the backbone together."""
        apart = self.backbone.reads_apart
        asked = [Reading(episode.query, False) for episode in episodes]
        shown = [Reading(view, apart) for episode in episodes for view in episode.supports]
        wanted = {*asked, *shown}
        entries = {reading: self._entries[reading] for reading in wanted & self._entries.keys()}
        entries |= self._read_back(wanted - entries.keys())
        missing = sorted(wanted - entries.keys())
        entries |= self._compute([reading for reading in missing if not reading.apart])
        entries |= self._compute([reading for reading in missing if reading.apart])
        queries = [entries[reading] for reading in asked]
        supports = [entries[reading] for reading in shown]
        masks = torch.stack([object_weights(label) for _, label in supports])
        return FeatureBatch(
            _join(supports),
            masks.view(len(episodes), -1, *masks.shape[1:]),
            _join(queries),
            torch.stack([label for _, label in queries]),
            torch.tensor([episode.query.class_id for episode in episodes]),
        )

    @torch.no_grad()
    def _compute(self, readings: Sequence[Reading]) -> dict[Reading, Entry]:
        """Read images that are all read in one way, together."""
        if not readings:
            return {}
        images, labels = zip(*(self.loader.load(reading.view) for reading in readings), strict=True)
        pixels = normalise(torch.stack(images).to(self.device), self.transform).to(
            dtype=self.dtype, memory_format=torch.channels_last
        )
        with torch.autocast(self.device.type, enabled=False):
            stages = self._read(pixels, labels, readings[0].apart)
        entries = {
            reading: Entry(
                tuple(stage[row : row + 1].clone() for stage in stages), label.to(self.device)
            )
            for row, (reading, label) in enumerate(zip(readings, labels, strict=True))
        }
        for reading, entry in entries.items():
            self._keep(reading, entry)
        return entries

    def _keep(self, reading: Reading, entry: Entry) -> None:
        if self.folder is not None:
            tensors = {str(depth): stage for depth, stage in enumerate(entry.features)}
            tensors["label"] = entry.label
            tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
            write_atomically(self._file(self.folder, reading), save(tensors))
            return
        size = sum(stage.nbytes for stage in entry.features) + entry.label.nbytes
        if size <= self.free_bytes:
            self._entries[reading] = entry
            self.free_bytes -= size

    def _read_back(self, readings: set[Reading]) -> dict[Reading, Entry]:
        """Those of them that lie in the folder, whole."""
        entries: dict[Reading, Entry] = {}
        if self.folder is None:
            return entries
        for reading in readings:
            with suppress(OSError, SafetensorError, KeyError):
                tensors = load_file(self._file(self.folder, reading), str(self.device))
                label = tensors.pop("label")
                maps = tuple(tensors[name] for name in sorted(tensors, key=int))
                entries[reading] = Entry(maps, label)
        return entries

    def _file(self, folder: Path, reading: Reading) -> Path:
        name = f"{self.loader.name(reading.view)} {reading.apart}"
        return folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.safetensors"

    def _identity(self) -> str:
        """Names what features depend on beside the view: weights, pre-processing, precision."""
        digest = hashlib.sha256(f"{self.transform} {self.dtype} {self.loader.side}".encode())
        digest.update(save({k: v.contiguous() for k, v in self.backbone.state_dict().items()}))
        return digest.hexdigest()[:16]

    def _read(self, pixels: Tensor, labels: Sequence[Tensor], apart: bool) -> Features:
        if not apart:
            features: Features = self.backbone(pixels)
            return features
        masks = torch.stack([object_weights(label) for label in labels])
        return self.backbone.read_supports(pixels, masks.to(self.device))


def _join(entries: Sequence[Entry]) -> Features:
    return tuple(torch.cat(stage) for stage in zip(*(e.features for e in entries), strict=True))
