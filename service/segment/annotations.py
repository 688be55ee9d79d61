"""Masks that are there already, made or corrected by hand, on their way into files of formats.

All masks are read and checked first, so that an error is told before the reply begins. Photographs,
where a format shows them, are checked with their masks and read again when they are drawn.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from zipfile import ZipFile

import numpy as np

from model.episode import ObjectMask, Photograph
from model.images.masks import MaskFormat
from service.errors import (
    InvalidImageError,
    InvalidOptionError,
    MaskSizeMismatchError,
    TooManyQueriesError,
    UnpairedImageError,
)
from service.formats.catalogue import SHOWING, Document, Writer
from service.formats.names import plain_names, stem
from service.formats.record import UNNAMED, Export, Labelled, Record, describe
from service.http.deadline import within
from service.http.forms import Form
from service.http.spool import SpooledPart
from service.images.codec import decode_mask
from service.options import JSON, AnnotationOptions, named_formats
from service.segment.archive import KeptLines, gathered, write_documents
from service.segment.inputs import IMAGE, LABEL, MASK
from service.segment.runtime import Runtime
from service.segment.zip_stream import Sink, member, open_archive
from service.settings import Settings

# A hand's mask has thousands of runs of pixels, and noise millions, which no format is for.
MAX_RUNS = 1_000_000


@dataclass(frozen=True)
class SentMask:
    """A mask, and its photograph where a format shows it; ``name`` is what files call it."""

    name: str
    mask: SpooledPart
    image: SpooledPart | None


@dataclass(frozen=True)
class Conversion:
    """What is asked for: these masks, by this writer."""

    drawn: Sequence[SentMask]
    writer: Writer
    mask_format: MaskFormat

    def only_json(self) -> Document:
        """The one file that is written, where it is JSON; else InvalidOptionError."""
        documents = self.writer.documents
        if len(documents) != 1 or self.writer.photograph_files or documents[0].media_type != JSON:
            raise InvalidOptionError(
                f"format is {','.join(self.writer.formats)!r}, which is not one JSON file; send "
                "coco, label_studio or label_studio_polygons alone, or accept application/zip",
                field="format",
            )
        return documents[0]


def read_conversion(
    form: Form[SpooledPart], options: AnnotationOptions, settings: Settings
) -> Conversion:
    """The form's masks with their photographs.

    Raises TooManyQueriesError, DuplicateNameError or UnpairedImageError.
    """
    masks, images = form.files[MASK.name], form.files[IMAGE.name]
    if len(masks) > settings.max_queries:
        raise TooManyQueriesError(
            f"there are {len(masks)} masks, the limit is {settings.max_queries}; send fewer",
            field=MASK.name,
        )
    formats = named_formats(options.format)
    label = form.text(LABEL.name) or UNNAMED
    writer = Writer(formats, Export(label, options.instances, by_hand=True))
    drawn = _paired(masks, images)
    if showing := SHOWING.intersection(formats):
        _check_images(drawn, sorted(showing)[0])
    else:
        drawn = [SentMask(one.name, one.mask, None) for one in drawn]
    return Conversion(drawn, writer, options.mask_format)


async def read_masks(runtime: Runtime, conversion: Conversion) -> KeptLines:
    """A record of each mask, in the order sent. Raises the codec's errors.

    Holds one place in the queue, so that what is decoded at once is bounded; each mask has the
    time of a request.
    """
    records = KeptLines(runtime.settings.spool_dir)
    try:
        with runtime.queue.admit():
            for one in conversion.drawn:
                read = partial(_read, runtime, one, conversion.mask_format, records)
                async with _in_time(runtime):
                    await runtime.in_thread(read)
    except BaseException:
        records.close()
        raise
    return records


async def json_of(
    runtime: Runtime, document: Document, writer: Writer, records: KeptLines
) -> AsyncIterator[bytes]:
    """The document, chunk by chunk."""
    pieces = writer.write(document, records)
    while chunk := await runtime.in_thread(partial(gathered, pieces)):
        yield chunk


async def archive_of(
    runtime: Runtime, conversion: Conversion, records: KeptLines
) -> AsyncIterator[bytes]:
    """A ZIP archive of all files, one photograph in memory at a time."""
    sink = Sink()
    members = open_archive(sink)
    left = iter(records)
    for one in conversion.drawn if conversion.writer.photograph_files else ():
        add = partial(_add, runtime, members, conversion.writer, one, left)
        async with runtime.queue.queue_up(), _in_time(runtime):
            await runtime.in_thread(add)
        yield sink.take()
    async for chunk in write_documents(runtime, members, sink, conversion.writer, records):
        yield chunk
    members.close()
    yield sink.take()


def _in_time(runtime: Runtime) -> AbstractAsyncContextManager[None]:
    return within(runtime.settings.request_timeout_ms / 1e3)


def _paired(masks: Sequence[SpooledPart], images: Sequence[SpooledPart]) -> list[SentMask]:
    """Each mask by its name, or by its photograph's where that is sent."""
    names = plain_names([mask.name for mask in masks], MASK.name)
    image_names = plain_names([image.name for image in images], IMAGE.name)
    found = {stem(name): (name, image) for name, image in zip(image_names, images, strict=True)}
    known = {stem(name) for name in names}
    for name, image in found.values():
        if stem(name) not in known:
            raise UnpairedImageError(
                f"{image.field} is named {name!r}, and no mask is; give a photograph and its mask "
                "one name, suffixes aside, or leave it out",
                field=image.field,
            )
    pairs = (
        (mask, *found.get(stem(name), (name, None)))
        for name, mask in zip(names, masks, strict=True)
    )
    return [SentMask(name, mask, image) for mask, name, image in pairs]


