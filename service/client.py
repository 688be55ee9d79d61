"""SegmentationClient and AsyncSegmentationClient: SG-One Service from Python.

This file needs httpx, NumPy and Pillow and nothing else of the service: it may be copied.

    with SegmentationClient("http://127.0.0.1:8000") as client:
        mask = client.segment("query.jpg", [("support.jpg", "support.mask.png")])

SegmentationError
├── ServiceUnreachableError    no reply: refused, broken off, too late, or no way there
├── UnexpectedReplyError       a reply that is not this service's
└── ProblemError               the service's own, with its status, code and field
    └── UnavailableError       429 or 503: the same request may pass later
"""

import asyncio
import inspect
import io
import json
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, closing, contextmanager
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

T = TypeVar("T")
P = ParamSpec("P")
Mask = NDArray[np.bool_]  # (H, W), true on the object
Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]  # arrays: (H, W, 3)
MaskPicture = str | Path | bytes | Image.Image | NDArray[np.uint8] | Mask  # arrays: (H, W)
Supports = Iterable[tuple[Picture, "MaskPicture | Mark"]]
LabelledSupports = Iterable[tuple[str, Picture, "MaskPicture | Mark"]]
Upload = tuple[str | None, Any]  # file name, and content as httpx sends it


class SegmentationError(Exception):
    """Anything that can go wrong between a good call and its result."""


class ServiceUnreachableError(SegmentationError):
    """No reply: no address or proxy that leads there, refused, broken off, or too late."""


class UnexpectedReplyError(SegmentationError):
    """A reply that is not this service's, such as a proxy's page."""


class ProblemError(SegmentationError):
    """The service's own error; programs decide by ``code``, ``field`` is the part at fault."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.detail: str = problem["detail"]
        super().__init__(self.detail)
        self.code: str = problem["code"]
        self.title: str = problem["title"]
        self.status: int | None = problem.get("status")
        self.field: str | None = problem.get("field")
        self.request_id: str | None = problem.get("request_id")


class UnavailableError(ProblemError):
    """The service is too busy or not ready (429, 503), and the retries are used up."""


class Rle(TypedDict):
    """COCO's compressed run lengths; ``size`` is height, width."""

    size: list[int]
    counts: str


class Stroke(TypedDict, total=False):
    """A line: its points, x and y each, and its width in pixels."""

    points: Sequence[Sequence[float]] | NDArray[Any]
    width: float


class Mark(TypedDict, total=False):
    """Where the object is, roughly, in pixels of the upright photograph; any of it may be given.

    ``bbox`` is left, top, width, height; polygons are x1, y1, x2, y2, ... each.
    """

    bbox: Sequence[float] | NDArray[Any]
    points: Sequence[Sequence[float]] | NDArray[Any]
    strokes: Sequence[Stroke]
    polygons: Sequence[Sequence[float] | NDArray[Any]]
    segmentation: Rle
    background_points: Sequence[Sequence[float]] | NDArray[Any]
    background_strokes: Sequence[Stroke]


@dataclass(frozen=True)
class Instance:
    """One connected part of a mask: ``polygon`` is its outline, x1, y1, x2, y2, ..."""

    area: int
    bbox: list[int]
    segmentation: Rle
    polygon: list[float]

    @property
    def mask(self) -> Mask:
        """(H, W) true on the part."""
        return decode_rle(self.segmentation)


