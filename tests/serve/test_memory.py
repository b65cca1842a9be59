"""Freed memory is returned to the system where the C library can do that."""

import asyncio
import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from hf_anchornet.serve import memory as serving_memory
from hf_anchornet.serve.memory import find_trim, trim_memory


@pytest.mark.skipif(find_trim() is None, reason="another C library than glibc")
def test_pages_between_blocks_in_use_are_returned(monkeypatch):
    monkeypatch.setattr(serving_memory, "TRIM_SECONDS", 0.01)
    process = psutil.Process()
    blocks = [np.ones(8000) for _ in range(4000)]  # 64 kB each: below glibc's limit for mmap
    kept = blocks[::2]  # so that freed blocks are not at the end of the heap
    del blocks
    before = process.memory_info().rss

    async def run():
        with ThreadPoolExecutor(1) as thread:
            task = asyncio.create_task(trim_memory(thread))
            await asyncio.sleep(0.3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return task

    assert asyncio.run(run()).cancelled()
    assert before - process.memory_info().rss > 60e6
    assert len(kept) == 2000


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert find_trim() is None
    asyncio.run(asyncio.wait_for(trim_memory(ThreadPoolExecutor(1)), timeout=5))
