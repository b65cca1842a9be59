"""Metrics of probabilities: comprehensiveness, sufficiency, calibration."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from hf_anchornet.metrics.expected_calibration_error import ExpectedCalibrationError
from hf_anchornet.metrics.faithfulness import Faithfulness

SCORES = {"comprehensiveness": "without", "sufficiency": "only"}

of_both = pytest.mark.parametrize(("score", "side"), SCORES.items())


def fill(side, documents):
    """Documents with these probabilities on one side and valid ones on the other."""
    (other,) = set(SCORES.values()) - {side}
    return [{side: probs, other: [0.5]} for probs in documents]


def test_the_drop_of_the_probability_equals_the_hand_sum():
    result = Faithfulness().compute(
        predictions=[
            {"without": [0.5, 0.25], "only": [0.75]},
            {"without": [0.5, 1.0], "only": [0.25]},
        ],
        references=[0.75, 0.5],
    )
    # Drops 1/4, 1/2 and 0, -1/2 without the evidence; 0 and 1/4 with only the evidence.
    assert result == {
        "comprehensiveness": pytest.approx((1 / 4 + 1 / 2 + 0 - 1 / 2) / 4, abs=1e-12),
        "comprehensiveness_by_bin": pytest.approx([1 / 8, 0], abs=1e-12),
        "sufficiency": pytest.approx((0 + 1 / 4) / 2, abs=1e-12),
        "sufficiency_by_bin": pytest.approx([1 / 8], abs=1e-12),
        "num_documents": 2,
    }


@of_both
def test_the_mean_over_documents_and_bins_can_be_taken_in_any_order(score, side):
    # The code of ferret takes the mean over bins, then over documents; ERASER's over all at once.
    # ferret and Quantus would bring some forty packages each: the formula stands here.
    rng = np.random.default_rng(0)
    changed, whole = rng.random((40, 5)), rng.random(40)
    result = Faithfulness().compute(predictions=fill(side, changed), references=whole)
    by_document = [
        np.mean([one - value for value in row]) for one, row in zip(whole, changed, strict=True)
    ]
    assert result[score] == pytest.approx(np.mean(by_document), abs=1e-12)
    assert np.mean(result[f"{score}_by_bin"]) == pytest.approx(result[score], abs=1e-12)


@of_both
def test_one_bin_is_the_value_of_a_hard_rationale(score, side):
    result = Faithfulness().compute(predictions=fill(side, [[0.0], [1.0]]), references=[1.0, 0.25])
    assert result[score] == pytest.approx((1 - 0.75) / 2, abs=1e-12)


@of_both
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([[0.5], [0.1, 0.2]], [1, 1], "got 2 in document 1 and 1 in document 0"),
        ([[]], [1], "`predictions` must hold one probability per bin, got 0 in document 0"),
        ([[0.5], [float("nan")]], [1, 1], r"`predictions` must be .* got nan in document 1"),
        ([[-3.0]], [1], r"got -3.0 in document 0; take the softmax of logits"),
        ([[None]], [1], r"`predictions` must be probabilities in \[0, 1\], got None"),
        ([[0.5]], [1.5], r"`references` must be probabilities in \[0, 1\], got 1.5 in document 0"),
        ([], [], "`references` must hold at least one document, got none"),
    ],
)
def test_bad_probabilities_say_what_and_where(score, side, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        Faithfulness(keep_in_memory=True).compute(
            predictions=fill(side, predictions), references=references
        )


def test_calibration_error_equals_the_hand_sum():
    # Two bins. Confidence 0.5 (the border, lower bin, the first label counts): right, gap 0.5.
    # Upper bin: 0.8 right, 0.6 wrong, 1.0 right: |2 - 2.4| = 0.4 over all three.
    result = ExpectedCalibrationError().compute(
        predictions=[[0.5, 0.5], [0.2, 0.8], [0.6, 0.4], [1.0, 0.0]],
        references=[0, 1, 1, 0],
        num_bins=2,
    )
    assert result == {
        "expected_calibration_error": pytest.approx((0.5 + 0.4) / 4, abs=1e-12),
        "accuracy": 3 / 4,
        "confidence": pytest.approx((0.5 + 0.8 + 0.6 + 1.0) / 4, abs=1e-12),
        "num_examples": 4,
    }


@pytest.mark.parametrize(("seed", "num_bins", "num_labels"), [(0, 15, 2), (1, 15, 5), (2, 7, 3)])
def test_calibration_error_agrees_with_torchmetrics(seed, num_bins, num_labels):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(num_labels), size=400)
    labels = rng.integers(0, num_labels, 400)
    result = ExpectedCalibrationError().compute(
        predictions=probs, references=labels, num_bins=num_bins
    )
    expected = multiclass_calibration_error(
        torch.from_numpy(probs), torch.from_numpy(labels), num_labels, num_bins, norm="l1"
    )
    assert result["expected_calibration_error"] == pytest.approx(float(expected), abs=1e-6)


def test_a_calibrated_classifier_has_almost_no_calibration_error():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), size=20000)
    labels = (rng.random((20000, 1)) > probs.cumsum(axis=1)).sum(axis=1)
    result = ExpectedCalibrationError().compute(predictions=probs, references=labels)
    assert result["expected_calibration_error"] < 0.02
    assert result["accuracy"] == pytest.approx(result["confidence"], abs=0.02)


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([[0.5, 0.6]], [0], r"sum 1, got \[0.5, 0.6\] for example 0; take the softmax"),
        ([[-1.0, 2.0]], [0], "`predictions` must be probabilities with sum 1"),
        ([[float("nan"), 1.0]], [0], r"got \[nan, 1.0\] for example 0"),
        ([[None, 1.0]], [0], r"got \[None, 1.0\] for example 0"),
        ([[]], [0], r"got \[\] for example 0"),
        ([[0.5, 0.5], [1.0]], [0, 0], "got 1 for example 1 and 2 for example 0"),
        ([[0.5, 0.5]], [2], "numbers of labels from 0 to 1, got 2.0 for example 0"),
        ([[0.5, 0.5]], [0.5], "numbers of labels from 0 to 1, got 0.5 for example 0"),
        ([[0.5, 0.5]], [None], "numbers of labels from 0 to 1, got None for example 0"),
        ([], [], "`references` must hold at least one example, got none"),
    ],
)
def test_calibration_error_says_what_is_wrong_and_where(predictions, references, message):
    with pytest.raises(ValueError, match=message):
        ExpectedCalibrationError(keep_in_memory=True).compute(
            predictions=predictions, references=references
        )


def test_calibration_error_needs_a_bin():
    with pytest.raises(ValueError, match="`num_bins` must be at least 1, got 0; try 15"):
        ExpectedCalibrationError(keep_in_memory=True).compute(
            predictions=[[1.0]], references=[0], num_bins=0
        )
