"""What operating systems leave among files: neither photographs nor classes."""

from pathlib import PurePath

_NAMES = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information"}
_NAMES |= {"lost+found", "thumbs.db", "desktop.ini"}


def is_leftover(path: PurePath) -> bool:
    """Whether the file or folder is hidden, as a Mac's ``._1.jpg``, or a system's own."""
    return path.name.startswith(".") or path.name.lower() in _NAMES
