"""Methods side by side on one split: accuracy, macro F1, multiply-adds, milliseconds."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .backend_anchornet import EAGER, ONNX
from .cascade_anchornet import Cascade
from .classifier_anchornet import label_names
from .timing import compare_times, count_work, time_interleaved

Probs = NDArray[np.floating[Any]]
"""Probabilities of the labels: (inputs, labels)."""

FULL_READING = "full"
"""The reading that each set of classifiers must hold: full inputs."""


class Method(Protocol):
    """What is compared: anything that gives probabilities for a list of inputs."""

    def predict(self, inputs: Sequence[Any], /) -> Probs:
        """Probabilities of the labels, in the order of the benchmark's labels."""


@dataclass
class Steps:
    """A method made of steps, so that each can be timed.

    Attributes:
        steps: By name; the first takes the inputs, each other what the one before it gave, and the
            last gives the probabilities.
        counted_as: The method whose multiply-adds are its own, where they cannot be counted.
    """

    steps: dict[str, Callable[[Any], Any]]
    counted_as: Method | None = None

    def predict(self, inputs: Sequence[Any], /) -> Probs:
        """Run all steps."""
        passed: Any = inputs
        for step in self.steps.values():
            passed = step(passed)
        result: Probs = passed
        return result


class CascadeMethod:
    """A cascade as a method; it counts its multiply-adds itself, as each input leaves elsewhere.

    Args:
        folder: Folder or Hub id of a cascade.
        labels: Names of the labels in the order of the probabilities.
        backend: What computes; see `make_network`.
    """

    def __init__(self, folder: str, labels: Sequence[str], backend: str = EAGER) -> None:
        self.cascade = Cascade.from_pretrained(folder, backend=backend)
        self.order = order_labels(self.cascade.localizer.model, labels)

    def predict(self, inputs: Sequence[Any], /) -> Probs:
        """The answers of the stages at which the inputs leave."""
        traces = self.cascade.follow(self._open(inputs), len(inputs))
        probs: Probs = torch.stack([trace.probs for trace in traces]).numpy()
        return probs[:, self.order]

    def count_work(self, inputs: Sequence[Any]) -> int:
        """Multiply-adds of all inputs together."""
        traces = self.cascade.follow(self._open(inputs))
        return sum(t.localizer_multiply_adds + t.classifier_multiply_adds for t in traces)

    def _open(self, inputs: Sequence[Any]) -> list[Any]:
        check = self.cascade.localizer.check_input
        return [check(item, f"input {index}") for index, item in enumerate(inputs)]


def combine_steps(
    part: str,
    localize: Callable[[Any], Any],
    rate: Callable[[Any], Probs],
    choose: Callable[[Any], Any],
    classify: Callable[[Any], Probs],
) -> dict[str, Method]:
    """The two methods of a localizer and a classifier that reads what it selects.

    Args:
        part: What is selected: the name of the method with the classifier's answer alone; the
            other one takes the mean of both models' probabilities.
        localize: From inputs to the localizer's views of them.
        rate: From views to the localizer's probabilities.
        choose: From views to what the classifier reads.
        classify: From that to its probabilities.
    """
    first: dict[str, Callable[[Any], Any]] = {
        "localize": localize,
        "select": lambda views: (choose(views), rate(views)),
    }
    alone = {**first, "classify": lambda chosen: classify(chosen[0])}
    both = {**first, "classify": lambda chosen: (classify(chosen[0]) + chosen[1]) / 2}
    return {part: Steps(alone), f"{part}_and_localizer": Steps(both)}


@dataclass
class BenchmarkOptions:
    """How much is measured.

    Attributes:
        batch_sizes: Inputs that a method gets at a time when it is timed.
        threads: Numbers of torch's threads; 0: all processors. One thread is timed in seconds of
            the processor, several are in seconds of the clock.
        num_timed: Inputs that are timed, the first ones.
        num_counted: Inputs whose multiply-adds are counted, the first ones.
        rounds: How often each method runs, in turn with the others.
        baseline: The method that the speed of the others is compared with.
        backend: What computes all models, "eager", "compile" or "onnx", but those in int8; see
            `make_network`.
        times_only: Whether to leave out all but times: for other threads or another backend, when
            a run before has told how good the methods are.
    """

    batch_sizes: list[int] = field(default_factory=lambda: [1, 32])
    threads: list[int] = field(default_factory=lambda: [1, 0])
    num_timed: int = 32
    num_counted: int = 200
    rounds: int = 7
    baseline: str = FULL_READING
    backend: str = EAGER
    times_only: bool = False

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
        ValueError: if the baseline is missing.
    """
    if options.baseline not in methods:
        raise ValueError(
            f"`baseline` must be one of the methods {sorted(methods)}, which the others are "
            f"compared with, got {options.baseline!r}."
        )
    rng = np.random.default_rng(0)
    drawn = [inputs[row] for row in rng.permutation(len(inputs))[: options.num_counted]]
    report: dict[str, dict[str, Any]] = {name: {} for name in methods}
    for name, method in methods.items() if not options.times_only else ():
        report[name] |= score(predict_batches(method, inputs, 32), targets)
        work = count_method((eager or methods).get(name, method), drawn)
        report[name]["multiply_adds"] = work / len(drawn)
    for threads in options.threads:
        for batch_size in options.batch_sizes:
            times = time_methods(methods, drawn[: options.num_timed], batch_size, threads, options)
            for name, row in times.items():
                report[name].setdefault("times", []).append(row)
    for name, method in methods.items():
        report[name]["stages"] = share_stages(method, drawn[: options.num_timed])
    return report


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


def parse_folders(classifiers: Sequence[str]) -> dict[str, str]:
    """Folders of classifiers by reading, from a list of reading=folder.

    Raises:
        ValueError: if one is not of this form, or none reads full inputs.
    """
    folders = dict(item.split("=", 1) for item in classifiers if "=" in item)
    if len(folders) < len(classifiers) or FULL_READING not in folders:
        raise ValueError(
            "`classifiers` must be given as reading=folder, each reading once, the full one among "
            f"them, got {list(classifiers)}."
        )
    return folders


def find_folder(folders: Mapping[str, str], reading: str) -> str:
    """The classifier of a reading: its own, else one trained on a mix, else that of full inputs."""
    return next(folders[name] for name in (reading, "mix", FULL_READING) if name in folders)


def order_labels(model: Any, labels: Sequence[str]) -> list[int]:
    """Numbers of the labels in the model's own order.

    Raises:
        ValueError: if the model has other labels.
    """
    own = label_names(model)
    if set(own) != set(labels):
        raise ValueError(
            f"a model has the labels {sorted(own)}, the set {sorted(labels)}; adapt a classifier "
            "to this set first."
        )
    return [own.index(label) for label in labels]


def to_probs(logits: Tensor, order: Sequence[int]) -> Probs:
    """Probabilities of the labels in this order."""
    probs: Probs = logits.float().softmax(dim=-1).numpy()[:, list(order)]
    return probs
