"""Rows are told from others by what is in them, not by where they lie."""

import pytest
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from hf_anchornet.data.fingerprint import fingerprint_rows

ROWS = {"text": ["a", "b", "b"], "label": [0, 1, 1], "id": [7, 8, 9]}


def take(**changed):
    return fingerprint_rows(Dataset.from_dict(ROWS | changed), ["text", "label"])


@pytest.mark.parametrize(
    "changed",
    [
        {"text": ["b", "a", "b"]},
        {"label": [1, 1, 1]},
        {"text": ["ab", "", "b"]},
        {"text": ["a", None, "b"]},
        {"label": [[0], [1], [1]]},
    ],
)
def test_other_rows_have_another_fingerprint(changed):
    assert take(**changed) != take()


def test_columns_that_are_not_read_do_not_count(tmp_path):
    rows = Dataset.from_dict(ROWS | {"id": [0, 0, 0]})
    rows.to_parquet(tmp_path / "elsewhere.parquet")
    stored = Dataset.from_parquet(str(tmp_path / "elsewhere.parquet"))
    assert fingerprint_rows(stored, ["text", "label"]) == take()


def test_images_count_by_their_files(tmp_path):
    def store(colour, folder):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8), colour).save(tmp_path / folder / "one.png")
        return {"image": [str(tmp_path / folder / "one.png")], "label": ["a"]}

    features = Features({"image": ImageFeature(), "label": Value("string")})

    def take_images(rows, columns=("image", "label")):
        return fingerprint_rows(Dataset.from_dict(rows, features), columns)

    red = store("red", "here")
    moved = store("red", "there")
    assert take_images(red) == take_images(moved)
    larger = {"image": [str(tmp_path / "large" / "one.png")], "label": ["a"]}
    (tmp_path / "large").mkdir()
    Image.effect_noise((64, 64), 90).save(tmp_path / "large" / "one.png")
    assert take_images(larger) != take_images(red)
