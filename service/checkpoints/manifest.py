"""manifest.toml of a folder of checkpoints: each file's SHA-256, origin and licence."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from model.checkpoint import write_atomically
from model.errors import CheckpointError
from model.text import read_text

MANIFEST = "manifest.toml"
SUFFIX = ".safetensors"
_HEAD = (
    "# What lies here, as `sgone models pull` brought it. A file with another sha256 is refused."
)


@dataclass(frozen=True)
class ManifestEntry:
    """A checkpoint of a folder. Where ``must_accept``, its licence asks whoever uses it to agree.

    ``terms`` are those that are agreed to; ``accepted`` is when that was, here.
    """

    file: str
    sha256: str
    name: str = ""
    source: str = ""
    licence: str = ""
    must_accept: bool = False
    terms: str = ""
    accepted: str = ""

    @property
    def stem(self) -> str:
        """What the model is called."""
        return self.file.removesuffix(SUFFIX)

    @property
    def may_be_used(self) -> bool:
        """Whether nobody need agree to its licence any more."""
        return not self.must_accept or bool(self.accepted)


def read_manifest(folder: Path) -> list[ManifestEntry]:
    """The entries of a folder, none where it has no manifest; CheckpointError for a broken one."""
    path = folder / MANIFEST
    return parse_manifest(read_text(path), str(path)) if path.is_file() else []


def parse_manifest(text: str, where: str) -> list[ManifestEntry]:
    """The entries of a manifest; CheckpointError, which says ``where``, for a broken one.

    Files lie in the manifest's own folder: names with a path are refused.
    """
    try:
        tables = tomllib.loads(text).get("checkpoint", [])
        entries = [_entry(table) for table in tables]
    except (tomllib.TOMLDecodeError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{where} is no manifest of checkpoints ({error})") from error
    for entry in entries:
        if Path(entry.file).name != entry.file or not entry.file.endswith(SUFFIX):
            raise CheckpointError(f"{where} names {entry.file[:80]!r}, which is no plain file name")
    return entries


def write_entry(folder: Path, entry: ManifestEntry) -> None:
    """Put an entry into a folder's manifest, in the place of that of the same file."""
    others = [each for each in read_manifest(folder) if each.file != entry.file]
    write_atomically(folder / MANIFEST, _rendered([*others, entry]).encode())


def accepted_before(folder: Path, entry: ManifestEntry) -> ManifestEntry:
    """The entry, with when its present terms were agreed to in this folder."""
    for mine in read_manifest(folder):
        if (mine.stem, mine.licence, mine.terms) == (entry.stem, entry.licence, entry.terms):
            return replace(entry, accepted=mine.accepted)
    return replace(entry, accepted="")


def sha256_of(path: Path) -> str:
    """Of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(table: Mapping[str, Any]) -> ManifestEntry:
    """Keys that a newer release knows are left out."""
    known = {field.name for field in fields(ManifestEntry)}
    return ManifestEntry(**{name: value for name, value in table.items() if name in known})


def _rendered(entries: Iterable[ManifestEntry]) -> str:
    """TOML's basic strings and booleans are JSON's."""
    tables = []
    for entry in entries:
        given = {name: value for name, value in asdict(entry).items() if value}
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
        tables.append("\n".join(["[[checkpoint]]", *lines]))
    return "\n\n".join([_HEAD, *tables]) + "\n"
