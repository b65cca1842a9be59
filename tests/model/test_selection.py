"""Ranked patches, against brute force on small cases."""

import time

import pytest
import torch
from torch.testing import assert_close

from hf_anchornet.model.geometry import Window
from hf_anchornet.model.selection import PatchPool, list_windows, round_scores, select_top_patches


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


@pytest.mark.parametrize("limits", [[0.0] * 5, [0.3] * 5, [0.3, 0.0, 0.5, 0.2, 0.4], [0.1]])
@pytest.mark.parametrize("seed", range(4))
def test_patches_that_all_rows_share_are_selected_as_those_of_each_row(limits, seed):
    torch.manual_seed(seed)
    scores, lows, highs = random_patches(2, batch=6)
    shared = select_top_patches(scores, lows[:1], highs[:1], len(limits), limits)
    own = [one[:1].expand(6, -1, -1) for one in (lows, highs)]
    assert all(map(torch.equal, shared, select_top_patches(scores, *own, len(limits), limits)))


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


def test_none_may_be_asked_for():
    lows = torch.zeros(3, 2, 1, dtype=torch.long)
    index, filled = select_top_patches(torch.ones(3, 2), lows, lows + 1, 0)
    assert index.shape == filled.shape == (3, 0)


@pytest.mark.parametrize("top_k", [-1, 1.5, True, None, "3"])
def test_a_bad_top_k_is_refused(top_k):
    lows = torch.zeros(1, 2, 1, dtype=torch.long)
    with pytest.raises(ValueError, match="`top_k` must be a whole number of at least 0, got"):
        select_top_patches(torch.ones(1, 2), lows, lows + 1, top_k)


@pytest.mark.parametrize("limit", [-0.1, 1.1, float("nan"), [0.1], [0.1, 2.0], "no", [None, 0.1]])
def test_a_bad_iou_threshold_is_refused(limit):
    lows = torch.zeros(1, 2, 1, dtype=torch.long)
    with pytest.raises(ValueError, match=r"`iou_threshold` must be a number in \[0, 1\]"):
        select_top_patches(torch.ones(1, 2), lows, lows + 1, 2, limit)


def test_a_score_that_is_no_number_is_refused():
    scores = torch.tensor([[1.0, float("nan")]])
    lows = torch.tensor([[[0], [3]]])
    with pytest.raises(ValueError, match="`scores` must be numbers or -inf, got NaN; the model"):
        select_top_patches(scores, lows, lows + 1, 1)


# Patches that come piece by piece


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("limits", [[0.0] * 3, [0.3] * 5, [0.0, 0.6, 0.1], [1.0]])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_pool_gives_what_all_patches_together_give(axes, limits, piece):
    windows = [Window(3, 1), Window(5, 2)]
    shapes = [(1, *[window.num_positions(19)] * axes, 1) for window in windows]
    evidence = [torch.randn(shape).round(decimals=1) for shape in shapes]  # some are alike
    lows, sizes = list_windows(windows, evidence)
    scores = torch.cat([branch.flatten() for branch in evidence])
    scores = scores.masked_fill(scores <= 0, -torch.inf)
    highs = lows + sizes[:, None]
    index, filled = select_top_patches(scores[None], lows[None], highs[None], len(limits), limits)
    pool = PatchPool(windows, axes, len(limits))
    branches = (sizes == 5).long()
    for patches in torch.randperm(len(scores)).split(piece):
        for branch in (0, 1):
            own = patches[branches[patches] == branch]
            pool.add(branch, scores[own], lows[own], scores[own])
    found, kept = pool.select(limits, [19] * axes)
    assert torch.equal(kept, filled[0])
    assert torch.equal(pool.starts[found[kept]], lows[index[filled]])
    assert torch.equal(pool.sizes[found[kept]], sizes[index[filled]])


def test_a_pool_keeps_few_patches_and_an_empty_one_gives_none():
    pool = PatchPool([Window(3, 1)], 1, 2)
    assert not pool.select(0.0, [9])[1].any()
    scores = torch.rand(1000) + 1
    pool.add(0, scores, torch.arange(1000)[:, None], scores)
    assert len(pool.scores) == pool.room == 2 + 5


def test_of_patches_alike_up_to_rounding_the_first_is_selected():
    scores = torch.tensor([[1.0, 1.0 + 1e-6, 1.0 - 1e-6, 0.9999]])
    lows = torch.arange(4)[None, :, None]
    index, _ = select_top_patches(round_scores(scores), lows, lows + 1, 4)
    assert index.tolist() == [[0, 1, 2, 3]]
    index, _ = select_top_patches(scores, lows, lows + 1, 4)
    assert index.tolist() == [[1, 0, 2, 3]]
