"""Any image classifier as explainers need it: its input and its probabilities."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from transformers import pipeline

from hf_anchornet.explain.image_subject import ImageSubject


def pictures():
    generator = np.random.default_rng(0)
    sizes = [(40, 32), (32, 50), (64, 64)]
    return [
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for width, height in sizes
    ]


@pytest.fixture
def anchornet(image_model, image_processor):
    return ImageSubject(image_model, image_processor)


@pytest.fixture
def transformer(image_classifier_folder):
    return ImageSubject.load(image_classifier_folder)


@pytest.mark.parametrize("name", ["anchornet", "transformer"])
def test_probabilities_are_those_of_each_image_alone(request, name):
    subject = request.getfixturevalue(name)
    together = subject.predict(pictures(), batch_size=2)
    alone = np.concatenate([subject.predict([picture]) for picture in pictures()])
    assert together.dtype == np.float64
    assert_allclose(together, alone, atol=1e-5)
    assert_allclose(together.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["anchornet", "transformer"])
def test_the_input_of_an_image_gives_its_probabilities_and_logits(request, name):
    subject = request.getfixturevalue(name)
    picture = pictures()[0]
    pixels = subject.pixel_values(picture)
    probs = subject.predict_pixels(pixels)
    assert_allclose(probs, subject.predict([picture]), atol=1e-6)
    logits = subject.compute_logits(pixels)
    assert logits.requires_grad
    assert_allclose(torch.softmax(logits, dim=-1).detach(), probs, atol=1e-6)


def test_the_input_of_an_anchornet_keeps_the_shape_of_the_image(anchornet):
    assert anchornet.pixel_values(pictures()[1]).shape == (1, 3, 50, 32)


def test_probabilities_are_those_of_the_stock_pipeline(transformer, image_classifier_folder):
    stock = pipeline("image-classification", model=image_classifier_folder)
    by_label = {item["label"]: item["score"] for item in stock(pictures()[0])}
    expected = [by_label[label] for label in transformer.labels]
    assert_allclose(transformer.predict(pictures()[:1])[0], expected, atol=1e-6)


def test_no_images_have_no_probabilities(anchornet):
    assert anchornet.predict([]).shape == (0, 2)


def test_a_processor_that_cuts_images_is_refused(image_model, image_processor):
    image_processor.do_center_crop = True
    with pytest.raises(ValueError, match="`processor` must read the whole image"):
        ImageSubject(image_model, image_processor)


def test_only_an_anchornet_is_a_localizer(transformer):
    with pytest.raises(ValueError, match=r'must be an AnchorNet for "evidence".*"vit"'):
        transformer.localizer  # noqa: B018


def test_a_batch_of_no_image_is_refused(anchornet):
    with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1"):
        anchornet.predict(pictures(), batch_size=0)
