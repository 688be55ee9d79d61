"""JSON replies, as the OpenAPI file shows them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict


class Health(BaseModel):
    """The process answers, or is ready to segment."""

    status: Literal["alive", "ready"]


class Limits(BaseModel):
    """What a request may hold."""

    max_shots: Annotated[int, Field(description="Supports of one request.")]
    max_classes: Annotated[int, Field(description="Classes of one request.")]
    max_queries: Annotated[int, Field(description="Queries of one batch.")]
    max_image_pixels: Annotated[int, Field(description="Width x height of one image.")]
    max_upload_bytes: Annotated[int, Field(description="Bytes of one request's body.")]
    max_batch_bytes: Annotated[int, Field(description="Bytes of one batch's body.")]
    max_queue: Annotated[int, Field(description="Requests that may wait for the network.")]
    request_timeout_ms: Annotated[int, Field(description="Longest that X-Request-Timeout allows.")]


class Info(BaseModel):
    """What this instance runs."""

    version: Annotated[str, Field(description="Version of the service.")]
    model: Annotated[str, Field(description="Name of the checkpoint.")]
    architecture: Annotated[str, Field(description="Backbone of the SG-One network.")]
    checkpoint_sha256: Annotated[str, Field(description="SHA-256 of the checkpoint file.")]
    classes_seen: Annotated[
        list[str], Field(description="Classes of the training data; others work, less surely.")
    ]
    executor: Annotated[str, Field(description="What runs the network: openvino or torch.")]
    device: Annotated[str, Field(description="cpu, cuda or cuda:N.")]
    precision: Annotated[str, Field(description="bfloat16 or float32.")]
    input_side: Annotated[
        int, Field(description="Its square is about the number of pixels that the network sees.")
    ]
    object_threshold: Annotated[float, Field(description="What threshold=auto is.")]
    presence_threshold: Annotated[float, Field(description="What presence_threshold=auto is.")]
    presence_is_learned: Annotated[
        bool,
        Field(
            description="Whether the network has a branch for presence; else presence is the "
            "highest probability anywhere, which tells little."
        ),
    ]
    limits: Limits


class Model(BaseModel):
    """One of the models that are served, and whether it is in memory."""

    name: Annotated[str, Field(description="What `model` asks for it by.")]
    state: Annotated[
        Literal["loaded", "loading", "not_loaded", "failed"],
        Field(description="`not_loaded` is loaded when it is asked for; of `failed` see the log."),
    ]
    in_use: Annotated[int, Field(description="Requests that use it, or wait for it.")]
    memory_bytes: Annotated[
        int | None,
        Field(description="What it took when it was loaded; null where that was not measured."),
    ]
    card: "ModelCard | None"


class ModelCard(BaseModel):
    """What a checkpoint says of itself."""

    title: Annotated[str, Field(description="Name in the checkpoint.")]
    architecture: Annotated[str, Field(description="Backbone of the SG-One network.")]
    checkpoint_sha256: Annotated[str, Field(description="SHA-256 of the file.")]
    classes_seen: Annotated[list[str], Field(description="Classes of the training data.")]
    data: Annotated[str, Field(description="What it was trained with.")]
    metrics: Annotated[
        dict[str, float], Field(description="Figures, named with their protocol and data.")
    ]
    licence: str
    created: str
    input_side: Annotated[int, Field(description="As in /info.")]
    object_threshold: Annotated[float, Field(description="As in /info.")]
    presence_threshold: Annotated[float, Field(description="As in /info.")]
    presence_is_learned: Annotated[bool, Field(description="As in /info.")]


class Models(BaseModel):
    """All models that are served."""

    default: Annotated[str, Field(description="Who answers where no `model` is named.")]
    items: list[Model]


class Reloaded(BaseModel):
    """A model whose file was read again."""

    name: str
    previous_sha256: Annotated[
        str | None, Field(description="What served before; null where it was not loaded.")
    ]
    checkpoint_sha256: Annotated[str | None, Field(description="What serves now.")]
    seconds: Annotated[float, Field(description="From the request on.")]


class RunLengths(BaseModel):
    """A mask as COCO's compressed run lengths, which pycocotools.mask.decode reads."""

    size: Annotated[tuple[int, int], Field(description="Height and width.")]
    counts: Annotated[str, Field(description="Run lengths, column by column, in COCO's letters.")]


