"""The page in Chromium: paint roughly, have it filled in, take it back, go on."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

import pages
from pages import (
    IN_CHROMIUM,
    STROKE,
    downloaded,
    give_queries,
    give_support,
    mask_in,
    open_page,
    paint,
    painted,
    segment,
)
from pictures import encode
from service.client import SegmentationClient

PATH = "**/segment/complete"

pytestmark = IN_CHROMIUM


def fill_in(page: Page) -> None:
    """Press the button and wait for what comes of it."""
    page.click("#fill-in")
    expect(page.locator("#fill-in")).to_have_attribute("aria-busy", "false")


def test_what_is_painted_is_completed_and_undo_and_redo_go_between(
    page: Page, desk: Path, address: str
) -> None:
    give_support(page, desk / "support.png")
    expect(page.locator("#fill-in")).to_be_disabled()
    paint(page, STROKE)
    rough, before = mask_in(downloaded(page, "#mask-save")), painted(page)
    fill_in(page)
    filled = mask_in(downloaded(page, "#mask-save"))
    with SegmentationClient(address) as client:
        assert_array_equal(filled, client.complete(desk / "support.png", rough))
    assert painted(page) != before
    page.click("#undo")
    assert_array_equal(mask_in(downloaded(page, "#mask-save")), rough)
    page.click("#redo")
    assert_array_equal(mask_in(downloaded(page, "#mask-save")), filled)


def test_what_is_filled_in_is_painted_on_and_used(page: Page, desk: Path) -> None:
    give_support(page, desk / "support.png")
    paint(page, STROKE)
    page.locator("#stage").press("f")
    expect(page.locator("#status")).to_contain_text("is painted")
    filled = mask_in(downloaded(page, "#mask-save"))
    page.click("[data-tool=eraser]")
    paint(page, [(0.1, 0.5), (0.9, 0.5)])
    corrected = mask_in(downloaded(page, "#mask-save"))
    assert 0 < corrected.sum() < filled.sum()
    assert not (corrected & ~filled).any()
    give_queries(page, desk / "query.png")
    segment(page)
    expect(page.locator(".card .found")).to_contain_text("of the photograph")


def test_a_service_that_cannot_leaves_what_is_painted_and_says_why(page: Page, desk: Path) -> None:
    def refuse(route: Route) -> None:
        problem = {"code": "empty_mask", "detail": "support_mask has no object pixel; paint it"}
        route.fulfill(status=422, content_type="application/problem+json", body=json.dumps(problem))

    give_support(page, desk / "support.png")
    paint(page, STROKE)
    rough = mask_in(downloaded(page, "#mask-save"))
    page.route(PATH, refuse)
    fill_in(page)
    notice = page.locator("#show > .notice")
    expect(notice).to_have_text("What is painted in support.png has no object pixel; paint it.")
    assert_array_equal(mask_in(downloaded(page, "#mask-save")), rough)
    page.unroute(PATH)
    fill_in(page)
    expect(notice).to_be_hidden()


def test_nothing_found_leaves_what_is_painted_and_says_what_to_do(page: Page, desk: Path) -> None:
    empty = encode(np.zeros((240, 320), np.uint8))
    give_support(page, desk / "support.png")
    paint(page, STROKE)
    page.route(PATH, lambda route: route.fulfill(content_type="image/png", body=empty))
    share = painted(page)
    fill_in(page)
    expect(page.locator("#show > .notice")).to_contain_text("Paint more of the object")
    assert painted(page) == share


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_the_button_fits_and_is_accessible(
    browser: Browser, address: str, desk: Path, size: str, scheme: str
) -> None:
    page = open_page(browser, address, size, color_scheme=scheme)
    give_support(page, desk / "support.png")
    paint(page, STROKE)
    fill_in(page)
    assert page.viewport_size
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert pages.serious_findings(Axe().run(page)) == []
    page.context.close()
