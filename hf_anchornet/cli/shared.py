"""What the commands for texts and for images share: pipelines, terminals, outputs."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO, TypeVar

from hf_anchornet.views.base import Record, clean_line

Item = TypeVar("Item")

EXIT_CODES = "exit codes: 0 done; 2 bad usage or input, told on standard error; 130 interrupted"

DELAY = 1.0
"""Seconds before progress is shown: what is quick needs none."""

PIPELINE_OPTIONS = (
    "top_k",
    "scales",
    "max_tokens",
    "max_patches",
    "iou_threshold",
    "exit_threshold",
    "labels",
    "batch_size",
    "device",
    "backend",
)


def load_pipeline(task: str, arguments: argparse.Namespace, **options: Any) -> Any:
    """The pipeline of `task` with the options of the command line and `options` of our own."""
    from transformers import pipeline

    from hf_anchornet.registration import register

    register()
    hide_progress_bars()
    model, chosen = choose_pipeline(task, arguments)
    # The stubs of transformers list its own tasks only.
    return pipeline(task, model=model, **options, **chosen)  # type: ignore[call-overload]


def choose_pipeline(task: str, arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The model, the shipped one by default, and the options that the command line gives."""
    from hf_anchornet.registration import DEFAULTS

    default_model, default_classifier = DEFAULTS[task]
    given = {name: getattr(arguments, name, None) for name in PIPELINE_OPTIONS}
    options = {name: value for name, value in given.items() if value is not None}
    if arguments.classifier is not None:
        shipped = arguments.classifier == "default"
        options["classifier"] = str(default_classifier) if shipped else arguments.classifier
    return str(default_model) if arguments.model is None else arguments.model, options


def split_names(value: str) -> list[str]:
    """Names with commas between."""
    return [name.strip() for name in value.split(",")]


def hide_progress_bars() -> None:
    """Loading weights shows none."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def show_progress(items: Iterable[Item], unit: str, output: Path | None) -> Iterator[Item]:
    """The items; counted on standard error if that is a terminal and it takes some time.

    Args:
        items: As they come.
        unit: What they are.
        output: Where results go: on a terminal they show the progress themselves.
    """
    from tqdm import tqdm

    shown = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    yield from tqdm(items, unit=f" {unit}", disable=not shown, leave=False, delay=DELAY)


def write_parts(parts: Iterable[str], output: Path | None, inputs: Sequence[Path]) -> None:
    """Write the parts as they come to `output`, by default to standard output.

    Raises:
        ValueError: if `output` is one of the files that are read.
    """
    if output and any(is_same_file(output, path) for path in inputs):
        raise ValueError("`--output` must not be a file that is read; choose another name.")
    opened = output.open("w", encoding="utf-8", newline="") if output else nullcontext(sys.stdout)
    with opened as stream:
        for part in parts:
            stream.write(part)
            stream.flush()


def wants_color(stream: TextIO) -> bool:
    """Whether to shade: on a terminal only, and not against https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def measure_width() -> int:
    """Columns to fill: those of the terminal, within reason."""
    return min(100, max(40, shutil.get_terminal_size().columns))


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two names stand for one existing file."""
    return one.exists() and other.exists() and one.samefile(other)


def describe_answer(answer: Record) -> str:
    """A label and its probability in words."""
    return f"{clean_line(answer['label'])} ({answer['score']:.1%})"
