"""The worked example of docs/explanations.md, computed again from the page itself."""

import doctest
import re
from itertools import permutations
from math import log
from pathlib import Path

import pytest

from hf_anchornet import explain_classifier

PAGE = Path(__file__).parent.parent / "docs" / "explanations.md"
SENTENCES = {
    "A": "The cast is superb.",
    "B": "The jokes are not funny.",
    "C": "The end is dull.",
}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def names():
    """The names that the page's examples define; all of them are true."""
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS)
    example = parser.get_doctest(PAGE.read_text("utf-8"), {}, "page", str(PAGE), 0)
    runner.run(example, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 8
    return example.globs


@pytest.fixture(scope="module")
def table():
    """The worths of the eight coalitions, alone and in context."""
    row = r"^\| (none|[ABC ]+) \| (-?\d\.\d) \| (-?\d\.\d) \|$"
    rows = re.findall(row, PAGE.read_text("utf-8"), flags=re.MULTILINE)
    found = {
        frozenset(name.replace("none", "").split()): (float(alone), float(in_context))
        for name, alone, in_context in rows
    }
    assert len(found) == 8
    return found


def test_the_examples_of_the_page_are_true(names):
    assert names["alone"]["label"] == "positive"


def test_each_coalition_of_the_table_has_the_worth_that_the_classifier_gives_it(names, table):
    for kept, (alone, in_context) in table.items():
        read = " ".join(SENTENCES[name] for name in sorted(kept))
        rest = f"It runs for two hours. {read}"
        for text, worth in ((read, alone), (rest, in_context)):
            negative, positive = names["predict"]([text])[0]
            assert log(positive / negative) / 2 == pytest.approx(worth, abs=1e-9)


@pytest.mark.parametrize("game", ["alone", "in_context"])
def test_the_values_follow_from_the_table_by_all_orders(names, table, game):
    column = ("alone", "in_context").index(game)
    values = dict.fromkeys(SENTENCES, 0.0)
    for order in permutations(SENTENCES):
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            values[name] += (table[before | {name}][column] - table[before][column]) / 6
    assert values == pytest.approx({"A": 4.0, "B": -1.5, "C": -1.5})
    found = explain_classifier(names["predict"], names["text"], game=game, **names["asked"])
    explanation = found["explanation"]
    assert [part["text"] for part in explanation["parts"]] == list(SENTENCES.values())
    shared = [part["value"] for part in explanation["parts"]]
    assert shared == pytest.approx(list(values.values()), abs=1e-6)
    assert explanation["base"] == pytest.approx(table[frozenset()][column], abs=1e-6)
    assert explanation["total"] == pytest.approx(table[frozenset("ABC")][column], abs=1e-6)
