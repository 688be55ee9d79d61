"""The formats by their names: which files each writes, and what is in them.

The same tree is written below ``sgone segment --out`` and into archives.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from service.formats.coco_file import coco_file
from service.formats.drawn import drawn_mask, drawn_overlay
from service.formats.label_studio import label_studio_file
from service.formats.names import stem
from service.formats.record import Export, Labelled, Record
from service.formats.summary import csv_summary, json_summary
from service.formats.voc import class_png, object_png, voc_label_map, voc_names
from service.formats.yolo import yolo_data, yolo_labels
from service.images.render import cutout_png
from service.options import JSON, FormatName


class PhotographFile(NamedTuple):
    """A file for each photograph, whose stem stands in the place of ``{}``."""

    path: str
    render: Callable[[Labelled, Export], bytes]
    may_be_empty: bool = False


class Document(NamedTuple):
    """One file about all photographs. ``write`` may go through the records more than once."""

    path: str
    write: Callable[[Iterable[Record], Export], Iterator[str]]
    media_type: str = "text/plain"


PHOTOGRAPH_FILES: Mapping[FormatName, Sequence[PhotographFile]] = {
    "masks": [PhotographFile("{}.png", drawn_mask)],
    "overlays": [PhotographFile("{}.overlay.png", drawn_overlay)],
    "cutouts": [
        PhotographFile("{}.cutout.png", lambda one, _: cutout_png(one.photograph(), one.mask))
    ],
    "yolo": [PhotographFile("labels/{}.txt", yolo_labels, may_be_empty=True)],
    "voc": [
        PhotographFile("SegmentationClass/{}.png", class_png),
        PhotographFile("SegmentationObject/{}.png", object_png),
    ],
}
DOCUMENTS: Mapping[FormatName, Sequence[Document]] = {
    "coco": [Document("annotations.json", coco_file, JSON)],
    "yolo": [Document("data.yaml", yolo_data)],
    "voc": [
        Document("ImageSets/Segmentation/train.txt", voc_names),
        Document("labelmap.txt", voc_label_map),
    ],
    "label_studio": [Document("label-studio.json", partial(label_studio_file, "brush"), JSON)],
    "label_studio_polygons": [
        Document("label-studio-polygons.json", partial(label_studio_file, "polygons"), JSON)
    ],
    "csv": [Document("summary.csv", csv_summary)],
    "jsonl": [Document("summary.jsonl", json_summary)],
}
SHOWING: frozenset[FormatName] = frozenset({"overlays", "cutouts"})
"""Those that show the photograph itself."""


def photograph_files(formats: Iterable[FormatName]) -> list[PhotographFile]:
    """What these write for each photograph."""
    return [file for name in formats for file in PHOTOGRAPH_FILES.get(name, ())]


def documents(formats: Iterable[FormatName]) -> list[Document]:
    """What these write about all photographs."""
    return [document for name in formats for document in DOCUMENTS.get(name, ())]


@dataclass(frozen=True)
class Writer:
    """Writes some of the formats."""

    formats: Sequence[FormatName]
    export: Export

    @property
    def documents(self) -> list[Document]:
        """Of all photographs."""
        return documents(self.formats)

    @property
    def photograph_files(self) -> list[PhotographFile]:
        """Of each photograph."""
        return photograph_files(self.formats)

    def render(self, file_name: str, labelled: Labelled) -> list[tuple[str, bytes]]:
        """Path and content of the files of one photograph."""
        return [
            (file.path.format(stem(file_name)), file.render(labelled, self.export))
            for file in self.photograph_files
        ]

    def write(self, document: Document, records: Iterable[Record]) -> Iterator[bytes]:
        """A document, piece by piece."""
        return (piece.encode() for piece in document.write(records, self.export))
