"""A request's query string and multipart body, held against its layout."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Generic, TypeVar

from fastapi import Depends
from starlette.requests import Request

from service.errors import (
    DuplicatePartError,
    InvalidOptionError,
    MissingPartError,
    NotAFileError,
    UnexpectedPartError,
)
from service.http.layout import FormLayout
from service.http.multipart import SentFile, SentValue, read_parts, text_for_a_file, unknown_part
from service.http.spool import SentPart, Spool, SpooledFile, SpooledPart
from service.images.codec import Part
from service.settings import Settings

AnyPart = TypeVar("AnyPart", bound=SentPart)


@dataclass(frozen=True)
class Form(Generic[AnyPart]):
    """What a request holds, each name's parts in the order sent; ``order`` has the names of all."""

    layout: FormLayout
    files: Mapping[str, list[AnyPart]]
    order: Sequence[str]
    options: Mapping[str, str]
    sent_texts: Mapping[str, list[str]]
    sent_parameters: Mapping[str, list[str]]

    def files_for(self, name: str) -> list[AnyPart]:
        """The files of this name and those sent in place of them, in the order sent."""
        names = (name, *self.layout.stand_ins(name))
        left = {each: iter(self.files[each]) for each in names}
        return [next(left[each]) for each in self.order if each in left]

    def text(self, name: str) -> str:
        """A text that comes once, as declared; blank if it is not sent.

        Raises InvalidOptionError, or MissingPartError where it is required.
        """
        part = self.layout.texts[name]
        text = part.check("".join(self.sent_texts[name]), name)
        if part.required and not text:
            raise MissingPartError(f"part {name} is missing or blank; send it as text", field=name)
        return text

    def text_if_sent(self, name: str) -> str | None:
        """As ``text``, or None where it is not sent."""
        return self.text(name) if self.sent_texts[name] else None

    def texts(self, name: str) -> list[str]:
        """All texts of this name; InvalidOptionError for one that is blank, or not as declared."""
        return [self._text_of_many(name, index) for index in range(len(self.sent_texts[name]))]

    def parameter(self, name: str) -> str | None:
        """A parameter that comes once; DuplicatePartError if it comes more than once."""
        values = self.sent_parameters[name]
        if len(values) > 1:
            raise DuplicatePartError(f"{name} is sent more than once; send one", field=name)
        return values[0] if values else None

    def _text_of_many(self, name: str, index: int) -> str:
        field = f"{name}[{index}]"
        text = self.layout.texts[name].check(self.sent_texts[name][index], field)
        if not text:
            raise InvalidOptionError(f"{field} is blank; send text", field=field)
        return text


async def read_form(request: Request, layout: FormLayout, settings: Settings) -> Form[Part]:
    """Read a request whole into memory; raises RequestErrors."""
    layout = _checked_layout(request, layout)
    parts = await read_parts(request, layout, layout.max_parts(settings))
    return _arrange(request, layout, parts, _part)


@asynccontextmanager
async def open_form(
    request: Request, layout: FormLayout, settings: Settings
) -> AsyncIterator[Form[SpooledPart]]:
    """Read a request with its files on disk, where they are until this is left.

    Raises RequestErrors, and StorageFullError where the disk cannot hold them.
    """
    layout = _checked_layout(request, layout)
    with Spool(settings.spool_dir) as spool:
        parts = await read_parts(request, layout, layout.max_parts(settings), spool.new_file)
        yield _arrange(request, layout, parts, _spooled_part)


async def _until_replied() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


UntilReplied = Annotated[AsyncExitStack, Depends(_until_replied)]
"""What a route enters here, such as ``open_form``, is left once all of its reply is out."""


def _checked_layout(request: Request, layout: FormLayout) -> FormLayout:
    """The layout that goes with the query string, whose names are checked."""
    known = [*layout.in_query, *(each.name for each in layout.parameters)]
    for name in request.query_params:
        if name not in known:
            raise UnexpectedPartError(
                f"query parameter {name[:80]!r} is not known here; "
                f"send {', '.join(known) or 'none'}",
                field=name[:80],
            )
    return layout.given(request.query_params)


def _arrange(
    request: Request,
    layout: FormLayout,
    parts: Sequence[tuple[str, SentValue]],
    read: Callable[[str, SentFile, bool], AnyPart],
) -> Form[AnyPart]:
    query = request.query_params
    options = [item for item in query.multi_items() if item[0] in layout.in_query]
    values = _by_name([*options, *parts], layout)
    _check_present(values, layout)
    files = {
        name: [read(*file, bool(part.model)) for file in _files(name, values[name], layout)]
        for name, part in layout.files.items()
    }
    return Form(
        layout,
        files,
        [name for name, _ in parts],
        {name: text for name in layout.option_names if (text := _option(name, values[name]))},
        {name: [_text(name, value) for value in values[name]] for name in layout.texts},
        {parameter.name: query.getlist(parameter.name) for parameter in layout.parameters},
    )


def _by_name(
    parts: Iterable[tuple[str, SentValue]], layout: FormLayout
) -> dict[str, list[SentValue]]:
    values: dict[str, list[SentValue]] = {name: [] for name in layout.names}
    for name, value in parts:
        if name not in values:
            raise unknown_part(name, layout)
        if values[name] and name not in layout.many:
            raise DuplicatePartError(f"{name} is sent more than once; send one", field=name)
        values[name].append(value)
    return values


def _check_present(values: Mapping[str, Sequence[SentValue]], layout: FormLayout) -> None:
    for name, part in layout.files.items():
        names = (name, *layout.stand_ins(name))
        if part.required and not any(values[each] for each in names):
            raise MissingPartError(
                f"part {name} is missing; send {' or '.join(names)} as a file", field=name
            )


def _files(
    name: str, values: Sequence[SentValue], layout: FormLayout
) -> Iterator[tuple[str, SentFile]]:
    """Each file under the name that errors give it, counted where it may come more than once."""
    for index, value in enumerate(values):
        field = f"{name}[{index}]" if name in layout.many else name
        if isinstance(value, str):
            raise text_for_a_file(field)
        yield field, value


def _text(name: str, value: SentValue) -> str:
    if not isinstance(value, str):
        raise NotAFileError(f"part {name} is a file; send it as text", field=name)
    return value


def _option(name: str, values: Sequence[SentValue]) -> str:
    """Blank where it is not sent; sent blank, as HTML forms do, it is not set either."""
    return _text(name, values[0]).strip() if values else ""


def _part(field: str, file: SentFile, is_mark: bool) -> Part:
    assert isinstance(file.store, BytesIO)
    return Part(field, file.store.getvalue(), file.media_type, is_mark)


def _spooled_part(field: str, file: SentFile, is_mark: bool) -> SpooledPart:
    assert isinstance(file.store, SpooledFile)
    return SpooledPart(field, file.file_name, file.media_type, file.store, is_mark)
