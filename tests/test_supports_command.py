"""``sgone supports`` against a service: what it prints and writes, and its sentences."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pictures import object_mask, photograph
from service.cli import main
from service.client import SegmentationClient, SupportSet
from serving import served_checkpoint


@pytest.fixture(scope="module")
def url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_checkpoint(checkpoint, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture
def stored(url: str) -> Iterator[SupportSet]:
    """A set of two pairs; no set is left after the test."""
    with SegmentationClient(url) as client:
        pairs = [(photograph(seed=seed), object_mask()) for seed in (0, 1)]
        yield client.create_support_set("blue mugs", pairs, label="mug")
        for left in client.list_support_sets().items:
            client.delete_support_set(left.id)


def supports(*arguments: Any, url: str, answer: str = "") -> Result:
    command = ["supports", *map(str, arguments), "--url", url]
    return CliRunner().invoke(main, command, input=answer)


def one_sentence(result: Result) -> str:
    """The message of a failed command, which must be a line and no traceback."""
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    (line,) = result.stderr.strip().splitlines()
    return line


def test_sets_are_listed_a_line_each(url: str, stored: SupportSet) -> None:
    with SegmentationClient(url) as client:
        plain = client.create_support_set("plain", [(photograph(), object_mask())])
    assert supports("list", url=url).stdout.splitlines() == [
        f"{plain.id}\t1\tplain\t",
        f"{stored.id}\t2\tblue mugs\tmug",
    ]


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_set_goes_into_a_file_and_comes_back_from_it(
    url: str, stored: SupportSet, tmp_path: Path, by: str
) -> None:
    file = tmp_path / "new folder" / "mugs.zip"
    result = supports("export", getattr(stored, by), file, url=url)
    assert result.stdout == f"blue mugs is in {file}, with its 2 pairs\n"
    with zipfile.ZipFile(file) as archive:
        assert "001.mask.png" in archive.namelist()
    assert "named 'blue mugs' already" in one_sentence(supports("import", file, url=url))
    result = supports("import", file, "--name", "cups", url=url)
    assert result.stdout.startswith("cups is stored as ")
    with SegmentationClient(url) as client:
        again = client.list_support_sets().items[0]
    assert (again.name, again.label, again.shots) == ("cups", "mug", 2)
    assert again.id in result.stdout


def test_an_export_writes_over_no_file_unasked(
    url: str, stored: SupportSet, tmp_path: Path
) -> None:
    file = tmp_path / "mugs.zip"
    file.write_bytes(b"mine")
    assert "is there already" in one_sentence(supports("export", stored.name, file, url=url))
    assert file.read_bytes() == b"mine"
    assert supports("export", stored.name, file, "--overwrite", url=url).exit_code == 0
    assert zipfile.is_zipfile(file)


def test_a_set_is_renamed_and_its_label_changed_or_taken_away(url: str, stored: SupportSet) -> None:
    def described() -> tuple[str, str | None]:
        with SegmentationClient(url) as client:
            now = client.get_support_set(stored.id)
        return now.name, now.label

    result = supports("rename", "blue mugs", "cups", url=url)
    assert result.stdout == "blue mugs is now cups\n"
    assert described() == ("cups", "mug")
    supports("rename", "cups", "tea cups", "--label", "cup", url=url)
    assert described() == ("tea cups", "cup")
    supports("rename", "tea cups", "tea cups", "--label", "", url=url)
    assert described() == ("tea cups", None)


def test_a_set_is_deleted_only_when_that_is_meant(url: str, stored: SupportSet) -> None:
    with SegmentationClient(url) as client:
        result = supports("delete", "blue mugs", url=url, answer="n\n")
        assert "Delete blue mugs (2 pairs)? It cannot be undone." in result.output
        assert (result.exit_code, client.list_support_sets().total) == (1, 1)
        assert supports("delete", "blue mugs", url=url, answer="y\n").exit_code == 0
        assert client.list_support_sets().total == 0
    assert "no support set 'blue mugs'" in one_sentence(
        supports("delete", "blue mugs", "--yes", url=url)
    )


@pytest.mark.parametrize(
    "arguments", [("export", "cups", "cups.zip"), ("rename", "cups", "mugs"), ("delete", "cups")]
)
def test_a_set_that_is_not_there_is_one_sentence(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = one_sentence(supports(*arguments, url=url))
    assert "no support set 'cups' by name or id; `sgone supports list`" in said
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_export_is_one_sentence(url: str, tmp_path: Path) -> None:
    file = tmp_path / "mugs.zip"
    file.write_bytes(b"no archive")
    assert "is no ZIP archive" in one_sentence(supports("import", file, url=url))
    file.write_bytes(b"PK no archive")
    assert "broken or cut off" in one_sentence(supports("import", file, url=url))


@pytest.mark.parametrize("command", ["list", "delete"])
def test_a_service_that_is_away_is_one_sentence(command: str) -> None:
    arguments = [command, *(["mugs", "--yes"] if command == "delete" else [])]
    said = one_sentence(supports(*arguments, url="http://127.0.0.1:9"))
    assert "cannot be reached" in said


def test_the_commands_need_no_torch_and_help_nothing_at_all(url: str, tmp_path: Path) -> None:
    code = (
        "import sys; from service.cli import main; "
        "main(sys.argv[2:], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in sys.argv[1].split(',')))"
    )
    for modules, arguments in [
        ("torch,fastapi,sqlalchemy", ["supports", "list", "--url", url]),
        ("httpx,numpy,PIL", ["supports", "--help"]),
        ("httpx,numpy,PIL", ["supports", "export", "--help"]),
    ]:
        command = [sys.executable, "-c", code, modules, *arguments]
        result = subprocess.run(command, capture_output=True, check=False, timeout=120)
        assert (result.returncode, result.stderr) == (0, b"")
