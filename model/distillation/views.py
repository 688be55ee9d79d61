"""Photographs without masks, all in memory, and random views of them, a batch at a time."""

import math
import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.datasets.leftovers import is_leftover
from model.datasets.listing import read_all, read_lines
from model.errors import DatasetError, ImageFileError
from model.images.opening import open_upright
from model.images.pixels import photograph_pixels
from model.network.backbone import normalise
from model.transforms import TransformConfig

STORED_SIDE = 192
"""Pixels of a side in memory: 111 kB a photograph."""
GREY_SHARE = 0.1
"""Share of the random views without colour."""
LOG_RATIO = math.log(4 / 3)
"""The widest and the tallest crop are 4:3 and 3:4 of the photograph as it was taken."""


class Photographs(NamedTuple):
    """N photographs, stretched to squares; ``aspects`` undoes that when a view is cut."""

    pixels: Tensor  # (N, 3, 192, 192) uint8 RGB, on any device; the rest on the CPU
    aspects: Tensor  # (N,) float32, width / height of the upright file
    labels: tuple[str, ...]  # the class of each, "" where it has none

    def select(self, rows: Tensor) -> "Photographs":
        """The photographs of these rows, in their order."""
        labels = tuple(self.labels[row] for row in rows.tolist())
        pixels = self.pixels[rows.to(self.pixels.device)]
        return Photographs(pixels, self.aspects[rows], labels)

    def to(self, device: torch.device) -> "Photographs":
        """The pixels on a device, where views are cut faster than they are on their way to it."""
        return self._replace(pixels=self.pixels.to(device))


class Views(NamedTuple):
    """The same N views for both networks, normalised; the teacher's are as fine or finer."""

    student: Tensor  # (N, 3, side, side) float32
    teacher: Tensor  # (N, 3, teacher_side, teacher_side) float32

    def to(self, device: torch.device) -> "Views":
        """The views on a device, in the layout that convolutions are fastest in."""
        return Views(*(part.to(device, memory_format=torch.channels_last) for part in self))


def read_photographs(archive: Path, folder: Path, names: Path) -> Photographs:
    """Every photograph of a tar archive, then ``folder/NAME.jpg`` for each line of ``names``.

    ``COLLECTION/CLASS/NAME`` in the archive gives a photograph its class; other paths give none.
    DatasetError names a file that is missing or broken.
    """
    read = read_all(_read, chain(_archived(archive), _listed(folder, names)))
    pixels, aspects, labels = zip(*read, strict=True)
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    return Photographs(stacked, torch.tensor(aspects), labels)


