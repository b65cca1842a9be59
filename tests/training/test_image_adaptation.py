"""Image classifiers behind a localizer: their readings, and training on them."""

import json

import datasets
import numpy as np
import pytest
import torch
from conftest import relabel
from datasets import Dataset
from PIL import Image as Pillow
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessorPil,
)

from hf_anchornet import Cascade
from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.splits import DataOptions
from hf_anchornet.model.image_reader import PatchReader, ReadableImage
from hf_anchornet.training.image_adaptation import adapt_image_classifier, make_image_classifier
from hf_anchornet.training.image_readings import (
    READINGS,
    ImageClassifierOptions,
    choose_boxes,
    collate_readings,
    cut_loosely,
    find_side,
    make_readings,
)
from hf_anchornet.training.options import TrainingOptions

RED, BLUE, GREEN, GREY = (255, 0, 0), (0, 0, 255), (0, 160, 0), (128, 128, 128)
TINY = {"patch_size": 16, "full_size": 32, "hidden_sizes": [8, 8], "depths": [1, 1]}


def paint(colour, x, y, size=(64, 64), inner=None):
    """A grey picture with a coloured square of 16 px and another colour in the middle of it."""
    picture = Pillow.new("RGB", size, GREY)
    picture.paste(colour, (x, y, x + 16, y + 16))
    if inner is not None:
        picture.paste(inner, (x + 4, y + 4, x + 12, y + 12))
    return picture


pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture
def localizer(image_localizer_folder, planted_image_model):
    relabel(planted_image_model, ["dark", "green"])
    planted_image_model.save_pretrained(image_localizer_folder)
    return image_localizer_folder


@pytest.fixture
def data(tmp_path):
    """A data set of red squares anywhere, whose label is the green or black dot in them."""
    rng = np.random.default_rng(0)
    places = rng.integers(0, 13, (32, 2)) * 4
    pictures = [
        paint(RED, x, y, inner=GREEN if row % 2 else (0, 0, 0))
        for row, (x, y) in enumerate(places.tolist())
    ]
    rows = {"image": pictures, "label": ["dark", "green"] * 16}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    return DataOptions(str(tmp_path / "data.parquet"), validation_split="train")


@pytest.fixture
def classifier_folder(tmp_path):
    """A random ResNet of three labels that reads 24 px, saved with its processor."""
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], num_labels=3)
    folder = str(tmp_path / "classifier")
    ResNetForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 24, "width": 24}).save_pretrained(folder)
    return folder


def test_the_patch_is_the_one_with_the_evidence(localizer):
    pictures = [paint(RED, 16, 40), paint(BLUE, 128, 32, size=(256, 128))]
    boxes = choose_boxes(ImageClassifierOptions(localizer), pictures)
    assert boxes[0] == [(16, 40, 32, 56)]
    ((left, _, right, _),) = boxes[1]
    assert right - left == 32  # 8 px at a quarter of the size
    assert left <= 128
    assert right >= 144


def test_a_mix_reads_the_best_patches_and_the_whole(localizer, data):
    pictures = [paint(RED, 16, 40), paint(BLUE, 0, 0)]
    best = choose_boxes(ImageClassifierOptions(localizer), pictures)
    options = ImageClassifierOptions(localizer, reading="mix", num_patches=2)
    mix = choose_boxes(options, pictures)
    assert [boxes[:1] for boxes in mix] == best
    assert [len(boxes) for boxes in mix] == [3, 3]
    assert [boxes[-1] for boxes in mix] == [None, None]
    rows = datasets.load_dataset("parquet", data_files=data.dataset, split="train").select([0, 1])
    readings = make_readings(options, rows, data, ["dark", "green"])
    assert [readings[index]["labels"] for index in range(len(readings))] == [0, 0, 0, 1, 1, 1]
    assert readings[2]["picture"].size == (64, 64)


