"""The example photographs are free to use, small, and carry masks of the documented form."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"
PHOTOGRAPHS = sorted(EXAMPLES.glob("*.jpg"))
MAX_PHOTOGRAPH_BYTES = 150_000

each_photograph = pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda path: path.stem)


def mask_of(photograph: Path) -> Path:
    return photograph.with_suffix(".mask.png")


def test_there_are_two_to_four_photographs_and_no_mask_without_one() -> None:
    assert 2 <= len(PHOTOGRAPHS) <= 4
    assert {mask_of(photograph) for photograph in PHOTOGRAPHS} == set(EXAMPLES.glob("*.png"))


@each_photograph
def test_a_photograph_has_a_line_with_its_source_and_a_public_domain_licence(
    photograph: Path,
) -> None:
    lines = (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{photograph.name}` |")]
    _, _, _, source, licence, _ = (cell.strip() for cell in row.split("|"))
    assert source
    assert licence.startswith(("public domain", "CC0"))


@each_photograph
def test_a_photograph_is_small(photograph: Path) -> None:
    assert photograph.stat().st_size < MAX_PHOTOGRAPH_BYTES


@each_photograph
def test_a_mask_is_8_bit_grey_0_or_255_and_of_its_photographs_size(photograph: Path) -> None:
    with Image.open(photograph) as image, Image.open(mask_of(photograph)) as mask:
        assert mask.mode == "L"
        assert mask.size == image.size
        assert set(np.unique(mask)) == {0, 255}


@each_photograph
def test_a_mask_covers_a_plausible_share_of_its_photograph_and_of_its_bounds(
    photograph: Path,
) -> None:
    with Image.open(mask_of(photograph)) as mask:
        share = np.mean(np.asarray(mask) == 255)
        left, top, right, bottom = mask.getbbox()
    bounds = (right - left) * (bottom - top) / (mask.width * mask.height)
    assert 0.1 < share < 0.7
    assert share > 0.4 * bounds
