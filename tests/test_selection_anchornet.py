"""Ranked patches, spans under a budget, controls: against brute force on small cases."""

import itertools
import random
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hf_anchornet import selection_anchornet
from hf_anchornet.geometry_anchornet import LocatedText, Window
from hf_anchornet.selection_anchornet import (
    attribute_tokens,
    center_evidence,
    keep_apart,
    locate_texts,
    merge_spans,
    select_best_spans,
    select_head,
    select_head_and_tail,
    select_random_spans,
    select_top_patches,
    select_top_windows,
    show_best_spans,
    show_top_spans,
)

# Top patches


def random_patches(axes, batch=3, patches=12):
    scores = torch.randn(batch, patches)
    scores[0, ::4] = -torch.inf
    lows = torch.randint(0, 6, (batch, patches, axes))
    return scores, lows, lows + torch.randint(1, 6, (batch, patches, axes))


def iou(low, high, other_low, other_high):
    overlap = (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0)
    shared = int(overlap.prod())
    return shared / (int((high - low).prod()) + int((other_high - other_low).prod()) - shared)


def greedy(scores, lows, highs, limits):
    chosen = []
    for limit in limits:
        free = [
            patch
            for patch in range(len(scores))
            if scores[patch] > -torch.inf
            and patch not in chosen
            and all(
                iou(lows[patch], highs[patch], lows[other], highs[other]) <= limit
                for other in chosen
                if other is not None
            )
        ]
        chosen.append(max(free, key=lambda patch: float(scores[patch])) if free else None)
    return chosen


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize(
    "limits", [[0.0] * 5, [0.3] * 5, [1.0] * 14, [0.0, 0.1, 0.2, 0.5, 1.0], [0, 0, 0, 0, 0, 0, 1]]
)
@pytest.mark.parametrize("seed", range(4))
def test_top_patches_are_those_of_a_greedy_search(axes, limits, seed):
    torch.manual_seed(seed)
    scores, lows, highs = random_patches(axes)
    index, filled = select_top_patches(scores, lows, highs, len(limits), limits)
    for row in range(len(scores)):
        expected = greedy(scores[row], lows[row], highs[row], limits)
        got = zip(index[row].tolist(), filled[row].tolist(), strict=True)
        assert [patch if found else None for patch, found in got] == expected


def test_a_batch_of_patches_is_selected_as_one_by_one():
    scores, lows, highs = random_patches(2, batch=6)
    together = select_top_patches(scores, lows, highs, 4, 0.2)
    for row in range(6):
        one = slice(row, row + 1)
        alone = select_top_patches(scores[one], lows[one], highs[one], 4, 0.2)
        assert_close(together[0][one], alone[0])
        assert_close(together[1][one], alone[1])


def test_an_overlap_of_exactly_the_limit_is_allowed():
    lows, highs = torch.tensor([[[0], [1]]]), torch.tensor([[[2], [3]]])
    scores = torch.tensor([[2.0, 1.0]], dtype=torch.float64)
    assert select_top_patches(scores, lows, highs, 2, 1 / 3)[1].tolist() == [[True, True]]
    assert select_top_patches(scores, lows, highs, 2, 0.33)[1].tolist() == [[True, False]]


def test_a_hundred_thousand_patches_are_ranked_fast():
    lows = torch.arange(100_000)[None, :, None]
    start = time.perf_counter()
    select_top_patches(torch.randn(1, 100_000), lows, lows + 9, 5, 0.0)
    assert time.perf_counter() - start < 1


def test_a_rank_beyond_the_last_patch_is_empty_and_costs_nothing():
    lows = torch.zeros(1, 2, 1, dtype=torch.long)
    _, filled = select_top_patches(torch.ones(1, 2), lows, lows + 1, 10**6, 1.0)
    assert filled.sum() == 2


@pytest.mark.parametrize("top_k", [0, -1, 1.5, True, None, "3"])
def test_a_bad_top_k_is_refused(top_k):
    lows = torch.zeros(1, 2, 1, dtype=torch.long)
    with pytest.raises(ValueError, match="`top_k` must be a whole number of at least 1, got"):
        select_top_patches(torch.ones(1, 2), lows, lows + 1, top_k)


@pytest.mark.parametrize("limit", [-0.1, 1.1, float("nan"), [0.1], [0.1, 2.0], "no", [None, 0.1]])
def test_a_bad_iou_threshold_is_refused(limit):
    lows = torch.zeros(1, 2, 1, dtype=torch.long)
    with pytest.raises(ValueError, match=r"`iou_threshold` must be a number in \[0, 1\]"):
        select_top_patches(torch.ones(1, 2), lows, lows + 1, 2, limit)