def test_all_readings_are_those_of_a_mix_and_the_full_image(localizer, data):
    options = ImageClassifierOptions(localizer, reading="all", num_patches=2, **TINY)
    mix = ImageClassifierOptions(localizer, reading="mix", num_patches=2, **TINY)
    rows = datasets.load_dataset("parquet", data_files=data.dataset, split="train").select([0, 1])
    full_side = options.choose_full_side(16)
    readings = make_readings(options, rows, data, ["dark", "green"], full_side=full_side)
    alone = make_readings(mix, rows, data, ["dark", "green"])
    assert readings.places[:6] == alone.places
    assert readings.places[6:] == [(0, None), (1, None)]
    assert readings.groups == [[0, 1, 2, 3, 4, 5], [6, 7]]
    assert alone.groups == [[0, 1, 2, 3, 4, 5]]
    assert readings.targets == [0, 0, 0, 1, 1, 1, 0, 1]
    _, processor = make_image_classifier(options, ["dark", "green"])
    for items, side in zip(readings.groups, (16, 32), strict=True):
        batch = collate_readings(processor, [readings[item] for item in items])
        assert batch["pixel_values"].shape[2:] == (side, side)


def test_whole_images_of_any_shape_may_be_kept_whole(tmp_path):
    picture = Pillow.new("RGB", (80, 40), GREY)
    picture.paste(RED, (0, 0, 8, 40))
    options = AugmentationOptions(crop_size=16, keep_whole=True, turn=False, color_strength=0.0)
    for _ in range(8):
        view = np.asarray(cut_loosely(picture, None, augmentation=options)).astype(int)
        assert view.shape == (16, 32, 3)
        assert (view[..., 0] - view[..., 1] > 100).any()  # the red edge is still there
        assert cut_loosely(picture, (0, 0, 40, 40), 8, augmentation=options).size == (8, 8)


@pytest.mark.parametrize("name", ["keep_whole", "turn", "mirror"])
@pytest.mark.parametrize("value", [True, False])
def test_changes_of_training_images_are_those_asked_for(name, value):
    options = ImageClassifierOptions("unread", color_strength=0.3, **{name: value})
    assert options.make_augmentation(16) == AugmentationOptions(
        crop_size=16, color_strength=0.3, **{name: value}
    )


def test_one_classifier_learns_to_glance_and_to_read(localizer, data, tmp_path):
    report = adapt_image_classifier(
        data,
        ImageClassifierOptions(localizer, reading="all", num_patches=1, color_strength=0.1, **TINY),
        TrainingOptions(str(tmp_path / "run"), num_epochs=2, batch_size=5, learning_rate=1e-2),
    )
    assert np.isfinite(report["best"]["loss"])
    assert "resized to 16 or 32 px" in report["data"]["reading"]
    cascade = Cascade.load(
        localizer, tmp_path / "run", [1, "full"], 1.0, 32, glance=tmp_path / "run", glance_size=16
    )
    answer = cascade(paint(RED, 16, 40, inner=GREEN))
    assert answer["stage"] == 3
    assert answer["cost"]["glance_multiply_adds"] < answer["cost"]["full_multiply_adds"]


def test_full_images_must_differ_from_small_ones(localizer, data, classifier_folder, tmp_path):
    options = ImageClassifierOptions(localizer, classifier_folder, reading="all")
    message = '`full_size` must be another side than that of patches for reading "all", got 24'
    with pytest.raises(ValueError, match=message):
        adapt_image_classifier(data, options, TrainingOptions(str(tmp_path / "run")))


@pytest.mark.parametrize("reading", ["centre", "random"])
def test_the_controls_have_the_size_of_the_patch(localizer, reading):
    options = ImageClassifierOptions(localizer, reading=reading)
    boxes = [box for (box,) in choose_boxes(options, [paint(RED, 16, 40)] * 20)]
    assert all((x1 - x0, y1 - y0) == (16, 16) for x0, y0, x1, y1 in boxes)
    assert len(set(boxes)) == 1 if reading == "centre" else len(set(boxes)) > 5
    assert reading == "random" or boxes[0] == (24, 24, 40, 40)
    assert choose_boxes(options, [paint(RED, 16, 40)] * 20) == [[box] for box in boxes]


