"""Image localizers: from folders and files to a checkpoint that points at what was planted."""

import io
import json
from functools import partial
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from compared_trainings import SMALL_IMAGES
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from hf_anchornet import AnchorNetImageProcessor
from hf_anchornet.cli.main import main
from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.images import collate_images, make_training_images, make_whole_images
from hf_anchornet.data.splits import DataOptions, detect_modality, load_labelled_rows
from hf_anchornet.evaluation.image_localization import measure_pointing
from hf_anchornet.training.batches import make_image_loader
from hf_anchornet.training.defaults import complete_options
from hf_anchornet.training.epochs import RowEpochs
from hf_anchornet.training.image_options import ImageLocalizerOptions
from hf_anchornet.training.image_training import make_image_localizer, train_image_localizer
from hf_anchornet.training.normalization import ESTIMATION_ROWS, estimate_statistics
from hf_anchornet.training.options import TrainingOptions

ROOT = Path(__file__).parents[2]
CROPS = {"crop_size": 24, "min_crop": 0.75, "color_strength": 0.1}
FAST = {"batch_size": 16, "learning_rate": 2e-2}
COLORS = {"blue": (30, 60, 220), "red": (220, 40, 30)}


pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


def draw(color, seed, size=(40, 32)):
    """Grey noise with an 8 x 8 square of a colour, as PNG bytes, and the square's corner."""
    generator = np.random.default_rng(seed)
    pixels = np.repeat(generator.integers(90, 160, (size[1], size[0], 1), dtype=np.uint8), 3, 2)
    left, top = (int(generator.integers(4, length - 12)) for length in size)
    pixels[top : top + 8, left : left + 8] = color
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue(), (left, top)


def make_rows(count, first_seed=0):
    names = [sorted(COLORS)[row % 2] for row in range(count)]
    images = [draw(COLORS[name], first_seed + row)[0] for row, name in enumerate(names)]
    return {"image": [{"bytes": image, "path": None} for image in images], "label": names}


def write_parquet(folder, count=192):
    folder.mkdir()
    for split, rows in {"train": make_rows(count), "validation": make_rows(21, 1000)}.items():
        Dataset.from_dict(rows).cast_column("image", ImageFeature()).to_parquet(
            folder / f"{split}.parquet"
        )
    return str(folder)


def train(source, folder, num_epochs=1, metric="accuracy", **data):
    return train_image_localizer(
        DataOptions(source, **data),
        ImageLocalizerOptions(**SMALL_IMAGES),
        AugmentationOptions(**CROPS),
        TrainingOptions(str(folder), num_epochs=num_epochs, metric_for_best_model=metric, **FAST),
    )


@pytest.fixture(scope="module")
def planted_run(tmp_path_factory):
    """Data with a planted square, the folder of a localizer trained on it, and the report."""
    base = tmp_path_factory.mktemp("planted")
    source = write_parquet(base / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", base / "cache")
        torch.manual_seed(0)
        report = train(source, base / "run", num_epochs=4)
    return source, base / "run", report


def test_a_localizer_learns_a_planted_square(planted_run):
    _, folder, report = planted_run
    assert report["best"]["accuracy"] == 1.0
    assert json.loads((folder / "training.json").read_text("utf-8")) == report


def test_a_trained_localizer_points_at_the_planted_square(planted_run):
    _, folder, _ = planted_run
    localize = pipeline("patch-localization", model=str(folder), top_k=1)
    for seed in range(2000, 2010):
        image, (left, top) = draw(COLORS["red"], seed)
        answer = localize(image)
        box = answer["patches"][0]["box"]
        assert answer["label"] == "red"
        assert abs((box["xmin"] + box["xmax"]) / 2 - (left + 4)) <= 6
        assert abs((box["ymin"] + box["ymax"]) / 2 - (top + 4)) <= 6


def test_the_saved_statistics_are_those_of_the_saved_weights(planted_run):
    """Statistics that ran along would differ: the learning rate is large and an epoch short."""
    source, folder, _ = planted_run
    data = DataOptions(source)
    rows, _, labels = load_labelled_rows(data, "image")
    model = AutoModelForImageClassification.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder)
    images = make_training_images(rows, processor, data, labels, AugmentationOptions(**CROPS))
    loader = make_image_loader(images, partial(collate_images, processor), 16, seed=0)
    epochs = RowEpochs(loader, complete_options(TrainingOptions("unused", **FAST)))
    saved = {name: buffer.clone() for name, buffer in model.named_buffers()}
    estimate_statistics(model, epochs.sample(ESTIMATION_ROWS))
    assert len(saved) > 0
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(buffer, saved[name], rtol=1e-4, atol=1e-5)


