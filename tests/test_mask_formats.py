"""``mask_format`` on every endpoint that takes masks; how a mask was read, in a header."""

from io import BytesIO

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from pictures import encode, file, grey_mask, object_mask, photograph

OBJECT = object_mask()
INNER = np.zeros_like(OBJECT)
INNER[10:18, 22:34] = True
ENDPOINTS = {
    "/segment": {},
    "/segment/kshot": {},
    "/segment/multiclass": {"support_label": "cup"},
    "/segment/batch": {},
    "/supports": {"name": "cups"},
}


def label_map() -> bytes:
    """15 on the object, and void: it could be light on dark as well."""
    values = np.zeros(OBJECT.shape, np.uint8)
    values[OBJECT], values[INNER] = 255, 15
    return encode(values)


def ask(client, path: str, mask: bytes, **options: str):
    parts = [file("support_image", encode(photograph())), file("support_mask", mask)]
    if path.startswith("/segment"):
        parts.append(file("query_image", encode(photograph(37, 51, seed=1))))
    return client.post(path, data=ENDPOINTS.get(path, {}) | options, files=parts)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_mask_of_two_readings_is_refused_and_told_how_to_say_which(client, path: str) -> None:
    reply = ask(client, path, label_map())
    assert (reply.status_code, reply.json()["code"]) == (422, "ambiguous_mask")
    assert reply.json()["field"].startswith("support_mask")
    assert "mask_format=light or mask_format=labels" in reply.json()["detail"]


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("mask_format", ["light", "labels"])
def test_what_is_meant_is_read_and_told(client, path: str, mask_format: str) -> None:
    reply = ask(client, path, label_map(), mask_format=mask_format)
    share = {"light": OBJECT & ~INNER, "labels": INNER}[mask_format].mean()
    assert reply.is_success
    assert reply.headers["X-Mask-Reading"] == f"{mask_format}; share={share:.4f}"


def test_an_unknown_format_is_refused_with_those_that_there_are(client) -> None:
    reply = ask(client, "/supports", grey_mask(), mask_format="dark")
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_option")
    assert "light, on_white, labels, alpha or visible" in reply.json()["detail"]


def test_a_format_that_the_file_has_not_is_refused(client) -> None:
    reply = ask(client, "/segment", grey_mask(), mask_format="alpha")
    assert (reply.status_code, reply.json()["field"]) == (422, "mask_format")


def test_the_readings_of_several_masks_come_in_their_order(client) -> None:
    parts = []
    for mask in (grey_mask(), encode(OBJECT.astype(np.uint8) * np.uint8(15))):
        parts += [file("support_image", encode(photograph())), file("support_mask", mask)]
    parts.append(file("query_image", encode(photograph())))
    reply = client.post("/segment/kshot", files=parts)
    share = f"share={OBJECT.mean():.4f}"
    assert reply.headers["X-Mask-Reading"] == f"light; {share}, labels; {share}"


def test_the_same_file_read_in_another_way_is_another_support(client) -> None:
    first, second = (
        ask(client, "/segment", label_map(), mask_format=name, output="probability").content
        for name in ("light", "labels")
    )
    assert first != second


def test_a_kept_support_still_tells_how_its_mask_was_read(client) -> None:
    first, second = (ask(client, "/segment", grey_mask()) for _ in range(2))
    assert first.headers["X-Mask-Reading"] == second.headers["X-Mask-Reading"]


def test_a_mask_is_stored_as_it_was_read(client) -> None:
    stored = ask(client, "/supports", label_map(), mask_format="labels").json()
    pair = stored["pairs"][0]
    assert pair["area"] == INNER.sum()
    content = client.get(f"/supports/{stored['id']}/pairs/{pair['id']}/mask").content
    assert_array_equal(np.array(Image.open(BytesIO(content))), INNER * 255)


def test_pairs_are_added_by_their_format(client) -> None:
    stored = ask(client, "/supports", grey_mask()).json()
    path = f"/supports/{stored['id']}/pairs"
    assert ask(client, path, label_map()).status_code == 422
    added = ask(client, path, label_map(), mask_format="labels").json()
    assert added["pairs"][1]["area"] == INNER.sum()


def test_a_plain_mask_is_stored_as_sent_and_another_as_it_was_read(client) -> None:
    labels = encode(OBJECT.astype(np.uint8) * np.uint8(15))
    for name, sent in (("light", encode(OBJECT)), ("labels", labels)):
        parts = [file("support_image", encode(photograph())), file("support_mask", sent)]
        stored = client.post("/supports", data={"name": name}, files=parts).json()
        path = f"/supports/{stored['id']}/pairs/{stored['pairs'][0]['id']}/mask"
        content = client.get(path).content
        assert (content == sent) is (name == "light")
        assert_array_equal(np.array(Image.open(BytesIO(content)).convert("L")), OBJECT * 255)


def test_a_pair_is_replaced_and_a_set_imported_with_a_mask_read_as_asked(client) -> None:
    stored = ask(client, "/supports", grey_mask()).json()
    mask = [file("support_mask", label_map())]
    pair = f"/supports/{stored['id']}/pairs/{stored['pairs'][0]['id']}"
    assert client.put(pair, files=mask).json()["code"] == "ambiguous_mask"
    reply = client.put(f"{pair}?mask_format=labels", files=mask)
    assert reply.headers["X-Mask-Reading"].startswith("labels; share=")
    assert reply.json()["pairs"][0]["area"] == INNER.sum()
    moved = client.get(f"/supports/{stored['id']}/export").content
    parts = [file("archive", moved)]
    again = client.post("/supports/import", files=parts, data={"name": "moved"})
    assert again.json()["pairs"][0]["area"] == INNER.sum()
    assert again.headers["X-Mask-Reading"].startswith("light; share=")
