"""``sgone segment`` with a rough mark in a file, here and against a service."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from numpy.testing import assert_array_equal

from pictures import encode, grey_mask, object_mask, photograph, read_mask
from service.cli import main
from service.client import SegmentationClient
from service.images.coco import encode_run_lengths
from serving import served_checkpoint

NETWORK = ["--device", "cpu", "--precision", "float32"]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A support with its mask, and with the same as a mark; and a query."""
    (tmp_path / "support.png").write_bytes(encode(photograph()))
    (tmp_path / "exact.png").write_bytes(grey_mask())
    mark = {"segmentation": encode_run_lengths(object_mask()).model_dump()}
    (tmp_path / "mark.json").write_text(json.dumps(mark), encoding="utf-8")
    (tmp_path / "bad.JSON").write_text('{"points": [[99, 1]]}', encoding="utf-8")
    (tmp_path / "query.png").write_bytes(encode(photograph(37, 51, seed=1)))
    return tmp_path


def segmented(desk: Path, mask: str, *flags: Any) -> Result:
    out = desk / f"by-{mask}"
    support = ["--support", desk / "support.png", "--mask", desk / mask]
    arguments = ["segment", *support, desk / "query.png", "--out", out, *flags]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_mark_in_a_file_gives_the_mask_of_the_mask_that_it_draws(
    desk: Path, checkpoint: Path
) -> None:
    here = ["--checkpoint", checkpoint, *NETWORK]
    assert segmented(desk, "exact.png", *here).exit_code == 0
    assert segmented(desk, "mark.json", *here).exit_code == 0
    wanted = (desk / "by-exact.png" / "query.png").read_bytes()
    assert (desk / "by-mark.json" / "query.png").read_bytes() == wanted


def test_a_mark_in_a_file_is_sent_as_one(desk: Path, checkpoint: Path) -> None:
    with served_checkpoint(checkpoint, desk) as url, SegmentationClient(url) as client:
        assert segmented(desk, "mark.json", "--url", url).exit_code == 0
        mask = client.segment(desk / "query.png", [(desk / "support.png", desk / "exact.png")])
        written = read_mask((desk / "by-mark.json" / "query.png").read_bytes())
        assert_array_equal(written > 0, mask)
        refused = segmented(desk, "bad.JSON", "--url", url)
    assert refused.exit_code == 1
    assert "outside its photograph" in refused.output


def test_a_mark_that_does_not_fit_is_one_sentence(desk: Path, checkpoint: Path) -> None:
    refused = segmented(desk, "bad.JSON", "--checkpoint", checkpoint, *NETWORK)
    assert refused.exit_code == 1
    assert refused.output.startswith(f"Error: {desk / 'bad.JSON'} has points[0] at (99, 1)")
