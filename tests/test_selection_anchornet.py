"""Attribution, ranked patches, the spans to show: against brute force on small cases."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hf_anchornet.geometry_anchornet import LocatedText, Window, center_evidence
from hf_anchornet.selection_anchornet import (
    attribute_tokens,
    keep_apart,
    locate_texts,
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


def test_located_texts_know_their_tokens_words_and_attribution():
    (located,), _ = locate("a bc", [1.0, 2.0])
    assert isinstance(located, LocatedText)
    assert located.starts.tolist() == [0, 2]
    assert located.attribution.tolist() == [[-1.0, 1.0], [-2.0, 2.0]]
