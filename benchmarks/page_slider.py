"""What a move of the threshold costs the page with hundreds of results, in Chromium.

sgone serve --port 8000 &
python benchmarks/page_slider.py http://127.0.0.1:8000 --cards 500 --frames 300

gives the page so many crops of an example photograph, answers in the network's place with a blurred
mask, and moves the slider once a frame, as a drag does. It prints milliseconds at percentiles: of
the script that runs within a frame, whose limit is 16, and from frame to frame. Both count the time
in which other programs had the CPU; the page's own CPU time, the mean of a frame, does not.
"""

import argparse
import shutil
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, CDPSession, Page, Route, sync_playwright

from plan import ROOT

EXAMPLE = ROOT / "examples" / "astronaut.jpg"
CROP = (440, 330)
SIZE = (880, 660)  # more than a card keeps
BLUR = 12
PERCENTILES = (50, 95, 100)
METRICS = {
    "script": "ScriptDuration",
    "style": "RecalcStyleDuration",
    "layout": "LayoutDuration",
    "main thread": "TaskDuration",
}
PATIENCE_MS = 30 * 60_000
MOVE = """
async frames => {
  const slider = document.getElementById("threshold");
  const [script, between] = [[], []];
  const own = window.requestAnimationFrame;
  let [spent, last] = [0, 0];
  const timed = act => (...given) => {
    const start = performance.now();
    act(...given);
    spent += performance.now() - start;
  };
  window.requestAnimationFrame = act => own(timed(act));
  const move = timed(value => {
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  for (let frame = 0; frame < frames; frame++) {
    const now = await new Promise(resolve => own(resolve));
    if (frame) {
      between.push(now - last);
      script.push(spent);
    }
    [spent, last] = [0, now];
    move(20 + Math.round(30 * (1 + Math.sin(frame / 10))));
  }
  window.requestAnimationFrame = own;
  return { script, between };
}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url", help="the page of a service that runs")
    parser.add_argument("--cards", type=int, default=500)
    parser.add_argument("--frames", type=int, default=300)
    arguments = parser.parse_args()
    flags = ["--no-sandbox", "--disable-gpu"]
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = _page_with_results(browser, arguments.url, Path(folder), arguments.cards)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = _cpu_seconds(session)
        measured = page.evaluate(MOVE, arguments.frames)
        after = _cpu_seconds(session)
        shown = page.evaluate(
            "[...document.querySelectorAll('.overlay')].filter(c => c.width).length"
        )
        browser.close()
    print(f"{arguments.cards} cards, {shown} of them drawn, {arguments.frames} frames")
    for name, start in before.items():
        print(f"{name}, CPU ms of a frame: {1e3 * (after[name] - start) / arguments.frames:.1f}")
    for name, values in measured.items():
        points = zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
        print(f"{name} ms: " + ", ".join(f"p{point} {value:.1f}" for point, value in points))


def _cpu_seconds(session: CDPSession) -> dict[str, float]:
    metrics = session.send("Performance.getMetrics")["metrics"]
    seconds = {metric["name"]: metric["value"] for metric in metrics}
    return {name: seconds[metric] for name, metric in METRICS.items()}


def _page_with_results(browser: Browser, url: str, folder: Path, cards: int) -> Page:
    photographs, answer = _crops(folder, cards)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    page.route("**/segment/kshot", lambda route: _answer(route, answer))
    page.goto(url)
    page.click('[data-examples="shots"] .pick >> nth=0')
    page.locator("#painted-share", has_text="is painted").wait_for()
    page.set_input_files("#query-file", photographs)
    page.locator("#query-list li").nth(cards - 1).wait_for(state="attached")
    page.click("#run")
    page.locator("#run").wait_for()
    page.locator("#threshold").scroll_into_view_if_needed()
    page.wait_for_timeout(2000)
    return page


def _crops(folder: Path, count: int) -> tuple[list[Path], bytes]:
    """Photographs of which no two are alike, and the probability that is answered for all."""
    source = Image.open(EXAMPLE).convert("RGB")
    across = source.width - CROP[0]
    paths = []
    for number in range(count):
        left, top = number % across, number // across
        path = folder / f"photograph {number}.jpg"
        crop = source.crop((left, top, left + CROP[0], top + CROP[1]))
        crop.resize(SIZE).save(path)
        paths.append(path)
    mask = (
        Image.open(EXAMPLE.with_suffix(".mask.png")).convert("L").crop((0, 0, *CROP)).resize(SIZE)
    )
    buffer = BytesIO()
    mask.filter(ImageFilter.GaussianBlur(BLUR)).save(buffer, "PNG")
    return paths, buffer.getvalue()


def _answer(route: Route, content: bytes) -> Any:
    route.fulfill(content_type="image/png", headers={"X-Object-Presence": "1"}, body=content)


if __name__ == "__main__":
    main()