@dataclass(frozen=True)
class FoundObject:
    """One object: ``area`` in pixels, ``bbox`` as x, y, width, height.

    ``presence`` in [0, 1] is whether the photograph shows it at all; None from a service older
    than that. ``score`` is the mean probability over the mask: how sure the mask is of itself.
    ``instances`` are its connected parts, where they were asked for.
    """

    label: str | None
    presence: float | None = field(default=None, kw_only=True)
    instances: list[Instance] | None = field(default=None, kw_only=True)
    found: bool
    score: float
    area: int
    bbox: list[int] | None
    segmentation: Rle
    polygons: list[list[float]]

    @property
    def mask(self) -> Mask:
        """(H, W) true on the object."""
        return decode_rle(self.segmentation)

    def detections(self) -> dict[str, NDArray[Any]]:
        """The arguments of supervision.Detections: the object, or each of its ``instances``."""
        whole: list[FoundObject | Instance] = [self] if self.found else []
        parts = whole if self.instances is None else self.instances
        boxes = np.array([part.bbox for part in parts], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        height, width = self.segmentation["size"]
        return {
            "xyxy": boxes,
            "mask": np.array([part.mask for part in parts], np.bool_).reshape(-1, height, width),
            "confidence": np.full(len(parts), self.score),
            "class_id": np.zeros(len(parts), np.intp),
        }


@dataclass(frozen=True)
class Segmentation(FoundObject):
    """The object in one query; ``size`` is height, width."""

    size: list[int]
    threshold: float
    model: str
    checkpoint_sha256: str


@dataclass(frozen=True)
class FoundClass(FoundObject):
    """One class among several; ``colour`` is its #RRGGBB in overlays."""

    index: int
    colour: str


@dataclass(frozen=True)
class MulticlassSegmentation:
    """Every class in one query; each pixel belongs to one class at most."""

    size: list[int]
    threshold: float
    classes: list[FoundClass]
    model: str
    checkpoint_sha256: str

    @property
    def index_map(self) -> NDArray[np.uint8]:
        """(H, W) each pixel's class ``index``; 0 is background."""
        indices = np.zeros(self.size, np.uint8)
        for found in self.classes:
            indices[found.mask] = found.index
        return indices


@dataclass(frozen=True)
class BatchResult:
    """One query of a batch, by its place and its file's name: segmented, or its error."""

    index: int
    name: str
    segmentation: Segmentation | None
    error: ProblemError | None


@dataclass(frozen=True)
class Model:
    """A model of the service: "loaded", "loading", "failed", or "not_loaded" until asked for.

    ``card`` is what its checkpoint says of itself; None where the file cannot be read.
    """

    name: str
    default: bool
    state: str
    memory_bytes: int | None
    card: dict[str, Any] | None


@dataclass(frozen=True)
class SupportPair:
    """A stored image with its mask; ``area`` is the object's, in pixels."""

    id: str
    width: int
    height: int
    area: int
    created: str


@dataclass(frozen=True)
class SupportSet:
    """Stored supports of one object; ``created`` is RFC 3339 in UTC."""

    id: str
    name: str
    label: str | None
    shots: int
    created: str
    pairs: list[SupportPair]


@dataclass(frozen=True)
class SupportSetPage:
    """Some of ``total`` stored sets, newest first."""

    items: list[SupportSet]
    total: int


MaskFormat = Literal["auto", "light", "on_white", "labels", "alpha", "visible"]
"""What is object in a mask: "auto" is what the file's structure says."""


class Shaping(TypedDict, total=False):
    """Options of every segmentation; what is left out is the service's default.

    ``mask_format`` says what is object in mask files that can be read in two ways. ``model`` is a
    name of ``list_models``.
    """

    model: str
    mask_format: MaskFormat
    threshold: float
    presence_threshold: float
    refine: bool
    min_area: int
    fill_holes: bool
    largest_component: bool


class Options(Shaping, total=False):
    """Options where one object is looked for: ``support_set`` is an id, ``label`` comes back.

    ``instances`` lists the connected parts of the mask, where the result is JSON.
    """

    instances: bool
    fusion: Literal["average", "union"]
    support_set: str | None
    label: str | None


class CompletionOptions(Shaping, total=False):
    """Options where a mask is completed; ``presence_threshold`` is 0 there unless it is given."""

    instances: bool
    label: str | None


class MulticlassOptions(Shaping, total=False):
    """Options where several classes are looked for."""

    instances: bool
    fusion: Literal["average", "union"]
    support_sets: Iterable[str]


def decode_rle(rle: Rle) -> Mask:
    """(H, W) of COCO's compressed run lengths, as pycocotools writes them.

    It reads them itself, so that this file needs no compiler where pycocotools has no wheel.

    Five bits a character, offset by 48, the sixth says that more follow; from the fourth run on,
    a number is the difference from the run before the last. Columns first, background first.
    """
    runs: list[int] = []
    value = shift = 0
    for character in rle["counts"].encode("ascii"):
        bits = character - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (bits & 0x10) << (shift - 4)
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    height, width = rle["size"]
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


class _LazyFile:
    """A file that is open only while it is read, so that a batch may hold thousands."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._offset = 0

    def read(self, size: int = -1) -> bytes:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read(size)
        self._offset += len(content)
        return content

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._offset = offset + (self._size if whence == io.SEEK_END else 0)
        return self._offset


def _photograph(picture: Picture, name: str) -> Upload:
    """File name and content; FileNotFoundError, or ValueError for what is no photograph."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(f"{_described(picture)} is no photograph; send (H, W, 3) uint8")
        picture = Image.fromarray(picture)
    return _upload(picture, name)


def _mask(picture: MaskPicture, name: str) -> Upload:
    """File name and content; FileNotFoundError, or ValueError for what is no mask."""
    if isinstance(picture, np.ndarray):
        levels = set(np.unique(picture).tolist()) if picture.dtype in (np.bool_, np.uint8) else {-1}
        if picture.ndim != 2 or not (levels <= {0, 1} or levels <= {0, 255}):
            raise ValueError(
                f"{_described(picture)} is no mask; send (H, W) bool, or uint8 of 0 and 1 or 255"
            )
        picture = Image.fromarray(np.where(picture, np.uint8(255), np.uint8(0)))
    return _upload(picture, name)


def _numbers(picture: MaskPicture, name: str) -> Upload:
    """As ``_mask``, of class numbers."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 2:
            raise ValueError(f"{_described(picture)} holds no class numbers; send (H, W) uint8")
        picture = Image.fromarray(picture)
    return _upload(picture, name)


def _shown(mask: "MaskPicture | Mark") -> tuple[str, Upload]:
    """The part of a mask, or of a rough mark: a dict, or the path of a JSON file."""
    if isinstance(mask, dict):
        content = json.dumps(mask, allow_nan=False, default=_plain).encode()
        return "support_mark", ("support.mark.json", content)
    if isinstance(mask, str | Path) and Path(mask).suffix.lower() == ".json":
        return "support_mark", _upload(mask, "support.mark")
    return "support_mask", _mask(mask, "support.mask")


def _plain(value: Any) -> Any:
    """Numbers of NumPy as JSON has them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no part of a rough mark; give numbers and lists")


def _upload(picture: str | Path | bytes | Image.Image, name: str) -> Upload:
    match picture:
        case str() | Path():
            return Path(picture).name, _LazyFile(Path(picture))
        case bytes():
            return name, picture
        case Image.Image():
            return f"{name}.png", _png(picture)
    raise ValueError(f"{type(picture).__name__} is no picture; send a path, bytes, image or array")


def _png(image: Image.Image) -> bytes:
    """The pixels as they lie in memory, without an EXIF orientation that would turn them."""
    image = _storable(image)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, exif=b"")
    return buffer.getvalue()


