"""N-grams of a localizer with a teacher: two linear models, the second of what is left over."""

import numpy as np
import pytest
import torch
from ngram_texts import SIGNS, VOCAB_SIZE, add_lengths, draw_texts, find, make_model

from hf_anchornet.training.linear_model import LabelledNgrams, fit_linear_model
from hf_anchornet.training.linear_ngrams import add_scores, predict_logits
from hf_anchornet.training.taught_ngrams import add_taught_ngrams, choose_scale, fit_correction


def teach(rows, certainty):
    """The rows with probabilities instead of labels."""
    labels = np.asarray(rows["labels"])
    probs = certainty * np.eye(2)[labels] + (1 - certainty) / 2
    return rows.remove_columns("labels").add_column("labels", probs.tolist())


def count(rows, codes):
    return LabelledNgrams.count(rows, codes, VOCAB_SIZE, 2)


@pytest.mark.parametrize("options", [{}, {"gated": True}, {"trunk": False}], ids=str)
def test_the_report_holds_the_scores_of_the_sum(options):
    rows, others = add_lengths(draw_texts(200)), add_lengths(draw_texts(100, seed=1))
    model = make_model(find(rows), **options)
    found = add_taught_ngrams(model, teach(rows, 0.8), rows, others, largest_share=1.0)
    logits = torch.from_numpy(predict_logits(model, others))
    targets = torch.tensor(list(others["labels"]))
    assert found["accuracy"] == (logits.argmax(dim=1) == targets).double().mean()
    loss = torch.nn.functional.cross_entropy(logits, targets)
    assert found["loss"] == pytest.approx(float(loss), abs=1e-4)
    assert found.keys() == {"strength", "weight", "learned_weight", "accuracy", "loss"}
    assert all((table[0] == 0).all() for table in model.ngrams.parameters())


def test_both_what_a_teacher_says_and_what_labels_add_is_learned():
    rows, others = add_lengths(draw_texts(300)), add_lengths(draw_texts(300, seed=1))
    untaught = teach(draw_texts(300, seed=2), 0.0)
    codes = find(rows)
    accuracies = {}
    for name, taught, weight in (
        ("nothing", untaught, 0.0),
        ("teacher", teach(rows, 1.0), 0.0),
        ("labels", untaught, 1.0),
    ):
        torch.manual_seed(0)
        model = make_model(codes)
        found = add_taught_ngrams(model, taught, rows, others, weight, largest_share=1.0)
        accuracies[name] = found["accuracy"]
    assert accuracies["teacher"] > accuracies["nothing"] + 0.1
    assert accuracies["labels"] > accuracies["nothing"] + 0.1


def test_the_correction_learns_what_is_left_over():
    rows = draw_texts(400)
    codes = find(rows, [1])
    texts = count(rows, codes)
    known = fit_linear_model(texts, 1.0)
    again = fit_linear_model(texts, 1.0, known.predict(texts.frequencies))
    other = fit_linear_model(texts, 1.0, -known.predict(texts.frequencies))
    assert np.abs(again.weights).max() < 0.5 * np.abs(known.weights).max()
    assert np.abs(other.weights).max() > np.abs(known.weights).max()


def test_frequent_ngrams_are_left_out_of_the_correction():
    rows = draw_texts(400, sign=0.5)
    codes = find(rows, [1])
    texts = count(rows, codes)
    places = [codes[1].tolist().index(sign + 1) for sign in SIGNS.values() if sign < 7]
    offset = np.zeros((len(rows), 2))
    assert (np.abs(fit_correction(texts, offset, 1.0).weights[places]) > 0).all()
    shares = np.asarray((texts.frequencies > 0).mean(axis=0)).ravel()
    largest = shares[places].min() - 1e-6
    found = fit_correction(texts, offset, largest).weights
    assert (found[places] == 0).all()
    assert (found[shares > largest] == 0).all()


def test_the_scale_is_that_of_least_loss():
    rows = draw_texts(400)
    texts = count(rows, find(rows, [1]))
    logits = fit_linear_model(texts, 1.0).predict(texts.frequencies)
    scale = choose_scale(logits, texts)
    best = texts.measure_loss(scale * logits)
    assert best <= min(texts.measure_loss(factor * scale * logits) for factor in (0.9, 1.0, 1.1))
    assert choose_scale(3 * logits, texts) == pytest.approx(scale / 3, rel=1e-2)


def test_scores_are_added_with_their_weights():
    rows = add_lengths(draw_texts(50))
    codes = find(rows)
    model = make_model(codes)
    before = predict_logits(model, rows)
    texts = count(rows, codes)
    linear = fit_linear_model(texts, 0.3)
    add_scores(model, linear, 0.5, 2.0)
    expected = 0.5 * before + 2.0 * linear.predict(texts.frequencies)
    np.testing.assert_allclose(predict_logits(model, rows), expected, atol=1e-3)
