"""Splits held out of the training rows."""

import pytest
from datasets import ClassLabel, Dataset
from datasets import Image as ImageFeature
from PIL import Image

from hf_anchornet.data.holdout import choose_held_out, hold_out_splits
from hf_anchornet.data.splits import DataOptions, load_split

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


def hold_out(source, folder, **options):
    data = DataOptions(str(source), **options)
    rows = data.source.open_rows(data.train_split)
    return hold_out_splits(data, rows, "text", "test", 0, folder)


def write_rows(path, count=100, **more):
    texts = [f"text {row}" for row in range(count)]
    rows = {"text": texts, "label": ["a" if row % 4 else "b" for row in range(count)], **more}
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(rows).to_parquet(path)


def test_each_label_gives_the_same_share_and_keeps_a_row():
    labels = ["a"] * 80 + ["b"] * 20 + ["c"]
    held = choose_held_out(range(101), labels, 0.25, 0)
    assert [sum(labels[row] == name for row in held) for name in "abc"] == [20, 5, 0]
    assert held == sorted(set(held)) == choose_held_out(range(101), labels, 0.25, 0)
    assert held != choose_held_out(range(101), labels, 0.25, 1)


def test_equal_inputs_stay_together():
    keys = [row // 2 for row in range(40)]
    held = choose_held_out(keys, ["a"] * 40, 0.5, 0)
    assert len(held) == 20
    assert all(keys.count(keys[row]) == sum(keys[row] == keys[one] for one in held) for row in held)


def test_missing_splits_are_made_and_said(tmp_path):
    write_rows(tmp_path / "all.parquet")
    data, test, notes = hold_out(tmp_path / "all.parquet", tmp_path / "made")
    parts = {name: load_split(data, name)["text"][:] for name in ("train", "validation", test)}
    assert {name: len(texts) for name, texts in parts.items()} == {
        "train": 70, "validation": 15, "test": 15,
    }  # fmt: skip
    assert len({text for texts in parts.values() for text in texts}) == 100
    assert ["no split `validation`: 15 rows" in notes[0], "no split `test`" in notes[1]] == [
        True
    ] * 2


def test_splits_that_are_there_stay_as_they_are(tmp_path):
    for name in ("train", "dev", "test"):
        write_rows(tmp_path / "data" / f"{name}.parquet", 20)
    source = tmp_path / "data" / "{split}.parquet"
    data, test, notes = hold_out(source, tmp_path / "made", validation_split="dev")
    assert (data.dataset, test, notes) == (str(source), "test", [])
    assert not (tmp_path / "made").exists()
    (tmp_path / "data" / "dev.parquet").unlink()
    data, test, notes = hold_out(source, tmp_path / "made", validation_split="dev")
    counts = [len(load_split(data, name)) for name in ("train", "validation", "test")]
    assert counts == [17, 3, 20]
    assert len(notes) == 1


def test_two_rows_are_too_few(tmp_path):
    Dataset.from_dict({"text": ["x", "y"], "label": ["a", "b"]}).to_parquet(tmp_path / "d.parquet")
    with pytest.raises(ValueError, match=r"a split `validation`, or enough .* got 2 rows of 2 lab"):
        hold_out(tmp_path / "d.parquet", tmp_path / "made")


def test_pictures_are_written_with_their_files(tmp_path):
    for row in range(20):
        path = tmp_path / "photos" / "train" / ["a", "b"][row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (row, 0, 0)).save(path)
    data = DataOptions(str(tmp_path / "photos"))
    rows = data.source.open_rows("train")
    made, _, _ = hold_out_splits(data, rows, "image", "test", 0, tmp_path / "made")
    for path in (tmp_path / "photos").rglob("*.png"):
        path.unlink()
    found = load_split(made, "validation", "image")
    assert found[0]["image"].size == (8, 8)
    assert isinstance(found.features["label"], ClassLabel)


@pytest.mark.parametrize(("size", "share", "held"), [(3, 0.15, 45), (4, 0.15, 60), (10, 0.15, 150)])
def test_the_share_of_all_rows_holds_where_labels_are_rare(size, share, held):
    labels = [number // size for number in range(100 * size)]
    chosen = choose_held_out(range(100 * size), labels, share, 0)
    assert len(chosen) == held
    assert max(labels.count(labels[row]) for row in chosen) == size


def test_labels_without_a_held_out_row_are_told(tmp_path):
    rows = {"text": [f"text {row}" for row in range(61)]}
    rows["label"] = ["a"] * 40 + ["b"] * 20 + ["rare"]
    Dataset.from_dict(rows).to_parquet(tmp_path / "all.parquet")
    _, _, notes = hold_out(tmp_path / "all.parquet", tmp_path / "made")
    assert notes[0].endswith("seed 0; 1 labels are too rare to have one there")


def test_copies_of_a_picture_stay_together(tmp_path):
    pictures = [Image.new("RGB", (8, 8), (row // 2, 0, 0)) for row in range(60)]
    rows = Dataset.from_dict({"image": pictures, "label": ["a", "b", "b", "a"] * 15})
    rows.cast_column("image", ImageFeature()).to_parquet(tmp_path / "d.parquet")
    data = DataOptions(str(tmp_path / "d.parquet"))
    whole = data.source.open_rows("train")
    made, test, _ = hold_out_splits(data, whole, "image", "test", 0, tmp_path / "made")
    parts = [
        {picture.getpixel((0, 0)) for picture in load_split(made, name, "image")["image"]}
        for name in ("train", "validation", test)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 30
