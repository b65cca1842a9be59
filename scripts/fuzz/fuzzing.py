"""Random cases against the package: targets, workers and the report of failures."""

import faulthandler
import json
import logging
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.benchmarks.machine import describe_hardware
from scripts.fuzz.files import (
    check_labels,
    draw_data_file,
    draw_settings,
    make_budgets_check,
    make_data_files_check,
    make_settings_check,
)
from scripts.fuzz.inputs import draw_picture, draw_texts
from scripts.fuzz.media import (
    Check,
    make_image_pipeline_check,
    make_offsets_check,
    make_text_pipeline_check,
)
from scripts.fuzz.numbers import check_boxes, check_geometry, check_selection

RANDOM, ATHERIS = ENGINES = ("random", "atheris")
MOST_FAILURES = 10
"""Number of failures after which a process gives up a target."""
LIBRARIES = ("numpy", "pillow", "tokenizers", "torch", "transformers")
logger = logging.getLogger(__name__)


class TimeLimitError(Exception):
    """A case took longer than the time limit."""


@dataclass(frozen=True)
class Target:
    """One kind of case.

    Attributes:
        share: Share of all cases.
        make: Makes the check, which maps bytes to the number of cases tried.
        draw: Draws bytes that suit the check.
        reads_bytes: Whether the bytes are the input itself, not only a seed, so that coverage
            can guide them.
    """

    share: float
    make: Callable[[], Check]
    draw: Callable[[np.random.Generator], bytes]
    reads_bytes: bool = False


def _draw_seed(rng: np.random.Generator) -> bytes:
    return rng.bytes(16)


TARGETS = {
    "geometry": Target(0.3, lambda: check_geometry, _draw_seed),
    "selection": Target(0.29, lambda: check_selection, _draw_seed),
    "boxes": Target(0.2, lambda: check_boxes, _draw_seed),
    "offsets": Target(0.18, make_offsets_check, draw_texts, reads_bytes=True),
    "text-pipeline": Target(0.015, make_text_pipeline_check, draw_texts, reads_bytes=True),
    "image-pipeline": Target(0.005, make_image_pipeline_check, draw_picture, reads_bytes=True),
    "labels": Target(0.004, lambda: check_labels, _draw_seed),
    "data-files": Target(0.001, make_data_files_check, draw_data_file, reads_bytes=True),
    "settings": Target(0.004, make_settings_check, draw_settings, reads_bytes=True),
    "budgets": Target(0.001, make_budgets_check, draw_texts, reads_bytes=True),
}


@dataclass(frozen=True)
class FuzzOptions:
    """Options of the fuzzing.

    Attributes:
        cases: Number of cases, divided among the targets.
        seconds: Time limit for each target; 0: no limit.
        processes: Processes for each target.
        seed: Seed of all random inputs that coverage does not guide.
        targets: Names in `TARGETS`; default: all.
        time_limit: Time limit for one input in seconds; a longer one is a failure.
        engine: "random", or "atheris" for bytes guided by coverage (needs atheris).
        failures: Folder for the inputs that failed.
    """

    cases: int = 1_000_000
    seconds: float = 0.0
    processes: int = 1
    seed: int = 0
    targets: list[str] = field(default_factory=lambda: list(TARGETS))
    time_limit: float = 20.0
    engine: str = RANDOM
    failures: str = "runs/fuzz_failures"

    def __post_init__(self) -> None:
        for name in ("cases", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        unknown = sorted(set(self.targets) - set(TARGETS))
        if unknown or not self.targets:
            raise ValueError(f"`targets` must be among {', '.join(TARGETS)}, got {self.targets}.")
        if self.engine not in ENGINES:
            raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}, got {self.engine!r}.")


