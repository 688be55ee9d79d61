"""The stored sets of a service: one after the other, and by name or id."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import ModelError
from service.client import SegmentationClient, SegmentationError, SupportSet
from service.folders.outputs import write_whole


class RemoteError(ModelError):
    """The server is away, or refuses what every query comes with or the command asks for."""


class StoredSets:
    """Iterate over them, the newest first. What the server refuses is a SegmentationError."""

    def __init__(self, client: SegmentationClient) -> None:
        self.client = client

    def __iter__(self) -> Iterator[SupportSet]:
        offset = 0
        while (page := self.client.list_support_sets(offset=offset)).items:
            yield from page.items
            offset += len(page.items)

    def find(self, name: str) -> SupportSet:
        """The set of this name or id; RemoteError where there is none."""
        for stored in self:
            if name in (stored.id, stored.name):
                return stored
        raise RemoteError(
            f"the server has no support set {name!r} by name or id; `sgone supports list` shows "
            "those it has"
        )

    def export(self, name: str, path: Path) -> SupportSet:
        """Write a set into a file, whole or not at all."""
        stored = self.find(name)
        write_whole(path, self.client.export_support_set(stored.id))
        return stored


@contextmanager
def reaching(url: str) -> Iterator[StoredSets]:
    """Connect to a server; within, whatever it or the line to it does wrong is a RemoteError."""
    with one_sentence(), SegmentationClient(url) as client:
        yield StoredSets(client)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Make the client's errors RemoteErrors."""
    try:
        yield
    except SegmentationError as error:
        raise RemoteError(str(error)) from error
