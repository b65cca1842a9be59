"""The best set of non-overlapping spans under a token budget."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .text_words import Span

MAX_CELLS = 2**24
"""Most spans times budget in `select_best_spans` (128 MB); beyond, the densest spans are kept."""


def select_best_spans(
    spans: Sequence[Span],
    values: NDArray[np.float64],
    costs: NDArray[np.int64],
    budget: int,
) -> list[Span]:
    """The non-overlapping spans of the largest total value that cost at most `budget`.

    Exact, by dynamic programming over the budget (weighted interval scheduling with costs);
    every step handles all spans at once. If `MAX_CELLS` does not allow all spans, those of the
    largest value per token are considered.

    Args:
        spans: Candidate ranges of words.
        values: (words,), value of each word; the value of a span is their sum, if positive.
        costs: (words,), int64, tokens of each word.
        budget: Tokens to spend.

    Returns:
        The selected spans in reading order, merged where they touch.

    Raises:
        ValueError: if a value is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError(
            "`values` must be finite, got NaN or infinity; the model's weights or its input hold "
            "one."
        )
    budget = min(budget, int(np.maximum(costs, 1).sum()))  # the whole text costs no more
    if not spans or budget < 1:
        return []
    bounds = np.array(spans, dtype=np.int64)  # (spans, 2)
    worth = _sum_spans(values, bounds)
    price = np.maximum(_sum_spans(costs, bounds), 1)
    usable = (worth > 0) & (price <= budget)
    density = np.where(usable, worth / price, -np.inf)
    usable[np.argsort(-density, kind="stable")[MAX_CELLS // (budget + 1) :]] = False
    bounds, worth, price = bounds[usable], worth[usable], price[usable]
    order = np.argsort(bounds[:, 1], kind="stable")
    bounds, worth, price = bounds[order], worth[order], price[order]
    before = np.searchsorted(bounds[:, 1], bounds[:, 0], side="right")  # spans that end earlier
    best = _fill_table(worth, price, before, budget)
    return merge_spans(_trace_back(best, bounds, price, before))


def _fill_table(
    worth: NDArray[np.float64], price: NDArray[np.int64], before: NDArray[np.int64], budget: int
) -> NDArray[np.float64]:
    """The largest value of the first spans at each cost: (1 + budget, 1 + spans).

    Args:
        worth: (spans,), positive.
        price: (spans,), int64, in [1, budget].
        before: (spans,), int64, how many spans end where each one starts, or earlier.
        budget: Tokens to spend.
    """
    count, most = len(worth), int(price.max(initial=0))
    # The rows before that of cost 0 stand for negative costs, which no choice reaches.
    table = np.full((most + budget + 1, count + 1), -np.inf)
    best = table[most:]
    best[0] = 0
    cells, row = table.ravel(), np.zeros(count + 1)
    source = (most - price) * (count + 1) + before  # the cell of the cost that remains
    for spent in range(1, budget + 1):
        source += count + 1
        np.take(cells, source, out=row[1:])
        row[1:] += worth
        np.maximum.accumulate(row, out=best[spent])
    return best


def _sum_spans(values: NDArray[Any], bounds: NDArray[np.int64]) -> NDArray[Any]:
    sums: NDArray[Any] = np.concatenate([np.zeros(1, dtype=values.dtype), np.cumsum(values)])
    totals: NDArray[Any] = sums[bounds[:, 1]] - sums[bounds[:, 0]]
    return totals


def _trace_back(
    best: NDArray[np.float64],
    bounds: NDArray[np.int64],
    price: NDArray[np.int64],
    before: NDArray[np.int64],
) -> list[Span]:
    """The spans that make up `best[-1, -1]`, in reading order."""
    chosen: list[Span] = []
    left, count = best.shape[0] - 1, best.shape[1] - 1
    while best[left, count] > 0:
        # Values rise with the number of spans allowed: the first maximum marks the last span taken.
        index = int(np.searchsorted(best[left, : count + 1], best[left, count])) - 1
        chosen.append((int(bounds[index, 0]), int(bounds[index, 1])))
        left, count = left - int(price[index]), int(before[index])
    return chosen[::-1]


def merge_spans(spans: Sequence[Span]) -> list[Span]:
    """Spans in reading order, joined where they touch or overlap."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
