"""COCO's file of annotations: images, annotations in run lengths, a category of each class."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from service.formats.record import Export, Record, by_photograph
from service.images.parts import connected_parts


def coco_file(records: Iterable[Record], export: Export) -> Iterator[str]:
    """Ids count from 1 in the order of the records, which are gone through twice.

    An image without an object has no annotation. ``presence`` stands with each image, and again
    with its annotation, whose score it explains.
    """
    yield '{"info": {"description": "SG-One Service"}, "images": ['
    photographs = enumerate(by_photograph(records), start=1)
    yield from _listed(_image(image_id, group[0], export) for image_id, group in photographs)
    yield '], "annotations": ['
    yield from _listed(_annotations(records, export))
    yield '], "categories": ['
    names = enumerate(export.labels, start=1)
    yield from _listed({"id": number, "name": label} for number, label in names)
    yield "]}"


def _listed(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    comma = ""
    for entry in entries:
        yield comma + json.dumps(entry)
        comma = ", "


def _image(image_id: int, record: Record, export: Export) -> dict[str, Any]:
    of_one = {"presence"} if len(export.labels) == 1 else set()
    told = record.model_dump(include={"file_name", "height", "width"} | of_one)
    return {"id": image_id} | {name: value for name, value in told.items() if value is not None}


def _annotations(records: Iterable[Record], export: Export) -> Iterator[dict[str, Any]]:
    annotation_id = 0
    for image_id, group in enumerate(by_photograph(records), start=1):
        for mask in (mask for record in group for mask in _masks(record, export)):
            annotation_id += 1
            yield {"id": annotation_id, "image_id": image_id, "iscrowd": 0} | mask


def _masks(record: Record, export: Export) -> Iterator[dict[str, Any]]:
    of_class = {"category_id": record.number} | record.surety
    if export.instances:
        for part in connected_parts(record.mask()):
            told = {"bbox": part.bbox, "area": part.area}
            yield of_class | told | {"segmentation": part.segmentation.model_dump()}
    elif record.area:
        yield of_class | record.model_dump(include={"bbox", "area", "segmentation"})
