"""What people do on the page, for the tests in a browser."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
IN_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
ABOUT = "SG-One Service"
LARGE = "#large-stage"
STROKE = [(0.4, 0.4), (0.5, 0.55), (0.6, 0.45)]
TIMEOUT_MS = 60_000
Points = Iterable[tuple[float, float]]

both_sizes = pytest.mark.parametrize("page", SIZES, indirect=True)
expect.set_options(timeout=TIMEOUT_MS)

READ_OVERLAY = """
canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.height, canvas.width, Array.from(data.filter((_, i) => i % 4 === 3), Number)];
}
"""


@contextmanager
def launched_browser() -> Iterator[Browser]:
    """Chromium without a window, and without calls to its maker."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


def open_page(browser: Browser, address: str, size: str = "desktop", **options: Any) -> Page:
    """A fresh page; it may talk to ``address`` alone and log no error but refused requests."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=size == "phone", **options
    )
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda line: line.type == "error" and page.faults.append(line.text))
    page.on("request", lambda request: _must_stay(page, request.url, address))
    page.goto(address)
    expect(page.locator("#about")).to_contain_text(ABOUT)
    return page


def give_support(page: Page, *files: Path) -> None:
    """Choose photographs that show the object, and wait until the last is on the stage."""
    chooser = "#shot-file" if page.is_visible("#shot-drop") else "#shot-add"
    count = page.locator("#shot-list li").count() + len(files)
    page.set_input_files(chooser, list(files))
    expect(page.locator("#shot-list li")).to_have_count(count)


def give_queries(page: Page, *files: Path) -> None:
    """Choose photographs to segment, and wait until they are in the list."""
    count = page.locator("#query-list li").count() + len(files)
    page.set_input_files("#query-file", list(files))
    expect(page.locator("#query-list li")).to_have_count(count)


def on_stage(page: Page, points: Points, canvas: str = "#stage") -> list[tuple[float, float]]:
    """Shares of the stage's width and height to coordinates of the window."""
    stage = page.locator(canvas)
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def paint(page: Page, points: Points, canvas: str = "#stage") -> None:
    """One stroke of the mouse."""
    first, *rest = on_stage(page, points, canvas)
    page.mouse.move(*first)
    page.mouse.down()
    for point in rest:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def paint_by_touch(page: Page, points: Points) -> None:
    """One stroke of a finger."""
    session = page.context.new_cdp_session(page)
    first, *rest = [{"x": x, "y": y} for x, y in on_stage(page, points)]
    send = session.send
    send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [first]})
    for point in rest:
        send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def painted(page: Page) -> float:
    """Per cent of the photograph that the page says is painted."""
    text = page.inner_text("#painted-share")
    return float(text.partition(" %")[0]) if "%" in text else 0.0


def ready(page: Page, desk: Path) -> None:
    """A painted support and one query."""
    give_support(page, desk / "support.png")
    paint(page, STROKE)
    give_queries(page, desk / "query.png")


def segment(page: Page) -> None:
    """Press Segment and wait until no card waits."""
    page.click("#run")
    page.wait_for_selector("#progress", state="hidden")
    assert page.locator(".card.waiting").count() == 0


def downloaded(page: Page, selector: str) -> bytes:
    """What a click on the selector downloads.

    On a busy machine Chromium loses a download once in a few hundred; then there is a second click.
    """
    for patience_ms in (20_000, 60_000):
        try:
            with page.expect_download(timeout=patience_ms) as download:
                page.click(selector)
        except PlaywrightTimeout:
            continue
        return Path(download.value.path()).read_bytes()
    raise AssertionError(f"two clicks on {selector} downloaded nothing")


def shown_mask(page: Page, card: int = 0) -> NDArray[np.bool_]:
    """(H, W) true where the card's overlay canvas has colour."""
    page.locator(".card").nth(card).scroll_into_view_if_needed()
    expect(page.locator(".overlay").nth(card)).not_to_have_js_property("width", 0)
    height, width, alpha = page.locator(".overlay").nth(card).evaluate(READ_OVERLAY)
    return np.array(alpha, np.uint8).reshape(height, width) > 0


def mask_in(png: bytes) -> NDArray[np.bool_]:
    """(H, W) true where the PNG is white."""
    with Image.open(BytesIO(png)) as image:
        assert image.mode == "L"
        values = np.array(image)
    assert set(np.unique(values)) <= {0, 255}
    return values > 0