@pytest.mark.parametrize("reading", ["full", "small"])
def test_the_whole_image_needs_no_localizer(reading):
    options = ImageClassifierOptions("no such folder", reading=reading)
    assert choose_boxes(options, [paint(RED, 0, 0)] * 2) == [[None], [None]]


def test_an_image_without_evidence_is_read_whole(localizer, planted_image_model):
    planted_image_model.aggregation.heads[0].weight.data.zero_()
    planted_image_model.save_pretrained(localizer)
    assert choose_boxes(ImageClassifierOptions(localizer), [paint(RED, 0, 0)]) == [[None]]


@pytest.mark.parametrize(("reading", "side"), [("patches", 16), ("full", 32)])
def test_an_existing_classifier_reads_the_size_asked_for(classifier_folder, reading, side):
    sizes = {"patch_size": 16, "full_size": 32}
    options = ImageClassifierOptions("unused", classifier_folder, reading, **sizes)
    _, processor = make_image_classifier(options, ["a", "b"])
    assert find_side(processor) == side


@pytest.mark.parametrize("reading", READINGS)
def test_a_new_classifier_reads_squares_of_the_size_asked_for(reading, tmp_path):
    options = ImageClassifierOptions("unused", reading=reading, **TINY)
    model, processor = make_image_classifier(options, ["a", "b", "c"])
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert find_side(loaded) == (32 if reading == "full" else 16)
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.hidden_sizes == [8, 8]


def test_the_default_classifier_fits_in_4_mb_of_half_precision():
    model, _ = make_image_classifier(ImageClassifierOptions("unused"), ["a"] * 24)
    assert 2 * sum(value.numel() for value in model.state_dict().values()) < 4e6


def test_the_patch_is_read_as_the_pipeline_reads_it(localizer, data, classifier_folder):
    options = ImageClassifierOptions(localizer, classifier=classifier_folder)
    model, processor = make_image_classifier(options, ["dark", "green"])
    rows = datasets.load_dataset("parquet", data_files=data.dataset, split="train")
    readings = make_readings(options, rows, data, ["dark", "green"])
    batch = collate_readings(processor, [readings[row] for row in range(4)])
    with torch.no_grad():
        logits = model.eval()(pixel_values=batch["pixel_values"]).logits
    boxes = [[box] for _, box in readings.places[:4]]
    views = [ReadableImage(*each) for each in zip(rows[:4]["image"], boxes, strict=True)]
    answers = PatchReader(model, processor).read(views, 1)
    torch.testing.assert_close(torch.stack([answer.logits for answer in answers]), logits)
    assert batch["pixel_values"].shape == (4, 3, 24, 24)
    assert batch["labels"].tolist() == [0, 1, 0, 1]


def test_training_looks_at_the_box_and_its_surroundings_each_time_anew():
    picture = paint(RED, 16, 40, inner=BLUE)
    options = AugmentationOptions(crop_size=16, min_crop=0.7, color_strength=0.0)
    views = [
        np.asarray(cut_loosely(picture, (16, 40, 32, 56), augmentation=options)) for _ in range(8)
    ]
    assert all(view.shape == (16, 16, 3) for view in views)
    assert len({view.tobytes() for view in views}) > 4
    # The box and an eighth more on each side hold 256 of 400 coloured pixels, a crop at least so.
    assert all((view[..., 1] < 120).mean() > 0.5 for view in views)


def test_a_box_at_the_border_grows_inwards_only():
    picture = Pillow.new("RGB", (64, 64), RED)
    options = AugmentationOptions(crop_size=16, color_strength=0.0)
    view = np.asarray(cut_loosely(picture, (0, 48, 16, 64), augmentation=options))
    assert (view == RED).all()


def test_a_classifier_learns_from_the_patches(localizer, data, tmp_path):
    report = adapt_image_classifier(
        data,
        ImageClassifierOptions(localizer, color_strength=0.1, **TINY),
        TrainingOptions(str(tmp_path / "run"), num_epochs=6, batch_size=8, learning_rate=2e-2),
    )
    assert json.loads((tmp_path / "run" / "training.json").read_text("utf-8")) == report
    assert report["best"]["accuracy"] == 1.0
    reader = PatchReader.load(tmp_path / "run")
    picture = paint(RED, 16, 40, inner=GREEN)
    (answer,) = reader.read([ReadableImage(picture, [(16, 40, 32, 56)])], 1)
    assert reader.model.config.id2label[int(answer.logits.argmax())] == "green"
    assert [size[-2:] for size in answer.sizes] == [(16, 16)]


