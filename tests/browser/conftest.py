"""What the tests of the page in Chromium share. Without Playwright they are skipped, one by one."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pictures import encode, photograph
from service.app import create_app
from service.inference.engine import Engine
from service.settings import read_settings
from serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium without a window, and without calls to its maker."""
    from pages import launched_browser

    with launched_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(
    checkpoint: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The app with the tiny network, over HTTP."""
    database = f"sqlite:///{tmp_path_factory.mktemp('library') / 'sets.sqlite3'}"
    settings = read_settings(
        checkpoint=checkpoint, device="cpu", precision="float32", database_url=database
    )
    with served(create_app(settings, engine)) as address:
        yield address


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: "Browser", address: str) -> "Iterator[Page]":
    """The page at desktop size, or at the size that the test is parametrised with."""
    from pages import open_page

    page = open_page(browser, address, getattr(request, "param", "desktop"))
    yield page
    faults = [line for line in page.faults if "Failed to load resource" not in line]
    page.context.close()
    assert faults == []


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a support and queries, one of them broken."""
    (tmp_path / "support.png").write_bytes(encode(photograph(240, 320)))
    (tmp_path / "second.png").write_bytes(encode(photograph(200, 300, seed=4)))
    (tmp_path / "query.png").write_bytes(encode(photograph(111, 153, seed=1)))
    (tmp_path / "other.png").write_bytes(encode(photograph(90, 120, seed=2)))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff of no use")
    return tmp_path
