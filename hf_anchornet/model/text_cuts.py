"""Cuts of a text into parts that have the words and tokens of the whole text."""

from collections.abc import Callable

from .text_words import Words

NEAR = 256
"""Characters that are examined on either side of a cut; no token depends on more of them."""

CUTS_TRIED = 8
"""Places that are tried in each stretch of `NEAR` characters."""


def cut_text(text: str, size: int, tokenize: Callable[[list[str]], list[list[int]]]) -> list[int]:
    """Places to cut a text so that its parts have the words and tokens of the whole text.

    A cut lies at the end of a word, and the text near it has the same tokens with and without
    the cut. A text without such a place is not cut.

    Args:
        text: Any text.
        size: Fewest characters of each part, except the last.
        tokenize: Token ids of several texts.

    Returns:
        The first character of each part and, at the end, the number of characters.
    """
    bounds = [0]
    while len(text) - bounds[-1] > size:
        bounds.append(_find_cut(text, bounds[-1] + size, tokenize))
    return bounds if bounds[-1] == len(text) else [*bounds, len(text)]


def _find_cut(text: str, low: int, tokenize: Callable[[list[str]], list[list[int]]]) -> int:
    """The first cut found at `low` or later; the end of the text if there is none."""
    for start in range(low, len(text), NEAR):
        before = max(0, start - NEAR)
        ends = Words.split(text[before : start + 2 * NEAR]).ends + before
        inside = ends[(ends >= start) & (ends < min(start + NEAR, len(text)))].tolist()
        for cut in [end for end in inside if _may_cut(text, end)][:CUTS_TRIED]:
            left, right = text[max(0, cut - NEAR) : cut], text[cut : cut + NEAR]
            whole, one, other = tokenize([left + right, left, right])
            if whole == one + other:
                return int(cut)
    return len(text)


def _may_cut(text: str, cut: int) -> bool:
    """Whether this end of a word does not depend on the text before it, as that of flags does."""
    return text[cut].isspace() or (text[cut - 1].isalnum() and text[cut].isalnum())
