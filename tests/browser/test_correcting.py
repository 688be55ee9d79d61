"""The page in Chromium: a result opened large, painted on, downloaded, and used as a support."""

from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import pages
from pages import (
    IN_CHROMIUM,
    LARGE,
    STROKE,
    both_sizes,
    close_large,
    downloaded,
    erase,
    erase_in_large,
    give_queries,
    give_support,
    mask_in,
    open_large,
    open_page,
    paint,
    ready,
    save,
    segment,
    share_in_large,
    shown_mask,
)

pytestmark = IN_CHROMIUM


@both_sizes
def test_a_result_opens_large_is_painted_on_and_downloaded_as_corrected(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    segment(page)
    found = mask_in(downloaded(page, "[data-output=mask]"))
    open_large(page)
    assert share_in_large(page) == pytest.approx(100 * found.mean(), abs=0.6)
    erase_in_large(page)
    close_large(page)
    expect(page.locator(".card .found")).to_contain_text("corrected by hand")
    expect(page.locator(".card .badge")).to_have_text("Corrected")
    corrected = mask_in(downloaded(page, "[data-output=mask]"))
    assert corrected.shape == found.shape
    assert corrected.sum() < found.sum()
    assert not (corrected & ~found).any()
    assert (shown_mask(page) == corrected).mean() > 0.999


def test_undo_goes_back_to_the_networks_mask_and_redo_forward(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    found = mask_in(downloaded(page, "[data-output=mask]"))
    open_large(page)
    erase_in_large(page)
    corrected = mask_in(downloaded(page, "#large-mask"))
    page.keyboard.press("Control+z")
    expect(page.locator("#large-reset")).to_be_disabled()
    assert_array_equal(mask_in(downloaded(page, "#large-mask")), found)
    page.click("#large [data-act=redo]")
    assert_array_equal(mask_in(downloaded(page, "#large-mask")), corrected)
    page.click("#large-reset")
    expect(page.locator("#large-reset")).to_be_disabled()
    close_large(page)
    expect(page.locator(".card .badge")).to_be_hidden()
    assert_array_equal(mask_in(downloaded(page, "[data-output=mask]")), found)


def test_undo_goes_on_when_a_result_is_opened_again(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    found = mask_in(downloaded(page, "[data-output=mask]"))
    erase(page)
    open_large(page)
    page.click("#large [data-act=undo]")
    expect(page.locator("#large-reset")).to_be_disabled()
    close_large(page)
    expect(page.locator(".card .badge")).to_be_hidden()
    assert_array_equal(mask_in(downloaded(page, "[data-output=mask]")), found)


def test_a_correction_does_not_follow_the_threshold(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    erase(page)
    before = shown_mask(page)
    pages.slide(page, "#threshold", 95)
    assert_array_equal(shown_mask(page), before)


def test_the_keyboard_opens_paints_and_goes_to_the_next_result(page: Page, desk: Path) -> None:
    ready(page, desk)
    give_queries(page, desk / "other.png")
    segment(page)
    page.locator(".card .picture").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#large-name")).to_have_text("query.png")
    expect(page.locator(LARGE)).to_be_focused()
    for key in ["e", "]", "]", "Space", "Shift+ArrowRight", "Space", "n"]:
        page.keyboard.press(key)
    expect(page.locator("#large-name")).to_have_text("other.png")
    expect(page.locator("#large-after")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#large")).to_be_hidden()
    expect(page.locator(".card .badge")).to_have_text(["Corrected", ""])
    expect(page.locator(".card .picture").nth(1)).to_be_focused()


@both_sizes
def test_a_corrected_result_shows_the_object_too_and_the_rest_is_of_before(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    give_queries(page, desk / "other.png")
    segment(page)
    expect(page.locator("#stale")).to_be_hidden()
    open_large(page)
    erase_in_large(page)
    page.click("#large-use")
    expect(page.locator("#shot-list .name")).to_have_text(["support.png", "query.png"])
    painted = mask_in(downloaded(page, "#mask-save"))
    assert_array_equal(painted, mask_in(downloaded(page, "[data-output=mask]")))
    expect(page.locator(".card .badge")).to_have_text(["Corrected", "From before"])
    expect(page.locator("#stale-count")).to_contain_text("One result is from before.")
    page.click("#stale-run")
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator(".card .badge")).to_have_text(["Corrected", ""])
    assert_array_equal(painted, mask_in(downloaded(page, "[data-output=mask]")))


def test_a_result_is_of_before_while_the_object_differs_and_not_after_undo(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    segment(page)
    paint(page, [(0.4, 0.7), (0.6, 0.7)])
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("#run")).to_have_text("Run again")
    page.click("#undo")
    expect(page.locator("#stale")).to_be_hidden()


def test_a_result_is_added_to_the_saved_object_that_is_used(page: Page, desk: Path) -> None:
    save(page, desk, "growing")
    give_queries(page, desk / "query.png")
    segment(page)
    page.click(".card .use")
    expect(page.locator("#opened-news")).to_have_text("Not saved yet: 1 added.")
    page.click("#opened-save")
    expect(page.locator("#using")).to_contain_text("shown by 2 photographs")


def test_a_result_without_a_mask_is_not_used_but_says_what_to_do(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    open_large(page)
    page.click("#large [data-act=clear]")
    expect(page.locator("#large-use")).to_be_disabled()
    close_large(page)
    page.click(".card .use")
    expect(page.locator(".card .notice")).to_contain_text("Nothing is marked in query.png")
    expect(page.locator("#shot-list li")).to_have_count(1)


def test_a_photograph_that_the_browser_cannot_show_says_so(page: Page, desk: Path) -> None:
    from PIL import Image

    Image.open(desk / "query.png").save(desk / "query.tiff")
    give_support(page, desk / "support.png")
    paint(page, STROKE)
    give_queries(page, desk / "query.tiff")
    segment(page)
    page.click(".card .picture")
    expect(page.locator(".card .notice")).to_contain_text("query.tiff cannot be shown")


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "dark"), ("phone", "light")])
def test_the_large_view_fits_and_is_accessible(
    browser: Browser, address: str, desk: Path, size: str, scheme: str
) -> None:
    page = open_page(browser, address, size, color_scheme=scheme, reduced_motion="reduce")
    ready(page, desk)
    segment(page)
    open_large(page)
    assert pages.serious_findings(Axe().run(page)) == []
    dialog = page.locator("#large").bounding_box()
    stage = page.locator(LARGE).bounding_box()
    assert dialog and stage and page.viewport_size
    assert dialog["width"] <= page.viewport_size["width"]
    assert page.locator("#large").evaluate("d => d.scrollHeight <= d.clientHeight")
    assert stage["height"] > 0.4 * page.viewport_size["height"]
    page.context.close()
