"""The documentation as a whole: its links lead somewhere, its pages are short."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_LISTED = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
DOCUMENTS = sorted(
    Path(name)
    for name in subprocess.check_output(_LISTED, cwd=ROOT, encoding="utf-8").splitlines()
    if (ROOT / name).exists()
)
# Tables to look things up in, and the list of changes, are as long as they are.
LISTS = {Path("CHANGELOG.md"), *(path for path in DOCUMENTS if path.parent.name == "reference")}
MOST_WORDS = 1500

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=str)


def prose(document: Path) -> str:
    """The text without blocks and spans of code, whose brackets are no links."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.sub(r"`[^`\n]*`", "`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchors(document: Path) -> set[str]:
    """Of each heading, as GitHub makes them: the second of one name ends in -1."""
    text = re.sub(
        r"^```.*?^```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.M | re.S
    )
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return names


def links(document: Path) -> list[str]:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(document))
    return [target for target in targets if not re.match(r"[a-z]+://", target)]


@each_document
def test_a_relative_link_leads_to_a_file_and_an_anchor_to_a_heading(document: Path) -> None:
    for target in links(document):
        name, _, anchor = target.partition("#")
        path = (ROOT / document.parent / name).resolve() if name else ROOT / document
        assert path.exists(), f"{document}: {target}"
        assert not anchor or anchor in anchors(path), f"{document}: {target}"


@each_document
def test_no_link_is_broken_over_two_lines(document: Path) -> None:
    assert not re.search(r"\]\([^)\n]*\n", prose(document))


@pytest.mark.parametrize("document", sorted({*DOCUMENTS} - LISTS), ids=str)
def test_a_page_is_short(document: Path) -> None:
    assert len((ROOT / document).read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [Path("README.md")]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        pages = [(ROOT / page.parent / link.partition("#")[0]).resolve() for link in links(page)]
        found = {path.relative_to(ROOT) for path in pages if path.suffix == ".md"}
        ahead += found - reached
    assert {*DOCUMENTS} - reached == {Path("CHANGELOG.md")}
