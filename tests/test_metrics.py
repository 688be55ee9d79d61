"""mIoU and FB-IoU."""

import pytest
import torch

from model.episode import VOID
from model.metrics import IoUMeter, MulticlassMeter, boundary_iou


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


def test_each_episode_has_its_own_iou_in_order():
    meter = IoUMeter([1, 2])
    for class_id, mask, label in (
        (2, [1, 1, 0, 0], [1, 0, 0, 0]),
        (1, [1, 1, 1, 1], [1, 1, 1, VOID]),
        (1, [0, 0, 0, 0], [0, 0, 0, VOID]),
    ):
        meter.update(
            torch.tensor([[mask]], dtype=torch.bool),
            torch.tensor([[label]], dtype=torch.uint8),
            torch.tensor([class_id]),
        )
    assert meter.episode_iou == [50, 100, 100]


def measure_multiclass(predicted, truth, class_ids):
    meter = MulticlassMeter(class_ids)
    meter.update(torch.tensor([predicted]), torch.tensor([truth], dtype=torch.uint8))
    return meter.scores()


def test_multiclass_iou_by_hand():
    scores = measure_multiclass([1, 1, 2, 0, 0, 0], [1, 2, 2, 0, 0, 1], class_ids=[7, 9])
    assert scores.class_iou == {7: pytest.approx(100 / 3), 9: pytest.approx(50)}
    assert scores.miou == pytest.approx((100 / 3 + 50) / 2)
    assert scores.background_iou == pytest.approx(200 / 3)


def test_multiclass_void_does_not_count():
    scores = measure_multiclass([1, 2, 0], [1, VOID, VOID], class_ids=[7, 9])
    assert scores.class_iou == {7: pytest.approx(100)}


def test_a_class_that_no_truth_holds_still_takes_pixels_from_the_others():
    scores = measure_multiclass([1, 2, 2, 0], [1, 1, 0, 0], class_ids=[7, 9])
    assert scores.class_iou == {7: pytest.approx(50)}
    assert scores.background_iou == pytest.approx(50)


def square(side=200, left=50, width=60):
    mask = torch.zeros(side, side, dtype=torch.bool)
    mask[50:110, left : left + width] = True
    return mask


def test_boundary_iou_of_the_truth_itself_is_100():
    mask = square()
    assert boundary_iou(mask, mask.to(torch.uint8)) == 100


def test_a_halo_costs_the_border_more_than_the_area():
    label, mask = square().to(torch.uint8), square(left=46, width=68)
    area = 100 * 60 / 68
    assert boundary_iou(mask, label) < area - 30


def test_boundary_iou_ignores_void():
    label, mask = square().to(torch.uint8), square()
    label[:, 110:] = VOID
    mask[60:80, 110:150] = True
    assert boundary_iou(mask, label) == 100


def test_boundary_iou_of_nothing_found_where_nothing_is_is_100():
    empty = torch.zeros(30, 30)
    assert boundary_iou(empty.bool(), empty.to(torch.uint8)) == 100
