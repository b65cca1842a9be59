"""`anchornet build`: from labelled data, or a classifier, to a measured folder in one command."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from datasets import disable_progress_bars

from hf_anchornet.building.build import build, logger
from hf_anchornet.building.options import BuildOptions
from hf_anchornet.data.splits import DataOptions

from .options import Option, OptionParser, build_options, list_options
from .shared import hide_progress_bars, show_log
from .shipped import name_shipped

DESCRIPTION = """\
Train a localizer, adapt and calibrate a classifier if one is given, compare everything with
simple controls on the test split, and say in words whether it was worth it. Run the same
command again to continue after an interruption."""
EXAMPLES = """\
  anchornet build --dataset my_data --output-dir runs/mine
  anchornet build --dataset my_data.csv --classifier my_classifier --output-dir runs/mine
  anchornet build --dataset my_data --classifier sentence-transformers/all-MiniLM-L6-v2 \\
      --budget 20min --dry-run --output-dir runs/mine"""

STREAM_OPTIONS = {"streaming", "shuffle_buffer", "vocabulary_rows"}
"""Options of data sources that a build does not take."""


def make_parser() -> OptionParser:
    """The parser of the command."""
    groups: dict[str, dict[str, dict[str, Option]]] = {}
    for title, kind in {"data": DataOptions, "build": BuildOptions}.items():
        groups[title] = {
            name: {"": option}
            for name, option in list_options(kind).items()
            if name not in STREAM_OPTIONS
        }
    return OptionParser("build", groups, DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Run the command with options by field name."""
    show_log(make_parser())
    hide_progress_bars()
    disable_progress_bars()
    build_folder(given, _print)


def build_folder(
    given: Mapping[str, Any], show: Callable[[str], Any] = logger.info
) -> dict[str, Any]:
    """The report of a build, from options by field name; `show` is called with each line."""
    data, options = build_options([DataOptions, BuildOptions], name_shipped(given))
    return build(data, options, show)


def _print(line: str) -> None:
    """Print a line at once, so that a log of both streams is in order."""
    print(line)
    sys.stdout.flush()
