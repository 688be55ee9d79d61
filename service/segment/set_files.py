"""A stored set as one file: a ZIP archive of its photographs, its masks and set.json.

The format is written for users in docs/reference/set-files.md; the two change together.
"""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Annotated, Literal
from urllib.parse import quote
from zipfile import ZipFile

from pydantic import BaseModel, ConfigDict, Field

from service.errors import PairNotFoundError, ServiceError
from service.images.codec import Part, media_type
from service.library.records import StoredPair
from service.schemas import SupportSet
from service.segment.runtime import Runtime
from service.segment.zip_stream import Sink, member, open_archive

MANIFEST = "set.json"
MAX_STEM = 60
_SUFFIXES = {"image/jpeg": "jpg", "image/tiff": "tif"}


class PairFiles(BaseModel):
    """Names of a pair's two members."""

    model_config = ConfigDict(extra="forbid", strict=True)

    image: str
    mask: str


class Manifest(BaseModel):
    """What set.json holds."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    format: Literal["sgone-support-set"] = "sgone-support-set"
    version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    label: str | None
    pairs: Annotated[list[PairFiles], Field(min_length=1)]


async def export(runtime: Runtime, described: SupportSet) -> AsyncIterator[bytes]:
    """The set as an archive, one pair in memory at a time.

    Pairs that are deleted meanwhile are left out. A set that is deleted meanwhile breaks it off.
    """
    sink = Sink()
    members = open_archive(sink)
    pairs: list[PairFiles] = []
    for number, pair in enumerate(described.pairs, 1):
        with suppress(PairNotFoundError):
            stored = await runtime.storage.run(runtime.library.pair, described.id, pair.id)
            add = partial(_add_pair, runtime, members, f"{number:03d}", stored)
            pairs.append(await runtime.in_thread(add))
        yield sink.take()
    manifest = Manifest(name=described.name, label=described.label, pairs=pairs)
    members.writestr(member(MANIFEST), manifest.model_dump_json(indent=2))
    members.close()
    yield sink.take()


def disposition(name: str) -> str:
    """The header that names the file of a set: one that every file system takes."""
    stem = re.sub(r"[^\w.-]+", "_", name)[:MAX_STEM]
    plain = stem.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"sgone-{plain}.zip\"; filename*=UTF-8''sgone-{quote(stem)}.zip"


def _add_pair(runtime: Runtime, members: ZipFile, number: str, stored: StoredPair) -> PairFiles:
    """A mask whose file would be read otherwise today is written as it was read."""
    image, mask = stored.image, stored.mask
    with suppress(ServiceError):  # what cannot be read is still a copy of what is stored
        mask = runtime.stored_mask(Part("mask", mask), stored.area).content
    files = PairFiles(image=f"{number}.{_suffix(image)}", mask=f"{number}.mask.{_suffix(mask)}")
    members.writestr(member(files.image), image)
    members.writestr(member(files.mask), mask)
    return files


def _suffix(content: bytes) -> str:
    kind = media_type(content)
    return _SUFFIXES.get(kind, kind.partition("/")[2])