def hold_out(
    photographs: Photographs, per_class: int, seed: int
) -> tuple[Photographs, Photographs]:
    """Take ``per_class`` photographs of each class away -> (the rest, those, ordered by class).

    Classes with fewer photographs keep theirs; DatasetError where all have.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = np.array(photographs.labels)
    taken = []
    for label in sorted(set(photographs.labels) - {""}):
        members = torch.from_numpy(np.flatnonzero(labels == label))
        if len(members) >= per_class:
            taken.append(members[torch.randperm(len(members), generator=generator)[:per_class]])
    if not taken:
        raise DatasetError(
            f"no class has {per_class} photographs to judge by; lay the archive out as "
            "COLLECTION/CLASS/NAME.jpg, or lower held_out"
        )
    rows = torch.cat(taken)
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[rows] = False
    return photographs.select(rest.nonzero()[:, 0]), photographs.select(rows)


def random_views(
    photographs: Photographs, side: int, teacher_side: int, generator: torch.Generator
) -> Views:
    """One random crop, mirror image and colour of each photograph, the same for both networks.

    Drawn on the CPU: the same views on any device.
    """
    count = len(photographs.labels)

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    window = _window(photographs.aspects, uniform(0.25, 1), uniform(-LOG_RATIO, LOG_RATIO).exp())
    centre = (1 - window) * torch.stack([uniform(-1, 1), uniform(-1, 1)], dim=1)
    window[:, 0] *= uniform(-1, 1).sign()
    pixels = _cut(photographs.pixels, window, centre, teacher_side)
    saturation = uniform(0.6, 1.4) * (uniform(0, 1) >= GREY_SHARE)
    return _views(_recolour(pixels, uniform(0.6, 1.4), uniform(0.6, 1.4), saturation), side)


def centre_views(photographs: Photographs, side: int, teacher_side: int) -> Views:
    """The largest centred square of each photograph."""
    one = torch.ones_like(photographs.aspects)
    window = _window(photographs.aspects, one, one)
    pixels = _cut(photographs.pixels, window, torch.zeros_like(window), teacher_side)
    return _views(pixels, side)


def _window(aspects: Tensor, area: Tensor, ratio: Tensor) -> Tensor:
    """(N,) share of the photograph's area, (N,) width / height -> (N, 2) share of width, height.

    A window that would leave the photograph is made smaller, not another shape.
    """
    window = torch.stack([(area * ratio / aspects).sqrt(), (area * aspects / ratio).sqrt()], dim=1)
    return window / window.amax(dim=1, keepdim=True).clamp(min=1)


def _cut(pixels: Tensor, window: Tensor, centre: Tensor, side: int) -> Tensor:
    theta = torch.cat([torch.diag_embed(window), centre[:, :, None]], dim=2).to(pixels.device)
    grid = F.affine_grid(theta, [len(pixels), 3, side, side], align_corners=False)
    return F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)


def _recolour(views: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    brightness, contrast, saturation = (
        factor.to(views.device).view(-1, 1, 1, 1) for factor in (brightness, contrast, saturation)
    )
    views = views * brightness
    views = torch.lerp(views.mean((1, 2, 3), keepdim=True), views, contrast)
    views = torch.lerp(views.mean(1, keepdim=True), views, saturation)
    return views.clamp_(0, 255)


def _views(pixels: Tensor, side: int) -> Views:
    """(N, 3, teacher_side, teacher_side) in 0..255 -> Views."""
    small = F.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)
    transform = TransformConfig()
    return Views(normalise(small, transform), normalise(pixels, transform))


def _read(file: tuple[str, str, bytes]) -> tuple[NDArray[np.uint8], float, str]:
    """A photograph's label, name and content -> its square of pixels, aspect and label."""
    label, name, content = file
    try:
        image = Image.fromarray(photograph_pixels(open_upright(content)))
    except ImageFileError as error:
        raise DatasetError(f"{name} {error}") from error
    square = image.resize((STORED_SIDE, STORED_SIDE), Image.Resampling.BICUBIC)
    return np.asarray(square), image.width / image.height, label


def _archived(archive: Path) -> Iterator[tuple[str, str, bytes]]:
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                left = any(map(is_leftover, _lineage(member.name)))
                if not left and (file := tar.extractfile(member)) is not None:
                    yield _label(member.name), f"{archive}: {member.name}", file.read()
    except FileNotFoundError:
        raise DatasetError(
            f"{archive} is missing; give a tar of photographs, COLLECTION/CLASS/NAME.jpg"
        ) from None
    except tarfile.TarError as error:
        raise DatasetError(f"{archive} is no readable tar archive ({error})") from error


def _lineage(name: str) -> list[PurePosixPath]:
    """A member and the folders that it lies in; an archive of ``.`` begins with it."""
    path = PurePosixPath(name)
    return [path, *(parent for parent in path.parents if parent.name)]


def _label(name: str) -> str:
    parts = PurePosixPath(name).parts
    return parts[-2] if len(parts) > 2 else ""


def _listed(folder: Path, names: Path) -> Iterator[tuple[str, str, bytes]]:
    if not names.is_file():
        raise DatasetError(f"{names} is missing; give a file with one image id a line")
    for name in (name for line in read_lines(names) for name in line.split()):
        path = folder / f"{name}.jpg"
        try:
            yield "", str(path), path.read_bytes()
        except FileNotFoundError:
            raise DatasetError(f"{path} is missing") from None
