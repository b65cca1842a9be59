"""What one explanation costs: seconds and peak memory of a call."""

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


class Cost(NamedTuple, Generic[Result]):
    """A call's result and what it cost.

    Attributes:
        result: What the call returned.
        seconds: On a processor those of this process, all threads together, which leave out the
            turns of other processes; on a GPU those of the clock.
        peak_mib: The most memory in use at a time, in MiB (2^20 bytes), above what was in use
            before the call: of the GPU what torch has allocated there; else of the process, its
            resident set. `None` where the system does not tell (other than Linux).
    """

    result: Result
    seconds: float
    peak_mib: float | None


def measure_call(
    function: Callable[[], Result], device: torch.device | str = "cpu"
) -> Cost[Result]:
    """Call a function once and measure what it costs.

    Before, memory that was freed is handed back to the system where the C library can do so (GNU):
    else a call that uses it again would seem to need none. Call the function once unmeasured where
    the first call does what later ones need not, such as to import a library.

    Args:
        function: What to call.
        device: Where it computes.
    """
    if torch.device(device).type == "cuda":
        return _measure_on_gpu(function, torch.device(device))
    before = _reset_peak()
    start = time.process_time()
    result = function()
    seconds = time.process_time() - start
    peak = None if before is None else (_read_kib("VmHWM") - before) / 1024
    return Cost(result, seconds, peak)


def _measure_on_gpu(function: Callable[[], Result], device: torch.device) -> Cost[Result]:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    start = time.perf_counter()
    result = function()
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    peak = (torch.cuda.max_memory_allocated(device) - before) / 2**20
    return Cost(result, seconds, peak)


def _reset_peak() -> int | None:
    """Forget the peak of the resident set and return its size now, in KiB; `None`: not known."""
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
        raise OSError(f"{_STATUS} must tell {name}, but it does not; file a bug.")
    return int(found[1])