def test_the_scores_of_mixed_precision_are_those_of_the_loaded_model(
    tmp_path, planted_run, fresh_accelerator
):
    source, _, _ = planted_run
    report = train_image_localizer(
        DataOptions(source),
        ImageLocalizerOptions(**SMALL_IMAGES),
        AugmentationOptions(**CROPS),
        TrainingOptions(str(tmp_path), num_epochs=1, mixed_precision="bf16", **FAST),
    )
    model = AutoModelForImageClassification.from_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    _, rows, labels = load_labelled_rows(DataOptions(source), "image")
    images = make_whole_images(rows, processor, DataOptions(source), labels)
    batch = collate_images(processor, [images[row] for row in range(len(images))])
    with torch.inference_mode():
        loss = float(model(**batch).loss)
    assert report["best"]["loss"] == pytest.approx(loss, abs=1e-5)


def test_whole_views_of_any_shape_train_a_localizer(tmp_path):
    rows = make_rows(8)
    for row, size in enumerate([(40, 32), (32, 40), (90, 33), (640, 64)] * 2):
        rows["image"][row]["bytes"] = draw(COLORS[rows["label"][row]], row, size)[0]
    source = str(tmp_path / "data.parquet")
    Dataset.from_dict(rows).cast_column("image", ImageFeature()).to_parquet(source)
    report = train_image_localizer(
        DataOptions(source, validation_split="train"),
        ImageLocalizerOptions(**SMALL_IMAGES),
        AugmentationOptions(crop_size=32, keep_whole=True),
        TrainingOptions(str(tmp_path / "run"), num_epochs=1, batch_size=4),
    )
    assert np.isfinite(report["history"][0]["train_loss"])
    assert "random square crop" not in report["data"]["reading"]


def test_a_strip_that_is_too_long_to_be_kept_whole_is_named(tmp_path):
    rows = Dataset.from_dict(make_rows(1)).cast_column("image", ImageFeature())
    long = {"image": [Image.new("RGB", (9000, 2))], "label": ["red"]}
    rows = datasets.concatenate_datasets([rows, Dataset.from_dict(long).cast(rows.features)])
    augmentation = AugmentationOptions(crop_size=32, keep_whole=True)
    images = make_training_images(
        rows, AnchorNetImageProcessor(), DataOptions("unused"), ["blue", "red"], augmentation
    )
    assert images[0]["pixel_values"].shape == (3, 32, 40)
    with pytest.raises(ValueError, match="in row 1 of `image`: image 0 must have a longer side"):
        images[1]


def test_boxes_of_the_validation_split_can_decide_between_epochs(tmp_path):
    rows = make_rows(16)
    corners = [draw(COLORS[name], row)[1] for row, name in enumerate(rows["label"])]
    rows["objects"] = [[[x, y, x + 8, y + 8]] for x, y in corners]
    source = str(tmp_path / "data.parquet")
    Dataset.from_dict(rows).to_parquet(source)
    data = {"validation_split": "train", "boxes_column": "objects"}
    report = train(source, tmp_path / "run", 3, "pointing", **data)
    pointing = [epoch["pointing"] for epoch in report["history"]]
    assert report["best"]["pointing"] == max(pointing)
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "run")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "run")
    saved = measure_pointing(model, processor, Dataset.from_dict(rows), DataOptions("", **data))
    assert saved == max(pointing)


