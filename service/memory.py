"""Batches that do not fit into memory: they are run in halves, down to single items."""

import logging
from collections.abc import Sequence
from typing import Generic

from service.errors import OutOfMemoryError
from service.scheduler import RunBatch
from service.waiting import Item, Result

# In the text of a plain RuntimeError: torch's on the CPU, and what passes C++'s own on.
_TEXTS = ("DefaultCPUAllocator", "bad_alloc")
_log = logging.getLogger(__name__)


class InHalves(Generic[Item, Result]):
    """A ``run_batch`` that runs again, in halves, the items that ran out of memory together.

    It never raises for want of memory: an item that is too large alone gets OutOfMemoryError.
    """

    def __init__(self, run_batch: RunBatch[Item, Result]) -> None:
        self._run_batch = run_batch

    def __call__(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        """One result or one exception for each item."""
        results = list(self._attempt(items))
        short = [n for n, result in enumerate(results) if isinstance(result, OutOfMemoryError)]
        if len(items) > 1 and short:
            _log.warning("%d of %d items ran out of memory; trying halves", len(short), len(items))
            middle = (len(short) + 1) // 2
            for half in (short[:middle], short[middle:]):
                for n, result in zip(half, self([items[n] for n in half]), strict=True):
                    results[n] = result
        return results

    def _attempt(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        """The traceback of an error, and the tensors in its frames, are gone when this returns."""
        try:
            results = self._run_batch(items) if items else ()
        except Exception as error:
            if not _is_want_of_memory(error):
                raise
        else:
            return [_too_large() if _is_want_of_memory(result) else result for result in results]
        return [_too_large() for _ in items]


def _is_want_of_memory(result: object) -> bool:
    """Torch's own error is known by its name: where torch does not compute, it is not imported."""
    if isinstance(result, MemoryError) or type(result).__name__ == OutOfMemoryError.__name__:
        return True
    return isinstance(result, RuntimeError) and any(text in str(result) for text in _TEXTS)


def _too_large() -> OutOfMemoryError:
    return OutOfMemoryError("there is no memory for this request; send smaller or fewer images")
