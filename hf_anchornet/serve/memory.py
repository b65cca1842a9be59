"""Memory that was freed goes back to the system; glibc would keep it, and more and more of it."""

import asyncio
import ctypes
from collections.abc import Callable
from concurrent.futures import Executor

TRIM_SECONDS = 10.0
"""Between two times; one takes some 20 ms."""


def find_trim() -> Callable[[int], int] | None:
    """`malloc_trim` of glibc; `None` where there is another C library."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # no such function; no such library; Windows
        return None
    return trim


async def trim_memory(thread: Executor) -> None:
    """Give freed memory back every `TRIM_SECONDS` until cancelled.

    Batches differ in size, so what one leaves free seldom fits the next, and resident memory would
    climb for hours while the memory in use stays the same.

    Args:
        thread: Where the model reads: it does not wait for memory meanwhile.
    """
    trim = find_trim()
    while trim is not None:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.get_running_loop().run_in_executor(thread, trim, 0)
