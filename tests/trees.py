"""Tiny data sets on disk, one of each layout."""

import json

import numpy as np
from PIL import Image

from model.episode import VOID

HEIGHT, WIDTH = 60, 80

# pycocotools 2.0.11 decodes through an __array__ without the keyword that NumPy 2 asks for.
IGNORE_PYCOCOTOOLS = "ignore:__array__ implementation:DeprecationWarning"

COCO_CATEGORY_IDS = [i for i in range(1, 91) if i not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}]
"""The ids of COCO's 80 categories have gaps."""


def write_photograph(path, seed=0, size=(HEIGHT, WIDTH)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_mask(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def write_voc(root, masks="SegmentationClass"):
    """Six images: 0 to 3 hold class 1, 2 to 5 hold class 2, each with a void border."""
    for index in range(6):
        write_photograph(root / "JPEGImages" / f"{index}.jpg", index)
        mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        if index < 4:
            mask[5:30, 5:40] = 1
        if index > 1:
            mask[35:55, 30:70] = 2
        mask[0] = VOID
        write_mask(root / masks / f"{index}.png", mask)
    write_list(root / "lists" / "train.txt", "012345")
    return root


def write_folder(root, classes=("cup", "apple"), count=3):
    for name in classes:
        for index in range(count):
            write_photograph(root / name / f"{index}.jpg", index)
            mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
            mask[10:50, 10:50] = 255
            write_mask(root / name / f"{index}.png", mask)
    return root


def write_list(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def rectangle(top, left, bottom, right):
    """A polygon that covers the pixels [top, bottom) x [left, right)."""
    return [[left, top, right, top, right, bottom, left, bottom]]


def run_lengths(mask):
    """COCO's uncompressed run lengths, column by column, zeros first."""
    flat = mask.astype(np.uint8).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    counts = np.diff(edges, prepend=0, append=flat.size)
    return {"size": list(mask.shape), "counts": counts.tolist()}


def crowd(top, left, bottom, right):
    """Run lengths of the pixels [top, bottom) x [left, right)."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return run_lengths(mask)


def coco_table(annotations, images=3, category_ids=COCO_CATEGORY_IDS):
    """An instances file; ``annotations`` are (image, category, segmentation, iscrowd)."""
    return {
        "info": {"year": 2014},
        "images": [
            {"id": 10 + i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH}
            for i in range(images)
        ],
        # Out of order, as some tools write them.
        "categories": [{"id": i, "name": f"class {i}"} for i in reversed(category_ids)],
        "annotations": [
            {
                "id": number,
                "image_id": 10 + image,
                "category_id": category,
                "segmentation": segmentation,
                "iscrowd": iscrowd,
            }
            for number, (image, category, segmentation, iscrowd) in enumerate(annotations)
        ],
    }


COCO_ANNOTATIONS = [
    (0, 1, rectangle(5, 5, 30, 40), 0),
    (0, 13, rectangle(35, 30, 55, 70), 0),
    (1, 1, rectangle(5, 5, 30, 40), 0),
    (1, 1, crowd(20, 20, 40, 60), 1),
    (2, 1, crowd(20, 20, 40, 60), 1),
    (2, 13, rectangle(10, 10, 20, 20), 0),
]
"""Image 0: classes 0 and 11. Image 1: class 0 and a crowd of it. Image 2: a crowd, class 11."""


def write_coco(root, table=None, subset="val2014", photographs=None):
    for index in range(3):
        write_photograph(root / (photographs or subset) / f"{index}.jpg", index)
    file = root / "annotations" / f"instances_{subset}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(table or coco_table(COCO_ANNOTATIONS)), encoding="utf-8")
    return root