def mask_of_api(address: str, parts: list[Any], **options: Any) -> NDArray[np.bool_]:
    """What the API answers to the same."""
    reply = httpx.post(f"{address}/segment", files=parts, params=options, timeout=60)
    return mask_in(reply.raise_for_status().content)


def saved(page: Page, name: str) -> Locator:
    """The saved object of this name in the list."""
    return page.locator("#saved li", has_text=name)


def save(page: Page, desk: Path, name: str, *photographs: str) -> None:
    """Paint and save an object, and pick it."""
    for shot in photographs or ("support.png",):
        give_support(page, desk / shot)
        paint(page, STROKE)
    page.fill("#save-name", name)
    page.click("#save button")
    saved(page, name).locator(".pick").click()
    expect(page.locator("#using-name")).to_have_text(name)


def reopen(page: Page, shots: int) -> None:
    """Open the object that is picked."""
    page.click("#using-open")
    expect(page.locator("#opened")).to_be_visible()
    expect(page.locator("#shot-list li")).to_have_count(shots)


def open_large(page: Page, card: int = 0) -> None:
    """Click the result and wait for the photograph."""
    page.locator(".card .picture").nth(card).click()
    expect(page.locator("#large")).to_be_visible()
    expect(page.locator("#large-share")).to_contain_text("of the photograph")


def share_in_large(page: Page) -> float:
    """Per cent of the photograph that the large view says is object."""
    return float(page.inner_text("#large-share").partition(" %")[0])


def erase_in_large(page: Page) -> None:
    """One stroke of a broad eraser across the middle of the large view."""
    page.click("#large [data-tool=eraser]")
    slide(page, "#large [data-act=size]", 150)
    before = page.inner_text("#large-share")
    paint(page, [(0.3, 0.5), (0.7, 0.5)], LARGE)
    expect(page.locator("#large-share")).not_to_have_text(before)


def close_large(page: Page) -> None:
    """Close the large view."""
    page.click("#large-close")
    expect(page.locator("#large")).to_be_hidden()


def erase(page: Page, card: int = 0) -> None:
    """Correct a result: a broad stripe of its middle is not the object."""
    open_large(page, card)
    erase_in_large(page)
    close_large(page)
    expect(page.locator(".card .badge").nth(card)).to_have_text("Corrected")


def everything(page: Page, *formats: str, label: str = "", instances: bool = False) -> ZipFile:
    """Choose these formats and download."""
    page.click("#everything-open")
    for box in page.locator("#everything [name=format]").all():
        box.set_checked(box.get_attribute("value") in formats)
    if page.is_visible("#everything-label"):
        page.fill("#everything-label", label)
    page.set_checked("#everything [name=instances]", instances)
    archive = downloaded(page, "#everything-go")
    expect(page.locator("#everything")).to_be_hidden()
    return ZipFile(BytesIO(archive))


def asked(page: Page) -> list[str]:
    """Grows with each mask that the service is asked for."""
    paths: list[str] = []

    def note(request: Request) -> None:
        if "/segment/" in request.url:
            paths.append(request.url)

    page.on("request", note)
    return paths


def leave(page: Page) -> list[str]:
    """Reload the page; the questions that it asked before, all answered by yes."""
    questions: list[str] = []
    page.once("dialog", lambda dialog: (questions.append(dialog.type), dialog.accept()))
    page.reload()
    expect(page.locator("#about")).to_contain_text(ABOUT)
    return questions


def kept(page: Page) -> None:
    """Wait until what was done last is kept."""
    expect(page.locator("#kept")).to_have_text(
        "Your work is kept in this browser until you remove it."
    )


def press_until(page: Page, selector: str, presses: int = 80) -> None:
    """Press Tab until the focus is on the selector."""
    for _ in range(presses):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"the focus never came to {selector}")


def slide(page: Page, selector: str, value: int) -> None:
    """Move a slider as a drag would end."""
    page.locator(selector).evaluate(
        "(slider, value) => { slider.value = value;"
        " slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


def serious_findings(results: Any) -> list[str]:
    """Axe's findings of serious or critical impact, in words."""
    return [
        f"{found['id']}: {found['nodes'][0]['target']} {found['nodes'][0]['failureSummary']}"
        for found in results.response["violations"]
        if found["impact"] in ("serious", "critical")
    ]


def _must_stay(page: Page, url: str, address: str) -> None:
    if not url.startswith((address, "blob:", "data:")):
        page.faults.append(f"a request to {url}")
