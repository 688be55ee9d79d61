"""Fetching a checkpoint from a folder or an address that has a manifest.toml, verified."""

import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from model.errors import CheckpointError
from service.checkpoints.manifest import (
    MANIFEST,
    ManifestEntry,
    accepted_before,
    parse_manifest,
    sha256_of,
    write_entry,
)
from service.errors import SettingsError

MAX_BYTES = 4 * 1024**3
MAX_MANIFEST_BYTES = 1024**2
_TIMEOUT_S = 60
_CHUNK_BYTES = 1024**2


def pull(
    source: str, name: str, folder: Path, agrees: Callable[[ManifestEntry], bool]
) -> ManifestEntry:
    """Fetch a model into a folder, with its graphs where it has some; what is there is replaced.

    ``agrees`` is asked once where its licence wants it. Raises CheckpointError for a file that is
    not as its manifest says, SettingsError for a name that is unknown or a licence that is refused,
    and OSError.
    """
    entry = _find(source, name)
    entry = accepted_before(folder, replace(entry, source=entry.source or source))
    if not entry.may_be_used:
        if not agrees(entry):
            raise SettingsError(f"{name} is not fetched: its licence is not accepted")
        entry = replace(entry, accepted=datetime.now(UTC).date().isoformat())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="draft-") as draft:
        fetched = Path(draft) / entry.file
        _fetch(source, entry.file, fetched)
        _check(fetched, entry, source)
        graphs = fetched.with_suffix(".graphs")
        if _has(source, graphs.name):
            _fetch(source, graphs.name, graphs)
            graphs.replace(folder / graphs.name)
        write_entry(folder, entry)
        fetched.replace(folder / entry.file)
    return entry


def _find(source: str, name: str) -> ManifestEntry:
    with closing(_open(source, MANIFEST)) as file:
        text = file.read(MAX_MANIFEST_BYTES).decode("utf-8", "replace")
    entries = {entry.stem: entry for entry in parse_manifest(text, f"{MANIFEST} of {source}")}
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise SettingsError(f"{source} has no model {name[:80]!r}; choose of {known}")
    return entries[name]


def _fetch(source: str, name: str, path: Path) -> None:
    written = 0
    with closing(_open(source, name)) as file, path.open("wb") as out:
        while chunk := file.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > MAX_BYTES:
                raise CheckpointError(f"{name} of {source} has over {MAX_BYTES} bytes")
            out.write(chunk)


def _check(path: Path, entry: ManifestEntry, source: str) -> None:
    sha256 = sha256_of(path)
    if sha256 != entry.sha256:
        raise CheckpointError(
            f"{entry.file} of {source} has sha256 {sha256}, but the manifest there says "
            f"{entry.sha256}; it is not kept"
        )


def _open(source: str, name: str) -> IO[bytes]:
    """OSError where it is not there; urllib's errors are OSErrors."""
    if not _is_address(source):
        return (Path(source) / name).open("rb")
    request = urllib.request.Request(f"{source.rstrip('/')}/{name}")
    opened: IO[bytes] = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    return opened


def _has(source: str, name: str) -> bool:
    try:
        _open(source, name).close()
    except (FileNotFoundError, urllib.error.HTTPError):
        return False
    return True


def _is_address(source: str) -> bool:
    return source.startswith(("https://", "http://"))
