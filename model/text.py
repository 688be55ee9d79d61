"""Text files as people's editors save them."""

import codecs
from pathlib import Path

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """UTF-8 with or without a byte order mark, or UTF-16 with one, as PowerShell's ``>`` writes.

    Raises OSError, or UnicodeDecodeError where it is neither.
    """
    content = path.read_bytes()
    return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
