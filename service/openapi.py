"""The OpenAPI description: what FastAPI cannot read off the routes is written here."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from model.guidance import FUSIONS
from service.codec import FORMATS
from service.errors import catalogue
from service.problems import MEDIA_TYPE
from service.schemas import Problem

Fragment = dict[str, Any]
Responses = dict[int | str, Fragment]

_REQUEST_ID: Fragment = {
    "X-Request-ID": {
        "description": "The request's own X-Request-ID, or a new one; the log has it.",
        "schema": {"type": "string"},
    }
}
_SERVER_TIMING: Fragment = {
    "Server-Timing": {
        "description": "Milliseconds of decode, queue, encode, segment and render.",
        "schema": {"type": "string"},
    }
}
_RETRY_AFTER: Fragment = {
    "Retry-After": {
        "description": "Seconds until the queue should have room.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_IMAGE: Fragment = {
    "type": "string",
    "format": "binary",
    "description": "Photograph; EXIF orientation is applied, and what is transparent is white.",
}
_MASK: Fragment = {
    "type": "string",
    "format": "binary",
    "description": (
        "Mask of the size of its image. The object is: in a palette, every index but 0 (255 is "
        "void if other indices are there); with an alpha channel that varies, alpha above half; "
        "in grey that holds only 0 and 1, the 1; in other grey, above half of the range; in "
        "colour, where any channel is above half."
    ),
}
_FUSION: Fragment = {
    "type": "string",
    "enum": list(FUSIONS),
    "default": "average",
    "description": "average of the supports' prototypes, or union of their masks.",
}


def problem_responses(*statuses: int) -> Responses:
    """The error replies of a route, each with the codes that its status can carry."""
    return {status: _problem(status) for status in statuses}


def describe(app: FastAPI) -> Fragment:
    """The whole description, built once for an app."""
    if app.openapi_schema is None:
        app.openapi_schema = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            license_info=app.license_info,
            tags=app.openapi_tags,
            routes=app.routes,
        )
        schemas = app.openapi_schema.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
    return app.openapi_schema


def _problem(status: int) -> Fragment:
    codes = "; ".join(f"`{e.code}`: {e.title}" for e in catalogue() if e.status == status)
    return {
        "description": codes,
        "headers": _REQUEST_ID | (_RETRY_AFTER if status == 429 else {}),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _form(properties: Fragment, required: list[str]) -> Fragment:
    files = [name for name, schema in properties.items() if schema is not _FUSION]
    accepted = ", ".join(f"image/{name.lower()}" for name in FORMATS)
    form = {
        "schema": {
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": False,
        },
        "encoding": {name: {"contentType": accepted} for name in files},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": form}}}


def _repeated(items: Fragment) -> Fragment:
    return {"type": "array", "items": items, "minItems": 1}


FILES = ["support_image", "support_mask", "query_image"]
ONE_SHOT_BODY = _form(
    {"support_image": _IMAGE, "support_mask": _MASK, "query_image": _IMAGE}, FILES
)
KSHOT_BODY = _form(
    {
        "support_image": _repeated(_IMAGE),
        "support_mask": _repeated(_MASK),
        "query_image": _IMAGE,
        "fusion": _FUSION,
    },
    FILES,
)
SEGMENT_RESPONSES: Responses = {
    200: {
        "description": (
            "The mask: 8-bit grey, 255 on the object and 0 elsewhere, of the upright query's size."
        ),
        "headers": _REQUEST_ID | _SERVER_TIMING,
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    },
    **problem_responses(400, 413, 415, 422, 429, 500, 503),
}
