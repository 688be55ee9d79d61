"""X-AnyLabeling's remote server as an app: one model, whose classes are the stored sets."""

import base64
import binascii
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from service.client import FoundObject, SegmentationClient
from service.connectors import problems
from service.connectors.bounds import Bounds
from service.connectors.problems import RefusedError
from service.connectors.serving import log_to_standard_error, serve
from service.connectors.sets import find_objects, named_sets, stored_sets

MODEL = "sg-one"
# A photograph as base64 takes a third more; twice that of SGONE_MAX_UPLOAD_BYTES by default.
MAX_REQUEST_BYTES = 128 * 1024 * 1024
# Those of its widgets that mean something here. 0 leaves the presence threshold to the network.
_WIDGETS = (
    {"name": "button_run", "value": None},
    {"name": "input_conf", "value": None},
    {"name": "edit_conf", "value": 0.0},
    {"name": "button_classes_filter", "value": None},
    {"name": "toggle_preserve_existing_annotations", "value": False},
)


class Parameters(BaseModel):
    """The widgets' values, of which two are used; no class chosen means all."""

    conf_threshold: float = 0.0
    filter_classes: list[str] = []


class PredictPhotograph(BaseModel):
    """A photograph as base64, or as a data URI."""

    model: str
    image: str
    params: Parameters = Parameters()


def create_server(client: SegmentationClient) -> FastAPI:
    """The app.

    Errors have a status, which X-AnyLabeling shows. Its own server's come with 200, and are lost.
    """
    app = FastAPI(title="SG-One Service for X-AnyLabeling", openapi_url=None)
    problems.install(app)
    app.add_middleware(Bounds, max_bytes=MAX_REQUEST_BYTES)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "healthy", "models_loaded": 1}

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return _success({MODEL: _described(client)})

    @app.get("/v1/models/{model}/info")
    def model_info(model: str) -> dict[str, Any]:
        _check(model)
        return _success({"model_id": MODEL, **_described(client)})

    @app.post("/v1/predict")
    def predict(request: PredictPhotograph) -> dict[str, Any]:
        _check(request.model)
        chosen = request.params.filter_classes
        sets = named_sets(client, chosen) if chosen else stored_sets(client)
        threshold = request.params.conf_threshold or None
        photograph = _decoded(request.image)
        if not sets:
            raise RefusedError("the service has no stored set; store what shows the object first")
        found = find_objects(client, photograph, sets, presence_threshold=threshold)
        return _success({"shapes": _shapes(found), "description": ""})

    return app


def _success(data: Any) -> dict[str, Any]:
    return {"success": True, "data": data}


def _described(client: SegmentationClient) -> dict[str, Any]:
    return {
        "display_name": "SG-One Service",
        "widgets": _WIDGETS,
        "params": {},
        "capabilities": {},
        "batch_processing_mode": "default",
        "classes": list(stored_sets(client)),
        "filter_classes": [],
    }


def _check(model: str) -> None:
    if model != MODEL:
        raise RefusedError(f"there is no model {model[:80]!r} here, only {MODEL!r}; choose it anew")


def _decoded(image: str) -> bytes:
    try:
        return base64.b64decode(image.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(f"the image is no base64 ({error}); send the file's bytes so") from error


def _shapes(found: dict[str, FoundObject]) -> list[dict[str, Any]]:
    """A polygon for each part, closed by its first point again, as X-AnyLabeling draws them."""
    shapes = []
    for label, each in found.items():
        for polygon in each.polygons:
            points = [list(point) for point in zip(polygon[::2], polygon[1::2], strict=True)]
            shapes.append(
                {
                    "label": label,
                    "shape_type": "polygon",
                    "points": [*points, points[0]],
                    "score": each.score,
                }
            )
    return shapes


def run(url: str, model: str | None, host: str, port: int) -> None:
    """``sgone connect x-anylabeling``: serve until SIGTERM or SIGINT."""
    log_to_standard_error()
    with SegmentationClient(url, model=model) as client:
        serve(create_server(client), host, port)
