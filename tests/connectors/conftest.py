"""A service, a Label Studio and the backend between them, each over real HTTP."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from service.client import SegmentationClient
from service.connectors.label_studio.backend import create_backend
from service.connectors.label_studio.ledger import Ledger
from service.connectors.label_studio.studio import Studio
from serving import served, served_checkpoint
from studios import LEGACY, Backend, FakeStudio


@pytest.fixture(scope="module")
def service_url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with the tiny network."""
    with served_checkpoint(checkpoint, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture
def service(service_url: str) -> Iterator[SegmentationClient]:
    """A client of it; no set is left after the test."""
    with SegmentationClient(service_url) as client:
        yield client
        for left in client.list_support_sets().items:
            client.delete_support_set(left.id)


@pytest.fixture
def fake() -> FakeStudio:
    """What Label Studio holds."""
    return FakeStudio()


@pytest.fixture
def studio_url(fake: FakeStudio) -> Iterator[str]:
    """Label Studio's address."""
    with served(fake.app()) as url:
        yield url


@pytest.fixture
def studio(studio_url: str) -> Iterator[Studio]:
    """What the backend asks it by."""
    with closing(Studio(studio_url, LEGACY)) as studio:
        yield studio


@pytest.fixture
def ledger(tmp_path: Path, studio: Studio) -> Iterator[Ledger]:
    """The backend's notes, empty."""
    with closing(Ledger(tmp_path / "notes" / "ledger.sqlite3", str(studio.url))) as ledger:
        yield ledger


@pytest.fixture
def backend(
    service: SegmentationClient, studio: Studio, ledger: Ledger, fake: FakeStudio
) -> Iterator[Backend]:
    """The backend between the two."""
    app = create_backend(service, studio, ledger)
    with served(app) as url, httpx.Client(base_url=url) as http:
        yield Backend(http, fake)
