"""Cascades as explainers use them: their probabilities, and scores that sum to the answer."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from hf_anchornet import SpanLocalizationPipeline
from hf_anchornet.explain.cascade_subject import (
    ImageCascadeSubject,
    TextCascadeSubject,
    load_cascade_subject,
)
from hf_anchornet.explain.image_explainers import explain_image
from hf_anchornet.explain.text_explainers import explain_text
from hf_anchornet.explain.text_subject import TextSubject

SURE = "good good good"
TEXT = "good , a bad film , the good bad film was bad , good"


@pytest.fixture
def texts(text_cascade):
    return TextCascadeSubject(text_cascade.override([0.9, 0.0, 0.0]))


@pytest.fixture
def picture():
    made = Image.new("RGB", (96, 64), (60, 60, 60))
    made.paste((66, 60, 60), (16, 16, 32, 32))
    made.paste((64, 60, 60), (64, 32, 80, 48))
    return made


def test_probabilities_are_those_of_the_cascade(texts):
    probs = texts.predict([SURE, TEXT, ""])
    answers = texts.cascade([SURE, TEXT, ""])
    assert_allclose(probs.max(axis=1), [answer["score"] for answer in answers], rtol=1e-6)
    assert [texts.labels[row.argmax()] for row in probs] == [one["label"] for one in answers]
    assert texts.predict([]).shape == (0, 2)


def test_where_the_localizer_answers_its_evidence_explains(texts):
    answer = explain_text(texts, SURE, 1, "answer")
    assert_allclose(answer, explain_text(texts, SURE, 1, "evidence"))


@pytest.mark.parametrize("label", [0, 1])
def test_scores_of_words_sum_to_the_answer_less_that_of_the_bias(texts, label):
    scores = explain_text(texts, TEXT, label, "answer")
    prior = 0.5  # the planted localizer has no bias
    assert prior + scores.sum() == pytest.approx(texts.predict([TEXT])[0, label], abs=1e-4)


def test_words_of_a_part_share_its_value(texts):
    scores = explain_text(texts, TEXT, 1, "answer")
    pipeline = SpanLocalizationPipeline(
        texts.model, tokenizer=texts.tokenizer, classifier=texts.cascade, explain_answer=True
    )
    explanation = pipeline(TEXT)["explanation"]
    sign = 1 if explanation["label"] == "positive" else -1
    read = sum(part["value"] for part in explanation["parts"])
    whole = explanation["base"] + read
    assert whole == pytest.approx(explanation["total"])
    assert sign * scores.sum() == pytest.approx(explanation["total"] - 0.5, abs=1e-4)


def test_n_grams_that_answer_explain(ngram_cascade):
    subject = TextCascadeSubject(ngram_cascade)
    scores = explain_text(subject, "not bad", 1, "answer")
    glance = ngram_cascade.localizer.start(["not bad"], ["ngrams"])
    assert_allclose(scores, glance.locate()[0].attribution[:, 1])
    assert scores.sum() > 1


def test_a_text_without_words_has_no_scores(texts):
    assert explain_text(texts, " ", 1, "answer").shape == (0,)


@pytest.mark.parametrize("thresholds", [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
def test_scores_of_pixels_sum_to_the_answer_less_that_of_the_bias(
    image_cascade, picture, thresholds
):
    subject = ImageCascadeSubject(image_cascade.override(thresholds))
    scores = explain_image(subject, picture, 1, "answer")
    assert scores.shape == (32, 48)
    assert 0.5 + scores.sum() == pytest.approx(subject.predict([picture])[0, 1], abs=1e-4)


def test_where_the_image_localizer_answers_its_evidence_explains(image_cascade):
    subject = ImageCascadeSubject(image_cascade)
    red = Image.new("RGB", (96, 64), "red")
    answer = explain_image(subject, red, 1, "answer")
    assert_allclose(answer, explain_image(subject, red, 1, "evidence"), rtol=1e-5)


@pytest.mark.parametrize("name", ["text", "image"])
def test_a_cascade_is_loaded_from_its_folder(request, tmp_path, name):
    cascade = request.getfixturevalue(f"{name}_cascade")
    cascade.save_pretrained(tmp_path / "cascade")
    subject = load_cascade_subject(str(tmp_path / "cascade"), name == "text")
    assert subject.cascade.rule == cascade.rule


def test_a_single_model_has_no_answer_of_a_cascade(planted, tokenizer):
    with pytest.raises(ValueError, match='`subject` must be a cascade for "answer"'):
        explain_text(TextSubject(planted, tokenizer), SURE, 1, "answer")


def test_answers_are_the_same_to_the_last_bit(texts):
    one, other = (explain_text(texts, TEXT, 1, "answer") for _ in range(2))
    assert (one == other).all()
    assert np.isfinite(one).all()
