"""The linear start of the n-grams: its weights, its scale, and scores of texts it has not seen."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from hf_anchornet.model.configuration_anchornet import AnchorNetTextConfig
from hf_anchornet.model.modeling_anchornet_text import AnchorNetTextForSequenceClassification
from hf_anchornet.training.ngram_start import (
    FEW_ROWS,
    NUM_FOLDS,
    count_frequencies,
    fit_ngrams,
    split_folds,
)
from hf_anchornet.training.text_vocabulary import count_ngrams

VOCAB_SIZE = 30
SIGNS = {0: 5, 1: 6, 2: 7}
"""The token that tells each label."""


def draw_texts(num_rows, num_labels=2, seed=0, sign=0.8):
    """Texts of random tokens; most hold the token of their label."""
    random = np.random.default_rng(seed)
    labels = random.integers(num_labels, size=num_rows)
    ids = []
    for label in labels:
        text = random.integers(8, VOCAB_SIZE, size=random.integers(4, 12))
        if random.random() < sign:
            text[random.integers(len(text))] = SIGNS[int(label)]
        ids.append(text.tolist())
    return Dataset.from_dict({"input_ids": ids, "labels": labels.tolist()})


def find(rows, sizes=(1, 2)):
    return {size: count_ngrams(rows, size, 2, VOCAB_SIZE) for size in sizes}


def make_model(ngrams, num_labels=2, **options):
    model = AnchorNetTextForSequenceClassification(
        AnchorNetTextConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=8,
            embedding_size=8,
            ngram_sizes=list(ngrams),
            ngram_counts=[len(codes) for codes in ngrams.values()],
            num_labels=num_labels,
            **options,
        )
    )
    for size, codes in ngrams.items():
        model.ngrams.set_codes(size, codes)
    return model.eval()


def test_frequencies_are_counts_over_the_windows_of_a_size():
    ids = [[1, 2, 1, 2], [3], []]
    ngrams = {1: torch.tensor([2, 3]), 2: torch.tensor([2 * (VOCAB_SIZE + 1) + 3])}
    found = count_frequencies(ids, ngrams, VOCAB_SIZE).toarray()
    np.testing.assert_allclose(found, [[2 / 4, 2 / 4, 2 / 3], [0, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("num_labels", [2, 3])
@pytest.mark.parametrize("trunk", [True, False])
def test_a_localizer_starts_with_the_logits_of_the_linear_model(num_labels, trunk):
    rows = draw_texts(200, num_labels)
    ngrams = find(rows)
    start = fit_ngrams(rows, ngrams, VOCAB_SIZE, num_labels)
    model = make_model(ngrams, num_labels, trunk=trunk)
    if trunk:
        for head in model.aggregation.heads:
            torch.nn.init.zeros_(head.weight)
    start.initialize(model)
    expected = start.model.predict(count_frequencies(rows["input_ids"], ngrams, VOCAB_SIZE))
    for ids, logits in zip(rows["input_ids"], expected, strict=True):
        np.testing.assert_allclose(model(torch.tensor([ids])).logits[0].detach(), logits, atol=1e-4)


def test_the_planted_tokens_have_the_largest_weights():
    rows = draw_texts(300, 3)
    ngrams = find(rows, [1])
    start = fit_ngrams(rows, ngrams, VOCAB_SIZE, 3)
    known = (ngrams[1] - 1).tolist()
    assert [known[row] for row in start.model.weights.argmax(axis=0)] == list(SIGNS.values())


def test_unseen_texts_are_predicted_as_well_as_by_scikit_learn():
    rows, others = draw_texts(400), draw_texts(400, seed=1)
    ngrams = find(rows)
    start = fit_ngrams(rows, ngrams, VOCAB_SIZE, 2)
    fitted, unseen = (
        count_frequencies(each["input_ids"], ngrams, VOCAB_SIZE) for each in (rows, others)
    )
    rival = LogisticRegression(C=100).fit(fitted * 8, rows["labels"])
    right = (start.model.predict(unseen).argmax(axis=1) == others["labels"]).mean()
    assert right >= rival.score(unseen * 8, others["labels"]) - 0.01


def test_probabilities_are_calibrated_on_unseen_texts():
    rows, others = draw_texts(600), draw_texts(600, seed=1)
    ngrams = find(rows)
    start = fit_ngrams(rows, ngrams, VOCAB_SIZE, 2)
    logits = start.model.predict(count_frequencies(others["input_ids"], ngrams, VOCAB_SIZE))

    def loss(factor):
        return -log_softmax(logits * factor, axis=1)[range(600), others["labels"]].mean()

    assert loss(1) <= min(loss(factor) for factor in (0.1, 0.5, 2, 10)) + 0.005


def test_held_out_logits_come_from_models_without_the_text():
    # Each text has a token of its own, which says nothing about texts that were not seen.
    ids = [[8 + row, 8 + row] for row in range(20)]
    rows = Dataset.from_dict({"input_ids": ids, "labels": [0, 1] * 10})
    ngrams = find(rows, [1])
    start = fit_ngrams(rows, ngrams, VOCAB_SIZE, 2)
    seen = start.model.predict(count_frequencies(ids, ngrams, VOCAB_SIZE))
    assert (seen.argmax(axis=1) == rows["labels"]).all()
    held_out = start.predict_held_out(ids, range(20))
    for fold in range(NUM_FOLDS):
        inside = held_out[start.folds == fold]
        np.testing.assert_allclose(inside, np.broadcast_to(inside[:1], inside.shape), atol=1e-6)
    # A piece of a text has the model of its text.
    np.testing.assert_array_equal(start.predict_held_out([[11]], [3]), held_out[3:4])


def test_several_labels_to_a_text_are_learned_each_alone():
    rows = draw_texts(300, sign=1.0)
    both = [[int(5 in ids), int(6 in ids), 1] for ids in rows["input_ids"]]
    rows = rows.remove_columns("labels").add_column("labels", both)
    ngrams = find(rows, [1])
    start = fit_ngrams(rows, ngrams, VOCAB_SIZE, 3)
    logits = start.model.predict(count_frequencies(rows["input_ids"], ngrams, VOCAB_SIZE))
    np.testing.assert_array_equal(logits > 0, np.array(both) > 0)


def test_balanced_labels_do_not_prefer_the_frequent_one():
    rows = draw_texts(400, sign=0.5)
    rare = [row for row, label in enumerate(rows["labels"]) if label == 0 or row % 10 == 0]
    rows = rows.select(rare)
    ngrams = find(rows, [1])
    plain, balanced = (fit_ngrams(rows, ngrams, VOCAB_SIZE, 2, flag) for flag in (False, True))
    gap = [start.model.predict(np.zeros((1, len(ngrams[1]))))[0] for start in (plain, balanced)]
    assert gap[0][0] - gap[0][1] > gap[1][0] - gap[1][1] + 0.5


@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 0], [0, 1], [0, 0, 0, 0, 1]])
def test_few_rows_or_one_label_are_no_error(labels):
    rows = Dataset.from_dict({"input_ids": [[8, 9]] * len(labels), "labels": labels})
    start = fit_ngrams(rows, find(rows, [1]), VOCAB_SIZE, 2)
    assert np.isfinite(start.model.weights).all()
    assert np.isfinite(start.predict_held_out(rows["input_ids"], range(len(labels)))).all()


def test_a_label_is_in_every_fold_where_it_can_be():
    labels = np.array([0] * 50 + [1] * 8)
    folds = split_folds(labels, 0)
    assert all((labels[folds == fold] == 1).sum() == 2 for fold in range(NUM_FOLDS))
    assert (split_folds(labels, 0) == folds).all()
    assert len(labels) < FEW_ROWS
