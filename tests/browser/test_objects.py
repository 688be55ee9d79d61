"""The page in Chromium with several objects side by side."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import pages
from pages import (
    IN_CHROMIUM,
    LARGE,
    SIZES,
    STROKE,
    asked,
    both_sizes,
    close_large,
    downloaded,
    everything,
    give_queries,
    give_support,
    kept,
    leave,
    open_large,
    open_page,
    paint,
    ready,
    save,
    saved,
    segment,
    slide,
)
from trees import IGNORE_PYCOCOTOOLS

CORNER = [(0.55, 0.7), (0.6, 0.75), (0.65, 0.7)]
NAMES = ["cup", "plate"]

pytestmark = [*IN_CHROMIUM, pytest.mark.filterwarnings(IGNORE_PYCOCOTOOLS)]


def add_object(page: Page, name: str, *photographs: Path) -> None:
    """One more object, painted in these photographs."""
    page.click("#object-add")
    page.fill("#object-name", name)
    for photograph in photographs:
        give_support(page, photograph)
        paint(page, CORNER)


def two_objects(page: Page, desk: Path) -> None:
    """A cup in one photograph and a plate in another, and one query."""
    ready(page, desk)
    add_object(page, NAMES[1], desk / "second.png")
    choose(page, 0)
    page.fill("#object-name", NAMES[0])


def choose(page: Page, place: int) -> None:
    page.locator("#object-list button").nth(place).click()


def classes_in(png: bytes) -> NDArray[np.uint8]:
    """The numbers in an indexed PNG."""
    with Image.open(BytesIO(png)) as image:
        assert image.mode == "P"
        return np.array(image)


def verdicts(page: Page, card: int = 0) -> list[str]:
    return page.locator(".card").nth(card).locator(".verdicts li").all_inner_texts()


def test_one_object_shows_nothing_of_several(page: Page, desk: Path) -> None:
    expect(page.locator("#object-add")).to_be_hidden()
    ready(page, desk)
    segment(page)
    expect(page.locator("#object-add")).to_be_visible()
    for part in ("#objects", "#legend", ".verdicts li"):
        expect(page.locator(part)).to_be_hidden()
    open_large(page)
    expect(page.locator("#large-classes")).to_be_hidden()


@both_sizes
def test_all_objects_are_found_in_one_go_and_told_apart(
    page: Page, desk: Path, address: str
) -> None:
    two_objects(page, desk)
    give_queries(page, desk / "other.png")
    requests = asked(page)
    segment(page)
    assert len(requests) == 4
    expect(page.locator("#legend .name")).to_have_text(NAMES)
    for card in (0, 1):
        texts = verdicts(page, card)
        assert [text.split()[1] for text in texts] == NAMES
        assert all("%" in text or "nothing" in text for text in texts)
    expect(page.locator(".card .found").first).to_have_text("")
    mask = downloaded(page, ".card [data-output=mask]")
    found = classes_in(mask)
    assert found.shape == (111, 153)
    with Image.open(BytesIO(mask)) as image:
        legend = json.loads(image.info["legend"])
        palette = np.array(image.getpalette()).reshape(-1, 3)[:3].tolist()
    assert [(each["index"], each["label"]) for each in legend] == [(1, "cup"), (2, "plate")]
    assert palette == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    assert (found == of_service(page, desk, address)).mean() > 0.99


def of_service(page: Page, desk: Path, address: str) -> NDArray[np.uint8]:
    """The same by POST /segment/multiclass."""
    parts: list[Any] = [("query_image", (desk / "query.png").read_bytes())]
    for place, (name, photograph) in enumerate(zip(NAMES, ("support", "second"), strict=True)):
        choose(page, place)
        parts += [
            ("support_image", (desk / f"{photograph}.png").read_bytes()),
            ("support_mask", downloaded(page, "#mask-save")),
            ("support_label", (None, name)),
        ]
    files = [(part, value if part == "support_label" else (f"{part}.png", value))
             for part, value in parts]  # fmt: skip
    threshold = float(page.inner_text("#threshold-value"))
    reply = httpx.post(
        f"{address}/segment/multiclass", files=files, params={"threshold": threshold}, timeout=60
    )
    return classes_in(reply.raise_for_status().content)


def test_an_object_that_is_added_to_results_is_sought_alone(page: Page, desk: Path) -> None:
    ready(page, desk)
    segment(page)
    add_object(page, "plate", desk / "second.png")
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("#run")).to_have_text("Find plate too")
    requests = asked(page)
    segment(page)
    assert len(requests) == 1
    expect(page.locator("#run")).to_have_text("Run again")
    expect(page.locator(".card .verdicts li")).to_have_count(2)


def test_an_object_without_a_photograph_says_so_where_it_is(page: Page, desk: Path) -> None:
    two_objects(page, desk)
    page.click("#object-add")
    choose(page, 0)
    page.click("#run")
    expect(page.locator("#show > .notice")).to_contain_text("Choose a photograph that shows")
    expect(page.locator("#object-list button").nth(2)).to_have_attribute("aria-pressed", "true")
    page.click("#object-remove")
    expect(page.locator("#object-list .name")).to_have_text(NAMES)
    segment(page)
    expect(page.locator(".card .verdicts li")).to_have_count(2)


def test_numbers_choose_the_object_and_every_object_keeps_what_is_painted(
    page: Page, desk: Path
) -> None:
    two_objects(page, desk)
    shares = []
    for key, name in [("2", "second.png"), ("1", "support.png")]:
        page.locator("#stage").focus()
        page.keyboard.press(key)
        expect(page.locator("#shot-list .name")).to_have_text(name)
        shares.append(pages.painted(page))
    assert 0 < shares[0] != shares[1] > 0
    page.keyboard.press("2")
    page.keyboard.press("Control+z")
    expect(page.locator("#painted-share")).to_contain_text("Paint over the object in second.png")


def corrected_by_class(page: Page) -> NDArray[np.uint8]:
    """Clear the first result; paint the first object, and the second across it; erase a corner."""
    open_large(page)
    page.click("#large [data-act=clear]")
    slide(page, "#large [data-act=size]", 100)
    paint(page, [(0.5, 0.4), (0.5, 0.6)], LARGE)
    page.locator(LARGE).focus()
    page.keyboard.press("2")
    expect(page.locator("#large-classes button").nth(1)).to_have_attribute("aria-pressed", "true")
    paint(page, [(0.4, 0.5), (0.6, 0.5)], LARGE)
    expect(page.locator("#large-share")).to_contain_text("is plate")
    return classes_in(downloaded(page, "#large-mask"))


def test_a_correction_is_by_class(page: Page, desk: Path) -> None:
    two_objects(page, desk)
    segment(page)
    both = corrected_by_class(page)
    height, width = both.shape
    assert both[height // 2, width // 2] == 2
    assert {1, 2} == set(np.unique(both)) - {0}
    page.keyboard.press("Control+z")
    one = classes_in(downloaded(page, "#large-mask"))
    assert_array_equal(both[both != 2], one[both != 2])
    assert set(np.unique(one)) == {0, 1} and (one[both == 2] == 1).any()
    page.click("#large [data-act=redo]")
    page.click("#large [data-tool=eraser]")
    paint(page, [(0.5, 0.5), (0.51, 0.5)], LARGE)
    erased = classes_in(downloaded(page, "#large-mask"))
    assert erased[height // 2, width // 2] == 0
    close_large(page)
    assert [text.endswith("by hand") for text in verdicts(page)] == [True, True]
    assert_array_equal(classes_in(downloaded(page, ".card [data-output=mask]")), erased)


def test_what_is_corrected_stays_and_a_later_object_is_found_beside_it(
    page: Page, desk: Path
) -> None:
    two_objects(page, desk)
    segment(page)
    corrected = corrected_by_class(page)
    close_large(page)
    add_object(page, "spoon", desk / "support.png")
    segment(page)
    slide(page, "#threshold", 1)
    found = classes_in(downloaded(page, ".card [data-output=mask]"))
    assert_array_equal(found[corrected > 0], corrected[corrected > 0])
    assert (found[corrected == 0] == 3).any()
    assert not np.isin(found[corrected == 0], (1, 2)).any()


def test_files_of_all_formats_hold_all_objects(page: Page, desk: Path) -> None:
    two_objects(page, desk)
    segment(page)
    classes = corrected_by_class(page)
    close_large(page)
    page.click("#everything-open")
    expect(page.locator("#everything-legend .name")).to_have_text(NAMES)
    expect(page.locator("#everything-label")).to_be_hidden()
    page.keyboard.press("Escape")
    archive: ZipFile = everything(page, "masks", "coco", "yolo", "voc", "label_studio", "overlays")
    coco = json.loads(archive.read("annotations.json"))
    assert [category["name"] for category in coco["categories"]] == NAMES
    areas = {each["category_id"]: each["area"] for each in coco["annotations"]}
    assert areas == {1: (classes == 1).sum(), 2: (classes == 2).sum()}
    for path in ("query.png", "SegmentationClass/query.png"):
        assert_array_equal(classes_in(archive.read(path)), classes)
    assert json.loads(archive.read("data.yaml"))["names"] == NAMES
    (task,) = json.loads(archive.read("label-studio.json"))
    regions = task["annotations"][0]["result"]
    assert [each["value"]["brushlabels"] for each in regions] == [["cup"], ["plate"]]
    record = json.loads(downloaded(page, ".card [data-output=json]"))
    assert [category["name"] for category in record["categories"]] == NAMES


def test_a_reload_brings_every_object_back_with_its_results(page: Page, desk: Path) -> None:
    two_objects(page, desk)
    give_queries(page, desk / "other.png")
    segment(page)
    corrected = corrected_by_class(page)
    close_large(page)
    other = ".card:nth-child(2) [data-output=mask]"
    before, told = classes_in(downloaded(page, other)), verdicts(page, 1)
    choose(page, 1)
    kept(page)
    requests = asked(page)
    leave(page)
    expect(page.locator("#object-list .name")).to_have_text(NAMES)
    expect(page.locator("#shot-list .name")).to_have_text("second.png")
    expect(page.locator(".card .badge")).to_have_text(["Corrected", ""])
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("#run")).to_have_text("Run again")
    assert verdicts(page, 1) == told
    assert_array_equal(classes_in(downloaded(page, ".card [data-output=mask]")), corrected)
    assert_array_equal(classes_in(downloaded(page, other)), before)
    assert requests == []
    choose(page, 0)
    expect(page.locator("#shot-list .name")).to_have_text("support.png")
    assert pages.painted(page) > 0


def test_a_saved_object_is_one_of_several(page: Page, desk: Path) -> None:
    save(page, desk, "stored plate", "second.png")
    page.click("#using-stop")
    give_queries(page, desk / "query.png")
    if page.locator("#shot-list li").count() == 0:
        give_support(page, desk / "support.png")
        paint(page, STROKE)
    page.click("#object-add")
    saved(page, "stored plate").locator(".pick").click()
    expect(page.locator("#object-list .name")).to_have_text(["Object 1", "stored plate"])
    requests = asked(page)
    segment(page)
    assert len(requests) == 2
    assert sum("support_set=" in url for url in requests) == 1
    expect(page.locator("#code")).to_contain_text("segment/multiclass?support_set=")
    choose(page, 0)
    expect(page.locator("#painting")).to_be_visible()
    choose(page, 1)
    expect(page.locator("#using-name")).to_have_text("stored plate")


def test_an_open_object_keeps_what_is_not_saved_while_another_is_shown(
    page: Page, desk: Path
) -> None:
    save(page, desk, "opened cup")
    pages.reopen(page, 1)
    paint(page, CORNER)
    expect(page.locator("#opened-news")).to_have_text("Not saved yet: 1 repainted.")
    add_object(page, "plate", desk / "second.png")
    expect(page.locator("#opened")).to_be_hidden()
    choose(page, 0)
    expect(page.locator("#opened-news")).to_have_text("Not saved yet: 1 repainted.")
    page.click("#opened-save")
    expect(page.locator("#using-name")).to_have_text("opened cup")


def test_a_result_shows_every_object_that_is_marked_in_it(page: Page, desk: Path) -> None:
    two_objects(page, desk)
    segment(page)
    corrected_by_class(page)
    page.click("#large-use")
    expect(page.locator("#toast")).to_have_text("query.png shows cup, plate as well. See step 1.")
    for place, own in enumerate(["support.png", "second.png"]):
        choose(page, place)
        expect(page.locator("#shot-list .name")).to_have_text([own, "query.png"])
    kept_mask = downloaded(page, "#mask-save")
    with Image.open(BytesIO(kept_mask)) as mask:
        drawn = np.array(mask) > 0
    assert_array_equal(drawn, classes_in(downloaded(page, ".card [data-output=mask]")) == 2)


def test_the_second_object_leaves_with_its_masks(page: Page, desk: Path) -> None:
    two_objects(page, desk)
    segment(page)
    choose(page, 1)
    page.click("#object-remove")
    page.click("#confirm .danger")
    expect(page.locator("#objects")).to_be_hidden()
    expect(page.locator(".card .verdicts li")).to_have_count(0)
    expect(page.locator(".card .found")).to_contain_text("of the photograph")
    expect(page.locator("#stale")).to_be_hidden()


def test_colours_side_by_side_are_told_apart_by_everybody(page: Page) -> None:
    colours = page.evaluate("import('./web/colours.js').then(module => module.SIDE_BY_SIDE)")
    assert len(colours) == 9
    for sight in SIGHTS.values():
        seen = [lab(np.clip(sight @ linear(colour), 0, 1)) for colour in colours]
        apart = [
            np.linalg.norm(one - other) for n, one in enumerate(seen) for other in seen[n + 1 :]
        ]
        assert min(apart) > 20  # of CIE76; 2 are just seen


# Machado, Oliveira and Fernandes 2009, severity 1: of linear RGB.
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)  # fmt: skip


def linear(colour: list[int]) -> NDArray[np.float64]:
    share = np.array(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    share = (TO_XYZ @ light) / (TO_XYZ @ np.ones(3))
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_several_objects_are_accessible_and_fit(
    browser: Browser, address: str, desk: Path, size: str, theme: Any
) -> None:
    page = open_page(browser, address, size, color_scheme=theme, reduced_motion="reduce")
    two_objects(page, desk)
    add_object(page, "an object under a name that is as long as names are", desk / "other.png")
    segment(page)
    assert pages.serious_findings(Axe().run(page)) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#everything-open")
    assert pages.serious_findings(Axe().run(page)) == []
    page.keyboard.press("Escape")
    open_large(page)
    assert pages.serious_findings(Axe().run(page)) == []
    assert page.locator("#large").evaluate("d => d.scrollHeight <= d.clientHeight")
    page.context.close()