def _check_images(drawn: Sequence[SentMask], format_name: str) -> None:
    for one in drawn:
        if one.image is None:
            raise UnpairedImageError(
                f"format {format_name} shows the photograph, and none is sent for "
                f"{one.mask.field}; send it as {IMAGE.name} with a file name like {one.name!r}",
                field=one.mask.field,
            )


def _read(runtime: Runtime, one: SentMask, mask_format: MaskFormat, records: KeptLines) -> None:
    settings = runtime.settings
    part = one.mask.read(settings.max_upload_bytes)
    mask = decode_mask(part, settings.max_image_pixels, mask_format).mask
    _check_runs(mask, one.mask.field)
    if one.image is not None:
        _check_size(mask, runtime.decode_photograph(one.image).shape[:2], one)
    records.add(describe(one.name, mask).line())


def _check_runs(mask: ObjectMask, field: str) -> None:
    if np.count_nonzero(mask[:, 1:] != mask[:, :-1]) > MAX_RUNS or (
        np.count_nonzero(mask[1:] != mask[:-1]) > MAX_RUNS
    ):
        raise InvalidImageError(
            f"{field} is too ragged: its outline has over {MAX_RUNS} pixels; send a smoother mask",
            field=field,
        )


def _check_size(mask: ObjectMask, size: tuple[int, ...], one: SentMask) -> None:
    if mask.shape != size:
        (mask_height, mask_width), (height, width) = mask.shape, size
        raise MaskSizeMismatchError(
            f"{one.mask.field} is {mask_width}x{mask_height}, its image is {width}x{height}; send "
            "a mask of the image's size",
            field=one.mask.field,
        )


def _add(
    runtime: Runtime, members: ZipFile, writer: Writer, one: SentMask, left: Iterator[Record]
) -> None:
    """Write the files of one mask, whose record is the next."""
    labelled = Labelled(next(left).mask(), partial(_photograph, runtime, one))
    for path, content in writer.render(one.name, labelled):
        members.writestr(member(path), content)


def _photograph(runtime: Runtime, one: SentMask) -> Photograph:
    assert one.image is not None
    return runtime.decode_photograph(one.image)
