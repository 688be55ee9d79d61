"""The page in Chromium where the network knows of presence, and where it does not."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Browser, Page, expect

import pages
from bright import DECISION, bright
from pages import (
    IN_CHROMIUM,
    STROKE,
    downloaded,
    give_queries,
    give_support,
    open_page,
    paint,
    segment,
    shown_mask,
)
from pictures import encode, photograph
from service.app import create_app
from service.inference.engine import Engine
from service.settings import read_settings
from serving import served

NAMES = ["dark.png", "dim.png", "light.png"]

pytestmark = IN_CHROMIUM


def page_of(browser: Browser, engine: Engine, folder: Path) -> Iterator[Page]:
    """The page of a service with this network; it must log no error."""
    settings = read_settings(database_url=f"sqlite:///{folder / 'sets.sqlite3'}")
    with served(create_app(settings, engine)) as address:
        page = open_page(browser, address)
        yield page
        page.context.close()
        assert page.faults == []


@pytest.fixture
def knowing(browser: Browser, engine: Engine, tmp_path: Path) -> Iterator[Page]:
    """Of a network that takes brightness for presence."""
    yield from page_of(browser, bright(engine), tmp_path)


@pytest.fixture
def unknowing(browser: Browser, engine: Engine, tmp_path: Path) -> Iterator[Page]:
    """Of a network without presence."""
    yield from page_of(browser, engine, tmp_path)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A support, and three photographs from dark to light."""
    (tmp_path / "support.png").write_bytes(encode(photograph(240, 320)))
    for name, share in zip(NAMES, (0.1, 0.6, 1.0), strict=True):
        picture = (photograph(111, 153, seed=1) * share).astype("uint8")
        (tmp_path / name).write_bytes(encode(picture))
    return tmp_path


def run(page: Page, desk: Path) -> None:
    give_support(page, desk / "support.png")
    paint(page, STROKE)
    give_queries(page, *(desk / name for name in NAMES))
    segment(page)


def shown_names(page: Page) -> list[str]:
    return page.locator(".card:visible .name").all_text_contents()


def test_a_photograph_without_the_object_says_so_and_is_not_marked(
    knowing: Page, desk: Path
) -> None:
    run(knowing, desk)
    knowing.click("#absent-toggle")
    assert shown_names(knowing) == ["dim.png", "light.png", "dark.png"]
    found = knowing.locator(".card .found")
    expect(found.nth(2)).to_contain_text("Probably not here, presence 0.")
    expect(found.nth(1)).to_contain_text("of the photograph, score")
    assert not shown_mask(knowing, 2).any()
    assert shown_mask(knowing, 1).any()


def test_photographs_without_the_object_are_counted_and_folded_away(
    knowing: Page, desk: Path
) -> None:
    run(knowing, desk)
    toggle = knowing.locator("#absent-toggle")
    expect(toggle).to_have_text("Probably not in 1 of 3 photographs")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    assert shown_names(knowing) == ["dim.png", "light.png"]
    toggle.focus()
    knowing.keyboard.press("Enter")
    expect(toggle).to_have_attribute("aria-expanded", "true")
    assert shown_names(knowing) == ["dim.png", "light.png", "dark.png"]
    toggle.click()
    assert shown_names(knowing) == ["dim.png", "light.png"]


def test_where_the_object_is_nowhere_nothing_is_folded_away(knowing: Page, desk: Path) -> None:
    run(knowing, desk)
    pages.slide(knowing, "#presence", 100)
    assert shown_names(knowing) == NAMES


def test_both_sliders_begin_where_the_networks_own_thresholds_are(knowing: Page) -> None:
    assert knowing.input_value("#threshold") == str(round(100 * DECISION.object_threshold))
    assert knowing.input_value("#presence") == str(round(100 * DECISION.presence_threshold))


def test_the_presence_slider_moves_what_is_marked_and_downloads_follow_it(
    knowing: Page, desk: Path
) -> None:
    run(knowing, desk)
    pages.slide(knowing, "#presence", 0)
    expect(knowing.locator("#absent-toggle")).to_be_hidden()
    assert shown_mask(knowing, 0).any()
    expect(knowing.locator("#code")).to_contain_text("presence_threshold=0")
    record = json.loads(downloaded(knowing, ".card [data-output=json]"))
    assert (record["found"], record["presence_threshold"]) == (True, 0)
    pages.slide(knowing, "#presence", 100)
    expect(knowing.locator("#absent-toggle")).to_have_text("Probably not in 3 of 3 photographs")


def test_a_large_result_without_a_mask_offers_what_comes_next(knowing: Page, desk: Path) -> None:
    run(knowing, desk)
    pages.slide(knowing, "#presence", 100)
    pages.open_large(knowing)
    expect(knowing.locator("#proposal-text")).to_contain_text("Probably not here")
    assert pages.share_in_large(knowing) == 0
    knowing.click("#large-propose")
    expect(knowing.locator("#proposal")).to_be_hidden()
    assert pages.share_in_large(knowing) > 0
    knowing.click("#large [data-act=undo]")
    expect(knowing.locator("#proposal")).to_be_visible()
    assert pages.share_in_large(knowing) == 0


def test_photographs_are_sorted_by_presence_and_put_aside(knowing: Page, desk: Path) -> None:
    run(knowing, desk)
    assert shown_names(knowing) == ["dim.png", "light.png"]
    knowing.select_option("#order", "presence")
    assert shown_names(knowing) == ["light.png", "dim.png"]
    pages.slide(knowing, "#presence", 0)
    assert shown_names(knowing) == NAMES[::-1]
    knowing.select_option("#order", "given")
    assert shown_names(knowing) == NAMES


def test_a_network_without_presence_shows_nothing_of_it(unknowing: Page, desk: Path) -> None:
    run(unknowing, desk)
    for control in ("#presence", "#order", "#absent-toggle"):
        expect(unknowing.locator(control)).to_be_hidden()
    expect(unknowing.locator(".card .found").first).not_to_contain_text("presence")
    expect(unknowing.locator("#code")).not_to_contain_text("presence")


def test_beside_another_object_one_counts_as_much_as_it_is_likely_to_be_there(
    knowing: Page, desk: Path
) -> None:
    run(knowing, desk)
    assert shown_mask(knowing, 0).any()  # dim.png, of presence 0.3
    knowing.click("#object-add")
    knowing.fill("#object-name", "plate")
    give_support(knowing, desk / "support.png")
    paint(knowing, [(0.55, 0.7), (0.6, 0.75), (0.65, 0.7)])
    segment(knowing)
    expect(knowing.locator(".card").first.locator(".verdicts")).to_contain_text(
        "nothing, presence 0."
    )
    assert not shown_mask(knowing, 0).any()
    pages.slide(knowing, "#presence", 0)
    expect(knowing.locator(".card").first.locator(".verdicts")).not_to_contain_text("nothing")
    assert shown_mask(knowing, 0).any()
