"""Multipart bodies to named parts: each file once, or K times in order, and nothing else.

Options come as parts or in the query string.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from service.codec import Part
from service.errors import (
    DuplicatePartError,
    MalformedBodyError,
    MissingPartError,
    NotAFileError,
    TooManyPartsError,
    UnexpectedPartError,
    UnsupportedMediaTypeError,
)

Value = UploadFile | str


@dataclass(frozen=True)
class FormLayout:
    """What a form holds: files sent once, files sent once or more, and text options.

    The options may stand in the query string instead.
    """

    single: tuple[str, ...]
    repeated: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every part's name."""
        return self.single + self.repeated + self.options


@dataclass(frozen=True)
class Form:
    """The parts of a request, each name's in the order sent, and the options that were given."""

    files: dict[str, list[Part]]
    options: dict[str, str]


async def read_form(request: Request, layout: FormLayout, max_parts: int) -> Form:
    """Read query string and body and hold them against ``layout``; raises forms' RequestErrors."""
    parameters = request.query_params.multi_items()
    _check_parameters(parameters, layout)
    parsed = await _parse(request, max_parts)
    try:
        return await _arrange([*parameters, *parsed.multi_items()], layout)
    finally:
        await parsed.close()


def _check_parameters(parameters: Sequence[tuple[str, str]], layout: FormLayout) -> None:
    for name, _ in parameters:
        if name not in layout.options:
            known = ", ".join(layout.options) or "none"
            raise UnexpectedPartError(
                f"query parameter {name[:80]!r} is not known here; send {known}", field=name[:80]
            )


async def _parse(request: Request, max_parts: int) -> FormData:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data":
        raise UnsupportedMediaTypeError("the body is no multipart form; send multipart/form-data")
    if b"boundary" not in options:
        raise MalformedBodyError("the content type names no boundary; let the HTTP client set it")
    parser = _BoundedParser(request, max_parts)
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError) as error:
        raise MalformedBodyError("the body is no readable multipart form; send it again") from error
    if not parser.ended:
        await form.close()
        raise MalformedBodyError("the body ends before its closing boundary; send it whole")
    return form


class _BoundedParser(MultiPartParser):
    """Starlette's parser with one limit of its own; bytes are limited where they arrive."""

    # Nothing goes through a temporary file: the whole body is at most max_upload_bytes.
    spool_max_size = 1 << 62

    def __init__(self, request: Request, max_parts: int) -> None:
        super().__init__(
            request.headers,
            request.stream(),
            max_files=math.inf,
            max_fields=math.inf,
            max_part_size=1 << 62,
        )
        self.max_parts = max_parts
        self.parts = 0
        self.ended = False

    def on_part_begin(self) -> None:
        self.parts += 1
        if self.parts > self.max_parts:
            raise TooManyPartsError(f"the form has over {self.max_parts} parts; send fewer")
        super().on_part_begin()

    def on_end(self) -> None:
        self.ended = True


async def _arrange(items: Sequence[tuple[str, Value]], layout: FormLayout) -> Form:
    values: dict[str, list[Value]] = {name: [] for name in layout.names}
    for name, value in items:
        if name not in values:
            known = ", ".join(layout.names)
            raise UnexpectedPartError(
                f"part {name[:80]!r} is not known here; send {known}", field=name[:80]
            )
        if values[name] and name not in layout.repeated:
            raise DuplicatePartError(f"{name} is sent more than once; send one", field=name)
        values[name].append(value)
    files = layout.single + layout.repeated
    return Form(
        {name: await _files(name, values[name], layout) for name in files},
        {name: _text(name, values[name][0]) for name in layout.options if values[name]},
    )


async def _files(name: str, values: Sequence[Value], layout: FormLayout) -> list[Part]:
    if not values:
        raise MissingPartError(f"part {name} is missing; send it as a file", field=name)
    if name in layout.repeated:
        return [await _file(f"{name}[{index}]", value) for index, value in enumerate(values)]
    return [await _file(name, values[0])]


async def _file(name: str, value: Value) -> Part:
    if isinstance(value, str):
        raise NotAFileError(
            f"part {name} is a text field; send a file (curl: -F NAME=@FILE, with the @)",
            field=name,
        )
    return Part(name, await value.read(), value.content_type or "")


def _text(name: str, value: Value) -> str:
    if not isinstance(value, str):
        raise NotAFileError(f"part {name} is a file; send it as text", field=name)
    return value
