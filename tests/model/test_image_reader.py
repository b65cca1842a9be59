"""A classifier that reads patches: crops, averages, forms of classifiers, bad ones."""

import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    ConvNextImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    pipeline,
)
from transformers.image_utils import SizeDict

from hf_anchornet import AnchorNetImageProcessor
from hf_anchornet.model.classifier import name_predictions
from hf_anchornet.model.image_reader import PatchReader, ReadableImage, crops, logger


@pytest.fixture
def reader(image_classifier_folder):
    return PatchReader.load(image_classifier_folder)


@pytest.fixture
def images():
    sizes = [(40, 30), (64, 64), (20, 50)]
    return [Image.effect_noise(size, 90).convert("RGB") for size in sizes]


BOXES = [[(0, 0, 16, 16), (10, 4, 30, 24)], [], [(2, 3, 18, 49)]]


def read(reader, images, boxes):
    """Label and score of each image, averaged over its boxes, and the pixels that were read."""
    views = [ReadableImage(*each) for each in zip(images, boxes, strict=True)]
    answers = []
    for reading, view in zip(reader.read(views, 9), views, strict=True):
        pixels = reader.describe_cost(reading, view)["classifier_pixels"]
        answer = {"pixels": pixels}
        if reading.logits is not None:
            answer |= name_predictions(reader.model, reading.logits[None])[0]
        answers.append(answer)
    return answers


def test_each_image_is_read_by_its_own_boxes(reader, images):
    readings = read(reader, images, BOXES)
    for image, boxes, reading in zip(images, BOXES, readings, strict=True):
        assert reading["pixels"] == 16 * 16 * len(boxes)
        (alone,) = read(reader, [image], [boxes])
        assert alone == {**reading, **{k: pytest.approx(reading[k]) for k in alone if k == "score"}}


def test_the_logits_of_the_patches_of_an_image_are_averaged(reader, images):
    crops = [images[0].crop(box) for box in BOXES[0]]
    with torch.no_grad():
        logits = reader.model(**reader.processor(crops, return_tensors="pt")).logits
    score, label = logits.mean(dim=0).softmax(dim=-1).max(dim=-1)
    (reading,) = read(reader, images[:1], BOXES[:1])
    assert reading["score"] == pytest.approx(float(score))
    assert reading["label"] == {0: "sad", 1: "glad"}[int(label)]


def test_an_image_without_boxes_has_no_reading(reader, images):
    assert read(reader, images, [[], [], []]) == [{"pixels": 0}] * 3
    assert read(reader, [], []) == []
    assert read(reader, images, BOXES)[1] == {"pixels": 0}


def test_a_box_of_one_pixel_is_read(reader, images):
    (reading,) = read(reader, images[:1], [[(39, 29, 40, 30)]])
    assert reading["label"] in ("sad", "glad")


def test_patches_of_unequal_sides_fit_a_processor_that_keeps_the_aspect_ratio(reader, images):
    reader.processor.size = SizeDict(shortest_edge=16)
    boxes = [[(0, 0, 15, 16), (10, 4, 30, 24)], [], [(2, 3, 18, 49)]]
    readings = read(reader, images, boxes)
    assert [reading["pixels"] for reading in readings] == [512, 0, 256]


def test_a_square_patch_is_read_pixel_by_pixel(reader, images):
    seen = []
    reader.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["pixel_values"]), with_kwargs=True
    )
    read(reader, images[:1], [[(3, 5, 19, 21)]])
    crop = images[0].crop((3, 5, 19, 21))
    expected = reader.processor([crop], return_tensors="pt")["pixel_values"]
    assert torch.equal(seen[0], expected)


def test_the_classifier_reads_without_dropout(image_classifier_folder, images):
    model = ViTForImageClassification.from_pretrained(
        image_classifier_folder, hidden_dropout_prob=0.5
    )
    reader = PatchReader.load(model.train())
    assert read(reader, images, BOXES) == read(reader, images, BOXES)


def test_a_half_precision_classifier_reads_the_same(reader, image_classifier_folder, images):
    half = ViTForImageClassification.from_pretrained(image_classifier_folder, dtype=torch.float16)
    for one, other in zip(
        read(PatchReader.load(half), images, BOXES), read(reader, images, BOXES), strict=True
    ):
        assert one.get("label") == other.get("label")
        assert one.get("score", 0) == pytest.approx(other.get("score", 0), abs=0.02)


def test_a_multi_label_classifier_scores_by_sigmoid(reader, images):
    with torch.no_grad():
        crop = reader.processor([images[0].crop(BOXES[0][0])], return_tensors="pt")
        expected = reader.model(**crop).logits.sigmoid().max()
    reader.model.config.problem_type = "multi_label_classification"
    (reading,) = read(reader, images[:1], [BOXES[0][:1]])
    assert reading["score"] == pytest.approx(float(expected))


def test_a_pipeline_for_another_task_is_refused(classifier_folder):
    with pytest.raises(
        TypeError, match=r"a pipeline for image-classification .*TextClassification"
    ):
        PatchReader.load(pipeline("text-classification", model=classifier_folder))


def test_a_text_classifier_is_refused(classifier_folder):
    with pytest.raises(OSError, match=r"`classifier` must be .* a model for image-classification"):
        PatchReader.load(classifier_folder)


def test_a_model_without_a_folder_is_refused(image_classifier_folder):
    model = ViTForImageClassification(ViTConfig.from_pretrained(image_classifier_folder))
    model.config._name_or_path = model.name_or_path = ""
    with pytest.raises(ValueError, match=r"got a ViTForImage.* image_processor=...\)` instead"):
        PatchReader.load(model)


@pytest.mark.parametrize(
    ("processor", "found"),
    [
        (ConvNextImageProcessorPil(size={"shortest_edge": 224}), True),
        (ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=0.95), True),
        (ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=1.0), False),
        (ConvNextImageProcessorPil(size={"shortest_edge": 384}), False),
        (CLIPImageProcessorPil(size={"shortest_edge": 256}), True),
        (ViTImageProcessorPil(), False),
        (ViTImageProcessorPil(size={"height": 16, "width": 16}, resample=0), False),
        (AnchorNetImageProcessor(size={"shortest_edge": 40}), False),
    ],
)
def test_a_processor_that_drops_the_borders_of_squares_is_known(processor, found):
    assert crops(processor) is found


def test_a_warning_tells_of_a_processor_that_crops(reader, monkeypatch):
    told = []
    monkeypatch.setattr(logger, "warning", told.append)
    PatchReader(reader.model, ConvNextImageProcessorPil(size={"shortest_edge": 16}))
    assert "does not see the borders of patches" in told[0]
    PatchReader(reader.model, reader.processor)
    assert len(told) == 1
