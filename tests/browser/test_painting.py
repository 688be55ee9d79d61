"""The page in Chromium: painting an object, and masks from files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Browser, Page, expect

import pages
from model.images.masks import read_mask
from model.images.opening import open_upright
from pages import (
    IN_CHROMIUM,
    STROKE,
    both_sizes,
    downloaded,
    give_queries,
    give_support,
    mask_in,
    mask_of_api,
    open_page,
    paint,
    segment,
    shown_mask,
)
from pictures import encode, file, grey_mask, object_mask, photograph
from test_masks import AMBIGUOUS, READ, SIDE, as_file

pytestmark = IN_CHROMIUM


def load_mask(page: Page, path: Path, content: bytes) -> None:
    """Choose a mask file, and wait until the service has read it."""
    path.write_bytes(content)
    with page.expect_response("**/mask"):
        page.set_input_files("#mask-file", path)


def share_of(mask: np.ndarray) -> str:
    """As the page says it, of the header's four digits."""
    return f"{100 * round(float(mask.mean()), 4):.1f} % of the picture"


@both_sizes
def test_what_is_painted_and_shown_is_what_the_api_gets_and_gives(
    page: Page, desk: Path, address: str
) -> None:
    give_support(page, desk / "support.png")
    touch = page.evaluate("navigator.maxTouchPoints > 0")
    (pages.paint_by_touch if touch else paint)(page, STROKE)
    assert 1 < pages.painted(page) < 60
    mask = downloaded(page, "#mask-save")
    assert mask_in(mask).shape == (240, 320)
    assert mask_in(mask).mean() * 100 == pytest.approx(pages.painted(page), abs=0.5)
    give_queries(page, desk / "query.png")
    segment(page)
    parts = [
        file("support_image", (desk / "support.png").read_bytes()),
        file("support_mask", mask),
        file("query_image", (desk / "query.png").read_bytes()),
    ]
    expected = mask_of_api(address, parts)
    shown = shown_mask(page)
    assert 0.05 < expected.mean() < 0.95
    assert shown.shape == expected.shape
    assert (shown == expected).mean() > 0.999


def test_a_mask_lies_where_it_is_painted(page: Page, desk: Path) -> None:
    give_support(page, desk / "support.png")
    paint(page, [(0.5, 0.5), (0.5, 0.5)])
    mask = mask_in(downloaded(page, "#mask-save"))
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((119.5, 159.5), abs=2)


def test_undo_redo_eraser_and_clear(page: Page, desk: Path) -> None:
    give_support(page, desk / "support.png")
    assert page.is_disabled("#undo")
    paint(page, STROKE)
    one = pages.painted(page)
    paint(page, [(0.4, 0.7), (0.6, 0.7)])
    two = pages.painted(page)
    assert two > one
    page.click("#undo")
    assert pages.painted(page) == one
    page.click("#redo")
    assert pages.painted(page) == two
    page.click("[data-tool=eraser]")
    paint(page, [(0.4, 0.7), (0.6, 0.7)])
    assert pages.painted(page) < two
    page.keyboard.press("Control+z")
    assert pages.painted(page) == two
    page.click("#clear")
    assert pages.painted(page) == 0
    page.click("#undo")
    assert pages.painted(page) == two


def test_two_fingers_zoom_and_paint_nothing(browser: Browser, address: str, desk: Path) -> None:
    page = open_page(browser, address, "phone")
    give_support(page, desk / "support.png")
    before = page.locator("#stage").screenshot()
    session = page.context.new_cdp_session(page)
    a, b = pages.on_stage(page, [(0.45, 0.5), (0.55, 0.5)])
    for kind, spread in [("touchStart", 0), ("touchMove", 20), ("touchMove", 60), ("touchEnd", 0)]:
        points = [{"x": a[0] - spread, "y": a[1]}, {"x": b[0] + spread, "y": b[1]}]
        points = [] if kind == "touchEnd" else points
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert pages.painted(page) == 0
    assert page.locator("#stage").screenshot() != before
    page.context.close()


