"""The benchmark's hurried hand: its marks can be sent, and lie where they should."""

import json

import numpy as np
import pytest

from pictures import disc
from rough_hand import background, box, marks
from service.images.drawing import draw_background, draw_mark, read_drawing
from service.images.marks import Mark

DISC = np.kron(disc(), np.ones((5, 5), np.bool_))
MARKS = marks(DISC)


@pytest.mark.parametrize("kind", MARKS)
def test_every_mark_can_be_sent_and_lies_on_the_object(kind: str) -> None:
    content = MARKS[kind].model_dump_json(exclude_defaults=True).encode()
    photograph = np.where(DISC[..., None], np.uint8(200), np.uint8(40)).repeat(3, axis=2)
    mask = read_drawing(content, "support_mark", photograph).mask
    assert (mask & DISC).sum() > 0.5 * mask.sum()
    assert json.loads(content)


def test_a_generous_outline_and_a_box_leave_nothing_of_the_object_out() -> None:
    for kind in ("box", "generous outline"):
        assert (draw_mark(MARKS[kind], DISC.shape) & DISC).sum() > 0.99 * DISC.sum()
    assert box(DISC)[2:] == tuple(np.ptp(np.nonzero(DISC)[::-1], axis=1) + 1)


def test_background_marks_lie_beside_the_object() -> None:
    dabs = draw_background(Mark(background_strokes=background(DISC)), DISC.shape)
    assert dabs.any()
    assert (dabs & DISC).sum() < 0.1 * dabs.sum()
