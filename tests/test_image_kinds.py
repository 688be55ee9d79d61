"""AVIF, HEIC and JPEG 2000 are read as the older kinds are; what is no image is named."""

import base64
import gzip
import struct
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from model.errors import BrokenImageError, ImageTooLargeError, NotAnImageError
from model.images import opening
from model.images.kinds import kind_of
from model.images.masks import read_mask
from model.images.opening import open_upright, reads_heic
from model.images.pixels import photograph_pixels
from model.images.structure import MAX_ITEMS, is_modest
from pictures import encode, file, grey_mask, object_mask, photograph
from service.errors import UnsupportedMediaTypeError
from service.images.codec import Part, decode_photograph
from test_tiff import BLACK_IS_ZERO, deep, tiff

ORIENTATION = 0x0112
# Nearly or wholly without loss.
OPTIONS: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444},
    "JPEG2000": {},
}
each_kind = pytest.mark.parametrize("kind", OPTIONS)
PNG = encode(photograph())


@pytest.fixture(autouse=True)
def _with_heic() -> None:
    assert reads_heic()


def written(image: Any, kind: str, **options: Any) -> bytes:
    return encode(image, kind, **OPTIONS[kind], **options)


@each_kind
def test_a_photograph_is_read(kind: str) -> None:
    pixels = photograph_pixels(open_upright(written(photograph(), kind)))
    assert_allclose(pixels, photograph(), atol=4)


@each_kind
def test_a_mask_is_read(kind: str) -> None:
    grey = object_mask().astype(np.uint8) * np.uint8(255)
    assert_array_equal(read_mask(open_upright(written(grey, kind))).mask, object_mask())


@each_kind
def test_alpha_is_read(kind: str) -> None:
    cut_out = np.dstack([photograph(), object_mask().astype(np.uint8) * np.uint8(255)])
    reading = read_mask(open_upright(written(cut_out, kind)))
    assert reading.name == "alpha"
    assert_array_equal(reading.mask, object_mask())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_a_turned_photograph_is_upright_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(photograph())
    image.info["exif"] = exif.tobytes()  # from which HEIC's own turn is made, as phones write it
    options = {"exif": exif} if kind == "AVIF" else {}
    upright = photograph_pixels(open_upright(encode(photograph(), "PNG", exif=exif)))
    pixels = photograph_pixels(open_upright(written(image, kind, **options)))
    assert_allclose(pixels, upright, atol=4)


def test_sixteen_bits_of_jpeg_2000_are_scaled() -> None:
    pixels = photograph_pixels(open_upright(written(deep(photograph()[:, :, 0]), "JPEG2000")))
    assert_array_equal(pixels[:, :, 0], photograph()[:, :, 0])


@each_kind
def test_pixels_are_counted_from_the_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(photograph(), kind)
    Image.init()
    monkeypatch.setattr(Image.OPEN[kind][0], "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(ImageTooLargeError, match="64x48 pixels, the limit is 1000"):
        open_upright(content, max_pixels=1000)


@each_kind
def test_a_cut_file_is_refused(kind: str) -> None:
    content = written(photograph(200, 300), kind)
    with pytest.raises((BrokenImageError, NotAnImageError)):
        open_upright(content[: len(content) // 2])


@each_kind
def test_decoding_takes_a_process_that_can_be_ended(kind: str) -> None:
    assert not is_modest(written(photograph(), kind))


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_a_file_of_too_many_items_is_refused_before_it_is_decoded(kind: str) -> None:
    content = bytearray(written(photograph(), kind))
    place = content.index(b"iinf") + 8
    struct.pack_into(">H", content, place, MAX_ITEMS + 1)
    with pytest.raises(BrokenImageError, match=f"{MAX_ITEMS + 1} items, more than a picture needs"):
        open_upright(bytes(content))


def test_heic_without_the_extra_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "reads_heic", lambda: False)
    part = Part("query_image", written(photograph(), "HEIF"), "image/heic")
    words = r"^query_image is HEIC, .* install sg-one-service\[heic\]"
    with pytest.raises(UnsupportedMediaTypeError, match=words):
        decode_photograph(part, 1_000_000)


@pytest.mark.parametrize(
    ("kind", "name"), [("AVIF", "avif"), ("HEIF", "heic"), ("JPEG2000", "jp2")]
)
def test_the_service_takes_it_in_its_decoders_and_gives_it_back_with_its_type(
    client: Any, kind: str, name: str
) -> None:
    content = written(photograph(), kind)
    parts = [file("support_image", content, f"image/{name}"), file("support_mask", grey_mask())]
    stored = client.post("/supports", files=parts, data={"name": kind})
    assert stored.status_code == 201, stored.text
    path = f"/supports/{stored.json()['id']}/pairs/{stored.json()['pairs'][0]['id']}/image"
    reply = client.get(path)
    assert reply.content == content
    assert reply.headers["content-type"] == f"image/{name}"


def test_kinds_of_one_brand_are_told_apart_by_the_others() -> None:
    head = b"\0\0\0\x1cftypmif1\0\0\0\0"
    for brands, name in ((b"mif1avif", "AVIF"), (b"mif1heic", "HEIC"), (b"mif1miaf", "HEIC")):
        found = kind_of(head + brands + b"\0" * 40)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encode(photograph(), "GIF"), "is a GIF; send JPEG"),
        (encode(photograph(), "PDF"), "is a PDF; send JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is SVG or XML; send JPEG"),
        (b"\n <!doctype html><p>hello", "is HTML or XML; send JPEG"),
        (b'{"image": "aGVsbG8="}', "is JSON; send JPEG"),
        (gzip.compress(PNG), "is compressed with gzip; send JPEG"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "is a video; send JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer; send the file"),
        (base64.b64encode(PNG), "is base64 text; send the bytes themselves"),
        (base64.encodebytes(encode(photograph(), "JPEG")), "is base64 text; send the bytes"),
        (b"data:image/png;base64," + base64.b64encode(PNG), "is a data: URL; send the bytes"),
        (b"no picture and no base64", "is not an image of an accepted type"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_what_is_no_image_is_called_by_its_name(content: bytes, words: str) -> None:
    with pytest.raises(NotAnImageError, match=words):
        open_upright(content)


@pytest.mark.parametrize(
    ("samples", "photometric", "words"),
    [
        (photograph().astype(np.float32), 2, "3 channels of 32 bits"),
        (np.zeros((4, 5, 5), np.uint16), BLACK_IS_ZERO, "5 channels of 16 bits"),
    ],
)
def test_a_rare_tiff_is_told_by_its_channels(samples: Any, photometric: int, words: str) -> None:
    with pytest.raises(BrokenImageError, match=f"is a TIFF of {words}, .* save it as 8 or 16 bits"):
        open_upright(tiff(samples, photometric=photometric))
