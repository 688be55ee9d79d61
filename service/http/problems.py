"""The one place where an exception becomes a reply, as problem JSON (RFC 9457)."""

import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from model.errors import InputError
from service.errors import (
    ClientGoneError,
    InternalError,
    InvalidImageError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    OutOfMemoryError,
    ServiceError,
)
from service.schemas import Problem

MEDIA_TYPE = "application/problem+json"


def install(app: FastAPI) -> None:
    """Answer every expected exception. Observe catches and logs all others."""
    for kind in (
        ServiceError,
        HTTPException,
        RequestValidationError,
        InputError,
        MemoryError,
        ClientDisconnect,
    ):
        app.add_exception_handler(kind, _handle)


def catalogue(root: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    """Yield every error that a reply can carry, in the order of the tree."""
    for error in root.__subclasses__():
        if error.code:
            yield error
        yield from catalogue(error)


def problem_response(scope: Scope, error: Exception) -> Response:
    """Make the reply to ``error``. The text of an unexpected one is never sent."""
    known = as_service_error(error)
    scope["state"]["code"] = known.code
    problem = Problem(
        type=f"{scope.get('root_path', '')}/docs/errors#{known.code}",
        title=known.title,
        status=known.status,
        detail=str(known),
        instance=quote(scope.get("root_path", "") + scope["path"]),
        code=known.code,
        field=known.field,
        request_id=scope["state"]["request_id"],
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=known.status,
        headers=known.headers,
        media_type=MEDIA_TYPE,
    )


def problem_outside(error: ServiceError) -> Response:
    """The reply to bytes that are no whole request, and so have no path and no id of their own."""
    return problem_response({"path": "", "state": {"request_id": uuid.uuid4().hex}}, error)


async def _handle(request: Request, error: Exception) -> Response:
    return problem_response(request.scope, error)


def as_service_error(error: Exception) -> ServiceError:
    """Turn ``error`` into what the client is told; an unexpected one into InternalError."""
    match error:
        case ServiceError():
            return error
        case InputError():
            return InvalidImageError(str(error))
        case MemoryError():
            return OutOfMemoryError()
        case RequestValidationError():
            first: dict[str, Any] = error.errors()[0]
            return InvalidRequestError(
                f"{_name(first['loc'])}: {first['msg']}", field=_name(first["loc"])
            )
        case HTTPException():
            return _from_http(error)
        case ClientDisconnect():
            return ClientGoneError()
    return InternalError(
        "the service failed; try again, and report the request id if it fails again"
    )


def _from_http(error: HTTPException) -> ServiceError:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFoundError("there is nothing at this path; /docs lists the paths")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = headers.pop("Allow", "another method").replace("GET", "GET, HEAD")
        headers["Allow"] = allowed
        return MethodNotAllowedError(f"this path answers {allowed}; see /docs", headers=headers)
    known = InvalidRequestError(str(error.detail), headers=headers)
    known.status = error.status_code
    return known


def _name(location: tuple[str | int, ...]) -> str:
    """``("body", "support_mask", 1)`` -> ``support_mask[1]``."""
    head, *rest = location[1:] or location
    return str(head) + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest
    )
