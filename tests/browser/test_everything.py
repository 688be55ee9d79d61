"""The page in Chromium: all masks in files that other tools read."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

import pages
from pages import (
    IN_CHROMIUM,
    both_sizes,
    downloaded,
    erase,
    everything,
    give_queries,
    give_support,
    mask_in,
    paint,
    ready,
    segment,
)
from trees import IGNORE_PYCOCOTOOLS

pytestmark = [*IN_CHROMIUM, pytest.mark.filterwarnings(IGNORE_PYCOCOTOOLS)]


def named(archive: ZipFile, ending: str) -> list[str]:
    return sorted(name for name in archive.namelist() if name.endswith(ending))


@both_sizes
def test_the_corrected_mask_and_the_others_are_in_one_archive(page: Page, desk: Path) -> None:
    ready(page, desk)
    give_queries(page, desk / "other.png")
    segment(page)
    erase(page)
    masks = [
        mask_in(downloaded(page, f".card:nth-child({place}) [data-output=mask]"))
        for place in (1, 2)
    ]
    page.click("#everything-open")
    expect(page.locator("#everything-count")).to_have_text(
        "Masks of 2 photographs, 1 of them corrected."
    )
    assert pages.serious_findings(Axe().run(page)) == []
    page.keyboard.press("Escape")
    archive = everything(page, "masks", "coco", label="thing")
    other, query = named(archive, ".png")
    assert "other" in other and "query" in query
    assert_array_equal(mask_in(archive.read(query)), masks[0])
    assert_array_equal(mask_in(archive.read(other)), masks[1])
    [annotations] = named(archive, ".json")
    coco = json.loads(archive.read(annotations))
    assert [image["file_name"] for image in coco["images"]] == ["query.png", "other.png"]
    assert [category["name"] for category in coco["categories"]] == ["thing"]
    assert [annotation["area"] for annotation in coco["annotations"]] == [m.sum() for m in masks]
    expect(page.locator("#toast")).to_have_text("Masks of 2 photographs are downloaded.")


def test_every_format_of_the_menu_is_written(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    page.click("#everything-open")
    boxes = page.locator("#everything [name=format]").all()
    formats = [box.get_attribute("value") or "" for box in boxes]
    page.keyboard.press("Escape")
    sizes = [len(everything(page, name).namelist()) for name in formats]
    assert min(sizes) >= 1
    whole = everything(page, *formats)
    assert len(whole.namelist()) >= len(formats)


def test_each_connected_part_is_an_annotation_where_that_is_asked_for(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    segment(page)
    pages.open_large(page)
    page.click("#large [data-act=clear]")
    page.click("#large [data-tool=brush]")
    for x in (0.42, 0.58):
        paint(page, [(x, 0.5), (x, 0.5)], pages.LARGE)
    pages.close_large(page)
    expect(page.locator(".card .badge")).to_have_text("Corrected")
    counts = []
    for instances in (False, True):
        archive = everything(page, "coco", instances=instances)
        [name] = named(archive, ".json")
        counts.append(len(json.loads(archive.read(name))["annotations"]))
    assert counts == [1, 2]


def test_photographs_of_one_name_stay_apart(page: Page, desk: Path) -> None:
    (desk / "folder").mkdir()
    twin = desk / "folder" / "query.png"
    twin.write_bytes((desk / "other.png").read_bytes())
    ready(page, desk)
    give_queries(page, twin)
    segment(page)
    names = named(everything(page, "masks", "overlays"), ".png")
    assert len(names) == 4


def test_a_corrected_cut_out_and_json_are_of_the_correction(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    erase(page)
    mask = mask_in(downloaded(page, "[data-output=mask]"))
    with Image.open(BytesIO(downloaded(page, "[data-output=cutout]"))) as cutout:
        alpha = np.array(cutout)[..., 3]
    assert ((alpha > 127) == mask).mean() > 0.98
    record = json.loads(downloaded(page, "[data-output=json]"))
    assert [annotation["area"] for annotation in record["annotations"]] == [mask.sum()]


def test_what_the_service_says_is_said_in_the_dialog(page: Page, desk: Path) -> None:
    def refuse(route: Any) -> None:
        problem = {"code": "queue_full", "detail": "32 requests are waiting; try again"}
        route.fulfill(status=429, content_type="application/problem+json", body=json.dumps(problem))

    give_support(page, desk / "support.png")
    paint(page, pages.STROKE)
    give_queries(page, desk / "query.png")
    segment(page)
    page.route("**/annotations", refuse)
    page.click("#everything-open")
    page.click("#everything-go")
    expect(page.locator("#everything .notice")).to_have_text("32 requests are waiting; try again.")
    expect(page.locator("#everything-go")).to_be_enabled()
    page.uncheck("#everything [value=masks]")
    expect(page.locator("#everything-go")).to_be_disabled()
