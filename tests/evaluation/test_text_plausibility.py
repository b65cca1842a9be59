"""Agreement of word scores with people, by hand counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_anchornet.evaluation.text_plausibility import (
    ScoredText,
    check_spans,
    choose_rationale,
    list_runs,
    score_text_plausibility,
    smooth_scores,
)
from hf_anchornet.model.text_words import Words

TEXT = "the good film was not bad"


def scored(text, scores, spans):
    return ScoredText(Words.split(text), np.array(scores, dtype=float), spans)


def test_all_scores_of_two_texts_are_those_of_a_hand_count():
    texts = [
        scored(TEXT, [0, 4, 0, 0, 1, 1], [(4, 8)]),  # good
        scored(TEXT, [3, 0, 2, 0, 0, 1], [(9, 17)]),  # film was
        scored(TEXT, [9, 9, 9, 9, 9, 9], []),  # nobody marked anything: left out
    ]
    scores = score_text_plausibility(texts, smoothing=0.0, mass=0.5)
    assert scores["num_documents"] == 2
    assert scores["pointing"] == 1 / 2
    # Text 2: film is second, was ties with all that have 0: found with the last of 6.
    second = (1 / 2 * 1 / 2) + (2 / 6 * 1 / 2)
    assert scores["token_auprc"] == pytest.approx((1 + second) / 2)
    assert scores["raw_token_auprc"] == scores["token_auprc"]
    # Half of 6 are 3: good alone in text 1, the alone in text 2.
    assert scores["token_f1"] == 1 / 2
    assert scores["span_iou_f1"] == pytest.approx(1 / 2)
    assert scores["character_f1"] == 1 / 2
    assert scores["span_jaccard"] == 1 / 2
    assert scores["marked_share"] == pytest.approx((1 / 6 + 2 / 6) / 2)
    assert scores["chosen_share"] == pytest.approx(1 / 6)
    # All positive scores: good, not, bad and the, film, bad.
    whole = scores["by_mass"]["1.0"]
    assert whole["token_precision"] == pytest.approx(1 / 3)
    assert whole["token_f1"] == pytest.approx((2 / 4 + 2 / 5) / 2)


def test_smoothing_lifts_the_neighbours_of_the_best_word():
    text = scored(TEXT, [0, 4, 0, 0, 0, 1], [(0, 13)])  # the good film
    plain, smooth = (score_text_plausibility([text], width, 0.5) for width in (0.0, 1.0))
    assert plain["token_auprc"] < 1
    assert smooth["token_auprc"] == pytest.approx(1)
    assert smooth["raw_token_auprc"] == plain["token_auprc"]


def test_smoothing_keeps_the_sum_but_for_the_ends():
    scores = np.zeros(41)
    scores[20] = 3.0
    smooth = smooth_scores(scores, 2.0)
    assert smooth.sum() == pytest.approx(3.0)
    assert smooth.argmax() == 20
    assert smooth[18] == pytest.approx(smooth[22])
    assert smooth_scores(np.zeros(0), 2.0).shape == (0,)


@given(st.lists(st.floats(-10, 10, allow_subnormal=False), max_size=20), st.floats(0.01, 1))
def test_a_rationale_is_the_fewest_words_that_hold_the_mass(values, mass):
    scores = np.array(values, dtype=float)
    chosen = choose_rationale(scores, mass)
    assert not chosen[scores <= 0].any()
    total = scores.clip(min=0).sum()
    assert scores[chosen].sum() >= mass * total * (1 - 1e-6)
    if chosen.any():
        # Without its least word it would hold less.
        assert scores[chosen].sum() - scores[chosen].min() < mass * total
        assert scores[chosen].min() >= max(scores[~chosen], default=-np.inf)


def test_runs_are_words_in_a_row():
    assert list_runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert list_runs(np.zeros(3, dtype=bool)) == []


def test_human_spans_are_joined_where_they_overlap_and_sorted():
    assert check_spans([[9, 13], [0, 5], [4, 8]], TEXT, "`spans` in row 3") == [(0, 8), (9, 13)]
    assert check_spans([], TEXT, "`spans` in row 3") == []


@pytest.mark.parametrize(
    "span", [[4, 4], [8, 4], [-1, 4], [20, 26], [1.5, 4], [1], [1, 2, 3], [None, 3]]
)
def test_a_span_outside_the_text_reversed_or_empty_is_refused(span):
    with pytest.raises(ValueError, match=r"`spans` in row 3 must hold spans \[start, end\) .* got"):
        check_spans([[0, 3], span], TEXT, "`spans` in row 3")


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="`predictions` must be finite, got nan in document 0"):
        score_text_plausibility([scored(TEXT, [np.nan] * 6, [(0, 3)])], 0.0, 0.5)


def test_texts_without_any_mark_are_refused():
    with pytest.raises(ValueError, match="`references` must hold a marked word"):
        score_text_plausibility([scored(TEXT, [1] * 6, [])], 0.0, 0.5)


def test_the_jaccard_index_takes_what_stands_between_blanks():
    text = "so, I love!! it"
    found = score_text_plausibility([scored(text, [0, 0, 0, 2, 0, 0, 0], [(6, 12)])], 0.0, 0.5)
    assert found["span_jaccard"] == 1.0
    assert found["character_f1"] < 1.0


@pytest.mark.parametrize("spans", [[0, 3], "[[0, 3]]", {"start": [0]}, [{"start": 0}], [[[0, 3]]]])
def test_spans_of_another_shape_are_refused_with_their_row(spans):
    with pytest.raises(ValueError, match="`spans` in row 3 must hold "):
        check_spans(spans, TEXT, "`spans` in row 3")
