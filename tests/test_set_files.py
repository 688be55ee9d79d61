"""Sets as files: exported, imported elsewhere, and what strangers pack refused."""

import io
import json
import random
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import pytest
from starlette.testclient import TestClient

from databases import sqlite_url
from pictures import Parts, encode, file, grey_mask, object_mask, photograph
from service.app import create_app
from service.inference.engine import Engine
from service.settings import Settings

IMAGE, MASK = encode(photograph()), grey_mask()
NAMES = ("001.png", "001.mask.png")


def store(client: TestClient, name: str = "Mugs", **texts: str) -> Any:
    """A set of a JPEG and a PNG photograph."""
    parts: Parts = [
        file("support_image", encode(photograph(), "JPEG")),
        file("support_mask", MASK),
        file("support_image", encode(photograph(seed=1))),
        file("support_mask", encode(object_mask(), "TIFF")),
    ]
    response = client.post("/supports", files=parts, data={"name": name, **texts})
    assert response.status_code == 201, response.text
    return response.json()


def export(client: TestClient, set_id: str) -> bytes:
    response = client.get(f"/supports/{set_id}/export")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip")
    return response.content


def send(client: TestClient, content: bytes, **texts: str) -> Any:
    return client.post("/supports/import", files=[file("archive", content)], data=texts)


def manifest(**changes: Any) -> bytes:
    pair = dict(zip(("image", "mask"), NAMES, strict=True))
    described = {"format": "sgone-support-set", "version": 1, "name": "Mugs", "label": None}
    return json.dumps(described | {"pairs": [pair]} | changes).encode()


def pack(
    members: dict[str, bytes] | None = None,
    more: list[tuple[ZipInfo | str, bytes]] | None = None,
    method: int = ZIP_DEFLATED,
    **changes: Any,
) -> bytes:
    """An archive of one pair, with other contents or further members."""
    whole = {"set.json": manifest(**changes), NAMES[0]: IMAGE, NAMES[1]: MASK} | (members or {})
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", method) as archive:
        for name, content in [*whole.items(), *(more or [])]:
            archive.writestr(name, content)
    return buffer.getvalue()


def problem(client: TestClient, response: Any, status: int, code: str, field: str) -> str:
    """The detail of a reply that must be this problem; nothing may be stored."""
    body = response.json()
    assert (response.status_code, body["code"], body.get("field")) == (status, code, field), body
    assert client.get("/supports").json()["total"] == 0
    return str(body["detail"])


@contextmanager
def elsewhere(settings: Settings, engine: Engine, folder: Path, **changes: Any) -> Iterator[Any]:
    """A client of another machine's service."""
    folder.mkdir()
    changed = settings.model_copy(update={"database_url": sqlite_url(folder), **changes})
    with TestClient(create_app(changed, engine), raise_server_exceptions=False) as client:
        yield client


# There and back


