"""Explainers of texts: each finds the planted word, and all keep the rules of the interface."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hf_anchornet.explain.cascade_subject import TextCascadeSubject
from hf_anchornet.explain.text_explainers import TEXT_EXPLAINERS, explain_text
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.model.text_words import Words

TEXT = "the café \N{THUMBS UP SIGN} was a film , good and not a film ."
GOOD = 7
QUICK = {
    "evidence": {},
    "refined_evidence": {},
    "integrated_gradients": {},
    "occlusion": {},
    "lime": {"num_samples": 200},
    "shapley": {"num_permutations": 3},
    "attention_rollout": {},
    "span_shapley": {"max_tokens": 6},
    "sentence_shapley": {},
    "passage_shapley": {},
    "span_shapley_in_context": {"max_tokens": 6},
    "sentence_shapley_in_context": {},
    "answer": {},
    "random": {},
}
SEEDED = ["lime", "shapley", "random"]
FINDING = ["evidence", "integrated_gradients", "occlusion", "lime", "shapley"]


@pytest.fixture
def anchornet(planted, tokenizer):
    """Only "good" (for positive, number 1) and "bad" (for negative) count."""
    return TextSubject(planted, tokenizer)


@pytest.fixture
def encoder(classifier_folder):
    return TextSubject.load(classifier_folder)


def explain(subject, method, text=TEXT, label=1, **options):
    return explain_text(subject, text, label, method, **QUICK[method], **options)


@pytest.fixture
def cascade(text_cascade):
    return TextCascadeSubject(text_cascade)


def subject_for(request, method):
    if method == "answer":
        return request.getfixturevalue("cascade")
    return request.getfixturevalue("encoder" if method == "attention_rollout" else "anchornet")


def test_each_explainer_has_a_quick_setting_here():
    assert set(QUICK) == set(TEXT_EXPLAINERS)


@pytest.mark.parametrize("method", FINDING)
def test_the_planted_word_speaks_most_for_its_label(anchornet, method):
    scores = explain(anchornet, method)
    assert Words.split(TEXT).span(GOOD, GOOD + 1) == (TEXT.index("good"), TEXT.index("good") + 4)
    assert scores.argmax() == GOOD
    assert scores[GOOD] > 0


@pytest.mark.parametrize("method", FINDING)
def test_the_planted_word_speaks_most_against_the_other_label(anchornet, method):
    scores = explain(anchornet, method, label=0)
    assert scores.argmin() == GOOD
    assert scores[GOOD] < 0


@pytest.mark.parametrize("method", FINDING)
def test_of_two_planted_words_each_speaks_for_its_own_label(anchornet, method):
    text = "good the film bad"
    positive = explain(anchornet, method, text, 1)
    negative = explain(anchornet, method, text, 0)
    assert (positive.argmax(), positive.argmin()) == (0, 3)
    assert (negative.argmax(), negative.argmin()) == (3, 0)


def test_evidence_is_the_attribution_of_the_localizer(model, tokenizer):
    subject = TextSubject(model, tokenizer)
    (located,) = subject.localizer.read([TEXT]).locate()
    for label in (0, 1):
        scores = explain(subject, "evidence", label=label)
        assert (scores == located.attribution[:, label]).all()


def test_occlusion_is_the_probability_less_that_without_each_word(anchornet):
    text = "a good  film was bad"
    full, *without = anchornet.predict(
        [text, "good  film was bad", "a film was bad", "a good was bad", "a good  film bad",
         "a good  film was"]
    )[:, 1]  # fmt: skip
    assert_allclose(explain(anchornet, "occlusion", text), full - np.array(without), atol=1e-6)


def test_shapley_values_add_up_to_what_the_text_adds_to_an_empty_one(encoder):
    full, nothing = encoder.predict([TEXT, ""])[:, 1]
    scores = explain(encoder, "shapley")
    assert scores.sum() == pytest.approx(full - nothing, abs=1e-5)


def test_a_word_without_a_token_of_its_own_gets_what_it_says(encoder):
    """The sum over words of what rollout gives to tokens leaves out the special ones."""
    scores = explain(encoder, "attention_rollout")
    assert (scores > 0).sum() >= 12
    assert 0 < scores.sum() < 1
    assert (scores == explain(encoder, "attention_rollout", label=0)).all()


@pytest.mark.parametrize("method", QUICK)
def test_scores_are_finite_float64_one_a_word(request, method):
    scores = explain(subject_for(request, method), method)
    assert scores.dtype == np.float64
    assert scores.shape == (len(Words.split(TEXT)),)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("method", QUICK)
@pytest.mark.parametrize("text", ["", " \n "])
def test_a_text_without_words_has_no_scores(request, method, text):
    assert explain(subject_for(request, method), method, text).shape == (0,)


@pytest.mark.parametrize("method", QUICK)
def test_a_single_emoji_has_one_score(request, method):
    text = "\N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"
    assert explain(subject_for(request, method), method, text).shape == (1,)


@pytest.mark.parametrize("method", QUICK)
def test_the_same_call_gives_the_same_answer(request, method):
    subject = subject_for(request, method)
    assert (explain(subject, method) == explain(subject, method)).all()


@pytest.mark.parametrize("method", SEEDED)
def test_another_seed_gives_another_answer(anchornet, method):
    assert (explain(anchornet, method) != explain(anchornet, method, seed=1)).any()


def test_random_scores_differ_by_label_and_text(anchornet):
    scores = explain(anchornet, "random")
    assert (scores != explain(anchornet, "random", label=0)).all()
    assert (scores != explain(anchornet, "random", text=TEXT.replace("film", "xyz"))).all()


PLACED = ("span_shapley", "sentence_shapley", "passage_shapley", "answer")
"""Explainers that read parts from anywhere in a text."""


@pytest.mark.parametrize(
    "method", [name for name in QUICK if "evidence" not in name and name not in PLACED]
)
def test_words_behind_what_an_encoder_reads_score_0(encoder, anchornet, method):
    """They are never shown to it, not even in place of a word that is cut."""
    encoder.proposer = anchornet.localizer
    options = {"lime": {"num_samples": 20}, "shapley": {"num_permutations": 1}}
    text = "film " * 126 + "good bad " * 10
    scores = explain_text(encoder, text, 1, method, **options.get(method, {}))
    other = explain_text(encoder, "film " * 126, 1, method, **options.get(method, {}))
    assert scores.shape == (146,)
    assert not scores[126:].any()
    if method != "random":  # which depends on the text
        assert_allclose(scores[:126], other, atol=1e-6)


@pytest.mark.parametrize("method", ["occlusion", "lime", "shapley", "integrated_gradients"])
def test_how_many_texts_are_read_together_changes_nothing(anchornet, method):
    few = explain(anchornet, method, batch_size=3)
    assert_allclose(few, explain(anchornet, method, batch_size=200), atol=1e-5)


def test_evidence_is_refused_for_other_models(encoder):
    with pytest.raises(ValueError, match='must be an AnchorNet for "evidence"'):
        explain(encoder, "evidence")


def test_attention_rollout_is_refused_for_an_anchornet(anchornet):
    with pytest.raises(ValueError, match='for "attention_rollout"'):
        explain(anchornet, "attention_rollout")


def test_an_unknown_explainer_is_named_with_those_that_are_known(anchornet):
    with pytest.raises(ValueError, match=r"`method` must be one of evidence, .*got 'shap'"):
        explain_text(anchornet, TEXT, 1, "shap")


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_none_is_refused(anchornet, label):
    with pytest.raises(ValueError, match="`label` must be the number of a label, 0 to 1"):
        explain_text(anchornet, TEXT, label)


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("lime", "num_samples"),
        ("shapley", "num_permutations"),
        ("integrated_gradients", "num_steps"),
        ("occlusion", "batch_size"),
    ],
)
def test_an_option_below_1_is_refused(anchornet, method, option):
    with pytest.raises(ValueError, match=f"`{option}` must be a whole number of at least 1"):
        explain_text(anchornet, TEXT, 1, method, **{option: 0})


def test_an_option_of_another_explainer_is_refused(anchornet):
    with pytest.raises(TypeError, match="num_samples"):
        explain_text(anchornet, TEXT, 1, "occlusion", num_samples=5)


def test_what_is_no_text_is_refused(anchornet):
    with pytest.raises(TypeError, match="`text` must be a string, got list"):
        explain_text(anchornet, ["good"], 1)
