"""Make docs/example.png with the shipped checkpoint: support, its mask, query, and what is found.

.venv/bin/python examples/make_picture.py
"""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from service.folders.local import LocalFinder
from service.images.render import overlay_png
from service.options import KShotOptions
from service.settings import read_settings

HERE = Path(__file__).parent
SUPPORT, QUERY = "astronaut", "photographer"
HEIGHT, GAP, CAPTION = 320, 12, 30


def main() -> None:
    """Segment the query and set the four panels side by side."""
    support, mask = HERE / f"{SUPPORT}.jpg", HERE / f"{SUPPORT}.mask.png"
    query = HERE / f"{QUERY}.jpg"
    found = LocalFinder(read_settings(), [(support, mask)], KShotOptions()).find(query)
    overlay = overlay_png(found.photograph(), found.mask)
    images = {
        "you send: a photograph": Image.open(support),
        "its object, painted": Image.open(mask).convert("RGB"),
        "another photograph": Image.open(query).convert("RGB"),
        "you get: its mask (laid over)": Image.open(BytesIO(overlay)),
    }
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
