"""Explainers that ask about subsets: exact for what is linear, and the choices of LIME."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from hf_anchornet.explain.black_box import (
    draw_by_coin,
    draw_by_count,
    fit_lime,
    occlude,
    sample_shapley,
)

WEIGHTS = np.array([0.3, -0.2, 0.0, 0.1, 0.05])


def linear(kept):
    assert kept.dtype == bool
    return 0.4 + kept @ WEIGHTS


def pair(kept):
    """Only the first two parts together say anything."""
    return (kept[:, 0] & kept[:, 1]).astype(float)


def test_occlusion_gives_the_weights_of_a_linear_model():
    assert_allclose(occlude(linear, 5), WEIGHTS, atol=1e-6)


def test_shapley_values_are_the_weights_of_a_linear_model():
    values = sample_shapley(linear, 5, num_permutations=2, seed=0)
    assert_allclose(values, WEIGHTS, atol=1e-6)


def test_shapley_values_share_what_two_parts_do_together():
    values = sample_shapley(pair, 3, num_permutations=400, seed=0)
    assert_allclose(values, [0.5, 0.5, 0], atol=0.1)
    assert values.sum() == pytest.approx(1, abs=1e-5)


def test_lime_nears_the_weights_of_a_linear_model():
    weights = fit_lime(linear, 5, draw_by_coin, num_samples=2000, seed=0)
    assert_allclose(weights, WEIGHTS, atol=5e-3)  # the ridge pulls them to 0 a little


def test_lime_is_ridge_regression_weighed_as_its_authors_weigh():
    """The same sum by the formulas of the package lime, for texts: distances times 100, width 25"""
    asked = []

    def ask(kept):
        asked.append(kept)
        return kept[:, 0] * 0.5 + pair(kept) * 0.3

    found = fit_lime(ask, 5, draw_by_count, num_samples=60, seed=3)
    samples = np.concatenate(asked).astype(float)
    assert samples.shape == (60, 5)
    assert samples[0].all()
    counts = samples.sum(axis=1)
    distances = 100 * (1 - counts / np.sqrt(np.maximum(counts, 1) * 5))
    weights = np.sqrt(np.exp(-(distances**2) / 25**2))
    answers = ask(samples.astype(bool))
    centre = (weights @ samples) / weights.sum()
    inputs = samples - centre
    outputs = answers - weights @ answers / weights.sum()
    gram = inputs.T @ (weights[:, None] * inputs) + np.eye(5)
    assert_allclose(found, np.linalg.solve(gram, inputs.T @ (weights * outputs)), atol=1e-5)


@pytest.mark.parametrize("num_parts", [1, 7])
def test_samples_of_texts_cut_any_number_of_words_but_none_equally_often(num_parts):
    generator = np.random.default_rng(0)
    kept = np.array([draw_by_count(generator, num_parts).sum() for _ in range(2000)])
    shares = np.bincount(kept, minlength=num_parts) / 2000
    assert_allclose(shares, 1 / num_parts, atol=0.04)


def test_samples_of_images_keep_each_cell_half_of_the_time():
    generator = np.random.default_rng(0)
    kept = np.array([draw_by_coin(generator, 4) for _ in range(2000)])
    assert_allclose(kept.mean(axis=0), 0.5, atol=0.05)


def test_more_parts_than_are_asked_about_at_once_give_the_same():
    weights = np.linspace(-1, 1, 700)
    calls = []

    def ask(kept):
        calls.append(len(kept))
        return kept @ weights / 700

    assert_allclose(occlude(ask, 700), weights / 700, atol=1e-6)
    assert max(calls) <= 512


EXPLAINERS = {
    "occlusion": lambda ask, seed, parts=5: occlude(ask, parts),
    "lime": lambda ask, seed, parts=5: fit_lime(
        ask, parts, draw_by_count, num_samples=20, seed=seed
    ),
    "shapley": lambda ask, seed, parts=5: sample_shapley(ask, parts, num_permutations=3, seed=seed),
}


@pytest.mark.parametrize("explain", EXPLAINERS.values(), ids=EXPLAINERS)
def test_nothing_has_no_scores(explain):
    assert explain(linear, 0, parts=0).shape == (0,)


@pytest.mark.parametrize("explain", EXPLAINERS.values(), ids=EXPLAINERS)
def test_a_single_part_that_speaks_for_the_label_scores_above_0(explain):
    assert explain(lambda kept: kept[:, 0] * 0.5, 0, parts=1)[0] > 0


@pytest.mark.parametrize("name", ["lime", "shapley"])
def test_the_same_seed_gives_the_same_and_another_one_something_else(name):
    explain = EXPLAINERS[name]
    first = explain(pair, 0)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - to show that it does not matter
    assert (explain(pair, 0) == first).all()
    assert any((explain(pair, seed) != first).any() for seed in (1, 2, 3))


@pytest.mark.parametrize("explain", EXPLAINERS.values(), ids=EXPLAINERS)
def test_random_numbers_of_others_go_on_as_if_nothing_had_been_explained(explain):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    explain(linear, 0)
    assert torch.equal(torch.rand(3), expected)
