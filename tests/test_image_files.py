"""An image file looks the same to the service, to data sets, composites and distillation."""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from model.composites.composites import _background
from model.datasets.folder import image_folder
from model.distillation.views import _read
from model.episode import Support
from model.errors import ModelError
from model.images.masks import MASK_FORMATS, MaskFormat
from model.images.opening import PILLOW_MAX_PIXELS, reads_heic
from pictures import encode, grey_mask, photograph
from service.errors import ServiceError
from service.images.codec import Part, decode_photograph, decode_support
from service.settings import PILLOW_MAX_PIXELS as SETTINGS_MAX_PIXELS

ORIENTATION = 0x0112
PHOTOGRAPH_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")
MASK_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
WRITABLE = {
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"},
    "TIFF": set(PHOTOGRAPH_MODES),
    "JPEG": {"L", "RGB", "CMYK"},
    "WEBP": {"RGB", "RGBA"},
    "BMP": {"1", "L", "P", "RGB"},
    "AVIF": {"RGB", "RGBA"},
    "HEIF": {"L", "RGB", "RGBA"},
    "JPEG2000": {"L", "LA", "RGB", "RGBA", "I;16"},
}
NO_EXIF = {"BMP", "JPEG2000"}


assert reads_heic()


class Pair(NamedTuple):
    """Files, and how the mask is to be read."""

    image: bytes
    mask: bytes
    mask_format: MaskFormat = "auto"


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def draw(mode: str, size: tuple[int, int], levels: list[int]) -> Image.Image:
    """A picture of this mode whose pixels walk through the levels."""
    width, height = size
    grey = np.resize(np.array(levels, np.uint8), (height, width))
    if mode in ("I;16", "I", "F"):
        return Image.fromarray(grey.astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode]))
    channels = Image.new(mode, (1, 1)).getbands()
    if len(channels) == 1:
        image = Image.fromarray(grey)
        return image if mode == "L" else image.convert(mode)
    rolled = [np.roll(grey, place) for place in range(len(channels))]
    return Image.fromarray(np.dstack(rolled), mode)


@st.composite
def files(draw_value, modes: tuple[str, ...], size: tuple[int, int]) -> bytes:
    """An image file of any kind, turned by its tag, and now and then cut or changed."""
    kind = draw_value(st.sampled_from(sorted(WRITABLE)))
    mode = draw_value(st.sampled_from([mode for mode in modes if mode in WRITABLE[kind]]))
    levels = draw_value(st.lists(st.integers(0, 255), min_size=1, max_size=8))
    options = {}
    if mode == "P" and kind == "PNG" and draw_value(st.booleans()):
        options["transparency"] = draw_value(st.integers(0, 255))
    if kind not in NO_EXIF:
        options["exif"] = tagged(draw_value(st.integers(0, 9)))
    content = encode(draw(mode, size, levels), kind, **options)
    place = draw_value(st.integers(0, len(content)))
    match draw_value(st.sampled_from([*["whole"] * 6, "cut", "changed"])):
        case "cut":
            return content[:place]
        case "changed":
            return content[:place] + bytes([draw_value(st.integers(0, 255))]) + content[place + 1 :]
    return content


@st.composite
def pairs(draw_value) -> Pair:
    size = draw_value(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    image = draw_value(files(PHOTOGRAPH_MODES, size))
    mask = draw_value(files(MASK_MODES, size))
    return Pair(
        image, mask, draw_value(st.sampled_from(("auto", "light", "labels", *MASK_FORMATS)))
    )


def as_the_service_reads(pair: Pair) -> Support | None:
    try:
        image, mask = Part("i", pair.image), Part("m", pair.mask)
        return decode_support(image, mask, PILLOW_MAX_PIXELS, pair.mask_format)
    except ServiceError:
        return None


def as_a_data_set_reads(pair: Pair, root: Path) -> Support | None:
    (root / "cup").mkdir(exist_ok=True)
    (root / "cup" / "0.jpg").write_bytes(pair.image)
    (root / "cup" / "0.png").write_bytes(pair.mask)
    try:
        image, label = image_folder(root, mask_format=pair.mask_format).load(0, 0)
        return Support(image, label.astype(np.bool_))
    except ModelError:
        return None


@pytest.mark.filterwarnings("ignore")  # Pillow says a good deal of files that are changed
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(pair=pairs())
def test_service_and_data_set_see_the_same_or_both_refuse(pair: Pair, tmp_path: Path) -> None:
    served, trained = as_the_service_reads(pair), as_a_data_set_reads(pair, tmp_path)
    assert (served is None) == (trained is None)
    if served is not None and trained is not None:
        assert_array_equal(served.image, trained.image)
        assert_array_equal(served.mask, trained.mask)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_data_set_turns_photographs_and_masks_upright(orientation: int, tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:9, 4:12] = 255
    image = encode(photograph(20, 30), "WEBP", lossless=True, exif=tagged(orientation))
    pair = Pair(image, encode(mask, exif=tagged(orientation)))
    served, trained = as_the_service_reads(pair), as_a_data_set_reads(pair, tmp_path)
    assert served is not None and trained is not None
    assert_array_equal(served.image, trained.image)
    assert_array_equal(served.mask, trained.mask)
    assert trained.mask.sum() == 56


def test_a_composites_background_is_upright(tmp_path: Path) -> None:
    class Whole:
        def uniform(self, low: float, high: float) -> float:
            return 1.0

        def randint(self, low: int, high: int) -> int:
            return 0

    content = encode(photograph(30, 30), "PNG", exif=tagged(6))
    (tmp_path / "0.png").write_bytes(content)
    background = np.array(_background(tmp_path / "0.png", 30, Whole()))
    assert_array_equal(background, decode_photograph(Part("i", content), PILLOW_MAX_PIXELS))


def test_a_distillations_photographs_are_upright() -> None:
    pixels = photograph(60, 60)
    square, _, _ = _read(("", "0.jpg", encode(pixels, "PNG", exif=tagged(3))))
    upright, aspect, _ = _read(("", "0.jpg", encode(np.rot90(pixels, 2), "PNG")))
    assert aspect == 1
    assert_array_equal(square, upright)


def test_a_mask_in_a_data_set_is_turned_by_its_own_tag_alone(tmp_path: Path) -> None:
    pair = Pair(encode(photograph(48, 64)), grey_mask())
    served = as_a_data_set_reads(pair, tmp_path)
    assert served is not None
    turned = Pair(pair.image, encode(Image.open(BytesIO(grey_mask())), exif=tagged(3)))
    other = as_a_data_set_reads(turned, tmp_path)
    assert other is not None
    assert_array_equal(other.mask, served.mask[::-1, ::-1])


def test_settings_and_model_have_one_limit() -> None:
    assert SETTINGS_MAX_PIXELS == PILLOW_MAX_PIXELS
