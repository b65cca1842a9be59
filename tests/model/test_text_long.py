"""A long text read block by block: the same as in one piece, whatever the blocks."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hf_anchornet import AnchorNetTextForSequenceClassification
from hf_anchornet.model import pipeline_anchornet_text as pipelines
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.model.text_long import LongText

with_fixtures = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
"""Scores are float32, in random models of order 10, and summed in another order."""

WORDS = ["good", "bad", "film", "the", "not", ".", "café", "xyzzy", "\u7535\u5f71", "\U0001f600"]
texts = st.lists(st.sampled_from([*WORDS, "  ", "\n"]), max_size=60).map(" ".join)
DISTINCT = [*WORDS[:6], *(chr(code) for code in range(97, 123) if chr(code) != "a"), "\n"]
distinct_texts = st.permutations(DISTINCT).map(" ".join)
"""Without two tokens alike: no window is as good as another."""


@pytest.fixture
def localizer(model, tokenizer):
    """Random, with windows of 1, 3, 5 and 9 tokens and n-grams of 2."""
    return TextLocalizer(model, tokenizer)


@pytest.fixture
def strided_localizer(config, tokenizer):
    """Random, with windows of 1, 3, 7 and 15 tokens at strides of 1, 1, 2 and 2."""
    config.strides = [1, 2, 1]
    return TextLocalizer(AnchorNetTextForSequenceClassification(config).eval(), tokenizer)


def assert_same_everywhere(localizer, text, size):
    whole, read = localizer.read([text]), LongText(text, localizer, size)
    assert_close(read.logits, whole.logits, **TOLERANCE)
    if not read.blocks:
        return
    for branch, window in enumerate(localizer.windows):
        parts = []
        for block in read.blocks:
            evidence, low = read.weigh(block, 0)
            starts = torch.arange(evidence[branch].shape[1]) * window.stride + low
            parts.append(evidence[branch][:, (starts >= block.first) & (starts < block.last)])
        shown = torch.cat(parts, dim=1)
        shown = shown - shown.mean(dim=-1, keepdim=True)
        expected = whole.evidence[branch]
        count = expected.shape[1]
        assert_close(shown[:, :count], expected[:, : shown.shape[1]], **TOLERANCE)
        assert not shown[:, count:].any()
    (located,) = whole.locate()
    blocks = [read.locate(block) for block in read.blocks]
    words = np.concatenate([block.words.starts for block in blocks])
    attribution = np.concatenate([block.attribution for block in blocks])
    expected = located.attribution[np.isin(located.words.starts, words)]
    np.testing.assert_allclose(attribution, expected, **TOLERANCE)


@given(texts, st.integers(1, 120))
@with_fixtures
def test_logits_evidence_and_attribution_are_those_of_one_piece(localizer, text, size):
    assert_same_everywhere(localizer, text, size)


@given(texts, st.integers(1, 120))
@with_fixtures
def test_the_same_holds_with_strides(strided_localizer, text, size):
    assert_same_everywhere(strided_localizer, text, size)


@given(
    distinct_texts,
    st.integers(1, 80),
    st.sampled_from([[1, 3, 5, 9], [9], [1], [4], [2, 30], [100]]),
    st.sampled_from([(1, 0.0), (3, 0.0), (6, 0.3), (3, [0.0, 0.5, 0.2])]),
)
@with_fixtures
def test_spans_are_those_of_one_piece(random_localize, text, size, scales, rank):
    top_k, limit = rank
    options = {"scales": scales, "top_k": top_k, "iou_threshold": limit}
    labels = ["negative", "positive"]
    whole = random_localize(text, labels=labels, **options)
    read = LongText(text, random_localize.localizer, size)
    shown = read.show([0, 1], scales, top_k, limit)
    spans = [shown.located.words.span(span.first, span.last) for span in shown.spans]
    assert spans == [(span["start"], span["end"]) for span in whole["spans"]]
    assert [span.scale for span in shown.spans] == [span["scale"] for span in whole["spans"]]
    for span, expected in zip(shown.spans, whole["spans"], strict=True):
        evidence = shown.located.attribution[span.first : span.last, span.label].sum()
        assert evidence == pytest.approx(expected["evidence"], rel=1e-4, abs=1e-6)
        share = evidence / shown.whole[span.label]
        assert share == pytest.approx(expected["share"], rel=1e-4, abs=1e-6)


def test_the_pipeline_answers_a_long_text_as_in_one_piece(random_localize, monkeypatch):
    text = " ".join(DISTINCT) * 3
    whole = random_localize(text, top_k=3)
    monkeypatch.setattr(pipelines, "LONG_TEXT_CHARACTERS", 20)
    read = random_localize(text, top_k=3)
    assert read["label"] == whole["label"]
    assert read["score"] == pytest.approx(whole["score"], abs=1e-6)
    assert read["coverage"] == pytest.approx(whole["coverage"])
    assert read["cost"] == whole["cost"]
    assert [span["text"] for span in read["spans"]] == [span["text"] for span in whole["spans"]]


def test_long_and_short_texts_share_a_batch(random_localize, monkeypatch):
    monkeypatch.setattr(pipelines, "LONG_TEXT_CHARACTERS", 20)
    given_texts = ["good film", "the film was not bad " * 9, "", "bad café " * 20]
    alone = [random_localize(text) for text in given_texts]
    together = random_localize(given_texts, batch_size=4)
    for one, other in zip(alone, together, strict=True):
        assert other["score"] == pytest.approx(one["score"], abs=1e-6)
        assert [span["text"] for span in other["spans"]] == [s["text"] for s in one["spans"]]


@pytest.mark.parametrize("text", [" " * 100, "\n \t" * 50, "x" * 200, "\ud800" * 90])
def test_odd_long_texts_have_the_answer_of_one_piece(random_localize, monkeypatch, text):
    random_localize.model.double()  # float32 rounds to more than 1e-6 on some processors
    whole = random_localize(text)
    monkeypatch.setattr(pipelines, "LONG_TEXT_CHARACTERS", 20)
    read = random_localize(text)
    assert read["score"] == pytest.approx(whole["score"], abs=1e-6)
    assert [span["text"] for span in read["spans"]] == [span["text"] for span in whole["spans"]]


def test_a_planted_word_at_a_cut_is_found_to_the_exact_character(localize, monkeypatch):
    monkeypatch.setattr(pipelines, "LONG_TEXT_CHARACTERS", 20)
    monkeypatch.setattr(LongText.__init__, "__defaults__", (50,))
    for place in range(8, 14):
        text = "film " * place + "good" + " film" * 30
        (span,) = localize(text)["spans"]
        assert (span["start"], span["end"]) == (5 * place, 5 * place + 4)
        assert span["share"] == pytest.approx(1.0)


def test_the_best_set_of_spans_is_sought_in_the_whole_text(random_localize, monkeypatch):
    text = "the film was not bad " * 9
    whole = random_localize(text, max_tokens=6)
    monkeypatch.setattr(pipelines, "LONG_TEXT_CHARACTERS", 20)
    assert random_localize(text, max_tokens=6) == whole
