"""JSON replies, as the OpenAPI file shows them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process answers, or is ready to segment."""

    status: Literal["alive", "ready"]


class Limits(BaseModel):
    """What a request may hold."""

    max_shots: Annotated[int, Field(description="Supports of one request.")]
    max_image_pixels: Annotated[int, Field(description="Width x height of one image.")]
    max_upload_bytes: Annotated[int, Field(description="Bytes of one request's body.")]
    max_queue: Annotated[int, Field(description="Requests that may wait for the network.")]


class Info(BaseModel):
    """What this instance runs."""

    version: Annotated[str, Field(description="Version of the service.")]
    model: Annotated[str, Field(description="Name of the checkpoint.")]
    architecture: Annotated[str, Field(description="Backbone of the SG-One network.")]
    checkpoint_sha256: Annotated[str, Field(description="SHA-256 of the checkpoint file.")]
    classes_seen: Annotated[
        list[str], Field(description="Classes of the training data; others work, less surely.")
    ]
    device: Annotated[str, Field(description="cpu, cuda or cuda:N.")]
    precision: Annotated[str, Field(description="bfloat16 or float32.")]
    input_side: Annotated[
        int, Field(description="Its square is about the number of pixels that the network sees.")
    ]
    limits: Limits


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