_MADE_BY: JsonDict = {"model": "SG-One MobileNetV2, matching head", "checkpoint_sha256": "9f" * 32}
_OBJECT: JsonDict = {
    "found": True,
    "presence": 0.981204,
    "score": 0.873105,
    "area": 24,
    "bbox": [4, 2, 6, 4],
    "segmentation": {"size": [8, 12], "counts": "R144000000000>"},
    "polygons": [[4, 2, 4, 6, 10, 6, 10, 2]],
}
_THRESHOLDS: JsonDict = {"threshold": 0.5, "presence_threshold": 0.35}
_SEGMENTATION: JsonDict = {
    **_OBJECT,
    "label": "cat",
    "size": [8, 12],
    **_THRESHOLDS,
    **_MADE_BY,
}
_MULTICLASS: JsonDict = {
    "size": [8, 12],
    **_THRESHOLDS,
    "classes": [{**_OBJECT, "index": 1, "label": "cat", "colour": "#800000"}],
    **_MADE_BY,
}
EXAMPLE_ID = "eb37af71f7014e038c68bd0783091c3d"
_PAIR: JsonDict = {
    "id": "c144f84cfc66466187a8deca13cbb84f",
    "width": 512,
    "height": 512,
    "area": 107824,
    "created": "2026-11-22T23:50:27Z",
}
_SUPPORT_SET: JsonDict = {
    "id": EXAMPLE_ID,
    "name": "astronaut, in daylight",
    "label": "person",
    "shots": 1,
    "created": "2026-11-22T23:50:27Z",
    "pairs": [_PAIR],
}


class Instance(BaseModel):
    """One connected part of a mask."""

    area: Annotated[int, Field(description="Pixels of the part.")]
    bbox: Annotated[
        tuple[int, int, int, int], Field(description="Left, top, width and height in pixels.")
    ]
    segmentation: RunLengths
    polygon: Annotated[list[float], Field(description="Its outline, x1, y1, x2, y2, ...")]


class FoundObject(BaseModel):
    """One object's mask in one photograph, and whether the object is there at all."""

    found: Annotated[
        bool, Field(description="Whether the object is there, and the mask has a pixel.")
    ]
    presence: Annotated[
        float,
        Field(
            description="Probability that the photograph shows the object at all; below the "
            "presence threshold the mask is empty.",
            ge=0,
            le=1,
        ),
    ]
    score: Annotated[
        float,
        Field(
            description="Mean probability over the mask's pixels, 0 if not found. It tells how "
            "sure the mask is of itself, not whether the object is there."
        ),
    ]
    area: Annotated[int, Field(description="Pixels of the mask.")]
    bbox: Annotated[
        tuple[int, int, int, int] | None,
        Field(description="Left, top, width and height in pixels; null if not found."),
    ]
    segmentation: RunLengths
    polygons: Annotated[
        list[list[float]],
        Field(
            description="The outlines of the parts, x1, y1, x2, y2, ... along the pixels' edges, "
            "so that a part of one pixel is a square; holes are in the segmentation only."
        ),
    ]
    instances: Annotated[
        list[Instance] | None,
        Field(
            description="The mask's connected parts, the topmost first and at most the 1000 "
            "largest, where instances=true asks for them."
        ),
    ] = None


class Segmentation(FoundObject):
    """The reply of /segment and /segment/kshot as JSON."""

    model_config = ConfigDict(json_schema_extra={"example": _SEGMENTATION})

    label: Annotated[str | None, Field(description="The request's label.")]
    size: Annotated[tuple[int, int], Field(description="Height and width of the upright query.")]
    threshold: Annotated[float, Field(description="The threshold that made the mask.")]
    presence_threshold: Annotated[
        float, Field(description="The presence from which on something is marked.")
    ]
    model: Annotated[str, Field(description="Name of the checkpoint.")]
    checkpoint_sha256: Annotated[str, Field(description="SHA-256 of the checkpoint file.")]


class LegendEntry(BaseModel):
    """One class of a mask of many: its index and colour there, and whether it is there at all."""

    index: Annotated[int, Field(description="Its pixels' value in the mask; 0 is background.")]
    label: Annotated[str, Field(description="The class, as the request named it.")]
    colour: Annotated[str, Field(description="#rrggbb, in the mask's palette and in the overlay.")]
    presence: Annotated[
        float, Field(description="Probability that the photograph shows it.", ge=0, le=1)
    ]
    score: Annotated[float, Field(description="Mean probability over its pixels, else 0.")]
    area: Annotated[int, Field(description="Its pixels.")]
    found: Annotated[bool, Field(description="Whether it is there, and has a pixel.")]


