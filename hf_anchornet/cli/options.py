"""Command lines in one dialect, built from dataclasses whose docstrings are the help."""

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from inspect import getdoc
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .checks import check_options

EXIT_CODES = (
    "exit codes: 0 success; 2 bad usage or input, explained on stderr; 1 a bug; 130 interrupted"
)

METAVARS = {int: "N", float: "X", str: "VALUE"}
KINDS: dict[Any, tuple[Any, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a string"),
}
"""By the type of an option: the types of its values, and their name in errors."""

SPELLINGS = {"from_localizer": "--from"}
"""Options whose names are keywords of Python, by field name; either spelling is accepted."""

OFF = "--no-"
"""How flags begin that switch something off."""

# A whole word of a command line, or the part of it before "=".
_OPTION_NAME = re.compile(r"--\w[\w-]*(?=\Z|=)")
# A field that a message quotes, with or without a simple value.
_QUOTED_OPTION = re.compile(r"`(?P<name>[a-z]\w*)(?:=(?P<value>[\w.-]+))?`")


class CommandParser(argparse.ArgumentParser):
    """An `argparse` parser that accepts underscores in option names and suggests the nearest one.

    Args:
        command: Name of the command.
        description: One or two sentences for the help.
        examples: Command lines that work, one a line.
        usage: Arguments in the usage line.
        settings: Further arguments of `argparse.ArgumentParser`.
    """

    def __init__(
        self,
        command: str,
        description: str,
        examples: str,
        usage: str = "[options]",
        **settings: Any,
    ) -> None:
        super().__init__(
            prog=f"anchornet {command}",
            usage=f"%(prog)s {usage}",
            description=description,
            epilog=f"examples:\n{examples}\n\n{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **settings,
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in `argparse`, but an unknown option is reported with the nearest known one.

        Raises:
            FileNotFoundError: see `check_options`, as for the next.
            ValueError: if there is no such device.
        """
        parsed, unknown = self.parse_known_args(use_dashes(args), namespace)
        if unknown:
            self.error(self._describe_unknown(unknown[0]))
        check_options(vars(parsed))
        return parsed

    def parse(self, argv: Sequence[str]) -> Any:
        """What the command line says, for the function that runs the command."""
        return self.parse_args(argv)

    def use_flags(self, message: str) -> str:
        """A message with the options of this command as they are typed.

        Of a field and its value, as in "`mirror=False`", too: "`--no-mirror`".
        """
        return _QUOTED_OPTION.sub(self._type_option, message)

    def _type_option(self, quoted: re.Match[str]) -> str:
        name, value = quoted["name"], quoted["value"]
        actions = (action for action in self._actions if action.dest == name)
        flags = [flag for action in actions for flag in action.option_strings]
        off = [flag for flag in flags if flag.startswith(OFF)]
        if value == "False" and off:
            return f"`{off[0]}`"
        for flag in flags:
            if flag not in off:
                return f"`{flag}`" if value in (None, "True") else f"`{flag} {value}`"
        return quoted[0]

    def _describe_unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument `{word}`"
        options = [name for name in self._option_string_actions if name.startswith("--")]
        name = word.partition("=")[0]
        hint = suggest(name, options) or f"; `{self.prog} --help` lists the options"
        return f"unknown option `{name}`{hint}"


def use_dashes(argv: Iterable[str]) -> list[str]:
    """The command line with `--output_dir` written `--output-dir`; words after `--` stay."""
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    renamed = [_OPTION_NAME.sub(lambda name: name[0].replace("_", "-"), w, 1) for w in words[:end]]
    return renamed + words[end:]


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of the known names; empty if no name is near."""
    bare = {one.strip("-"): one for one in known}
    close = get_close_matches(name.strip("-"), bare, n=1)
    return f"; did you mean `{bare[close[0]]}`?" if close else ""


@dataclass(frozen=True)
class Option:
    """One field of a dataclass of options.

    Attributes:
        kind: Its type; `list[T]` and `T | None` are reduced to `T`.
        is_list: Whether it takes several values.
        may_be_none: Whether `None` is a value, too.
        default: Its default, `MISSING` if it is required.
        text: Its description in the docstring of the dataclass.
    """

    kind: Any
    is_list: bool
    may_be_none: bool
    default: Any
    text: str


def list_options(option_type: Any) -> dict[str, Option]:
    """The options of a dataclass by field name."""
    kinds, texts = get_type_hints(option_type), describe_attributes(option_type)
    options = {}
    for field in fields(option_type):
        kind = kinds[field.name]
        may_be_none = get_origin(kind) in (Union, UnionType)
        if may_be_none:
            (kind,) = (part for part in get_args(kind) if part is not type(None))
        is_list = get_origin(kind) is list
        kind = get_args(kind)[0] if is_list else kind
        made = field.default_factory
        default = field.default if made is MISSING else made()
        text = texts.get(field.name, "")
        options[field.name] = Option(kind, is_list, may_be_none, default, text)
    return options


def describe_attributes(option_type: type) -> dict[str, str]:
    """The description of each attribute in a Google-style docstring, as one line."""
    _, _, listed = (getdoc(option_type) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", listed, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


Variants = Mapping[str, Option]
"""One option in the forms that it takes, by what each is for, such as "texts" and "images"."""


class OptionParser(CommandParser):
    """A parser for options that are fields of dataclasses.

    Args:
        command: Name of the command.
        groups: Options of each group of the help, by field name; or a dataclass, for all of its
            fields. Those of the group "options" stand beside `--help`.
        description: One or two sentences for the help.
        examples: Command lines that work, one a line.
    """

    def __init__(
        self,
        command: str,
        groups: Mapping[str, type | Mapping[str, Variants]],
        description: str,
        examples: str,
    ) -> None:
        super().__init__(command, description, examples, allow_abbrev=False)
        self._required: list[str] = []
        listed = {title: _give_variants(options) for title, options in groups.items()}
        for title, options in listed.items():
            group = self if title == "options" else self.add_argument_group(title)
            for name, variants in options.items():
                self._add_option(group, name, variants)
        for action in self._actions:
            action.help = self.use_flags(action.help or "")

    def _add_option(self, group: Any, name: str, variants: Variants) -> None:
        option, *_ = variants.values()
        flag = _name_flag(name)
        flags = [flag, f"--{name.replace('_', '-')}"] if name in SPELLINGS else [flag]
        if all(variant.default is MISSING for variant in variants.values()):
            self._required.append(name)
        settings: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
        text = _describe_variants(variants)
        if option.kind is bool:
            if option.default is True:
                off = f"{OFF}{flag.removeprefix('--')}"
                group.add_argument(off, action="store_false", help=argparse.SUPPRESS, **settings)
                text += f" `{off}` switches it off."
            settings |= {"type": _read_bool, "nargs": "?", "const": True, "metavar": "BOOL"}
        elif get_origin(option.kind) is Literal:
            settings["choices"] = get_args(option.kind)
        else:
            settings |= {"type": option.kind, "metavar": METAVARS[option.kind]}
        if option.is_list:
            settings["nargs"] = "+"
        group.add_argument(*flags, help=text.replace("%", "%%"), **settings)

    def parse(self, argv: Sequence[str]) -> dict[str, Any]:
        """The options that the command line gives, by field name."""
        given: dict[str, Any] = vars(self.parse_args(argv))
        missing = [name for name in self._required if name not in given]
        if missing:
            named = ", ".join(f"`{_name_flag(name)}`" for name in missing)
            self.error(f"missing {named}; `{self.prog} --help` shows an example")
        return given


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise a `TypeError` that suggests the nearest option if a given one is unknown."""
    known = sorted(known)
    for name in given:
        if name not in known:
            hint = suggest(name, known) or f"; choose from {', '.join(known)}"
            raise TypeError(f"unknown option `{name}`{hint}")


def build_options(option_types: Sequence[Any], given: Mapping[str, Any]) -> list[Any]:
    """One object of each dataclass, from the options given by field name.

    Raises:
        TypeError: if an option is unknown or of another type, or a required one is missing.
    """
    known = {option_type: list_options(option_type) for option_type in option_types}
    check_names(given, (name for options in known.values() for name in options))
    built = []
    for option_type, options in known.items():
        for name, option in options.items():
            if option.default is MISSING and name not in given:
                raise TypeError(f"`{name}` must be given, it has no default; add it.")
            if name in given:
                check_kind(name, given[name], option)
        built.append(option_type(**{name: given[name] for name in options if name in given}))
    return built


def check_kind(name: str, value: Any, option: Option) -> None:
    """Raise a `TypeError` that names an option if its value is of another type."""
    if value is None and option.may_be_none:
        return
    kind: Any = str
    if get_origin(option.kind) is Literal:
        wanted = f"one of {', '.join(get_args(option.kind))}"
    else:
        kind, wanted = KINDS[option.kind]

    def fits(one: Any) -> bool:
        # To Python, True is a whole number.
        return isinstance(one, kind) and (kind is bool or not isinstance(one, bool))

    right = fits(value)
    if option.is_list:
        right = isinstance(value, list | tuple) and all(map(fits, value))
        wanted = f"a list, each {wanted}"
    if not right:
        raise TypeError(f"`{name}` must be {wanted}, got {value!r}; change it or leave it out.")


def _give_variants(options: type | Mapping[str, Variants]) -> Mapping[str, Variants]:
    if isinstance(options, type):
        return {name: {"": option} for name, option in list_options(options).items()}
    return options


def _name_flag(name: str) -> str:
    return SPELLINGS.get(name, f"--{name.replace('_', '-')}")


def _describe_variants(variants: Variants) -> str:
    """The help of an option: its description and default, once where the variants agree."""
    texts = {what: option.text for what, option in variants.items()}
    defaults = {what: _name_default(option.default) for what, option in variants.items()}
    if len(set(texts.values())) == 1:
        text = next(iter(texts.values()))
    else:
        text = " ".join(f"{what.capitalize()}: {part}" for what, part in texts.items())
    if len(set(defaults.values())) == 1:
        default = next(iter(defaults.values()))
    else:
        default = ", ".join(f"{value or 'none'} for {what}" for what, value in defaults.items())
    if default == "required":
        return f"{text} (required)"
    return f"{text} (default: {default})" if default else text


def _name_default(default: Any) -> str:
    """A default as it would be typed; empty if it is empty."""
    if default is MISSING:
        return "required"
    if isinstance(default, list):
        return " ".join(map(str, default))
    return "" if default is None else str(default)


def _read_bool(value: str) -> bool:
    """Raise `argparse.ArgumentTypeError` unless the value means yes or no."""
    answers = {"yes": True, "true": True, "t": True, "y": True, "1": True}
    answers |= {"no": False, "false": False, "f": False, "n": False, "0": False}
    if value.lower() not in answers:
        raise argparse.ArgumentTypeError(f"must be true or false, got {value!r}")
    return answers[value.lower()]