def test_boxes_that_are_missing_cannot_decide(planted_run, tmp_path):
    with pytest.raises(ValueError, match="`boxes` is not in the dataset"):
        train(planted_run[0], tmp_path / "run", metric="pointing")


def test_a_metric_that_nobody_measures_is_refused():
    with pytest.raises(ValueError, match=r"`metric_for_best_model` must be .* got 'recall'"):
        TrainingOptions("unused", metric_for_best_model="recall")


def test_the_saved_localizer_has_label_names_and_its_image_size(planted_run):
    _, folder, _ = planted_run
    model = AutoModelForImageClassification.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder)
    assert model.config.id2label == {0: "blue", 1: "red"}
    assert [window.size for window in model.windows] == [3, 7]
    assert processor.size["shortest_edge"] == 32


def test_a_folder_of_one_folder_of_pictures_a_label_is_a_source(tmp_path):
    for split, seed in {"train": 0, "validation": 50}.items():
        for row in range(8):
            name = sorted(COLORS)[row % 2]
            path = tmp_path / "data" / split / name / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(draw(COLORS[name], seed + row)[0])
    source = str(tmp_path / "data")
    assert detect_modality(DataOptions(source)) == "image"
    train(source, tmp_path / "run")
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "run")
    assert model.config.id2label == {0: "blue", 1: "red"}


def test_lists_of_labels_make_a_multi_label_localizer(tmp_path):
    rows = make_rows(16)
    rows["label"] = [[name] for name in rows["label"][:-1]] + [[]]
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    train(str(tmp_path / "data.parquet"), tmp_path / "run", validation_split="train")
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "run")
    assert model.config.problem_type == "multi_label_classification"


@pytest.mark.parametrize(
    ("columns", "modality"),
    [(["text", "label"], "text"), (["image", "label"], "image")],
)
def test_the_columns_tell_texts_from_images(tmp_path, columns, modality):
    Dataset.from_dict({column: ["x"] for column in columns}).to_parquet(tmp_path / "a.parquet")
    assert detect_modality(DataOptions(str(tmp_path / "a.parquet"))) == modality


def test_texts_next_to_images_need_a_choice(tmp_path):
    Dataset.from_dict({"text": ["x"], "image": ["y"]}).to_parquet(tmp_path / "a.parquet")
    source = str(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="texts in `text` and images in `image`; set"):
        detect_modality(DataOptions(source))
    assert detect_modality(DataOptions(source, text_column="")) == "image"
    assert detect_modality(DataOptions(source, image_column="")) == "text"


