"""Starts of an image localizer, compared on few planted pictures."""

import pytest
from datasets import Dataset
from mobile_network import save_mobile_network
from PIL import Image

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training.options import TrainingOptions
from scripts.ablations import image_starts
from scripts.ablations.image_starts import STARTS, ImageStartsOptions, Start, compare_starts

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")


@pytest.fixture
def network(tmp_path):
    return save_mobile_network(tmp_path / "network", ["blue", "red"], side=32)


@pytest.fixture
def data(tmp_path):
    colours = [(250, 0, 0), (0, 0, 250)]
    rows = {
        "image": [Image.new("RGB", (110, 100), colours[row % 2]) for row in range(8)],
        "label": [("red", "blue")[row % 2] for row in range(8)],
        "boxes": [[[0, 0, 110, 100]]] * 8,
    }
    Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    return DataOptions(str(tmp_path / "rows.parquet"), validation_split="train")


def test_each_start_is_trained_alike_and_judged(data, network, tmp_path, monkeypatch):
    small = {
        "new": Start(96, 96, pretrained=False),
        "taught": Start(96, 96, taught=True),
        "larger": Start(112, 96),
    }
    monkeypatch.setattr(image_starts, "STARTS", small)
    options = ImageStartsOptions(network, network, list(small))
    training, seen = TrainingOptions(str(tmp_path / "runs"), num_epochs=1, batch_size=8), []

    def note(found):
        seen.append(len(found["starts"]))

    report = compare_starts(data, options, training, note)
    assert seen == [1, 2, 3]
    assert report["num_rows"] == 8
    found = report["starts"]
    for score in ("accuracy", "pointing"):
        assert all(0 <= each[score] <= 1 for each in found.values())
    adds = {name: each["multiply_adds"] for name, each in found.items()}
    assert adds["larger"] > adds["taught"] != adds["new"]
    assert report["settings"]["training"]["num_epochs"] == 1


def test_only_a_taught_start_has_a_teacher():
    options = ImageStartsOptions("backbone", "teacher")
    chosen = {name: options.choose(start)[0] for name, start in STARTS.items()}
    assert {name for name in chosen if chosen[name].teacher} == {
        name for name in STARTS if name.endswith("taught")
    }
    assert {name for name in chosen if chosen[name].backbone} == {
        name for name in STARTS if name.startswith("pretrained")
    }


def test_starts_are_named():
    with pytest.raises(ValueError, match="`starts` must be among"):
        ImageStartsOptions("a", "b", starts=["magic"])
