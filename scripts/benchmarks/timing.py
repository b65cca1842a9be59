"""Times of functions and processes, measured in turn so that ratios hold on a busy machine."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import torch


def time_interleaved(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of each call of each function, one call a round.

    Every round runs each function once, in turn, so that other work on the machine slows all of
    them alike. A first round is not counted. Processor seconds sum the threads of this process
    and leave out the turns of other processes; for one thread on an idle machine they equal the
    seconds of the clock.

    Args:
        functions: Functions to time, by name.
        rounds: Number of rounds, at least 1.
        clock: `time.perf_counter` where several threads share the work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for timed in range(rounds + 1):
        for name, function in functions.items():
            start = clock()
            function()
            if timed:
                seconds[name].append(clock() - start)
    return seconds


def time_process(argv: Sequence[str], **environment: str) -> tuple[float, float]:
    """Processor seconds, of all threads, and clock seconds of a fresh Python process, offline.

    Args:
        argv: Its arguments.
        **environment: Environment variables to set.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    before, started = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *argv], check=True, env=environment, capture_output=True)
    passed, after = time.perf_counter() - started, getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, passed


def compare_times(seconds: Sequence[float], baseline: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum of the ratios `seconds / baseline`, taken round by round."""
    ratios = [one / other for one, other in zip(seconds, baseline, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def set_threads(threads: int) -> None:
    """Set the number of torch's threads; 0: all processors."""
    torch.set_num_threads(threads or os.cpu_count() or 1)


def share_stages(
    steps: Mapping[str, Callable[[Any], Any]], inputs: Sequence[Any]
) -> dict[str, float]:
    """Each step's share of the processor time, one input at a time; {} without steps.

    Args:
        steps: Functions by name, in order; see `Steps`.
        inputs: Inputs of the first one.
    """
    seconds = dict.fromkeys(steps, 0.0)
    for one in inputs:
        passed: Any = [one]
        for name, step in steps.items():
            start = time.process_time()
            passed = step(passed)
            seconds[name] += time.process_time() - start
    total = sum(seconds.values())
    return {name: spent / total for name, spent in seconds.items()}
