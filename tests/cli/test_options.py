"""Options from dataclasses: help from docstrings, names with dashes, the data's modality."""

from dataclasses import dataclass

import pytest
from datasets import Dataset

from hf_anchornet.cli.options import OptionParser, describe_attributes, parse_for_data
from hf_anchornet.data.splits import DataOptions

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@dataclass
class Spread:
    """How to spread.

    Attributes:
        butter_grams: How much butter,
            100% of it.
        toppings: What goes on top.
    """

    butter_grams: int
    toppings: str = "ham"


@pytest.fixture
def parsers():
    kinds = {"text": [DataOptions, Spread], "image": [DataOptions]}
    return {
        kind: OptionParser("spread", types, f"Of {kind}s.", "") for kind, types in kinds.items()
    }


@pytest.fixture
def reviews(tmp_path):
    rows = {"text": ["good", "bad"], "label": ["positive", "negative"]}
    Dataset.from_dict(rows).to_csv(tmp_path / "reviews.csv")
    return str(tmp_path / "reviews.csv")


def test_the_attributes_of_a_docstring_are_described_in_a_line_each():
    assert describe_attributes(Spread) == {
        "butter_grams": "How much butter, 100% of it.",
        "toppings": "What goes on top.",
    }


def test_help_holds_descriptions_defaults_and_the_example():
    shown = OptionParser("spread", [Spread], "Spread it.", "  anchornet spread").format_help()
    assert shown.startswith("usage: anchornet spread")
    assert "100% of it. (required)" in shown
    assert "What goes on top. (default: ham)" in shown
    assert "example:\n  anchornet spread\n\nexit codes: 0 done" in shown


def test_names_may_be_written_with_dashes():
    argv = ["--butter-grams", "5", "--toppings", "eggs"]
    (spread,) = OptionParser("spread", [Spread], "", "").parse(argv)
    assert spread == Spread(5, "eggs")


def test_the_data_decide_which_options_there_are(parsers, reviews):
    modality, (data, spread) = parse_for_data(
        ["--dataset", reviews, "--butter_grams", "5"], parsers
    )
    assert (modality, data.dataset, spread) == ("text", reviews, Spread(5))


def test_an_unknown_option_is_named(parsers, reviews, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_for_data(["--dataset", reviews, "--butter_grams", "5", "--jam"], parsers)
    assert "--jam" in capsys.readouterr().err


def test_help_shows_the_options_of_both_modalities_without_data(parsers, capsys):
    with pytest.raises(SystemExit, match="0"):
        parse_for_data(["--help"], parsers)
    shown = capsys.readouterr().out
    assert "Of texts." in shown
    assert "Of images." in shown
