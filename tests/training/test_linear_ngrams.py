"""A linear model added to a localizer: the sum is a localizer, weighted on the validation split."""

import numpy as np
import pytest
import torch
from ngram_texts import VOCAB_SIZE, add_lengths, draw_texts, find, fit, make_model

from hf_anchornet.training.linear_model import LabelledNgrams
from hf_anchornet.training.linear_ngrams import (
    add_linear_ngrams,
    choose_weights,
    predict_logits,
)


@pytest.mark.parametrize("num_labels", [2, 3])
@pytest.mark.parametrize("options", [{}, {"gated": True}, {"trunk": False}], ids=str)
def test_logits_are_the_weighted_sum_of_both(num_labels, options):
    rows = add_lengths(draw_texts(120, num_labels))
    codes = find(rows)
    model = make_model(codes, num_labels, **options)
    learned = predict_logits(model, rows)
    linear, texts = fit(rows, codes, num_labels)
    found = add_linear_ngrams(model, rows, rows, weights=(1.0, 0.4))
    assert (found["weight"], found["learned_weight"]) == (0.4, 1.0)
    if found["strength"] == 0.3:
        expected = learned + 0.4 * linear.predict(texts.frequencies)
        np.testing.assert_allclose(predict_logits(model, rows), expected, atol=1e-3)
    else:
        assert not np.allclose(predict_logits(model, rows), learned, atol=1e-2)


def test_unknown_ngrams_still_score_nothing():
    rows = add_lengths(draw_texts(60))
    model = make_model(find(rows))
    add_linear_ngrams(model, rows, rows)
    assert all((table[0] == 0).all() for table in model.ngrams.parameters())


def test_the_report_holds_the_scores_of_the_sum():
    rows, others = add_lengths(draw_texts(200)), add_lengths(draw_texts(100, seed=1))
    model = make_model(find(rows))
    before = predict_logits(model, others)
    found = add_linear_ngrams(model, rows, others)
    logits, targets = torch.from_numpy(predict_logits(model, others)), others["labels"]
    targets = torch.tensor(list(targets))
    assert found["accuracy"] == (logits.argmax(dim=1) == targets).double().mean()
    loss = torch.nn.functional.cross_entropy(logits, targets)
    assert found["loss"] == pytest.approx(float(loss), abs=1e-4)
    assert loss < torch.nn.functional.cross_entropy(torch.from_numpy(before), targets)


def test_weights_are_those_of_least_loss():
    rows = draw_texts(300)
    codes = find(rows)
    linear, _ = fit(rows, codes)
    judged = LabelledNgrams.count(draw_texts(300, seed=1), codes, VOCAB_SIZE, 2)
    good = linear.predict(judged.frequencies)
    noise = np.random.default_rng(0).normal(size=good.shape)
    weights = choose_weights(np.stack([noise, good]), judged)
    assert weights[1] > 5 * weights[0] >= 0

    def loss(first, second):
        return judged.measure_loss(first * noise + second * good)

    for step in (-0.05, 0.05):
        assert loss(*weights) <= loss(max(0, weights[0] + step), weights[1])
        assert loss(*weights) <= loss(weights[0], weights[1] + step)


def test_what_was_learned_well_is_not_lost_to_a_bad_linear_model():
    rows = draw_texts(300)
    codes = find(rows)
    judged = LabelledNgrams.count(rows, codes, VOCAB_SIZE, 2)
    good = np.eye(2)[rows["labels"]] * 4
    weights = choose_weights(np.stack([good, -good]), judged)
    assert weights[1] == 0
    assert weights[0] > 0
