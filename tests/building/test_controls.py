"""The simplest models that could work."""

import numpy as np
from PIL import Image

from hf_anchornet.building.controls import answer_by_majority, answer_linearly, shrink_pictures


def test_the_majority_is_the_most_frequent_label():
    assert answer_by_majority([0, 1, 1, 2], 3).labels.tolist() == [1, 1, 1]


def test_a_linear_model_learns_a_word():
    texts = [f"the film was {word}" for word in ("good", "bad") * 10]
    answers = answer_linearly(texts, [1, 0] * 10, ["good", "bad", "so bad"])
    assert answers.labels.tolist() == [1, 0, 0]
    assert answers.milliseconds > 0


def test_a_linear_model_learns_a_colour():
    colours = [(200, 30, 30), (30, 30, 200)]
    pictures = [Image.new("RGB", (40 + row, 40), colours[row % 2]) for row in range(10)]
    assert answer_linearly(pictures, [0, 1] * 5, pictures[:2]).labels.tolist() == [0, 1]
    pixels = shrink_pictures(pictures)
    assert pixels.shape == (10, 32 * 32 * 3)
    np.testing.assert_allclose(pixels[0, :3], np.array([200, 30, 30]) / 255, atol=1e-6)
