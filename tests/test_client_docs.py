"""The code of docs/client.md, run as it stands but for the address."""

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from serving import served_checkpoint

REPOSITORY = Path(__file__).resolve().parent.parent
SECTIONS = dict(
    re.findall(
        r"^#+ ([^\n]+)\n(?:(?!^#+ ).)*?```python\n(.*?)```",
        (REPOSITORY / "docs" / "client.md").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
)


@pytest.fixture(scope="module")
def url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with a database of its own."""
    with served_checkpoint(checkpoint, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with the examples in it, where code may write."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def run(desk: Path, url: str) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Runs a section after the first two, on which all others build; returns its names."""
    names: dict[str, Any] = {}

    def run(section: str) -> dict[str, Any]:
        exec(SECTIONS[section].replace("http://127.0.0.1:8000", url), names)
        return names

    run("Python client")
    run("What comes back")
    yield run
    names["client"].close()


def test_every_section_with_code_is_run() -> None:
    assert list(SECTIONS) == [
        "Python client",
        "What comes back",
        "Rough marks",
        "Several models",
        "Stored supports",
        "Change and move a set",
        "Several classes",
        "Many photographs",
        "Annotation files",
        "Errors",
        "asyncio",
    ]


def test_the_first_sections_give_what_they_say(run: Any, desk: Path) -> None:
    names = run("Errors")
    assert (names["mask"].shape, names["mask"].dtype) == ((512, 512), np.bool_)
    assert names["found"].label == "person"
    with Image.open(desk / "overlay.png") as overlay, Image.open(desk / "cutout.png") as cutout:
        assert (overlay.mode, cutout.mode) == ("RGB", "RGBA")


def test_annotation_files_come_as_archives(run: Any, desk: Path) -> None:
    run("Many photographs")
    names = run("Annotation files")
    with ZipFile(desk / "results.zip") as found:
        assert {"annotations.json", "photographer.png", "results.jsonl"} <= set(found.namelist())
    with ZipFile(BytesIO(names["archive"])) as made:
        assert "labels/photographer.txt" in made.namelist()


def test_a_rough_mark_shows_the_object(run: Any) -> None:
    assert run("Rough marks")["mask"].shape == (512, 512)


def test_a_model_is_named(run: Any) -> None:
    names = run("Several models")
    assert names["model"].default and names["mask"].shape == (512, 512)


def test_a_stored_set_is_used_and_deleted(run: Any) -> None:
    names = run("Stored supports")
    assert names["stored"].shots == 2
    assert names["client"].list_support_sets().total == 0


def test_a_set_changes_and_moves(run: Any) -> None:
    names = run("Change and move a set")
    assert (names["person"].name, names["person"].label) == ("astronaut, outdoors", "person")
    assert names["client"].list_support_sets().total == 0


def test_several_classes_make_one_map(run: Any) -> None:
    assert run("Several classes")["index_map"].shape == (512, 512)


def test_many_photographs_are_named(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("Many photographs")
    printed = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split()[0] for line in printed] == ["photographer.jpg", "grace_hopper.jpg"]


def test_an_error_says_what_is_wrong(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("Errors")
    assert capsys.readouterr().out.splitlines()[-1].startswith("422 invalid_option threshold")


def test_several_requests_run_side_by_side(run: Any) -> None:
    assert [mask.shape for mask in run("asyncio")["masks"]] == [(512, 512), (600, 512)]