def _storable(image: Image.Image) -> Image.Image:
    """The image in a mode that PNG has; ValueError where it is empty."""
    if 0 in image.size:
        raise ValueError(f"an image of {image.width}x{image.height} pixels is no picture")
    if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        return image
    if image.mode in ("I", "F"):
        return _scaled(image)
    if image.mode.startswith("I;16"):  # another byte order
        return Image.fromarray(np.array(image).astype(np.uint16))
    # Pillow converts those with premultiplied or indexed alpha to nothing else.
    return image.convert({"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(image.mode, "RGB"))


def _scaled(image: Image.Image) -> Image.Image:
    """Deep grey as PNG has it: of the range 0 to 1, 255 or 65535 that holds it, else of its own."""
    values = np.nan_to_num(np.array(image, np.float64), posinf=0, neginf=0).clip(0)
    top = float(values.max())
    if image.mode == "I" and top <= 255:
        return Image.fromarray(values.astype(np.uint8))
    full = next((full for full in (1, 255, 65535) if top <= full), top)
    return Image.fromarray(np.rint(values * (65535 / full)).astype(np.uint16))


def _described(array: NDArray[Any]) -> str:
    return f"an array of shape {array.shape} and type {array.dtype}"


@dataclass(frozen=True)
class _Call(Generic[T]):
    """A request, and how its reply is read: what both clients share."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)
    files: list[tuple[str, Upload]] = field(default_factory=list)
    accept: str = "*/*"
    headers: dict[str, str] = field(default_factory=dict)

    def arguments(self, timeout: float, model: str | None) -> dict[str, Any]:
        """The keywords of httpx's build_request; ``model`` is meant where the call names none."""
        query = self.query
        if self.path.startswith(("/segment", "/info")):
            query = {"model": model, **query}
        return {
            "method": self.method,
            "url": self.path,
            "params": {name: value for name, value in query.items() if value is not None},
            "data": self.texts,
            "files": self.files or None,
            "headers": {"Accept": self.accept, **self.headers},
            "timeout": timeout,
        }

    def result(self, response: httpx.Response) -> T:
        """The reply read; raises ProblemError or UnexpectedReplyError."""
        try:
            if response.is_success:
                return self.read(response)
            raise _problem(response.status_code)(response.json())
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise UnexpectedReplyError(
                f"{response.url} answered {response.status_code}, and not as SG-One Service does; "
                "check the address and what lies between"
            ) from error


def _problem(status: int) -> type[ProblemError]:
    return UnavailableError if status in (429, 503) else ProblemError


def _image(response: httpx.Response) -> Image.Image:
    image = Image.open(io.BytesIO(response.content))
    image.load()
    return image


def _bool_mask(response: httpx.Response) -> Mask:
    return np.asarray(_image(response)) > 127


def _probability(response: httpx.Response) -> NDArray[np.float32]:
    return np.asarray(_image(response)).astype(np.float32) / np.float32(65535)


def _record(kind: Callable[..., T], record: dict[str, Any], **nested: Any) -> T:
    """A dataclass of a JSON object; what a newer service adds to it is left out."""
    names = [f.name for f in fields(kind) if f.default is MISSING or f.name in record]  # type: ignore[arg-type]
    if parts := record.get("instances"):
        nested = {"instances": [_record(Instance, part) for part in parts], **nested}
    return kind(**({name: record[name] for name in names} | nested))


def _segmentation(response: httpx.Response) -> Segmentation:
    return _record(Segmentation, response.json())


def _multiclass(response: httpx.Response) -> MulticlassSegmentation:
    reply = response.json()
    classes = [_record(FoundClass, found) for found in reply["classes"]]
    return _record(MulticlassSegmentation, reply, classes=classes)


def _content(response: httpx.Response) -> bytes:
    return response.content


def _support_set(response: httpx.Response) -> SupportSet:
    return _stored(response.json())


def _page(response: httpx.Response) -> SupportSetPage:
    page = response.json()
    return SupportSetPage([_stored(item) for item in page["items"]], page["total"])


def _stored(record: dict[str, Any]) -> SupportSet:
    pairs = [_record(SupportPair, pair) for pair in record["pairs"]]
    return _record(SupportSet, record, pairs=pairs)


def _nothing(_: httpx.Response) -> None:
    return None


# What the service does, each as a call; the two clients below offer the same by these names.


@overload
def _segment(
    query: Picture,
    supports: Supports = (),
    *,
    output: Literal["mask"] = ...,
    **options: Unpack[Options],
) -> _Call[Mask]: ...
@overload
def _segment(
    query: Picture,
    supports: Supports = (),
    *,
    output: Literal["probability"],
    **options: Unpack[Options],
) -> _Call[NDArray[np.float32]]: ...
@overload
def _segment(
    query: Picture,
    supports: Supports = (),
    *,
    output: Literal["overlay", "cutout"],
    **options: Unpack[Options],
) -> _Call[Image.Image]: ...
@overload
def _segment(
    query: Picture, supports: Supports = (), *, output: Literal["json"], **options: Unpack[Options]
) -> _Call[Segmentation]: ...
def _segment(
    query: Picture, supports: Supports = (), *, output: str = "mask", **options: Unpack[Options]
) -> _Call[Any]:
    """The object in the query, shown by ``supports`` or by the stored ``support_set``.

    mask: (H, W) bool; probability: (H, W) float32 in [0, 1]; overlay: RGB image; cutout: RGBA
    image; json: a Segmentation.
    """
    read, depth = _output(output)
    return _Call(
        "POST",
        "/segment/kshot",
        read,
        {"output": output, **depth, **options},
        files=[*_support_parts(supports), ("query_image", _photograph(query, "query"))],
    )


@overload
def _complete(
    image: Picture,
    mask: "MaskPicture | Mark",
    *,
    output: Literal["mask"] = ...,
    **options: Unpack[CompletionOptions],
) -> _Call[Mask]: ...
@overload
def _complete(
    image: Picture,
    mask: "MaskPicture | Mark",
    *,
    output: Literal["probability"],
    **options: Unpack[CompletionOptions],
) -> _Call[NDArray[np.float32]]: ...
@overload
def _complete(
    image: Picture,
    mask: "MaskPicture | Mark",
    *,
    output: Literal["overlay", "cutout"],
    **options: Unpack[CompletionOptions],
) -> _Call[Image.Image]: ...
@overload
def _complete(
    image: Picture,
    mask: "MaskPicture | Mark",
    *,
    output: Literal["json"],
    **options: Unpack[CompletionOptions],
) -> _Call[Segmentation]: ...
def _complete(
    image: Picture,
    mask: "MaskPicture | Mark",
    *,
    output: str = "mask",
    **options: Unpack[CompletionOptions],
) -> _Call[Any]:
    """The mask of what is roughly marked, by a mask or a rough mark, in the same photograph.

    What is returned for each output is as with segment.
    """
    read, depth = _output(output)
    files = [("support_image", _photograph(image, "support")), _shown(mask)]
    query = {"output": output, **depth, **options}
    return _Call("POST", "/segment/complete", read, query, files=files)


def _output(output: str) -> tuple[Callable[[httpx.Response], Any], dict[str, Any]]:
    """How a reply of one object is read, and the options that it is asked for with."""
    readers = {"mask": _bool_mask, "probability": _probability, "json": _segmentation}
    return readers.get(output, _image), {"depth": 16} if output == "probability" else {}


@overload
def _segment_multiclass(
    query: Picture,
    supports: LabelledSupports = (),
    *,
    output: Literal["json"] = ...,
    **options: Unpack[MulticlassOptions],
) -> _Call[MulticlassSegmentation]: ...
@overload
def _segment_multiclass(
    query: Picture,
    supports: LabelledSupports = (),
    *,
    output: Literal["overlay"],
    **options: Unpack[MulticlassOptions],
) -> _Call[Image.Image]: ...
def _segment_multiclass(
    query: Picture,
    supports: LabelledSupports = (),
    *,
    output: str = "json",
    **options: Unpack[MulticlassOptions],
) -> _Call[Any]:
    """Several classes in the query, each shown by supports of its label or by a stored set.

    json: a MulticlassSegmentation; overlay: RGB image.
    """
    labelled = list(supports)
    pairs = _support_parts((image, mask) for _, image, mask in labelled)
    return _Call(
        "POST",
        "/segment/multiclass",
        _image if output == "overlay" else _multiclass,
        {"output": output, "support_set": list(options.pop("support_sets", ())), **options},
        {"support_label": [label for label, _, _ in labelled]},
        [*pairs, ("query_image", _photograph(query, "query"))],
    )


def _segment_batch(
    queries: Iterable[Picture], supports: Supports = (), **options: Unpack[Options]
) -> _Call[None]:
    files = _batch_parts(queries, supports)
    accept = "application/x-ndjson"
    return _Call("POST", "/segment/batch", _nothing, {**options}, files=files, accept=accept)


def _batch_parts(queries: Iterable[Picture], supports: Supports) -> list[tuple[str, Upload]]:
    photographs = [_photograph(query, f"query-{place}") for place, query in enumerate(queries)]
    return [*_support_parts(supports), *(("query_image", each) for each in photographs)]


FormatName = Literal[
    "masks", "overlays", "cutouts", "coco", "yolo", "voc", "label_studio",
    "label_studio_polygons", "csv", "jsonl",
]  # fmt: skip
"""What masks of many photographs are written as."""


def _archive_batch(
    queries: Iterable[Picture],
    supports: Supports = (),
    *,
    format: FormatName | Iterable[FormatName],
    **options: Unpack[Options],
) -> _Call[bytes]:
    """A ZIP archive of the queries' masks in some formats, such as "coco", or ["coco", "masks"].

    Its results.jsonl has a record of each query, and says which could not be used.
    """
    files, given = _batch_parts(queries, supports), {"format": _formats(format), **options}
    return _Call("POST", "/segment/batch", _content, given, files=files, accept="application/zip")


def _write_annotations(
    masks: Mapping[str, MaskPicture],
    images: Mapping[str, Picture] | None = None,
    *,
    format: FormatName | Iterable[FormatName] = "coco",
    label: str | None = None,
    class_labels: Iterable[str] = (),
    instances: bool = False,
    mask_format: MaskFormat = "auto",
) -> _Call[bytes]:
    """A ZIP archive of masks that are there already, such as corrected ones, in some formats.

    Both are named by their photographs, such as "beach.jpg"; overlays and cutouts need the images.
    With ``class_labels`` masks hold class numbers, as ``index_map`` does: n is the n-th label's.
    """
    labels = list(class_labels)
    upload = _numbers if labels else _mask
    parts: list[tuple[str, Upload]] = [
        ("mask", (name, upload(mask, name)[1])) for name, mask in masks.items()
    ]
    parts += [
        ("image", (name, _photograph(image, name)[1])) for name, image in (images or {}).items()
    ]
    options = {"format": _formats(format), "instances": instances, **_reading(mask_format)}
    texts: dict[str, Any] = {} if label is None else {"label": label}
    if labels:
        texts["class_label"] = labels
    return _Call("POST", "/annotations", _content, options, texts, files=parts)


def _formats(format: FormatName | Iterable[FormatName]) -> str:
    return format if isinstance(format, str) else ",".join(format)


def _create_support_set(
    name: str,
    supports: Supports,
    label: str | None = None,
    *,
    mask_format: MaskFormat = "auto",
) -> _Call[SupportSet]:
    """Keep supports under a name that no other set has."""
    texts = {"name": name} if label is None else {"name": name, "label": label}
    return _Call(
        "POST",
        "/supports",
        _support_set,
        _reading(mask_format),
        texts,
        _support_parts(supports),
    )


def _reading(mask_format: MaskFormat) -> dict[str, Any]:
    """Nothing for the default, which older services know without the option."""
    return {} if mask_format == "auto" else {"mask_format": mask_format}


def _list_support_sets(limit: int = 50, offset: int = 0) -> _Call[SupportSetPage]:
    """The stored sets, newest first."""
    return _Call("GET", "/supports", _page, {"limit": limit, "offset": offset})


def _get_support_set(support_set: str) -> _Call[SupportSet]:
    """One stored set, by its id."""
    return _Call("GET", _set_path(support_set), _support_set)


def _add_pairs(
    support_set: str, supports: Supports, *, mask_format: MaskFormat = "auto"
) -> _Call[SupportSet]:
    """Further supports for a stored set; returns the whole set."""
    path = _set_path(support_set) + "/pairs"
    options = _reading(mask_format)
    return _Call("POST", path, _support_set, options, files=_support_parts(supports))


def _change_support_set(
    support_set: str, *, name: str | None = None, label: str | None = None
) -> _Call[SupportSet]:
    """Give a stored set another name or label; a blank label takes it away."""
    # As parts without file names: httpx sends a form of texts alone in another type.
    given = {"name": name, "label": label}
    parts: list[tuple[str, Upload]] = [
        (part, (None, text)) for part, text in given.items() if text is not None
    ]
    if not parts:
        raise ValueError("there is nothing to change; give a name or a label")
    return _Call("PATCH", _set_path(support_set), _support_set, files=parts)


def _replace_pair(
    support_set: str,
    pair: str,
    image: Picture | None = None,
    mask: "MaskPicture | Mark | None" = None,
    *,
    mask_format: MaskFormat = "auto",
) -> _Call[SupportSet]:
    """Put another image or mask, or both, in the place of a pair's; what is None stays."""
    parts: list[tuple[str, Upload]] = []
    if image is not None:
        parts.append(("support_image", _photograph(image, "support")))
    if mask is not None:
        parts.append(_shown(mask))
    if not parts:
        raise ValueError("there is nothing to put in the pair's place; give an image or a mask")
    path, options = _pair_path(support_set, pair), _reading(mask_format)
    return _Call("PUT", path, _support_set, options, files=parts)


def _export_support_set(support_set: str) -> _Call[bytes]:
    """A stored set as one file, a ZIP archive, for import_support_set."""
    return _Call("GET", _set_path(support_set) + "/export", _content)


def _import_support_set(
    archive: str | Path | bytes, name: str | None = None, *, mask_format: MaskFormat = "auto"
) -> _Call[SupportSet]:
    """Store an exported set, under its own name or another."""
    texts = {} if name is None else {"name": name}
    files = [("archive", _upload(archive, "set.zip"))]
    options = _reading(mask_format)
    return _Call("POST", "/supports/import", _support_set, options, texts=texts, files=files)


def _delete_support_set(support_set: str) -> _Call[None]:
    """Delete a stored set with its images."""
    return _Call("DELETE", _set_path(support_set), _nothing)


def _delete_pair(support_set: str, pair: str) -> _Call[None]:
    """Delete one support of a stored set; the last one goes with its set only."""
    return _Call("DELETE", _pair_path(support_set, pair), _nothing)


def _info(*, model: str | None = None) -> _Call[dict[str, Any]]:
    """What the service runs: model, checkpoint, device, limits and version."""
    query = {} if model is None else {"model": model}
    return _Call("GET", "/info", lambda response: dict(response.json()), query)


def _list_models() -> _Call[list[Model]]:
    """The models that the service has, for the option ``model``."""
    return _Call("GET", "/models", _models)


def _models(response: httpx.Response) -> list[Model]:
    reply = response.json()
    default = reply["default"]
    return [_record(Model, {**item, "default": item["name"] == default}) for item in reply["items"]]


def _reload_model(model: str, *, admin_key: str) -> _Call[dict[str, Any]]:
    """Let a model's file take over as it is now; ProblemError where it is not fit to."""
    path = f"/models/{quote(model, safe='')}/reload"
    headers = {"Authorization": f"Bearer {admin_key}"}
    return _Call("POST", path, lambda response: dict(response.json()), headers=headers)


def _set_path(support_set: str) -> str:
    return f"/supports/{quote(support_set, safe='')}"


def _pair_path(support_set: str, pair: str) -> str:
    return f"{_set_path(support_set)}/pairs/{quote(pair, safe='')}"


def _support_parts(supports: Supports) -> list[tuple[str, Upload]]:
    parts = []
    for image, mask in supports:
        parts.append(("support_image", _photograph(image, "support")))
        parts.append(_shown(mask))
    return parts


class _Results:
    """The results of a batch out of its stream of lines, which end anywhere in a chunk."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[BatchResult]:
        """Those that the chunk completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [_batch_result(json.loads(line)) for line in lines if line]


def _batch_result(record: dict[str, Any]) -> BatchResult:
    if record["status"] == "ok":
        found, error = _record(Segmentation, record), None
    else:
        found, error = None, ProblemError(record["problem"])
    return BatchResult(record["index"], record["name"], found, error)


class _Patience:
    """The time and the retries that are left to one call."""

    def __init__(self, timeout: float, retries: int) -> None:
        self._deadline = time.monotonic() + timeout
        self._retries = retries

    def left(self) -> float:
        """Seconds until the call's time is over."""
        return self._deadline - time.monotonic()

    def pause(self, response: httpx.Response) -> float | None:
        """Seconds to sleep before the next try; None where this reply is the last.

        Only a 429 or 503 that says when to come back is tried again: it was not worked on.
        """
        seconds = response.headers.get("Retry-After", "")
        if response.status_code not in (429, 503) or not seconds.isdecimal():
            return None
        if self._retries == 0 or float(seconds) >= self.left():
            return None
        self._retries -= 1
        return float(seconds)


AnyClient = TypeVar("AnyClient", httpx.Client, httpx.AsyncClient)
# What httpx raises for a proxy that it cannot use.
_UNUSABLE = (ImportError, ValueError, httpx.InvalidURL)


def _open(
    client: type[AnyClient], transport: type[Any], url: str, given: dict[str, Any]
) -> AnyClient:
    """A client for ``url``; ServiceUnreachableError where its proxy cannot be used.

    httpx opens every proxy that the environment names, even one that ``no_proxy`` or the address
    makes needless: where that fails, this opens the one that is needed, or none.
    """
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ServiceUnreachableError(f"{url} is no address ({error})") from error
    try:
        return client(base_url=address, **given)
    except _UNUSABLE as error:
        explicit = given.get("proxy") or given.get("transport")
        if explicit or not given.get("trust_env", True):
            raise
        reason = error
    variable, proxy = _proxy_for(address)
    if proxy is None:
        own = {"verify", "cert", "trust_env", "http1", "http2", "limits"} & given.keys()
        direct = transport(**{name: given[name] for name in own})
        return client(base_url=address, transport=direct, **given)
    try:
        return client(base_url=address, proxy=proxy, **given)
    except _UNUSABLE as error:
        reason = error
    scheme = proxy.partition("://")[0]
    raise ServiceUnreachableError(
        f"the proxy for {address.host} that {variable} names ({scheme}) cannot be used: unset it, "
        "name the host in no_proxy, or, for socks5, pip install 'httpx[socks]'"
    ) from reason


def _proxy_for(url: httpx.URL) -> tuple[str, str | None]:
    """The environment's variable for this address, and its proxy unless the host has none."""
    host = url.host if url.port is None else f"{url.host}:{url.port}"
    proxies = getproxies()
    for name in (url.scheme, "all"):
        if (proxy := proxies.get(name)) and not (proxy_bypass(url.host) or proxy_bypass(host)):
            return f"{name}_proxy", proxy if "://" in proxy else f"http://{proxy}"
    return "", None


@contextmanager
def _reaching(url: httpx.URL, timeout: float) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise ServiceUnreachableError(
            f"{url} did not answer within {timeout:g} s; give more time or smaller photographs"
        ) from error
    except httpx.RequestError as error:
        variable, _ = _proxy_for(url)
        between = f", and the proxy that {variable} names" if variable else ""
        raise ServiceUnreachableError(
            f"{url} cannot be reached: {error}; check that the service runs there{between}"
        ) from error


def _shown_as(build: Callable[..., Any], method: Callable[..., Any]) -> None:
    """Give a client's method the name, the text and the parameters of its call."""
    method.__name__ = build.__name__.lstrip("_")
    method.__doc__ = build.__doc__
    client = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = inspect.signature(build).parameters.values()
    method.__signature__ = inspect.Signature([client, *parameters])  # type: ignore[attr-defined]


def _blocking(
    build: Callable[P, _Call[T]],
) -> Callable[Concatenate["SegmentationClient", P], T]:
    def method(self: "SegmentationClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = build(*args, **kwargs)
        return call.result(self._send(call))

    _shown_as(build, method)
    return method


def _awaited(
    build: Callable[P, _Call[T]],
) -> Callable[Concatenate["AsyncSegmentationClient", P], Coroutine[Any, Any, T]]:
    async def method(self: "AsyncSegmentationClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = await asyncio.to_thread(build, *args, **kwargs)
        return await asyncio.to_thread(call.result, await self._send(call))

    _shown_as(build, method)
    return method


class SegmentationClient:
    """A blocking client, which threads may share.

    ``timeout``: seconds without a sign of the service before a call is given up, and the longest
    that its retries may add up to. ``model``: of calls that name none. ``http``: further arguments
    of httpx.Client, such as headers.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        timeout: float = 60.0,
        retries: int = 3,
        **http: Any,
    ) -> None:
        self._http = _open(httpx.Client, httpx.HTTPTransport, url, http)
        self._model = model
        self._timeout = timeout
        self._retries = retries

    segment = _blocking(_segment)
    complete = _blocking(_complete)
    segment_multiclass = _blocking(_segment_multiclass)
    archive_batch = _blocking(_archive_batch)
    write_annotations = _blocking(_write_annotations)
    create_support_set = _blocking(_create_support_set)
    list_support_sets = _blocking(_list_support_sets)
    get_support_set = _blocking(_get_support_set)
    change_support_set = _blocking(_change_support_set)
    add_pairs = _blocking(_add_pairs)
    replace_pair = _blocking(_replace_pair)
    export_support_set = _blocking(_export_support_set)
    import_support_set = _blocking(_import_support_set)
    delete_support_set = _blocking(_delete_support_set)
    delete_pair = _blocking(_delete_pair)
    info = _blocking(_info)
    list_models = _blocking(_list_models)
    reload_model = _blocking(_reload_model)

    def segment_batch(
        self,
        queries: Iterable[Picture],
        supports: Supports = (),
        **options: Unpack[Options],
    ) -> Iterator[BatchResult]:
        """Each query's result as it arrives; sent when the first is asked for."""
        call = _segment_batch(queries, supports, **options)
        with closing(self._send(call, stream=True)) as response:
            call.result(response)
            results = _Results()
            with _reaching(response.url, self._timeout):
                for chunk in response.iter_bytes():
                    yield from results.feed(chunk)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, call: _Call[Any], *, stream: bool = False) -> httpx.Response:
        patience = _Patience(self._timeout, self._retries)
        while True:
            request = self._http.build_request(**call.arguments(patience.left(), self._model))
            with _reaching(request.url, self._timeout):
                response = self._http.send(request, stream=stream)
                if not response.is_success:
                    response.read()
            pause = patience.pause(response)
            if pause is None:
                return response
            time.sleep(pause)


class AsyncSegmentationClient:
    """SegmentationClient for asyncio, with the same methods; pictures are encoded in a thread."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        timeout: float = 60.0,
        retries: int = 3,
        **http: Any,
    ) -> None:
        self._http = _open(httpx.AsyncClient, httpx.AsyncHTTPTransport, url, http)
        self._model = model
        self._timeout = timeout
        self._retries = retries

    segment = _awaited(_segment)
    complete = _awaited(_complete)
    segment_multiclass = _awaited(_segment_multiclass)
    archive_batch = _awaited(_archive_batch)
    write_annotations = _awaited(_write_annotations)
    create_support_set = _awaited(_create_support_set)
    list_support_sets = _awaited(_list_support_sets)
    get_support_set = _awaited(_get_support_set)
    change_support_set = _awaited(_change_support_set)
    add_pairs = _awaited(_add_pairs)
    replace_pair = _awaited(_replace_pair)
    export_support_set = _awaited(_export_support_set)
    import_support_set = _awaited(_import_support_set)
    delete_support_set = _awaited(_delete_support_set)
    delete_pair = _awaited(_delete_pair)
    info = _awaited(_info)
    list_models = _awaited(_list_models)
    reload_model = _awaited(_reload_model)

    async def segment_batch(
        self,
        queries: Iterable[Picture],
        supports: Supports = (),
        **options: Unpack[Options],
    ) -> AsyncIterator[BatchResult]:
        """Each query's result as it arrives; sent when the first is asked for."""
        call = await asyncio.to_thread(_segment_batch, queries, supports, **options)
        async with aclosing(await self._send(call, stream=True)) as response:
            call.result(response)
            results = _Results()
            with _reaching(response.url, self._timeout):
                async for chunk in response.aiter_bytes():
                    for result in results.feed(chunk):
                        yield result

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _send(self, call: _Call[Any], *, stream: bool = False) -> httpx.Response:
        patience = _Patience(self._timeout, self._retries)
        while True:
            request = self._http.build_request(**call.arguments(patience.left(), self._model))
            with _reaching(request.url, self._timeout):
                response = await self._http.send(request, stream=stream)
                if not response.is_success:
                    await response.aread()
            pause = patience.pause(response)
            if pause is None:
                return response
            await asyncio.sleep(pause)
