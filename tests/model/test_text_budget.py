"""Spans under a budget, and the controls: against brute force on small cases."""

import itertools
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_anchornet.evaluation.text_controls import (
    select_head,
    select_head_and_tail,
    select_random_spans,
    select_ranked_spans,
)
from hf_anchornet.model import text_budget as budget_anchornet
from hf_anchornet.model.text_budget import merge_spans, select_best_spans


def brute_force(spans, values, costs, budget):
    best = 0.0
    for size in range(len(spans) + 1):
        for chosen in itertools.combinations(spans, size):
            apart = all(a[1] <= b[0] for a, b in itertools.pairwise(sorted(chosen)))
            worth = [values[first:last].sum() for first, last in chosen]
            price = sum(max(1, costs[first:last].sum()) for first, last in chosen)
            if apart and price <= budget and all(w > 0 for w in worth):
                best = max(best, sum(worth))
    return best


def random_case(draw, num_words=8, num_spans=9):
    values = np.array([draw.uniform(-1, 2) for _ in range(num_words)])
    costs = np.array([draw.randint(0, 4) for _ in range(num_words)])
    spans = set()
    while len(spans) < num_spans:
        first = draw.randrange(num_words)
        spans.add((first, draw.randint(first + 1, num_words)))
    return sorted(spans), values, costs


@pytest.mark.parametrize("seed", range(40))
def test_the_best_spans_are_the_best_of_all_subsets(seed):
    draw = random.Random(seed)
    spans, values, costs = random_case(draw)
    budget = draw.randint(0, 14)
    chosen = select_best_spans(spans, values, costs, budget)
    worth = sum(values[first:last].sum() for first, last in chosen)
    assert worth == pytest.approx(brute_force(spans, values, costs, budget), abs=1e-9)
    assert sum(costs[first:last].sum() for first, last in chosen) <= budget
    assert all(a[1] < b[0] for a, b in itertools.pairwise(chosen))  # in order, merged


def test_a_budget_beyond_the_text_takes_all_that_helps():
    values, costs = np.array([1.0, -1.0, 2.0]), np.array([1, 1, 1])
    spans = [(0, 1), (1, 2), (2, 3)]
    assert select_best_spans(spans, values, costs, 10**9) == [(0, 1), (2, 3)]


def test_of_too_many_spans_the_densest_are_weighed(monkeypatch):
    monkeypatch.setattr(budget_anchornet, "MAX_CELLS", 8)
    values, costs = np.array([1.0, 5.0, 3.0, 0.1]), np.ones(4, dtype=int)
    spans = [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert select_best_spans(spans, values, costs, 3) == [(1, 3)]  # two of four are weighed


def test_spans_of_a_long_text_are_selected_fast():
    draw = np.random.default_rng(0)
    values, costs = draw.normal(size=20_000), np.ones(20_000, dtype=int)
    spans = [(i, i + n) for n in (1, 3, 9) for i in range(20_000 - n)]
    start = time.perf_counter()
    chosen = select_best_spans(spans, values, costs, 62)
    assert time.perf_counter() - start < 3
    assert sum(last - first for first, last in chosen) == 62


@pytest.mark.parametrize(("spans", "budget"), [([], 9), ([(0, 1)], 0), ([(0, 1)], -3)])
def test_no_spans_or_no_budget_selects_nothing(spans, budget):
    assert select_best_spans(spans, np.ones(1), np.ones(1, dtype=int), budget) == []


def test_spans_are_merged_where_they_touch_or_overlap():
    assert merge_spans([(5, 6), (0, 2), (2, 3), (5, 8), (9, 10)]) == [(0, 3), (5, 8), (9, 10)]
    assert merge_spans([]) == []


# Controls


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 30), st.integers(0, 3))
def test_every_control_keeps_the_budget_and_the_reading_order(costs, budget, seed):
    costs = np.array(costs, dtype=np.int64)
    spans = [(first, min(first + 3, len(costs))) for first in range(len(costs))]
    for chosen in (
        select_random_spans(spans, costs, budget, seed),
        select_head(costs, budget),
        select_head_and_tail(costs, budget),
    ):
        assert sum(int(costs[first:last].sum()) for first, last in chosen) <= budget
        assert all(first < last <= len(costs) for first, last in chosen)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(chosen))


@pytest.mark.parametrize("control", [select_head, select_head_and_tail])
def test_a_control_reads_everything_that_fits(control):
    costs = np.array([2, 1, 3, 1])
    assert control(costs, 7) == [(0, 4)]


def test_head_and_tail_share_the_budget():
    assert select_head_and_tail(np.ones(10, dtype=int), 5) == [(0, 2), (7, 10)]


def test_random_spans_differ_by_seed_and_fill_the_budget():
    costs, spans = np.ones(100, dtype=int), [(i, i + 2) for i in range(0, 100, 2)]
    draws = [select_random_spans(spans, costs, 10, seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert all(sum(last - first for first, last in draw) == 10 for draw in draws)


def test_ranked_spans_fill_the_budget_and_the_last_one_is_cut():
    costs = np.array([1, 2, 1, 1, 3, 1])
    ranked = [(3, 6), (0, 3)]
    assert select_ranked_spans(ranked, costs, 4) == [(3, 5)]
    assert select_ranked_spans(ranked, costs, 7) == [(0, 1), (3, 6)]
    assert select_ranked_spans(ranked, costs, 0) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="`values` must be finite, got NaN or infinity; the model"):
        select_best_spans([(0, 1)], np.array([value]), np.array([1]), 3)
