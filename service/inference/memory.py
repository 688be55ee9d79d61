"""Want of memory: it has many names, and a client is told of it as one error."""

from collections.abc import Callable

from service.errors import OutOfMemoryError
from service.inference.line import Item, Result

# In the text of a plain RuntimeError: torch's on the CPU, and what passes C++'s own on.
_TEXTS = ("DefaultCPUAllocator", "bad_alloc")


def telling_of_memory(compute: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """``compute``, but where it finds no memory it raises OutOfMemoryError.

    That error has no context, so that what the failed try held is free before the next item.
    """

    def compute_or_tell(item: Item) -> Result:
        try:
            return compute(item)
        except Exception as error:
            if not _is_want_of_memory(error):
                raise
        raise OutOfMemoryError

    return compute_or_tell


def _is_want_of_memory(error: Exception) -> bool:
    """Torch's own error is known by its name: where torch does not compute, it is not imported."""
    if isinstance(error, MemoryError) or type(error).__name__ == OutOfMemoryError.__name__:
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)
