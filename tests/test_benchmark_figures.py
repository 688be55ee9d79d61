"""The benchmark's own arithmetic: what counts as a right reply, as in time, as lost."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figures import after_sigterm, closed_window, open_window
from masks import Judge
from tables import BEGIN, END, insert

NO_CPU = {"load_s": 0.0, "server_s": 0.0}


def record(due: float, end: float, status: int = 200, iou: float | None = 1.0) -> dict[str, Any]:
    return {"due": due, "end": end, "status": status, "iou": iou, "server_ms": {}}


def png(mask: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Of one request, whose mask is the left half of 4 x 6 pixels."""
    (tmp_path / "0.body").write_bytes(b"form")
    (tmp_path / "0.png").write_bytes(png(LEFT))
    return Judge(tmp_path)


LEFT = np.zeros((4, 6), bool)
LEFT[:, :3] = True


def test_the_same_mask_is_right(judge: Judge) -> None:
    assert judge.iou(0, png(LEFT)) == 1


def test_a_mask_of_another_size_is_wrong(judge: Judge) -> None:
    assert judge.iou(0, png(LEFT.T)) == 0


def test_a_mask_in_colours_is_wrong(judge: Judge) -> None:
    assert judge.iou(0, png(np.dstack([LEFT] * 3))) == 0


def test_what_is_no_png_is_wrong(judge: Judge) -> None:
    assert judge.iou(0, b"<html>") == 0


def test_a_wrong_mask_is_no_throughput() -> None:
    window = closed_window([record(0, 1), record(0, 2, iou=0.5)], NO_CPU)
    assert (window["throughput"], window["wrong_masks"]) == (0.5, 1)


def test_a_reply_after_its_deadline_is_not_in_time() -> None:
    records = [record(0, 0.9), record(0, 1.1), record(0, 0.1, status=429, iou=None)]
    window = open_window(records, NO_CPU, seconds=1, deadline_s=1)
    assert window["timely_share"] == pytest.approx(1 / 3)
    assert window["statuses"] == {"200": 2, "429": 1}


def test_only_requests_under_way_at_sigterm_can_be_lost() -> None:
    before, answered, refused = record(0, 1), record(1, 3), record(1, 3, 503, None)
    lost, after = record(1, 3, 0, None), record(2.5, 2.6, 0, None)
    fate = after_sigterm([before, answered, refused, lost, after], moment=2)
    assert fate == {"under_way": 3, "answered": 1, "refused": 1, "lost": 1}


def test_tables_take_the_place_between_the_markers(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    insert(document, "new")
    assert document.read_text(encoding="utf-8") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
