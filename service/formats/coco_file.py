"""COCO's file of annotations: images, annotations in run lengths, one category."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from service.formats.record import Export, Record
from service.images.parts import connected_parts

CATEGORY_ID = 1


def coco_file(records: Iterable[Record], export: Export) -> Iterator[str]:
    """Ids count from 1 in the order of the records, which are gone through twice.

    An image without an object has no annotation. ``presence`` stands with each image, and again
    with its annotation, whose score it explains.
    """
    yield '{"info": {"description": "SG-One Service"}, "images": ['
    yield from _listed(_image(number, record) for number, record in enumerate(records, start=1))
    yield '], "annotations": ['
    yield from _listed(_annotations(records, export))
    category = {"id": CATEGORY_ID, "name": export.label}
    yield f'], "categories": [{json.dumps(category)}]}}'


def _listed(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    comma = ""
    for entry in entries:
        yield comma + json.dumps(entry)
        comma = ", "


def _image(image_id: int, record: Record) -> dict[str, Any]:
    told = record.model_dump(include={"file_name", "height", "width", "presence"})
    return {"id": image_id} | {name: value for name, value in told.items() if value is not None}


def _annotations(records: Iterable[Record], export: Export) -> Iterator[dict[str, Any]]:
    annotation_id = 0
    for image_id, record in enumerate(records, start=1):
        for mask in _masks(record, export):
            annotation_id += 1
            ids = {"id": annotation_id, "image_id": image_id, "category_id": CATEGORY_ID}
            yield ids | {"iscrowd": 0} | mask | record.surety


def _masks(record: Record, export: Export) -> Iterator[dict[str, Any]]:
    if export.instances:
        for part in connected_parts(record.mask()):
            told = {"bbox": part.bbox, "area": part.area}
            yield told | {"segmentation": part.segmentation.model_dump()}
    elif record.area:
        yield record.model_dump(include={"bbox", "area", "segmentation"})
