"""service.client against the real app, and against a small server that misbehaves on demand."""

import asyncio
import inspect
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from pycocotools import mask as coco

from model.images.masks import read_mask
from model.images.pixels import photograph_pixels
from pictures import encode, grey_mask, object_mask, photograph
from service import client as client_module
from service.client import (
    AsyncSegmentationClient,
    ProblemError,
    SegmentationClient,
    ServiceUnreachableError,
    UnavailableError,
    UnexpectedReplyError,
    decode_rle,
)
from service.options import FORMATS
from serving import served_checkpoint

QUERY = photograph(37, 51, seed=1)
SUPPORTS = [(photograph(), object_mask())]


@pytest.fixture(scope="module")
def url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real app over real HTTP, with a database of its own."""
    with served_checkpoint(checkpoint, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[SegmentationClient]:
    with SegmentationClient(url) as client:
        yield client


# What may be sent


def test_arrays_paths_bytes_and_images_give_the_same_mask(
    client: SegmentationClient, tmp_path: Path
) -> None:
    image, mask = tmp_path / "support.png", tmp_path / "support.mask.png"
    image.write_bytes(encode(photograph()))
    mask.write_bytes(grey_mask())
    expected = client.segment(QUERY, SUPPORTS)
    assert 0 < expected.sum() < expected.size
    for pair in [
        (image, mask),
        (str(image), str(mask)),
        (image.read_bytes(), mask.read_bytes()),
        (Image.open(image), Image.open(mask)),
        (photograph(), object_mask().astype(np.uint8)),
        (photograph(), object_mask().astype(np.uint8) * np.uint8(255)),
    ]:
        assert_array_equal(client.segment(encode(QUERY), [pair]), expected)


def test_an_image_opened_from_a_turned_file_is_sent_as_it_lies_in_memory(
    client: SegmentationClient, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    path.write_bytes(encode(QUERY, exif=exif))
    with Image.open(path) as image:
        assert client.segment(image, SUPPORTS).shape == (37, 51)
    assert client.segment(path, SUPPORTS).shape == (51, 37)


MODES = ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB"]
MODES += ["HSV", "I;16", "I;16B", "I;16L", "I", "F"]


def image_of(mode: str) -> Image.Image:
    image = Image.fromarray(QUERY)
    if mode.startswith("I;16"):
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).convert(mode)
    steps = {"La": "LA", "RGBa": "RGBA", "PA": "P", "LAB": "RGB", "I": "L", "F": "L"}
    image = image.convert(steps.get(mode, mode))
    if image.mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image.convert(mode)


def sent_parts(query: Any, supports: list[Any]) -> dict[str, bytes]:
    """The files that the client sends for these, by the names of their parts."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, content=grey_mask(), headers={"content-type": "image/png"})

    with SegmentationClient("http://service", transport=httpx.MockTransport(answer)) as client:
        client.segment(query, supports)
    (request,) = requests
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    parts = {}
    for part in request.read().split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="(\w+)"; filename', head)
        if name:
            parts[name[1].decode()] = content.removesuffix(b"\r\n")
    return parts


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_is_sent_as_the_service_reads_that_mode(mode: str) -> None:
    image = image_of(mode)
    assert image.mode == mode
    content = sent_parts(image, SUPPORTS)["query_image"]
    sent = photograph_pixels(Image.open(io.BytesIO(content))).astype(int)
    assert np.abs(sent - photograph_pixels(image)).max() <= 1


@pytest.mark.parametrize("top", [1, 255, 65535, 70000])
@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_mask_of_deep_grey_keeps_its_object(mode: str, top: int) -> None:
    values = np.where(object_mask(), top, 0).astype(np.int32 if mode == "I" else np.float32)
    content = sent_parts(QUERY, [(photograph(), Image.fromarray(values))])["support_mask"]
    assert_array_equal(read_mask(Image.open(io.BytesIO(content))).mask, object_mask())


