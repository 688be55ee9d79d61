"""The page in Chromium: work that outlives a reload, a lost connection and another run."""

from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Page, expect

import pages
from pages import (
    ABOUT,
    IN_CHROMIUM,
    asked,
    downloaded,
    erase,
    give_queries,
    give_support,
    kept,
    leave,
    mask_in,
    ready,
    save,
    segment,
    shown_mask,
)

PATH = "**/segment/kshot"
ROWS = """
async () => {
  const [{ name }] = await indexedDB.databases();
  const settled = request => new Promise(done => (request.onsuccess = () => done(request.result)));
  const database = await settled(indexedDB.open(name));
  const rows = {};
  for (const table of ["queries", "results", "shots", "sources"]) {
    rows[table] = await settled(database.transaction(table).objectStore(table).count());
  }
  database.close();
  return rows;
}
"""

pytestmark = IN_CHROMIUM


def test_a_reload_brings_back_the_object_the_results_and_the_corrections(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    give_queries(page, desk / "other.png")
    segment(page)
    erase(page, card=0)
    before = [shown_mask(page, card) for card in (0, 1)]
    painted = mask_in(downloaded(page, "#mask-save"))
    kept(page)
    requests = asked(page)
    leave(page)
    expect(page.locator("#query-list .name")).to_have_text(["query.png", "other.png"])
    expect(page.locator(".card .badge")).to_have_text(["Corrected", ""])
    for card, mask in enumerate(before):
        assert_array_equal(shown_mask(page, card), mask)
    assert_array_equal(mask_in(downloaded(page, "[data-output=mask]")), before[0])
    assert_array_equal(mask_in(downloaded(page, "#mask-save")), painted)
    pages.slide(page, "#threshold", 95)
    assert shown_mask(page, 1).sum() < before[1].sum()
    assert requests == []
    expect(page.locator("#stale")).to_be_hidden()
    segment(page)
    assert len(requests) == 1  # what is corrected is left alone
    expect(page.locator(".card .badge")).to_have_text(["Corrected", ""])


def test_a_reload_brings_back_the_saved_object_that_is_used(page: Page, desk: Path) -> None:
    save(page, desk, "kept in use")
    give_queries(page, desk / "query.png")
    segment(page)
    kept(page)
    leave(page)
    expect(page.locator("#using-name")).to_have_text("kept in use")
    expect(page.locator(".card .found")).to_contain_text("score")
    expect(page.locator("#stale")).to_be_hidden()


def test_what_is_removed_does_not_come_back(page: Page, desk: Path) -> None:
    ready(page, desk)
    give_queries(page, desk / "other.png")
    segment(page)
    page.locator("#query-list .remove").first.click()
    expect(page.locator(".card .name")).to_have_text(["other.png"])
    page.click("#shot-remove")
    kept(page)
    leave(page)
    expect(page.locator(".card .name")).to_have_text(["other.png"])
    expect(page.locator("#query-list .name")).to_have_text(["other.png"])
    expect(page.locator("#shot-drop")).to_be_visible()


def test_what_is_removed_leaves_nothing_in_the_browser(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    kept(page)
    assert page.evaluate(ROWS) == {"queries": 1, "results": 1, "shots": 1, "sources": 1}
    page.locator("#query-list .remove").click()
    page.click("#shot-remove")
    kept(page)
    assert page.evaluate(ROWS) == {"queries": 0, "results": 0, "shots": 0, "sources": 0}


def test_a_photograph_that_is_added_is_segmented_alone_and_at_once(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    requests = asked(page)
    give_queries(page, desk / "other.png")
    expect(page.locator(".card .found").nth(1)).to_contain_text("score")
    assert len(requests) == 1


def test_a_photograph_that_is_added_waits_while_the_object_differs(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    give_support(page, desk / "second.png")
    requests = asked(page)
    give_queries(page, desk / "other.png")
    expect(page.locator("#query-list li")).to_have_count(2)
    expect(page.locator("#run")).to_have_text("Run again")
    assert requests == []


def test_a_lost_connection_leaves_what_is_done_and_the_rest_follows_later(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    segment(page)
    found = shown_mask(page)
    page.route(PATH, lambda route: route.abort())
    give_queries(page, desk / "other.png", desk / "second.png")
    notices = page.locator(".card .notice")
    expect(notices.nth(2)).to_have_text("Not done: the service does not answer.")
    expect(page.locator("#give > .notice")).to_contain_text("The service does not answer.")
    assert_array_equal(shown_mask(page), found)
    page.unroute(PATH)
    requests = asked(page)
    expect(page.locator("#run")).to_have_text("Segment 2 more")
    segment(page)
    expect(page.locator("#give > .notice")).to_be_hidden()
    assert len(requests) == 2
    assert page.locator(".card .notice:visible").count() == 0


def test_leaving_asks_while_a_correction_is_not_downloaded(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    kept(page)
    assert leave(page) == []
    erase(page)
    kept(page)
    assert leave(page) == ["beforeunload"]
    downloaded(page, "[data-output=mask]")
    kept(page)
    assert leave(page) == []


def test_leaving_asks_while_a_saved_object_has_changes(page: Page, desk: Path) -> None:
    save(page, desk, "with changes")
    pages.reopen(page, 1)
    page.fill("#opened-name", "another name")
    kept(page)
    assert leave(page) == ["beforeunload"]


def test_a_second_tab_begins_afresh_and_leaves_the_first_ones_work(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    kept(page)
    second = page.context.new_page()
    second.goto(page.url)
    expect(second.locator("#about")).to_contain_text(ABOUT)
    expect(second.locator("#kept")).to_contain_text("a reload would lose it")
    expect(second.locator("#query-list li")).to_have_count(0)
    second.set_input_files("#query-file", desk / "other.png")
    second.close()
    leave(page)
    expect(page.locator("#query-list .name")).to_have_text(["query.png"])
