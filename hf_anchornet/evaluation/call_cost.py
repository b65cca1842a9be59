"""Seconds and peak memory of a function call."""

import ctypes
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import torch

Result = TypeVar("Result")

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


class CallCost(NamedTuple, Generic[Result]):
    """Result and cost of a call.

    Attributes:
        result: Return value of the call.
        seconds: On a CPU, processor time of this process, summed over threads, so that other
            processes do not count; on a GPU, wall time.
        peak_mib: Peak memory above that in use before the call, in MiB (2^20 bytes): on a GPU,
            memory allocated by torch; else the resident set of the process. `None` where the
            system does not report it (other than Linux).
    """

    result: Result
    seconds: float
    peak_mib: float | None


def measure_call(
    function: Callable[[], Result], device: torch.device | str = "cpu"
) -> CallCost[Result]:
    """Result and cost of one call of a function.

    Freed memory is first returned to the system where the C library supports it (GNU): otherwise
    a call that reuses it would seem to need no memory. If the first call does extra work, such as
    importing a library, call the function once before measuring.

    Args:
        function: Function to call.
        device: Device that it computes on.
    """
    if torch.device(device).type == "cuda":
        return _measure_on_gpu(function, torch.device(device))
    before = _reset_peak()
    start = time.process_time()
    result = function()
    seconds = time.process_time() - start
    peak = None if before is None else (_read_kib("VmHWM") - before) / 1024
    return CallCost(result, seconds, peak)


def _measure_on_gpu(function: Callable[[], Result], device: torch.device) -> CallCost[Result]:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    start = time.perf_counter()
    result = function()
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    peak = (torch.cuda.max_memory_allocated(device) - before) / 2**20
    return CallCost(result, seconds, peak)


def _reset_peak() -> int | None:
    """Current resident set in KiB, its peak reset to that; `None` if the system has no peak."""
    if not (_CLEAR_REFS.exists() and "VmHWM" in _STATUS.read_text("ascii", "replace")):
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    _CLEAR_REFS.write_text("5", "ascii")  # see proc(5)
    return _read_kib("VmRSS")


def _read_kib(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text("ascii", "replace"), re.M)
    if found is None:
        raise OSError(f"{_STATUS} must contain {name}, but does not; file a bug.")
    return int(found[1])
