"""Methods side by side on one split: accuracy, macro F1, multiply-adds, milliseconds."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch

from hf_anchornet.model.backend import EAGER, ONNX
from hf_anchornet.model.costs import count_work
from scripts.benchmarks.methods import FULL_READING, Method, Probs
from scripts.benchmarks.timing import compare_times, time_interleaved


@dataclass
class BenchmarkOptions:
    """How much is measured.

    Attributes:
        batch_sizes: Inputs that a method gets at a time when it is timed.
        threads: Numbers of torch's threads; 0: all processors. One thread is timed in seconds of
            the processor, several are in seconds of the clock.
        num_timed: Inputs that are timed, drawn at random.
        num_counted: Inputs whose multiply-adds are counted, drawn at random.
        rounds: How often each method runs, in turn with the others.
        baseline: The method that the speed of the others is compared with.
        backend: What computes all models, "eager", "compile" or "onnx", but those in int8; see
            `make_network`.
        times_only: Whether to leave out all but times: for other threads or another backend, when
            a run before has told how good the methods are.
        methods: The methods to measure, the baseline among them; default: all.
    """

    batch_sizes: list[int] = field(default_factory=lambda: [1, 32])
    threads: list[int] = field(default_factory=lambda: [1, 0])
    num_timed: int = 64
    num_counted: int = 200
    rounds: int = 5
    baseline: str = FULL_READING
    backend: str = EAGER
    times_only: bool = False
    methods: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check that there is something to measure."""
        for name in ("num_timed", "num_counted", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if not self.batch_sizes or min(self.batch_sizes) < 1:
            raise ValueError(f"`batch_sizes` must be at least 1, got {self.batch_sizes}.")
        if not self.threads or min(self.threads) < 0:
            raise ValueError(f"`threads` must be at least 0, got {self.threads}.")
        if self.backend == ONNX and len(self.threads) > 1:
            raise ValueError(
                f'`threads` must be one number with `backend` "onnx", got {self.threads}; a graph '
                "keeps the threads that it was opened with: run once for each number."
            )

    def set_threads(self) -> None:
        """Let torch, and the graphs opened from now on, have the first number of threads."""
        set_threads(self.threads[0])


def run_benchmark(
    methods: Mapping[str, Method],
    inputs: Sequence[Any],
    targets: Sequence[int],
    options: BenchmarkOptions,
    eager: Mapping[str, Method] | None = None,
) -> dict[str, dict[str, Any]]:
    """The numbers of each method, ready for JSON.

    Args:
        methods: By name, the baseline among them.
        inputs: In any order; batches are made of neighbours.
        targets: Number of the right label of each input.
        options: How much is measured.
        eager: The same methods as torch computes them, needed where another backend does:
            multiply-adds are torch's to count.

    Returns:
        For each method `accuracy` and `macro_f1`, in [0, 1], and `multiply_adds` an input, unless
        only times are asked for; `times` for each number of threads and batch size; `stages`: the
        share of the time of each step.

    Raises:
        ValueError: if the baseline or a method asked for is missing.
    """
    wanted = options.methods or list(methods)
    for name, value in (("methods", wanted), ("baseline", [options.baseline])):
        if not set(value) <= set(methods):
            raise ValueError(f"`{name}` must be of {sorted(methods)}, got {value}.")
    if options.baseline not in wanted:
        raise ValueError(
            f"`methods` must hold {options.baseline!r}, the baseline, got {wanted}; add it."
        )
    methods = {name: methods[name] for name in wanted}
    drawn = _draw(inputs, options.num_counted)
    timed = _draw(inputs, options.num_timed)
    report: dict[str, dict[str, Any]] = {name: {} for name in methods}
    for name, method in methods.items() if not options.times_only else ():
        report[name] |= score(predict_batches(method, inputs, 32), targets)
        work = count_method((eager or methods).get(name, method), drawn)
        report[name]["multiply_adds"] = work / len(drawn)
    for threads in options.threads:
        for batch_size in options.batch_sizes:
            times = time_methods(methods, timed, batch_size, threads, options)
            for name, row in times.items():
                report[name].setdefault("times", []).append(row)
    for name, method in methods.items():
        report[name]["stages"] = share_stages(method, timed)
    return report


def merge_reports(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Two reports of `run_benchmark` as one; where both measured the same, the later stays."""
    merged = {name: dict(row) for name, row in before.items()}
    for name, row in now.items():
        earlier = merged.get(name, {})
        times = {
            (time["threads"], time["batch_size"]): time
            for time in [*earlier.get("times", []), *row["times"]]
        }
        merged[name] = {**earlier, **row, "times": list(times.values())}
    return merged


def _draw(inputs: Sequence[Any], count: int) -> list[Any]:
    """So many of the inputs, at random and in their order: neighbours are alike."""
    rows = np.random.default_rng(0).permutation(len(inputs))[:count]
    return [inputs[row] for row in sorted(rows)]


def count_method(method: Method, inputs: Sequence[Any]) -> int:
    """Multiply-adds of all inputs together, one at a time; a method may count them itself."""
    counted = getattr(method, "counted_as", None) or method
    count = getattr(counted, "count_work", None)
    if count is not None:
        return int(count(inputs))
    return count_work(partial(predict_batches, counted, inputs, 1))


def predict_batches(method: Method, inputs: Sequence[Any], batch_size: int) -> Probs:
    """Probabilities of all inputs, a batch at a time."""
    starts = range(0, len(inputs), batch_size)
    return np.concatenate([method.predict(inputs[i : i + batch_size]) for i in starts])


def score(probs: Probs, targets: Sequence[int]) -> dict[str, float]:
    """Accuracy and macro F1, in [0, 1]."""
    from sklearn.metrics import f1_score

    predicted = probs.argmax(axis=1)
    return {
        "accuracy": float((predicted == np.asarray(targets)).mean()),
        "macro_f1": float(f1_score(targets, predicted, average="macro")),
    }


def time_methods(
    methods: Mapping[str, Method],
    inputs: Sequence[Any],
    batch_size: int,
    threads: int,
    options: BenchmarkOptions,
) -> dict[str, dict[str, Any]]:
    """Of each method the median milliseconds an input, and how many times faster it is.

    The speed-up over the baseline is taken round by round: its median, minimum and maximum.
    """
    before = torch.get_num_threads()
    set_threads(threads)
    functions = {
        name: partial(predict_batches, method, inputs, batch_size)
        for name, method in methods.items()
    }
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds = time_interleaved(functions, options.rounds, clock)
    torch.set_num_threads(before)
    return {
        name: {
            "threads": threads,
            "batch_size": batch_size,
            "milliseconds": 1000 * median(rounds) / len(inputs),
            "speed_up": compare_times(seconds[options.baseline], rounds),
        }
        for name, rounds in seconds.items()
    }


def set_threads(threads: int) -> None:
    """Give torch so many threads; 0: all processors."""
    torch.set_num_threads(threads or os.cpu_count() or 1)


def share_stages(method: Method, inputs: Sequence[Any]) -> dict[str, float]:
    """The share of the processor's time of each step, one input at a time; {} without steps."""
    steps: Mapping[str, Callable[[Any], Any]] = getattr(method, "steps", {})
    seconds = dict.fromkeys(steps, 0.0)
    for one in inputs:
        passed: Any = [one]
        for name, step in steps.items():
            start = time.process_time()
            passed = step(passed)
            seconds[name] += time.process_time() - start
    total = sum(seconds.values())
    return {name: spent / total for name, spent in seconds.items()}
