"""The linear model of n-grams: its features, its weights, and what it says of unseen texts."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from ngram_texts import SIGNS, VOCAB_SIZE, draw_texts, find, fit
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from hf_anchornet.training.linear_model import (
    LabelledNgrams,
    count_frequencies,
    fit_linear_model,
)
from hf_anchornet.training.text_vocabulary import find_ngrams


def test_frequencies_are_counts_over_the_windows_of_a_size():
    codes = {1: torch.tensor([2, 3]), 2: torch.tensor([2 * (VOCAB_SIZE + 1) + 3])}
    found = count_frequencies([[1, 2, 1, 2], [3], []], codes, VOCAB_SIZE).toarray()
    np.testing.assert_allclose(found, [[2 / 4, 2 / 4, 2 / 3], [0, 0, 0], [0, 0, 0]])


def test_the_planted_tokens_have_the_largest_weights():
    rows = draw_texts(300, 3)
    codes = find(rows, [1])
    model, _ = fit(rows, codes, 3)
    known = (codes[1] - 1).tolist()
    assert [known[row] for row in model.weights.argmax(axis=0)] == list(SIGNS.values())


def test_unseen_texts_are_predicted_as_well_as_by_scikit_learn():
    rows, others = draw_texts(400), draw_texts(400, seed=1)
    codes = find(rows)
    model, texts = fit(rows, codes)
    unseen = count_frequencies(others["input_ids"], codes, VOCAB_SIZE)
    rival = LogisticRegression(C=100).fit(texts.frequencies * 8, rows["labels"])
    right = (model.predict(unseen).argmax(axis=1) == others["labels"]).mean()
    assert right >= rival.score(unseen * 8, others["labels"]) - 0.01


def test_the_loss_is_the_least_there_is_with_its_penalty():
    rows = draw_texts(300)
    wrong = [label ^ (row % 4 == 0) for row, label in enumerate(rows["labels"])]
    rows = rows.remove_columns("labels").add_column("labels", wrong)
    codes = find(rows, [1])
    # Hardly any penalty: the slope of the loss alone must vanish.
    model, texts = fit(rows, codes, strength=1000.0)
    logits = model.predict(texts.frequencies)
    for factor in (0.9, 1.1):
        assert texts.measure_loss(logits) < texts.measure_loss(logits * factor)
    weaker, _ = fit(rows, codes, strength=0.001)
    assert np.abs(weaker.weights).sum() < np.abs(model.weights).sum()


def test_several_labels_to_a_text_are_learned_each_alone():
    rows = draw_texts(300, sign=1.0)
    both = [[int(5 in ids), int(6 in ids), 1] for ids in rows["input_ids"]]
    rows = rows.remove_columns("labels").add_column("labels", both)
    model, texts = fit(rows, find(rows, [1]), 3, multi_label=True)
    np.testing.assert_array_equal(model.predict(texts.frequencies) > 0, np.array(both) > 0)


def test_probabilities_are_learned_as_their_labels_are():
    rows = draw_texts(300, 3)
    codes = find(rows, [1])
    certain = np.eye(3)[rows["labels"]]
    soft = rows.remove_columns("labels")
    hard, _ = fit(rows, codes, 3)
    same, _ = fit(soft.add_column("labels", certain.tolist()), codes, 3)
    np.testing.assert_allclose(same.weights, hard.weights, atol=1e-4)
    doubtful = (0.5 * certain + 0.5 / 3).tolist()
    model, texts = fit(soft.add_column("labels", doubtful), codes, 3, strength=100.0)
    probs = softmax(model.predict(texts.frequencies), axis=1)
    told = [any(sign in ids for sign in SIGNS.values()) for ids in rows["input_ids"]]
    assert probs[told].max(axis=1).mean() == pytest.approx(2 / 3, abs=0.05)


def test_balanced_labels_do_not_prefer_the_frequent_one():
    rows = draw_texts(400, sign=0.5)
    rare = [row for row, label in enumerate(rows["labels"]) if label == 0 or row % 10 == 0]
    rows = rows.select(rare)
    codes = find(rows, [1])
    gaps = []
    for balanced in (False, True):
        model, _ = fit(rows, codes, balanced=balanced)
        gaps.append(float(np.subtract(*model.predict(np.zeros((1, len(codes[1]))))[0])))
    assert gaps[0] > gaps[1] + 0.5


@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 0], [0, 1], [0, 0, 0, 0, 1]])
def test_few_rows_or_one_label_are_no_error(labels):
    rows = Dataset.from_dict({"input_ids": [[8, 9]] * len(labels), "labels": labels})
    model, _ = fit(rows, find(rows, [1]))
    assert np.isfinite(model.weights).all()
    assert np.isfinite(model.bias).all()


def test_without_log_ratios_no_weight_stands_out():
    rows = draw_texts(400)
    scaled, texts = fit(rows, find(rows), strength=0.1)
    peaks = []
    for model in (scaled, fit_linear_model(texts, 0.1, scaled=False)):
        sizes = np.abs(model.weights)
        peaks.append(sizes.max() / sizes.mean())
        logits = model.predict(texts.frequencies)
        assert texts.measure_loss(logits) < texts.measure_loss(0 * logits)
    assert peaks[1] < peaks[0]


def test_labels_with_few_texts_are_not_told_by_what_they_lack():
    random, vocab_size, num_labels = np.random.default_rng(0), 3000, 20
    usual = 1 / np.arange(1, vocab_size)
    words = np.stack([usual * random.choice([1, 4], vocab_size - 1) for _ in range(num_labels)])

    def draw(count):
        labels = np.arange(count) % num_labels
        texts = [
            random.choice(
                vocab_size - 1, random.integers(20, 300), p=words[label] / words[label].sum()
            )
            for label in labels
        ]
        return Dataset.from_dict({"input_ids": texts, "labels": labels})

    rows, others = draw(200), draw(1000)
    codes = find_ngrams(rows, (1, 2), 1, vocab_size)
    texts, unseen = (
        LabelledNgrams.count(part, codes, vocab_size, num_labels) for part in (rows, others)
    )
    smoothed, constant = (
        fit_linear_model(texts, 0.03, prior=prior).predict(unseen.frequencies) for prior in (1, 0)
    )
    right = [(logits.argmax(axis=1) == others["labels"]).mean() for logits in (smoothed, constant)]
    assert right[0] > right[1] + 0.03
    assert unseen.measure_loss(smoothed) < unseen.measure_loss(constant)
