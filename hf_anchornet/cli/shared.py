"""Helpers of several commands: pipelines, terminals, progress."""

import argparse
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar

from hf_anchornet.registration import IMAGE_TASK, TEXT_TASK
from hf_anchornet.views.base import Record, clean_line

from .options import CommandParser

Item = TypeVar("Item")

DELAY = 1.0
"""Seconds before a progress bar appears."""

PIPELINE_OPTIONS = (
    "localizer",
    "classifier",
    "top_k",
    "scales",
    "max_tokens",
    "unit",
    "max_patches",
    "full_resolution",
    "zoom",
    "iou_threshold",
    "exit_threshold",
    "labels",
    "explain_answer",
    "batch_size",
    "device",
    "backend",
)


OF_ONE_TASK = {
    TEXT_TASK: ("max_tokens", "unit"),
    IMAGE_TASK: ("max_patches", "full_resolution", "zoom"),
}
"""Those that only one of the pipelines has."""


def choose_options(arguments: argparse.Namespace, task: str) -> dict[str, Any]:
    """The arguments of `load_pipeline` that the command line gives.

    Args:
        arguments: The command line.
        task: The task of the pipeline.

    Raises:
        ValueError: if one is for the other task.
    """
    given = {name: getattr(arguments, name) for name in PIPELINE_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    for other, names in OF_ONE_TASK.items():
        for name in names:
            if name in given and other != task:
                raise ValueError(
                    f"`{name}` must not be given for {task}, it is an option for {other}; leave it "
                    "out."
                )
    return given


def split_names(value: str) -> list[str]:
    """The names in a comma-separated list, or exactly those in a JSON list of strings."""
    if value.lstrip().startswith("["):
        try:
            names = json.loads(value)
        except (RecursionError, ValueError):
            names = None
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    return [name.strip() for name in value.split(",")]


class FlagFormatter(logging.Formatter):
    """Messages alone, with the options of a command as they are typed."""

    def __init__(self, parser: CommandParser) -> None:
        super().__init__()
        self._parser = parser

    def format(self, record: logging.LogRecord) -> str:
        """The message; see `CommandParser.use_flags`."""
        return self._parser.use_flags(super().format(record))


def show_log(parser: CommandParser) -> None:
    """Send log messages, those of the package above all, to standard error.

    Args:
        parser: Parser of the command, whose options they may name.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(FlagFormatter(parser))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("accelerate").setLevel(logging.WARNING)  # it names every file it writes


def hide_progress_bars() -> None:
    """Show no progress bars while weights are loaded."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def show_progress(items: Iterable[Item], unit: str, output: Path | None) -> Iterator[Item]:
    """The items, with a progress bar on standard error if that is a terminal.

    Args:
        items: Any items.
        unit: Plural noun for the items.
        output: File of the results; without one, results printed on a terminal show the progress
            themselves and there is no bar.
    """
    from tqdm import tqdm

    shown = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    yield from tqdm(items, unit=f" {unit}", disable=not shown, leave=False, delay=DELAY)


def wants_color(stream: TextIO) -> bool:
    """Whether to print colours: on a terminal, unless https://no-color.org is followed."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def measure_width() -> int:
    """Columns of the terminal, but at least 40 and at most 100."""
    return min(100, max(40, shutil.get_terminal_size().columns))


def describe_answer(answer: Record) -> str:
    """A label with its probability, such as "positive (97.0%)"."""
    return f"{clean_line(answer['label'])} ({answer['score']:.1%})"
