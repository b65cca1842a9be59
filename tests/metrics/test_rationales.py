"""Metrics of hard rationales: words, spans, characters and parts of a text."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from hf_anchornet.metrics.character_f1 import CharacterF1
from hf_anchornet.metrics.span_hit_rate import SpanHitRate
from hf_anchornet.metrics.span_iou_f1 import SpanIoUF1
from hf_anchornet.metrics.span_jaccard import SpanJaccard
from hf_anchornet.metrics.token_f1 import TokenF1

OF_SPANS = {"span_iou_f1": SpanIoUF1, "character_f1": CharacterF1}

of_spans = pytest.mark.parametrize(("name", "metric"), OF_SPANS.items())


def spans_of(mask):
    """The runs of ones of a mask, each `[start, end)`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]])))
    return edges.reshape(-1, 2).tolist()


def draw_masks(seed, share, count=60, size=30):
    rng = np.random.default_rng(seed)
    return (rng.random((count, size)) < share).astype(int)


def test_token_f1_equals_the_hand_sum():
    # Document 0: 1 of 2 chosen and 1 of 3 marked: F1 2 * 1 / 5. Document 1: all right: 1.
    # Document 2: nothing chosen: 0. Document 3: nothing marked: 0. Document 4: left out.
    result = TokenF1().compute(
        predictions=[[1, 1, 0, 0], [0, 1], [0, 0], [1, 0], [0, 0]],
        references=[[1, 0, 1, 1], [0, 1], [1, 1], [0, 0], [0, 0]],
    )
    assert result == {
        "token_f1": pytest.approx((2 / 5 + 1) / 4, abs=1e-12),
        "precision": pytest.approx((1 / 2 + 1) / 4, abs=1e-12),
        "recall": pytest.approx((1 / 3 + 1) / 4, abs=1e-12),
        # 2 words on both sides, 4 chosen, 6 marked.
        "micro_f1": pytest.approx(2 * 2 / 10, abs=1e-12),
        "micro_precision": pytest.approx(2 / 4, abs=1e-12),
        "micro_recall": pytest.approx(2 / 6, abs=1e-12),
        "num_documents": 4,
        "num_skipped": 1,
    }


@pytest.mark.parametrize("seed", range(3))
def test_token_f1_agrees_with_scikit_learn(seed):
    chosen, marked = draw_masks(seed, 0.1, size=12), draw_masks(seed + 10, 0.2, size=12)
    result = TokenF1().compute(predictions=chosen, references=marked)
    used = (chosen | marked).any(axis=1)
    assert result["num_skipped"] == (~used).sum() > 0
    for name, score in (("precision", precision_score), ("recall", recall_score)):
        by_document = [
            score(one, other, zero_division=0)
            for one, other in zip(marked[used], chosen[used], strict=True)
        ]
        assert result[name] == pytest.approx(np.mean(by_document), abs=1e-12)
        together = score(marked.ravel(), chosen.ravel())
        assert result[f"micro_{name}"] == pytest.approx(together, abs=1e-12)
    # scikit-learn's mean over samples is the same mean over documents.
    assert result["token_f1"] == pytest.approx(
        f1_score(marked[used], chosen[used], average="samples", zero_division=0), abs=1e-12
    )
    together = f1_score(marked.ravel(), chosen.ravel())
    assert result["micro_f1"] == pytest.approx(together, abs=1e-12)


def test_token_f1_is_zero_where_nothing_is_chosen():
    result = TokenF1().compute(predictions=[[0, 0]], references=[[0, 1]])
    assert (result["token_f1"], result["precision"], result["micro_f1"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([[1], [1, 0]], [[1], [1]], "got 2 and 1 in document 1"),
        ([[0.5, 1]], [[1, 0]], "`predictions` must be 0 or 1, got 0.5 in document 0"),
        ([[1]], [[None]], "`references` must be 0 or 1, got None in document 0"),
        ([[1, 0]], [[0, 0]], "got 1 documents without any; check the column of references"),
        ([], [], "got 0 documents without any"),
    ],
)
def test_token_f1_says_what_is_wrong_and_where(predictions, references, message):
    with pytest.raises(ValueError, match=message):
        TokenF1(keep_in_memory=True).compute(predictions=predictions, references=references)


