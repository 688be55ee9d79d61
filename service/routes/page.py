"""The page for people at ``/`` and the API's reference at ``/docs``, whole from this machine."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.errors import NotFoundError

# Scripts, styles and connections of this origin alone, none of them inline. Pictures are also made
# in the page (blob:) and stand in Swagger UI's style sheet (data:).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}
# Swagger UI 5 reads OpenAPI 3.1; this package brings its files.
SWAGGER_FILES = ("swagger-ui-bundle.js", "swagger-ui.css")
READ = ["GET", "HEAD"]

router = APIRouter(include_in_schema=False)


class Asset(NamedTuple):
    """A file as it is served; the ETag is its content's hash."""

    content: bytes
    media_type: str
    etag: str


@router.api_route("/", methods=READ)
def page(request: Request) -> Response:
    """Show the object, give photographs, get masks."""
    return _reply(request, "web/index.html")


@router.api_route("/web/{name:path}", methods=READ)
def page_file(request: Request, name: str) -> Response:
    """The page's scripts, styles and example photographs."""
    return _reply(request, f"web/{name}")


@router.api_route("/docs", methods=READ)
def reference(request: Request) -> Response:
    """Swagger UI on /openapi.json."""
    return _reply(request, "web/docs.html")


@router.api_route("/docs/{name}", methods=READ)
def reference_file(request: Request, name: str) -> Response:
    """Swagger UI's own files."""
    return _reply(request, f"docs/{name}")


@cache
def assets() -> Mapping[str, Asset]:
    """Every file that is served, by name; read once, so that no name leads anywhere else."""
    found = dict(_walk(files("service") / "web", "web/"))
    swagger = files("fastapi_offline") / "static"
    return found | {f"docs/{name}": _asset(swagger / name) for name in SWAGGER_FILES}


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Asset]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, _asset(entry)


def _asset(file: Traversable) -> Asset:
    content = file.read_bytes()
    suffix = file.name[file.name.rindex(".") :]
    return Asset(content, MEDIA_TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _reply(request: Request, name: str) -> Response:
    """The file, or 304 where the browser has it; it asks each time, so an update shows at once."""
    asset = assets().get(name)
    if asset is None:
        raise NotFoundError("there is nothing at this path; the page is at / and the API at /docs")
    headers = {
        "ETag": asset.etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
    }
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)
