"""Upload bytes become upright photographs and masks, or an error that names the part."""

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, TiffImagePlugin

from model.images.opening import reads_heic
from pictures import encode, grey_mask, object_mask, photograph
from service.errors import (
    BlankMaskError,
    MaskSizeMismatchError,
    ServiceError,
    TooManyPixelsError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
)
from service.images.codec import Part, decode_mask, decode_photograph, decode_support

MAX_PIXELS = 1_000_000
ORIENTATION = 0x0112
# What an EXIF tag asks a viewer to do to the stored pixels, in NumPy's words.
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
    8: np.rot90,
}
each_orientation = pytest.mark.parametrize("orientation", UPRIGHT)


def read_photograph(content: bytes, max_pixels: int = MAX_PIXELS) -> Any:
    return decode_photograph(Part("query_image", content), max_pixels)


def read_mask(image: Any, kind: str = "PNG", **options: Any) -> Any:
    return decode_mask(Part("support_mask", encode(image, kind, **options)), MAX_PIXELS).mask


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises an image and does not hold it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + checksum
    return start + struct.pack(">I", 1000) + b"IDAT" + bytes(8)


# Photographs


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_lossless_format_keeps_every_pixel(kind: str) -> None:
    assert_array_equal(read_photograph(encode(photograph(), kind)), photograph())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_lossy_format_keeps_the_picture(kind: str) -> None:
    pixels = read_photograph(encode(photograph(), kind, quality=95))
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - photograph()).mean() < 4


@each_orientation
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_turns_a_photograph_upright(kind: str, orientation: int) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(photograph(), kind, exif=tagged(orientation), **options)
    assert_array_equal(read_photograph(content), UPRIGHT[orientation](photograph()))


