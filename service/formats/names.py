"""How files are named after the photographs that they tell of."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from service.errors import DuplicateNameError

MAX_STEM = 100
# Windows refuses these, and names that end in a full stop or a space.
_REFUSED = re.compile(r"[<>:\"|?*\x00-\x1f\x7f]")


def stem(file_name: str) -> str:
    """``2024/june.jpg`` -> ``2024/june``."""
    return str(PurePosixPath(file_name).with_suffix(""))


def plain_name(sent: str) -> str:
    """A file's name without folders, and of characters that every file system takes."""
    last = PurePosixPath(_REFUSED.sub("_", re.split(r"[/\\]", sent)[-1].strip()))
    return (last.stem[:MAX_STEM].rstrip(". ") or "photograph") + last.suffix[:MAX_STEM].rstrip(". ")


def plain_names(sent: Sequence[str], field: str) -> list[str]:
    """``plain_name`` of each of the files of a part.

    Raises DuplicateNameError where the files of two photographs would have one name.
    """
    names = [plain_name(name) for name in sent]
    taken: dict[str, int] = {}
    for place, name in enumerate(names):
        other = taken.setdefault(stem(name).casefold(), place)
        if other != place:
            raise DuplicateNameError(
                f"{field}[{place}] and {field}[{other}] are both named {stem(name)!r}, and so "
                "would be the files of both; give them names of their own",
                field=f"{field}[{place}]",
            )
    return names
