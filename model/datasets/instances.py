"""COCO's instances format: a JSON file of images, categories and the regions of each image."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as masks
from pydantic import BeforeValidator, Field, PositiveInt, TypeAdapter, ValidationError

from model.datasets.regions import Coordinate, GivenRuns, encode_region
from model.errors import DatasetError
from model.text import read_text

_Id = Annotated[int | str, Field(union_mode="left_to_right")]
"""A number, or a text such as some tools use."""


def _has_size(bbox: object) -> bool:
    sides = bbox[2:] if isinstance(bbox, list) else []
    return len(sides) == 2 and all(isinstance(side, int | float) and side > 0 for side in sides)


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
    """LVIS names a photograph by its address alone, which ends in ``val2017/000000000139.jpg``."""

    id: _Id
    height: PositiveInt
    width: PositiveInt
    file_name: str = ""
    coco_url: str = ""

    def __post_init__(self) -> None:
        self.file_name = self.file_name or self.coco_url
        if not self.file_name:
            raise ValueError("it has no file_name")


@dataclass(slots=True)
class _Category:
    id: _Id
    name: str
    supercategory: str | None = None


@dataclass(slots=True)
class _Annotation:
    image_id: _Id
    category_id: _Id
    segmentation: list[list[Coordinate]] | GivenRuns | None = None
    iscrowd: bool = False
    id: _Id | None = None
    bbox: Annotated[bool, BeforeValidator(_has_size)] = False

    @property
    def is_box_alone(self) -> bool:
        return self.segmentation is None or (self.bbox and self.segmentation in ([], [[]]))


@dataclass(slots=True)
class _Instances:
    """What is read of a file; other keys are ignored."""

    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def read_instances(file: Path) -> tuple[tuple[str, ...], list[Scene]]:
    """The classes, in the order of category ids, and the images, in the order of the file.

    Categories of one name are one class. Regions without a pixel are left out. DatasetError names a
    file that is missing or broken, and the package to install where pycocotools is absent.
    """
    instances = _parse(file)
    names, class_ids = _classes(instances, file)
    scenes = _scenes(instances, file)
    for item in instances.annotations:
        if item.image_id not in scenes or item.category_id not in class_ids:
            raise DatasetError(
                f"{file} annotates image {item.image_id} with category {item.category_id}, "
                "one of which it does not list"
            )
        scene = scenes[item.image_id]
        if item.is_box_alone:
            boxes = sum(other.is_box_alone for other in instances.annotations)
            raise DatasetError(
                f"{file} has {boxes} annotations without a mask, the first is id {item.id} of "
                f"{scene.file_name}; export polygons or masks, not boxes alone"
            )
        if counts := _encode(item, scene, file):
            scene.regions.append(Region(class_ids[item.category_id], item.iscrowd, counts))
    return names, list(scenes.values())


def _classes(instances: _Instances, file: Path) -> tuple[tuple[str, ...], dict[int | str, int]]:
    """Their names, and the class of each category id.

    Roboflow puts a category before its own that none is annotated with: their supercategory.
    """
    used = {item.category_id for item in instances.annotations}
    named: dict[int | str, str] = {}
    families: dict[str, set[int | str]] = {}
    for category in instances.categories:
        name = named.setdefault(category.id, category.name)
        if name != category.name:
            raise DatasetError(
                f"{file} has two categories of id {category.id}, {name!r} and {category.name!r}; "
                "give each its own"
            )
        families.setdefault(category.supercategory or "", set()).add(category.id)
    order = sorted(named, key=lambda id: (isinstance(id, str), id))
    order = [id for id in order if id in used or families.get(named[id], {id}) <= {id}]
    names = tuple(dict.fromkeys(named[id] for id in order))
    return names, {id: names.index(named[id]) for id in order}


def _scenes(instances: _Instances, file: Path) -> dict[int | str, Scene]:
    """The images by id, still without regions."""
    scenes: dict[int | str, Scene] = {}
    for image in instances.images:
        scene = Scene(image.file_name, (image.height, image.width), [])
        earlier = scenes.setdefault(image.id, scene)
        if earlier != scene:
            raise DatasetError(
                f"{file} has two images of id {image.id}, {earlier.file_name} and "
                f"{image.file_name}; give each its own"
            )
    return scenes


def _parse(file: Path) -> _Instances:
    try:
        text = read_text(file)
    except OSError as error:
        raise DatasetError(f"{file} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file} is no COCO instances file ({error})") from error
    try:
        return TypeAdapter(_Instances).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DatasetError(
            f"{file} is no COCO instances file ({where}: {first['msg']}{_id(text, first['loc'])})"
        ) from error


def _id(text: str, place: tuple[int | str, ...]) -> str:
    """The id of the image or annotation at a place, by which a user finds it in the tool."""
    if len(place) < 2:
        return ""
    record = json.loads(text)[place[0]][place[1]]
    return f"; its id is {record['id']}" if isinstance(record, dict) and "id" in record else ""


def _encode(item: _Annotation, scene: Scene, file: Path) -> bytes:
    try:
        return encode_region(item.segmentation or [], scene.size)
    except (ValueError, OverflowError) as error:
        raise DatasetError(
            f"{file} has broken run lengths of {scene.file_name} ({error}); their id is {item.id}"
        ) from error
