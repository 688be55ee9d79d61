"""What goes wrong between a tool, its connector and the service, as problem JSON (RFC 9457)."""

import logging
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from model.errors import ModelError
from service.client import ProblemError, SegmentationError, ServiceUnreachableError

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)


class ConnectorError(ModelError):
    """A reply other than success; every message is a sentence that says the fix."""

    status = 500
    code = "internal_error"


class RefusedError(ConnectorError):
    """What the tool sends or holds, which cannot be used as it is."""

    status = 422
    code = "refused"


class PageError(ConnectorError):
    """A request of a web page, which no tool sends."""

    status = 403
    code = "web_page"


class TooLargeError(ConnectorError):
    """More bytes than a request of the tool can need."""

    status = 413
    code = "too_large"


class ToolError(ConnectorError):
    """The tool answers otherwise than it should."""

    status = 502
    code = "tool_failed"


class TokenRejectedError(ToolError):
    """The tool does not take the connector's token, or not any more."""

    code = "token_rejected"


class ToolAwayError(ToolError):
    """The tool does not answer; the same request may pass later."""

    status = 503
    code = "tool_unreachable"


def install(app: FastAPI) -> None:
    """Answer every expected exception with a problem, and log it: tools hide what they are told."""
    for kind in (ConnectorError, SegmentationError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)


def describe(error: Exception) -> dict[str, Any]:
    """Status, code and detail of an expected error."""
    match error:
        case ConnectorError():
            status, code = error.status, error.code
        case ProblemError():
            # The tool's request did not come to the service: its own status is for the connector.
            status = error.status if error.status in (422, 429, 503, 504) else 502
            code = error.code
        case ServiceUnreachableError():
            status, code = 503, "service_unreachable"
        case RequestValidationError():
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return {"status": 422, "code": "invalid_request", "detail": f"{where}: {first['msg']}"}
        case HTTPException():
            return {"status": error.status_code, "code": "http", "detail": str(error.detail)}
        case _:
            status, code = 502, "unexpected_reply"
    return {"status": status, "code": code, "detail": str(error)}


def respond(error: Exception) -> JSONResponse:
    """The reply to an expected error."""
    problem = describe(error)
    return JSONResponse(problem, problem["status"], media_type=MEDIA_TYPE)


async def _handle(request: Request, error: Exception) -> JSONResponse:
    _log.warning("%s %s: %s", request.method, request.url.path, describe(error)["detail"])
    return respond(error)
