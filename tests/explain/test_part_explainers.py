"""Explainers by parts: values of parts spread over their words and pixels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from hf_anchornet import explain_classifier
from hf_anchornet.explain.image_explainers import explain_image
from hf_anchornet.explain.image_subject import ImageSubject
from hf_anchornet.explain.part_explainers import mask_words, spread_values
from hf_anchornet.explain.text_explainers import explain_text
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.model.localizer import load_localizer
from hf_anchornet.model.text_words import Words

TEXT = "a film was good. the film , the film . not a bad bad film ! the café was a film"


MASKS = np.array([[True, True, False, False, False], [False, False, True, True, False]])


def test_without_evidence_a_value_is_spread_evenly_over_its_part():
    scores = spread_values(np.array([1.0, -0.5]), MASKS, np.zeros(5))
    assert scores.tolist() == [0.5, 0.5, -0.25, -0.25, 0.0]


def test_values_that_follow_the_evidence_are_the_evidence_scaled():
    evidence = np.array([1.0, 2.0, -1.0, 0.0, 0.5])
    scores = spread_values(np.array([0.3, -0.1]), MASKS, evidence)
    assert_allclose(scores, 0.1 * evidence, atol=1e-12)


def test_parts_keep_their_values_and_words_their_differences():
    evidence = np.array([1.0, 3.0, -1.0, 0.0, 0.5])
    values = np.array([1.0, 0.5])
    scores = spread_values(values, MASKS, evidence)
    assert_allclose(MASKS @ scores, values)
    worth = (1.0 * 4 + 0.5 * -1) / 17  # least squares by hand
    assert scores[1] - scores[0] == pytest.approx(2 * worth)
    assert scores[4] == pytest.approx(0.5 * worth)


def test_evidence_that_speaks_against_the_values_is_not_used():
    scores = spread_values(np.array([-1.0, 0.5]), MASKS, np.array([1.0, 3.0, -1.0, 0.0, 0.5]))
    assert scores.tolist() == [-0.5, -0.5, 0.25, 0.25, 0.0]


def test_words_of_a_part_are_those_that_it_touches():
    parts = [{"start": 0, "end": 6, "value": 1.0}, {"start": 7, "end": 10, "value": -0.5}]
    masks = mask_words(Words.split("a film was good"), parts)
    assert masks.tolist() == [[True, True, False, False], [False, False, True, False]]
    assert mask_words(Words.split("a film"), []).shape == (0, 2)


@pytest.mark.parametrize("game", ["alone", "in_context"])
def test_scores_of_a_classifier_are_those_of_explain_classifier(
    localizer_folder, classifier_folder, game
):
    subject = TextSubject.load(classifier_folder)
    subject.proposer = load_localizer(localizer_folder)
    method = "sentence_shapley" + ("" if game == "alone" else "_in_context")
    scores = explain_text(subject, TEXT, 1, method, max_parts=2)
    found = explain_classifier(
        classifier_folder, TEXT, localizer_folder,
        units="sentences", game=game, max_parts=2, label="glad",
    )  # fmt: skip
    values = [part["value"] for part in found["explanation"]["parts"]]
    sentences = [(0, 5), (11, 17)]
    for (first, last), value in zip(sentences, values, strict=True):
        assert scores[first:last].sum() == pytest.approx(value, abs=1e-9)


def test_scores_of_an_image_classifier_are_those_of_its_patches(
    image_localizer_folder, image_classifier_folder
):
    picture = Image.new("RGB", (96, 64), (60, 60, 60))
    picture.paste((90, 60, 60), (16, 16, 32, 32))
    subject = ImageSubject.load(image_classifier_folder)
    subject.proposer = load_localizer(image_localizer_folder)
    scores = explain_image(subject, picture, 1, "patch_shapley", max_parts=1)
    assert scores.shape == (32, 48)  # the input of the localizer
    found = explain_classifier(
        image_classifier_folder, picture, image_localizer_folder,
        units="patches", max_parts=1, label="glad",
    )  # fmt: skip
    (part,) = found["explanation"]["parts"]
    x0, y0, x1, y1 = (side // 2 for side in part["box"].values())
    assert scores[y0:y1, x0:x1].sum() == pytest.approx(part["value"], abs=1e-9)


def test_a_classifier_without_a_localizer_is_refused(classifier_folder):
    with pytest.raises(ValueError, match=r"`proposer` must be an AnchorNet .*--parts-localizer"):
        explain_text(TextSubject.load(classifier_folder), TEXT, 1, "span_shapley")
