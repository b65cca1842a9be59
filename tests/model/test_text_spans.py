"""Attribution and the spans to show, on small cases."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hf_anchornet.model.geometry import Window, center_evidence
from hf_anchornet.model.text_overlap import keep_apart
from hf_anchornet.model.text_spans import (
    attribute_tokens,
    locate_texts,
    select_top_windows,
    show_best_spans,
    show_top_spans,
)
from hf_anchornet.model.text_words import LocatedText

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


def test_blanks_that_are_tokens_show_no_span():
    """Found by fuzzing: a byte-level tokenizer makes tokens of them."""
    evidence, windows = [torch.ones(2, 3, 2)], [Window(1, 1)]
    texts, offsets = ["\u00a0\u3000 ", "a b"], [[(0, 1), (1, 2), (2, 3)]] * 2
    located = locate_texts(texts, offsets, evidence, windows)
    shown = show_top_spans(located, evidence, windows, torch.tensor([[0], [0]]), 3)
    assert shown[0] == []
    assert len(shown[1]) == 2
