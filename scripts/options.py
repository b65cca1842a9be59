"""Command lines of the scripts: each option is a field of a dataclass."""

import sys
from collections.abc import Sequence
from typing import Any

from transformers import HfArgumentParser


def make_parser(option_types: Sequence[Any], description: str | None = None) -> HfArgumentParser:
    """A parser of dataclasses; `--num-rows` and `--num_rows` both set the field `num_rows`."""
    types: Any = list(option_types)
    spec = sys.modules["__main__"].__spec__
    return HfArgumentParser(
        types,
        prog=f"python -m {spec.name.removesuffix('.__main__')}" if spec else None,
        usage="%(prog)s [options]",
        description=description,
        allow_abbrev=False,
    )


def parse_options(*option_types: Any, description: str | None = None) -> Any:
    """One object of each dataclass, from the command line of this process."""
    return make_parser(option_types, description).parse_args_into_dataclasses()
