"""Receptive-field arithmetic: from layers to windows, from windows to tokens, tokens to words.

Conventions, stated here once: positions, tokens and pixels count from 0; every interval is
half-open, `[start, end)`; a trunk has no padding, so position `p` of a branch with stride `s`
and window size `r` sees exactly `[p * s, p * s + r)` of its input.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """What one branch sees: `size` input units (tokens or pixels) every `stride` units."""

    size: int
    stride: int

    def num_positions(self, length: int) -> int:
        """Number of whole windows in an input of `length` units (0 if it is shorter)."""
        return max(0, (length - self.size) // self.stride + 1)

    def length(self, num_positions: int) -> int:
        """Number of input units that `num_positions` (>= 1) consecutive windows cover."""
        return (num_positions - 1) * self.stride + self.size


def receptive_windows(
    kernel_sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Window, ...]:
    """Windows after 0, 1, 2, ... layers of an unpadded convolution stack.

    With `r = j = 1` before the first layer, a layer of kernel `k`, stride `s` and dilation `d`
    gives `r += (k - 1) * d * j` and then `j *= s` (Dumoulin and Visin 2016, "A guide to
    convolution arithmetic for deep learning", relationships 6 and 13, without padding).

    Args:
        kernel_sizes: Kernel size of each layer.
        strides: Stride of each layer.
        dilations: Dilation of each layer.

    Returns:
        One more window than there are layers; the first is a single input unit.
    """
    size = stride = 1
    windows = [Window(size, stride)]
    for kernel, step, dilation in zip(kernel_sizes, strides, dilations, strict=True):
        size += (kernel - 1) * dilation * stride
        stride *= step
        windows.append(Window(size, stride))
    return tuple(windows)


def window_starts(window: Window, num_positions: int, device: torch.device) -> Tensor:
    """First input unit of each window: (positions,), int64."""
    return torch.arange(num_positions, device=device) * window.stride


def valid_positions(mask: Tensor, window: Window) -> Tensor:
    """Which windows count: (batch, positions), bool.

    A window counts if all its units are real. An input shorter than the window has one window,
    at position 0, clipped to the input; an empty input has none.

    Args:
        mask: (batch, length), bool, True = real; real units stand first in every row.
        window: The branch's window; `length >= window.size`.
    """
    counts = torch.nn.functional.pad(mask.long().cumsum(dim=1), (1, 0))  # (batch, length + 1)
    starts = window_starts(window, window.num_positions(mask.shape[1]), mask.device)
    in_window = counts[:, starts + window.size] - counts[:, starts]  # (batch, positions)
    return in_window == counts[:, -1:].clamp(min=1, max=window.size)


def center_evidence(evidence: Tensor) -> Tensor:
    """Evidence less its mean over the classes (last axis): the part that softmax can see."""
    return evidence - evidence.mean(dim=-1, keepdim=True)


def spread_evidence(evidence: Tensor, window: Window, lengths: Tensor, length: int) -> Tensor:
    """Attribution of each input unit: (batch, length, labels), float64.

    Each window's evidence is shared out evenly over its units (those of the input, where the
    window is clipped), so that the sum over units equals the sum over windows.

    Args:
        evidence: (batch, positions, labels); zero at positions that do not count.
        window: The branch's window.
        lengths: (batch,), int64, number of real units of each row.
        length: Number of units to return, at least the largest of `lengths`.
    """
    batch, positions, labels = evidence.shape
    starts = window_starts(window, positions, evidence.device)
    share = evidence.double() / lengths.clamp(min=1, max=window.size)[:, None, None]
    # +share where a window starts, -share where it ends; the running sum is the attribution.
    last = max(length, window.length(positions))
    steps = share.new_zeros(batch, last + 1, labels)
    steps.index_add_(1, starts, share)
    steps.index_add_(1, starts + window.size, -share)
    attribution = steps.cumsum(dim=1)[:, :length]
    real = torch.arange(length, device=evidence.device) < lengths[:, None]  # (batch, length)
    return attribution * real[..., None]


Span = tuple[int, int]
"""A range of words `[first, last)` of one text."""


@dataclass(frozen=True)
class Words:
    """The words of a text, which no shown or selected span cuts.

    Every character that is not blank belongs to exactly one word. A word is a run of letters,
    digits and their marks, with inner apostrophes; one character of a script that is written
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

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Characters `[start, end)` of the words `[first, last)`, `first < last`."""
        return int(self.starts[first]), int(self.ends[last - 1])


def encodable(text: str) -> str:
    """The text with lone surrogates, which no tokenizer can encode, replaced one for one."""
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
    """A text and what a localizer says about it.

    Attributes:
        words: The words of the text.
        starts: (tokens,), int64, first character of each of the localizer's tokens.
        ends: (tokens,), int64, character after each token.
        attribution: (words, labels), float64, what all windows put on each word; the sum over
            words is the logits less their bias (centred, where the evidence was).
        tokens: (tokens, labels), float64, what all windows put on each token.
    """

    words: Words
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    attribution: NDArray[np.float64]
    tokens: NDArray[np.float64]

    @classmethod
    def build(
        cls, text: str, offsets: Sequence[tuple[int, int]], attribution: NDArray[np.float64]
    ) -> "LocatedText":
        """From the tokens' character offsets and their attribution, (tokens or more, labels)."""
        words = Words.split(text)
        bounds = np.array(offsets, dtype=np.int64).reshape(-1, 2)
        by_word = np.zeros((len(words), attribution.shape[-1]))
        located = cls(words, bounds[:, 0], bounds[:, 1], by_word, attribution[: len(bounds)])
        if len(words) and len(bounds):
            tokens = np.arange(len(bounds))
            low, high = located._word_ranges(tokens, tokens + 1)
            count = high - low  # words of each token: one, save where a script has no spaces
            token = np.repeat(tokens, count)
            word = np.arange(len(token)) + np.repeat(low - np.cumsum(count) + count, count)
            np.add.at(by_word, word, (located.tokens / count[:, None])[token])
        return located

    def snap(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> list[Span]:
        """Ranges of tokens `[first, last)`, each widened to whole words; none for a blank text."""
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
        # A token of blanks goes with the next word, so its last word may lie before its first.
        return low, np.maximum(self.words.before(self.ends[last - 1]), low) + 1


@cache
def _word_pattern(ascii_only: bool) -> re.Pattern[str]:
    if ascii_only:
        return re.compile(r"\w+(?:'\w+)*|\S")
    extend = _character_class(_extends_word)
    letter = rf"[^\W{_UNSPACED}]"
    word = rf"{letter}+(?:{extend}*[{_INNER_MARKS}]{letter}+|{extend}+{letter}+)*{extend}*"
    flag = rf"[\U0001f1e6-\U0001f1ff]{{2}}{extend}*"
    return re.compile(rf"{word}|{flag}|\S{extend}*(?:(?<=\u200d)\S{extend}*)*")


# Thai, Lao, Myanmar, Khmer, kana and Chinese characters: written without spaces.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Apostrophes, the Catalan middle dot, Hebrew geresh and gershayim: no border between letters.
_INNER_MARKS = r"'\u2019\u00b7\u05f3\u05f4"


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
