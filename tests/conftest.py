"""Fixtures that several test modules share."""

import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from databases import impatient, sqlite_url
from model.checkpoint import Card, save_checkpoint
from model.network.sgone import SGOne
from model.transforms import TransformConfig
from networks import SIDE, build_decisive_network, build_tiny_network
from service.app import create_app
from service.inference.engine import Engine
from service.library.sets import Library
from service.settings import Settings, read_settings

with warnings.catch_warnings():
    # Starlette deprecates httpx here; the client is the same with either.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

# Tiny networks gain nothing from threads, and threads that spin beside a busy process cost seconds.
torch.set_num_threads(1)

# A shell's background jobs ignore Ctrl-C, and so would what tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _nothing_outside_temporary_folders(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Where a test names no database or cache, servers in other processes included."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGONE_DATABASE_URL", sqlite_url(tmp_path_factory.mktemp("database")))
        patch.setenv("SGONE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def tiny_network() -> SGOne:
    """A small random network whose outputs depend on its inputs."""
    return build_tiny_network()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network in a file, for inputs of at most SIDE pixels."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    card = Card("tiny", ("cat", "dog"), "noise", 0, {}, "2026-01-01", "none", "")
    network = build_decisive_network()
    save_checkpoint(path, network, TransformConfig(SIDE), card, "float32")
    return path


@pytest.fixture
def settings(checkpoint: Path, tmp_path: Path) -> Settings:
    """The tiny checkpoint on the CPU in float32 and an empty database, all else as shipped."""
    return read_settings(
        checkpoint=checkpoint,
        device="cpu",
        precision="float32",
        executor="torch",
        database_url=sqlite_url(tmp_path),
    )


@pytest.fixture(scope="session")
def engine(checkpoint: Path) -> Engine:
    """The tiny checkpoint, loaded once; it keeps nothing from one test to another."""
    return Engine.load(
        read_settings(
            checkpoint=checkpoint,
            device="cpu",
            precision="float32",
            executor="torch",
            prototype_cache_bytes=0,
        )
    )


@pytest.fixture
def client(settings: Settings, engine: Engine) -> Iterator[TestClient]:
    """A client of a running app; a fault of the service is a 500, as it is for users."""
    app = create_app(settings, engine)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def impatient_client(settings: Settings, engine: Engine) -> Iterator[TestClient]:
    """A client of an app that waits for no lock of its database as long as users do."""
    library = Library.open(impatient(settings.database_url))
    with TestClient(create_app(settings, engine, library)) as client:
        yield client