def test_a_source_without_texts_and_images_lists_its_columns(tmp_path):
    Dataset.from_dict({"review": ["x"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(
        ValueError, match=r"got neither `text` .* among \['review'\]; name the right"
    ):
        detect_modality(DataOptions(str(tmp_path / "a.parquet")))


def make_images(rows, prepare=make_whole_images, **more):
    data = DataOptions("unused")
    processor = AnchorNetImageProcessor(size={"shortest_edge": 32})
    dataset = Dataset.from_dict(rows)
    return processor, prepare(dataset, processor, data, sorted(COLORS), **more)


@pytest.mark.parametrize("broken", [b"", b"no picture", draw((9, 9, 9), 0)[0][:200]])
def test_an_image_that_cannot_be_decoded_names_its_row(broken):
    rows = make_rows(4)
    rows["image"][2] = {"bytes": broken, "path": None}
    _, images = make_images(rows)
    assert images[1]["labels"] == 1
    with pytest.raises(ValueError, match="the image in row 2 of `image` cannot be used: "):
        images[2]


def test_a_missing_image_names_its_row():
    rows = make_rows(2)
    rows["image"][1] = None
    _, images = make_images(rows)
    with pytest.raises(ValueError, match="the image in row 1 of `image` cannot be used: "):
        images[1]


def test_a_column_without_images_is_refused():
    with pytest.raises(TypeError, match=r"`image` must hold images, .* got Value\('int64'\)"):
        make_images({"image": [1, 2], "label": ["red", "blue"]})


def test_an_unknown_label_names_its_row():
    rows = make_rows(3)
    rows["label"][1] = "green"
    with pytest.raises(ValueError, match="label 'green' in row 1 of `label`"):
        make_images(rows)


def test_one_label_is_not_enough(tmp_path):
    rows = make_rows(4)
    rows["label"] = ["red"] * 4
    Dataset.from_dict(rows).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="at least two labels"):
        load_labelled_rows(
            DataOptions(str(tmp_path / "a.parquet"), validation_split="train"), "image"
        )


@pytest.mark.parametrize("name", ["crop_size", "image_size"])
def test_images_below_the_largest_window_are_refused(planted_run, tmp_path, name):
    source, _, _ = planted_run
    localizer, crops = dict(SMALL_IMAGES), dict(CROPS)
    (crops if name == "crop_size" else localizer)[name] = 6
    with pytest.raises(ValueError, match=f"`{name}` must be at least the largest window, 7 px"):
        train_image_localizer(
            DataOptions(source),
            ImageLocalizerOptions(**localizer),
            AugmentationOptions(**crops),
            TrainingOptions(str(tmp_path)),
        )


def test_training_images_are_normalised_views_and_differ_each_time():
    processor, images = make_images(
        make_rows(2), make_training_images, augmentation=AugmentationOptions(**CROPS)
    )
    first, second = images[0]["pixel_values"], images[0]["pixel_values"]
    assert first.shape == (3, 24, 24)
    assert not first.equal(second)
    low, high = ((v - m) / s for v in (0, 1) for m, s in [(0.406, 0.225)])
    assert low - 1e-5 <= first[2].min() <= first[2].max() <= high + 1e-5
    assert collate_images(processor, [images[0], images[1]])["labels"].tolist() == [0, 1]


def test_whole_images_of_other_sizes_are_padded_under_a_mask():
    rows = make_rows(2)
    rows["image"][1]["bytes"] = draw(COLORS["red"], 0, size=(64, 32))[0]
    processor, images = make_images(rows)
    batch = collate_images(processor, [images[0], images[1]])
    assert batch["pixel_values"].shape == (2, 3, 32, 64)
    assert batch["pixel_mask"].sum(dim=(1, 2)).tolist() == [32 * 40, 32 * 64]
    assert batch["pixel_values"].is_contiguous(memory_format=torch.channels_last)


def test_a_worker_gives_every_image_once_in_each_epoch():
    processor, images = make_images(make_rows(10))
    loader = make_image_loader(images, partial(collate_images, processor), 4, 0, num_workers=1)
    for _ in range(2):
        labels = torch.cat([batch["labels"] for batch in loader])
        assert labels.sort().values.tolist() == [0] * 5 + [1] * 5


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="`num_workers` must be at least 0, got -1"):
        TrainingOptions("unused", num_workers=-1)


def test_the_defaults_are_those_of_the_configuration():
    model = make_image_localizer(ImageLocalizerOptions(), ["a", "b"], multi_label=False)
    assert [window.size for window in model.windows] == [31, 63, 95]
    assert model.config.problem_type == "single_label_classification"


def test_two_processes_train_one_image_localizer(planted_run, train_on_two_processes):
    source, _, _ = planted_run
    small = (
        "--image_size 32 --hidden_size 16 --channels 8 16 --expand_ratios 1 1 --kernel_sizes 3 3"
    )
    small += " --strides 2 1 --branch_depths 1 2 --crop_size 24 --num_epochs 2 --batch_size 8"
    small += " --learning_rate 2e-2 --num_workers 1"
    report, _ = train_on_two_processes(source, small)
    assert report["num_processes"] == 2
    assert report["best"]["accuracy"] > 0.5


def test_an_option_of_the_other_modality_is_refused(planted_run, tmp_path, capsys):
    source, _, _ = planted_run
    arguments = ["--dataset", source, "--output_dir", str(tmp_path / "run"), "--ngram_sizes", "1"]
    assert main(["train", *arguments]) == 2
    assert "`--ngram-sizes` must not be given for images" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
