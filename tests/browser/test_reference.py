"""The API's reference in Chromium."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Browser, expect

from pages import (
    IN_CHROMIUM,
)
from pictures import grey_mask, object_mask

pytestmark = IN_CHROMIUM


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_reference_shows_every_path_under_its_policy(
    browser: Browser, address: str, theme: Any
) -> None:
    page = browser.new_page(color_scheme=theme)
    faults: list[str] = []
    page.on("console", lambda line: line.type == "error" and faults.append(line.text))
    page.on(
        "request", lambda request: _is_local(request.url, address) or faults.append(request.url)
    )
    page.goto(f"{address}/docs")
    expect(page.locator("#operations-segmentation-segment")).to_be_visible()
    assert faults == []
    page.close()


@pytest.mark.parametrize("name", ["segment", "segment_kshot", "segment_batch"])
def test_the_reference_gives_a_mask_for_files_alone(
    browser: Browser, address: str, desk: Path, name: str
) -> None:
    (desk / "mask.png").write_bytes(grey_mask(object_mask(240, 320)))
    chosen = {
        "support_image": "support.png",
        "support_mask": "mask.png",
        "query_image": "query.png",
    }
    page = browser.new_page()
    page.goto(f"{address}/docs")
    block = page.locator(f"#operations-segmentation-{name}")
    block.locator(".opblock-summary").click()
    block.locator(".try-out__btn").click()
    for part, content in chosen.items():
        row = block.locator(f'[data-property-name="{part}"]')
        row.locator("input[type=file]").first.set_input_files(desk / content)
    with page.expect_response(lambda response: "/segment" in response.url) as reply:
        block.locator(".execute").click()
    assert reply.value.status == 200, reply.value.text()
    page.close()


@pytest.mark.parametrize("name", ["segment", "segment_kshot", "segment_batch"])
def test_the_reference_asks_for_photograph_mask_and_query_first(
    browser: Browser, address: str, name: str
) -> None:
    page = browser.new_page()
    page.goto(f"{address}/docs")
    block = page.locator(f"#operations-segmentation-{name}")
    block.locator(".opblock-summary").click()
    block.locator(".try-out__btn").click()
    rows = block.locator("[data-property-name]")
    names = [row.get_attribute("data-property-name") for row in rows.all()[:3]]
    assert names == ["support_image", "support_mask", "query_image"]
    page.close()


def _is_local(url: str, address: str) -> bool:
    return url.startswith((address, "data:"))
