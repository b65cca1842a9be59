"""Explainers by parts: values of parts spread over their words and pixels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from hf_anchornet import explain_classifier
from hf_anchornet.explain.image_explainers import explain_image
from hf_anchornet.explain.image_subject import ImageSubject
from hf_anchornet.explain.part_explainers import spread_over_pixels, spread_over_words
from hf_anchornet.explain.text_explainers import explain_text
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.model.localizer import load_localizer

TEXT = "a film was good. the film , the film . not a bad bad film ! the café was a film"


def test_a_value_is_shared_out_evenly_over_the_words_of_its_part():
    parts = [{"start": 0, "end": 6, "value": 1.0}, {"start": 7, "end": 10, "value": -0.5}]
    assert spread_over_words("a film was good", parts).tolist() == [0.5, 0.5, -0.5, 0.0]


def test_a_value_is_shared_out_evenly_over_the_pixels_of_its_part():
    box = {"xmin": 1, "ymin": 0, "xmax": 3, "ymax": 1}
    scores = spread_over_pixels((4, 2), [{"box": box, "value": 1.0}, {"box": box, "value": 2.0}])
    assert scores.tolist() == [[0.0, 1.5, 1.5, 0.0], [0.0, 0.0, 0.0, 0.0]]


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
    assert scores.sum() == pytest.approx(sum(values), abs=1e-9)
    assert len(set(scores[:5].round(12))) == 1
    assert_allclose(scores[5:11], 0)


def test_scores_of_an_image_classifier_are_those_of_its_patches(
    image_localizer_folder, image_classifier_folder
):
    picture = Image.new("RGB", (96, 64), (60, 60, 60))
    picture.paste((90, 60, 60), (16, 16, 32, 32))
    subject = ImageSubject.load(image_classifier_folder)
    subject.proposer = load_localizer(image_localizer_folder)
    scores = explain_image(subject, picture, 1, "patch_shapley", max_parts=1)
    found = explain_classifier(
        image_classifier_folder, picture, image_localizer_folder,
        units="patches", max_parts=1, label="glad",
    )  # fmt: skip
    (part,) = found["explanation"]["parts"]
    assert scores.shape == (64, 96)
    assert scores.sum() == pytest.approx(part["value"], abs=1e-9)
    box = part["box"]
    inside = scores[box["ymin"] : box["ymax"], box["xmin"] : box["xmax"]]
    assert np.count_nonzero(scores) == inside.size


def test_a_classifier_without_a_localizer_is_refused(classifier_folder):
    with pytest.raises(ValueError, match=r"`proposer` must be an AnchorNet .*--parts-localizer"):
        explain_text(TextSubject.load(classifier_folder), TEXT, 1, "span_shapley")
