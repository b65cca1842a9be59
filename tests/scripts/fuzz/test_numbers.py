"""The slow arithmetic that fuzzing checks against, and that it notices what is wrong."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_anchornet.model.geometry import Window, receptive_windows, spread_evidence
from scripts.fuzz import numbers as fuzz_numbers
from scripts.fuzz.numbers import ROWS, check_boxes, check_geometry, check_selection, follow_ranks

SEEDS = st.binary(max_size=8)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SEEDS)
def test_windows_and_attribution_are_right_for_any_layers(data):
    assert check_geometry(data) > ROWS


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SEEDS)
def test_ranked_patches_and_sets_of_spans_are_the_best_for_any_scores(data):
    assert check_selection(data) > ROWS


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SEEDS)
def test_boxes_are_right_for_any_evidence_and_size(data):
    assert check_boxes(data) > ROWS


def widen(windows):
    return tuple(Window(window.size + (window.size > 1), window.stride) for window in windows)


def drop_last_row(boxes, *sizes):
    return [(x0, y0, x1, max(y0, y1 - 1)) for x0, y0, x1, y1 in fuzz_numbers_restore(boxes, *sizes)]


fuzz_numbers_restore = fuzz_numbers.restore_boxes
WRONG = {
    "receptive_windows": (check_geometry, lambda *layers: widen(receptive_windows(*layers))),
    "spread_evidence": (check_geometry, lambda *given: spread_evidence(*given) * 1.001),
    "select_best_spans": (check_selection, lambda *_: []),
    "select_top_patches": (
        check_selection,
        lambda scores, _low, _high, top_k, _limit: (
            torch.arange(top_k).expand(len(scores), -1) % scores.shape[1],
            torch.ones(len(scores), top_k, dtype=torch.bool),
        ),
    ),
    "restore_boxes": (check_boxes, drop_last_row),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_noticed(monkeypatch, name):
    check, wrong = WRONG[name]
    monkeypatch.setattr(fuzz_numbers, name, wrong)

    def try_all():
        for seed in range(20):
            check(bytes([seed]))

    with pytest.raises(AssertionError, match=r"^"):
        try_all()


def test_a_rank_that_leaves_a_better_patch_out_is_noticed():
    scores = np.array([[3.0, 2.0, 1.0]])
    lows = np.array([[[0], [1], [5]]])
    follow = follow_ranks(scores, lows, lows + 2, np.array([0.0, 0.0]))
    filled = np.ones((1, 2), dtype=bool)
    follow(np.array([[0, 2]]), filled)
    with pytest.raises(AssertionError, match="a better patch was left out"):
        follow(np.array([[2, 0]]), filled)
    with pytest.raises(AssertionError, match="a better patch was left out"):
        follow(np.array([[0, 1]]), filled)  # overlaps the first
    with pytest.raises(AssertionError, match="a rank is empty while a patch is free"):
        follow(np.array([[0, 0]]), np.array([[True, False]]))