@pytest.mark.parametrize("mode", ["CMYK", "F", "RGBA", "L", "P", "1", "I;16", "La"])
def test_images_of_every_mode_are_sent(client: SegmentationClient, mode: str) -> None:
    assert client.segment(image_of(mode), SUPPORTS).shape == (37, 51)


@pytest.mark.parametrize(
    ("query", "mask", "message"),
    [
        (QUERY[..., 0], object_mask(), r"shape \(37, 51\) and type uint8 is no photograph"),
        (QUERY / 255.0, object_mask(), "type float64 is no photograph"),
        (QUERY, object_mask().astype(np.float32), "type float32 is no mask"),
        (QUERY, object_mask()[None], r"shape \(1, 48, 64\) and type bool is no mask"),
        (QUERY, photograph()[..., 0], "uint8 of 0 and 1 or 255"),
        (3, object_mask(), "int is no picture"),
        (Image.new("RGB", (0, 5)), object_mask(), "0x5 pixels is no picture"),
        (np.zeros((5, 0, 3), np.uint8), object_mask(), "0x5 pixels is no picture"),
    ],
)
def test_what_is_no_picture_is_refused_before_it_is_sent(
    query: Any, mask: Any, message: str
) -> None:
    with (
        SegmentationClient("http://nowhere.invalid") as client,
        pytest.raises(ValueError, match=message),
    ):
        client.segment(query, [(photograph(), mask)])


def test_a_rough_mark_is_a_dict_with_numpys_numbers_or_a_json_file(
    client: SegmentationClient, tmp_path: Path
) -> None:
    corners = np.array([[16, 6], [42, 6], [42, 24], [16, 24]])
    plain = {"polygons": [corners.ravel().tolist()], "points": [[20, 30]]}
    (tmp_path / "mark.json").write_text(json.dumps(plain), encoding="utf-8")
    marks: list[Any] = [
        plain,
        {"polygons": [corners.ravel()], "points": np.float32([[20, 30]])},
        tmp_path / "mark.json",
        str(tmp_path / "mark.json"),
    ]
    masks = [client.segment(QUERY, [(photograph(), mark)]) for mark in marks]
    assert masks[0].any()
    for mask in masks[1:]:
        assert_array_equal(mask, masks[0])


def test_a_rough_mark_that_json_has_not_is_refused_before_it_is_sent(
    client: SegmentationClient,
) -> None:
    for mark in ({"points": [[1, float("nan")]]}, {"points": {1, 2}}):
        with pytest.raises((ValueError, TypeError), match=r"JSON|numbers and lists"):
            client.segment(QUERY, [(photograph(), mark)])  # type: ignore[list-item]


def test_a_rough_mark_makes_a_stored_set_and_takes_a_masks_place(
    client: SegmentationClient,
) -> None:
    stored = client.create_support_set("marked", [(photograph(), {"bbox": [10, 10, 20, 10]})])
    assert stored.pairs[0].area == 200
    again = client.replace_pair(stored.id, stored.pairs[0].id, mask={"bbox": [10, 10, 5, 5]})
    assert again.pairs[0].area == 25
    client.delete_support_set(stored.id)


