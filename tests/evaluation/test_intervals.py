"""Bootstrap intervals: around the score, narrower with more documents, the same at each call."""

import sys

import numpy as np
import pytest
import torch
from datasets import Dataset
from explanation_records import make_image, make_text, summarize

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.evaluation.explain_split import ExplanationOptions
from hf_anchornet.evaluation.explanations import evaluate_explanations
from hf_anchornet.evaluation.intervals import _combine_means, estimate_interval
from hf_anchornet.evaluation.tables import format_score, make_explainer_table

SCORES = ([0.0, 3.0, 0.0, 0.0, 1.0, 0.0], [2.0, 1.0, 0.0, 0.0, 1.0, 0.0], [0.0] * 5 + [1.0])


def make_records(count):
    """Texts of which every third has its best word elsewhere."""
    degrees = [{"cut": {"without": [0.1 * (row % 5)] * 2, "only": [0.8, 0.9]}} for row in range(9)]
    return [
        make_text(row, scores=SCORES[row % 3], degrees=degrees[row % 9]) for row in range(count)
    ]


def test_the_interval_of_a_mean_is_that_of_the_normal_law_for_many_documents():
    values = np.random.default_rng(3).normal(5, 2, (1, 400))
    low, high = estimate_interval(values, 2000)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_the_same_documents_have_the_same_interval():
    values = np.random.default_rng(3).random((1, 30))
    assert estimate_interval(values, 100) == estimate_interval(values, 100)


def test_one_document_has_no_interval():
    assert estimate_interval(np.ones((1, 1)), 100) is None


def test_without_scipy_the_error_says_so_before_anything_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    rows, options = Dataset.from_dict({"text": ["a"]}), ExplanationOptions()
    with pytest.raises(ImportError, match=r"pip install 'hf-anchornet\[eval\]'`, or give 0"):
        evaluate_explanations(
            "no/model", "test", rows, DataOptions("no/data"), options, torch.device("cpu")
        )


def test_documents_that_are_alike_have_an_interval_of_no_width():
    assert estimate_interval(np.full((1, 5), 0.25), 100) == [0.25, 0.25]


def test_iou_f1_is_of_mean_precision_without_texts_that_chose_nothing_and_mean_recall():
    precision, recall = np.array([1.0, np.nan, 0.0]), np.array([1.0, 0.0, 0.2])
    assert _combine_means(precision, recall) == pytest.approx(2 * 0.5 * 0.4 / 0.9)
    assert _combine_means(np.array([np.nan]), np.array([0.0])) == 0.0


def test_each_score_of_texts_lies_in_its_interval():
    row = summarize(make_records(30), resamples=200)["explainers"]["evidence"]
    found = row["intervals"]["plausibility"]
    assert set(found) == {
        "pointing", "token_auprc", "raw_pointing", "raw_token_auprc", "token_f1", "span_iou_f1"
    }  # fmt: skip
    for name, (low, high) in found.items():
        assert low < row["plausibility"][name] < high
    faith, ends = row["faithfulness"]["cut"], row["intervals"]["faithfulness"]["cut"]
    assert ends["comprehensiveness"][0] < faith["comprehensiveness"] < ends["comprehensiveness"][1]
    assert ends["sufficiency"] == pytest.approx([faith["sufficiency"]] * 2)


def test_more_documents_make_it_narrower():
    few, many = (
        summarize(make_records(count), resamples=200)["explainers"]["evidence"]["intervals"]
        for count in (12, 120)
    )
    widths = [high - low for low, high in (x["plausibility"]["pointing"] for x in (few, many))]
    assert widths[1] < 0.5 * widths[0]


def test_images_have_intervals_of_pointing_and_energy():
    missed = np.zeros(32)
    missed[0] = 1.0
    records = [make_image(row) for row in range(6)]
    records += [make_image(row, scores=missed.tolist()) for row in range(6, 12)]
    row = summarize(records, resamples=200)["explainers"]["evidence"]
    for name in ("pointing", "energy"):
        low, high = row["intervals"]["plausibility"][name]
        assert low < row["plausibility"][name] < high


def test_without_resamples_or_marks_there_are_none():
    assert "intervals" not in summarize(make_records(3))["explainers"]["evidence"]
    plain = [make_text(row, spans=[]) for row in range(3)]
    row = summarize(plain, resamples=50)["explainers"]["evidence"]
    assert row["intervals"]["plausibility"] is None


def test_a_table_shows_the_interval_behind_its_score():
    assert format_score(0.5) == "0.500"
    assert format_score(0.5, [0.4, 0.625]) == "0.500 (0.400 to 0.625)"
    table = make_explainer_table(summarize(make_records(12), resamples=50))
    assert table.count(" to ") == 6