def test_exif_orientation_turns_a_jpeg_upright() -> None:
    content = encode(photograph(), "JPEG", exif=tagged(6))
    assert read_photograph(content).shape == (64, 48, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("tags", [b"no TIFF header", b"MM\0*\xff\xff\xff\xff no tags"])
def test_broken_exif_leaves_a_photograph_as_it_is_stored(tags: bytes) -> None:
    content = encode(photograph(), "PNG", exif=b"Exif\0\0" + tags)
    assert_array_equal(read_photograph(content), photograph())


def test_grey_becomes_three_equal_channels() -> None:
    grey = photograph()[:, :, 0]
    assert_array_equal(read_photograph(encode(grey)), np.dstack([grey] * 3))


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.fromarray(object_mask())
    assert image.mode == "1"
    assert_array_equal(read_photograph(encode(image))[:, :, 0], object_mask() * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_to_8_bits_and_not_clipped(kind: str) -> None:
    deep = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert_array_equal(read_photograph(encode(deep, kind))[0, :, 1], [0, 1, 128, 255])


def test_big_endian_16_bit_grey_reads_the_same() -> None:
    image = Image.frombytes("I;16B", (3, 1), struct.pack(">3H", 0, 32768, 65535))
    assert_array_equal(read_photograph(encode(image, "TIFF"))[0, :, 0], [0, 128, 255])


def test_floats_in_0_to_1_fill_the_range() -> None:
    values = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    assert_array_equal(read_photograph(encode(values, "TIFF"))[0, :, 2], [0, 128, 255, 0])


def test_32_bit_integers_are_scaled_by_the_range_that_holds_them() -> None:
    values = np.array([[0, 32768, 65535]], np.int32)
    assert_array_equal(read_photograph(encode(values, "TIFF"))[0, :, 0], [0, 128, 255])


def test_a_palette_becomes_its_colours() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image = image.convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert_array_equal(read_photograph(encode(image)), [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]])


def test_what_is_transparent_lies_on_white() -> None:
    image = np.zeros((1, 3, 4), np.uint8)
    image[0, :, 3] = [0, 128, 255]
    assert_array_equal(read_photograph(encode(image))[0, :, 0], [255, 127, 0])


def test_transparent_grey_and_palette_lie_on_white_too() -> None:
    grey = Image.fromarray(np.zeros((1, 2, 2), np.uint8), "LA")
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert_array_equal(read_photograph(encode(grey)), np.full((1, 2, 3), 255))
    content = encode(palette, transparency=0)
    assert_array_equal(read_photograph(content)[0, :, 0], [255, 9])


def test_cmyk_becomes_rgb() -> None:
    content = encode(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF")
    assert_array_equal(read_photograph(content)[0, 0], [255, 0, 0])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_several_counts(kind: str) -> None:
    frames = [Image.fromarray(photograph(seed=seed)) for seed in (1, 2)]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert_array_equal(read_photograph(content), photograph(seed=1))


def test_a_jpeg_that_holds_several_pictures_gives_the_first() -> None:
    frames = [Image.fromarray(photograph(seed=seed)) for seed in (1, 2)]
    content = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(read_photograph(content).astype(int) - photograph(seed=1)).mean() < 6


def test_a_decoded_photograph_can_be_written_to() -> None:
    assert read_photograph(encode(photograph())).flags.writeable


# Masks


def test_grey_masks_are_object_above_half() -> None:
    assert_array_equal(
        read_mask(np.array([[0, 127, 128, 255]], np.uint8)), [[False, False, True, True]]
    )


def test_masks_of_only_0_and_1_are_object_where_1() -> None:
    assert_array_equal(read_mask(object_mask().astype(np.uint8)), object_mask())


def test_one_bit_masks_are_object_where_set() -> None:
    assert_array_equal(read_mask(object_mask()), object_mask())


def test_16_bit_masks_are_object_above_half_of_their_range() -> None:
    deep = np.array([[0, 255, 32767, 32768, 65535]], np.uint16)
    assert_array_equal(read_mask(deep), [[False, False, False, True, True]])


def test_16_bit_masks_of_only_0_and_1_are_object_where_1() -> None:
    assert_array_equal(read_mask(object_mask().astype(np.uint16)), object_mask())


def test_float_masks_are_object_above_a_half() -> None:
    values = np.array([[0.0, 0.4, 0.6, 1.0]], np.float32)
    assert_array_equal(read_mask(values, "TIFF"), [[False, False, True, True]])


def palette_mask(indices: list[int]) -> Image.Image:
    image = Image.fromarray(np.array([indices], np.uint8)).convert("P")
    image.putpalette([0, 0, 0, *[128, 0, 0] * 255])
    return image


def test_palette_masks_are_object_where_the_index_is_not_zero() -> None:
    assert_array_equal(read_mask(palette_mask([0, 1, 15])), [[False, True, True]])


def test_the_void_index_of_voc_is_not_object() -> None:
    assert_array_equal(read_mask(palette_mask([0, 15, 255])), [[False, True, False]])


def test_index_255_is_object_where_it_is_the_only_one() -> None:
    assert_array_equal(read_mask(palette_mask([0, 255])), [[False, True]])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_varying_alpha_channel_is_the_mask(kind: str) -> None:
    cut_out = np.dstack([photograph(), object_mask().astype(np.uint8) * np.uint8(255)])
    options = {"lossless": True} if kind == "WEBP" else {}
    assert_array_equal(read_mask(cut_out, kind, **options), object_mask())


def test_alpha_is_object_above_half() -> None:
    image = np.full((1, 4, 4), 255, np.uint8)
    image[0, :, 3] = [0, 127, 128, 255]
    assert_array_equal(read_mask(image), [[False, False, True, True]])


def test_grey_with_alpha_follows_its_alpha() -> None:
    image = Image.fromarray(np.array([[[255, 0], [0, 255]]], np.uint8), "LA")
    assert_array_equal(read_mask(image), [[False, True]])


def test_an_opaque_alpha_channel_leaves_the_decision_to_the_colours() -> None:
    grey = object_mask().astype(np.uint8) * np.uint8(255)
    opaque = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    assert_array_equal(read_mask(opaque), object_mask())


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (128, 0, 0), (255, 255, 255)])
def test_a_coloured_object_on_black_is_the_mask(colour: tuple[int, int, int]) -> None:
    assert_array_equal(
        read_mask(object_mask()[:, :, None] * np.array(colour, np.uint8)), object_mask()
    )


@each_orientation
def test_exif_orientation_turns_a_mask_by_its_own_tag(orientation: int) -> None:
    mask = read_mask(object_mask().astype(np.uint8) * np.uint8(255), exif=tagged(orientation))
    assert_array_equal(mask, UPRIGHT[orientation](object_mask()))


def test_a_jpeg_mask_survives_its_compression() -> None:
    mask = read_mask(object_mask().astype(np.uint8) * np.uint8(255), "JPEG", quality=90)
    assert_array_equal(mask, object_mask())


# Supports


