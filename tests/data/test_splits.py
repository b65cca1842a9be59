"""From files to batches: sources, columns, labels, bad rows, crops and padding."""

import json

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_anchornet.data.splits import (
    DataOptions,
    detect_modality,
    find_labels,
    load_labelled_rows,
    load_split,
    number_labels,
)
from hf_anchornet.data.texts import check_texts, make_collator, tokenize

ROWS = {
    "text": ["good film", "bad film", "the café"],
    "label": ["positive", "negative", "positive"],
}


pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


def write(path, rows=ROWS):
    """`rows` as a file of the format that its ending names."""
    dataset = Dataset.from_dict(rows)
    if path.suffix == ".json":
        path.write_text(json.dumps(dataset.to_list()), encoding="utf-8")
    else:
        writers = {".parquet": "to_parquet", ".csv": "to_csv", ".jsonl": "to_json"}
        getattr(dataset, writers[path.suffix])(path)
    return str(path)


@pytest.mark.parametrize("ending", ["parquet", "csv", "json", "jsonl"])
def test_a_file_of_each_format_is_one_training_split(tmp_path, ending):
    source = write(tmp_path / f"reviews.{ending}")
    rows = load_split(DataOptions(source), "train")
    assert {name: list(rows[name]) for name in rows.column_names} == ROWS


