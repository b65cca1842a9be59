"""The numbers of README and cards of images, on tiny models."""

import json

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pillow

from hf_anchornet.model.costs import count_multiply_adds
from scripts.benchmarks.image_measurement import (
    ImageMeasurement,
    check_image_contract,
    make_blank,
    measure_images,
)

RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (128, 128, 128)


def paint(colour, x, y):
    """A grey picture of 64 px with a coloured square of 16 px."""
    picture = Pillow.new("RGB", (64, 64), GREY)
    picture.paste(colour, (x, y, x + 16, y + 16))
    return picture


pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture
def localizer(image_localizer_folder):
    return image_localizer_folder


@pytest.fixture
def source(tmp_path):
    """Folder with a test split of red and blue squares in boxes, the last one without a box."""
    places = [(16, 24), (40, 8), (8, 40), (0, 0)]
    rows = {
        "image": [paint((RED, BLUE)[row % 2], *place) for row, place in enumerate(places)],
        "label": ["warm", "cold", "warm", "cold"],
        "boxes": [*([[x, y, x + 16, y + 16]] for x, y in places[:3]), []],
    }
    kinds = {"image": Image(), "label": Value("string"), "boxes": List(List(Value("int32")))}
    folder = tmp_path / "squares"
    folder.mkdir()
    Dataset.from_dict(rows, features=Features(kinds)).to_parquet(folder / "test.parquet")
    return str(folder)


def test_multiply_adds_of_a_localizer_are_those_of_its_layers(planted_image_model):
    # Windows of 8 px every 4 in 32 px: 7 x 7 of them.
    layer, branch, head = 3 * 8 * 8 * 2, 2 * 2, 2 * 2
    count = count_multiply_adds(planted_image_model, make_blank(planted_image_model, 32))
    assert count == 49 * (layer + branch + head)


def test_the_contract_holds_on_images_of_several_sizes(image_model, image_processor):
    rng = np.random.default_rng(0)
    pictures = list(rng.integers(0, 256, (9, 40, 44, 3), dtype=np.uint8))
    errors = check_image_contract(image_model, image_processor, pictures)
    assert 0 < errors["additive_error"] < 1e-5
    assert 0 < errors["padded_error"] < 1e-5


def test_a_broken_contract_shows_in_the_errors(image_model, image_processor, monkeypatch):
    forward = image_model.forward

    def break_it(pixel_values, pixel_mask, output_evidence=None):
        output = forward(pixel_values, pixel_mask, output_evidence=output_evidence)
        largest = output.logits.abs().amax(dim=1, keepdim=True)
        output.logits = output.logits + (largest if len(pixel_values) > 1 else 0)
        return output

    monkeypatch.setattr(image_model, "forward", break_it)
    pictures = list(np.random.default_rng(0).integers(0, 256, (2, 40, 44, 3), dtype=np.uint8))
    errors = check_image_contract(image_model, image_processor, pictures)
    assert errors["padded_error"] == pytest.approx(1.0, abs=1e-4)
    assert errors["additive_error"] >= 0.5


def test_all_numbers_of_a_localizer(localizer, source):
    report = measure_images(ImageMeasurement(localizer, source))
    assert report["split"] == "test"
    assert report["localizer"]["parameters"] > 0
    assert report["localizer"]["side"] == 32
    assert report["localizer"]["multiply_adds"] > report["localizer"]["trunk_multiply_adds"] > 0
    assert report["localizer"]["additive_error"] < 1e-5
    (scores,) = report["sets"].values()
    assert (scores["num_images"], scores["num_located"]) == (4, 3)
    assert scores["accuracy"] == scores["pointing"]["localizer"] == 1.0
    json.dumps(report)


def test_few_rows_can_be_drawn(localizer, source):
    report = measure_images(ImageMeasurement(localizer, source, max_rows=2))
    assert report["sets"]["squares"]["num_images"] == 2
