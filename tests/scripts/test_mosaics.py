"""Mosaics of the patches that a localizer chooses, each picture with its own label."""

from io import BytesIO

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, load_dataset
from datasets import Image as ImageFeature
from PIL import Image

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.model.image_localizer import ImageLocalizer
from scripts.mosaics import MosaicOptions, make_mosaic, write_mosaics


@pytest.fixture
def image_localizer(image_localizer_folder):
    """For it red is warm, blue is cold, and nothing else counts."""
    return ImageLocalizer.load(image_localizer_folder)


@pytest.fixture
def pictures(tmp_path):
    """Two splits of three pictures of noise, labels as names."""
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=["a", "b"])})
    for split in ("train", "validation"):
        rows = []
        for row in range(3):
            noise = np.random.default_rng(row).integers(0, 256, (130, 150, 3), dtype=np.uint8)
            stream = BytesIO()
            Image.fromarray(noise).save(stream, "PNG")
            rows.append({"image": {"bytes": stream.getvalue(), "path": None}, "label": row % 2})
        Dataset.from_list(rows, features=features).to_parquet(tmp_path / "set" / f"{split}.parquet")
    return DataOptions(str(tmp_path / "set"))


def test_mosaics_keep_the_labels_of_their_pictures(pictures, image_localizer_folder, tmp_path):
    options = MosaicOptions(
        image_localizer_folder, str(tmp_path / "out"), image_size=32, tile=20, columns=2
    )
    write_mosaics(pictures, options)
    for split in ("train", "validation"):
        rows = load_dataset(str(tmp_path / "out"), split=split)
        assert rows["label"] == [0, 1, 0]
        assert rows.features["label"].names == ["a", "b"]
        assert {image.size for image in rows["image"]} == {(40, 40)}


@pytest.mark.parametrize(("against", "color"), [("cold", "red"), ("warm", "blue")])
def test_tiles_hold_the_evidence_against_a_label(image_localizer, against, color):
    picture = Image.new("RGB", (64, 64))
    picture.paste("red", (8, 8, 20, 20))
    picture.paste("blue", (40, 40, 52, 52))
    options = MosaicOptions("", "", against=against, tile=20, columns=1)
    image_localizer.processor.size = {"shortest_edge": 64}
    mosaic = make_mosaic(image_localizer, picture, options)
    found = {name for _, name in mosaic.getcolors()}
    assert {"red": (255, 0, 0), "blue": (0, 0, 255)}[color] in found
    assert {"red": (0, 0, 255), "blue": (255, 0, 0)}[color] not in found


def test_an_unknown_label_is_named(image_localizer):
    options = MosaicOptions("", "", against="whole")
    with pytest.raises(ValueError, match=r"`against` must be one of \['cold', 'warm'\], got 'who"):
        make_mosaic(image_localizer, Image.new("RGB", (64, 64)), options)


@pytest.mark.parametrize("name", ["image_size", "tile", "columns"])
def test_wrong_numbers_are_named(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
        MosaicOptions("", "", **{name: 0})
