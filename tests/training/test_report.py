"""`training.json`, from which a training can be repeated."""

import json
import platform
from dataclasses import asdict

import pytest
import torch
from compared_trainings import SMALL_IMAGES
from datasets import Dataset
from PIL import Image
from planted_texts import FAST, SMALL, plant
from safetensors.torch import load_file

from hf_anchornet.cli import adapt, train
from hf_anchornet.cli.modalities import run_for_data
from hf_anchornet.cli.options import build_options
from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.publishing.folder import build_folder
from hf_anchornet.training.image_options import ImageLocalizerOptions
from hf_anchornet.training.image_training import train_image_localizer
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.text_adaptation import TextClassifierOptions
from hf_anchornet.training.text_vocabulary import train_tokenizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")


def list_given(*options):
    """All options of dataclasses by name, without those that are left out."""
    listed = {name: value for each in options for name, value in asdict(each).items()}
    return {name: value for name, value in listed.items() if value is not None}


def read_report(folder):
    return json.loads((folder / "training.json").read_text("utf-8"))


@pytest.fixture
def pictures(tmp_path):
    """A data set of nine pictures of two colours."""
    colours = [(250, 0, 0), (0, 0, 250)]
    rows = {"image": [Image.new("RGB", (40, 36), colours[row % 2]) for row in range(9)]}
    rows["label"] = [["red", "blue"][row % 2] for row in range(9)]
    Dataset.from_dict(rows).to_parquet(tmp_path / "pictures.parquet")
    return DataOptions(str(tmp_path / "pictures.parquet"), validation_split="train")


def test_a_text_training_is_repeated_from_its_report(tmp_path, classifier_folder):
    train_tokenizer(["a good film", "a bad plot"], 60).save_pretrained(tmp_path / "tokenizer")
    given = {
        "dataset": plant(tmp_path / "data", 32),
        "output_dir": str(tmp_path / "run"),
        "tokenizer": str(tmp_path / "tokenizer"),
        "embeddings": classifier_folder,
        "num_epochs": 1,
        "seed": 7,
        "max_rows": 30,
        **SMALL,
        **FAST,
    }
    report = run_for_data(train.WORKS, given)
    kinds = train.WORKS["text"].option_types
    options = read_report(tmp_path / "run")["options"]
    assert list_given(*build_options(kinds, given)).items() <= options.items()
    again = run_for_data(train.WORKS, options | {"output_dir": str(tmp_path / "again")})
    assert again["history"] == report["history"]
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("run", "again"))
    assert all(one[name].equal(other[name]) for name in one)


def test_all_options_of_an_image_training_are_in_its_report(tmp_path, pictures):
    given = [
        pictures,
        ImageLocalizerOptions(**SMALL_IMAGES),
        AugmentationOptions(24, 0.75, mirror=False, color_strength=0.1),
        TrainingOptions(str(tmp_path / "run"), num_epochs=1, batch_size=8, seed=3),
    ]
    train_image_localizer(*given)
    options = read_report(tmp_path / "run")["options"]
    build_options(train.WORKS["image"].option_types, options)
    assert list_given(*given).items() <= options.items()


def test_all_options_of_an_adaptation_are_in_its_report(tmp_path):
    given = [
        DataOptions(plant(tmp_path / "data", 32), max_rows=20),
        TextClassifierOptions(reading="crops", budgets=[8, 16], hidden_size=16, num_layers=1),
        TrainingOptions(str(tmp_path / "run"), num_epochs=1, learning_rate=1e-3),
    ]
    adapt.WORKS["text"].run(*given)
    report = read_report(tmp_path / "run")
    build_options(adapt.WORKS["text"].option_types, report["options"])
    assert list_given(*given).items() <= report["options"].items()
    assert report["data"]["reading"] == "crops, at most 8, 16 tokens"


def test_the_versions_of_packages_are_in_a_report(tmp_path, pictures):
    images, crops = ImageLocalizerOptions(**SMALL_IMAGES), AugmentationOptions(24)
    train_image_localizer(
        pictures, images, crops, TrainingOptions(str(tmp_path / "run"), num_epochs=1)
    )
    versions = read_report(tmp_path / "run")["versions"]
    assert versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert versions["python"] == platform.python_version()
    assert {"hf-anchornet", "transformers", "datasets", "accelerate"} < set(versions)


def test_the_card_says_that_crops_were_seen(tmp_path, pictures):
    images, crops = ImageLocalizerOptions(**SMALL_IMAGES), AugmentationOptions(24)
    train_image_localizer(
        pictures, images, crops, TrainingOptions(str(tmp_path / "images"), num_epochs=1)
    )
    run_for_data(
        train.WORKS,
        {"dataset": plant(tmp_path / "data", 32), "output_dir": str(tmp_path / "texts")}
        | {"num_epochs": 1, **SMALL, **FAST},
    )
    cards = [(tmp_path / name / "README.md").read_text("utf-8") for name in ("images", "texts")]
    flat = [" ".join(card.split()) for card in cards]
    assert "a random square crop, resized to 24 px" in flat[0]
    assert "a random crop of at most 20 tokens" in flat[1]
    assert not any("whole inputs" in card for card in flat)


def test_local_paths_in_a_report_are_not_published(localizer_folder, tmp_path):
    options = {"dataset": str(tmp_path), "tokenizer": "user/model", "localizer": "/home/me/runs/a"}
    options |= {"from_localizer": "/home/me/runs/b", "encoder": "/home/me/minilm"}
    report = json.dumps({"options": options | {"output_dir": "/home/me", "teacher": None}})
    (tmp_path / "localizer" / "training.json").write_text(report)
    build_folder(localizer_folder, tmp_path / "built")
    assert read_report(tmp_path / "built") == {
        "options": {
            "dataset": tmp_path.name,
            "tokenizer": "user/model",
            "localizer": "a",
            "from_localizer": "b",
            "encoder": "minilm",
            "teacher": None,
        }
    }


@pytest.mark.parametrize(("num_rows", "batch_size"), [(9, 8), (3, 1), (2, 4)])
def test_an_image_localizer_of_one_window_a_crop_learns_from_any_number_of_rows(
    tmp_path, pictures, num_rows, batch_size
):
    localizer = ImageLocalizerOptions(**SMALL_IMAGES)
    crops = AugmentationOptions(crop_size=7)  # the largest window
    pictures.max_rows = num_rows
    options = TrainingOptions(str(tmp_path / "run"), num_epochs=2, batch_size=batch_size)
    report = train_image_localizer(pictures, localizer, crops, options)
    assert all(0 < epoch["train_loss"] < 100 for epoch in report["history"])
