"""A walk over the page, from the first stroke to the downloaded COCO file, in Chromium.

sgone serve --port 8000 &
python benchmarks/page_walk.py http://127.0.0.1:8000 --data data/voc \
    --list data/voc/lists/train.txt --class-name bird --photographs 40 --seed 0

shows the object in one photograph by a zigzag of the mouse that is filled in, has it found in
further ones, downloads all as COCO, corrects the two worst masks by hand, lets both show the object
too, runs again and downloads again. It prints clicks, strokes and seconds of each part, and the
mean IoU before and after: of all photographs, and of those that nobody corrected.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from pycocotools import mask as run_lengths

from model.datasets.listing import SegmentationDataset
from model.datasets.pascal import default_list, pascal_voc
from model.episode import VOID
from rough_hand import Mask, zigzag

LEAST_SHARE = 0.005
"""Of a photograph; smaller objects are left out."""
WORST, BRUSH = 2, 16
"""Masks that are corrected, and the diameter in pixels of the window by which they are."""
PATIENCE_MS = 5 * 60_000
Line = tuple[tuple[float, float], tuple[float, float]]


@dataclass
class Hand:
    """Whoever walks: counts what it does, and says how long each part took."""

    page: Page
    clicks: int = 0
    strokes: int = 0
    began: float = field(default_factory=time.perf_counter)

    def click(self, selector: str) -> None:
        """One click."""
        self.page.click(selector)
        self.clicks += 1

    def choose(self, selector: str, *files: Path) -> None:
        """One click, on a chooser of files."""
        self.page.set_input_files(selector, list(files))
        self.clicks += 1

    def drag(self, *points: tuple[float, float]) -> None:
        """One stroke of the mouse."""
        first, *rest = points
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for point in rest:
            self.page.mouse.move(*point, steps=4)
        self.page.mouse.up()
        self.strokes += 1

    def tell(self, part: str) -> None:
        """Print what was done since the last time, and begin anew."""
        seconds = time.perf_counter() - self.began
        print(f"{part}: {self.clicks} clicks, {self.strokes} strokes, {seconds:.0f} s", flush=True)
        self.clicks = self.strokes = 0
        self.began = time.perf_counter()


@dataclass(frozen=True)
class Truth:
    """A photograph and where the object is in it, as the data set says."""

    path: Path
    label: NDArray[np.uint8]  # (H, W) in {0, 1, VOID}

    @property
    def mask(self) -> Mask:
        """(H, W) true on the object."""
        return np.asarray(self.label == 1)

    def iou(self, found: Mask) -> float:
        """In percent; void pixels do not count."""
        counted = self.label != VOID
        union = ((found | self.mask) & counted).sum()
        return 100 * float((found & self.mask & counted).sum() / union) if union else 100.0


def main() -> None:
    """Walk, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url", help="the page of a service that runs")
    parser.add_argument("--data", type=Path, required=True, help="a folder as VOC has it")
    parser.add_argument("--list", type=Path, help="file of names; validation's where it is unset")
    parser.add_argument("--class-name", default="bird")
    parser.add_argument("--photographs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--screenshot", type=Path, help="the page at the end goes here, as PNG")
    given = parser.parse_args()
    dataset = pascal_voc(given.data, given.list or default_list(given.data, "val"))
    shown, *asked = _draw(dataset, given.class_name, given.photographs + 1, given.seed)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.goto(given.url)
        _walk(Hand(page), shown, asked, given.class_name)
        if given.screenshot:
            page.screenshot(path=given.screenshot, full_page=True)
        browser.close()


def _walk(hand: Hand, shown: Truth, asked: list[Truth], name: str) -> None:
    _show(hand, shown)
    hand.tell("show the object")
    hand.choose("#query-file", *(truth.path for truth in asked))
    expect(hand.page.locator("#query-list li")).to_have_count(len(asked))
    _run(hand, "#run", len(asked))
    hand.tell(f"segment {len(asked)} photographs")
    before = _download(hand, asked, name)
    hand.tell("download as COCO")
    worst = sorted(range(len(asked)), key=before.__getitem__)[:WORST]
    for place in worst:
        _correct(hand, asked[place])
    hand.tell(f"correct {WORST} and let them show the object")
    _run(hand, "#stale-run", len(asked))
    hand.tell("run again")
    after = _download(hand, asked, name)
    hand.tell("download again")
    rest = [place for place in range(len(asked)) if place not in worst]
    for group, places in (("all", list(range(len(asked)))), ("not corrected", rest)):
        means = [np.mean([scores[place] for place in places]) for scores in (before, after)]
        print(f"mean IoU, {group} ({len(places)}): {means[0]:.1f} before, {means[1]:.1f} after")


