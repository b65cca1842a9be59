"""Spans of a text that share words: kept apart, or merged where they say nearly the same."""

from collections.abc import Sequence

import numpy as np

from .text_words import Span


def keep_apart(spans: Sequence[Span], num_words: int) -> list[Span | None]:
    """The longest run of words of each span that no earlier span kept; `None` if none is left."""
    taken = np.zeros(num_words, dtype=bool)
    kept: list[Span | None] = []
    for first, last in spans:
        borders = np.flatnonzero(np.diff(taken[first:last], prepend=True, append=True))
        runs = first + borders.reshape(-1, 2)
        if len(runs):
            low, high = runs[np.argmax(runs[:, 1] - runs[:, 0])].tolist()
            taken[low:high] = True
        kept.append((low, high) if len(runs) else None)
    return kept


def merge_near(spans: Sequence[Span], limit: float) -> list[Span | None]:
    """Each span widened by the later ones that overlap it more than allowed, which become `None`.

    Args:
        spans: Ranges of words, best first.
        limit: Largest IoU, in words.
    """
    kept: list[Span | None] = []
    for first, last in spans:
        near = None
        for place, span in enumerate(kept):
            if span is not None and near is None:
                shared = min(last, span[1]) - max(first, span[0])
                union = max(last, span[1]) - min(first, span[0])
                near = place if shared > limit * union else None
        if near is None:
            kept.append((first, last))
        else:
            better = kept[near]
            assert better is not None
            kept[near] = min(first, better[0]), max(last, better[1])
            kept.append(None)
    return kept
