"""`pipeline("patch-localization")` with a classifier, with bad input, saved; the stock pipeline."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ViTImageProcessorPil,
    pipeline,
)
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.pt_utils import KeyDataset

from hf_anchornet import AnchorNetForImageClassification, PatchLocalizationPipeline

SQUARES = [(16, 16, 32, 32), (48, 32, 64, 48)]


@pytest.fixture
def image():
    """Two red squares, 96 x 64 px."""
    picture = Image.new("RGB", (96, 64))
    for square in SQUARES:
        picture.paste((255, 0, 0), square)
    return picture


@pytest.fixture
def make(planted_image_model, image_processor):
    """Makes a pipeline for which red is warm and blue is cold."""

    def make_with(**options):
        options = {"image_processor": image_processor} | options
        return PatchLocalizationPipeline(model=planted_image_model, **options)

    return make_with


@pytest.fixture
def folder(planted_image_model, image_processor, tmp_path):
    """The planted localizer, saved with its image processor."""
    planted_image_model.save_pretrained(tmp_path / "localizer")
    image_processor.save_pretrained(tmp_path / "localizer")
    return str(tmp_path / "localizer")


# The classifier


def load_classifier(form, folder):
    if form == "folder":
        return folder
    if form == "path":
        return Path(folder)
    if form == "pipeline":
        return pipeline("image-classification", model=folder)
    return AutoModelForImageClassification.from_pretrained(folder)


@pytest.mark.parametrize("form", ["folder", "path", "pipeline", "model"])
def test_a_classifier_in_any_form_reads_the_best_patch_of_the_original(
    make, image, image_classifier_folder, form
):
    answer = make(classifier=load_classifier(form, image_classifier_folder))(image)
    (box,) = (tuple(patch["box"].values()) for patch in answer["patches"][:1])
    stock = pipeline("image-classification", model=image_classifier_folder)(image.crop(box))[0]
    assert box in SQUARES
    assert answer["classifier"] == {
        "label": stock["label"], "score": pytest.approx(stock["score"], rel=1e-4), "stage": 1,
    }  # fmt: skip
    assert answer["cost"] == {"localizer_pixels": 32 * 48, "classifier_pixels": 16 * 16}


def test_the_logits_of_several_patches_are_averaged(make, image, image_classifier_folder):
    image.paste((0, 0, 0), (20, 20, 28, 28))  # so that the crops differ
    localize = make(classifier=image_classifier_folder)
    answer = localize(image, max_patches=3)
    crops = [image.crop(tuple(patch["box"].values())) for patch in answer["patches"][:3]]
    processor = AutoImageProcessor.from_pretrained(image_classifier_folder)
    model = AutoModelForImageClassification.from_pretrained(image_classifier_folder)
    with torch.no_grad():
        logits = model(**processor(crops, return_tensors="pt")).logits
    assert logits.std(dim=0).min() > 1e-3
    expected = logits.mean(dim=0).softmax(dim=-1).max()
    assert answer["classifier"]["score"] == pytest.approx(float(expected), rel=1e-4)
    assert answer["cost"]["classifier_pixels"] == 3 * 16 * 16


def test_with_nothing_to_read_the_localizer_answers_for_the_classifier(
    make, image, image_classifier_folder
):
    localize = make(classifier=image_classifier_folder)
    empty, full = localize([Image.new("RGB", (64, 64)), image], batch_size=2)
    assert empty["classifier"] == {"label": empty["label"], "score": empty["score"], "stage": 0}
    assert empty["cost"]["classifier_pixels"] == 0
    assert full["classifier"]["stage"] == 1


def test_the_shown_boxes_are_those_without_a_classifier(make, image, image_classifier_folder):
    both = make(classifier=image_classifier_folder)
    assert both(image, max_patches=4)["patches"] == make()(image)["patches"]


def test_the_classifier_reads_for_the_predicted_label_whatever_is_shown(
    make, image, image_classifier_folder
):
    localize = make(classifier=image_classifier_folder)
    shown = localize(image, labels="cold", top_k=2)
    assert shown["patches"] == []
    assert shown["classifier"] == localize(image)["classifier"]


def test_a_limit_for_each_rank_holds_for_the_first_ranks_that_the_classifier_reads(
    make, image, image_classifier_folder
):
    localize = make(classifier=image_classifier_folder, top_k=3, max_patches=2)
    by_rank, by_one = localize(image, iou_threshold=[0.0, 0.0, 1.0]), localize(image, top_k=2)
    assert len(by_rank["patches"]) == 3
    assert by_rank["classifier"] == pytest.approx(
        localize(image, top_k=2, iou_threshold=0.0)["classifier"]
    )
    assert by_one["cost"] == by_rank["cost"]
    with pytest.raises(ValueError, match=r"`iou_threshold` must .* for each of the 4 ranks"):
        localize(image, iou_threshold=[0.0, 0.0, 1.0], max_patches=4)


def test_batches_with_a_classifier_change_nothing(make, image, image_classifier_folder):
    localize = make(classifier=image_classifier_folder, max_patches=2)
    pictures = [image, Image.new("RGB", (40, 40)), image.resize((48, 32)), image.rotate(180)]
    for one, other in zip(localize(pictures, batch_size=4), localize(pictures), strict=True):
        assert one["classifier"]["label"] == other["classifier"]["label"]
        assert one["classifier"]["score"] == pytest.approx(other["classifier"]["score"], rel=1e-4)
        assert one["cost"] == other["cost"]


def test_another_localizer_may_be_the_classifier(make, image, folder):
    answer = make(classifier=folder)(image)
    assert answer["classifier"]["label"] == "warm"
    assert answer["cost"]["classifier_pixels"] == 32 * 32


# Bad input


def truncated():
    content = io.BytesIO()
    Image.effect_noise((64, 64), 100).save(content, "JPEG")
    return content.getvalue()[:1000]


BAD = [
    (b"", ValueError, "whole picture file .* got 0 bytes"),
    (b"text", ValueError, "whole picture file"),
    (truncated(), ValueError, "whole picture file .* got 1000 bytes: .*truncated"),
    ("missing.png", FileNotFoundError, "an image file must exist, got missing.png"),
    (np.zeros((5, 5, 2)), ValueError, r"got shape \(5, 5, 2\)"),
    (np.full((4, 4), np.nan), ValueError, r"got float64 in \[nan, nan\]"),
    (np.full((4, 4), -1), ValueError, r"got int64 in \[-1, -1\]"),
    (Image.new("RGB", (60_000, 1)), ValueError, "must have at most .* got 60000 x 1 px"),
    (None, TypeError, "got NoneType"),
    (3, TypeError, "got int"),
    ({"picture": 1}, TypeError, "got dict"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_a_bad_picture_is_refused(make, bad, error, message):
    with pytest.raises(error, match=f"`inputs`.*{message}") as caught:
        make()(bad)
    assert "image 0" not in str(caught.value)


@pytest.mark.parametrize("wrap", [list, tuple, iter, lambda x: (y for y in x)])
@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_a_bad_picture_among_good_ones_is_named_by_its_place(
    make, image, wrap, bad, error, message
):
    with pytest.raises(error, match=f"item 2 of `inputs`.*{message}"):
        list(make()(wrap([image, image, bad, image]), batch_size=2))


def test_a_picture_smaller_than_the_largest_window_is_named(make, image, image_processor):
    image_processor.do_resize = False
    message = r"item 1 of `inputs` must be .* window, 8 x 8 px, got 7 x 9 px; let the image"
    with pytest.raises(ValueError, match=message):
        make()([image, Image.new("RGB", (7, 9))])


def test_a_decompression_bomb_is_named(make, image, tmp_path, monkeypatch):
    Image.new("RGB", (200, 200)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(ValueError, match=r"item 1 of `inputs`: .* small enough .*bomb.png"):
        make()([image, tmp_path / "bomb.png"])


def test_a_bad_row_of_a_dataset_is_named_by_its_place(make, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "good.png")
    dataset = Dataset.from_dict({"image": [str(tmp_path / "good.png"), None]})
    for source in (KeyDataset(dataset, "image"), dataset["image"]):
        with pytest.raises(TypeError, match=r"item 1 of `inputs`: .* got NoneType"):
            list(make()(source))
    with pytest.raises(
        TypeError, match=r"item 0 of `inputs`: .* got dict; .* pass its image column"
    ):
        list(make()(dataset))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": -1}, "`top_k` must be a whole number of at least 0, got -1; give"),
        ({"max_patches": 0}, "`max_patches` must be a whole number of at least 1, got 0; give"),
        ({"iou_threshold": 2}, r"`iou_threshold` must be a number in \[0, 1\]"),
        ({"scales": [4]}, r"`scales` must be one or more of .* window sizes \[8\], got \[4\]"),
        ({"scales": []}, r"`scales` must be one or more of .*, got \[\]; leave it out"),
        ({"labels": "hot"}, r"`labels` .* \['cold', 'warm'\], got \['hot'\]"),
        ({"labels": []}, r"`labels` must be one or more of this model's labels"),
    ],
)
def test_a_bad_option_is_refused_at_construction_and_at_the_call(make, image, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
    with pytest.raises(ValueError, match=message):
        make()(image, **options)


def test_an_unknown_option_is_refused(make, image):
    with pytest.raises(TypeError, match=r"`max_tokens` is not an option .* knows `top_k`, `sc"):
        make()(image, max_tokens=3)


@pytest.mark.parametrize("processor", [None, ViTImageProcessorPil()])
def test_a_model_without_its_image_processor_is_refused(make, processor):
    message = f"`image_processor` of the patch-localization .* got {type(processor).__name__};"
    with pytest.raises(ValueError, match=message):
        make(image_processor=processor)


def test_a_text_checkpoint_is_refused(model, tokenizer, image_processor, tmp_path):
    with pytest.raises(ValueError, match='must be of type "anchornet_image", got "anchornet_text"'):
        PatchLocalizationPipeline(model=model, image_processor=image_processor)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"Unrecognized configuration class .*TextConfig"):
        pipeline("patch-localization", model=str(tmp_path))


def test_a_checkpoint_of_another_type_is_refused(image_classifier_folder):
    message = r'`model` .* must be of type "anchornet_image", got "vit"'
    with pytest.raises(ValueError, match=message):
        pipeline("patch-localization", model=image_classifier_folder)


# Saved and loaded; the stock pipeline


def test_a_saved_folder_loads_by_task_name_and_may_be_its_default(make, image, folder, monkeypatch):
    assert pipeline("patch-localization", model=folder)(image) == make()(image)
    registered = PIPELINE_REGISTRY.supported_tasks["patch-localization"]
    monkeypatch.setitem(registered, "default", {"model": (folder, "main")})
    assert pipeline("patch-localization")(image) == make()(image)


def test_a_saved_pipeline_loads_by_task_name(make, image, tmp_path):
    make().save_pretrained(tmp_path)
    loaded = pipeline("patch-localization", model=str(tmp_path))
    assert isinstance(loaded, PatchLocalizationPipeline)
    assert loaded(image) == make()(image)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_stock_pipeline_classifies_with_the_same_checkpoint(make, image, folder, batch_size):
    stock = pipeline("image-classification", model=folder)
    pictures = [image, image.rotate(180), Image.new("RGB", (96, 64), (0, 0, 90))]
    theirs = stock(pictures, top_k=1, batch_size=batch_size)
    for ours, (best,) in zip(make()(pictures), theirs, strict=True):
        assert ours["label"] == best["label"]
        assert ours["score"] == pytest.approx(best["score"], rel=1e-4)
    assert [entry["label"] for entry in stock(image, top_k=2)] == ["warm", "cold"]


def test_half_precision_weights_find_the_same_boxes(make, image, folder, image_processor):
    half = AnchorNetForImageClassification.from_pretrained(folder, dtype=torch.float16)
    localize = PatchLocalizationPipeline(model=half, image_processor=image_processor)
    found = [patch["box"] for patch in localize(image, iou_threshold=0.0, top_k=2)["patches"]]
    assert sorted(tuple(box.values()) for box in found) == SQUARES
