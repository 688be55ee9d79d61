"""The page in Chromium by its keys, which it shows."""

from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

import pages
from pages import IN_CHROMIUM, STROKE, both_sizes, downloaded, mask_in, paint

pytestmark = IN_CHROMIUM


def choose(page: Page, key: str, *files: Path) -> None:
    """Press a key that opens the system's choice of files, and choose these."""
    with page.expect_file_chooser() as chooser:
        page.keyboard.press(key)
    chooser.value.set_files(files)


@both_sizes
def test_the_keys_are_shown_and_the_list_of_them_is_accessible(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert pages.serious_findings(Axe().run(page)) == []
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.click("#keys-open")
    expect(page.locator("#keys")).to_be_visible()


def test_the_whole_loop_goes_by_keys(page: Page, desk: Path) -> None:
    page.on("filechooser", lambda _: None)  # from here on the choice is not the system's
    page.locator("h1").click()
    choose(page, "a", desk / "support.png")
    expect(page.locator("#shot-list li")).to_have_count(1)
    paint(page, STROKE)
    choose(page, "o", desk / "query.png", desk / "other.png")
    expect(page.locator("#query-list li")).to_have_count(2)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_text("2 of 2 done.")
    page.keyboard.press("r")
    expect(page.locator(".card .picture").first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".card .picture").nth(1)).to_be_focused()
    with page.expect_download() as download:
        page.keyboard.press("m")
    assert download.value.suggested_filename == "other.mask.png"
    page.keyboard.press("u")
    expect(page.locator("#shot-list .name")).to_have_text(["support.png", "other.png"])
    expect(page.locator("#toast")).to_contain_text("other.png shows the object as well.")
    page.keyboard.press("t")
    expect(page.locator("#threshold")).to_be_focused()
    assert mask_in(downloaded(page, "#mask-save")).any()


def test_keys_are_letters_where_text_is_written(page: Page, desk: Path) -> None:
    pages.ready(page, desk)
    page.locator("#save-name").press_sequentially("tarot?")
    expect(page.locator("#save-name")).to_have_value("tarot?")
    expect(page.locator("#keys")).to_be_hidden()
