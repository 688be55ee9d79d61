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

from model.episode import Photograph
from model.images.masks import MaskFormat
from service.errors import (
    InvalidImageError,
    InvalidOptionError,
    MaskSizeMismatchError,
    TooManyClassesError,
    TooManyQueriesError,
    UnpairedImageError,
)
from service.formats.catalogue import SHOWING, Document, Writer
from service.formats.names import plain_names, stem
from service.formats.record import UNNAMED, Export, Labelled, Record, describe
from service.http.deadline import within
from service.http.forms import Form
from service.http.spool import SpooledPart
from service.images.classes import Indices
from service.images.codec import decode_classes, decode_mask
from service.options import JSON, AnnotationOptions, named_formats
from service.segment.archive import KeptLines, gathered, write_documents
from service.segment.inputs import CLASS_LABEL, IMAGE, LABEL, MASK
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
    is_indexed: bool = False

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

    Raises TooManyQueriesError, DuplicateNameError, UnpairedImageError, and what the labels do.
    """
    masks, images = form.files[MASK.name], form.files[IMAGE.name]
    if len(masks) > settings.max_queries:
        raise TooManyQueriesError(
            f"there are {len(masks)} masks, the limit is {settings.max_queries}; send fewer",
            field=MASK.name,
        )
    formats = named_formats(options.format)
    classes = _class_labels(form, settings)
    labels = classes or (form.text(LABEL.name) or UNNAMED,)
    writer = Writer(formats, Export(labels, options.instances, by_hand=True))
    drawn = _paired(masks, images)
    if showing := SHOWING.intersection(formats):
        _check_images(drawn, sorted(showing)[0])
    else:
        drawn = [SentMask(one.name, one.mask, None) for one in drawn]
    return Conversion(drawn, writer, options.mask_format, bool(classes))


def _class_labels(form: Form[SpooledPart], settings: Settings) -> tuple[str, ...]:
    """What the numbers in indexed masks mean; none where masks are of one class.

    Raises TooManyClassesError or InvalidOptionError.
    """
    labels = form.texts(CLASS_LABEL.name)
    if len(labels) > settings.max_classes:
        raise TooManyClassesError(
            f"there are {len(labels)} classes, the limit is {settings.max_classes}; name fewer",
            field=CLASS_LABEL.name,
        )
    if len(set(labels)) < len(labels):
        raise InvalidOptionError(
            f"two {CLASS_LABEL.name} are equal; give each class a name of its own",
            field=CLASS_LABEL.name,
        )
    return tuple(labels)


async def read_masks(runtime: Runtime, conversion: Conversion) -> KeptLines:
    """A record of each mask and class, in the order sent. Raises the codec's errors.

    Holds one place in the queue, so that what is decoded at once is bounded; each mask has the
    time of a request.
    """
    records = KeptLines(runtime.settings.spool_dir)
    try:
        with runtime.queue.admit():
            for one in conversion.drawn:
                read = partial(_read, runtime, one, conversion, records)
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


def _read(runtime: Runtime, one: SentMask, conversion: Conversion, records: KeptLines) -> None:
    classes = _decode(runtime, one, conversion)
    _check_runs(classes, one.mask.field)
    if one.image is not None:
        _check_size(classes, runtime.decode_photograph(one.image).shape[:2], one)
    for number in range(1, len(conversion.writer.export.labels) + 1):
        records.add(describe(one.name, classes == number, number=number).line())


def _decode(runtime: Runtime, one: SentMask, conversion: Conversion) -> Indices:
    """(H, W) class numbers; InvalidImageError for one without a label, and the codec's errors."""
    settings, count = runtime.settings, len(conversion.writer.export.labels)
    part = one.mask.read(settings.max_upload_bytes)
    if not conversion.is_indexed:
        mask = decode_mask(part, settings.max_image_pixels, conversion.mask_format).mask
        return mask.astype(np.uint8)
    classes = decode_classes(part, settings.max_image_pixels)
    if classes.max() > count:
        raise InvalidImageError(
            f"{part.field} holds class {classes.max()}, and {count} {CLASS_LABEL.name} are sent; "
            "send one for each class",
            field=part.field,
        )
    return classes


def _check_runs(classes: Indices, field: str) -> None:
    if np.count_nonzero(classes[:, 1:] != classes[:, :-1]) > MAX_RUNS or (
        np.count_nonzero(classes[1:] != classes[:-1]) > MAX_RUNS
    ):
        raise InvalidImageError(
            f"{field} is too ragged: its outline has over {MAX_RUNS} pixels; send a smoother mask",
            field=field,
        )


def _check_size(mask: Indices, size: tuple[int, ...], one: SentMask) -> None:
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
    """Write the files of one mask, whose records are the next."""
    own = [next(left) for _ in writer.export.labels]
    classes = np.zeros((own[0].height, own[0].width), np.uint8)
    for record in own:
        classes[record.mask()] = record.number
    labelled = Labelled(classes, partial(_photograph, runtime, one))
    for path, content in writer.render(one.name, labelled):
        members.writestr(member(path), content)


def _photograph(runtime: Runtime, one: SentMask) -> Photograph:
    assert one.image is not None
    return runtime.decode_photograph(one.image)
