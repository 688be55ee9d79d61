"""A batch that fails is run again in halves, so that one bad item leaves its neighbours alone."""

import logging
from collections.abc import Callable, Sequence
from typing import Generic

from service.errors import OutOfMemoryError
from service.inference.line import Item, Result

# In the text of a plain RuntimeError: torch's on the CPU, and what passes C++'s own on.
_TEXTS = ("DefaultCPUAllocator", "bad_alloc")
_log = logging.getLogger(__name__)


class InHalves(Generic[Item, Result]):
    """``run`` computes a batch or raises; this gives one result or one exception for each item.

    An item that finds no memory even alone gets OutOfMemoryError.
    """

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._run = run

    def __call__(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        """The results in the order of their items; it never raises."""
        results = self._attempt(items)
        if not isinstance(results, Exception):
            return results
        if len(items) == 1:
            return [results]
        _log.warning("a batch of %d failed (%r); trying halves", len(items), results)
        middle = (len(items) + 1) // 2
        return [*self(items[:middle]), *self(items[middle:])]

    def _attempt(self, items: Sequence[Item]) -> Sequence[Result] | Exception:
        """Of a want of memory the traceback, and what its frames hold, is gone on return."""
        try:
            return self._run(items)
        except Exception as error:
            if not _is_want_of_memory(error):
                return error
        return OutOfMemoryError("there is no memory for this request; send smaller or fewer images")


def _is_want_of_memory(error: Exception) -> bool:
    """Torch's own error is known by its name: where torch does not compute, it is not imported."""
    if isinstance(error, MemoryError) or type(error).__name__ == OutOfMemoryError.__name__:
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)
