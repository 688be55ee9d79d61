"""A multipart body to its parts, in the order sent (RFC 7578)."""

import re
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.errors import (
    InvalidOptionError,
    MalformedBodyError,
    NotAFileError,
    RequestError,
    TooManyPartsError,
    UnexpectedPartError,
    UnsupportedMediaTypeError,
)
from service.http.layout import FormLayout

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# Of one text part; no option and no label comes near it.
MAX_TEXT_BYTES = 16 * 1024
# Of one header line of a part, with its name and file name: a path's longest on Linux.
MAX_HEADER_BYTES = 4096
# Text is never decoded by a codec of the client's choice: some take quadratic time, some give
# characters that no text may hold.
_UTF_8, _LATIN_1 = "utf-8", "latin-1"
_CODECS = dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), _UTF_8) | dict.fromkeys(
    ("iso-8859-1", "latin-1", "latin1"), _LATIN_1
)
# RFC 7578 forbids it, and clients send it.
_EXTENDED_NAME = re.compile(rb";\s*filename\*\s*=\s*\"?([\w-]*)'[^']*'([^;\"]*)", re.IGNORECASE)
_BRACKETS = re.compile(r"\[\w*\]\Z", re.ASCII)


class Store(Protocol):
    """Where a file's bytes go while it arrives."""

    def write(self, content: bytes, /) -> int:
        """Append."""


class SentFile(NamedTuple):
    """A file as it was sent: the name and type that it declares, and where its bytes are."""

    file_name: str
    media_type: str
    store: Store


SentValue = str | SentFile


async def read_parts(
    request: Request, layout: FormLayout, max_parts: int, new_store: Callable[[], Store] = BytesIO
) -> list[tuple[str, SentValue]]:
    """Each part's name and value.

    Raises UnsupportedMediaTypeError, MalformedBodyError or TooManyPartsError, NotAFileError or
    InvalidOptionError for a text that is too long or no text, and what ``new_store`` raises.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data":
        raise UnsupportedMediaTypeError("the body is no multipart form; send multipart/form-data")
    if b"boundary" not in options:
        raise MalformedBodyError("the content type names no boundary; let the HTTP client set it")
    reader = _Reader(layout, max_parts, _codec(options, _UTF_8), new_store)
    try:
        parser = MultipartParser(
            options[b"boundary"], reader.callbacks, max_header_size=MAX_HEADER_BYTES
        )
        async for chunk in request.stream():
            parser.write(chunk)
            await reader.write_files()
        parser.finalize()
    except FormParserError as error:
        raise MalformedBodyError("the body is no readable multipart form; send it again") from error
    if not reader.ended:
        raise MalformedBodyError("the body ends before its closing boundary; send it whole")
    return reader.parts


class _Reader:
    """Gathers parts as python-multipart comes upon them.

    Files on disk are written by ``write_files``, off the event loop.
    """

    def __init__(
        self, layout: FormLayout, max_parts: int, codec: str, new_store: Callable[[], Store]
    ) -> None:
        self.parts: list[tuple[str, SentValue]] = []
        self.ended = False
        self._layout = layout
        self._max_parts = max_parts
        self._form_codec = codec
        self._new_store = new_store
        self._begun = 0
        self._head: dict[bytes, bytes] = {}
        self._field = b""
        self._value = b""
        self._name = ""
        self._file: SentFile | None = None
        self._codec = codec
        self._text = bytearray()
        self._unwritten: list[tuple[Store, bytes]] = []

    @property
    def callbacks(self) -> "MultipartCallbacks":
        """What python-multipart calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_to_field,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    async def write_files(self) -> None:
        """Write what has come of files on disk; raises what the store does."""
        if self._unwritten:
            await run_in_threadpool(self._write)
            self._unwritten.clear()

    def _begin(self) -> None:
        self._begun += 1
        if self._begun > self._max_parts:
            raise TooManyPartsError(f"the form has over {self._max_parts} parts; send fewer")
        self._head = {}

    def _add_to_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._head[self._field.lower()] = self._value
        self._field = self._value = b""

    def _open(self) -> None:
        disposition = self._head.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise MalformedBodyError("a part of the form has no name; send it with one")
        media_type = self._head.get(b"content-type", b"").decode("latin-1")
        self._name = options[b"name"].decode(_UTF_8, "replace")
        file_name = _file_name(disposition, options, self._form_codec)
        part = self._layout.files.get(self._name)
        if file_name is None and part and (part.model or _is_no_text(media_type)):
            file_name = ""
        self._text, self._size = bytearray(), 0
        if file_name is not None:
            self._file = SentFile(file_name, media_type, self._new_store())
            return
        self._file = None
        if self._name in self._layout.names and self._name not in self._layout.files:
            self._codec = _codec(parse_options_header(media_type)[1], self._form_codec)

    def _add(self, data: bytes, start: int, end: int) -> None:
        content = data[start:end]
        self._size += len(content)
        if self._file is None:
            self._text += content
            if len(self._text) > MAX_TEXT_BYTES:
                raise self._too_long()
        elif isinstance(self._file.store, BytesIO):
            self._file.store.write(content)
        else:
            self._unwritten.append((self._file.store, content))

    def _end(self) -> None:
        part = self._layout.files.get(self._name)
        if part and part.model and not self._size:
            return  # forms send what nobody has filled in
        self.parts.append((self._name, self._file or self._decoded()))

    def _finish(self) -> None:
        self.ended = True

    def _decoded(self) -> str:
        if self._name in self._layout.files or self._name not in self._layout.names:
            return ""  # it is refused, whatever it says
        try:
            return self._text.decode(self._codec)
        except UnicodeDecodeError as error:
            field = self._name[:80]
            raise InvalidOptionError(
                f"{field} is no UTF-8 text; send it as UTF-8", field=field
            ) from error

    def _too_long(self) -> RequestError:
        field = self._name[:80]
        if self._name in self._layout.files:
            return text_for_a_file(field)
        if self._name not in self._layout.names:
            return unknown_part(self._name, self._layout)
        return InvalidOptionError(
            f"{field} has over {MAX_TEXT_BYTES} bytes; send a shorter text", field=field
        )

    def _write(self) -> None:
        for store, content in self._unwritten:
            store.write(content)


