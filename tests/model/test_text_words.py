"""Tokens to words, words to characters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_anchornet.model.text_words import LocatedText, Words, count_tokens, encodable

# A family, a skin tone, a heart with VS16, a keycap, two flags in a row, a flag made of tags.
EMOJI = [
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\U0001f44d\U0001f3fd",
    "\u2764\ufe0f",
    "1\ufe0f\u20e3",
    "\U0001f1eb\U0001f1f7",
    "\U0001f1e9\U0001f1ea",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
]


def words_of(text):
    words = Words.split(text)
    return [text[start:end] for start, end in zip(words.starts, words.ends, strict=True)]


# Words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\r\n\u00a0\u3000", []),
        ("one  two\r\nthree", ["one", "two", "three"]),
        ("It's not O'Neil's.", ["It's", "not", "O'Neil's", "."]),
        ("l\u2019\u00e9t\u00e9 'quoted'", ["l\u2019\u00e9t\u00e9", "'", "quoted", "'"]),
        ("a-b 3.5 x_1", ["a", "-", "b", "3.5", "x_1"]),
        ("9.5/10, 1,000.50 at 12:30.", ["9.5", "/", "10", ",", "1,000.50", "at", "12:30", "."]),
        ("\u00e9 1,5 2.", ["\u00e9", "1,5", "2", "."]),
        ("\u0661\u066b\u0665", ["\u0661\u066b\u0665"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "cafe\u0301"]),
        ("e\u0301\u0323te\u0301's", ["e\u0301\u0323te\u0301's"]),
        ("a\x00b\x00", ["a", "\x00", "b", "\x00"]),
        ("\ud800a\u00e9\udfff", ["\ud800", "a\u00e9", "\udfff"]),
        ("col\u00b7lecci\u00f3", ["col\u00b7lecci\u00f3"]),
        # Arabic with vowel marks and its own comma; Persian with a joiner inside a word.
        ("\u0643\u0650\u062a\u064e\u0627\u0628\u060c \u0646\u0639\u0645",
         ["\u0643\u0650\u062a\u064e\u0627\u0628", "\u060c", "\u0646\u0639\u0645"]),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
         ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"]),
        # Hebrew with points and with gershayim.
        ("\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u05e6\u05d4\u05f4\u05dc",
         ["\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\u05e6\u05d4\u05f4\u05dc"]),
        # Chinese, Japanese and Thai: one character a word, marks stay with it.
        ("\u7535\u5f71\u3002", ["\u7535", "\u5f71", "\u3002"]),
        ("\u6620\u753b\u304c good", ["\u6620", "\u753b", "\u304c", "good"]),
        ("\u0e14\u0e35", ["\u0e14\u0e35"]),
        ("\u0e27\u0e31\u0e19\u0e14\u0e35", ["\u0e27\u0e31", "\u0e19", "\u0e14\u0e35"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("\u00e9\u200bb", ["\u00e9", "\u200b", "b"]),
        ("\u0301a", ["\u0301", "a"]),
        ("".join(EMOJI), EMOJI),
        ("ok\U0001f44d\U0001f3fdok", ["ok", "\U0001f44d\U0001f3fd", "ok"]),
    ],
)  # fmt: skip
def test_words_are_never_cut_inside_a_letter_its_marks_or_an_emoji(text, expected):
    assert words_of(text) == expected


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_every_character_that_is_not_blank_is_in_exactly_one_word(text):
    words = Words.split(text)
    owners = np.zeros(len(text), dtype=int)
    for start, end in zip(words.starts, words.ends, strict=True):
        assert start < end
        owners[start:end] += 1
    assert owners.tolist() == [0 if character.isspace() else 1 for character in text]


@pytest.mark.parametrize("text", ["a" * 10**6, "\u00e9" * 10**6, "e\u0301" * 10**5, "'a" * 10**5])
def test_a_megabyte_without_a_space_is_split_at_once(text):
    words = Words.split(text)
    assert words.ends[-1] == len(text)


def test_a_character_finds_its_word_and_a_blank_the_next_one():
    words = Words.split("  ab  cd ")
    assert words.at(np.arange(9)).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_the_word_before_a_character_starts_before_it():
    words = Words.split(" ab  cd ")
    assert words.before(np.arange(9)).tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]


def test_a_range_of_words_gives_its_characters():
    words = Words.split("  ab  cd, e ")
    assert words.span(0, 1) == (2, 4)
    assert words.span(0, 2) == (2, 8)
    assert words.span(1, 4) == (6, 11)


def test_lone_surrogates_become_encodable_one_for_one():
    text = "a\ud800b\udfff\U0001f44d"
    assert encodable(text) == "a\ufffdb\ufffd\U0001f44d"
    encodable(text).encode()


# Tokens to words


def test_each_token_counts_for_one_word():
    # "un-", "happy", ", and" with its blank, a newline with the comma, blanks alone.
    words = Words.split("unhappy,\n\nand so")
    assert count_tokens(words, np.array([2, 7, 10, 13, 14, 16])).tolist() == [2, 1, 2, 1]


def test_tokens_of_a_text_without_words_count_for_none():
    assert count_tokens(Words.split("  "), np.array([1, 2])).tolist() == []


def test_attribution_of_tokens_adds_up_over_words():
    offsets = [(0, 2), (2, 7), (7, 8), (8, 9), (9, 12)]  # "un" "happy" "," " " "and"
    attribution = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0]])
    located = LocatedText.build("unhappy, and", offsets, attribution)
    assert located.attribution.tolist() == [[4.0, 6.0], [5.0, 6.0], [16.0, 18.0]]


def test_a_token_over_several_words_shares_its_attribution_evenly():
    located = LocatedText.build("\u7535\u5f71\u597d", [(0, 2), (2, 3)], np.array([[1.0], [3.0]]))
    assert located.attribution.tolist() == [[0.5], [0.5], [3.0]]


def test_windows_of_tokens_widen_to_whole_words():
    located = LocatedText.build("unhappy, and", [(0, 2), (2, 7), (7, 8), (9, 12)], np.zeros((4, 1)))
    assert located.snap(np.array([1, 0, 2]), np.array([2, 4, 3])) == [(0, 1), (0, 3), (1, 2)]
    assert located.spans([1]) == [(0, 1), (1, 2), (2, 3)]
    assert located.spans([2]) == [(0, 1), (0, 2), (1, 3)]
    assert located.spans([9]) == [(0, 3)]


def test_a_trailing_blank_does_not_draw_the_next_word_into_a_window():
    located = LocatedText.build("so.\n\nand", [(0, 2), (2, 5), (5, 8)], np.eye(3))
    assert located.snap(np.array([1]), np.array([2])) == [(1, 2)]
    assert located.attribution.tolist() == np.eye(3).tolist()


@pytest.mark.parametrize(("text", "offsets"), [("", []), (" \n", [(0, 2)])])
def test_a_text_without_words_has_no_spans(text, offsets):
    located = LocatedText.build(text, offsets, np.ones((len(offsets), 2)))
    assert located.attribution.shape == (0, 2)
    assert located.spans([1, 3]) == []


def test_a_text_whose_tokens_vanish_has_no_spans():
    located = LocatedText.build("\x00", [], np.ones((0, 2)))
    assert located.attribution.tolist() == [[0.0, 0.0]]
    assert located.spans([1, 3]) == []


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ([1, 1, 1, 1, 1], "It's  odd\n(very)"),
        ([1, 0, 1, 1, 1], "It's (very)"),
        ([0, 1, 0, 1, 0], "odd very"),
        ([0, 0, 1, 1, 1], "(very)"),
        ([1, 1], "It's  odd"),
        ([0, 0, 0, 0, 0], ""),
    ],
)
def test_kept_words_keep_the_blanks_between_them_and_a_cut_leaves_one(kept, left):
    words = Words.split(" It's  odd\n(very) ")
    assert words.join(np.array(kept, dtype=bool)) == left


def test_parts_of_a_text_joined_keep_their_places_in_it():
    text = "good film, not bad"
    first = LocatedText.build("good", [(0, 4)], np.array([[1.0]])).within(text, 0)
    last = LocatedText.build("not bad", [(0, 3), (4, 7)], np.array([[2.0], [3.0]])).within(text, 11)
    joined = LocatedText.join(text, [first, last])
    assert joined.words.span(1, 3) == (11, 18)
    assert joined.snap(np.array([0, 1]), np.array([1, 3])) == [(0, 1), (1, 3)]
    assert joined.attribution[:, 0].tolist() == [1.0, 2.0, 3.0]
