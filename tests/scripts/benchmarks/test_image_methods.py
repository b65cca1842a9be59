"""What may read a picture: each method on a planted localizer and a random classifier."""

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from hf_anchornet.data.splits import DataOptions
from scripts.benchmarks.image_methods import load_pictures, make_image_methods
from scripts.benchmarks.methods import Models
from scripts.benchmarks.speed import BenchmarkOptions, run_benchmark

LABELS = ["warm", "cold"]
RED, BLUE = (255, 0, 0), (0, 0, 255)


def paint(colour, x, y, size=(64, 48)):
    picture = Image.new("RGB", size, (128, 128, 128))
    picture.paste(colour, (x, y, x + 16, y + 16))
    return picture


@pytest.fixture
def methods(planted_image_model, image_processor, image_classifier_folder, tmp_path):
    planted_image_model.save_pretrained(tmp_path / "localizer")
    image_processor.save_pretrained(tmp_path / "localizer")
    config = tmp_path / "image_classifier" / "config.json"
    text = config.read_text("utf-8").replace('"sad"', '"cold"').replace('"glad"', '"warm"')
    config.write_text(text, "utf-8")
    options = Models(str(tmp_path / "localizer"), [f"full={image_classifier_folder}"])
    return make_image_methods(options, LABELS)


def test_there_is_a_row_for_each_thing_that_people_do(methods):
    controls = {"full", "small", "centre", "random"}
    assert set(methods) == controls | {"localizer", "patches", "patches_and_localizer"}


def test_resizing_is_measured_at_every_size_that_has_a_classifier(methods, tmp_path):
    classifiers = [f"{name}={tmp_path / 'image_classifier'}" for name in ("full", "small_64")]
    found = make_image_methods(Models(str(tmp_path / "localizer"), classifiers), LABELS)
    assert set(found) == {*methods, "small_64"}


def test_every_method_gives_probabilities_alone_and_in_a_batch(methods):
    pictures = [paint(RED, 16, 20), paint(BLUE, 40, 0, size=(90, 60))]
    for method in methods.values():
        together = method.predict(pictures)
        alone = np.concatenate([method.predict([picture]) for picture in pictures])
        np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(together, alone, atol=1e-4)


def test_labels_come_in_the_order_asked_for(methods):
    probs = methods["localizer"].predict([paint(RED, 16, 20), paint(BLUE, 16, 20)])
    assert probs.argmax(axis=1).tolist() == [0, 1]


def test_the_classifier_reads_the_best_patch(methods):
    steps = methods["patches"].steps
    (patch,), _ = steps["select"](steps["localize"]([paint(RED, 16, 20)]))
    colours = np.asarray(patch).reshape(-1, 3)
    assert 12 <= patch.size[0] <= 13  # 8 px at two thirds of the size
    assert (colours == RED).all(axis=1).mean() > 0.5


def test_controls_are_squares_of_the_size_of_a_patch(methods):
    pictures = [paint(RED, x, 20) for x in range(8)]
    centre, random = (methods[name].steps["select"](pictures) for name in ("centre", "random"))
    assert {crop.size for crop in [*centre, *random]} == {(12, 12)}
    assert [crop.tobytes() for crop in random] == [
        crop.tobytes() for crop in methods["random"].steps["select"](pictures)
    ]
    assert centre[0].tobytes() == pictures[0].crop((26, 18, 38, 30)).tobytes()


def test_an_upper_bound_reads_what_people_marked(methods, tmp_path):
    boxes = [[[60, 44, 64, 48]], [[10, 10, 20, 20], [0, 0, 5, 5]]]
    rows = {"image": [paint(RED, 0, 0)] * 2, "label": ["warm", "cold"], "boxes": boxes}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    pictures, _ = load_pictures(DataOptions(str(tmp_path / "data.parquet")), "train", LABELS)
    folder = tmp_path / "image_classifier"
    models = Models(str(tmp_path / "localizer"), [f"full={folder}", f"oracle={folder}"])
    oracle = make_image_methods(models, LABELS)["oracle"]
    found = oracle.steps["select"](pictures)
    for crop, picture, place in zip(found, pictures, [(52, 36), (9, 9)], strict=True):
        x, y = place
        assert crop.tobytes() == picture.crop((x, y, x + 12, y + 12)).tobytes()
    with pytest.raises(ValueError, match="`classifiers` holds oracle"):
        oracle.predict([paint(RED, 0, 0)])


def test_pictures_are_measured_like_texts(methods, tmp_path):
    rows = {"image": [paint(RED, 0, 0), paint(BLUE, 9, 9)], "label": ["warm", "cold"]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    data = DataOptions(str(tmp_path / "data.parquet"))
    pictures, targets = load_pictures(data, "train", LABELS)
    options = BenchmarkOptions([1], [1], num_timed=1, num_counted=1, rounds=1)
    report = run_benchmark(methods, pictures, targets, options)
    assert report["localizer"]["accuracy"] == 1.0
    assert report["patches"]["multiply_adds"] > report["small"]["multiply_adds"] > 0
