"""Small photographs and masks for the tests, and the forms that send them."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Parts = list[tuple[str, tuple[str, bytes, str]]]


def photograph(height: int = 48, width: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """(H, W, 3) smooth colours: no two seeds alike, and little changed by JPEG."""
    corners = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return np.array(Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC))


def object_mask(height: int = 48, width: int = 64) -> NDArray[np.bool_]:
    """(H, W) true in one off-centre rectangle, so that any turn of it shows."""
    mask = np.zeros((height, width), np.bool_)
    mask[height // 8 : height // 2, width // 4 : width // 3 * 2] = True
    return mask


def disc() -> np.ndarray:
    """(48, 64), without the straight edges whose shares of cells lie exactly on a threshold."""
    rows, columns = np.mgrid[:48, :64]
    return (rows - 20.3) ** 2 + (columns - 29.7) ** 2 < 15.1**2


def encode(image: Image.Image | NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    """An image file."""
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey_mask(mask: NDArray[np.bool_] | None = None) -> bytes:
    """A mask file as the documents ask for it: 8-bit grey, 0 or 255."""
    mask = object_mask() if mask is None else mask
    return encode(mask.astype(np.uint8) * np.uint8(255))


def file(name: str, content: bytes, media_type: str = "application/octet-stream") -> Any:
    """One part of a form, for httpx's ``files``."""
    return (name, (f"{name}.bin", content, media_type))


def one_shot_form(seed: int = 0) -> Parts:
    """The three parts of POST /segment; the query is of another size than the support."""
    return [
        file("support_image", encode(photograph(seed=seed))),
        file("support_mask", grey_mask()),
        file("query_image", encode(photograph(37, 51, seed=1))),
    ]


def k_shot_form(shots: int) -> Parts:
    """The parts of POST /segment/kshot, each support another photograph."""
    parts: Parts = [file("query_image", encode(photograph(37, 51, seed=1)))]
    for shot in range(shots):
        parts.append(file("support_image", encode(photograph(seed=10 + shot))))
        parts.append(file("support_mask", grey_mask()))
    return parts


def read_mask(content: bytes) -> NDArray[np.uint8]:
    """The values of a PNG that must be 8-bit grey."""
    image = Image.open(BytesIO(content))
    assert (image.format, image.mode) == ("PNG", "L")
    return np.array(image)


def scope(request: Any) -> dict[str, Any]:
    """An httpx request as an ASGI server hands it on."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path,
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 8000),
    }
