"""Options from dataclasses: help from docstrings, one dialect, suggestions."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest

from hf_anchornet.cli.options import OptionParser, build_options, describe_attributes, use_dashes


@dataclass
class Spread:
    """How to spread.

    Attributes:
        butter_grams: How much butter,
            100% of it.
        toppings: What goes on top, `butter_grams` or `olives`.
        warm: Whether to warm it.
        cut: Whether to cut it.
        slices: Widths of the slices.
        side: The side to spread.
        glass: A drink.
    """

    butter_grams: int
    toppings: str = "ham"
    warm: bool = False
    cut: bool = True
    slices: list[float] = field(default_factory=lambda: [1.0, 2.5])
    side: Literal["top", "both"] = "top"
    glass: str | None = None


@pytest.fixture
def parser():
    return OptionParser("spread", {"bread": Spread}, "Spread it.", "  anchornet spread")


def test_the_attributes_of_a_docstring_are_described_in_a_line_each():
    described = describe_attributes(Spread)
    assert described["butter_grams"] == "How much butter, 100% of it."
    assert [*described] == [*Spread.__dataclass_fields__]


def test_help_holds_descriptions_defaults_and_the_examples(parser):
    shown = parser.format_help()
    assert shown.startswith("usage: anchornet spread [options]")
    assert "bread:\n  --butter-grams N" in shown
    assert "100% of it. (required)" in shown
    assert "(default: ham)" in shown
    assert "(default: 1.0 2.5)" in shown
    assert "A drink.\n" in shown
    assert "examples:\n  anchornet spread\n\nexit codes: 0 success" in shown


@pytest.mark.parametrize(
    ("quoted", "typed"),
    [
        ("butter_grams", "--butter-grams"),
        ("cut=False", "--no-cut"),
        ("cut=True", "--cut"),
        ("warm=False", "--warm False"),
        ("side=both", "--side both"),
        ("slices=[1, 2]", "slices=[1, 2]"),
        ("olives", "olives"),
        ("butter grams", "butter grams"),
    ],
)
def test_a_message_names_options_as_they_are_typed(parser, quoted, typed):
    assert parser.use_flags(f"raise `{quoted}`, got 3") == f"raise `{typed}`, got 3"


def test_help_spells_the_options_with_dashes_also_inside_descriptions(parser):
    shown = " ".join(parser.format_help().split())
    assert "What goes on top, `--butter-grams` or `olives`." in shown
    assert "_" not in shown


@pytest.mark.parametrize(
    "argv",
    [
        ["--butter-grams", "5", "--toppings", "eggs"],
        ["--butter_grams", "5", "--toppings=eggs"],
        ["--butter_grams=5", "--toppings", "eggs"],
    ],
)
def test_dashes_and_underscores_mean_the_same(parser, argv):
    assert parser.parse(argv) == {"butter_grams": 5, "toppings": "eggs"}


def test_only_names_of_options_are_changed():
    argv = ["my_file", "--a_b=c_d", "--two words_here", "-x_y", "--", "--e_f"]
    assert use_dashes(argv) == ["my_file", "--a-b=c_d", "--two words_here", "-x_y", "--", "--e_f"]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("--warm", {"warm": True}),
        ("--warm False", {"warm": False}),
        ("--warm yes --cut 0", {"warm": True, "cut": False}),
        ("--no-cut", {"cut": False}),
        ("--no_cut", {"cut": False}),
        ("--slices 1 2 --side both", {"slices": [1.0, 2.0], "side": "both"}),
    ],
)
def test_booleans_lists_and_choices_are_read(parser, argv, expected):
    assert parser.parse(["--butter-grams", "5", *argv.split()]) == {"butter_grams": 5, **expected}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--butter 5", "unknown option `--butter`; did you mean `--butter-grams`?"),
        ("--jam", "unknown option `--jam`; `anchornet spread --help` lists the options"),
        ("-x", "unknown option `-x`; `anchornet spread --help` lists the options"),
        ("jam", "unexpected argument `jam`"),
        ("--warm", "missing `--butter-grams`; `anchornet spread --help` shows an example"),
        ("--butter-grams few", "argument --butter-grams: invalid int value: 'few'"),
        ("--warm maybe", "argument --warm: must be true or false, got 'maybe'"),
        ("--side left", "argument --side: invalid choice: 'left'"),
    ],
)
def test_bad_usage_is_explained_and_exits_with_code_2(parser, argv, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        parser.parse(argv.split())
    assert message in capsys.readouterr().err


def test_options_by_name_become_objects():
    assert build_options([Spread], {"butter_grams": 5, "warm": True}) == [Spread(5, warm=True)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"butter_gram": 5}, "unknown option `butter_gram`; did you mean `butter_grams`?"),
        ({"xyz": 5}, "unknown option `xyz`; choose from butter_grams, cut, glass"),
        ({"warm": True}, "`butter_grams` must be given, it has no default; add it."),
    ],
)
def test_names_that_are_unknown_or_missing_are_refused(given, message):
    with pytest.raises(TypeError, match=message.replace("?", r"\?")):
        build_options([Spread], given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"butter_grams": 1.5}, "`butter_grams` must be a whole number, got 1.5; change it"),
        ({"butter_grams": True}, "`butter_grams` must be a whole number, got True"),
        ({"butter_grams": None}, "`butter_grams` must be a whole number, got None"),
        ({"warm": "no"}, "`warm` must be True or False, got 'no'"),
        ({"warm": 1}, "`warm` must be True or False, got 1"),
        ({"slices": "3 3"}, "`slices` must be a list, each a number, got '3 3'"),
        ({"slices": 3.0}, "`slices` must be a list, each a number, got 3.0"),
        ({"slices": [1, "2"]}, "`slices` must be a list, each a number, got"),
        ({"side": 3}, "`side` must be one of top, both, got 3"),
        ({"glass": 3}, "`glass` must be a string, got 3"),
    ],
)
def test_values_of_another_type_are_refused_by_the_name_of_their_option(given, message):
    with pytest.raises(TypeError, match=message):
        build_options([Spread], {"butter_grams": 5} | given)


def test_whole_numbers_are_numbers_and_none_is_a_value_where_the_type_says_so():
    given = {"butter_grams": np.int64(5), "slices": (1, 2.5), "glass": None}
    assert build_options([Spread], given) == [Spread(5, slices=(1, 2.5))]