@pytest.mark.usefixtures("fresh_accelerator")
@pytest.mark.parametrize("mixed_precision", ["no", "bf16"])
def test_an_existing_classifier_is_trained_further(
    localizer, data, classifier_folder, tmp_path, mixed_precision
):
    adapt_image_classifier(
        data,
        ImageClassifierOptions(localizer, classifier=classifier_folder),
        TrainingOptions(
            str(tmp_path / "run"), num_epochs=1, num_workers=1, mixed_precision=mixed_precision
        ),
    )
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "run")
    assert model.dtype == torch.float32  # precision is mixed in computing only
    assert model.config.id2label == {0: "dark", 1: "green"}
    assert find_side(AutoImageProcessor.from_pretrained(tmp_path / "run")) == 24


@pytest.mark.parametrize("reading", ["patches", "mix", "all", "centre", "random"])
def test_a_localizer_of_other_labels_is_refused(
    localizer, planted_image_model, data, tmp_path, reading
):
    relabel(planted_image_model, ["cat", "dog"])
    planted_image_model.save_pretrained(localizer)
    options = TrainingOptions(str(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"labels .*, \['dark', 'green'\], got .*'cat'"):
        adapt_image_classifier(data, ImageClassifierOptions(localizer, reading=reading), options)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(3, 2), (2, 1)])
def test_an_image_classifier_whose_last_map_is_one_pixel_learns_from_any_number_of_rows(
    localizer, tmp_path, num_rows, batch_size
):
    rows = {"image": [paint(RED, 8 * row, 0, inner=GREEN) for row in range(num_rows)]}
    rows["label"] = ["dark", "green", "dark"][:num_rows]
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    small = TINY | {"patch_size": 8, "hidden_sizes": [8, 8, 8], "depths": [1, 1, 1]}
    report = adapt_image_classifier(
        DataOptions(str(tmp_path / "data.parquet"), validation_split="train"),
        ImageClassifierOptions(localizer, **small),
        TrainingOptions(str(tmp_path / "run"), num_epochs=1, batch_size=batch_size),
    )
    assert np.isfinite(report["best"]["train_loss"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reading": "spans"}, r"`reading` must be one of .*, got 'spans'"),
        ({"num_patches": 0}, "`num_patches` must be at least 1, got 0"),
        ({"patch_size": 0}, "`patch_size` must be at least 1, got 0"),
        ({"depths": [1]}, r"`depths` must have one entry for each of `hidden_sizes` .* got \[1\]"),
        ({"depths": [], "hidden_sizes": []}, r"`depths` must have one entry .* got \[\]"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ImageClassifierOptions("unused", **options)


def test_a_missing_column_is_named(localizer, tmp_path):
    Dataset.from_dict({"picture": [paint(RED, 0, 0)], "label": ["a"]}).to_parquet(
        tmp_path / "data.parquet"
    )
    options = DataOptions(str(tmp_path / "data.parquet"))
    with pytest.raises(ValueError, match="column `image` is not in the dataset"):
        adapt_image_classifier(
            options, ImageClassifierOptions(localizer), TrainingOptions(str(tmp_path / "run"))
        )


def test_the_head_of_other_labels_starts_anew(classifier_folder):
    options = ImageClassifierOptions(None, classifier_folder, reading="full", full_size=32)
    before = ResNetForImageClassification.from_pretrained(classifier_folder)
    names = list(before.config.id2label.values())
    for labels, is_same in ((names, True), (["car", "plane", "ship"], False)):
        model, _ = make_image_classifier(options, labels)
        assert torch.equal(model.classifier[1].weight, before.classifier[1].weight) == is_same
        first, other = next(model.resnet.parameters()), next(before.resnet.parameters())
        assert torch.equal(first, other)
        assert list(model.config.id2label.values()) == labels
