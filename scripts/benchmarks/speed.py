"""Methods side by side on one split: accuracy, macro F1, multiply-adds, milliseconds.

Compares what people would read with what a localizer selects. Writes a JSON of all numbers, with
a table and a picture beside it, and prints the table.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from transformers import HfArgumentParser

from hf_anchornet.data.splits import DataOptions, detect_modality, find_labels, load_split
from hf_anchornet.files import write_json
from hf_anchornet.model.backend import EAGER, ONNX
from scripts.benchmarks.image_methods import load_pictures, make_image_methods
from scripts.benchmarks.machine import describe_hardware
from scripts.benchmarks.method_quality import count_method, measure_quality, predict_batches
from scripts.benchmarks.methods import FULL_READING, CascadeMethod, Method, Models
from scripts.benchmarks.peak_memory import measure_peak
from scripts.benchmarks.rivals import RivalOptions, fit_rivals
from scripts.benchmarks.speed_tables import format_report, format_stages, plot_report
from scripts.benchmarks.text_methods import TextModels, load_texts, make_text_methods
from scripts.benchmarks.timing import (
    compare_times,
    set_threads,
    share_stages,
    time_interleaved,
)
from scripts.options import make_parser

KINDS: dict[str, tuple[Any, Any, Any]] = {
    "text": ([TextModels, RivalOptions], load_texts, make_text_methods),
    "image": ([Models], load_pictures, make_image_methods),
}
"""For each modality its options, the reader of its data and the maker of its methods."""


@dataclass
class BenchmarkOptions:
    """Options of the measurement.

    Attributes:
        batch_sizes: Inputs that a method gets at a time when it is timed.
        threads: Numbers of torch's threads; 0: all processors. One thread is timed in seconds of
            the processor, several in seconds of the clock.
        num_timed: Inputs that are timed, drawn at random.
        num_counted: Inputs whose multiply-adds are counted, drawn at random.
        rounds: Runs of each method, in turn with the others.
        baseline: The method that the speed of the others is compared with.
        backend: Backend of all models but those in int8: "eager", "compile" or "onnx".
        times_only: Whether to measure times alone: for other threads or another backend, when an
            earlier run has measured the quality.
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
        """Check the numbers."""
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
        """Give torch, and graphs opened later, the first number of threads."""
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
        methods: Methods by name, the baseline among them.
        inputs: Inputs in any order; batches are made of neighbours.
        targets: Index of the right label of each input.
        options: Options of the measurement.
        eager: The same methods on the eager backend, needed with another backend because
            multiply-adds are counted in torch.

    Returns:
        For each method `accuracy` and `macro_f1`, in [0, 1], `multiply_adds` an input and `size`,
        in bytes (both `None` if unknown), unless only times are measured, and on the eager backend
        `peak_memory`, in bytes, see `measure_peak`, of the largest batch; of rivals, `fitted`: what
        was chosen; `times` for each number of threads and batch size; `stages`: each step's
        share of the time; for a cascade `exits`: the share of inputs that each of its stages
        answers.

    Raises:
        ValueError: If the baseline or a requested method is missing.
    """
    methods = _choose_methods(methods, options)
    drawn = _draw(inputs, options.num_counted)
    timed = _draw(inputs, options.num_timed)
    report: dict[str, dict[str, Any]] = {name: {} for name in methods}
    if not options.times_only:
        most = timed[: max(options.batch_sizes)]
        for name, method in methods.items():
            work = count_method((eager or methods).get(name, method), drawn)
            report[name] |= measure_quality(method, inputs, targets)
            report[name]["multiply_adds"] = None if work is None else work / len(drawn)
            report[name] |= _measure_memory(method, most, options.backend)
    for threads in options.threads:
        for batch_size in options.batch_sizes:
            times = time_methods(methods, timed, batch_size, threads, options)
            for name, row in times.items():
                report[name].setdefault("times", []).append(row)
    for name, method in methods.items():
        report[name]["stages"] = share_stages(getattr(method, "steps", {}), timed)
        if isinstance(method, CascadeMethod):
            report[name]["exits"] = method.share_exits(drawn)
    return report


def _choose_methods(methods: Mapping[str, Method], options: BenchmarkOptions) -> dict[str, Method]:
    """The methods that are asked for, in that order, the baseline among them."""
    wanted = options.methods or list(methods)
    for name, value in (("methods", wanted), ("baseline", [options.baseline])):
        if not set(value) <= set(methods):
            raise ValueError(f"`{name}` must be of {sorted(methods)}, got {value}.")
    if options.baseline not in wanted:
        raise ValueError(
            f"`methods` must hold {options.baseline!r}, the baseline, got {wanted}; add it."
        )
    return {name: methods[name] for name in wanted}


def _measure_memory(method: Method, batch: Sequence[Any], backend: str) -> dict[str, int]:
    """`peak_memory` of a batch, which torch can tell of the eager backend."""
    if backend != EAGER:
        return {}
    return {"peak_memory": measure_peak(partial(predict_batches, method, batch, len(batch)))}


def merge_reports(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Two reports of `run_benchmark` as one; the later replaces what both measured."""
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
    """Random inputs, `count` of them, in their order: neighbours are alike."""
    rows = np.random.default_rng(0).permutation(len(inputs))[:count]
    return [inputs[row] for row in sorted(rows)]


