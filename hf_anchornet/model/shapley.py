"""Shapley values of the parts of an input: exact for few parts, by sampled orders for many."""

from collections.abc import Callable
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Coalitions = NDArray[np.bool_]
"""(coalitions, parts), bool, True = the part is present."""

Game = Callable[[Coalitions], NDArray[np.float64]]
"""From coalitions to their worth, (coalitions,): what a model says if only these are present."""

EXACT_PARTS = 10
"""The most parts for which all coalitions are asked: 1,024."""

MOST_COALITIONS = 2**EXACT_PARTS
"""The most coalitions asked; beyond 256 parts, those of the four orders that are always drawn."""


class ShapleyValues(NamedTuple):
    """How much each part adds to the worth of all parts.

    Attributes:
        values: (parts,), float64; they sum to `total - base`.
        base: Worth of the empty coalition.
        total: Worth of all parts.
        error: Largest standard error of a value; 0 if the values are exact.
        coalitions: (coalitions, parts), bool, those that were asked, each once.
        worths: (coalitions,), float64.
    """

    values: NDArray[np.float64]
    base: float
    total: float
    error: float
    coalitions: Coalitions
    worths: NDArray[np.float64]


def share_out(game: Game, num_parts: int, seed: int = 0) -> ShapleyValues:
    """The Shapley values of a game (Shapley 1953), the same for the same game and seed.

    The value of a part is what it adds to those before it, averaged over all orders of the parts.
    Up to `EXACT_PARTS` parts, all coalitions are asked. Above, orders are drawn in pairs, one the
    reverse of the other (antithetic, see Mitchell et al. 2022, arXiv 2104.12199), and the error is
    stated. Either way the values sum to `total - base` but for rounding, because those of each
    order do. Parts that add the same to every coalition have the same value where it is exact.

    Args:
        game: The game. It is called once.
        num_parts: Number of parts; without any, `base` is `total`.
        seed: Seed of the sampled orders.

    Raises:
        ValueError: if a worth is missing or not finite.
    """
    if num_parts <= EXACT_PARTS:
        return _share_exactly(game, num_parts)
    return _share_by_orders(game, num_parts, seed)


def list_coalitions(num_parts: int) -> Coalitions:
    """All coalitions, in the order of the binary numbers whose lowest digit is part 0."""
    numbers = np.arange(2**num_parts)[:, None]
    present: Coalitions = (numbers >> np.arange(num_parts)) & 1 == 1
    return present


def _share_exactly(game: Game, num_parts: int) -> ShapleyValues:
    coalitions = list_coalitions(num_parts)
    worths = _ask(game, coalitions)
    numbers, sizes = np.arange(len(coalitions)), coalitions.sum(axis=1)
    # Orders in which exactly this coalition comes before a given part, out of all.
    weights = np.array(
        [
            factorial(size) * factorial(num_parts - 1 - size) / factorial(num_parts)
            for size in range(num_parts)
        ]
    )
    values = np.zeros(num_parts)
    for part in range(num_parts):
        without = numbers[~coalitions[:, part]]
        gains = worths[without | 1 << part] - worths[without]
        values[part] = weights[sizes[without]] @ gains
    return ShapleyValues(values, float(worths[0]), float(worths[-1]), 0.0, coalitions, worths)


def _share_by_orders(game: Game, num_parts: int, seed: int) -> ShapleyValues:
    generator = np.random.default_rng(seed)
    num_pairs = max(2, MOST_COALITIONS // (2 * num_parts))
    pairs = np.stack([generator.permutation(num_parts) for _ in range(num_pairs)])
    orders = np.stack([pairs, pairs[:, ::-1]], axis=1)  # (pairs, 2, parts)
    ranks = np.argsort(orders, axis=-1)  # the place of each part
    steps = np.arange(num_parts + 1)
    # The parts before each place: (pairs, 2, places, parts)
    before = ranks[:, :, None, :] < steps[:, None]
    coalitions, found = np.unique(before.reshape(-1, num_parts), axis=0, return_inverse=True)
    worths = _ask(game, coalitions)
    gains = np.diff(worths[found.reshape(before.shape[:3])], axis=-1)  # by place
    by_part = np.take_along_axis(gains, ranks, axis=-1).mean(axis=1)  # (pairs, parts)
    error = by_part.std(axis=0, ddof=1).max() / np.sqrt(num_pairs)
    # `unique` sorts, so the empty coalition is the first and that of all parts the last.
    base, total = float(worths[0]), float(worths[-1])
    return ShapleyValues(by_part.mean(axis=0), base, total, float(error), coalitions, worths)


def _ask(game: Game, coalitions: Coalitions) -> NDArray[np.float64]:
    worths = np.asarray(game(coalitions), dtype=np.float64)
    if worths.shape != (len(coalitions),) or not np.isfinite(worths).all():
        raise ValueError(
            f"`game` must give one finite number for each of {len(coalitions)} coalitions, got "
            f"{worths[~np.isfinite(worths)][:1].tolist() or f'an array of shape {worths.shape}'}; "
            "the model's weights, its input or its output hold the fault."
        )
    return worths