def test_a_mask_of_a_turned_photograph_is_upright(page: Page, desk: Path, address: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = desk / "turned.jpg"
    turned.write_bytes(encode(photograph(240, 320), "JPEG", exif=exif))
    give_support(page, turned)
    paint(page, STROKE)
    assert mask_in(downloaded(page, "#mask-save")).shape == (320, 240)
    give_queries(page, turned)
    segment(page)
    assert shown_mask(page).shape == (320, 240)


def test_the_mask_of_a_big_photograph_has_its_size(page: Page, desk: Path) -> None:
    big = desk / "big.jpg"
    big.write_bytes(encode(photograph(3000, 4000), "JPEG"))
    give_support(page, big)
    paint(page, STROKE)
    mask = mask_in(downloaded(page, "#mask-save"))
    assert mask.shape == (3000, 4000)
    assert mask.mean() * 100 == pytest.approx(pages.painted(page), abs=0.5)


def test_a_mask_file_is_taken_as_it_is_and_one_of_another_size_is_refused(
    page: Page, desk: Path
) -> None:
    (desk / "mask.png").write_bytes(grey_mask(object_mask(240, 320)))
    (desk / "small.png").write_bytes(grey_mask())
    give_support(page, desk / "support.png")
    page.set_input_files("#mask-file", desk / "small.png")
    expect(page.locator("#show > .notice")).to_contain_text(
        "small.png is 64x48, its photograph is 320x240"
    )
    page.set_input_files("#mask-file", desk / "mask.png")
    expect(page.locator("#painted-share")).to_contain_text("% of support.png")
    expect(page.locator("#show > .notice")).to_be_hidden()
    assert (mask_in(downloaded(page, "#mask-save")) == object_mask(240, 320)).all()


def test_a_mask_file_is_read_as_the_service_reads_it(page: Page, desk: Path) -> None:
    (desk / "square.png").write_bytes(encode(photograph(SIDE, SIDE)))
    give_support(page, desk / "square.png")
    for name, (draw, reading, mask) in READ.items():
        load_mask(page, desk / f"{name}.png", as_file(draw()))
        expect(page.locator("#mask-name")).to_have_text(f"{name}.png")
        expect(page.locator("#mask-format")).to_have_value(reading)
        expect(page.locator("#mask-share")).to_have_text(share_of(mask))
        assert (mask_in(downloaded(page, "#mask-save")) == mask).all(), name


def test_a_mask_of_two_readings_is_read_as_chosen(page: Page, desk: Path) -> None:
    (desk / "square.png").write_bytes(encode(photograph(SIDE, SIDE)))
    give_support(page, desk / "square.png")
    for name, (draw, formats) in AMBIGUOUS.items():
        load_mask(page, desk / f"{name}.png", as_file(draw()))
        notice = page.locator("#show > .notice")
        expect(notice).to_contain_text(f"{name}.png")
        expect(notice).to_contain_text("Choose below what is object in it.")
        expect(page.locator("#mask-format")).to_have_value("auto")
        assert not page.inner_text("#mask-share")
        for chosen in formats:
            page.select_option("#mask-format", chosen)
            mask = read_mask(open_upright(as_file(draw())), chosen).mask
            expect(page.locator("#mask-share")).to_have_text(share_of(mask))
            expect(notice).to_be_hidden()
            assert (mask_in(downloaded(page, "#mask-save")) == mask).all(), name


def test_a_reading_that_the_file_has_not_is_said_and_the_last_one_stays(
    page: Page, desk: Path
) -> None:
    give_support(page, desk / "support.png")
    load_mask(page, desk / "mask.png", grey_mask(object_mask(240, 320)))
    expect(page.locator("#mask-format")).to_have_value("light")
    page.select_option("#mask-format", "alpha")
    expect(page.locator("#show > .notice")).to_have_text(
        "mask.png has no alpha channel; choose light, on_white or labels."
    )
    expect(page.locator("#mask-format")).to_have_value("light")
    assert (mask_in(downloaded(page, "#mask-save")) == object_mask(240, 320)).all()
