"""Dataclasses of options as command lines: the docstrings' attributes are the help."""

import re
from argparse import Action, ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from inspect import getdoc
from typing import Any

from transformers import HfArgumentParser

from hf_anchornet.data.splits import DataOptions, detect_modality

from .shared import EXIT_CODES


class HelpFormatter(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Defaults that say something are shown, and the lines of an example stay as they are."""

    def _get_help_string(self, action: Action) -> str | None:
        if action.required:
            return f"{action.help} (required)"
        return action.help if action.default in (None, "", []) else super()._get_help_string(action)


class OptionParser(HfArgumentParser):
    """transformers' parser of dataclasses, with help from their docstrings.

    Args:
        command: Name of the sub-command.
        option_types: Dataclasses of its options.
        description: What it does.
        example: A command line that works.
    """

    def __init__(
        self, command: str, option_types: Sequence[Any], description: str, example: str
    ) -> None:
        self._texts: dict[str, str] = {}
        for option_type in option_types:
            self._texts |= describe_attributes(option_type)
        super().__init__(
            option_types,
            prog=f"anchornet {command}",
            usage="%(prog)s [options]",
            description=description,
            epilog=f"example:\n{example}\n\n{EXIT_CODES}",
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )

    def add_argument(self, *names: str, **settings: Any) -> Any:
        """As in `argparse`; the help of an option is what its dataclass says about it."""
        text = self._texts.get(names[0].removeprefix("--"))
        if text is not None:
            settings.setdefault("help", text.replace("%", "%%"))
        return super().add_argument(*names, **settings)

    def parse(self, argv: Sequence[str]) -> Any:
        """One object of each dataclass."""
        *options, unknown = self.parse_args_into_dataclasses(
            list(argv), return_remaining_strings=True, look_for_args_file=False
        )
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options


def describe_attributes(option_type: type) -> dict[str, str]:
    """What a Google-style docstring says of each attribute, each as one line."""
    _, _, listed = (getdoc(option_type) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", listed, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def parse_for_data(
    argv: Sequence[str], parsers: Mapping[str, OptionParser]
) -> tuple[str, Sequence[Any]]:
    """Whether the data set holds texts or images, and the options for these.

    Args:
        argv: The command line.
        parsers: For "text" and "image"; those of the other modality are unknown to each.
    """
    if {"-h", "--help"} & set(argv):
        for parser in parsers.values():
            parser.print_help()
            print()
        raise SystemExit(0)
    data_type: Any = DataOptions
    only_data = HfArgumentParser(data_type, prog=parsers["text"].prog, allow_abbrev=False)
    data, _ = only_data.parse_args_into_dataclasses(
        list(argv), return_remaining_strings=True, look_for_args_file=False
    )
    modality = detect_modality(data)
    _, *options = parsers[modality].parse(argv)
    return modality, [data, *options]  # the options that have opened their source
