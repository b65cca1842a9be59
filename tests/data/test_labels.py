"""Labels of every type: read as they are meant, or refused with the row."""

import math

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_anchornet.data.labels import check_label_shapes
from hf_anchornet.data.sources import Source
from hf_anchornet.data.splits import find_labels, number_labels, number_values

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


def make_rows(values, feature=None):
    features = None if feature is None else Features({"label": feature})
    return Dataset.from_dict({"label": values}, features=features)


@pytest.mark.parametrize(
    "vectors",
    [
        [[1, 0], [0, 1]],
        [[1, 0], [1, 1]],
        [[0, 0, 1], [1, 0, 1]],
        [[0.0, 1.0], [1.0, 1.0]],
        [[True, False], [False, True]],
        [["0", "1"], ["1", "1"]],
    ],
)
def test_vectors_of_0_and_1_are_refused_with_the_remedy(vectors):
    for read in (find_labels, lambda rows, column: number_labels(rows, column, ["0", "1"])):
        with pytest.raises(ValueError, match=r"got 0/1 vectors, .* in row 0; convert them with"):
            read(make_rows(vectors), "label")


def test_the_remedy_for_vectors_works():
    rows = make_rows([[1, 0, 1], [0, 1, 0]])
    with pytest.raises(ValueError, match="0/1 vectors") as caught:
        find_labels(rows, "label")
    call = str(caught.value).split("`")[3]
    mended = eval(call, {"dataset": rows})
    assert number_labels(mended, "label", find_labels(mended, "label")) == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("lists", [[[0], [1]], [[0, 1], [1], []], [[0, 2], [1, 0]]])
def test_lists_of_numbers_of_labels_are_no_vectors(lists):
    assert find_labels(make_rows(lists, List(Value("int64"))), "label")[:2] == ["0", "1"]


@pytest.mark.parametrize(
    ("values", "labels", "numbers"),
    [
        ([1.0, 0.0, 10.0], ["0", "1", "10"], [1, 0, 2]),
        ([True, False], ["False", "True"], [1, 0]),
        (["10", "9"], ["9", "10"], [1, 0]),
        (["01", "1"], ["01", "1"], [0, 1]),
        (["[other]", "[spam]"], ["[other]", "[spam]"], [0, 1]),
        (["None", "N/A"], ["N/A", "None"], [1, 0]),
    ],
)
def test_labels_of_each_type_get_the_names_that_are_meant(values, labels, numbers):
    rows = make_rows(values)
    assert find_labels(rows, "label") == labels
    assert number_labels(rows, "label", labels) == numbers


@pytest.mark.parametrize(
    ("values", "feature", "message"),
    [
        ([0.0, math.nan, 1.0], None, "row 1 of `label` must have a label, got nan; fill or drop"),
        (["a", None, "b"], None, "row 1 of `label` must have a label, got None"),
        (["a", " ", "b"], None, "row 1 of `label` must have a label, got ' '"),
        ([0, -1, 1], ClassLabel(names=["a", "b"]), "row 1 of `label` must have a label, got -1"),
        ([["a"], ["b", None]], None, "row 1 of `label` must have a label, got None"),
        ([0.0, 0.5, 1.0], None, "row 1 of `label` must be the name or number of a label, .* 0.5"),
        ([{"id": 0}, {"id": 1}], None, "row 0 of `label` must be the name or number .* {'id': 0}"),
        ([[["a"]], [["b"]]], None, "row 0 of `label` must be the name or number .* got \\['a'\\]"),
        ([b"a", b"b"], None, "row 0 of `label` must be the name or number of a label, .* b'a'"),
        (["good", "['good', 'fun']"], None, "row 1 .* a list written as text, which is all that"),
        (["good", "[1, 0]"], None, "row 1 .* a list written as text"),
        (["good", "[1 0]"], None, "row 1 .* a list written as text"),
        (["good", "{'id': 1}"], None, "row 1 .* a list written as text"),
    ],
)
def test_what_is_no_label_is_refused_with_its_row(values, feature, message):
    rows = make_rows(values, feature)
    with pytest.raises(ValueError, match=message):
        number_labels(rows, "label", ["0", "1", "a", "b", "good"])


def test_lists_beside_single_labels_are_refused():
    values = ["a", ["a", "b"]]
    with pytest.raises(ValueError, match="lists of labels in all rows or in none, got 'a' in row"):
        check_label_shapes(values, "label")


def test_classes_of_a_csv_file_keep_their_names(tmp_path):
    names = ["None", "N/A", "NA", "null", "01", "1"]
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"x,{name}\n" for name in names))
    assert find_labels(Source(str(path)).open_rows("train"), "label") == sorted(names)


def test_an_empty_cell_is_refused_with_its_row(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nx,a\ny,\nz\nx,b\n")
    rows = Source(str(tmp_path / "a.csv")).open_rows("train")
    assert find_labels(rows, "label") == ["a", "b"]
    for row in (1, 2):
        with pytest.raises(ValueError, match=r"row 0 of `label` must have a label"):
            number_values(rows["label"][row : row + 1], None, "label", ["a", "b"])
