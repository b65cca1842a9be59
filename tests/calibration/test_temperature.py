"""Temperatures and calibration errors that can be checked by hand."""

import pytest
import torch

from hf_anchornet.calibration.temperature import (
    TEMPERATURES,
    fit_temperature,
    measure_calibration_error,
)


def test_the_temperature_makes_confidence_what_accuracy_is():
    # Three of four are right: likeliest at a confidence of 3 / 4, logits ln 3 apart.
    logits, targets = torch.tensor([[4.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])
    expected = 4.0 / torch.log(torch.tensor(3.0))
    assert fit_temperature(logits, targets) == pytest.approx(float(expected), rel=1e-4)


def test_the_temperature_of_scaled_logits_is_scaled():
    logits, targets = torch.randn(200, 3), torch.randint(3, (200,))
    logits[range(200), targets] += 1
    one, ten = fit_temperature(logits, targets), fit_temperature(10 * logits, targets)
    assert ten == pytest.approx(10 * one, rel=1e-3)


def test_the_temperature_is_the_likeliest_of_a_grid():
    logits, targets = torch.randn(300, 4).double(), torch.randint(4, (300,))
    logits[range(300), targets] += 2

    def loss(temperature):
        return float(torch.nn.functional.cross_entropy(logits / temperature, targets))

    found = fit_temperature(logits, targets)
    assert loss(found) <= min(loss(0.05 * step) for step in range(1, 100)) + 1e-6


def test_a_model_that_is_always_or_never_right_has_a_bounded_temperature():
    logits = torch.tensor([[2.0, 0.0]] * 5)
    low, high = (fit_temperature(logits, torch.full((5,), target)) for target in (0, 1))
    assert TEMPERATURES[0] * 0.999 <= low < 0.5
    assert 2 < high <= TEMPERATURES[1] * 1.001


def test_calibration_error_is_the_mean_distance_of_confidence_and_accuracy():
    probs = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.35, 0.65], [0.25, 0.75]])
    # Bins: two at 0.9, of which one is right; one at 0.65, right; one at 0.75, wrong.
    targets = torch.tensor([0, 1, 1, 0])
    expected = (2 * 0.4 + 0.35 + 0.75) / 4
    assert measure_calibration_error(probs, targets) == pytest.approx(expected)


def test_a_full_confidence_belongs_to_the_last_bin():
    probs = torch.tensor([[1.0, 0.0]])
    assert measure_calibration_error(probs, torch.tensor([0])) == 0
    assert measure_calibration_error(probs, torch.tensor([1])) == 1