class Worker:
    """Tries one target in one process and counts cases and failures.

    Args:
        options: Options of the fuzzing.
        name: Name of the target.
        number: Number of this process.
    """

    def __init__(self, options: FuzzOptions, name: str, number: int) -> None:
        self.options, self.name, self.number = options, name, number
        self.target = TARGETS[name]
        self.check = self.target.make()
        self.folder = Path(options.failures)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.current = self.folder / f"{name}_{number}_running.bin"  # left there by a crash
        shares = sum(TARGETS[other].share for other in options.targets)
        wanted = options.cases * self.target.share / shares / options.processes
        self.wanted, self.cases, self.inputs = int(np.ceil(wanted)), 0, 0
        self.failures: list[dict[str, str]] = []
        self.started = time.monotonic()

    def draw(self, step: int) -> bytes:
        """The bytes of one step, different for each seed, target, process and step."""
        place = list(TARGETS).index(self.name)
        seed = [self.options.seed, place, self.number, step]
        return self.target.draw(np.random.default_rng(seed))

    def is_done(self) -> bool:
        """Whether the cases or the time are used up, or too many cases failed."""
        late = 0 < self.options.seconds <= time.monotonic() - self.started
        return late or self.cases >= self.wanted or len(self.failures) >= MOST_FAILURES

    def attempt(self, data: bytes) -> None:
        """Try one input; if it fails, write it to a file and note the error."""
        self.current.write_bytes(data)
        self.inputs += 1
        try:
            with limit_time(self.options.time_limit):
                self.cases += self.check(data)
        except Exception as error:  # any error is a finding
            path = self.folder / f"{self.name}_{self.number}_{len(self.failures)}.bin"
            path.write_bytes(data)
            where = traceback.format_tb(error.__traceback__)[-1].strip().splitlines()
            message = f"{type(error).__name__}: {error}"[:500]
            self.failures.append({"input": str(path), "error": message, "where": where[0]})

    def report(self) -> dict[str, Any]:
        """The counts so far."""
        seconds = round(time.monotonic() - self.started, 1)
        names = ("cases", "inputs", "failures")
        return {name: getattr(self, name) for name in names} | {"seconds": seconds}


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Raise a `TimeLimitError` if Python code takes longer; exit the process if C code does."""

    def stop(*_: Any) -> None:
        raise TimeLimitError(f"longer than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(3 * seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def run_worker(options: FuzzOptions, name: str, number: int, report: str) -> None:
    """Try a target until done and write the counts to the file `report`."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    worker = Worker(options, name, number)
    if options.engine == ATHERIS and worker.target.reads_bytes:
        from scripts.fuzz.coverage import fuzz_with_coverage

        fuzz_with_coverage(worker, report)
    for step in count():
        if worker.is_done():
            break
        worker.attempt(worker.draw(step))
    worker.current.unlink(missing_ok=True)
    Path(report).write_text(json.dumps(worker.report()), "utf-8")


def fuzz(options: FuzzOptions) -> dict[str, Any]:
    """Try every target in turn, each in `processes` processes.

    Returns:
        By target the `cases`, `inputs`, `seconds`, `cases_per_second` and `failures`; `cases` and
        `failures` in total; options, versions and hardware.
    """
    results = {name: _fuzz_target(options, name) for name in options.targets}
    libraries = {name: version(name) for name in LIBRARIES}
    return {
        "cases": sum(result["cases"] for result in results.values()),
        "failures": sum(len(result["failures"]) for result in results.values()),
        "targets": results,
        "settings": asdict(options),
        "versions": {"python": sys.version.split()[0], **libraries},
        "hardware": describe_hardware(),
    }


def _fuzz_target(options: FuzzOptions, name: str) -> dict[str, Any]:
    """The counts of all processes on one target; a process that died is a failure."""
    context = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.json") for number in range(options.processes)]
        workers = [
            context.Process(target=run_worker, args=(options, name, number, str(file)))
            for number, file in enumerate(files)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        codes = [worker.exitcode for worker in workers]
        reports = [json.loads(file.read_text("utf-8")) for file in files if file.exists()]
    result = _add_up(reports)
    for number, code in enumerate(codes):
        if code:
            running = Path(options.failures, f"{name}_{number}_running.bin")
            result["failures"].append({"input": str(running), "error": f"exit code {code}"})
    logger.warning("%s: %d cases, %d failures", name, result["cases"], len(result["failures"]))
    return result


def _add_up(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    seconds = max((worker["seconds"] for worker in reports), default=0.0)
    cases = sum(worker["cases"] for worker in reports)
    return {
        "cases": cases,
        "inputs": sum(worker["inputs"] for worker in reports),
        "seconds": seconds,
        "cases_per_second": round(cases / max(seconds, 0.1)),
        "failures": [failure for worker in reports for failure in worker["failures"]],
    }


def replay(name: str, path: str | Path) -> int:
    """Try one input of a target again, such as one that failed; the number of cases in it."""
    return TARGETS[name].make()(Path(path).read_bytes())
