"""The page in Chromium for everybody: by keyboard alone, and under axe."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import pages
from pages import (
    IN_CHROMIUM,
    SIZES,
    give_queries,
    open_page,
    ready,
    reopen,
    saved,
    segment,
)

pytestmark = IN_CHROMIUM


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    pages.press_until(page, '[data-examples="shots"] .pick')
    page.keyboard.press("Enter")
    expect(page.locator("#painted-share")).to_contain_text("astronaut.jpg is painted")
    before = pages.painted(page)
    pages.press_until(page, "#stage")
    for key in [*["Shift+ArrowRight"] * 5, "]", "Space", "ArrowRight", "ArrowUp", "Space"]:
        page.keyboard.press(key)
    assert pages.painted(page) != before
    page.keyboard.press("Control+z")
    assert pages.painted(page) == before
    pages.press_until(page, '[data-examples="queries"] .pick')
    page.keyboard.press("Enter")
    expect(page.locator("#query-list li")).to_have_count(1)
    pages.press_until(page, "#run")
    page.keyboard.press("Enter")
    expect(page.locator(".card .found")).to_contain_text("score")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_serious_and_nothing_runs_over_the_edge(
    browser: Browser, address: str, desk: Path, size: str, theme: Any
) -> None:
    page = open_page(browser, address, size, color_scheme=theme, reduced_motion="reduce")
    assert pages.serious_findings(Axe().run(page)) == []
    ready(page, desk)
    give_queries(page, desk / "broken.jpg")
    segment(page)
    assert pages.serious_findings(Axe().run(page)) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    name = f"found by axe, {size}, {theme}, under a name that is as long as names are"
    page.fill("#save-name", name)
    page.click("#save button")
    saved(page, name).locator(".pick").click()
    assert pages.serious_findings(Axe().run(page)) == []
    reopen(page, 1)
    assert pages.serious_findings(Axe().run(page)) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.context.close()
