"""The code of docs/in-process.md and of the README, run as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCKS, README = (
    re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text("utf-8"), re.M | re.S)
    for name in ("docs/in-process.md", "README.md")
)


@pytest.mark.slow
def test_the_code_runs_and_gives_masks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    found = []
    for block in [*BLOCKS, *README]:
        exec(block, names)
        found.append(names["found"])
    assert [each.mask.any() for each in found] == [True] * 4  # type: ignore[attr-defined]
    assert [each.mask.dtype for each in found] == [np.bool_] * 4  # type: ignore[attr-defined]
    assert capsys.readouterr().out.startswith("(512, 512) bool")
