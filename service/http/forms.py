"""Multipart bodies to named parts: each file once, or K times in order, and nothing else.

Options come as parts or in the query string.
"""

import dataclasses
import math
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from service.errors import (
    DuplicatePartError,
    InvalidOptionError,
    MalformedBodyError,
    MissingPartError,
    NotAFileError,
    TooManyPartsError,
    UnexpectedPartError,
    UnsupportedMediaTypeError,
)
from service.http.spool import Spool, SpooledFile, SpooledPart
from service.images.codec import Part

# Of one text part where files go to disk, so that texts cannot fill the memory in their place.
MAX_TEXT_BYTES = 16 * 1024

Value = UploadFile | str


@dataclass(frozen=True)
class FormLayout:
    """What a form holds: files sent once, files sent once or more, and text options.

    The options may stand in the query string instead; ``parameters`` stand only there, any number
    of times. ``spooled`` files are sent once or more and stay on disk; ``optional`` files and
    ``texts`` are sent any number of times.
    """

    single: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    spooled: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the files that a form must have."""
        return self.single + self.repeated + self.spooled

    @property
    def names(self) -> tuple[str, ...]:
        """Every part's name."""
        return self.required + self.optional + self.texts + self.options

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the parts that may come more than once."""
        return self.repeated + self.spooled + self.optional + self.texts

    def without(self, names: Collection[str]) -> "FormLayout":
        """The same form without these parts."""
        kept = {
            f.name: tuple(name for name in getattr(self, f.name) if name not in names)
            for f in dataclasses.fields(self)
        }
        return FormLayout(**kept)


@dataclass(frozen=True)
class Form:
    """The parts of a request, each name's in the order sent, and the options that were given."""

    files: dict[str, list[Part]]
    options: dict[str, str]
    spooled: dict[str, list[SpooledPart]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    parameters: dict[str, list[str]] = field(default_factory=dict)


async def read_form(request: Request, layout: FormLayout, max_parts: int) -> Form:
    """Read query string and body and hold them against ``layout``; raises forms' RequestErrors."""
    async with open_form(request, layout, max_parts) as form:
        return form


@asynccontextmanager
async def open_form(request: Request, layout: FormLayout, max_parts: int) -> AsyncIterator[Form]:
    """``read_form``, whose spooled parts can be read until it is left.

    Raises StorageFullError too, where the disk cannot hold them.
    """
    parameters = request.query_params.multi_items()
    _check_parameters(parameters, layout)
    options = [item for item in parameters if item[0] in layout.options]
    with ExitStack() as stack:
        spool = stack.enter_context(Spool()) if layout.spooled else None
        parsed = await _parse(request, max_parts, spool)
        try:
            form = await _arrange([*options, *parsed.multi_items()], layout)
        finally:
            await parsed.close()
        given = {name: request.query_params.getlist(name) for name in layout.parameters}
        yield dataclasses.replace(form, parameters=given)


def _check_parameters(parameters: Sequence[tuple[str, str]], layout: FormLayout) -> None:
    for name, _ in parameters:
        if name not in layout.options + layout.parameters:
            known = ", ".join(layout.options + layout.parameters) or "none"
            raise UnexpectedPartError(
                f"query parameter {name[:80]!r} is not known here; send {known}", field=name[:80]
            )


async def _parse(request: Request, max_parts: int, spool: Spool | None) -> FormData:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data":
        raise UnsupportedMediaTypeError("the body is no multipart form; send multipart/form-data")
    if b"boundary" not in options:
        raise MalformedBodyError("the content type names no boundary; let the HTTP client set it")
    parser = _BoundedParser(request, max_parts, spool)
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

    # Without a spool nothing goes through a temporary file: the whole body is in memory, and at
    # most max_upload_bytes.
    spool_max_size = 1 << 62

    def __init__(self, request: Request, max_parts: int, spool: Spool | None) -> None:
        super().__init__(
            request.headers,
            request.stream(),
            max_files=math.inf,
            max_fields=math.inf,
            max_part_size=MAX_TEXT_BYTES if spool else 1 << 62,
        )
        self.max_parts = max_parts
        self.spool = spool
        self.parts = 0
        self.ended = False

    def on_part_begin(self) -> None:
        self.parts += 1
        if self.parts > self.max_parts:
            raise TooManyPartsError(f"the form has over {self.max_parts} parts; send fewer")
        super().on_part_begin()

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        upload = self._current_part.file
        if self.spool and upload:
            upload.file.close()
            upload.file = self.spool.new_file()  # type: ignore[assignment]

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
        if values[name] and name not in layout.arrays:
            raise DuplicatePartError(f"{name} is sent more than once; send one", field=name)
        values[name].append(value)
    files = layout.single + layout.repeated + layout.optional
    _check_present(values, layout)
    return Form(
        {name: [await _part(*file) for file in _files(name, values, layout)] for name in files},
        {name: _text(name, values[name][0]) for name in layout.options if values[name]},
        {
            name: [_spooled_part(*file) for file in _files(name, values, layout)]
            for name in layout.spooled
        },
        {name: [_text(name, value) for value in values[name]] for name in layout.texts},
    )


def _check_present(values: dict[str, list[Value]], layout: FormLayout) -> None:
    for name in layout.required:
        if not values[name]:
            raise MissingPartError(f"part {name} is missing; send it as a file", field=name)


def _files(
    name: str, values: dict[str, list[Value]], layout: FormLayout
) -> list[tuple[str, UploadFile]]:
    """Each file under the name that errors give it, counted where it may come more than once."""
    if name not in layout.arrays:
        return [(name, _file(name, value)) for value in values[name]]
    return [
        (f"{name}[{index}]", _file(f"{name}[{index}]", value))
        for index, value in enumerate(values[name])
    ]


def _file(name: str, value: Value) -> UploadFile:
    if isinstance(value, str):
        raise NotAFileError(
            f"part {name} is a text field; send a file (curl: -F NAME=@FILE, with the @)",
            field=name,
        )
    return value


async def _part(name: str, file: UploadFile) -> Part:
    return Part(name, await file.read(), file.content_type or "")


def _spooled_part(name: str, file: UploadFile) -> SpooledPart:
    assert isinstance(file.file, SpooledFile)
    # A charset of the client's choice can give characters that no text may hold.
    sent_name = (file.filename or "").encode("utf-8", "replace").decode()
    return SpooledPart(name, sent_name, file.content_type or "", file.file)


def _text(name: str, value: Value) -> str:
    if not isinstance(value, str):
        raise NotAFileError(f"part {name} is a file; send it as text", field=name)
    return value


def short_text(text: str, name: str, max_length: int) -> str:
    """One line, without the spaces around it; InvalidOptionError calls it ``name``."""
    text = text.strip()
    if len(text) > max_length:
        raise InvalidOptionError(
            f"{name} has {len(text)} characters; send at most {max_length}", field=name
        )
    if not text.isprintable():
        raise InvalidOptionError(
            f"{name} holds a character that cannot be shown; send plain text on one line",
            field=name,
        )
    return text