def text_for_a_file(field: str) -> NotAFileError:
    """The error for a part whose head names no file and whose type is text."""
    return NotAFileError(
        f"part {field} is a text field; send a file, with a filename in its Content-Disposition "
        "(curl: -F NAME=@FILE, with the @)",
        field=field,
    )


def unknown_part(name: str, layout: FormLayout) -> UnexpectedPartError:
    """A part that the endpoint does not take; PHP and axios write ``support_image[]``."""
    plain = _BRACKETS.sub("", name)
    send = f"{plain}, without brackets" if plain in layout.names else ", ".join(layout.names)
    return UnexpectedPartError(
        f"part {name[:80]!r} is not known here; send {send}", field=name[:80]
    )


def _codec(options: Mapping[bytes, bytes], default: str) -> str:
    if b"charset" not in options:
        return default
    charset = options[b"charset"].decode("latin-1")
    if charset.strip().lower() not in _CODECS:
        raise UnsupportedMediaTypeError(f"the charset is {charset[:40]!r}; send text as UTF-8")
    return _CODECS[charset.strip().lower()]


def _file_name(disposition: bytes, options: Mapping[bytes, bytes], codec: str) -> str | None:
    """As it was sent, or read as Latin-1, which any bytes are; None if the head names no file."""
    if b"filename" in options:
        try:
            return options[b"filename"].decode(codec)
        except UnicodeDecodeError:
            return options[b"filename"].decode(_LATIN_1)
    extended = _EXTENDED_NAME.search(disposition)
    if extended is None:
        return None
    codec = _CODECS.get(extended[1].decode("ascii", "replace").lower(), _UTF_8)
    return unquote(extended[2].decode(_LATIN_1), codec, "replace")


def _is_no_text(media_type: str) -> bool:
    return bool(media_type.strip()) and not media_type.strip().lower().startswith("text/")
