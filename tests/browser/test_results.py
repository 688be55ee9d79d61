"""The page in Chromium: segmenting, its results and errors, and lines of code that do the same."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from PIL import Image
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
    ready,
    segment,
    shown_mask,
)
from pictures import encode, photograph
from service.app import create_app
from service.settings import read_settings
from serving import served

TINT = """
canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const at = 4 * Array.from({ length: data.length / 4 }).findIndex((_, i) => data[4 * i + 3] > 0);
  return [...data.slice(at, at + 3)];
}
"""
REPOSITORY = Path(__file__).parents[2]

pytestmark = IN_CHROMIUM


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


@pytest.mark.parametrize(
    ("below", "is_magenta"), [((128, 128, 128), True), ((230, 20, 160), False)]
)
def test_a_tint_stands_out_on_what_lies_below(
    page: Page, desk: Path, below: tuple[int, int, int], is_magenta: bool
) -> None:
    Image.new("RGB", (120, 90), below).save(desk / "plain.png")
    give_support(page, desk / "support.png")
    paint(page, STROKE)
    give_queries(page, desk / "plain.png")
    segment(page)
    pages.slide(page, "#threshold", 1)
    page.uncheck("#outline")
    assert shown_mask(page).any()
    red, green, blue = page.locator(".overlay").evaluate(TINT)
    assert (red > 200 and green < 50 and blue > 130) == is_magenta


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
    others = [desk / f"support {seed}.png" for seed in range(10)]
    for seed, path in enumerate(others):
        path.write_bytes(encode(photograph(60, 80, seed=seed)))
    give_support(page, *others)
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
