"""Spans that people can read: paragraphs, punctuation, clauses and sentences."""

import numpy as np
import pytest
import torch

import hf_anchornet
from hf_anchornet.model.text_overlap import merge_near
from hf_anchornet.model.text_spans import (
    ShownText,
    share_evidence,
    show_units,
    show_windows,
)
from hf_anchornet.model.text_words import UNITS, LocatedText, Words

TEXT = 'It cost $1,000.50, not 9.5.\n\nMr. Smith liked it! "Superb," he said; we agree.'


def texts_of(words, spans):
    return [words.text[slice(*words.span(*span))] for span in spans]


def locate(text, values):
    """A text whose words are tokens with this attribution for label 1, the opposite for 0."""
    words = Words.split(text)
    bounds = list(zip(words.starts.tolist(), words.ends.tolist(), strict=True))
    columns = np.array(values, dtype=float)[:, None] * np.array([-1.0, 1.0])
    return LocatedText.build(text, bounds, columns)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (
            "sentence",
            ["It cost $1,000.50, not 9.5.", "Mr. Smith liked it!", '"Superb," he said; we agree.'],
        ),
        (
            "clause",
            [
                "It cost $1,000.50,",
                "not 9.5.",
                "Mr. Smith liked it!",
                '"Superb,"',
                "he said;",
                "we agree.",
            ],
        ),
    ],
)
def test_units_end_at_signs_but_not_inside_numbers_or_after_titles(unit, expected):
    words = Words.split(TEXT)
    assert texts_of(words, words.cut(UNITS[unit])) == expected


@pytest.mark.parametrize("sign", [".", "!", ",'", " -", "\n "])
def test_a_megabyte_of_signs_is_cut_at_once(sign):
    words = Words(sign * 10**6, np.array([0]), np.array([1]))
    for end in UNITS.values():
        assert words.cut(end)


def test_a_line_break_alone_does_not_end_a_sentence():
    words = Words.split("one\ntwo\n \nthree")
    assert texts_of(words, words.cut(UNITS["sentence"])) == ["one\ntwo", "three"]


def test_a_span_ends_at_a_blank_line():
    words = Words.split("one\ntwo\r\n \r\nthree four")
    assert words.split_paragraphs(0, 4) == [(0, 2), (2, 4)]
    assert words.split_paragraphs(2, 4) == [(2, 4)]
    assert words.split_paragraphs(1, 2) == [(1, 2)]


def test_signs_that_belong_to_the_text_around_a_span_are_left_out():
    words = Words.split(". Smith liked it! (")
    assert words.trim(0, len(words)) == (1, 5)
    assert words.trim(0, 1) == (0, 1)  # nothing else is left


def test_of_a_span_across_paragraphs_the_part_with_more_evidence_is_shown():
    located = locate("a b\n\nc d", [1.0, 1.0, 0.5, 4.0])
    (span,) = show_windows(located, torch.tensor([[0, 4]]), torch.tensor([4]), 1, 0.0)
    assert (span.first, span.last, span.scale) == (2, 4, 4)
    assert show_windows(located, torch.tensor([[0, 4]]), torch.tensor([4]), 0, 0.0) == []
    (passage,) = show_windows(located, torch.tensor([[0, 4]]), torch.tensor([4]), 1, 0.0, True)
    assert (passage.first, passage.last) == (0, 4)


def test_a_sign_that_is_the_evidence_stays():
    located = locate("a ! b", [-1.0, 3.0, -1.0])
    (span,) = show_windows(located, torch.tensor([[1, 3]]), torch.tensor([2]), 1, 0.0)
    assert (span.first, span.last) == (1, 3)


def test_units_are_ranked_by_the_exact_sum_of_their_evidence():
    located = locate("a b. c d. e f.", [1.0, 0.0, 0.0, 3.0, -1.0, 0.5, -1.0, 0.0, 0.0])
    spans = show_units(located, [1], "sentence", 5)
    assert [(span.first, span.last) for span in spans] == [(3, 6), (0, 3)]
    assert show_units(located, [1], "sentence", 1) == spans[:1]
    assert share_evidence(ShownText.of(located, spans), 1) == pytest.approx(3.5 / 6.5)


def test_a_word_in_two_spans_carries_its_evidence_once():
    located = locate("a b c", [1.0, 2.0, 1.0])
    bounds = torch.tensor([[0, 2], [1, 3]])
    spans = show_windows(located, bounds, torch.tensor([2, 2]), 1, 1.0)
    assert share_evidence(ShownText.of(located, spans), 1) == 1.0
    assert share_evidence(ShownText.of(located, []), 1) == 0.0


def test_spans_that_overlap_too_much_as_words_are_merged():
    spans = [(2, 6), (3, 6), (0, 3), (2, 6)]
    assert merge_near(spans, 0.5) == [(2, 6), None, (0, 3), None]
    assert merge_near(spans, 0.8) == [(2, 6), (3, 6), (0, 3), None]
    assert merge_near(spans, 1.0) == spans
    assert merge_near([(2, 6), (1, 5)], 0.5) == [(1, 6), None]


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_all_units_carry_all_evidence(random_localize, unit):
    text = "good film, not bad. the café was a film! it was bad; good?"
    answer = random_localize(text, unit=unit, top_k=99, labels=["negative", "positive"])
    labels = {span["label"] for span in answer["spans"]}
    places = {(span["start"], span["end"]) for span in answer["spans"]}
    words = Words.split(text)
    assert len(labels) == 2
    assert places == {words.span(*part) for part in words.cut(UNITS[unit])}


def test_the_answer_and_its_summary_tell_what_all_spans_carry():
    localize = hf_anchornet.load()
    text = "The acting was superb and the script is wonderful, but the end is dull."
    answer = localize(text, top_k=2)
    together = sum(span["share"] for span in answer["spans"])
    assert answer["evidence_share"] == pytest.approx(together)
    view = hf_anchornet.SpanView(text, answer)
    assert f"which carry {together:.0%} of the evidence" in view._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "line"}, r"`unit` must be one of \['word', 'clause', 'sentence'\], got 'line'"),
        ({"unit": "clause", "scales": [1]}, '`scales` must be left out with `unit="clause"`'),
    ],
)
def test_units_that_cannot_be_shown_are_refused(random_localize, options, message):
    with pytest.raises(ValueError, match=message):
        random_localize("good film", **options)