def test_a_missing_file_is_named(client: SegmentationClient, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        client.segment(tmp_path / "nowhere.jpg", SUPPORTS)


# What comes back


def test_several_supports_and_their_fusion_count(client: SegmentationClient) -> None:
    supports = [(photograph(seed=seed), object_mask()) for seed in (10, 11, 12)]
    average = client.segment(QUERY, supports, refine=False)
    union = client.segment(QUERY, supports, fusion="union", refine=False)
    assert average.dtype == np.bool_
    assert (average != union).any()
    single = [client.segment(QUERY, [support], refine=False) for support in supports]
    assert (union == single[0] | single[1] | single[2]).mean() > 0.99


def test_the_probability_is_above_the_threshold_on_the_mask(client: SegmentationClient) -> None:
    probability = client.segment(QUERY, SUPPORTS, output="probability")
    assert (probability.dtype, probability.shape) == (np.float32, (37, 51))
    assert 0 <= probability.min() < probability.max() <= 1
    mask = client.segment(QUERY, SUPPORTS, threshold=0.25)
    clear = np.abs(probability - 0.25) > 1 / 65535
    assert_array_equal(mask[clear], probability[clear] > 0.25)


def test_overlay_and_cutout_are_images_of_the_querys_size(client: SegmentationClient) -> None:
    overlay = client.segment(QUERY, SUPPORTS, output="overlay")
    cutout = client.segment(QUERY, SUPPORTS, output="cutout")
    assert (overlay.mode, overlay.size) == ("RGB", (51, 37))
    assert (cutout.mode, cutout.size) == ("RGBA", (51, 37))


def test_json_describes_the_mask(client: SegmentationClient) -> None:
    found = client.segment(QUERY, SUPPORTS, output="json", label="cat", min_area=3)
    assert_array_equal(found.mask, client.segment(QUERY, SUPPORTS, min_area=3))
    assert (found.found, found.label, found.size) == (True, "cat", [37, 51])
    assert found.area == found.mask.sum()
    assert found.presence is not None and 0 < found.presence < 1
    assert found.model == client.info()["model"]
    assert found.checkpoint_sha256 == client.info()["checkpoint_sha256"]


def test_json_lists_the_parts_where_they_are_wanted(client: SegmentationClient) -> None:
    found = client.segment(QUERY, SUPPORTS, output="json", instances=True, threshold=0.4)
    assert found.instances
    assert_array_equal(sum(part.mask.astype(int) for part in found.instances), found.mask)
    assert client.segment(QUERY, SUPPORTS, output="json").instances is None


def members(archive: bytes) -> set[str]:
    with ZipFile(io.BytesIO(archive)) as found:
        return set(found.namelist())


def test_archives_hold_the_formats_that_are_asked_for(client: SegmentationClient) -> None:
    found = client.archive_batch([QUERY], SUPPORTS, format=["coco", "masks"], instances=True)
    assert members(found) == {"query-0.png", "annotations.json", "results.jsonl"}
    mask = object_mask(37, 51)
    made = client.write_annotations({"a.jpg": mask}, {"a.jpg": QUERY}, format="cutouts", label="x")
    assert members(made) == {"a.cutout.png"}
    assert members(client.write_annotations({"a.jpg": mask})) == {"annotations.json"}


def test_the_client_knows_the_services_formats() -> None:
    assert get_args(client_module.FormatName) == FORMATS


def test_nothing_found_is_a_result(client: SegmentationClient) -> None:
    found = client.segment(QUERY, SUPPORTS, output="json", min_area=10_000)
    assert (found.found, found.bbox, found.polygons, found.mask.any()) == (False, None, [], False)


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_run_lengths_are_decoded_as_pycocotools_decodes_them(density: float) -> None:
    random = np.random.default_rng(0)
    for height, width in [(1, 1), (37, 51), (700, 900)]:
        mask = random.random((height, width)) < density
        encoded = coco.encode(np.asfortranarray(mask, np.uint8))
        rle = {"size": [height, width], "counts": encoded["counts"].decode()}
        assert_array_equal(decode_rle(rle), mask)


# Stored supports


def test_a_support_set_is_kept_used_changed_and_deleted(client: SegmentationClient) -> None:
    stored = client.create_support_set("kept", SUPPORTS, label="cat")
    assert (stored.name, stored.label, stored.shots) == ("kept", "cat", 1)
    assert (stored.pairs[0].width, stored.pairs[0].area) == (64, object_mask().sum())
    assert client.get_support_set(stored.id) == stored
    grown = client.add_pairs(stored.id, [(photograph(seed=5), object_mask())])
    assert [pair.id for pair in grown.pairs][:1] == [stored.pairs[0].id]
    client.delete_pair(stored.id, grown.pairs[1].id)
    page = client.list_support_sets(limit=200)
    assert (stored in page.items, page.total) == (True, len(page.items))
    client.delete_support_set(stored.id)
    with pytest.raises(ProblemError) as caught:
        client.get_support_set(stored.id)
    assert (caught.value.status, caught.value.code) == (404, "support_set_not_found")


def test_a_stored_set_segments_as_its_supports_do(client: SegmentationClient) -> None:
    stored = client.create_support_set("used", SUPPORTS)
    assert_array_equal(
        client.segment(QUERY, support_set=stored.id), client.segment(QUERY, SUPPORTS)
    )


def test_a_stored_set_changes_its_name_its_label_and_a_half_of_a_pair(
    client: SegmentationClient,
) -> None:
    stored = client.create_support_set("changing", SUPPORTS, label="cat")
    assert client.change_support_set(stored.id, name="changed").label == "cat"
    assert client.change_support_set(stored.id, label="").label is None
    (pair,) = stored.pairs
    repainted = client.replace_pair(stored.id, pair.id, mask=~object_mask())
    assert (repainted.name, repainted.pairs[0].id) == ("changed", pair.id)
    assert repainted.pairs[0].area == 64 * 48 - pair.area
    replaced = client.replace_pair(stored.id, pair.id, photograph(seed=7))
    assert replaced.pairs[0].area == repainted.pairs[0].area
    assert_array_equal(
        client.segment(QUERY, support_set=stored.id),
        client.segment(QUERY, [(photograph(seed=7), ~object_mask())]),
    )
    for nothing in (client.change_support_set, lambda id: client.replace_pair(id, pair.id)):
        with pytest.raises(ValueError, match="there is nothing"):
            nothing(stored.id)


def test_a_stored_set_leaves_as_a_file_and_comes_back_under_another_name(
    client: SegmentationClient, tmp_path: Path
) -> None:
    stored = client.create_support_set("leaving", SUPPORTS, label="cat")
    archive = client.export_support_set(stored.id)
    with pytest.raises(ProblemError) as caught:
        client.import_support_set(archive)
    assert (caught.value.status, caught.value.code) == (409, "name_taken")
    (tmp_path / "set.zip").write_bytes(archive)
    for given, name in ((archive, "bytes"), (tmp_path / "set.zip", "path")):
        back = client.import_support_set(given, name)
        assert (back.name, back.label, back.pairs[0].area) == (name, "cat", stored.pairs[0].area)


# Several classes, several queries


def test_each_pixel_belongs_to_one_of_several_classes(client: SegmentationClient) -> None:
    stored = client.create_support_set("bird", [(photograph(seed=7), object_mask())])
    found = client.segment_multiclass(
        QUERY,
        [
            ("cat", photograph(seed=5), object_mask()),
            ("dog", photograph(seed=6), object_mask()),
            ("cat", photograph(), object_mask()),
        ],
        support_sets=[stored.id],
        threshold=0.3,
    )
    assert [(each.index, each.label) for each in found.classes] == [
        (1, "cat"),
        (2, "dog"),
        (3, "bird"),
    ]
    assert found.index_map.shape == (37, 51)
    for each in found.classes:
        assert each.area == each.mask.sum() == (found.index_map == each.index).sum()
    assert any(each.found for each in found.classes)


def test_the_overlay_of_several_classes_is_an_image(client: SegmentationClient) -> None:
    labelled = [("cat", photograph(), object_mask()), ("dog", photograph(seed=6), object_mask())]
    overlay = client.segment_multiclass(QUERY, labelled, output="overlay")
    assert (overlay.mode, overlay.size) == ("RGB", (51, 37))


def test_a_batch_gives_each_query_its_result_or_its_error(
    client: SegmentationClient, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no image")
    other = photograph(30, 40, seed=3)
    first, broken, last = client.segment_batch([QUERY, path, other], SUPPORTS, threshold=0.4)
    assert first.segmentation and last.segmentation and broken.error
    assert_array_equal(first.segmentation.mask, client.segment(QUERY, SUPPORTS, threshold=0.4))
    assert last.segmentation.mask.shape == (30, 40)
    assert (broken.index, broken.name) == (1, "broken.jpg")
    assert (broken.segmentation, broken.error.code) == (None, "undecodable_image")


def test_a_batch_that_is_refused_raises(client: SegmentationClient) -> None:
    with pytest.raises(ProblemError) as caught:
        next(client.segment_batch([QUERY], SUPPORTS, threshold=2))
    assert (caught.value.status, caught.value.field) == (422, "threshold")


# asyncio


def test_the_asynchronous_client_gives_what_the_blocking_one_does(
    url: str, client: SegmentationClient
) -> None:
    async def both() -> list[Any]:
        async with AsyncSegmentationClient(url) as client:
            return await asyncio.gather(
                client.segment(QUERY, SUPPORTS), client.segment(QUERY, SUPPORTS, output="json")
            )

    mask, found = asyncio.run(both())

    async def there_and_back() -> list[Any]:
        async with AsyncSegmentationClient(url) as client:
            stored = await client.create_support_set("asynchronous", SUPPORTS)
            changed = await client.change_support_set(stored.id, name="changed, asynchronously")
            archive = await client.export_support_set(stored.id)
            again = await client.import_support_set(archive, "imported, asynchronously")
            return [changed.name, again.name]

    assert asyncio.run(there_and_back()) == ["changed, asynchronously", "imported, asynchronously"]
    assert_array_equal(mask, client.segment(QUERY, SUPPORTS))
    assert found == client.segment(QUERY, SUPPORTS, output="json")


def test_the_asynchronous_client_streams_a_batch(url: str) -> None:
    async def collect() -> list[Any]:
        async with AsyncSegmentationClient(url) as client:
            return [result async for result in client.segment_batch([QUERY, b"broken"], SUPPORTS)]

    found, broken = asyncio.run(collect())
    assert found.segmentation.mask.shape == (37, 51)
    assert broken.error.code == "undecodable_image"


def test_the_two_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, Any]:
        public = inspect.getmembers(kind, inspect.isfunction)
        return {name: method for name, method in public if not name.startswith("_")}

    blocking, awaited = methods(SegmentationClient), methods(AsyncSegmentationClient)
    assert blocking.keys() - awaited.keys() == {"close"}
    assert awaited.keys() - blocking.keys() == {"aclose"}
    for name in blocking.keys() & awaited.keys():
        assert (blocking[name].__name__, bool(blocking[name].__doc__)) == (name, True)
        parameters = [inspect.signature(each[name]).parameters for each in (blocking, awaited)]
        assert parameters[0].keys() == parameters[1].keys()


def test_help_shows_the_arguments_of_a_method() -> None:
    with SegmentationClient("http://nowhere.invalid") as client:
        assert list(inspect.signature(client.segment).parameters) == [
            "query",
            "supports",
            "output",
            "options",
        ]


# Errors and retries


def test_a_problem_is_raised_with_all_that_the_service_says(client: SegmentationClient) -> None:
    with pytest.raises(ProblemError, match="mask is 60x40, its image is 64x48") as caught:
        client.segment(QUERY, [*SUPPORTS, (photograph(), object_mask(40, 60))])
    problem = caught.value
    assert (problem.status, problem.code) == (422, "mask_size_mismatch")
    assert problem.field == "support_mask[1]"
    assert problem.title and problem.request_id
    assert str(problem) == problem.detail


Reply = tuple[int, dict[str, str], bytes]


class FakeService(ThreadingHTTPServer):
    """Gives its replies one after the other, the last for ever, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, *replies: Reply) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.replies = list(replies)
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    """One request of a FakeService; a reply of status 0 is a connection that breaks."""

    server: FakeService

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        self.server.paths.append(self.path)
        replies = self.server.replies
        status, headers, content = replies.pop(0) if len(replies) > 1 else replies[0]
        if not status:
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def fake(request: pytest.FixtureRequest) -> Iterator[FakeService]:
    """A FakeService with the replies that the test is parametrised with."""
    with FakeService(*request.param) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        yield service
        service.shutdown()
        thread.join()


def refusal(status: int, seconds: str | None) -> Reply:
    problem = {"code": "queue_full", "title": "The queue is full", "detail": "come again"}
    headers = {"Content-Type": "application/problem+json"}
    if seconds is not None:
        headers["Retry-After"] = seconds
    return status, headers, json.dumps({**problem, "status": status}).encode()


def found_json(mask: Any, **others: Any) -> dict[str, Any]:
    """An object as the service's JSON tells of it."""
    encoded = coco.encode(np.asfortranarray(mask, np.uint8))
    rle = {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    area = int(mask.sum())
    found = {"found": True, "score": 0.9, "area": area, "bbox": [0, 0, 1, 1], "polygons": []}
    return {"label": None, **found, "segmentation": rle, **others}


WHOLE = {"size": [37, 51], "threshold": 0.5, "model": "tiny", "checkpoint_sha256": "0"}
LEFT = np.broadcast_to(np.arange(51) < 20, (37, 51))
MULTICLASS = {
    **WHOLE,
    "classes": [
        found_json(LEFT, index=1, label="cat", colour="#800000"),
        found_json(~LEFT, index=2, label="dog", colour="#008000"),
    ],
}
BATCH = [
    {"index": 0, "name": "a", "status": "ok"} | found_json(LEFT, **WHOLE, label="a\u2028b"),
    {"index": 1, "name": "b", "status": "error"}
    | {"problem": {"code": "undecodable_image", "title": "t", "detail": "send it again"}},
]
LINES = b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in BATCH)
NDJSON = {"Content-Type": "application/x-ndjson"}

MASK: Reply = (200, {"Content-Type": "image/png"}, grey_mask(object_mask(37, 51)))


@pytest.mark.parametrize(
    "fake", [[(200, {}, json.dumps(MULTICLASS).encode())]], indirect=True, ids=["no presence"]
)
def test_a_service_that_is_older_than_presence_tells_none(fake: FakeService) -> None:
    with SegmentationClient(fake.url) as client:
        found = client.segment_multiclass(QUERY, support_sets=["a", "b"])
    assert [each.presence for each in found.classes] == [None, None]


@pytest.mark.parametrize(
    "fake", [[(200, {}, json.dumps(MULTICLASS).encode())]], indirect=True, ids=["two classes"]
)
def test_classes_are_sent_with_their_labels_and_read_into_one_map(fake: FakeService) -> None:
    labelled = [("cat", photograph(), object_mask()), ("dog", photograph(), object_mask())]
    with SegmentationClient(fake.url) as client:
        found = client.segment_multiclass(QUERY, labelled, support_sets=["a", "b"])
    assert fake.paths == ["/segment/multiclass?output=json&support_set=a&support_set=b"]
    labels = re.findall(rb'name="support_label"\r\n\r\n(.*?)\r\n', fake.bodies[0])
    assert labels == [b"cat", b"dog"]
    assert_array_equal(found.index_map, np.where(LEFT, 1, 2))


@pytest.mark.parametrize(
    "fake", [[refusal(503, "0"), (200, NDJSON, LINES)]], indirect=True, ids=["busy at first"]
)
def test_a_batch_is_read_line_by_line(fake: FakeService) -> None:
    with SegmentationClient(fake.url) as client:
        found, broken = client.segment_batch([QUERY, QUERY], support_set="a")
    assert fake.paths[1] == "/segment/batch?support_set=a"
    assert_array_equal(found.segmentation.mask, LEFT)
    assert found.segmentation.label == "a\u2028b"
    assert (broken.name, broken.error.code) == ("b", "undecodable_image")


@pytest.mark.parametrize(
    "fake",
    [[(200, {**NDJSON, "Content-Length": str(2 * len(LINES))}, LINES)]],
    indirect=True,
    ids=["half"],
)
def test_a_batch_that_breaks_off_gives_what_came_and_then_raises(fake: FakeService) -> None:
    async def collect(results: list[Any]) -> None:
        async with AsyncSegmentationClient(fake.url) as client:
            async for result in client.segment_batch([QUERY, QUERY], SUPPORTS):
                results.append(result.name)

    results: list[Any] = []
    with pytest.raises(ServiceUnreachableError):
        asyncio.run(collect(results))
    assert results == ["a", "b"]


@pytest.mark.parametrize(
    "fake", [[refusal(429, "0"), refusal(503, "0"), MASK]], indirect=True, ids=["twice"]
)
def test_a_busy_service_is_asked_again_with_the_same_body(
    fake: FakeService, tmp_path: Path
) -> None:
    path = tmp_path / "query.png"
    path.write_bytes(encode(QUERY))
    with SegmentationClient(fake.url) as client:
        assert_array_equal(client.segment(path, SUPPORTS), object_mask(37, 51))
    assert len(fake.bodies) == 3
    assert all(encode(QUERY) in body for body in fake.bodies)


@pytest.mark.parametrize("fake", [[refusal(429, "1"), MASK]], indirect=True, ids=["429"])
def test_the_asynchronous_client_asks_again_as_well(fake: FakeService) -> None:
    async def segment() -> tuple[Any, float]:
        clock = asyncio.get_running_loop().time
        start = clock()
        async with AsyncSegmentationClient(fake.url) as client:
            return await client.segment(QUERY, SUPPORTS), clock() - start

    mask, seconds = asyncio.run(segment())
    assert_array_equal(mask, object_mask(37, 51))
    assert seconds >= 1
    assert len(fake.bodies) == 2


@pytest.mark.parametrize("fake", [[refusal(429, "0")]], indirect=True, ids=["429"])
def test_retries_end(fake: FakeService) -> None:
    with (
        SegmentationClient(fake.url, retries=2) as client,
        pytest.raises(UnavailableError, match="come again"),
    ):
        client.segment(QUERY, SUPPORTS)
    assert len(fake.bodies) == 3


@pytest.mark.parametrize("fake", [[refusal(429, "9"), MASK]], indirect=True, ids=["429"])
def test_a_wait_beyond_the_timeout_is_not_begun(fake: FakeService) -> None:
    with SegmentationClient(fake.url, timeout=5) as client, pytest.raises(UnavailableError):
        client.segment(QUERY, SUPPORTS)
    assert len(fake.bodies) == 1


@pytest.mark.parametrize(
    ("fake", "error"),
    [
        pytest.param([refusal(503, None), MASK], UnavailableError, id="503 that names no time"),
        pytest.param([refusal(500, "0"), MASK], ProblemError, id="500"),
        pytest.param([(0, {}, b""), MASK], ServiceUnreachableError, id="broken connection"),
        pytest.param(
            [(502, {"Content-Type": "text/html"}, b"<h1>Bad gateway"), MASK],
            UnexpectedReplyError,
            id="a proxy's page",
        ),
        pytest.param([(200, {}, b"welcome"), MASK], UnexpectedReplyError, id="another service"),
    ],
    indirect=["fake"],
)
def test_nothing_else_is_tried_again(fake: FakeService, error: type[Exception]) -> None:
    with SegmentationClient(fake.url) as client, pytest.raises(error):
        client.segment(QUERY, SUPPORTS)
    assert len(fake.bodies) == 1


def test_a_service_that_is_not_there_is_named() -> None:
    with (
        SegmentationClient("http://127.0.0.1:9") as client,
        pytest.raises(ServiceUnreachableError, match=r"http://127\.0\.0\.1:9.* be reached"),
    ):
        client.info()


def test_a_service_that_takes_too_long_is_named() -> None:
    silent = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    late = SegmentationClient(f"http://127.0.0.1:{silent.server_port}", timeout=0.2)
    expected = pytest.raises(ServiceUnreachableError, match=r"did not answer within 0\.2 s")
    with silent, late, expected:
        late.info()


def test_arguments_for_httpx_are_passed_on(url: str) -> None:
    with (
        SegmentationClient(url, headers={"X-Request-ID": "mine"}) as client,
        pytest.raises(ProblemError) as caught,
    ):
        client.segment(b"broken", SUPPORTS)
    assert caught.value.request_id == "mine"


# Proxies of the environment, and addresses


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """No variable of a proxy but those that are given."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def given(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return given


CLIENTS = [SegmentationClient, AsyncSegmentationClient]
REFUSED = ["socks://127.0.0.1:9", "socks4://u:secret@127.0.0.1:9", "ftp://127.0.0.1:9", "proxy:1x"]


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("variable", ["all_proxy", "ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize("value", REFUSED)
def test_a_proxy_that_cannot_be_used_is_named_with_the_fix(
    environment: Callable[..., None], kind: type[Any], variable: str, value: str
) -> None:
    environment(**{variable: value})
    with pytest.raises(ServiceUnreachableError) as caught:
        kind("http://127.0.0.1:8000")
    said = str(caught.value)
    assert re.search(rf"{variable.lower()} names.*unset it.*no_proxy.*httpx\[socks\]", said)
    assert "secret" not in said


@pytest.mark.parametrize(
    "variables",
    [
        {"all_proxy": "socks://127.0.0.1:9", "no_proxy": "127.0.0.1"},
        {"ALL_PROXY": "socks://127.0.0.1:9", "NO_PROXY": "localhost,127.0.0.1"},
        {"all_proxy": "socks://127.0.0.1:9", "no_proxy": "*"},
        {"https_proxy": "socks://127.0.0.1:9"},
        {"all_proxy": ""},
    ],
)
def test_a_proxy_that_is_not_needed_does_not_matter(
    environment: Callable[..., None], url: str, variables: dict[str, str]
) -> None:
    environment(**variables)
    with SegmentationClient(url, headers={"X-Request-ID": "mine"}) as client:
        assert client.info()["model"] == "tiny"

    async def ask() -> Any:
        async with AsyncSegmentationClient(url) as client:
            return (await client.info())["model"]

    assert asyncio.run(ask()) == "tiny"


def test_a_proxy_that_is_away_is_named(environment: Callable[..., None], url: str) -> None:
    environment(http_proxy="http://127.0.0.1:9")
    with (
        SegmentationClient(url) as client,
        pytest.raises(ServiceUnreachableError, match="and the proxy that http_proxy names"),
    ):
        client.info()


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "localhost:8000", "", "http://a\nb"])
def test_what_is_no_address_is_unreachable(address: str) -> None:
    with pytest.raises(ServiceUnreachableError), SegmentationClient(address) as client:
        client.info()


# The one file


def test_a_copy_of_the_file_works_without_the_service(tmp_path: Path, url: str) -> None:
    source = Path(client_module.__file__).read_text(encoding="utf-8")
    (tmp_path / "copied.py").write_text(source, encoding="utf-8")
    program = (
        "import sys\n"
        "from copied import SegmentationClient\n"
        f"print(SegmentationClient({url!r}).info()['model'])\n"
        "assert not {'torch', 'service', 'model', 'fastapi'} & sys.modules.keys()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("tiny\n", "")
