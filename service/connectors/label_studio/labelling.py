"""What a project's labelling interface asks for: which label is drawn by which of its controls."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from service.connectors.problems import RefusedError

Kind = Literal["brushlabels", "polygonlabels"]
_KINDS: tuple[Kind, ...] = ("brushlabels", "polygonlabels")
MAX_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Control:
    """A BrushLabels or PolygonLabels; ``field`` is the photograph's in a task's data."""

    kind: Kind
    name: str
    image: str
    field: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Interface:
    """The controls that masks can be drawn with, as their project orders them."""

    controls: tuple[Control, ...]

    @property
    def control_of(self) -> dict[str, Control]:
        """Each label's control; where several have a label, the first."""
        return {label: each for each in reversed(self.controls) for label in each.labels}

    @property
    def labels(self) -> list[str]:
        """Every label once."""
        return list(self.control_of)

    def field(self, labels: Iterable[str]) -> str:
        """The photograph that labels are drawn on, as a task's data name it.

        Raises RefusedError where that is not one.
        """
        names = {self.control_of[label].field for label in labels}
        if len(names) != 1:
            raise RefusedError(
                "the labels belong to several photographs of one task "
                f"({', '.join(sorted(names))}); make a project for each"
            )
        return names.pop()


def read_interface(configuration: str) -> Interface:
    """Read a project's labelling interface.

    Raises RefusedError where it is no XML or has no control that a mask can be drawn with.
    """
    if len(configuration) > MAX_CHARACTERS or "<!DOCTYPE" in configuration:
        raise RefusedError("the labelling interface is too long, or has a document type")
    try:
        root = ElementTree.fromstring(configuration)
    except ElementTree.ParseError as error:
        raise RefusedError(f"the labelling interface is no XML ({error})") from error
    fields = {
        each.get("name", ""): each.get("value", "").removeprefix("$")
        for each in root.iter()
        if each.tag.lower() == "image" and each.get("value", "").startswith("$")
    }
    controls = [_control(each, fields) for each in root.iter() if each.tag.lower() in _KINDS]
    drawn = tuple(each for each in controls if each is not None)
    if not drawn:
        raise RefusedError(
            "the labelling interface has no BrushLabels or PolygonLabels on an Image with a "
            'value such as "$image"; add one'
        )
    return Interface(drawn)


def _control(element: ElementTree.Element, fields: dict[str, str]) -> Control | None:
    """None where it has no photograph or no label."""
    kind = next(kind for kind in _KINDS if kind == element.tag.lower())
    image = element.get("toName", "")
    labels = tuple(
        label
        for each in element.iter()
        if each.tag.lower() == "label" and (label := each.get("alias") or each.get("value"))
    )
    if image not in fields or not labels:
        return None
    return Control(kind, element.get("name", ""), image, fields[image], labels)