def test_span_iou_f1_equals_the_hand_sum():
    # Document 0: [0, 4) on [0, 6) has IoU 4/6, a match; [8, 9) on [8, 12) has 1/4: 1 of 2 chosen,
    # 1 of 2 human spans. Document 1: [5, 9) on [3, 9), 4/6: 1 of 1 and 1 of 1.
    # Document 2: nothing chosen, counts for recall only. Document 3: nothing marked,
    # counts for precision only.
    result = SpanIoUF1().compute(
        predictions=[[[8, 9], [0, 4]], [[5, 9]], [], [[0, 1]], []],
        references=[[[0, 6], [8, 12]], [[3, 9]], [[0, 2]], [], []],
    )
    precision, recall = (1 / 2 + 1 + 0) / 3, (1 / 2 + 1 + 0) / 3
    assert result == {
        "span_iou_f1": pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12),
        "precision": pytest.approx(precision, abs=1e-12),
        "recall": pytest.approx(recall, abs=1e-12),
        "micro_f1": pytest.approx(2 / 4, abs=1e-12),  # 2 matches, 4 chosen, 4 human spans
        "micro_precision": pytest.approx(2 / 4, abs=1e-12),
        "micro_recall": pytest.approx(2 / 4, abs=1e-12),
        "num_documents": 4,
        "num_skipped": 1,
    }


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, 1.0), (0.51, 0.0)])
def test_a_span_matches_from_the_threshold_on(threshold, expected):
    result = SpanIoUF1().compute(
        predictions=[[[0, 2]]], references=[[[0, 4]]], iou_threshold=threshold
    )
    assert result["span_iou_f1"] == expected


def test_two_halves_of_one_human_span_do_not_make_its_recall_two():
    result = SpanIoUF1().compute(predictions=[[[0, 2], [2, 4]]], references=[[[0, 4]]])
    assert (result["precision"], result["recall"], result["micro_recall"]) == (1, 1, 1)


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_span_iou_f1_agrees_with_the_formula_of_eraser_on_sets_of_words(threshold):
    # ERASER's definition written out on sets; its code is no package.
    chosen = [spans_of(mask) for mask in draw_masks(0, 0.5)]
    marked = [spans_of(mask) for mask in draw_masks(0, 0.5) | draw_masks(1, 0.1)]
    marked[3], chosen[4] = [], []
    precisions, recalls = [], []
    for spans, others in zip(chosen, marked, strict=True):
        found = 0
        for span in spans:
            ious = [
                len(set(range(*span)) & set(range(*other)))
                / len(set(range(*span)) | set(range(*other)))
                for other in others
            ]
            found += max(ious, default=0) >= threshold
        precisions += [found / len(spans)] if spans else []
        recalls += [min(1, found / len(others))] if others else []
    precision, recall = np.mean(precisions), np.mean(recalls)
    result = SpanIoUF1().compute(predictions=chosen, references=marked, iou_threshold=threshold)
    assert 0.1 < precision < 0.95
    assert result["span_iou_f1"] == pytest.approx(
        2 * precision * recall / (precision + recall), abs=1e-12
    )


def test_span_iou_f1_is_zero_where_nothing_is_chosen():
    result = SpanIoUF1().compute(predictions=[[]], references=[[[0, 1]]])
    assert (result["span_iou_f1"], result["precision"], result["micro_f1"]) == (0, 0, 0)


@pytest.mark.parametrize("threshold", [0, 1.5, float("nan")])
def test_span_iou_f1_refuses_a_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"`iou_threshold` must be in \(0, 1\]"):
        SpanIoUF1(keep_in_memory=True).compute(
            predictions=[[]], references=[[[0, 1]]], iou_threshold=threshold
        )


def test_span_iou_f1_needs_a_human_span():
    with pytest.raises(ValueError, match="got 1 documents without any; check the column"):
        SpanIoUF1(keep_in_memory=True).compute(predictions=[[[0, 1]]], references=[[]])


@of_spans
@pytest.mark.parametrize("side", ["predictions", "references"])
@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([[5, 3]], r"must hold spans \[start, end\).*got \[5.0, 3.0\] in document 1"),
        ([[3, 3]], r"got \[3.0, 3.0\] in document 1; leave empty spans out"),
        ([[-1, 3]], r"with 0 <= start < end, got \[-1.0, 3.0\] in document 1"),
        ([[0, 2.5]], r"of whole numbers.*got \[0.0, 2.5\] in document 1"),
        ([[0, float("nan")]], r"got \[0.0, nan\] in document 1"),
        ([[0, None]], r"got \[0.0, None\] in document 1"),
        ([[0, 1, 2]], r"got \[0.0, 1.0, 2.0\] in document 1"),
        ([[4, 6], [0, 5]], r"must not overlap within a document.*in document 1; merge them"),
        ([[0, 5], [0, 5]], r"must not overlap within a document"),
    ],
)
def test_bad_spans_say_what_and_where(name, metric, side, spans, message):
    documents = {"predictions": [[], []], "references": [[[0, 1]], []]}
    documents[side][1] = spans
    with pytest.raises(ValueError, match=f"`{side}` {message}" if message[0] == "m" else message):
        metric(keep_in_memory=True).compute(**documents)