# Top windows


def test_top_windows_cross_branches_and_are_clipped_to_the_text():
    windows = [Window(1, 1), Window(3, 1)]
    evidence = [torch.zeros(1, 3, 2), torch.zeros(1, 1, 2)]
    evidence[0][0, 2, 1], evidence[1][0, 0, 1] = 1.0, 2.0
    evidence[0][0, 0, 1] = -5.0
    labels = torch.tensor([[1, 0]])
    bounds, sizes = select_top_windows(evidence, windows, torch.tensor([2]), labels, 3, 1.0)
    assert bounds[0, 0].tolist() == [[0, 2], [2, 2], [-1, -1]]
    assert sizes[0, 0, :2].tolist() == [3, 1]
    assert (bounds[0, 1] == -1).all()  # nothing speaks for label 0


def test_centred_evidence_sums_to_zero_over_the_classes():
    evidence = torch.randn(2, 5, 3)
    assert_close(center_evidence(evidence).sum(dim=-1), torch.zeros(2, 5), rtol=0, atol=1e-6)
    differences = center_evidence(evidence).diff(dim=-1)
    assert_close(differences, evidence.diff(dim=-1), rtol=0, atol=1e-6)


def test_attribution_adds_up_over_branches():
    windows, lengths = [Window(1, 1), Window(3, 1)], torch.tensor([4])
    evidence = [torch.randn(1, 4, 2), torch.randn(1, 2, 2)]
    attribution = attribute_tokens(evidence, windows, lengths, 4)
    total = sum(branch.double().sum(dim=1) for branch in evidence)
    assert_close(attribution.sum(dim=1), total, rtol=0, atol=1e-12)


# Shown spans


def locate(text, values):
    """A text of blank-separated words, a token each, with one branch of one-token windows."""
    offsets, start = [], 0
    for word in text.split(" "):
        offsets.append((start, start + len(word)))
        start += len(word) + 1
    evidence = torch.tensor(values)[None, :, None] * torch.tensor([-1.0, 1.0])
    return locate_texts([text], [offsets], [evidence], [Window(1, 1)]), [evidence]


def test_shown_spans_are_the_best_windows_first():
    located, evidence = locate("a b c d", [0.1, -3.0, 2.0, 1.0])
    (spans,) = show_top_spans(located, evidence, [Window(1, 1)], torch.tensor([[1]]), 2)
    assert [(s.first, s.last, s.label, s.scale) for s in spans] == [(2, 3, 1, 1), (3, 4, 1, 1)]


def test_shown_spans_explain_each_label_in_turn():
    located, evidence = locate("a b c d", [0.1, -3.0, 2.0, 1.0])
    (spans,) = show_top_spans(located, evidence, [Window(1, 1)], torch.tensor([[1, 0]]), 1)
    assert [(s.first, s.label) for s in spans] == [(2, 1), (1, 0)]


def test_the_best_set_is_shown_in_reading_order_with_its_tokens_as_scale():
    (located,), _ = locate("a b c d", [2.0, -3.0, 1.0, 3.0])
    spans = show_best_spans(located, [1], 3, [1])
    assert [tuple(span) for span in spans] == [(0, 1, 1, 1), (2, 4, 1, 2)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), max_size=8))
def test_spans_kept_apart_share_no_word_and_lie_inside_their_originals(pairs):
    spans = [(first, min(first + size, 10)) for first, size in pairs]
    kept = keep_apart(spans, 10)
    assert len(kept) == len(spans)
    owners = np.zeros(10, dtype=int)
    for (first, last), part in zip(spans, kept, strict=True):
        if part is None:
            assert owners[first:last].all()
        else:
            assert first <= part[0] < part[1] <= last
            owners[slice(*part)] += 1
    assert owners.max() <= 1


def test_the_better_span_keeps_a_shared_word():
    assert keep_apart([(2, 4), (3, 6), (2, 3), (0, 6)], 8) == [(2, 4), (4, 6), None, (0, 2)]


def test_a_span_around_a_better_one_keeps_its_longer_side():
    assert keep_apart([(1, 2), (0, 6), (0, 2)], 6) == [(1, 2), (2, 6), (0, 1)]


# Spans under a budget


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
    monkeypatch.setattr(selection_anchornet, "MAX_CELLS", 8)
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


def test_located_texts_know_their_tokens_words_and_attribution():
    (located,), _ = locate("a bc", [1.0, 2.0])
    assert isinstance(located, LocatedText)
    assert located.starts.tolist() == [0, 2]
    assert located.attribution.tolist() == [[-1.0, 1.0], [-2.0, 2.0]]
