"""VOC trees of smooth photographs whose objects are large enough for every protocol."""

import numpy as np
from PIL import Image

from model.episode import VOID
from pictures import photograph

SIZE = (160, 208)
LEFT, RIGHT = (slice(10, 150), slice(8, 100)), (slice(20, 140), slice(108, 200))


def write_masks(root, masks):
    """The n-th image is ``photograph(seed=n)`` under the n-th index mask."""
    for folder in ("JPEGImages", "SegmentationClass", "lists"):
        (root / folder).mkdir(parents=True)
    for number, mask in enumerate(masks):
        image = photograph(*mask.shape, seed=number)
        Image.fromarray(image).save(root / "JPEGImages" / f"{number}.jpg", quality=95)
        annotation = Image.fromarray(mask).convert("P")
        annotation.save(root / "SegmentationClass" / f"{number}.png")
    (root / "lists" / "val.txt").write_text(
        "\n".join(map(str, range(len(masks)))), encoding="utf-8"
    )
    return root


def write_pairs(root):
    """Ten images of fold 0: one class on the left, the next on the right, void on top.

    Every other one is narrower, so that episodes mix sizes.
    """
    masks = []
    for number in range(10):
        mask = np.zeros(SIZE, np.uint8)
        mask[LEFT], mask[RIGHT] = number % 5 + 1, (number + 1) % 5 + 1
        mask[:6] = VOID
        masks.append(mask[:, : 184 if number % 2 else SIZE[1]])
    return write_masks(root, masks)


def write_crowded(root):
    """Seven images, each with all twenty classes side by side."""
    cells = np.arange(1, 21, dtype=np.uint8).reshape(4, 5)
    masks = [np.roll(cells, shift, axis=1).repeat(18, 0).repeat(20, 1) for shift in range(7)]
    return write_masks(root, masks)


def oracle(query, supports):
    """Knows the truth: no better predictor is possible."""
    truth = (query.truth == 1).float()
    return (truth.new_tensor([[[-9]], [[9]]]) * (truth - 0.5)).numpy()