@of_spans
def test_spans_may_touch_and_come_in_any_order(name, metric):
    result = metric().compute(predictions=[[[4, 6], [0, 4]]], references=[[[0, 4], [4, 6]]])
    assert result[name] == 1.0


def test_character_f1_equals_the_hand_sum():
    # {0, 1, 4, 5} and {0, 1, 6}: 2 * 2 / 7, the example of the organizers; then right, both
    # empty, only chosen, only marked.
    result = CharacterF1().compute(
        predictions=[[[0, 2], [4, 6]], [[2, 3]], [], [[0, 1]], []],
        references=[[[0, 2], [6, 7]], [[2, 3]], [], [], [[0, 1]]],
    )
    assert result == {
        "character_f1": pytest.approx((4 / 7 + 1 + 1 + 0 + 0) / 5, abs=1e-12),
        "num_documents": 5,
        "num_without_spans": 2,
    }


@pytest.mark.parametrize("seed", range(3))
def test_character_f1_agrees_with_scikit_learn(seed):
    chosen, marked = draw_masks(seed, 0.05), draw_masks(seed + 10, 0.05)
    expected = f1_score(marked, chosen, average="samples", zero_division=1)
    result = CharacterF1().compute(
        predictions=[spans_of(mask) for mask in chosen],
        references=[spans_of(mask) for mask in marked],
    )
    assert result["num_without_spans"] > 0
    assert result["character_f1"] == pytest.approx(expected, abs=1e-12)


def test_span_jaccard_equals_the_hand_sum():
    # {so, good} and {good!}: nothing in common; {a, b} and {b, c, d}: 1/4; case and order and
    # repeats change nothing: 1; both blank: 1; one blank: 0.
    result = SpanJaccard().compute(
        predictions=["so good", "a b", "very Very good", " ", ""],
        references=["good!", "b c d", "GOOD\tvery", "", "good"],
    )
    assert result == {
        "span_jaccard": pytest.approx((0 + 1 / 4 + 1 + 1 + 0) / 5, abs=1e-12),
        "num_documents": 5,
    }


@pytest.mark.parametrize("seed", range(3))
def test_span_jaccard_agrees_with_scikit_learn(seed):
    chosen, marked = draw_masks(seed, 0.3, size=8), draw_masks(seed + 10, 0.3, size=8)
    words = np.array([f"word{index}" for index in range(8)])
    expected = jaccard_score(marked, chosen, average="samples", zero_division=1)
    result = SpanJaccard().compute(
        predictions=[" ".join(words[mask > 0]) for mask in chosen],
        references=[" ".join(words[mask > 0]) for mask in marked],
    )
    assert result["span_jaccard"] == pytest.approx(expected, abs=1e-12)


def test_span_jaccard_refuses_what_is_no_string():
    with pytest.raises(ValueError, match="`references` must be strings, got None for text 1"):
        SpanJaccard(keep_in_memory=True).compute(predictions=["a", "b"], references=["a", None])


@pytest.mark.parametrize("metric", [CharacterF1, SpanJaccard])
def test_no_documents_are_refused(metric):
    with pytest.raises(ValueError, match=r"must hold at least one \w+, got none"):
        metric(keep_in_memory=True).compute(predictions=[], references=[])


def test_span_hits_equal_the_hand_count():
    metric = SpanHitRate(keep_in_memory=True)
    known = {
        # One unit shared; half of it; beyond the first two; nothing; not marked.
        "predictions": [[[0, 5]], [[10, 15]], [[0, 1], [1, 2], [5, 6]], [], [[0, 1]]],
        "references": [[[4, 8]], [[10, 20]], [[5, 6]], [[0, 2]], []],
    }
    found = metric.compute(**known, top_k=2)
    assert found == {"span_hit_rate": 2 / 4, "num_documents": 4, "num_skipped": 1}
    assert metric.compute(**known, top_k=3)["span_hit_rate"] == 3 / 4
    assert metric.compute(**known, top_k=2, min_share=0.5)["span_hit_rate"] == 1 / 4
    assert metric.compute(**known, top_k=2, min_share=0.51)["span_hit_rate"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "`top_k` must be at least 1, got 0"),
        ({"min_share": 1.5}, r"`min_share` must be in \[0, 1\], got 1.5"),
    ],
)
def test_span_hit_rate_refuses_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        SpanHitRate(keep_in_memory=True).compute(
            predictions=[[[0, 1]]], references=[[[0, 1]]], **options
        )


@pytest.mark.parametrize("span", [[3, 3], [4, 2], [-1, 2], [0.5, 2], [1]])
def test_span_hit_rate_refuses_invalid_spans(span):
    metric = SpanHitRate(keep_in_memory=True)
    with pytest.raises(ValueError, match=r"`predictions` must hold spans .* in document 0"):
        metric.compute(predictions=[[span]], references=[[[0, 1]]])
