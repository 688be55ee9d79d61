"""The C library's allocator, for a process that needs the same large arrays again and again."""

import ctypes
import platform

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER, _NONE = -1, 0
_TOP_PAD_BYTES = 128 * 1024 * 1024


def keep_freed_memory() -> None:
    """Let freed memory stay with the process; nothing happens where the C library is not glibc.

    glibc returns large arrays to the system, which clears their pages anew at each step: on a CPU
    half of a training step and of an evaluation. The process then holds its peak until it ends.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    glibc = ctypes.CDLL(None)
    glibc.mallopt(_M_MMAP_MAX, _NONE)
    glibc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    glibc.mallopt(_M_TOP_PAD, _TOP_PAD_BYTES)
