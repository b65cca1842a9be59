"""A large picture read tile by tile: the same as in one piece, whatever the tiles."""

import logging

import numpy as np
import pytest
import torch
from conftest import randomize_norms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.testing import assert_close
from transformers import AutoModelForImageClassification

from hf_anchornet import (
    AnchorNetForImageClassification,
    AnchorNetImageProcessor,
    PatchLocalizationPipeline,
)
from hf_anchornet.model import image_large as large
from hf_anchornet.model.image_boxes import sum_union
from hf_anchornet.model.image_large import LargeImage
from hf_anchornet.model.image_localizer import ImageLocalizer
from hf_anchornet.model.image_processing_anchornet import open_image

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
"""Scores are float32 and summed in another order; logits here are about 1."""

sides = st.integers(11, 75)


def make_noise(width, height):
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


@pytest.fixture
def as_it_is():
    """Pictures are not resized."""
    return AnchorNetImageProcessor(
        size={"shortest_edge": 32}, image_mean=[0.2] * 3, image_std=[0.5] * 3, do_resize=False
    )


@pytest.fixture
def localizer(image_model, as_it_is):
    """Random, with windows of 3, 7 and 11 px at a stride of 2."""
    return ImageLocalizer(image_model, as_it_is)


@pytest.fixture
def strided_localizer(image_config, as_it_is):
    """Random, with windows of 3, 7 and 15 px at strides of 2, 4 and 4."""
    image_config.strides = [2, 2, 1]
    model = randomize_norms(AnchorNetForImageClassification(image_config)).eval()
    return ImageLocalizer(model, as_it_is)


def assert_same_everywhere(localizer, width, height, tile_px, labels=(0, 1)):
    image = make_noise(width, height)
    whole, read = localizer.read([image]), LargeImage(image, localizer, tile_px)
    assert_close(read.logits, whole.logits, **TOLERANCE)
    read.keep(labels)
    for label in labels:
        found = read.explain(label)
        for branch, expected in zip(found.evidence, whole.evidence.branches, strict=True):
            assert_close(branch, expected[0, :, :, label], **TOLERANCE)
        pixels = whole.evidence.attribute(torch.tensor([label]))[0]
        assert found.sum_absolute() == pytest.approx(float(pixels.abs().sum()), rel=1e-5)
        assert_same_boxes(found, whole, label)
        boxes = [box.box for box in found.select(4, 0.9)]
        together = sum_union(pixels, torch.tensor(boxes).view(-1, 4))
        assert found.sum_union(boxes) == pytest.approx(together, rel=1e-5, abs=1e-6)


def assert_same_boxes(found, whole, label):
    for top_k, limit, scales in [(1, 0.3, None), (6, 0.0, None), (4, [0.5, 0, 0.3, 1.0], [3, 7])]:
        ranked = whole.evidence.select(top_k, limit, scales, torch.tensor([label]))
        kept = ranked.filled[0]
        boxes = found.select(top_k, limit, scales)
        assert [list(box.box) for box in boxes] == ranked.boxes[0, kept].tolist()
        assert [box.scale for box in boxes] == ranked.scales[0, kept].tolist()
        evidence = torch.tensor([box.evidence for box in boxes], dtype=torch.float64)
        assert_close(evidence, ranked.evidence[0, kept], **TOLERANCE)


with_fixtures = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(sides, sides, st.integers(1, 40))
@with_fixtures
def test_logits_evidence_and_boxes_are_those_of_one_piece(localizer, width, height, tile_px):
    assert_same_everywhere(localizer, width, height, max(tile_px, 8))


@given(st.integers(15, 75), st.integers(15, 75), st.integers(12, 40))
@with_fixtures
def test_the_same_holds_with_strides_that_differ(strided_localizer, width, height, tile_px):
    assert_same_everywhere(strided_localizer, width, height, tile_px)


def test_the_same_holds_for_sums_that_are_no_means(image_config, as_it_is):
    image_config.count_exponent, image_config.gated = 0.5, True
    model = randomize_norms(AnchorNetForImageClassification(image_config)).eval()
    assert_same_everywhere(ImageLocalizer(model, as_it_is), 70, 45, 16)


def test_a_picture_that_is_read_twice_has_the_same_answer(localizer, monkeypatch):
    monkeypatch.setattr(large, "KEPT_NUMBERS", 0)
    assert_same_everywhere(localizer, 70, 45, 16)


# The pipeline


@pytest.fixture
def resizing(image_model, image_processor):
    """Every pixel counts; pictures are resized to 32 px."""
    return PatchLocalizationPipeline(model=image_model, image_processor=image_processor)


