"""``POST /mask``: what of a mask file is object, by the table of examples."""

from typing import Any

import numpy as np
from numpy.testing import assert_array_equal

from pictures import encode, file, object_mask, read_mask
from test_masks import AMBIGUOUS, ASKED, READ, as_file


def ask(client: Any, image: Any, **options: str) -> Any:
    return client.post("/mask", files=[file("mask", as_file(image))], data=options)


def test_masks_are_read_as_the_table_says(client: Any) -> None:
    for name, (draw, reading, mask) in READ.items():
        reply = ask(client, draw())
        assert reply.headers["X-Mask-Reading"] == f"{reading}; share={mask.mean():.4f}", name
        assert_array_equal(read_mask(reply.content), mask * 255, name)


def test_masks_of_two_readings_are_refused_with_both(client: Any) -> None:
    for name, (draw, formats) in AMBIGUOUS.items():
        reply = ask(client, draw())
        assert (reply.status_code, reply.json()["code"]) == (422, "ambiguous_mask"), name
        assert " or ".join(f"mask_format={one}" for one in formats) in reply.json()["detail"]


def test_masks_are_read_as_asked(client: Any) -> None:
    for name, (draw, mask_format, mask) in ASKED.items():
        reply = ask(client, draw(), mask_format=mask_format)
        assert reply.headers["X-Mask-Reading"] == f"{mask_format}; share={mask.mean():.4f}", name
        assert_array_equal(read_mask(reply.content), mask * 255, name)


def test_a_mask_without_an_object_is_no_error(client: Any) -> None:
    empty = encode(np.zeros_like(object_mask(), np.uint8))
    reply = client.post("/mask", files=[file("mask", empty)])
    assert (reply.status_code, reply.headers["X-Mask-Reading"]) == (200, "light; share=0.0000")


def test_a_file_that_is_no_image_is_refused_by_its_part(client: Any) -> None:
    reply = client.post("/mask", files=[file("mask", b"no image")])
    assert (reply.status_code, reply.json()["field"]) == (422, "mask")
