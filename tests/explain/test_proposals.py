"""Parts of a text that a localizer proposes."""

import numpy as np
import pytest

from hf_anchornet.explain import proposals
from hf_anchornet.explain.proposals import SpanLimits, propose_spans
from hf_anchornet.model.text_localizer import TextLocalizer

TEXT = "a film was good. the film , the film . not a bad bad film ! the café was a film"


@pytest.fixture
def localizer(planted, tokenizer):
    """Only "good" and "bad" count."""
    planted.config.reading_scales = [3]
    return TextLocalizer(planted, tokenizer)


def propose(localizer, text, units, **fields):
    limits = {"max_parts": 8, "max_tokens": 64, "passage_tokens": 5, "fits": lambda _: True}
    located, spans = propose_spans(localizer, text, SpanLimits(units, **(limits | fields)))
    return [text[slice(*located.words.span(*span))] for span in spans]


def test_spans_hold_the_words_that_count(localizer):
    found = propose(localizer, TEXT, "spans", max_tokens=8)
    assert len(found) == 2
    assert "good" in found[0]
    assert "bad bad" in found[1]


def test_all_sentences_are_parts_if_there_are_few(localizer):
    assert propose(localizer, TEXT, "sentences") == [
        "a film was good.", "the film , the film .", "not a bad bad film !", "the café was a film"
    ]  # fmt: skip


def test_of_many_sentences_those_with_the_most_evidence_are_parts_in_reading_order(localizer):
    assert propose(localizer, TEXT, "sentences", max_parts=1) == ["not a bad bad film !"]
    both = ["a film was good.", "not a bad bad film !"]
    assert propose(localizer, TEXT, "sentences", max_parts=2) == both


def test_passages_cover_the_text_without_overlap(localizer):
    found = propose(localizer, TEXT, "passages", max_parts=64)
    assert "".join(found).replace(" ", "") == TEXT.replace(" ", "")
    assert len(found) >= 5


def test_a_part_that_the_classifier_cannot_read_with_the_better_ones_is_left_out(localizer):
    found = propose(localizer, TEXT, "sentences", fits=lambda text: len(text) < 30)
    assert found == ["not a bad bad film !"]


@pytest.mark.parametrize("units", ["spans", "sentences", "passages"])
def test_a_long_text_is_read_block_by_block(localizer, monkeypatch, units):
    text = "the film was a film . " * 60 + "a good film . " + "the film was a film . " * 60
    whole = propose(localizer, text, units, max_parts=1, max_tokens=4)
    monkeypatch.setattr(proposals, "LONG_TEXT_CHARACTERS", 10)
    monkeypatch.setattr("hf_anchornet.explain.proposals.LongText.__init__.__defaults__", (200,))
    assert propose(localizer, text, units, max_parts=1, max_tokens=4) == whole
    assert "good" in whole[0]


def test_spans_of_all_blocks_keep_to_one_budget(localizer, monkeypatch):
    text = "the film was a good film . " * 60
    monkeypatch.setattr(proposals, "LONG_TEXT_CHARACTERS", 10)
    monkeypatch.setattr("hf_anchornet.explain.proposals.LongText.__init__.__defaults__", (200,))
    found = propose(localizer, text, "spans", max_tokens=6)
    assert 1 <= len(found) <= 2


@pytest.mark.parametrize("units", ["spans", "sentences", "passages"])
@pytest.mark.parametrize("text", ["", " \n "])
def test_a_text_without_words_has_no_parts(localizer, units, text):
    assert propose(localizer, text, units) == []


def test_the_words_of_the_whole_long_text_are_there_on_request(localizer, monkeypatch):
    text = "the film was a film . " * 60 + "a good film ."
    monkeypatch.setattr(proposals, "LONG_TEXT_CHARACTERS", 10)
    limits = SpanLimits("sentences", 1, 64, 5, lambda _: True, whole=True)
    located, _ = propose_spans(localizer, text, limits)
    assert len(located.words) == 6 * 60 + 4
    assert np.isfinite(located.attribution).all()


@pytest.mark.parametrize("units", ["sentences", "passages"])
def test_a_part_that_is_too_long_alone_is_cut_at_its_end(localizer, units):
    text = "the bad film was " * 9
    fits = {"fits": lambda text: len(text) <= 20, "passage_tokens": 99}
    assert propose(localizer, text, units, **fits) == ["the bad film was the"]
    assert propose(localizer, text, units, passage_tokens=99, fits=lambda text: not text) == []
