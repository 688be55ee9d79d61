"""Label Studio's run lengths of brushes are read, ours and theirs."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pictures import disc, object_mask
from service.connectors.label_studio.brush import decode_brush
from studios import runs_of

# label_studio_sdk 2.1.2's converter.brush.encode_rle of 4 x 6 pixels, opaque in columns 2 and 3 of
# row 1, and the same with an opacity of 100 in column 2.
THEIRS = [0, 0, 0, 96, 57, 27, 254, 31, 0, 159, 255, 27, 128, 0]
THEIRS_SOFT = [0, 0, 0, 96, 57, 27, 254, 31, 0, 141, 146, 63, 252, 110, 0]


def masks() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0).random((31, 57)) > 0.5
    large = np.zeros((400, 300), np.bool_)
    large[:, 150:] = True
    return {
        "rectangle": object_mask(),
        "disc": disc(),
        "noise": noise,
        "full": np.ones((200, 200), np.bool_),
        "long runs": np.vstack([np.zeros((300, 300), np.bool_), large]),
        "one pixel": np.ones((1, 1), np.bool_),
    }


@pytest.mark.parametrize("name", masks())
def test_a_mask_comes_back_from_its_brush(name: str) -> None:
    mask = masks()[name]
    runs = runs_of(mask)
    assert_array_equal(decode_brush(runs, *mask.shape), mask)


@pytest.mark.parametrize("name", masks())
def test_what_label_studio_writes_is_read(name: str) -> None:
    theirs = pytest.importorskip("label_studio_sdk.converter.brush")
    mask = masks()[name]
    rgba = np.repeat(mask.ravel().astype(np.uint8) * np.uint8(255), 4)
    assert_array_equal(decode_brush(theirs.encode_rle(rgba), *mask.shape), mask)


@pytest.mark.parametrize(("runs", "columns"), [(THEIRS, [2, 3]), (THEIRS_SOFT, [3])])
def test_what_label_studio_wrote_is_read(runs: list[int], columns: list[int]) -> None:
    expected = np.zeros((4, 6), np.bool_)
    expected[1, columns] = True
    assert_array_equal(decode_brush(runs, 4, 6), expected)


def test_a_brush_with_single_values_and_soft_edges_is_read() -> None:
    # 8 values: one pixel of 0, 0, 0, 100 as single values, then one of 200 four times.
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    bits += f"000{3:03b}" + "".join(f"{value:08b}" for value in (0, 0, 0, 100))
    bits += f"100{3:03b}{200:08b}"
    runs = [int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8)]
    assert decode_brush(runs, 1, 2).tolist() == [[False, True]]


@pytest.mark.parametrize("change", ["cut", "size", "beyond", "bytes", "empty"])
def test_what_is_no_brush_of_the_photograph_is_refused(change: str) -> None:
    mask = object_mask()
    runs, (height, width) = runs_of(mask), mask.shape
    match change:
        case "cut":
            runs = runs[: len(runs) // 2]
        case "size":
            height += 1
        case "beyond":
            runs = runs_of(np.ones((48, 65), np.bool_))
            runs[:4] = runs_of(mask)[:4]
        case "bytes":
            runs[5] = 256
        case "empty":
            runs = []
    with pytest.raises(ValueError, match=r"brush|byte"):
        decode_brush(runs, height, width)
