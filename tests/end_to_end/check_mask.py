"""Refuse an answer that is no mask of its query, or that misses the object.

    check_mask.py ANSWER.png OWN_MASK.png MIN_IOU

The answer has to be an 8-bit grey PNG of 0 and 255, of the own mask's size (the query's), and its
intersection over union with the own mask at least MIN_IOU.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main(answer_path: Path, own_path: Path, min_iou: float) -> None:
    with Image.open(answer_path) as answer, Image.open(own_path) as own:
        if (answer.format, answer.mode, answer.size) != ("PNG", "L", own.size):
            sys.exit(f"{answer.format} {answer.mode} {answer.size}, not PNG L {own.size}")
        got, expected = np.asarray(answer), np.asarray(own) == 255
    values = np.unique(got).tolist()
    if not set(values) <= {0, 255}:
        sys.exit(f"values {values}, not 0 and 255")
    iou = np.sum((got == 255) & expected) / np.sum((got == 255) | expected)
    if iou < min_iou:
        sys.exit(f"IoU {iou:.3f} with the query's own mask, under {min_iou}")
    print(
        f"8-bit grey, {values}, {own.width}x{own.height}, IoU {iou:.3f} with the query's own mask"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
