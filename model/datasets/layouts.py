"""Opens a data set of any layout; nothing else needs to know which one it is."""

from pathlib import Path
from typing import Literal

from model.datasets.coco import coco_instances, default_annotations
from model.datasets.exports import find_exports
from model.datasets.folder import has_pairs, holds_photographs, image_folder
from model.datasets.listing import SegmentationDataset, Subset
from model.datasets.pascal import default_list, pascal_voc
from model.datasets.perseg import ANNOTATIONS, IMAGES, perseg
from model.errors import DatasetError
from model.images.masks import MaskFormat

Layout = Literal["voc", "coco", "folder", "perseg"]


def open_dataset(
    root: Path,
    list_file: Path | None = None,
    layout: Layout | None = None,
    subset: Subset = "val",
    mask_format: MaskFormat = "auto",
) -> SegmentationDataset:
    """The data set in ``root``, its layout recognised by what lies there unless it is named.

    ``list_file`` says what to use: images (VOC), an instances file (COCO, told by its suffix .json)
    or classes (folder, which uses all without one). VOC and COCO without one read their own list
    of ``subset``. ``mask_format`` is for the masks of a folder. DatasetError names the file or
    folder at fault.
    """
    if layout is None and list_file and list_file.suffix.lower() == ".json":
        layout = "coco"
    layout = layout or recognise(root)
    if layout != "folder" and mask_format != "auto":
        raise DatasetError(
            f"mask_format is {mask_format!r}, but the layout of {root} ({layout}) says what its "
            "masks hold; leave mask_format out"
        )
    match layout:
        case "voc":
            return pascal_voc(root, list_file or default_list(root, subset))
        case "coco":
            return coco_instances(root, list_file or default_annotations(root, subset))
        case "folder":
            return image_folder(root, list_file, mask_format)
        case "perseg":
            if list_file:
                raise DatasetError(f"{root} is PerSeg, which has no lists; leave {list_file} out")
            return perseg(root)


def recognise(root: Path) -> Layout:
    """The layout of what lies in ``root``."""
    masks = (root / "SegmentationClass", root / "SegmentationClassAug")
    if (root / "JPEGImages").is_dir() and any(folder.is_dir() for folder in masks):
        return "voc"
    if all((root / folder).is_dir() for folder in (IMAGES, ANNOTATIONS)):
        return "perseg"
    if (root / "annotations").is_dir() or any(root.glob("lvis_v*.json")):
        return "coco"
    if has_pairs(root):
        return "folder"
    if root.is_dir() and find_exports(root):
        return "coco"
    if (root / "JPEGImages").is_dir():
        return "voc"
    if holds_photographs(root):
        return "folder"
    raise DatasetError(
        f"{root} has no layout that is known; give a folder with JPEGImages/ (PASCAL VOC), "
        "annotations/ (COCO) or a tool's COCO file, Images/ and Annotations/ (PerSeg), or "
        "CLASS/NAME.jpg + CLASS/NAME.png (FSS-1000 and others)"
    )
