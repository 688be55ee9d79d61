"""mIoU and FB-IoU."""

import pytest
import torch

from model.episode import VOID
from model.metrics import IoUMeter


def measure(*episodes):
    """Episodes as (class id, mask, label) with rows of pixels."""
    meter = IoUMeter(sorted({class_id for class_id, _, _ in episodes}))
    for class_id, mask, label in episodes:
        meter.update(
            torch.tensor([[mask]], dtype=torch.bool),
            torch.tensor([[label]], dtype=torch.uint8),
            torch.tensor([class_id]),
        )
    return meter.scores()


def test_iou_by_hand():
    scores = measure((7, [1, 1, 0, 0], [1, 0, 1, 0]))
    assert scores.class_iou == {7: pytest.approx(100 / 3)}
    assert scores.fb_iou == pytest.approx(100 / 3)


def test_intersections_and_unions_are_summed_before_dividing():
    scores = measure((1, [1, 1, 1, 1], [1, 1, 1, 1]), (1, [1, 0, 0, 0], [0, 1, 0, 0]))
    assert scores.miou == pytest.approx(100 * 4 / 6)


def test_miou_weighs_classes_evenly_and_fb_iou_pools_them():
    scores = measure((1, [1, 1, 1, 1], [1, 1, 1, 1]), (2, [0, 0, 0, 0], [1, 0, 0, 0]))
    assert scores.miou == pytest.approx(50)
    assert scores.fb_iou == pytest.approx((100 * 4 / 5 + 100 * 3 / 4) / 2)


def test_void_pixels_do_not_count():
    scores = measure((1, [1, 1, 1, 0], [1, VOID, VOID, VOID]))
    assert scores.miou == pytest.approx(100)


def test_a_class_that_is_never_predicted_scores_zero():
    assert measure((1, [0, 0], [1, 0])).class_iou == {1: 0.0}
