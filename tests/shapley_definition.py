"""Shapley values by their definition, for tests."""

from itertools import permutations

import numpy as np


def average_over_orders(worth, num_parts):
    """The definition of Shapley values, from the worth of a set of parts."""
    values, orders = np.zeros(num_parts), list(permutations(range(num_parts)))
    for order in orders:
        for place, part in enumerate(order):
            before = frozenset(order[:place])
            values[part] += worth(before | {part}) - worth(before)
    return values / len(orders)
