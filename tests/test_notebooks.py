"""The code of docs/notebooks.md, run as it stands but for the address."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from serving import served_checkpoint

ROOT = Path(__file__).resolve().parents[1]
FIRST, SUPERVISION, FIFTYONE = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/notebooks.md").read_text("utf-8"), re.M | re.S
)


@pytest.fixture(scope="module")
def run(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Runs a block after the first; returns its names."""
    desk = tmp_path_factory.mktemp("desk")
    (desk / "examples").symlink_to(ROOT / "examples")
    with pytest.MonkeyPatch.context() as patch, served_checkpoint(checkpoint, desk) as url:
        patch.chdir(desk)

        def run(block: str) -> dict[str, Any]:
            names: dict[str, Any] = {}
            exec(FIRST.replace("http://127.0.0.1:8000", url), names)
            with names["client"]:
                exec(block, names)
            return names

        yield run


@pytest.mark.filterwarnings("ignore")  # of the library's own
def test_supervision_takes_the_result(run: Callable[[str], dict[str, Any]]) -> None:
    pytest.importorskip("supervision")
    names = run(SUPERVISION)
    found, detections = names["found"], names["detections"]
    assert len(detections) == len(found.instances) > 0
    assert_array_equal(detections.mask.any(axis=0), found.mask)
    assert_array_equal(detections.area, [part.area for part in found.instances])
    left, top, right, bottom = detections.xyxy[0]
    rows, columns = np.nonzero(found.instances[0].mask)
    assert (left, top) == (columns.min(), rows.min())
    assert (right, bottom) == (columns.max() + 1, rows.max() + 1)
    assert Image.open("annotated.jpg").size == (512, 512)


@pytest.mark.filterwarnings("ignore")  # of the library's own
def test_fiftyone_takes_the_result(run: Callable[[str], dict[str, Any]]) -> None:
    pytest.importorskip("fiftyone", reason="it brings a MongoDB server; install it to test")
    names = run(FIFTYONE)
    found, sample = names["found"], names["sample"]
    assert_array_equal(sample["person"].mask, found.mask)
    parts = sample["parts"].detections
    assert len(parts) == len(found.instances)
    assert [part.mask.sum() for part in parts] == [part.area for part in found.instances]


def test_nothing_found_is_no_detection_and_a_whole_mask_is_one(
    run: Callable[[str], dict[str, Any]],
) -> None:
    names = run("nothing = client.segment(query, supports, output='json', min_area=10**8)")
    nothing = names["nothing"].detections()
    assert nothing["xyxy"].shape == (0, 4) and nothing["mask"].shape == (0, 512, 512)
    again = run("whole = client.segment(query, supports, output='json')")
    whole = again["whole"].detections()
    assert_array_equal(whole["mask"][0], again["whole"].mask)
    assert whole["confidence"].tolist() == [again["whole"].score]
