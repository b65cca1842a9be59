"""The most memory that torch holds at once while it answers."""

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

MEMORY = "[memory]"
"""Name of the profiler's events of bytes taken (positive) and given back (negative)."""


def measure_peak(run: Callable[[], Any]) -> int:
    """Most bytes held at once of what torch takes while `run` is called, without its weights.

    Exact and the same on every call; memory of Pillow, numpy and ONNX Runtime is not counted.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    assert profiler.profiler is not None
    events = profiler.profiler.kineto_results.events()
    steps = sorted((each.start_ns(), each.nbytes()) for each in events if each.name() == MEMORY)
    held = peak = 0
    for _, size in steps:
        held += size
        peak = max(peak, held)
    return peak
