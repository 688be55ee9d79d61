"""The page in Chromium on the real app: paint, segment, look, save, fail, do without a mouse."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect

import pages
from model.images.masks import read_mask
from model.images.opening import open_upright
from pages import (
    CHROMIUM,
    downloaded,
    give_queries,
    give_support,
    launched_browser,
    mask_in,
    paint,
    segment,
    shown_mask,
)
from pictures import encode, file, grey_mask, object_mask, photograph
from service.app import create_app
from service.inference.engine import Engine
from service.settings import read_settings
from serving import served
from test_masks import AMBIGUOUS, READ, SIDE, as_file

REPOSITORY = Path(__file__).parents[1]
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
STROKE = [(0.4, 0.4), (0.5, 0.55), (0.6, 0.45)]
TIMEOUT_MS = 60_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
both_sizes = pytest.mark.parametrize("page", SIZES, indirect=True)


expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window, and without calls to its maker."""
    with launched_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(
    checkpoint: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The app with the tiny network, over HTTP."""
    database = f"sqlite:///{tmp_path_factory.mktemp('library') / 'sets.sqlite3'}"
    settings = read_settings(
        checkpoint=checkpoint, device="cpu", precision="float32", database_url=database
    )
    with served(create_app(settings, engine)) as address:
        yield address


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
    expect(page.locator("#about")).to_contain_text("SG-One Service")
    return page


def _must_stay(page: Page, url: str, address: str) -> None:
    if not url.startswith((address, "blob:", "data:")):
        page.faults.append(f"a request to {url}")


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """The page at desktop size, or at the size that the test is parametrised with."""
    page = open_page(browser, address, getattr(request, "param", "desktop"))
    yield page
    faults = [line for line in page.faults if "Failed to load resource" not in line]
    page.context.close()
    assert faults == []


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a support and queries, one of them broken."""
    (tmp_path / "support.png").write_bytes(encode(photograph(240, 320)))
    (tmp_path / "second.png").write_bytes(encode(photograph(200, 300, seed=4)))
    (tmp_path / "query.png").write_bytes(encode(photograph(111, 153, seed=1)))
    (tmp_path / "other.png").write_bytes(encode(photograph(90, 120, seed=2)))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff of no use")
    return tmp_path


def ready(page: Page, desk: Path) -> None:
    """A painted support and one query."""
    give_support(page, desk / "support.png")
    paint(page, STROKE)
    give_queries(page, desk / "query.png")


def load_mask(page: Page, path: Path, content: bytes) -> None:
    """Choose a mask file, and wait until the service has read it."""
    path.write_bytes(content)
    with page.expect_response("**/mask"):
        page.set_input_files("#mask-file", path)


def share_of(mask: np.ndarray) -> str:
    """As the page says it, of the header's four digits."""
    return f"{100 * round(float(mask.mean()), 4):.1f} % of the picture"


def mask_of_api(address: str, parts: list[Any], **options: Any) -> np.ndarray:
    reply = httpx.post(f"{address}/segment", files=parts, params=options, timeout=60)
    return mask_in(reply.raise_for_status().content)


# Painting


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


# Segmenting


def test_the_threshold_moves_the_shown_area_at_once_without_a_request(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    segment(page)
    shares, requests = [shown_mask(page).mean()], []
    page.on("request", lambda request: requests.append(request.url))
    for value in (5, 95):
        pages.slide(page, "#threshold", value)
        shares.append(shown_mask(page).mean())
    assert shares[1] > shares[0] > shares[2]
    assert requests == []


def test_downloads_follow_the_threshold(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    pages.slide(page, "#threshold", 90)
    shown = shown_mask(page)
    assert (mask_in(downloaded(page, "[data-output=mask]")) == shown).mean() > 0.995
    record = json.loads(downloaded(page, "[data-output=json]"))
    assert (record["threshold"], record["size"]) == (0.9, [111, 153])
    assert downloaded(page, "[data-output=cutout]").startswith(b"\x89PNG")


def test_one_broken_photograph_says_so_in_its_place_and_the_rest_go_on(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    give_queries(page, desk / "broken.jpg", desk / "other.png")
    expect(page.locator("#run")).to_have_text("Segment 3 photographs")
    segment(page)
    cards = page.locator(".card")
    notice = cards.nth(1).locator(".notice")
    expect(notice).to_contain_text("broken.jpg is not an image of an accepted type")
    for index, shape in [(0, (111, 153)), (2, (90, 120))]:
        assert shown_mask(page, index).shape == shape
    expect(page.locator("#status")).to_have_text("2 of 3 done.")


def test_nothing_painted_and_nothing_to_segment_are_said_in_their_steps(
    page: Page, desk: Path
) -> None:
    page.click("#run")
    expect(page.locator("#show > .notice")).to_contain_text("Choose a photograph that shows")
    expect(page.locator("#give > .notice")).to_contain_text("Choose at least one photograph")
    give_support(page, desk / "support.png")
    give_queries(page, desk / "query.png")
    expect(page.locator("#give > .notice")).to_be_hidden()
    page.click("#run")
    expect(page.locator("#show > .notice")).to_have_text(
        "Nothing is painted in support.png. Paint over the object, or remove the photograph."
    )
    expect(page.locator(".card")).to_have_count(0)


def busy(route: Route) -> None:
    """What the service answers while its queue is full."""
    route.fulfill(
        status=429,
        headers={"Content-Type": "application/problem+json", "Retry-After": "1"},
        body=json.dumps({"code": "queue_full", "detail": "32 requests are waiting; try again"}),
    )


def test_a_busy_service_is_asked_again_and_then_said_to_be_busy(page: Page, desk: Path) -> None:
    ready(page, desk)
    page.route("**/segment/kshot", busy)
    segment(page)
    expect(page.locator(".card .notice")).to_have_text("32 requests are waiting; try again.")
    page.unroute("**/segment/kshot")
    page.click(".again")
    expect(page.locator(".card .found")).to_contain_text("score")
    expect(page.locator(".card .notice")).to_be_hidden()


def test_an_error_about_the_supports_is_said_in_step_1_and_ends_the_run(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    give_queries(page, desk / "other.png")
    give_support(page, *[desk / "second.png"] * 10)
    for index in range(1, 11):
        page.locator("#shot-list .pick").nth(index).click()
        paint(page, [(0.5, 0.5), (0.55, 0.5)])
    segment(page)
    expect(page.locator("#show > .notice")).to_have_text(
        "There are 11 supports, the limit is 10; send fewer."
    )
    expect(page.locator(".card .notice")).to_have_text(["Not done: see step 1."] * 2)


def test_a_run_can_be_cancelled(page: Page, desk: Path) -> None:
    ready(page, desk)
    give_queries(page, desk / "other.png")
    page.route("**/segment/kshot", lambda route: None)
    page.click("#run")
    expect(page.locator("#progress-text")).to_have_text("0 of 2 done")
    page.click("#cancel")
    expect(page.locator(".card .notice")).to_have_text(["Cancelled."] * 2)
    expect(page.locator("#run")).to_be_visible()


@pytest.mark.parametrize("shots", [1, 2])
@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_lines_that_are_shown_do_the_same(
    page: Page, desk: Path, language: str, shots: int
) -> None:
    give_support(page, desk / "support.png", *[desk / "second.png"] * (shots - 1))
    for index, name in enumerate(["support", "second"][:shots]):
        page.locator("#shot-list .pick").nth(index).click()
        paint(page, STROKE)
        (desk / f"{name}.mask.png").write_bytes(downloaded(page, "#mask-save"))
    give_queries(page, desk / "query.png")
    segment(page)
    shown = shown_mask(page)
    page.click(f"[data-language={language}]")
    code = page.inner_text("#code")
    command = ["bash", "-c", code] if language == "curl" else [sys.executable, "-c", code]
    finished = subprocess.run(command, cwd=desk, capture_output=True, encoding="utf-8", timeout=120)
    assert finished.returncode == 0, finished.stderr
    if language == "curl":
        assert (mask_in((desk / "mask.png").read_bytes()) == shown).mean() > 0.999
    else:
        assert float(re.findall(r"([\d.]+)%", finished.stdout)[0]) == pytest.approx(
            100 * shown.mean(), abs=0.2
        )


# Saved objects


def saved(page: Page, name: str) -> Locator:
    """The saved object of this name in the list."""
    return page.locator("#saved li", has_text=name)


def test_an_object_is_saved_picked_after_a_reload_and_deleted(page: Page, desk: Path) -> None:
    ready(page, desk)
    page.fill("#save-name", "smooth colours")
    page.click("#save button")
    expect(saved(page, "smooth colours")).to_have_count(1)
    segment(page)
    by_hand = shown_mask(page)
    page.reload()
    saved(page, "smooth colours").locator(".pick").click()
    expect(page.locator("#using")).to_contain_text("shown by one photograph")
    give_queries(page, desk / "query.png")
    segment(page)
    assert (shown_mask(page) == by_hand).mean() > 0.999
    assert "?support_set=" in page.inner_text("#code")
    saved(page, "smooth colours").locator(".remove").click()
    page.click("#confirm [value=delete]")
    expect(saved(page, "smooth colours")).to_have_count(0)
    expect(page.locator("#shot-drop")).to_be_visible()


def test_a_name_that_is_taken_is_said_in_step_1(page: Page, desk: Path) -> None:
    ready(page, desk)
    for _ in range(2):
        page.fill("#save-name", "twice")
        page.click("#save button")
        expect(saved(page, "twice")).to_have_count(1)
    expect(page.locator("#show > .notice")).to_contain_text("twice")


# Saved objects that open again


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


def stored_set(address: str, name: str) -> Any:
    sets = httpx.get(f"{address}/supports?limit=200").json()["items"]
    return next(each for each in sets if each["name"] == name)


def stored_file(address: str, stored: Any, pair: int, half: str) -> bytes:
    pair_id = stored["pairs"][pair]["id"]
    return httpx.get(f"{address}/supports/{stored['id']}/pairs/{pair_id}/{half}").content


@both_sizes
def test_an_object_opens_again_and_one_of_its_masks_is_repainted(
    page: Page, desk: Path, address: str
) -> None:
    name = f"repainted {page.viewport_size}"
    save(page, desk, name, "support.png", "second.png")
    before = stored_set(address, name)
    masks = [mask_in(stored_file(address, before, pair, "mask")) for pair in (0, 1)]
    picture = page.get_attribute("#using-picture", "src")
    reopen(page, 2)
    assert 100 * masks[0].mean() == pytest.approx(pages.painted(page), abs=0.5)
    expect(page.locator("#opened-save")).to_be_disabled()
    paint(page, [(0.45, 0.7), (0.55, 0.7)])
    expect(page.locator("#opened-news")).to_have_text("Not saved yet: 1 repainted.")
    page.click("#undo")
    expect(page.locator("#opened-save")).to_be_disabled()
    page.click("#redo")
    page.click("#opened-save")
    expect(page.locator("#using")).to_be_visible()
    after = stored_set(address, name)
    assert [pair["id"] for pair in after["pairs"]] == [pair["id"] for pair in before["pairs"]]
    repainted, untouched = (mask_in(stored_file(address, after, n, "mask")) for n in (0, 1))
    assert repainted[masks[0]].all() and repainted.sum() > masks[0].sum()
    assert (untouched == masks[1]).all()
    assert stored_file(address, after, 0, "image") == (desk / "support.png").read_bytes()
    assert page.get_attribute("#using-picture", "src") != picture


def test_photographs_are_added_removed_and_put_in_the_place_of_others(
    page: Page, desk: Path, address: str
) -> None:
    save(page, desk, "changing")
    before = stored_set(address, "changing")
    reopen(page, 1)
    page.click("#shot-remove")
    page.click("#opened-save")
    expect(page.locator("#show > .notice")).to_contain_text("Choose a photograph that shows")
    give_support(page, desk / "second.png")
    paint(page, STROKE)
    expect(page.locator("#opened-news")).to_have_text("Not saved yet: 1 added, 1 removed.")
    give_support(page, desk / "other.png")
    paint(page, STROKE)
    page.click("#opened-save")
    expect(page.locator("#using-shots")).to_have_text("Saved object, shown by 2 photographs.")
    after = stored_set(address, "changing")
    assert after["pairs"][0]["id"] == before["pairs"][0]["id"]
    assert stored_file(address, after, 0, "image") == (desk / "second.png").read_bytes()
    assert stored_file(address, after, 1, "image") == (desk / "other.png").read_bytes()
    reopen(page, 2)
    page.click("#shot-remove")
    page.click("#opened-save")
    expect(page.locator("#using-shots")).to_have_text("Saved object, shown by one photograph.")
    (left,) = stored_set(address, "changing")["pairs"]
    assert left["id"] == after["pairs"][1]["id"]


def test_an_object_is_renamed_and_a_name_that_is_taken_is_said(
    page: Page, desk: Path, address: str
) -> None:
    httpx.post(
        f"{address}/supports",
        files=[
            file("support_image", encode(photograph())),
            file("support_mask", grey_mask()),
        ],
        data={"name": "taken name"},
    ).raise_for_status()
    save(page, desk, "first name")
    reopen(page, 1)
    page.fill("#opened-name", "taken name")
    page.click("#opened-save")
    expect(page.locator("#show > .notice")).to_contain_text("'taken name' already")
    page.fill("#opened-name", "second name")
    page.press("#opened-name", "Enter")
    expect(page.locator("#using-name")).to_have_text("second name")
    expect(saved(page, "second name")).to_have_count(1)
    expect(saved(page, "first name")).to_have_count(0)


def test_what_is_not_saved_is_left_only_when_that_is_meant_and_other_work_comes_back(
    page: Page, desk: Path, address: str
) -> None:
    save(page, desk, "kept as it was")
    page.click("#using-stop")
    before = stored_set(address, "kept as it was")
    expect(page.locator("#shot-list .pick")).to_have_attribute(
        "aria-label", "Photograph 1: support.png"
    )
    saved(page, "kept as it was").locator(".pick").click()
    reopen(page, 1)
    expect(saved(page, "kept as it was").locator(".pick")).to_have_attribute("aria-pressed", "true")
    paint(page, [(0.45, 0.7), (0.55, 0.7)])
    page.click("#opened-close")
    expect(page.locator("#confirm-text")).to_contain_text("Discard what is not saved")
    page.click("#confirm [value=cancel]")
    expect(page.locator("#opened")).to_be_visible()
    page.click("#opened-close")
    page.click("#confirm [value=delete]")
    expect(page.locator("#using-name")).to_have_text("kept as it was")
    assert stored_set(address, "kept as it was") == before
    page.click("#using-stop")
    expect(page.locator("#shot-list .pick")).to_have_attribute(
        "aria-label", "Photograph 1: support.png"
    )


def test_what_is_painted_in_an_open_object_is_used_before_it_is_saved(
    page: Page, desk: Path, address: str
) -> None:
    save(page, desk, "used at once")
    give_queries(page, desk / "query.png")
    reopen(page, 1)
    page.click("#clear")
    paint(page, [(0.3, 0.2), (0.7, 0.2)])
    parts = [
        file("support_image", (desk / "support.png").read_bytes()),
        file("support_mask", downloaded(page, "#mask-save")),
        file("query_image", (desk / "query.png").read_bytes()),
    ]
    segment(page)
    assert (shown_mask(page) == mask_of_api(address, parts)).mean() > 0.999


def test_a_photograph_that_the_browser_cannot_show_stays_as_it_is(
    page: Page, desk: Path, address: str
) -> None:
    tiff = encode(photograph(), "TIFF")
    parts = []
    for image in (tiff, encode(photograph(seed=1))):
        parts += [file("support_image", image), file("support_mask", grey_mask())]
    url = f"{address}/supports"
    httpx.post(url, files=parts, data={"name": "half shown"}).raise_for_status()
    page.reload()
    saved(page, "half shown").locator(".pick").click()
    reopen(page, 1)
    expect(page.locator("#show > .notice")).to_contain_text("cannot show 1 of 2 photographs")
    page.fill("#opened-name", "half shown, renamed")
    page.click("#opened-save")
    expect(page.locator("#using-shots")).to_contain_text("2 photographs")
    assert stored_file(address, stored_set(address, "half shown, renamed"), 0, "image") == tiff


def test_a_saved_object_is_exported_deleted_and_imported_again(
    page: Page, desk: Path, address: str
) -> None:
    save(page, desk, "well travelled", "support.png", "second.png")
    before = stored_set(address, "well travelled")
    files = [stored_file(address, before, n, half) for n in (0, 1) for half in ("image", "mask")]
    with page.expect_download() as download:
        page.click("#using-export")
    assert download.value.suggested_filename == "sgone-well_travelled.zip"
    archive = desk / download.value.suggested_filename
    download.value.save_as(archive)
    page.set_input_files("#set-file", archive)
    expect(page.locator("#naming-text")).to_contain_text("of this name already")
    expect(page.locator("#naming-name")).to_have_value("well travelled 2")
    page.click("#naming [value=cancel]")
    saved(page, "well travelled").locator(".remove").click()
    page.click("#confirm [value=delete]")
    expect(saved(page, "well travelled")).to_have_count(0)
    page.set_input_files("#set-file", archive)
    expect(page.locator("#using-name")).to_have_text("well travelled")
    after = stored_set(address, "well travelled")
    assert files == [
        stored_file(address, after, n, half) for n in (0, 1) for half in ("image", "mask")
    ]
    page.set_input_files("#set-file", archive)
    page.fill("#naming-name", "at home")
    page.press("#naming-name", "Enter")
    expect(page.locator("#using-name")).to_have_text("at home")


def test_a_file_that_is_no_exported_object_is_said_in_step_1(page: Page, desk: Path) -> None:
    page.set_input_files("#set-file", desk / "support.png")
    expect(page.locator("#show > .notice")).to_contain_text("is no ZIP archive")


def test_the_keyboard_opens_renames_and_saves_an_object(page: Page, desk: Path) -> None:
    save(page, desk, "by keyboard")
    saved(page, "by keyboard").locator(".pick").focus()
    pages.press_until(page, "#using-open")
    page.keyboard.press("Enter")
    expect(page.locator("#opened-name")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("by key alone [e]")
    pages.press_until(page, "#stage")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    page.locator("#skip, .skip").first.focus()
    pages.press_until(page, "#opened-save")
    page.keyboard.press("Enter")
    expect(page.locator("#using-name")).to_have_text("by key alone [e]")
    expect(page.locator("#using-open")).to_be_focused()


# For everybody


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


def _is_local(url: str, address: str) -> bool:
    return url.startswith((address, "data:"))


def test_the_example_is_found_by_the_shipped_checkpoint(browser: Browser, tmp_path: Path) -> None:
    settings = read_settings(database_url=f"sqlite:///{tmp_path / 'sets.sqlite3'}", device="cpu")
    with served(create_app(settings)) as address:
        page = open_page(browser, address)
        page.click('[data-examples="shots"] .pick >> nth=0')
        page.click('[data-examples="queries"] .pick >> nth=2')
        expect(page.locator("#query-list li")).to_have_count(1)
        segment(page)
        shown = shown_mask(page)
        page.context.close()
    truth = mask_in((REPOSITORY / "examples" / "photographer.mask.png").read_bytes())
    assert (shown & truth).sum() / (shown | truth).sum() > 0.5
