"""Times of functions, taken side by side so that their ratios hold on a busy machine."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def time_interleaved(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of each call of each function, one a round; by default those of the processor.

    In every round each function runs once, in turn: other work on the machine slows down all
    alike. A round before the first is not counted. Seconds of the processor, all threads of this
    process together, leave out the turns of other processes; of one thread on an idle machine
    they are the seconds of the clock.

    Args:
        functions: What to time, by name.
        rounds: Number of rounds, at least 1.
        clock: What tells the time; `time.perf_counter` where several threads share the work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for timed in range(rounds + 1):
        for name, function in functions.items():
            start = clock()
            function()
            if timed:
                seconds[name].append(clock() - start)
    return seconds


def compare_times(seconds: Sequence[float], baseline: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest of the ratios `seconds / baseline`, taken round by round.

    Args:
        seconds: Seconds of each round.
        baseline: Seconds of what is compared with, in the same rounds.
    """
    ratios = [one / other for one, other in zip(seconds, baseline, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
