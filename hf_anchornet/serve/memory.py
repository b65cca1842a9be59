"""Return of freed memory to the system, which glibc would otherwise keep."""

import asyncio
import ctypes
from collections.abc import Callable
from concurrent.futures import Executor

TRIM_SECONDS = 10.0
"""Seconds between calls of `malloc_trim`; a call takes about 20 ms."""


def find_trim() -> Callable[[int], int] | None:
    """The `malloc_trim` of glibc, or `None` with another C library."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # no such function; no such library; Windows
        return None
    return trim


async def trim_memory(thread: Executor) -> None:
    """Return freed memory to the system every `TRIM_SECONDS` until cancelled.

    Batches differ in size, so the memory that one frees rarely fits the next. Without trimming, the
    resident size grows for hours while the memory in use stays constant.

    Args:
        thread: The model's thread, so that trimming never competes with a forward pass.
    """
    trim = find_trim()
    while trim is not None:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.get_running_loop().run_in_executor(thread, trim, 0)
