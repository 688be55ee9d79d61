"""Masks as regions and regions as masks; what a labelling interface asks for."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pictures import disc, object_mask
from service.client import FoundObject, Mask
from service.connectors.label_studio.labelling import Interface, read_interface
from service.connectors.label_studio.regions import describe, read_masks
from service.connectors.problems import RefusedError
from service.images.coco import encode_run_lengths, trace_polygons
from studios import BRUSH, POLYGON


def found(mask: Mask) -> FoundObject:
    return FoundObject(
        label=None,
        found=bool(mask.any()),
        score=0.75,
        area=int(mask.sum()),
        bbox=None,
        segmentation=encode_run_lengths(mask).model_dump(),  # type: ignore[arg-type]
        polygons=trace_polygons(mask),
    )


@pytest.mark.parametrize("configuration", [BRUSH, POLYGON])
@pytest.mark.parametrize("mask", [object_mask(), disc()], ids=["rectangle", "disc"])
def test_a_mask_comes_back_from_its_regions(configuration: str, mask: Mask) -> None:
    interface = read_interface(configuration)
    prediction = describe({"mug": found(mask)}, interface)
    (region,) = prediction["result"]
    assert (region["from_name"], region["to_name"]) == ("brush", "image")
    assert (region["original_width"], region["original_height"]) == (64, 48)
    assert region["value"][region["type"]] == ["mug"]
    assert prediction["score"] == 0.75
    again = read_masks(prediction["result"], interface)["mug"]
    # A polygon is up to 0.75 pixels off the mask's edge; along a rectangle it is none.
    off = 0 if configuration == BRUSH or mask.sum() == object_mask().sum() else 0.05
    assert np.sum(again ^ mask) <= off * mask.sum()


def test_parts_of_an_object_are_polygons_of_one_label() -> None:
    mask = object_mask()
    mask[40:45, 2:9] = True
    interface = read_interface(POLYGON)
    result = describe({"Dog": found(mask), "mug": found(object_mask())}, interface)["result"]
    assert [region["value"]["polygonlabels"] for region in result] == [["Dog"], ["Dog"], ["mug"]]
    assert len({region["id"] for region in result}) == 3
    masks = read_masks(result, interface)
    assert_array_equal(masks["Dog"], mask)
    assert_array_equal(masks["mug"], object_mask())


def test_what_is_not_found_has_no_region_and_no_mask() -> None:
    interface = read_interface(BRUSH)
    nothing = np.zeros((48, 64), np.bool_)
    assert describe({"mug": found(nothing)}, interface) == {"result": [], "score": 0.0}
    region = describe({"mug": found(object_mask())}, interface)["result"][0]
    region["value"]["brushlabels"] = ["of another project"]
    assert read_masks([region, {"type": "choices", "from_name": "x"}], interface) == {}


def drawn(**changes: Any) -> list[dict[str, Any]]:
    (region,) = describe({"mug": found(object_mask())}, read_interface(BRUSH))["result"]
    return [{**region, **changes}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_rotation": 90}, "turned in Label Studio"),
        ({"original_width": 63}, "cannot be read"),
        ({"original_width": 10**6, "original_height": 10**6}, "1000000x1000000 pixels"),
        ({"value": {"brushlabels": ["mug"]}}, "'rle'"),
        ({"original_height": None}, "cannot be read"),
    ],
)
def test_a_region_that_cannot_be_read_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        read_masks(drawn(**changes), read_interface(BRUSH))


def controls(interface: Interface) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(each.kind, each.field, each.labels) for each in interface.controls]


def test_an_interface_gives_its_controls_in_order() -> None:
    interface = read_interface("""
      <View><!-- <!ENTITY is only said -->
      <Header value="$title"/><Image name="image" value="$image"/>
      <PolygonLabels name="polygon" toName="image"><View><Label value="cat"/></View>
        <Label value="dog" alias="d"/></PolygonLabels>
      <BrushLabels name="brush" toName="image"><Label value="cat"/><Label value="sky"/>
      </BrushLabels><BrushLabels name="nothing" toName="title"><Label value="x"/></BrushLabels>
      <RectangleLabels name="box" toName="image"><Label value="car"/></RectangleLabels></View>
    """)
    assert controls(interface) == [
        ("polygonlabels", "image", ("cat", "d")),
        ("brushlabels", "image", ("cat", "sky")),
    ]
    assert interface.control_of["cat"].name == "polygon"
    assert sorted(interface.labels) == ["cat", "d", "sky"]
    assert interface.field(["cat", "sky"]) == "image"


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ("<View>", "is no XML"),
        ("<View/>", "no BrushLabels or PolygonLabels"),
        (BRUSH.replace("$photo", "photo.png"), "no BrushLabels or PolygonLabels"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>', "document type"),
        (BRUSH + " " * 1_000_000, "too long"),
    ],
)
def test_an_interface_that_no_mask_can_be_drawn_with_is_refused(
    configuration: str, said: str
) -> None:
    with pytest.raises(RefusedError, match=said):
        read_interface(configuration)


def test_labels_of_several_photographs_are_refused() -> None:
    interface = read_interface("""
      <View><Image name="a" value="$left"/><Image name="b" value="$right"/>
      <BrushLabels name="x" toName="a"><Label value="cat"/></BrushLabels>
      <BrushLabels name="y" toName="b"><Label value="dog"/></BrushLabels></View>
    """)
    assert interface.field(["dog"]) == "right"
    with pytest.raises(RefusedError, match="left, right"):
        interface.field(["cat", "dog"])