def test_a_set_moves_to_another_machine_byte_for_byte(
    client: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    stored = store(client, label="mug")
    with elsewhere(settings, engine, tmp_path / "other") as other:
        response = send(other, export(client, stored["id"]))
        assert response.status_code == 201, response.text
        moved = response.json()
        assert response.headers["location"] == f"/supports/{moved['id']}"
        assert (moved["name"], moved["label"], moved["shots"]) == ("Mugs", "mug", 2)
        for old, new in zip(stored["pairs"], moved["pairs"], strict=True):
            for half in ("image", "mask"):
                before = client.get(f"/supports/{stored['id']}/pairs/{old['id']}/{half}")
                after = other.get(f"/supports/{moved['id']}/pairs/{new['id']}/{half}")
                assert before.content == after.content


def test_an_export_holds_files_that_say_what_they_are(client: TestClient) -> None:
    content = export(client, store(client, 'Tasse "ß"', label="cup")["id"])
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = ["001.jpg", "001.mask.png", "002.png", "002.mask.tif"]
        assert archive.namelist() == [*names, "set.json"]
        assert archive.read("001.mask.png") == MASK
        assert json.loads(archive.read("set.json")) == {
            "format": "sgone-support-set",
            "version": 1,
            "name": 'Tasse "ß"',
            "label": "cup",
            "pairs": [
                {"image": "001.jpg", "mask": "001.mask.png"},
                {"image": "002.png", "mask": "002.mask.tif"},
            ],
        }


@pytest.mark.parametrize(
    ("name", "plain", "full"),
    [
        ("Mugs", "Mugs", "Mugs"),
        ("../../etc/passwd", ".._.._etc_passwd", ".._.._etc_passwd"),
        ('a"; filename="b', "a_filename_b", "a_filename_b"),
        ("Käfer 茶", "K_fer__", "K%C3%A4fer_%E8%8C%B6"),
        ("x" * 200, "x" * 60, "x" * 60),
    ],
)
def test_the_file_has_a_name_that_every_system_takes(
    client: TestClient, name: str, plain: str, full: str
) -> None:
    url = f"/supports/{store(client, name)['id']}/export"
    assert client.get(url).headers["content-disposition"] == (
        f"attachment; filename=\"sgone-{plain}.zip\"; filename*=UTF-8''sgone-{full}.zip"
    )


def test_a_pair_that_goes_while_the_set_is_exported_is_left_out(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store(client)
    library = client.app.state.runtime.library  # type: ignore[attr-defined]
    read = library.pair

    def and_the_last_goes(set_id: str, pair_id: str) -> Any:
        monkeypatch.setattr(library, "pair", read)
        library.delete_pair(set_id, stored["pairs"][1]["id"])
        return read(set_id, pair_id)

    monkeypatch.setattr(library, "pair", and_the_last_goes)
    with ZipFile(io.BytesIO(export(client, stored["id"]))) as archive:
        assert len(json.loads(archive.read("set.json"))["pairs"]) == 1
        assert archive.namelist() == ["001.jpg", "001.mask.png", "set.json"]


def test_a_name_that_is_taken_is_told_and_another_may_be_given(client: TestClient) -> None:
    stored = store(client)
    content = export(client, stored["id"])
    response = send(client, content)
    assert (response.status_code, response.json()["code"]) == (409, "name_taken")
    assert client.get("/supports").json()["total"] == 1
    assert send(client, content, name=" Cups ").json()["name"] == "Cups"


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_an_archive_that_another_program_packed_is_taken(client: TestClient, method: int) -> None:
    assert send(client, pack(method=method)).status_code == 201


# What is refused

encrypted = bytearray(pack())
for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
    encrypted[encrypted.find(signature, 40) + offset] |= 1
link = ZipInfo("002.png")
link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
nested = pack()
PAIR = {"image": NAMES[0], "mask": NAMES[1]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK", "broken"),
        (pack()[:-30], "broken"),
        (pack()[:200], "broken"),
        (bytes(encrypted), "encrypted"),
        (pack(method=ZIP_BZIP2), "rare way"),
        (pack(method=ZIP_LZMA), "rare way"),
        (pack(more=[("../../evil.png", IMAGE)]), "plain file name"),
        (pack(more=[("/etc/cron.d/evil", IMAGE)]), "plain file name"),
        (pack(more=[("C:\\evil.png", IMAGE)]), "plain file name"),
        (pack(more=[("folder/", b"")]), "plain file name"),
        (pack(more=[("folder/002.png", IMAGE)]), "plain file name"),
        (pack(more=[("__MACOSX", IMAGE)]), "plain file name"),
        (pack(more=[("x" * 101, IMAGE)]), "plain file name"),
        (pack(more=[("a\nb.png", IMAGE)]), "plain file name"),
        (pack(more=[("001.PNG", IMAGE)]), "two files of one name"),
        (pack(more=[("002.png", IMAGE)]), "'002.png'"),
        (pack(more=[(link, b"/etc/passwd")]), "'002.png'"),
        (pack(more=[("inner.zip", nested)]), "'inner.zip'"),
        (pack(pairs=[PAIR, PAIR]), "once"),
        (pack(pairs=[{"image": NAMES[0], "mask": NAMES[0]}]), "once"),
        (pack(pairs=[{"image": "003.png", "mask": NAMES[1]}]), "'001.png'"),
        (pack(pairs=[]), "pairs"),
        (pack(pairs=[PAIR | {"image": 1}]), "pairs.0.image"),
        (pack(version=2), "version"),
        (pack(format="coco"), "format"),
        (pack(name=None), "name"),
        (pack(name=" "), "name"),
        (pack(owner="me"), "owner"),
        (pack({"set.json": b"{"}), "set.json"),
        (pack({"set.json": b"[" * 10_000}), "set.json"),
        (pack({"set.json": b"\xff\xfe"}), "set.json"),
        (pack({"set.json": b" " * 70_000 + manifest()}), "65536 bytes"),
    ],
)
def test_an_archive_that_is_no_export_is_refused(
    client: TestClient, content: bytes, reason: str
) -> None:
    detail = problem(client, send(client, content), 422, "invalid_archive", "archive")
    assert reason in detail
    assert "import a set as this or an older release exported it" in detail


def test_an_archive_without_set_json_is_refused(client: TestClient) -> None:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("001.png", IMAGE)
    detail = problem(client, send(client, buffer.getvalue()), 422, "invalid_archive", "archive")
    assert "no set.json" in detail


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(client: TestClient) -> None:
    content = pack(more=[(NAMES[1], grey_mask(~object_mask()))])
    detail = problem(client, send(client, content), 422, "invalid_archive", "archive")
    assert "two files of one name" in detail


@pytest.mark.parametrize("content", [b"", b"Rar!\x1a\7", IMAGE, b"\x1f\x8b", b"{}"])
def test_what_is_no_zip_archive_is_told_so(client: TestClient, content: bytes) -> None:
    problem(client, send(client, content), 415, "unsupported_media_type", "archive")


@pytest.mark.parametrize(
    ("members", "status", "code", "name"),
    [
        ({NAMES[1]: grey_mask(object_mask() & False)}, 422, "empty_mask", NAMES[1]),
        ({NAMES[1]: grey_mask(object_mask(9, 9))}, 422, "mask_size_mismatch", NAMES[1]),
        ({NAMES[0]: IMAGE[:60]}, 422, "undecodable_image", NAMES[0]),
        ({NAMES[0]: b""}, 422, "undecodable_image", NAMES[0]),
        ({NAMES[0]: nested}, 415, "unsupported_media_type", NAMES[0]),
        ({NAMES[0]: b"<svg/>"}, 415, "unsupported_media_type", NAMES[0]),
    ],
)
def test_an_image_in_the_archive_is_checked_as_any_upload_is(
    client: TestClient, members: dict[str, bytes], status: int, code: str, name: str
) -> None:
    problem(client, send(client, pack(members)), status, code, f"archive/{name}")


@pytest.mark.parametrize("changes", [{"name": "x" * 201}, {"label": "a\nb"}, {"name": "a\0b"}])
def test_texts_in_the_archive_are_checked_as_any_are(
    client: TestClient, changes: dict[str, str]
) -> None:
    (name,) = changes
    field = f"archive/set.json: {name}"
    problem(client, send(client, pack(**changes)), 422, "invalid_option", field)


# Bounds


def test_a_bomb_is_refused_by_what_it_says_it_unpacks_to(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    with elsewhere(settings, engine, tmp_path / "small", max_upload_bytes=200_000) as client:
        content = pack({NAMES[0]: bytes(300_000)})
        assert len(content) < 20_000
        detail = problem(client, send(client, content), 413, "payload_too_large", "archive")
        assert "unpacks to over 200000 bytes" in detail


def test_a_bomb_that_lies_about_its_size_is_unpacked_no_further(client: TestClient) -> None:
    content = bytearray(pack({NAMES[0]: bytes(50_000_000)}))
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = [i for i in range(len(content)) if content.startswith(signature, i)][1]
        content[at + offset : at + offset + 4] = struct.pack("<I", 1000)
    detail = problem(client, send(client, bytes(content)), 422, "invalid_archive", "archive")
    assert "broken" in detail


def test_pixels_are_counted_before_they_are_decoded(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    with elsewhere(settings, engine, tmp_path / "small", max_image_pixels=3000) as client:
        field = f"archive/{NAMES[0]}"
        problem(client, send(client, pack()), 413, "too_many_pixels", field)


def test_a_set_of_more_pairs_than_are_taken_is_told_so(
    client: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    content = export(client, store(client)["id"])
    with elsewhere(settings, engine, tmp_path / "small", max_shots=1) as other:
        problem(other, send(other, content), 422, "too_many_shots", "archive")


def test_a_hundred_thousand_members_are_counted_and_not_listed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = b"PK\1\2" + bytes(42)
    count, start = 100_000, pack()
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF,
                      count * len(entry), len(start), 0)  # fmt: skip
    opened: list[Any] = []
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda *_: opened.append(1))
    response = send(client, start + entry * count + end)
    problem(client, response, 422, "too_many_shots", "archive")
    assert opened == []


def test_a_full_queue_refuses_an_import_and_a_full_store_keeps_nothing_of_it(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    full = {"max_queue": 1, "max_stored_bytes": 100}
    with elsewhere(settings, engine, tmp_path / "small", **full) as client:
        with client.app.state.runtime.queue.admit():
            assert send(client, pack()).json()["code"] == "queue_full"
        response = send(client, pack())
        assert (response.status_code, response.json()["code"]) == (507, "storage_full")
        assert client.get("/supports").json()["total"] == 0


def test_no_damage_is_a_fault_of_the_service(client: TestClient) -> None:
    whole, chance = pack(), random.Random(0)
    for number in range(300):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if number % 3 == 0:
            del content[chance.randrange(len(content)) :]
        response = send(client, bytes(content), name=f"set {number}")
        assert response.status_code in (201, 413, 415, 422), response.text
