"""Masks that an older release stored, and this one reads in another way, mean what they did."""

from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from pictures import encode, file, grey_mask, object_mask, photograph
from service.library.records import NewPair

QUERY = file("query_image", encode(photograph(37, 51, seed=1)))
LIGHT = object_mask()
MARKED = np.pad(LIGHT, 4)[: LIGHT.shape[0], : LIGHT.shape[1]] | LIGHT
"""The object, and an area beside it that only some readings take."""


def grey_steps() -> bytes:
    """Light on dark, or class numbers 100 and 200."""
    return encode(np.where(LIGHT, 200, np.where(MARKED, 100, 0)).astype(np.uint8))


def white_first() -> bytes:
    """A palette whose index 0 is white: older releases took every other index for the object."""
    image = Image.fromarray((~LIGHT).astype(np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    return encode(image)


def stored(client: TestClient, mask: bytes, area: int, name: str = "Mugs") -> str:
    """A set as it lies in the database of an older release."""
    pair = NewPair(encode(photograph(seed=3)), mask, b"thumbnail", 64, 48, area)
    runtime = client.app.state.runtime  # type: ignore[attr-defined]
    set_id: str = runtime.library.create(name, None, [pair]).id
    return set_id


def found(client: TestClient, set_id: str) -> bytes:
    reply = client.post(f"/segment?support_set={set_id}&output=probability", files=[QUERY])
    assert reply.status_code == 200, reply.text
    return reply.content


@pytest.mark.parametrize(
    ("mask", "meant"),
    [
        (grey_steps(), LIGHT),
        (grey_steps(), MARKED),
        (white_first(), ~LIGHT),
        (white_first(), LIGHT),
    ],
    ids=["light", "labels", "by index", "by colour"],
)
def test_a_stored_mask_means_what_it_meant_when_it_was_stored(
    client: TestClient, mask: bytes, meant: NDArray[np.bool_]
) -> None:
    old = stored(client, mask, int(meant.sum()), "old")
    plain = stored(client, grey_mask(meant), int(meant.sum()), "plain")
    assert found(client, old) == found(client, plain)


def test_another_photograph_leaves_the_stored_mask_as_it_was_read(client: TestClient) -> None:
    set_id = stored(client, grey_steps(), int(MARKED.sum()))
    pair = client.get(f"/supports/{set_id}").json()["pairs"][0]["id"]
    image = file("support_image", encode(photograph(seed=5)))
    reply = client.put(f"/supports/{set_id}/pairs/{pair}", files=[image])
    assert reply.status_code == 200, reply.text
    assert reply.json()["pairs"][0]["area"] == int(MARKED.sum())


def test_an_export_holds_the_mask_as_it_was_read(client: TestClient) -> None:
    exported = client.get(f"/supports/{stored(client, grey_steps(), int(MARKED.sum()))}/export")
    with ZipFile(BytesIO(exported.content)) as archive:
        assert archive.namelist() == ["001.png", "001.mask.png", "set.json"]
    files = [file("archive", exported.content, "application/zip")]
    again = client.post("/supports/import?name=again", files=files)
    assert again.status_code == 201, again.text
    assert again.json()["pairs"][0]["area"] == int(MARKED.sum())


def test_a_mask_that_no_reading_gives_any_more_is_told_with_the_fix(client: TestClient) -> None:
    set_id = stored(client, grey_mask(), 7)
    reply = client.post(f"/segment?support_set={set_id}", files=[QUERY])
    problem = reply.json()
    assert (reply.status_code, problem["code"]) == (422, "ambiguous_mask")
    assert "7 object pixels when it was stored" in problem["detail"]
    assert "PUT /supports" in problem["detail"]
    assert client.get(f"/supports/{set_id}/export").status_code == 200