def _draw(dataset: SegmentationDataset, name: str, count: int, seed: int) -> list[Truth]:
    class_id = dataset.classes.index(name)
    members = np.random.default_rng(seed).permutation(dataset.members(class_id))
    drawn = []
    for member in members:
        sample = dataset.samples[member]
        truth = Truth(sample.image, np.asarray(dataset.read_label(sample, class_id)))
        if truth.mask.mean() >= LEAST_SHARE:
            drawn.append(truth)
    if len(drawn) < count:
        raise SystemExit(f"{len(drawn)} photographs show {name!r}; ask for {len(drawn) - 1}")
    return drawn[:count]


def _show(hand: Hand, truth: Truth) -> None:
    """A zigzag over the object, filled in."""
    hand.choose("#shot-file", truth.path)
    expect(hand.page.locator("#shot-list li")).to_have_count(1)
    place = _Stage(hand.page, "#stage", truth.mask.shape)
    hand.drag(*(place.at(point) for point in zigzag(truth.mask)))
    hand.click("#fill-in")
    expect(hand.page.locator("#fill-in")).to_have_attribute("aria-busy", "false")


def _run(hand: Hand, button: str, count: int) -> None:
    hand.click(button)
    expect(hand.page.locator(".card")).to_have_count(count)
    expect(hand.page.locator(".card.waiting")).to_have_count(0)
    hand.page.wait_for_selector("#progress", state="hidden")


def _download(hand: Hand, asked: list[Truth], name: str) -> list[float]:
    """The IoU of each photograph's mask in the COCO file that is downloaded."""
    hand.click("#everything-open")
    for box in hand.page.locator("#everything [name=format]").all():
        if box.is_checked() != (box.get_attribute("value") == "coco"):
            box.click()
            hand.clicks += 1
    hand.page.fill("#everything-label", name)
    with hand.page.expect_download() as download:
        hand.click("#everything-go")
    content = Path(download.value.path()).read_bytes()
    with ZipFile(BytesIO(content)) as archive:
        (member,) = (each for each in archive.namelist() if each.endswith(".json"))
        coco = json.loads(archive.read(member))
    names = {image["id"]: Path(image["file_name"]).stem for image in coco["images"]}
    found: dict[str, Mask] = {}
    for annotation in coco["annotations"]:
        mask = run_lengths.decode(annotation["segmentation"]).astype(bool)
        found[names[annotation["image_id"]]] = mask
    nothing = (np.zeros(one.label.shape, np.bool_) for one in asked)
    return [
        one.iou(found.get(one.path.stem, none)) for one, none in zip(asked, nothing, strict=True)
    ]


def _correct(hand: Hand, truth: Truth) -> None:
    """Open it large, erase what is too much, paint what is missing, let it show the object."""
    card = hand.page.locator(".card", has_text=truth.path.name)
    if not card.is_visible():
        hand.click("#absent-toggle")
    card.locator(".picture").click()
    hand.clicks += 1
    stage = _Stage(hand.page, "#large-stage", truth.mask.shape)
    hand.page.locator("#large [data-act=size]").evaluate(
        "(slider, value) => { slider.value = value;"
        " slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        BRUSH,
    )
    hand.clicks += 1
    width = BRUSH / stage.scale
    with hand.page.expect_download() as download:  # what eyes see
        hand.page.click("#large-mask")
    found = np.array(Image.open(download.value.path())) > 0
    wrong, missing = found & ~truth.mask, truth.mask & ~found
    for tool, region, room in (("eraser", wrong, ~truth.mask), ("brush", missing, truth.mask)):
        hand.click(f"#large [data-tool={tool}]")
        for start, end in _lines(region, room, width):
            hand.drag(stage.at(start), stage.at(end))
    hand.click("#large-use")
    if hand.page.is_visible("#large"):
        hand.click("#large-close")


def _lines(region: Mask, room: Mask, width: float) -> Iterator[Line]:
    """Level strokes of a brush so wide that cover the region and do not leave the room."""
    kernel = np.ones((round(width), round(width)), np.uint8)
    inner = cv2.erode(room.astype(np.uint8), kernel) & cv2.dilate(region.astype(np.uint8), kernel)
    for y in np.arange(width / 2, region.shape[0], width * 0.7).astype(int):
        columns = np.flatnonzero(np.diff(inner[y], prepend=0, append=0))
        for left, right in zip(columns[::2], columns[1::2], strict=True):
            yield (float(left), y + 0.5), (float(right), y + 0.5)


class _Stage:
    """Where pixels of a photograph lie in the window: it is shown whole, in the stage's middle."""

    def __init__(self, page: Page, selector: str, size: tuple[int, ...]) -> None:
        stage = page.locator(selector)
        expect(stage).to_be_visible()
        stage.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        box = stage.bounding_box()
        assert box is not None
        height, width = size
        self.scale = min(box["width"] / width, box["height"] / height)
        self._left = box["x"] + (box["width"] - width * self.scale) / 2
        self._top = box["y"] + (box["height"] - height * self.scale) / 2

    def at(self, point: tuple[float, float]) -> tuple[float, float]:
        """(x, y) in the window of a pixel's (x, y)."""
        return self._left + point[0] * self.scale, self._top + point[1] * self.scale


if __name__ == "__main__":
    main()