def test_full_resolution_is_what_a_processor_that_does_not_resize_gives(
    image_model, image_processor, resizing, monkeypatch
):
    monkeypatch.setattr(large, "TILE_PX", 16)
    monkeypatch.setattr(LargeImage.__init__, "__defaults__", (16,))
    image, options = make_noise(90, 61), {"top_k": 3, "return_maps": True}
    read = resizing(image, full_resolution=True, **options)
    image_processor.do_resize = False
    plain = PatchLocalizationPipeline(model=image_model, image_processor=image_processor)
    whole = plain(image, **options)
    assert read["label"] == whole["label"]
    assert read["score"] == pytest.approx(whole["score"], abs=1e-6)
    assert [patch["box"] for patch in read["patches"]] == [p["box"] for p in whole["patches"]]
    for patch, expected in zip(read["patches"], whole["patches"], strict=True):
        assert patch["share"] == pytest.approx(expected["share"], rel=1e-4)
    assert read["coverage"] == pytest.approx(whole["coverage"])
    assert read["cost"] == {"localizer_pixels": 90 * 61}
    (cells,), (expected,) = read["maps"].values(), whole["maps"].values()
    np.testing.assert_allclose(cells, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("reading", [{}, {"full_resolution": True}, {"zoom": 2}])
def test_patches_of_large_pictures_are_of_the_sizes_that_the_model_reads(
    image_model, image_processor, reading
):
    image_model.config.reading_scales = [3]
    localize = PatchLocalizationPipeline(model=image_model, image_processor=image_processor)
    image = make_noise(64, 64)
    assert localize(image, **reading) == localize(image, scales=[3], **reading)
    assert localize(image, **reading) != localize(image, scales=[11], **reading)


def test_one_is_many_at_full_resolution(resizing):
    pictures = [make_noise(40, 61), make_noise(33, 20)]
    alone = [resizing(picture, full_resolution=True) for picture in pictures]
    assert resizing(pictures, full_resolution=True, batch_size=2) == alone


def test_a_planted_square_across_tiles_is_found_to_the_exact_pixel(
    planted_image_model, image_processor, monkeypatch
):
    monkeypatch.setattr(LargeImage.__init__, "__defaults__", (16,))
    localize = PatchLocalizationPipeline(
        model=planted_image_model, image_processor=image_processor, full_resolution=True
    )
    image = Image.new("RGB", (200, 120))
    image.paste((255, 0, 0), (92, 28, 100, 36))
    answer = localize(image, top_k=1)
    assert answer["label"] == "warm"
    (patch,) = answer["patches"]
    assert patch["box"] == {"xmin": 92, "ymin": 28, "xmax": 100, "ymax": 36}


def test_a_classifier_reads_the_best_boxes_of_the_original(
    image_model, image_processor, image_classifier_folder
):
    localize = PatchLocalizationPipeline(
        model=image_model, image_processor=image_processor, classifier=image_classifier_folder
    )
    answer = localize(make_noise(90, 61), full_resolution=True, max_patches=2)
    assert answer["classifier"]["stage"] == 1
    assert answer["cost"]["classifier_pixels"] == 2 * 16 * 16


def test_what_full_resolution_cannot_do_is_refused(
    resizing, image_model, image_processor, image_classifier_folder
):
    with pytest.raises(ValueError, match="must be at least as large as the largest window, 11 x"):
        resizing(make_noise(40, 10), full_resolution=True)
    same = AutoModelForImageClassification.from_pretrained(
        image_classifier_folder, id2label={0: "cold", 1: "warm"}, label2id={"cold": 0, "warm": 1}
    )
    same.save_pretrained(image_classifier_folder)
    localize = PatchLocalizationPipeline(
        model=image_model, image_processor=image_processor, classifier=image_classifier_folder
    )
    with pytest.raises(ValueError, match="`full_resolution` must be off with a cascade"):
        localize(make_noise(40, 40), full_resolution=True, exit_threshold=0.9)


def test_a_network_that_is_not_local_is_refused(image_config, image_processor):
    image_config.squeeze_excite = True
    model = AnchorNetForImageClassification(image_config).eval()
    with pytest.raises(ValueError, match="must be off for a model with `squeeze_excite`"):
        PatchLocalizationPipeline(
            model=model, image_processor=image_processor, full_resolution=True
        )


def test_an_upright_colour_picture_is_opened_without_a_copy():
    image = make_noise(50, 40)
    assert open_image(image) is image


@pytest.mark.parametrize(
    ("exponent", "side", "told"), [(1.0, 96, None), (0.5, 40, None), (0.5, 96, "3.0 times")]
)
def test_ground_that_weighs_more_than_in_training_is_told(
    image_config, image_processor, caplog, monkeypatch, exponent, side, told
):
    large.logger.warning_once.cache_clear()
    monkeypatch.setattr(logging.getLogger("hf_anchornet"), "propagate", True)
    image_config.count_exponent = exponent
    model = AnchorNetForImageClassification(image_config).eval()
    LargeImage(make_noise(side, side + 8), ImageLocalizer(model, image_processor))
    assert ("count_exponent" in caplog.text) == (told is not None)
    assert (told or "") in caplog.text
