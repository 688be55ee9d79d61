"""The page in Chromium: which files it takes, what it says of others, and how all of them go."""

from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Page, expect

from pages import (
    IN_CHROMIUM,
    erase,
    give_queries,
    give_support,
    ready,
    segment,
)

pytestmark = IN_CHROMIUM


def test_a_photograph_that_is_there_already_is_told_and_not_taken_twice(
    page: Page, desk: Path
) -> None:
    (desk / "copy.png").write_bytes((desk / "query.png").read_bytes())
    give_queries(page, desk / "query.png")
    page.set_input_files("#query-file", [desk / "copy.png", desk / "query.png", desk / "other.png"])
    expect(page.locator("#give > .notice")).to_have_text("copy.png and 1 more are there already.")
    expect(page.locator("#query-list .name")).to_have_text(["query.png", "other.png"])
    give_support(page, desk / "support.png")
    page.set_input_files("#shot-add", desk / "support.png")
    expect(page.locator("#show > .notice")).to_have_text("support.png is there already.")
    expect(page.locator("#shot-list li")).to_have_count(1)


def test_what_is_no_photograph_is_told_when_it_is_dropped(page: Page, desk: Path) -> None:
    (desk / "notes.txt").write_text("painted by hand")
    (desk / "empty.jpg").touch()
    page.set_input_files("#query-file", [desk / "notes.txt", desk / "query.png"])
    expect(page.locator("#give > .notice")).to_have_text("notes.txt is no photograph.")
    expect(page.locator("#query-list .name")).to_have_text(["query.png"])
    page.set_input_files("#shot-file", desk / "empty.jpg")
    expect(page.locator("#show > .notice")).to_have_text("empty.jpg is no photograph.")


def test_a_damaged_photograph_is_told_in_the_list_and_left_to_the_service(
    page: Page, desk: Path
) -> None:
    give_queries(page, desk / "broken.jpg", desk / "query.png")
    items = page.locator("#query-list li")
    expect(items.nth(0).locator(".unseen")).to_be_visible()
    expect(items.nth(1).locator(".unseen")).to_be_hidden()


def test_all_photographs_are_removed_at_once_and_results_are_asked_about(
    page: Page, desk: Path
) -> None:
    ready(page, desk)
    expect(page.locator("#query-clear")).to_be_hidden()
    give_queries(page, desk / "other.png")
    expect(page.locator("#query-count")).to_have_text("2 photographs")
    page.click("#query-clear")
    expect(page.locator("#query-list li")).to_have_count(0)
    give_queries(page, desk / "query.png", desk / "other.png")
    segment(page)
    erase(page)
    page.click("#query-clear")
    expect(page.locator("#confirm-text")).to_have_text(
        "Remove 2 photographs, the results and one correction?"
    )
    page.click("#confirm [value=cancel]")
    expect(page.locator(".card")).to_have_count(2)
    page.click("#query-clear")
    page.click("#confirm [value=delete]")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#no-results")).to_be_visible()


def test_a_save_is_confirmed_where_everybody_sees_it(page: Page, desk: Path) -> None:
    ready(page, desk)
    page.fill("#save-name", "seen")
    page.click("#save button")
    expect(page.locator("#toast")).to_be_visible()
    expect(page.locator("#toast")).to_have_text("seen is saved.")
    expect(page.locator("#toast")).to_be_hidden()
