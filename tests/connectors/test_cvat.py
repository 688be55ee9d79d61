"""CVAT's auto-annotation: the function under cvat-sdk's own driver, without a CVAT server."""

import logging
from contextlib import closing
from typing import Any

import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from pictures import object_mask, photograph
from service.client import SegmentationClient
from service.connectors.problems import RefusedError
from service.connectors.sets import MIN_AREA

cvat = pytest.importorskip("service.connectors.cvat", exc_type=ImportError)
PHOTOGRAPHS = [photograph(seed=3), photograph(40, 70, seed=4)]
NAMES = {"mug": 10, "dog": 20}


@pytest.fixture(autouse=True)
def sets(service: SegmentationClient) -> list[str]:
    """Two stored sets; gives their ids."""
    mug = service.create_support_set("mug", [(photograph(), object_mask())])
    return [mug.id, service.create_support_set("dog", [(photograph(seed=9), ~object_mask())]).id]


class Task:
    """What the driver takes of a task with two photographs: labels and samples in, shapes out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, labels: dict[str, int]) -> None:
        from cvat_sdk import models
        from cvat_sdk.auto_annotation import driver

        self.logger = logging.getLogger("test")
        self.tasks = self.api = self
        self.shapes: list[Any] = []
        self.labels = [
            models.Label(name=name, id=number, type="any", sublabels=[], attributes=[])
            for name, number in labels.items()
        ]
        self.samples = [Frame(place, image) for place, image in enumerate(PHOTOGRAPHS)]
        monkeypatch.setattr(driver, "TaskDataset", lambda *_, **__: self)

    def update_annotations(self, number: int, labeled_data_request: Any) -> None:
        self.shapes = labeled_data_request.shapes

    def annotate(self, function: Any, **options: Any) -> list[Any]:
        from cvat_sdk.auto_annotation import annotate_task

        annotate_task(self, 12, function, clear_existing=True, **options)
        return self.shapes


class Frame:
    """A photograph of a task, which is its own medium."""

    def __init__(self, place: int, image: Any) -> None:
        self.frame_index, self.frame_name = place, f"{place}.png"
        self.media, self._image = self, image

    def load_image(self) -> Image.Image:
        return Image.fromarray(self._image)


def decoded(shape: Any) -> Any:
    from cvat_sdk.masks import decode_mask

    height, width = PHOTOGRAPHS[shape.frame].shape[:2]
    return decode_mask(shape.points, image_width=width, image_height=height)


def test_each_label_s_mask_is_uploaded_as_the_task_s_own_label(
    service_url: str,
    service: SegmentationClient,
    sets: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with closing(cvat.create(service_url)) as function:
        shapes = Task(monkeypatch, NAMES).annotate(function)
    expected = {
        (place, NAMES[str(each.label)]): each.mask
        for place, image in enumerate(PHOTOGRAPHS)
        for each in service.segment_multiclass(image, support_sets=sets, min_area=MIN_AREA).classes
        if each.found
    }
    assert {(shape.frame, shape.label_id) for shape in shapes} == expected.keys()
    assert len(expected) == len(shapes) >= 3
    for shape in shapes:
        assert shape.type.value == "mask"
        assert_array_equal(decoded(shape), expected[shape.frame, shape.label_id])


@pytest.mark.parametrize("by", ["option", "driver"])
def test_polygons_are_uploaded_where_they_are_asked_for(
    service_url: str,
    service: SegmentationClient,
    sets: list[str],
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    options = {"shapes": "polygons"} if by == "option" else {}
    with closing(cvat.create(service_url, "mug", **options)) as function:
        shapes = Task(monkeypatch, NAMES).annotate(function, conv_mask_to_poly=by == "driver")
    assert {shape.type.value for shape in shapes} == {"polygon"}
    expected = [
        polygon
        for image in PHOTOGRAPHS
        for polygon in service.segment(
            image, support_set=sets[0], output="json", min_area=MIN_AREA
        ).polygons
    ]
    assert [list(shape.points) for shape in shapes] == expected != []


def test_a_confidence_is_a_presence(service_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(monkeypatch, NAMES)
    with closing(cvat.create(service_url, "mug")) as function:
        assert task.annotate(function, conf_threshold=0.0) != []
        assert task.annotate(function, conf_threshold=1.0) == []


def test_labels_that_the_task_lacks_are_told_by_the_driver(
    service_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvat_sdk.auto_annotation import BadFunctionError

    task = Task(monkeypatch, {"mug": 10})
    with closing(cvat.create(service_url)) as function:
        with pytest.raises(BadFunctionError, match="dog"):
            task.annotate(function)
        shapes = task.annotate(function, allow_unmatched_labels=True)
    assert {shape.label_id for shape in shapes} == {10}


def test_what_cannot_be_annotated_with_is_one_sentence(
    service_url: str, service: SegmentationClient
) -> None:
    with pytest.raises(RefusedError, match="no stored set of the name 'cup'"):
        cvat.create(service_url, "mug, cup")
    with pytest.raises(RefusedError, match="masks or polygons, not 'boxes'"):
        cvat.create(service_url, shapes="boxes")
    for stored in service.list_support_sets().items:
        service.delete_support_set(stored.id)
    with pytest.raises(RefusedError, match="store what shows the object first"):
        cvat.create(service_url)