def time_methods(
    methods: Mapping[str, Method],
    inputs: Sequence[Any],
    batch_size: int,
    threads: int,
    options: BenchmarkOptions,
) -> dict[str, dict[str, Any]]:
    """Median milliseconds an input of each method, and its speed-up over the baseline.

    The speed-up is taken round by round: its median, minimum and maximum.
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


@dataclass
class Output:
    """Cascades to compare, and where the numbers go.

    Attributes:
        split: Split to report on.
        cascades: Further methods: cascades as name=folder.
        output: JSON file to write; the table has its name with .md, the picture with .png.
        update: Whether to keep numbers of the file that are not measured again.
    """

    split: str = "test"
    cascades: list[str] = field(default_factory=list)
    output: str = "results/benchmark.json"
    update: bool = False


def make_speed_parser(modality: str) -> HfArgumentParser:
    """The parser of the options for one modality."""
    options = [DataOptions, BenchmarkOptions, Output, *KINDS[modality][0]]
    return make_parser(options, f"Options for {modality}s.")


def main() -> None:
    """Parse the options, measure, write, print."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        for modality in KINDS:
            make_speed_parser(modality).print_help()
        sys.exit(0)
    only_data = make_parser([DataOptions])
    data, _ = only_data.parse_args_into_dataclasses(return_remaining_strings=True)
    modality = detect_modality(data)
    _, load, make_methods = KINDS[modality]
    parsed = make_speed_parser(modality).parse_args_into_dataclasses()
    data, options, output, chosen, *rivals = parsed
    inputs_column = data.input_column(modality)
    labels = find_labels(load_split(data, output.split, inputs_column), data.label_column)
    inputs, targets = load(data, output.split, labels)
    options.set_threads()
    methods = make_methods(chosen, labels, options.backend)
    for item in output.cascades:
        name, folder = item.split("=", 1)
        methods[name] = CascadeMethod(folder, labels, options.backend)
    for each in rivals:
        methods |= fit_rivals(data, labels, each, options.methods)
    counted = options.backend != EAGER and not options.times_only
    eager = make_methods(chosen, labels) if counted else None
    report = run_benchmark(methods, inputs, targets, options, eager)
    settings = {name: value for each in parsed for name, value in asdict(each).items()}
    path = Path(output.output)
    numbers = {"num_rows": len(inputs), "hardware": describe_hardware(), "earlier": []}
    if output.update:
        before = json.loads(path.read_text("utf-8"))
        report = merge_reports(before["methods"], report)
        numbers["earlier"] = [*before.get("earlier", []), before["settings"]]
    write_json(path, {"settings": settings, **numbers, "methods": report})
    table = f"{format_report(report)}\n{format_stages(report)}"
    path.with_suffix(".md").write_text(table, encoding="utf-8")
    if not options.times_only or output.update:
        plot_report(report, path.with_suffix(".png"))
    print(table)


if __name__ == "__main__":
    main()
