"""Table and picture of a run: in the documentation, or beside the results of a smoke test."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from picture import draw
from plan import ROOT, STANDARD
from tables import BEGIN, END, insert, report

DOCUMENT = ROOT / "docs" / "reference" / "benchmarks.md"
PICTURE = ROOT / "docs" / "pictures" / "benchmarks.png"


def publish(results: dict[str, Any], path: Path) -> None:
    """``path`` is the results' own file; only the standard run of one process is for readers."""
    own = path.with_suffix(".md")
    own.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    insert(own, report(results))
    draw(results, path.with_suffix(".png"))
    facts = results["conditions"]
    if facts["plan"] == STANDARD.name and facts["shape"]["workers"] == 1:
        shutil.copy(path, DOCUMENT.with_suffix(".json"))
        insert(DOCUMENT, report(results))
        draw(results, PICTURE)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    publish(json.loads(file.read_text(encoding="utf-8")), file)
