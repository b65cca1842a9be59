"""Functions that return probabilities, and what is refused of them."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_anchornet.explain.probability_reader import LEAST_PROBABILITY, ProbabilityReader
from hf_anchornet.model.image_reader import ReadableImage


def constant(*rows):
    return lambda inputs: np.array([rows[0]] * len(inputs))


def test_softmax_of_the_logits_gives_the_probabilities_back():
    reader = ProbabilityReader(constant([0.2, 0.5, 0.3]), None, False, "x")
    logits = reader.predict_logits(["a", "b"])
    torch.testing.assert_close(logits.softmax(dim=-1)[1].tolist(), [0.2, 0.5, 0.3])


def test_sigmoid_of_the_logits_gives_multi_label_probabilities_back():
    reader = ProbabilityReader(constant([0.9, 0.8]), None, True, "x")
    torch.testing.assert_close(reader.predict_logits(["a"]).sigmoid()[0].tolist(), [0.9, 0.8])


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_probability_of_0_or_1_has_a_finite_logit(multi_label):
    logits = ProbabilityReader(constant([0, 1]), None, multi_label, "x").predict_logits(["a"])
    assert torch.isfinite(logits).all()
    assert float(logits[0, 0]) == pytest.approx(np.log(LEAST_PROBABILITY), rel=1e-6)


def test_labels_without_names_are_their_numbers():
    config = ProbabilityReader(constant([0.2, 0.8]), None, False, "x").model.config
    assert config.id2label == {0: "0", 1: "1"}
    named = ProbabilityReader(constant([0.2, 0.8]), ["no", "yes"], False, "x").model.config
    assert named.id2label == {0: "no", 1: "yes"}


def test_lists_and_tensors_will_do():
    for made in (lambda found: [[0.5, 0.5]] * len(found), lambda found: torch.ones(len(found), 1)):
        assert len(ProbabilityReader(made, None, False, "x").predict_logits(["a", "b"])) == 2


def test_pieces_of_an_image_are_cut_out_of_it():
    image = Image.new("RGB", (8, 6), "red")
    seen = []

    def predict(images):
        seen.extend(images)
        return [[1.0]] * len(images)

    reader = ProbabilityReader(predict, None, False, image)
    reader.compute_pieces(
        [(ReadableImage(image, []), "full"), (ReadableImage(image, []), (0, 0, 4, 4))]
    )
    assert [one.size for one in seen] == [(8, 6), (8, 6), (4, 4)]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([0.5], r"shape \(1, labels\), got \(1,\)"),
        ([[0.5, 0.5], [0.5, 0.5]], r"shape \(1, labels\), got \(2, 2\)"),
        (np.zeros((1, 0)), r"shape \(1, labels\), got \(1, 0\)"),
        ([[float("nan"), 1.0]], r"numbers in \[0, 1\], got nan"),
        ([[-3.0, 4.0]], r"numbers in \[0, 1\], got -3.0"),
        ([[0.9, 0.8]], r"sum to 1, got a sum of 1.7; pass `multi_label=True`"),
        ([{"label": "good"}], "an array of probabilities, got list"),
        ("good", "an array of probabilities, got str"),
        ([[0.5, 0.5], [0.5]], "an array of probabilities, got list"),
    ],
)
def test_what_is_no_array_of_probabilities_is_refused(returned, message):
    with pytest.raises(ValueError, match=f"`classifier` must return.*{message}"):
        ProbabilityReader(lambda _: returned, None, False, "x")


def test_another_number_of_labels_than_named_or_than_before_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 3\), got \(1, 2\)"):
        ProbabilityReader(constant([0.5, 0.5]), ["a", "b", "c"], False, "x")
    answers = iter([[[0.5, 0.5]], [[1.0]]])
    reader = ProbabilityReader(lambda _: next(answers), None, False, "x")
    with pytest.raises(ValueError, match=r"shape \(1, 2\), got \(1, 1\)"):
        reader.predict_logits(["a"])
