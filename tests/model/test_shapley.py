"""Shapley values against the definition by all orders, and the axioms that define them."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hf_anchornet.model.shapley import EXACT_PARTS, MOST_COALITIONS, list_coalitions, share_out


def play_random(num_parts, seed=0):
    """A game with an independent random worth for each coalition."""
    worths = np.random.default_rng(seed).normal(size=2**num_parts)
    return lambda present: worths[present @ (1 << np.arange(num_parts))]


def play_curved(num_parts):
    """A game whose worth depends on the sum of the parts' strengths, not linearly."""
    strengths = np.random.default_rng(1).normal(size=num_parts)
    return lambda present: np.tanh(present @ strengths)


def average_over_orders(game, num_parts):
    """The definition: what each part adds to those before it, averaged over all orders."""
    values, orders = np.zeros(num_parts), list(permutations(range(num_parts)))
    for order in orders:
        present = np.zeros((num_parts + 1, num_parts), dtype=bool)
        for place, part in enumerate(order):
            present[place + 1 :, part] = True
        values[list(order)] += np.diff(game(present))
    return values / len(orders)


@pytest.mark.parametrize("num_parts", [1, 2, 3, 6])
def test_values_are_the_mean_gain_over_all_orders(num_parts):
    game = play_random(num_parts)
    found = share_out(game, num_parts)
    assert_allclose(found.values, average_over_orders(game, num_parts), rtol=0, atol=1e-12)
    assert found.error == 0.0


@pytest.mark.parametrize("num_parts", [1, 5, EXACT_PARTS, EXACT_PARTS + 1, 40])
def test_base_and_values_sum_to_the_total(num_parts):
    found = share_out(play_curved(num_parts), num_parts)
    assert found.base == 0.0
    assert found.base + found.values.sum() == pytest.approx(found.total, abs=1e-12)


@pytest.mark.parametrize("num_parts", [4, 15])
def test_a_linear_game_gives_each_part_its_own_worth(num_parts):
    own = np.arange(num_parts) - 2.5
    found = share_out(lambda present: 7 + present @ own, num_parts)
    assert_allclose(found.values, own, rtol=0, atol=1e-12)
    assert (found.base, found.error) == (7.0, pytest.approx(0, abs=1e-12))


def test_parts_that_do_the_same_have_the_same_value():
    found = share_out(lambda present: (present.sum(axis=1) >= 2) * 1.0, 5)
    assert_allclose(found.values, np.full(5, 0.2), rtol=0, atol=1e-12)


def test_a_part_that_adds_nothing_has_the_value_0():
    found = share_out(lambda present: (present[:, 0] & present[:, 2]) * 1.0, 3)
    assert found.values.tolist() == [0.5, 0.0, 0.5]


def test_sampled_values_are_near_the_exact_ones_as_the_error_states():
    def game(present):
        present = present[:, :11]
        return np.tanh(present @ np.linspace(-1, 1, 11)) + present[:, 0] * present[:, 10]

    exact = average_by_size(game, 11)
    found = share_out(game, 11)
    assert 0 < found.error < 0.05
    assert np.abs(found.values - exact).max() < 4 * found.error


def average_by_size(game, num_parts):
    """Exact values of any number of parts, by the same formula written part by part."""
    coalitions = list_coalitions(num_parts)
    worths, values = game(coalitions), np.zeros(num_parts)
    for part in range(num_parts):
        for size in range(num_parts):
            chosen = (coalitions.sum(axis=1) == size) & ~coalitions[:, part]
            joined = np.flatnonzero(chosen) + (1 << part)
            values[part] += (worths[joined] - worths[chosen]).mean() / num_parts
    return values


@pytest.mark.parametrize("num_parts", [3, 12])
def test_the_same_game_has_the_same_values_to_the_last_bit(num_parts):
    one, other = (share_out(play_curved(num_parts), num_parts) for _ in range(2))
    assert (one.values == other.values).all()
    assert (one.coalitions == other.coalitions).all()


def test_another_seed_draws_other_orders():
    game = play_curved(12)
    assert (share_out(game, 12).values != share_out(game, 12, seed=1).values).any()


@pytest.mark.parametrize("num_parts", [EXACT_PARTS, 11, 100])
def test_a_game_is_asked_once_about_different_coalitions_and_not_too_many(num_parts):
    asked = []
    share_out(lambda present: asked.append(present) or present.sum(axis=1) * 1.0, num_parts)
    (coalitions,) = asked
    assert len(np.unique(coalitions, axis=0)) == len(coalitions) <= MOST_COALITIONS


def test_without_parts_the_total_is_the_base():
    found = share_out(lambda present: np.full(len(present), 3.0), 0)
    assert found.values.shape == (0,)
    assert found.base == found.total == 3.0


@pytest.mark.parametrize(
    ("worths", "told"),
    [
        (lambda present: np.full(len(present), np.nan), "nan"),
        (lambda present: np.zeros((len(present), 2)), r"an array of shape \(8, 2\)"),
        (lambda present: np.zeros(3), r"an array of shape \(3,\)"),
    ],
)
def test_a_game_that_gives_no_finite_number_is_refused(worths, told):
    with pytest.raises(ValueError, match=f"`game` must give one finite number.*{told}"):
        share_out(worths, 3)
