"""COCO's instances format: a JSON file of images, categories and the regions of each image."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as masks
from pydantic import Field, PositiveInt, TypeAdapter, ValidationError

from model.errors import DatasetError

_Coordinate = Annotated[float, Field(ge=-1e5, le=1e5)]
"""In pixels; pycocotools crashes the process on numbers that are huge or not finite."""

_COMPRESSED = re.compile("([P-o]{0,6}[0-O])*")
"""Five bits a character; the sixth says that more follow, which pycocotools takes on trust."""


class Region(NamedTuple):
    """An object of a class, or a crowd of them; ``counts`` are COCO's compressed run lengths."""

    class_id: int
    crowd: bool
    counts: bytes


class Scene(NamedTuple):
    """The regions of one photograph of (height, width) pixels."""

    file_name: str
    size: tuple[int, int]
    regions: list[Region]

    def pixels(self, class_id: int, crowd: bool) -> NDArray[np.bool_]:
        """(H, W), true where a region of the class is."""
        found = [
            {"size": self.size, "counts": region.counts}
            for region in self.regions
            if (region.class_id, region.crowd) == (class_id, crowd)
        ]
        if not found:
            return np.zeros(self.size, np.bool_)
        return np.asarray(masks.decode(masks.merge(found)) > 0)


@dataclass(slots=True)
class _Image:
    id: int
    file_name: str
    height: PositiveInt
    width: PositiveInt


@dataclass(slots=True)
class _Category:
    id: int
    name: str


@dataclass(slots=True)
class _RunLengths:
    size: tuple[int, int]
    counts: str | list[int]


@dataclass(slots=True)
class _Annotation:
    image_id: int
    category_id: int
    segmentation: list[list[_Coordinate]] | _RunLengths
    iscrowd: bool = False


@dataclass(slots=True)
class _Instances:
    """What is read of a file; other keys are ignored."""

    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def read_instances(file: Path) -> tuple[tuple[str, ...], list[Scene]]:
    """The classes, in the order of category ids, and the images, in the order of the file.

    Regions without a pixel are left out. DatasetError names a file that is missing or broken, and
    the package to install where pycocotools is absent.
    """
    instances = _parse(file)
    categories = sorted(instances.categories, key=lambda category: category.id)
    class_ids = {category.id: class_id for class_id, category in enumerate(categories)}
    scenes = {
        image.id: Scene(image.file_name, (image.height, image.width), [])
        for image in instances.images
    }
    for item in instances.annotations:
        if item.image_id not in scenes or item.category_id not in class_ids:
            raise DatasetError(
                f"{file} annotates image {item.image_id} with category {item.category_id}, "
                "one of which it does not list"
            )
        scene = scenes[item.image_id]
        if counts := _encode(item.segmentation, scene, file):
            scene.regions.append(Region(class_ids[item.category_id], item.iscrowd, counts))
    return tuple(category.name for category in categories), list(scenes.values())


def _parse(file: Path) -> _Instances:
    try:
        return TypeAdapter(_Instances).validate_json(file.read_bytes())
    except OSError as error:
        raise DatasetError(f"{file} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DatasetError(f"{file} is no COCO instances file ({where}: {first['msg']})") from error


def _encode(segmentation: list[list[float]] | _RunLengths, scene: Scene, file: Path) -> bytes:
    """Compressed run lengths; empty where the region has no pixel."""
    try:
        encoded = (
            _outline(segmentation, scene.size)
            if isinstance(segmentation, list)
            else _compress(segmentation, scene.size)
        )
    except (ValueError, OverflowError) as error:
        raise DatasetError(
            f"{file} has broken run lengths of {scene.file_name} ({error})"
        ) from error
    return bytes(encoded["counts"]) if masks.area(encoded) else b""


def _outline(polygons: list[list[float]], size: tuple[int, int]) -> Any:
    """Two points have no area, and pycocotools would take them for a box."""
    solid = [points for points in polygons if len(points) >= 6]
    return masks.merge(masks.frPyObjects(solid, *size) if solid else [])


def _compress(given: _RunLengths, size: tuple[int, int]) -> Any:
    """ValueError or OverflowError unless they decode to a mask of the image's size."""
    if given.size != size:
        raise ValueError(f"of size {given.size}, the image {size}")
    if isinstance(given.counts, list):
        encoded = masks.frPyObjects(dataclasses.asdict(given), *size)
    elif _COMPRESSED.fullmatch(given.counts):
        encoded = {"size": size, "counts": given.counts.encode()}
    else:
        raise ValueError("not in COCO's compression")
    masks.decode(encoded)
    return encoded
