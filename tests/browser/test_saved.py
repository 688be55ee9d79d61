"""The page in Chromium: objects that are saved, and opened again."""

from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Page, expect

import pages
from pages import (
    IN_CHROMIUM,
    STROKE,
    both_sizes,
    downloaded,
    give_queries,
    give_support,
    mask_in,
    mask_of_api,
    paint,
    ready,
    reopen,
    save,
    saved,
    segment,
    shown_mask,
)
from pictures import encode, file, grey_mask, photograph

pytestmark = IN_CHROMIUM


def stored_set(address: str, name: str) -> Any:
    sets = httpx.get(f"{address}/supports?limit=200").json()["items"]
    return next(each for each in sets if each["name"] == name)


def stored_file(address: str, stored: Any, pair: int, half: str) -> bytes:
    pair_id = stored["pairs"][pair]["id"]
    return httpx.get(f"{address}/supports/{stored['id']}/pairs/{pair_id}/{half}").content


def test_an_object_is_saved_picked_after_a_reload_and_deleted(page: Page, desk: Path) -> None:
    ready(page, desk)
    page.fill("#save-name", "smooth colours")
    page.click("#save button")
    expect(saved(page, "smooth colours")).to_have_count(1)
    segment(page)
    by_hand = shown_mask(page)
    page.reload()
    page.click("#shot-remove")
    saved(page, "smooth colours").locator(".pick").click()
    expect(page.locator("#using")).to_contain_text("shown by one photograph")
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
    expect(saved(page, "well travelled")).to_have_count(1)
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


def test_what_did_not_change_is_not_of_before_when_it_is_opened_and_saved(
    page: Page, desk: Path
) -> None:
    save(page, desk, "steady")
    give_queries(page, desk / "query.png")
    segment(page)
    reopen(page, 1)
    expect(page.locator("#opened-save")).to_be_disabled()
    expect(page.locator("#stale")).to_be_hidden()
    paint(page, [(0.3, 0.7), (0.7, 0.7)])
    expect(page.locator("#stale")).to_be_visible()
    segment(page)
    page.click("#opened-save")
    expect(page.locator("#using-name")).to_have_text("steady")
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator(".card .badge")).to_be_hidden()
