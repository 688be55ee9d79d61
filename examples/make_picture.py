"""Make docs/example.png with the shipped checkpoint: support, its mask, query, and what is found.

.venv/bin/python examples/make_picture.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageDraw, ImageFont, ImageOps

from service.local import LocalSegmenter
from service.settings import read_settings

HERE = Path(__file__).parent
SUPPORT, QUERY = "astronaut", "photographer"
HEIGHT, GAP, CAPTION = 320, 12, 30


def main() -> None:
    """Segment the query and set the four panels side by side."""
    photograph, mask = HERE / f"{SUPPORT}.jpg", HERE / f"{SUPPORT}.mask.png"
    query = HERE / f"{QUERY}.jpg"
    segmenter = LocalSegmenter(read_settings(), ((photograph, mask),), "average")
    with TemporaryDirectory() as folder:
        found = Path(folder) / "found.png"
        segmenter.write(query, found, overlay=True)
        panels = {
            "you send: a photograph": photograph,
            "its object, painted": mask,
            "another photograph": query,
            "you get: its mask (laid over)": found.with_suffix(".overlay.png"),
        }
        images = {caption: Image.open(path).convert("RGB") for caption, path in panels.items()}
    draw_row(images).save(HERE.parent / "docs" / "example.png", optimize=True)


def draw_row(images: dict[str, Image.Image]) -> Image.Image:
    """Captioned panels of one height on white."""
    scaled = {
        caption: ImageOps.contain(image, (10 * HEIGHT, HEIGHT)) for caption, image in images.items()
    }
    width = sum(image.width for image in scaled.values()) + GAP * (len(scaled) - 1)
    row = Image.new("RGB", (width, HEIGHT + CAPTION), "white")
    pen, font = ImageDraw.Draw(row), ImageFont.load_default(15)
    left = 0
    for caption, image in scaled.items():
        pen.text((left, 4), caption, fill="black", font=font)
        row.paste(image, (left, CAPTION))
        left += image.width + GAP
    return row


if __name__ == "__main__":
    main()
