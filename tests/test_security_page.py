"""SECURITY.md names tests that exist."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_every_threat_names_a_test_that_exists() -> None:
    page = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "Threat" not in line]
    sources = "".join(
        file.read_text(encoding="utf-8") for file in (REPOSITORY / "tests").rglob("test_*.py")
    )
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        for name in named:
            assert f"def {name}(" in sources, name
