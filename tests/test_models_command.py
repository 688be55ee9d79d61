"""sgone models: checkpoints listed, fetched with their SHA-256 and licence, and verified."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.checkpoints.manifest import ManifestEntry, read_manifest, write_entry
from service.checkpoints.named import named_checkpoints
from service.cli import main
from service.errors import SettingsError
from service.settings import read_settings

TERMS = "Not for war."


@pytest.fixture
def source(checkpoint: Path, tmp_path: Path) -> Path:
    """A folder with two models; the licence of one asks for agreement."""
    folder = tmp_path / "source"
    folder.mkdir()
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    for name, must_accept in (("free", False), ("bound", True)):
        shutil.copy(checkpoint, folder / f"{name}.safetensors")
        terms = TERMS if must_accept else ""
        write_entry(
            folder,
            ManifestEntry(f"{name}.safetensors", sha256, name, "", "MIT", must_accept, terms),
        )
    (folder / "free.graphs").write_bytes(b"graphs")
    return folder


@pytest.fixture
def address(source: Path) -> Iterator[str]:
    """The folder behind a web server."""
    handler = partial(SilentHandler, directory=str(source))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def sgone(*arguments: object, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["models", *map(str, arguments)], input=typed)


@pytest.mark.parametrize("over_http", [False, True])
def test_a_model_is_fetched_with_its_graphs_and_entry(
    source: Path, address: str, folder: Path, over_http: bool
) -> None:
    given = address if over_http else source
    result = sgone("pull", "free", "--from", given, "--models-dir", folder)
    assert result.exit_code == 0, result.output
    assert (folder / "free.safetensors").read_bytes() == (source / "free.safetensors").read_bytes()
    assert (folder / "free.graphs").read_bytes() == b"graphs"
    (entry,) = read_manifest(folder)
    assert (entry.stem, entry.licence, entry.source) == ("free", "MIT", str(given))
    named = named_checkpoints(read_settings(models="free", models_dir=folder))
    assert named == {"free": folder / "free.safetensors"}


def test_a_file_with_another_hash_is_not_kept(source: Path, folder: Path) -> None:
    with (source / "free.safetensors").open("ab") as file:
        file.write(b"more")
    result = sgone("pull", "free", "--from", source, "--models-dir", folder)
    assert (result.exit_code, "it is not kept" in result.output) == (1, True)
    assert [path.name for path in folder.iterdir()] == []


def test_an_unknown_name_lists_the_known_ones(source: Path, folder: Path) -> None:
    result = sgone("pull", "other", "--from", source, "--models-dir", folder)
    assert (result.exit_code, "choose of bound, free" in result.output) == (1, True)


def test_a_licence_is_shown_and_accepted_once(source: Path, folder: Path) -> None:
    command = ("pull", "bound", "--from", source, "--models-dir", folder)
    refused = sgone(*command, typed="n\n")
    assert (refused.exit_code, TERMS in refused.output) == (1, True)
    assert not folder.exists()
    assert TERMS in sgone(*command, typed="y\n").output
    again = sgone(*command)
    assert (again.exit_code, TERMS in again.output) == (0, False)
    assert "accepted 20" in sgone("list", "--models-dir", folder).output


def test_other_terms_are_asked_for_anew(source: Path, folder: Path) -> None:
    command = ("pull", "bound", "--from", source, "--models-dir", folder)
    assert sgone(*command, "--accept-licence").exit_code == 0
    (entry,) = [each for each in read_manifest(source) if each.stem == "bound"]
    write_entry(
        source, ManifestEntry(entry.file, entry.sha256, "", "", "MIT", True, "Not for peace.")
    )
    assert sgone(*command, typed="n\n").exit_code == 1


def test_what_is_not_accepted_is_not_served(source: Path) -> None:
    with pytest.raises(SettingsError, match="is not accepted"):
        named_checkpoints(read_settings(models="bound", models_dir=source))
    with pytest.raises(SettingsError, match="is not accepted"):
        named_checkpoints(read_settings(checkpoint=source / "bound.safetensors"))


def test_every_model_is_prepared(checkpoint: Path) -> None:
    names = ("--models", f"first={checkpoint},second={checkpoint}", "--executor", "torch")
    result = CliRunner().invoke(main, ["prepare", *names, "--device", "cpu"])
    assert result.output == "tiny.safetensors is ready for torch\n" * 2


def test_models_are_listed_with_the_shipped_ones(source: Path) -> None:
    lines = sgone("list", "--models-dir", source).output.splitlines()
    names = [line.split("\t")[0] for line in lines]
    assert names[:2] == ["bound", "free"] and "sgone-efficientnet-lite2" in names
    assert "not accepted" in lines[0]


def test_whole_files_are_verified_and_others_are_not(source: Path) -> None:
    good = sgone("verify", "free", "bound", "--models-dir", source)
    assert (good.exit_code, good.output.count("\tverified\t")) == (0, 2)
    (source / "bound.safetensors").write_bytes(b"nothing")
    bad = sgone("verify", "free", "bound", "--models-dir", source)
    assert (bad.exit_code, bad.output.count("\tverified\t"), "1 of 2" in bad.output) == (1, 1, True)
