"""``sgone complete``: photographs with a rough mark each, here and against a service."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from numpy.testing import assert_array_equal

from pictures import encode, grey_mask, photograph, read_mask
from service.cli import main
from service.commands.parameters import FORMATS
from service.segmenter import Segmenter
from serving import served_checkpoint

MARK = {"strokes": [{"points": [[20, 10], [38, 20]], "width": 6}]}
NETWORK = ["--device", "cpu", "--precision", "float32"]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Three photographs, one in a folder; the first has a mark, the last a mask."""
    names = ["a.png", "b.png", "sub/c.png"]
    for seed, name in enumerate(names):
        path = tmp_path / "photographs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(photograph(seed=seed)))
    (tmp_path / "marks" / "sub").mkdir(parents=True)
    (tmp_path / "marks" / "a.json").write_text(json.dumps(MARK), encoding="utf-8")
    (tmp_path / "marks" / "sub" / "c.png").write_bytes(grey_mask())
    return tmp_path


@pytest.fixture
def here(checkpoint: Path) -> list[Any]:
    return ["--checkpoint", checkpoint, *NETWORK, "--threshold", 0.4]


def complete(desk: Path, *arguments: Any, out: str = "out") -> Result:
    command = ["complete", *arguments, "--out", desk / out]
    return CliRunner().invoke(main, [str(argument) for argument in command])


def test_each_marked_photograph_gets_its_mask(
    desk: Path, here: list[Any], checkpoint: Path
) -> None:
    result = complete(desk, desk / "photographs", "--mark", desk / "marks", *here)
    assert result.exit_code == 0, result.output
    assert "1 of 3 photographs have no mark" in result.stderr
    found = sorted(path.relative_to(desk / "out") for path in (desk / "out").rglob("*.png"))
    assert found == [Path("a.png"), Path("sub/c.png")]
    segmenter = Segmenter(checkpoint, device="cpu", precision="float32")
    expected = segmenter.complete(photograph(seed=0), MARK, threshold=0.4).mask
    assert expected.any()
    assert_array_equal(read_mask((desk / "out" / "a.png").read_bytes()) > 0, expected)


def test_a_service_gives_the_same_files(desk: Path, here: list[Any], checkpoint: Path) -> None:
    formats = [word for name in FORMATS for word in ("--format", name)]
    arguments = [desk / "photographs", "--mark", desk / "marks", *formats, "--instances"]
    assert complete(desk, *arguments, "--jobs", 1, *here, out="here").exit_code == 0
    with served_checkpoint(checkpoint, desk) as url:
        asked = [*arguments, "--jobs", 1, "--url", url, "--threshold", 0.4]
        there = complete(desk, *asked, out="there")
    assert there.exit_code == 0, there.output
    first, second = (
        {
            path.relative_to(desk / out): path.read_bytes()
            for path in (desk / out).rglob("*")
            if path.is_file()
        }
        for out in ("here", "there")
    )
    assert first == second
    assert Path("labels/sub/c.txt") in first
    assert (desk / "here/ImageSets/Segmentation/train.txt").read_text("utf-8") == "a\nsub/c\n"


def test_a_mark_of_one_photograph_is_a_file(desk: Path, here: list[Any]) -> None:
    mark = ["--mark", desk / "marks" / "a.json"]
    assert complete(desk, desk / "photographs" / "b.png", *mark, *here).exit_code == 0
    refused = complete(desk, desk / "photographs", *mark, *here, out="other")
    assert (refused.exit_code, "is one mark, and there are 3" in refused.stderr) == (1, True)


def test_marks_of_no_photograph_are_told(desk: Path, here: list[Any]) -> None:
    photographs = desk / "photographs"
    refused = complete(desk, photographs, "--mark", photographs / "sub", *here)
    assert refused.exit_code == 1
    assert "name them like a.json or a.png" in refused.stderr


def test_a_bad_mark_fails_alone(desk: Path, here: list[Any], checkpoint: Path) -> None:
    (desk / "marks" / "b.json").write_text('{"points": [[99, 1]]}', encoding="utf-8")
    arguments = [desk / "photographs", "--mark", desk / "marks"]
    with served_checkpoint(checkpoint, desk) as url:
        for out, network in (("here", here), ("there", ["--url", url])):
            result = complete(desk, *arguments, *network, out=out)
            assert result.exit_code == 1
            assert "outside its photograph" in result.stderr
            assert "1 of 3 queries failed; the rest are done" in result.stderr
            assert len(list((desk / out).rglob("*.png"))) == 2


def test_what_segment_wrote_is_not_mixed_with_it(desk: Path, here: list[Any]) -> None:
    query = desk / "photographs" / "a.png"
    support = ["--support", query, "--mask", desk / "marks" / "a.json"]
    arguments = ["segment", *support, query, "--out", desk / "out", *here]
    assert CliRunner().invoke(main, [str(each) for each in arguments]).exit_code == 0
    refused = complete(desk, query, "--mark", desk / "marks" / "a.json", *here)
    assert "made with another" in refused.stderr and refused.exit_code == 1


def test_a_service_and_a_network_here_exclude_each_other(desk: Path, here: list[Any]) -> None:
    arguments = [desk / "photographs", "--mark", desk / "marks", *here]
    refused = complete(desk, *arguments, "--url", "http://127.0.0.1:9")
    assert (refused.exit_code, "leave out --url" in refused.stderr) == (2, True)


def test_the_document_tells_of_every_flag() -> None:
    document = Path(__file__).parents[1] / "docs" / "command-line.md"
    text = document.read_text(encoding="utf-8")
    flags = [flag for option in main.commands["complete"].params for flag in option.opts]
    assert [flag for flag in flags if flag.startswith("--") and flag not in text] == []
