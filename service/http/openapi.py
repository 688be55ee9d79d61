"""The OpenAPI description: what FastAPI cannot read off the routes is written here."""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.http.layout import FormLayout, Fragment, Parameter
from service.http.problems import MEDIA_TYPE, catalogue
from service.images.codec import MEDIA_TYPES
from service.images.marks import Mark
from service.options import JSON, PNG
from service.schemas import BatchFailed, BatchFound, MulticlassSegmentation, Problem, Segmentation

Responses = dict[int | str, Fragment]
_ACCEPTED = ", ".join(MEDIA_TYPES)

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
_OBJECT: Fragment = {
    "X-Object-Found": {
        "description": "Whether the object is there, and the mask has a pixel.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
    "X-Object-Presence": {
        "description": "Probability that the photograph shows the object at all.",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
        "example": 0.981,
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
_READING: Fragment = {
    "X-Mask-Reading": {
        "description": (
            "How each sent mask was read, in order, and the object's share of it; left out for "
            "stored sets."
        ),
        "schema": {"type": "string"},
        "example": "light; share=0.4113, labels; share=0.0712",
    }
}
_LEGEND: Fragment = {
    "X-Legend": {
        "description": (
            "JSON: index, label, colour, presence, score, area and found of each class. Left out "
            "above 4000 bytes; PNGs have it in their text chunk `legend` too."
        ),
        "schema": {"type": "string"},
        "example": (
            '[{"index":1,"label":"cat","colour":"#800000","presence":0.981,"score":0.91,'
            '"area":1234,"found":true}]'
        ),
    }
}

_COCO_FILE: Fragment = {
    "info": {"description": "SG-One Service"},
    "images": [{"id": 1, "file_name": "beach.jpg", "height": 8, "width": 12}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [4, 2, 6, 4],
            "area": 24,
            "segmentation": {"size": [8, 12], "counts": "R144000000000>"},
        }
    ],
    "categories": [{"id": 1, "name": "cat"}],
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
        for model in (Problem, BatchFound, BatchFailed, Mark):
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


def describe_form(layout: FormLayout) -> Fragment:
    """Body and parameters of an operation: options as parts and in the query string."""
    options = layout.option_schemas()
    files = {name: part.schema() for name, part in layout.files.items()}
    texts = {name: part.schema() for name, part in layout.texts.items()}
    may_be_text = {*texts, *(name for name, part in layout.files.items() if part.model)}
    # What a request with every parameter must hold, every request must.
    least = layout.given([parameter.name for parameter in layout.parameters])
    form = {
        "schema": {
            "type": "object",
            "required": [part.name for part in least.parts if part.required],
            "properties": files | texts | options,
            "additionalProperties": False,
        },
        "encoding": {
            name: {"contentType": part.media_types or _ACCEPTED}
            for name, part in layout.files.items()
        }
        # Else several texts of one name are sent as one, joined by commas.
        | {name: {"style": "form", "explode": True} for name in layout.many if name in may_be_text},
    }
    body = {"requestBody": {"required": True, "content": {"multipart/form-data": form}}}
    in_query = options | {parameter.name: parameter.schema() for parameter in layout.parameters}
    parameters = [*_in_query(in_query), *layout.headers]
    return body | ({"parameters": parameters} if parameters else {})


def describe_parameters(*parameters: Parameter) -> Fragment:
    """Parameters of an operation without a form."""
    return {"parameters": _in_query({each.name: each.schema() for each in parameters})}


def _in_query(schemas: Mapping[str, Fragment]) -> list[Fragment]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]


SEGMENT_RESPONSES: Responses = {
    200: {
        "description": (
            "What `output` asks for, of the upright query's size. Nothing found is an empty mask."
        ),
        "headers": _REQUEST_ID | _SERVER_TIMING | _READING | _OBJECT,
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}, JSON: {}},
        "model": Segmentation,
    },
    **problem_responses(400, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504),
}

MULTICLASS_RESPONSES: Responses = {
    200: {
        "description": "What `output` asks for, of the upright query's size.",
        "headers": _REQUEST_ID | _SERVER_TIMING | _READING | _LEGEND,
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}, JSON: {}},
        "model": MulticlassSegmentation,
    },
    **problem_responses(400, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504),
}

BATCH_RESPONSES: Responses = {
    200: {
        "description": (
            "A stream, in the order of the queries. ZIP: `0000_NAME.png` (`.json`) for each query "
            "that was segmented, or the files of `format`, and at the end `results.jsonl` with a "
            "record of each. x-ndjson: the records alone, a line each."
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

MASK_RESPONSES: Responses = {
    200: {
        "description": "8-bit grey PNG of the upright mask's size: 255 on the object, 0 elsewhere.",
        "headers": _REQUEST_ID | _READING,
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}},
    },
    **problem_responses(400, 408, 413, 415, 422, 429, 500, 503, 504),
}

ANNOTATION_RESPONSES: Responses = {
    200: {
        "description": (
            "A stream. ZIP: the files of each format. JSON: the file of one format that is JSON."
        ),
        "headers": _REQUEST_ID,
        "content": {
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            JSON: {"example": _COCO_FILE},
        },
    },
    **problem_responses(400, 406, 408, 413, 415, 422, 429, 500, 503, 504, 507),
}

CREATED: Responses = {
    201: {
        "headers": _READING
        | {"Location": {"schema": {"type": "string"}, "description": "Its address."}}
    }
}


def file_response(description: str, *media_types: str) -> Responses:
    """Success of a route that answers with an image of one of some types."""
    content = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"description": description, "content": dict.fromkeys(media_types, content)}}
