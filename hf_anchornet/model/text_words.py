"""The words of a text, the units that no span cuts, and their alignment with tokens."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]
"""A range of words `[first, last)` of one text."""

# At a line break, or after . ! ? (with closing quotes and brackets) and a blank.
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*\s+|\n")

PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n")
"""A blank line."""

CLOSING, OPENING = {*".,;:!?)]}%\u2019\u201d\u3002\uff0c"}, {*"([{\u201c\u2018"}
"""Signs that end what stands before them, and that begin what follows."""

_STOP = (
    r"(?:(?<!\b[A-Z])(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bvs)(?<!\bMrs)(?<!\bcf)"
    r"(?<!\be\.g)(?<!\bi\.e)\.|(?<![.!?])[.!?]{2,}|(?<![.!?])[!?])[\"')\]\u2019\u201d]*\s+|[\u3002\uff01\uff1f]"
)
"""The end of a sentence: not after an initial or a frequent abbreviation."""

UNITS = {
    "clause": re.compile(
        rf"{_STOP}|{PARAGRAPH_END.pattern}|[,;:][\"')\]\u2019\u201d]*\s+|\s[\u2013\u2014-]\s"
    ),
    "sentence": re.compile(rf"{_STOP}|{PARAGRAPH_END.pattern}"),
}
"""Where the units end that spans may be made of."""


@dataclass(frozen=True)
class Words:
    """The words of a text; no shown or selected span cuts one.

    Every character that is not blank belongs to exactly one word. A word is a run of letters,
    digits and their marks, with inner apostrophes, or a number with its separators, such as 9.5,
    1,000 or 12:30; one character of a script that is written
    without spaces; or one other sign (an emoji with all its modifiers is one, and so is a flag).

    Attributes:
        text: The original text.
        starts: (words,), int64, first character of each word.
        ends: (words,), int64, character after each word.
    """

    text: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def split(cls, text: str) -> "Words":
        """Find the words of `text`."""
        found = [match.span() for match in _word_pattern(text.isascii()).finditer(text)]
        bounds = np.array(found, dtype=np.int64).reshape(-1, 2)
        return cls(text, bounds[:, 0], bounds[:, 1])

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, characters: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the word that holds each character; of the next word, for a blank one."""
        found = np.searchsorted(self.ends, characters, side="right")
        return np.minimum(found, max(0, len(self) - 1))

    def before(self, characters: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the last word that starts before each character; 0 if there is none."""
        return np.maximum(np.searchsorted(self.starts, characters) - 1, 0)

    def sentences(self) -> list[Span]:
        """The sentences in reading order; each word is in one of them."""
        return self.cut(_SENTENCE_END)

    def cut(self, end: re.Pattern[str]) -> list[Span]:
        """The parts of the text in reading order, each ending at a match of `end`."""
        ends = [match.end() for match in end.finditer(self.text)]
        inner = np.searchsorted(self.starts, ends).tolist()
        return list(pairwise(sorted({0, *inner, len(self)})))

    def split_paragraphs(self, first: int, last: int) -> list[Span]:
        """The words `[first, last)` in parts that no blank line cuts."""
        ends, starts = self.ends[first : last - 1], self.starts[first + 1 : last]
        gaps = zip(ends.tolist(), starts.tolist(), strict=True)
        inner = [
            number
            for number, (end, start) in enumerate(gaps, first + 1)
            if start - end > 1 and PARAGRAPH_END.search(self.text, end, start)
        ]
        return list(pairwise([first, *inner, last]))

    def trim(self, first: int, last: int) -> Span:
        """The words `[first, last)` without closing signs before and opening signs after them."""
        low, high = first, last
        while low < high and self.text[self.starts[low] : self.ends[low]] in CLOSING:
            low += 1
        while low < high and self.text[self.starts[high - 1] : self.ends[high - 1]] in OPENING:
            high -= 1
        return (low, high) if low < high else (first, last)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Characters `[start, end)` of the words `[first, last)`, `first < last`."""
        return int(self.starts[first]), int(self.ends[last - 1])

    def join(self, kept: NDArray[np.bool_]) -> str:
        """The text without some of its words.

        Neighbours keep what is between them: blanks, line breaks or nothing. One blank replaces
        what was cut.

        Args:
            kept: (words or fewer,), bool; words beyond its end are cut.
        """
        edges = np.flatnonzero(np.diff(np.concatenate([[0], kept.astype(np.int8), [0]])))
        runs = [self.span(first, last) for first, last in edges.reshape(-1, 2).tolist()]
        return " ".join(self.text[start:end] for start, end in runs)


def encodable(text: str) -> str:
    """The text with each lone surrogate, which no tokenizer can encode, replaced by U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def count_tokens(words: Words, token_ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of each word: (words,), int64.

    Args:
        words: The words of the text.
        token_ends: (tokens,), int64, character after each token of a tokenizer, the special
            tokens left out.
    """
    counts = np.zeros(len(words), dtype=np.int64)
    if len(words):
        np.add.at(counts, words.before(token_ends), 1)
    return counts


@dataclass(frozen=True)
class LocatedText:
    """A text with the attribution of its words and tokens.

    Attributes:
        words: The words of the text.
        starts: (tokens,), int64, first character of each of the localizer's tokens.
        ends: (tokens,), int64, character after each token.
        attribution: (words, labels), float64; its sum over words is the logits less the bias
            (centred, if the evidence was).
        tokens: (tokens, labels), float64, the attribution of each token.
    """

    words: Words
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    attribution: NDArray[np.float64]
    tokens: NDArray[np.float64]

    @classmethod
    def build(
        cls,
        text: str,
        offsets: Sequence[tuple[int, int]] | NDArray[np.int64],
        attribution: NDArray[np.float64],
    ) -> "LocatedText":
        """From the tokens' character offsets and their attribution, (tokens or more, labels)."""
        words = Words.split(text)
        bounds = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
        by_word = np.zeros((len(words), attribution.shape[-1]))
        located = cls(words, bounds[:, 0], bounds[:, 1], by_word, attribution[: len(bounds)])
        if len(words) and len(bounds):
            tokens = np.arange(len(bounds))
            low, high = located._word_ranges(tokens, tokens + 1)
            count = high - low  # words of each token: one, except in scripts without spaces
            token = np.repeat(tokens, count)
            word = np.arange(len(token)) + np.repeat(low - np.cumsum(count) + count, count)
            np.add.at(by_word, word, (located.tokens / count[:, None])[token])
        return located

    def within(self, text: str, start: int) -> "LocatedText":
        """This text as a part of a longer one, starting at its character `start`."""
        words = Words(text, self.words.starts + start, self.words.ends + start)
        bounds = self.starts + start, self.ends + start
        return LocatedText(words, *bounds, self.attribution, self.tokens)

    @classmethod
    def join(cls, text: str, parts: Sequence["LocatedText"]) -> "LocatedText":
        """Parts of one text in reading order, at least one, joined as if they were adjacent."""
        starts, ends = (
            np.concatenate([getattr(part.words, name) for part in parts])
            for name in ("starts", "ends")
        )
        fields = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("starts", "ends", "attribution", "tokens")
        )
        return cls(Words(text, starts, ends), *fields)

    @property
    def strength(self) -> NDArray[np.float64]:
        """The largest absolute attribution of each word over the labels: (words,)."""
        strength: NDArray[np.float64] = np.abs(self.attribution).max(axis=-1, initial=0.0)
        return strength

    def snap(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> list[Span]:
        """Ranges of tokens `[first, last)`, each widened to whole words; empty for a blank text."""
        if not len(self.words):
            return []
        low, high = self._word_ranges(first, last)
        return list(zip(low.tolist(), high.tolist(), strict=True))

    def spans(self, scales: Sequence[int]) -> list[Span]:
        """Windows of `scales` tokens at every token, each widened to whole words."""
        count, spans = len(self.starts), set[Span]()
        for scale in scales:
            first = np.arange(max(1, count - scale + 1) if count else 0)
            spans.update(self.snap(first, np.minimum(first + scale, count)))
        return sorted(spans)

    def _word_ranges(
        self, first: NDArray[np.int64], last: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        low = self.words.at(self.starts[first])
        # A token of blanks belongs to the next word, so its last word may precede its first.
        return low, np.maximum(self.words.before(self.ends[last - 1]), low) + 1


@cache
def _word_pattern(ascii_only: bool) -> re.Pattern[str]:
    if ascii_only:
        return re.compile(r"\w+(?:'\w+|(?<=\d)[.,:](?=\d)\w+)*|\S")
    extend = _character_class(_extends_word)
    letter = rf"[^\W{_UNSPACED}]"
    inner = rf"{extend}*[{_INNER_MARKS}]{letter}+|(?<=\d)[{_IN_NUMBERS}](?=\d){letter}+"
    word = rf"{letter}+(?:{inner}|{extend}+{letter}+)*{extend}*"
    flag = rf"[\U0001f1e6-\U0001f1ff]{{2}}{extend}*"
    return re.compile(rf"{word}|{flag}|\S{extend}*(?:(?<=\u200d)\S{extend}*)*")


# Thai, Lao, Myanmar, Khmer, kana and Chinese characters: written without spaces.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Apostrophes, the Catalan middle dot, Hebrew geresh and gershayim do not end a word.
_INNER_MARKS = r"'\u2019\u00b7\u05f3\u05f4"
# Points, commas and colons between two digits, also those of Arabic.
_IN_NUMBERS = r".,:\u066b\u066c"


def _extends_word(character: str) -> bool:
    """Whether a character belongs to the one before it: marks, joiners, skin tones, tags."""
    if character == "\u200b":  # the zero-width space separates
        return False
    category = unicodedata.category(character)
    return category[0] == "M" or category == "Cf" or "\U0001f3fb" <= character <= "\U0001f3ff"


def _character_class(test: Callable[[str], bool]) -> str:
    """A regular expression for one character that passes the test, as ranges."""
    codes = np.array(
        [code for code in (*range(0x20000), *range(0xE0000, 0xE01F0)) if test(chr(code))]
    )
    gaps = np.flatnonzero(np.diff(codes) > 1)
    firsts, lasts = codes[[0, *gaps + 1]], codes[[*gaps, -1]]
    ranges = [rf"\U{first:08x}-\U{last:08x}" for first, last in zip(firsts, lasts, strict=True)]
    return f"[{''.join(ranges)}]"
