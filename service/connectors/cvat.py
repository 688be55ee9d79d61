"""CVAT's auto-annotation: a detection function that asks the service, for cvat-cli and cvat-sdk."""

from typing import Literal

import cvat_sdk.auto_annotation as cvataa
from cvat_sdk.masks import encode_mask
from PIL import Image

from service.client import FoundObject, SegmentationClient
from service.connectors.problems import RefusedError
from service.connectors.sets import find_objects, named_sets, stored_sets

Shapes = Literal["masks", "polygons"]


class Detector:
    """Finds the object of each label's stored set; a label's id is its place among them.

    CVAT's confidence threshold is a threshold of presence: whether the object is there at all.
    """

    def __init__(self, client: SegmentationClient, labels: list[str], shapes: Shapes) -> None:
        self._client = client
        self._shapes = shapes
        self._sets = named_sets(client, labels) if labels else stored_sets(client)
        if missing := [label for label in labels if label not in self._sets]:
            raise RefusedError(
                f"the service has no stored set of the name {missing[0]!r}; `sgone supports list` "
                "shows those it has"
            )
        if not self._sets:
            raise RefusedError("the service has no stored set; store what shows the object first")
        self._labels = list(self._sets)
        self.spec = cvataa.DetectionFunctionSpec(
            labels=[cvataa.label_spec(label, place) for place, label in enumerate(self._labels)]
        )

    def detect(
        self, context: cvataa.DetectionFunctionContext, image: Image.Image
    ) -> list[cvataa.DetectionAnnotation]:
        """Raises ConnectorError and SegmentationError, which end cvat-cli."""
        found = find_objects(
            self._client, image, self._sets, presence_threshold=context.conf_threshold
        )
        drawn = _polygons if context.conv_mask_to_poly or self._shapes == "polygons" else _masks
        return [
            shape
            for label, each in found.items()
            if each.found
            for shape in drawn(self._labels.index(label), each)
        ]

    def close(self) -> None:
        """Close the connections to the service."""
        self._client.close()


def create(url: str, labels: str = "", shapes: Shapes = "masks") -> Detector:
    """What cvat-cli calls. ``labels``: names of stored sets, parted by commas; all where empty.

    ``shapes``: "masks", or "polygons" without their holes.
    """
    if shapes not in ("masks", "polygons"):
        raise RefusedError(f"shapes may be masks or polygons, not {shapes!r}")
    names = [name.strip() for name in labels.split(",") if name.strip()]
    client = SegmentationClient(url)
    try:
        return Detector(client, names, shapes)
    except BaseException:
        client.close()
        raise


def _masks(label: int, found: FoundObject) -> list[cvataa.DetectionAnnotation]:
    return [cvataa.mask(label, encode_mask(found.mask))]


def _polygons(label: int, found: FoundObject) -> list[cvataa.DetectionAnnotation]:
    return [cvataa.polygon(label, polygon) for polygon in found.polygons]