class FoundClass(FoundObject):
    """One class among several; no pixel belongs to two."""

    index: Annotated[int, Field(description="From 1 on, in the order of first mention.")]
    label: Annotated[str, Field(description="The class, as the request named it.")]
    colour: Annotated[str, Field(description="#rrggbb, in the mask's palette and in the overlay.")]


class MulticlassSegmentation(BaseModel):
    """The reply of /segment/multiclass as JSON."""

    model_config = ConfigDict(json_schema_extra={"example": _MULTICLASS})

    size: Annotated[tuple[int, int], Field(description="Height and width of the upright query.")]
    threshold: Annotated[float, Field(description="The threshold that made the mask.")]
    presence_threshold: Annotated[
        float, Field(description="The presence from which on something is marked.")
    ]
    classes: list[FoundClass]
    model: Annotated[str, Field(description="Name of the checkpoint.")]
    checkpoint_sha256: Annotated[str, Field(description="SHA-256 of the checkpoint file.")]


class BatchFound(Segmentation):
    """A query of a batch that was segmented."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {**_SEGMENTATION, "index": 0, "name": "one.jpg", "status": "ok"}
        }
    )

    index: Annotated[int, Field(description="Place of the query in the request, from 0 on.")]
    name: Annotated[str, Field(description="File name of the query, as sent.")]
    status: Literal["ok"] = "ok"


class BatchProblem(BaseModel):
    """What is wrong with one query of a batch."""

    code: Annotated[str, Field(description="Stable name of the kind of error, for programs.")]
    title: Annotated[str, Field(description="The kind of error, the same for each code.")]
    detail: Annotated[str, Field(description="What is wrong here, and how to mend it.")]


class BatchFailed(BaseModel):
    """A query of a batch that could not be segmented; the others are not touched by it."""

    index: Annotated[int, Field(description="Place of the query in the request, from 0 on.")]
    name: Annotated[str, Field(description="File name of the query, as sent.")]
    status: Literal["error"] = "error"
    problem: BatchProblem


class SupportPair(BaseModel):
    """One shot of a support set: a photograph and its object mask."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _PAIR})

    id: Annotated[str, Field(description="32 hexadecimal characters.")]
    width: Annotated[int, Field(description="Pixels of the upright photograph.")]
    height: Annotated[int, Field(description="Pixels of the upright photograph.")]
    area: Annotated[int, Field(description="Pixels of the object.")]
    created: Annotated[datetime, Field(description="When it was stored, in UTC.")]


class SupportSet(BaseModel):
    """Stored supports of one object or class."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _SUPPORT_SET})

    id: Annotated[str, Field(description="32 hexadecimal characters.")]
    name: Annotated[str, Field(description="No other set has it.")]
    label: Annotated[str | None, Field(description="Name of the object's class.")]
    shots: Annotated[int, Field(description="Pairs of the set.")]
    created: Annotated[datetime, Field(description="When it was stored, in UTC.")]
    pairs: Annotated[list[SupportPair], Field(description="In the order in which they came.")]


class SupportSets(BaseModel):
    """A page of the list of support sets."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_SUPPORT_SET], "total": 1}})

    items: Annotated[list[SupportSet], Field(description="From the newest on.")]
    total: Annotated[int, Field(description="Sets that are stored, on all pages.")]


class Problem(BaseModel):
    """An error reply (RFC 9457), of media type application/problem+json."""

    type: Annotated[str, Field(description="Where the error is described.")]
    title: Annotated[str, Field(description="The kind of error, the same for each code.")]
    status: Annotated[int, Field(description="The reply's HTTP status.")]
    detail: Annotated[str, Field(description="What is wrong here, and how to mend it.")]
    instance: Annotated[str, Field(description="The request's path.")]
    code: Annotated[str, Field(description="Stable name of the kind of error, for programs.")]
    field: Annotated[
        str | None, Field(description="The part at fault; repeated parts count from [0].")
    ] = None
    request_id: Annotated[
        str, Field(description="The reply's X-Request-ID, under which the log has the request.")
    ]
