"""How the C library is to treat freed blocks."""

import contextlib
import ctypes
from functools import cache


@cache
def keep_freed_memory() -> None:
    """Let glibc keep freed blocks: mapping temporaries anew at every operation costs more than they do."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD, bytes
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD, bytes