def test_files_in_a_folder_are_splits_by_their_names(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    write(folder / "train.csv")
    write(folder / "validation.csv", {"text": ["bad"], "label": ["negative"]})
    assert len(load_split(DataOptions(str(folder)), "train")) == 3
    assert list(load_split(DataOptions(str(folder)), "validation")["text"]) == ["bad"]


def test_a_missing_file_or_folder_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must be an existing file, got .*gone\.csv"):
        load_split(DataOptions(str(tmp_path / "gone.csv")), "train")
    with pytest.raises(FileNotFoundError, match="gone"):
        load_split(DataOptions(str(tmp_path / "gone")), "train")


def test_a_missing_split_lists_those_there_are(tmp_path):
    source = write(tmp_path / "reviews.csv")
    with pytest.raises(ValueError, match=r"`validation` is not in .*, which has \['train'\]"):
        load_split(DataOptions(source), "validation")


def test_a_split_without_rows_is_refused(tmp_path):
    (tmp_path / "reviews.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have a header and rows, got none"):
        load_split(DataOptions(str(tmp_path / "reviews.csv")), "train")


def test_a_missing_column_lists_those_there_are_and_guesses_the_slip(tmp_path):
    source = write(tmp_path / "reviews.csv", {"texts": ["good"], "label": ["positive"]})
    wanted = r"`text` is not in .* has \['label', 'texts'\].* Did you mean `texts`\?"
    with pytest.raises(ValueError, match=wanted):
        load_split(DataOptions(source), "train")
    with pytest.raises(ValueError, match=r"neither `body` \(`text_column`\) nor `image` \("):
        detect_modality(DataOptions(source, text_column="body"))
    with pytest.raises(ValueError, match=r"name the right one by `label_column`\.$"):
        load_split(DataOptions(source, text_column="texts", label_column="xyz"), "train")


def test_the_same_rows_are_drawn_each_time(tmp_path):
    rows = {"text": [str(i) for i in range(100)], "label": [i % 2 for i in range(100)]}
    options = DataOptions(write(tmp_path / "reviews.parquet", rows), max_rows=10)
    drawn = [list(load_split(options, "train")["text"]) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 10
    assert drawn[0] != rows["text"][:10]
    options.max_rows = 1000
    assert list(load_split(options, "train")["text"]) == rows["text"]


@pytest.mark.parametrize(
    ("values", "feature", "labels", "numbers"),
    [
        (["b", "a", "b"], Value("string"), ["a", "b"], [1, 0, 1]),
        ([10, 9, 10], Value("int64"), ["9", "10"], [1, 0, 1]),
        ([1, 0, 1], ClassLabel(names=["neg", "pos"]), ["neg", "pos"], [1, 0, 1]),
        ([2, 0, 2], ClassLabel(names=["c", "b", "a"]), ["c", "b", "a"], [2, 0, 2]),
        ([["b"], [], ["a", "b"]], List(Value("string")), ["a", "b"], [[0, 1], [0, 0], [1, 1]]),
        ([[1], [0], []], List(ClassLabel(names=["x", "y"])), ["x", "y"], [[0, 1], [1, 0], [0, 0]]),
    ],
    ids=[
        "strings",
        "integers",
        "class labels",
        "classes that do not occur",
        "lists",
        "class lists",
    ],
)
def test_labels_are_numbered_in_their_order(values, feature, labels, numbers):
    rows = Dataset.from_dict({"label": values}, features=Features({"label": feature}))
    assert find_labels(rows, "label") == labels
    assert number_labels(rows, "label", labels) == numbers


def test_validation_labels_get_the_numbers_of_the_training_labels():
    features = Features({"label": ClassLabel(names=["pos", "neg"])})
    rows = Dataset.from_dict({"label": [0, 1]}, features=features)
    assert number_labels(rows, "label", ["neg", "pos"]) == [1, 0]


@pytest.mark.parametrize(
    ("values", "feature"),
    [
        (["a", "a"], Value("string")),
        ([1, 1], ClassLabel(names=["neg", "pos"])),
        ([["a"], []], List(Value("string"))),
        (["a", None], Value("string")),
    ],
)
def test_one_label_alone_is_refused(values, feature):
    rows = Dataset.from_dict({"label": values}, features=Features({"label": feature}))
    with pytest.raises(ValueError, match="`label` must hold at least two labels, got"):
        find_labels(rows, "label")


@pytest.mark.parametrize(
    ("values", "feature", "name"),
    [
        (["a", "new"], Value("string"), "'new'"),
        ([0, 2], ClassLabel(names=["a", "b", "new"]), "'new'"),
        ([["a"], ["b", "new"]], List(Value("string")), "'new'"),
    ],
)
def test_a_label_unseen_in_training_names_its_row(values, feature, name):
    rows = Dataset.from_dict({"label": values}, features=Features({"label": feature}))
    with pytest.raises(ValueError, match=f"label {name} in row 1 of `label` was not seen"):
        number_labels(rows, "label", ["a", "b"])


def test_a_text_that_is_no_string_names_its_row():
    with pytest.raises(TypeError, match="`text` must hold strings, got NoneType in row 1"):
        check_texts(Dataset.from_dict({"text": ["good", None]}), "text")
    with pytest.raises(TypeError, match="got int in row 0"):
        check_texts(Dataset.from_dict({"text": [3]}), "text")


def test_texts_become_whole_tokens_without_special_ones(tokenizer):
    rows = Dataset.from_dict(
        {
            "text": ["good film", "", "\ud83d bad".encode("utf-8", "replace").decode()],
            "label": ["b", "a", "a"],
            "other": [1, 2, 3],
        }
    )
    encoded = tokenize(rows, tokenizer, DataOptions(""), ["a", "b"])
    assert encoded.column_names == ["input_ids", "length", "labels"]
    assert list(encoded["length"]) == [2, 0, 2]
    assert encoded[0] == {"input_ids": [2, 4], "length": 2, "labels": 1}


def test_a_long_text_is_not_cut(tokenizer):
    tokenizer.model_max_length = 8
    rows = Dataset.from_dict({"text": ["good " * 1000], "label": ["a"]})
    assert tokenize(rows, tokenizer, DataOptions(""), ["a", "b"])["length"][0] == 1000


def test_padding_stands_right_and_is_masked():
    batch = make_collator(7)(
        [{"input_ids": [1, 2, 3], "labels": 0}, {"input_ids": [4], "labels": 1}]
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 7, 7]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].dtype == torch.long


def test_probabilities_as_targets_are_floats():
    batch = make_collator(0)([{"input_ids": [1], "labels": [0.0, 1.0]}])
    assert batch["labels"].dtype == torch.float32


def test_texts_without_tokens_make_an_empty_batch():
    batch = make_collator(0)([{"input_ids": [], "labels": 0}])
    assert batch["input_ids"].shape == (1, 0)
    assert batch["input_ids"].dtype == torch.long


def test_crops_are_random_pieces_of_the_text_and_reach_both_ends():
    collate = make_collator(0, crop_tokens=3)
    rows = [{"input_ids": [1, 2, 3, 4, 5], "labels": 0}, {"input_ids": [6, 7], "labels": 0}]
    crops = [collate(rows)["input_ids"].tolist() for _ in range(50)]
    assert {tuple(first) for first, _ in crops} == {(1, 2, 3), (2, 3, 4), (3, 4, 5)}
    assert all(second == [6, 7, 0] for _, second in crops)


@pytest.mark.parametrize("mark", [";", "|", "\t"])
def test_another_separator_than_commas_is_named(tmp_path, mark):
    (tmp_path / "reviews.csv").write_text(f"text{mark}label\ngood{mark}positive\n", "utf-8")
    with pytest.raises(ValueError, match="The file seems to separate columns by "):
        load_split(DataOptions(str(tmp_path / "reviews.csv")), "train")


def test_a_sample_keeps_the_labels_of_its_split(tmp_path):
    rows = {"text": [f"t{row}" for row in range(200)], "label": ["a", "b"] * 99 + ["a", "rare"]}
    for split in ("train", "validation"):
        Dataset.from_dict(rows).to_parquet(tmp_path / f"{split}.parquet")
    options = DataOptions(str(tmp_path / "{split}.parquet"), max_rows=10)
    train, _, labels = load_labelled_rows(options, "text")
    assert (len(train), labels) == (10, ["a", "b", "rare"])


def test_splits_of_single_labels_and_of_lists_are_refused(tmp_path):
    Dataset.from_dict({"text": ["x", "y"], "label": ["a", "b"]}).to_parquet(tmp_path / "t.parquet")
    Dataset.from_dict({"text": ["x"], "label": [["a"]]}).to_parquet(tmp_path / "v.parquet")
    options = DataOptions(str(tmp_path / "{split}.parquet"), train_split="t", validation_split="v")
    with pytest.raises(ValueError, match="or lists of them in both splits, got lists only in `v`"):
        load_labelled_rows(options, "text")