def test_a_support_pairs_an_upright_photograph_with_an_upright_mask() -> None:
    image = encode(photograph(64, 48), "PNG", exif=tagged(6))
    support = decode_support(Part("i", image), Part("m", grey_mask()), MAX_PIXELS)
    assert_array_equal(support.image, np.rot90(photograph(64, 48), -1))
    assert_array_equal(support.mask, object_mask())


def test_a_mask_of_another_size_is_refused_with_both_sizes() -> None:
    mask = Part("support_mask[2]", grey_mask(object_mask(48, 63)))
    with pytest.raises(MaskSizeMismatchError, match="63x48, its image is 64x48") as caught:
        decode_support(Part("i", encode(photograph())), mask, MAX_PIXELS)
    assert caught.value.field == "support_mask[2]"


def test_an_empty_mask_is_refused() -> None:
    mask = Part("support_mask", grey_mask(np.zeros((48, 64), np.bool_)))
    with pytest.raises(BlankMaskError, match="non-zero") as caught:
        decode_support(Part("i", encode(photograph())), mask, MAX_PIXELS)
    assert caught.value.field == "support_mask"


# What cannot be used


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_truncated_file_is_undecodable(kind: str) -> None:
    content = encode(photograph(), kind)
    with pytest.raises(UndecodableImageError, match="query_image") as caught:
        read_photograph(content[: len(content) // 2])
    assert caught.value.field == "query_image"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "HEIF"])
def test_whatever_is_broken_in_a_file_only_errors_of_the_service_come_out(kind: str) -> None:
    assert reads_heic()
    random = np.random.default_rng(0)
    content = np.frombuffer(encode(photograph(16, 16), kind), np.uint8)
    for _ in range(150):
        broken = content.copy()
        places = random.integers(0, len(broken), 4)
        broken[places] = random.integers(0, 256, 4)
        try:
            decode_mask(Part("m", broken.tobytes()), MAX_PIXELS)
            read_photograph(broken.tobytes())
        except ServiceError as error:
            assert error.status in (413, 415, 422)


def test_an_empty_file_is_undecodable() -> None:
    with pytest.raises(UndecodableImageError, match="empty"):
        read_photograph(b"")


def test_unknown_bytes_are_undecodable() -> None:
    with pytest.raises(UndecodableImageError):
        read_photograph(b"\x01\x02\x03\x04 nothing at all")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(encode(photograph(), "GIF"), id="gif"),
        pytest.param(encode(photograph(), "PDF"), id="pdf"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
        pytest.param(b"\n <!doctype html><p>hello", id="html"),
        pytest.param(b"PK\x03\x04 archive", id="zip"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0", id="heic"),
    ],
)
def test_another_kind_of_file_is_an_unsupported_type(content: bytes) -> None:
    with pytest.raises(
        UnsupportedMediaTypeError, match="JPEG, PNG, WebP, BMP, TIFF, AVIF or JPEG 2000"
    ):
        decode_photograph(Part("query_image", content, "image/png"), MAX_PIXELS)


def test_unknown_bytes_declared_as_another_type_are_an_unsupported_type() -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        decode_photograph(Part("query_image", b"hello", "text/plain"), MAX_PIXELS)


def test_the_content_decides_and_not_the_declared_type() -> None:
    part = Part("query_image", encode(photograph()), "text/plain")
    assert_array_equal(decode_photograph(part, MAX_PIXELS), photograph())


def test_pixels_are_counted_from_the_header_before_decoding() -> None:
    with pytest.raises(TooManyPixelsError, match="1001x1000 pixels, the limit is 1000000"):
        read_photograph(png_header(1001, 1000))


def test_the_limit_itself_is_allowed() -> None:
    assert read_photograph(encode(photograph(20, 50)), max_pixels=1000).shape == (20, 50, 3)


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)], ids=["warns", "raises"])
def test_a_decompression_bomb_has_too_many_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(TooManyPixelsError):
        read_photograph(png_header(*size))


def test_decoding_leaves_pillow_as_it_was() -> None:
    before = (Image.MAX_IMAGE_PIXELS, TiffImagePlugin.READ_LIBTIFF)
    read_photograph(encode(photograph()))
    assert before == (Image.MAX_IMAGE_PIXELS, TiffImagePlugin.READ_LIBTIFF)


def test_the_test_pictures_are_what_they_say() -> None:
    assert Image.open(BytesIO(grey_mask())).mode == "L"
