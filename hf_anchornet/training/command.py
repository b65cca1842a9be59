"""The command line that repeats a training, from the options in its report."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from hf_anchornet.registration import SHIPPED, is_shipped

LEFT_OUT = {"resume"}
"""Options that say how far an earlier attempt came."""


def write_command(name: str, option_types: Sequence[Any], options: Mapping[str, Any]) -> str:
    """The command with every option that is not at its default, in one line.

    Options that were chosen by the number of rows are written out: another version of the package
    may choose others.

    Args:
        name: "train" or "adapt".
        option_types: Dataclasses of all options.
        options: Values by field name, as in `training.json`.
    """
    words = ["anchornet", name]
    for option_type in option_types:
        for field in fields(option_type):
            factory, value = field.default_factory, options.get(field.name)
            default = field.default if factory is MISSING else factory()
            if value is not None and value != default and field.name not in LEFT_OUT:
                words += _write_option(f"--{field.name.replace('_', '-')}", value)
    return shlex.join(words)


def _write_option(flag: str, value: Any) -> list[str]:
    values = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    values = [SHIPPED if is_shipped(item) else item for item in values]
    if len(values) == 1 and values[0].startswith("-"):  # would be taken for another option
        return [f"{flag}={values[0]}"]
    return [flag, *values]
