"""An exported set read back: what strangers pack is counted and checked before it is unpacked."""

import re
import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import ValidationError

from service.errors import (
    InvalidArchiveError,
    PayloadTooLargeError,
    TooManyShotsError,
    UnsupportedMediaTypeError,
)
from service.images.codec import Part
from service.segment.inputs import ARCHIVE, LABEL, NAME
from service.segment.set_files import MANIFEST, Manifest
from service.settings import Settings

MAX_MANIFEST_BYTES = 64 * 1024
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_ENCRYPTED = 0x1
# Of each member in the archive's list. Images hold it by chance now and then.
_ENTRY, _CHANCE_ENTRIES = b"PK\1\2", 16
# What zipfile answers a broken archive with.
_BROKEN = (
    *(BadZipFile, RuntimeError, ValueError, OSError, EOFError, zlib.error, struct.error),
    *(LookupError, OverflowError),
)


class SetFile(NamedTuple):
    """What an archive holds, unpacked and not yet decoded."""

    name: str
    label: str | None
    pairs: Sequence[tuple[Part, Part]]


def read_set_file(archive: Part, settings: Settings) -> SetFile:
    """Unpack an exported set, in memory and within the bounds of an upload.

    Raises UnsupportedMediaTypeError for what is no ZIP archive, InvalidArchiveError for one that
    is no export, TooManyShotsError, PayloadTooLargeError and InvalidOptionError.
    """
    if not archive.content.startswith(b"PK"):
        raise UnsupportedMediaTypeError(
            "archive is no ZIP archive; send an exported set", field=ARCHIVE.name
        )
    max_members = 2 * settings.max_shots + 1
    if archive.content.count(_ENTRY) > max_members + _CHANCE_ENTRIES:
        raise _too_many(settings)  # before zipfile makes an object of each
    try:
        with ZipFile(BytesIO(archive.content)) as members:
            return _read(members, settings)
    except _BROKEN as error:
        raise _invalid("archive is broken or cut off") from error


def _read(members: ZipFile, settings: Settings) -> SetFile:
    infos = {info.orig_filename: info for info in members.infolist()}
    _check_members(members.infolist(), settings)
    manifest = _read_manifest(members, infos)
    if len(manifest.pairs) > settings.max_shots:
        raise _too_many(settings)
    named = [MANIFEST, *(name for pair in manifest.pairs for name in (pair.image, pair.mask))]
    if sorted(named) != sorted(infos):
        odd = sorted(set(named) ^ infos.keys()) or named
        raise _invalid(
            f"archive must hold {MANIFEST} and each file that it names once; see {odd[0][:80]!r}"
        )
    pairs = [
        (_part(members, infos[pair.image]), _part(members, infos[pair.mask]))
        for pair in manifest.pairs
    ]
    name = NAME.check(manifest.name, f"{ARCHIVE.name}/{MANIFEST}: name")
    label = LABEL.check(manifest.label or "", f"{ARCHIVE.name}/{MANIFEST}: label")
    return SetFile(name, label or None, pairs)


def _check_members(infos: Sequence[ZipInfo], settings: Settings) -> None:
    if len(infos) > 2 * settings.max_shots + 1:
        raise _too_many(settings)
    if len({info.orig_filename.lower() for info in infos}) < len(infos):
        raise _invalid("archive holds two files of one name")
    for info in infos:
        shown = f"{info.orig_filename[:80]!r} in archive"
        if not _FILE_NAME.fullmatch(info.orig_filename):
            raise _invalid(f"{shown} is no plain file name")
        if info.flag_bits & _ENCRYPTED:
            raise _invalid(f"{shown} is encrypted")
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise _invalid(f"{shown} is packed in a rare way")
    if sum(info.file_size for info in infos) > settings.max_upload_bytes:
        raise PayloadTooLargeError(
            f"archive unpacks to over {settings.max_upload_bytes} bytes; export a smaller set",
            field=ARCHIVE.name,
        )


def _read_manifest(members: ZipFile, infos: dict[str, ZipInfo]) -> Manifest:
    info = infos.get(MANIFEST)
    if info is None or info.file_size > MAX_MANIFEST_BYTES:
        raise _invalid(f"archive holds no {MANIFEST}, or one of over {MAX_MANIFEST_BYTES} bytes")
    content = _part(members, info).content
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _invalid(
            f"{MANIFEST} in archive is not as expected ({where}: {first['msg']})"
        ) from error


def _part(members: ZipFile, info: ZipInfo) -> Part:
    """One member unpacked: of what it says is its size no byte more is made."""
    with members.open(info) as file:
        return Part(f"{ARCHIVE.name}/{info.orig_filename}", file.read(info.file_size))


def _invalid(reason: str) -> InvalidArchiveError:
    return InvalidArchiveError(
        f"{reason}; import a set as this or an older release exported it", field=ARCHIVE.name
    )


def _too_many(settings: Settings) -> TooManyShotsError:
    return TooManyShotsError(
        f"archive holds more than {settings.max_shots} pairs, the limit; export a smaller set",
        field=ARCHIVE.name,
    )
