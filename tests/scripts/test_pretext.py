"""Crops with and without a spot, from pictures of two colours."""

from io import BytesIO

import numpy as np
import pytest
from datasets import Dataset, load_dataset
from numpy.random import default_rng
from PIL import Image

from hf_anchornet.data.splits import DataOptions
from scripts.pretext import LABELS, LEAST_CONTRAST, CropOptions, draw_spot, write_crops


def make_board(width, height):
    """A picture of dark stripes on light ground."""
    rows = np.where(np.arange(height) // 8 % 2, 20, 230).astype(np.uint8)
    return Image.fromarray(np.repeat(rows[:, None], width, axis=1)).convert("RGB")


@pytest.fixture
def boards(tmp_path):
    """Two splits of three pictures of different sizes."""
    for split in ("train", "validation"):
        pictures = []
        for row in range(3):
            stream = BytesIO()
            make_board(100 + row, 120 + row).save(stream, "PNG")
            pictures.append(stream.getvalue())
        columns = {"image": pictures, "label": ["a", "b", "a"]}
        Dataset.from_dict(columns).to_parquet(tmp_path / "boards" / f"{split}.parquet")
    return DataOptions(str(tmp_path / "boards"))


def test_half_of_the_crops_are_altered_and_all_are_shrunk(boards, tmp_path):
    options = CropOptions(str(tmp_path / "crops"), side=48, per_picture=6)
    write_crops(boards, options)
    for split in ("train", "validation"):
        rows = load_dataset(str(tmp_path / "crops"), split=split)
        assert rows.features["label"].names == LABELS
        assert rows["label"].count(0) == 9
        assert len(rows) == 18
        assert {image.size for image in rows["image"]} == {(24, 24)}


def test_the_same_seed_gives_the_same_crops(boards, tmp_path):
    contents = []
    for name in ("one", "two"):
        write_crops(boards, CropOptions(str(tmp_path / name), side=48, per_picture=2))
        contents.append((tmp_path / name / "train.parquet").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("seed", range(10))
def test_a_spot_is_seen_at_one_place_of_its_size(seed):
    before = make_board(64, 64)
    after = before.copy()
    label = draw_spot(after, (4, 8), 3, default_rng(seed))
    assert label in LABELS[1:]
    change = np.abs(np.asarray(after).astype(int) - np.asarray(before).astype(int)).max(axis=2)
    rows, columns = np.nonzero(change)
    assert change.max() >= LEAST_CONTRAST
    assert max(np.ptp(rows), np.ptp(columns)) <= 2 * (8 + 4)


def test_an_even_crop_gets_a_spot_of_the_opposite_colour():
    crop = Image.new("RGB", (40, 40), (10, 20, 30))
    assert draw_spot(crop, (4, 8), 1, default_rng(0)) == "lighter"
    assert {color for _, color in crop.getcolors()} == {(10, 20, 30), (245, 235, 225)}


def test_a_spot_across_an_edge_is_labelled_so():
    crop = Image.new("RGB", (40, 40), "white")
    crop.paste("black", (0, 0, 40, 20))
    labels = {draw_spot(crop.copy(), (9, 10), 1, default_rng(seed)) for seed in range(40)}
    assert labels == set(LABELS[1:])


def test_pictures_smaller_than_a_crop_are_named(boards, tmp_path):
    with pytest.raises(ValueError, match=r"smallest picture, got 101 for row 0 of 100 x 120 px"):
        write_crops(boards, CropOptions(str(tmp_path / "crops"), side=101))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"smallest": 0}, "must be sizes of spots inside a crop of 128 px"),
        ({"largest": 65}, "must be sizes of spots inside a crop of 128 px"),
        ({"shrink": 0}, "`shrink` must be at least 1, got 0"),
        ({"slender": 0.5}, "`slender` must be at least 1, got 0.5"),
        ({"per_picture": 0}, "`per_picture` must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        CropOptions("crops", **wrong)
