"""The OpenAPI description: what FastAPI cannot read off the routes is written here."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.http.deadline import HEADER
from service.http.problems import MEDIA_TYPE, catalogue
from service.images.codec import FORMATS
from service.options import (
    JSON,
    LABEL_LENGTH,
    PNG,
    KShotOptions,
    MulticlassOptions,
    Options,
    Shaping,
)
from service.schemas import BatchFailed, BatchFound, MulticlassSegmentation, Problem, Segmentation

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
        "description": "Seconds until the queue should have room, or storage be asked again.",
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
_TIMEOUT: Fragment = {
    "name": HEADER,
    "in": "header",
    "description": (
        "Seconds that the client waits, from the request's headers on, at most "
        "`request_timeout_ms` of `/info`; for many queries, seconds of each. Without it "
        "`request_timeout_ms` counts from the end of the body."
    ),
    "schema": {"type": "number", "exclusiveMinimum": 0, "examples": [2.5]},
}
_OBJECT: Fragment = {
    "X-Object-Found": {
        "description": "Whether the mask has a pixel.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
    "X-Object-Score": {
        "description": "Mean probability over the mask's pixels; 0 where nothing is found.",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
        "example": 0.873,
    },
    "X-Object-Area": {
        "description": "Pixels of the mask.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 12345,
    },
}
_LEGEND: Fragment = {
    "X-Legend": {
        "description": (
            "JSON: index, label, colour, score, area and found of each class. Left out above "
            "4000 bytes; PNGs have it in their text chunk `legend` too."
        ),
        "schema": {"type": "string"},
        "example": (
            '[{"index":1,"label":"cat","colour":"#800000","score":0.91,"area":1234,"found":true}]'
        ),
    }
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
        for model in (Problem, BatchFound, BatchFailed):
            described = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= described.pop("$defs", {}) | {model.__name__: described}
    return app.openapi_schema


def _problem(status: int) -> Fragment:
    codes = "; ".join(f"`{e.code}`: {e.title}" for e in catalogue() if e.status == status)
    return {
        "description": codes,
        "headers": _REQUEST_ID | (_RETRY_AFTER if status in (429, 503) else {}),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _form(files: Fragment, texts: Fragment, required: Sequence[str]) -> Fragment:
    accepted = ", ".join(f"image/{name.lower()}" for name in FORMATS)
    form = {
        "schema": {
            "type": "object",
            "required": list(required),
            "properties": files | texts,
            "additionalProperties": False,
        },
        "encoding": {name: {"contentType": accepted} for name in files},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": form}}}


def _input(
    files: Fragment,
    options: type[Shaping],
    texts: Fragment | None = None,
    support_set: Fragment | None = None,
) -> Fragment:
    """Body and parameters of an operation: files as parts, options as parts or in the query.

    Only the query is required, since a stored set takes the place of supports.
    """
    properties: Fragment = options.model_json_schema()["properties"]
    described = {name: _text(schema) for name, schema in properties.items()}
    parameters = [
        {"name": name, "in": "query", "schema": schema} for name, schema in described.items()
    ]
    parameters.append({"name": "support_set", "in": "query", "schema": support_set or _SET_ID})
    parameters.append(_TIMEOUT)
    form = _form(files, (texts or {}) | described, required=["query_image"])
    return form | {"parameters": parameters}


def _text(schema: Fragment) -> Fragment:
    """An option's schema, with its default told but not declared.

    Pages that try out an API fill defaults in, and so would send each option twice.
    """
    default = json.dumps(schema["default"]).strip('"')
    about = f"{schema['description']} Default: {default}. Query parameter or part, not both."
    kept = {name: schema[name] for name in schema if name not in ("default", "title")}
    return kept | {"description": about}


def _repeated(items: Fragment) -> Fragment:
    return {"type": "array", "items": items, "minItems": 1}


_SET_ID: Fragment = {
    "type": "string",
    "description": "Id of a stored support set, in place of support_image and support_mask.",
    "examples": ["0bf203dd52524adf98b0f9502b877fc2"],
}
_SUPPORTS: Fragment = {"support_image": _repeated(_IMAGE), "support_mask": _repeated(_MASK)}
ONE_SHOT_INPUT = _input(
    {"support_image": _IMAGE, "support_mask": _MASK, "query_image": _IMAGE}, Options
)
KSHOT_INPUT = _input(_SUPPORTS | {"query_image": _IMAGE}, KShotOptions)
SEGMENT_RESPONSES: Responses = {
    200: {
        "description": (
            "What `output` asks for, of the upright query's size. Nothing found is an empty mask."
        ),
        "headers": _REQUEST_ID | _SERVER_TIMING | _OBJECT,
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}, JSON: {}},
        "model": Segmentation,
    },
    **problem_responses(400, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504),
}

MULTICLASS_INPUT = _input(
    _SUPPORTS | {"query_image": _IMAGE},
    MulticlassOptions,
    texts={
        "support_label": _repeated(
            {
                "type": "string",
                "minLength": 1,
                "maxLength": LABEL_LENGTH,
                "description": "Class of the support at the same place; equal labels are one.",
                "examples": ["cat"],
            }
        )
    },
    support_set={
        "type": "array",
        "items": {"type": "string"},
        "description": "Ids of stored support sets, each a class by its label, else its name; "
        "in place of supports, or beside them.",
    },
)
MULTICLASS_RESPONSES: Responses = {
    200: {
        "description": "What `output` asks for, of the upright query's size.",
        "headers": _REQUEST_ID | _SERVER_TIMING | _LEGEND,
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}, JSON: {}},
        "model": MulticlassSegmentation,
    },
    **problem_responses(400, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504),
}

BATCH_INPUT = _input(_SUPPORTS | {"query_image": _repeated(_IMAGE)}, KShotOptions)
BATCH_RESPONSES: Responses = {
    200: {
        "description": (
            "A stream, in the order of the queries. ZIP: `0000_NAME.png` (`.json`) for each query "
            "that was segmented, and at the end `results.jsonl` with a record of each. "
            "x-ndjson: the records alone, a line each."
        ),
        "headers": _REQUEST_ID,
        "content": {
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "application/x-ndjson": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/BatchFound"},
                        {"$ref": "#/components/schemas/BatchFailed"},
                    ]
                }
            },
        },
    },
    **problem_responses(400, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504, 507),
}

_SHORT_TEXT: Fragment = {"type": "string", "maxLength": 200}
PAIRS_INPUT = _form(_SUPPORTS, {}, required=list(_SUPPORTS))
NEW_SET_INPUT = _form(
    _SUPPORTS,
    {
        "name": _SHORT_TEXT
        | {"minLength": 1, "description": "No other set may have it.", "examples": ["mug"]},
        "label": _SHORT_TEXT | {"description": "Name of the object's class.", "examples": ["cup"]},
    },
    required=["name", *_SUPPORTS],
)
CREATED: Responses = {
    201: {"headers": {"Location": {"schema": {"type": "string"}, "description": "Its address."}}}
}


def file_response(description: str, *media_types: str) -> Responses:
    """Success of a route that answers with an image of one of some types."""
    content = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"description": description, "content": dict.fromkeys(media_types, content)}}
