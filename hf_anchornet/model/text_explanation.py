"""The spans of a text that a classifier read, as parts of an explanation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .cascade_rule import FULL, Stage
from .explanation import InputParts
from .shapley import Coalitions
from .text_reader import DEFAULT_MAX_TOKENS, ReadableText, SpanReader, join_spans
from .text_words import LocatedText, Span

FULL_PARTS = 6
"""Spans of a text that was read in full: each of their 64 coalitions costs a full pass."""


class TextParts(InputParts):
    """Spans of a text, read alone or with the rest of the text.

    Args:
        reader: The classifier: a `SpanReader`, or anything with `make_pieces` and `make_nothing`.
        located: The localized text.
        spans: Disjoint ranges of its words, in reading order.
        num_read: Leading words of the text that are read, too; `None`: only the spans are read.
    """

    def __init__(
        self,
        reader: Any,
        located: LocatedText,
        spans: Sequence[Span],
        num_read: int | None = None,
    ) -> None:
        self.reader, self.located, self.spans, self.num_read = reader, located, spans, num_read
        self.places = [describe_place(located, span) for span in spans]
        self.view = None

    def cut(self, present: NDArray[np.bool_]) -> list[Any]:
        """The text of the spans that are present, in reading order, as one piece."""
        words = self.located.words
        if self.num_read is not None and present.all():
            return self._make(join_spans(words, [(0, len(words))] if len(words) else []))
        if self.num_read is None:
            kept = [span for span, here in zip(self.spans, present, strict=True) if here]
            return self._make(join_spans(words, kept))
        mask = np.ones(self.num_read, dtype=np.bool_)
        for (first, last), here in zip(self.spans, present, strict=True):
            mask[first:last] = here
        return self._make(words.join(mask))

    def cut_nothing(self) -> list[Any]:
        """An empty text with its special tokens, if the tokenizer has some."""
        pieces: list[Any] = self.reader.make_nothing()
        return pieces

    def lose(self, coalitions: Coalitions) -> Tensor:
        """The localizer's evidence on the absent spans: (coalitions, labels), float64."""
        evidence = [self.located.attribution[first:last].sum(axis=0) for first, last in self.spans]
        labels = self.located.attribution.shape[1]
        by_span = torch.from_numpy(np.array(evidence).reshape(-1, labels))  # (parts, labels)
        return torch.from_numpy(~coalitions).double() @ by_span

    def _make(self, text: str) -> list[Any]:
        pieces: list[Any] = self.reader.make_pieces(text)
        return pieces


def list_read_spans(
    reader: SpanReader, view: ReadableText, stage: Stage, stages: Sequence[Stage] = ()
) -> TextParts:
    """The spans of a text that a classifier read at a stage.

    Of a text that was read in full, the parts are at most `FULL_PARTS` spans, the strongest of
    those that the largest budget among the other stages selects, or else the default budget; they
    are read and left out together with the rest of the text.

    Args:
        reader: The classifier.
        view: The text.
        stage: The stage.
        stages: All stages at which the classifier reads.
    """
    if stage != FULL:
        return TextParts(reader, view.located, reader.select(*view[:2], int(stage), view.scales))
    room = reader.most_tokens - reader.num_special_tokens
    # The words of which a token is read.
    num_read = min(int(np.searchsorted(np.cumsum(view.costs), room)) + 1, len(view.costs))
    default = min(DEFAULT_MAX_TOKENS, reader.readable_tokens)
    budget = max((int(stage) for stage in stages if stage != FULL), default=default)
    costs = view.costs.copy()
    costs[num_read:] = budget + 1  # what the classifier does not read is too dear to select
    spans = reader.select(view.located, costs, budget, view.scales)
    return TextParts(
        reader, view.located, keep_strongest(view.located, spans, FULL_PARTS), num_read
    )


def keep_strongest(located: LocatedText, spans: Sequence[Span], count: int) -> list[Span]:
    """The spans with the largest absolute evidence for any label, at most `count`, in order."""
    return sorted(sorted(spans, key=lambda span: (-weigh_span(located, span), span))[:count])


def weigh_span(located: LocatedText, span: Span) -> float:
    """The largest absolute evidence of a span for any label."""
    return float(np.abs(located.attribution[slice(*span)].sum(axis=0)).max())


def describe_place(located: LocatedText, span: Span) -> dict[str, Any]:
    """Where a span is, in characters of the text, and what it says."""
    start, end = located.words.span(*span)
    return {"start": start, "end": end, "text": located.words.text[start:end]}
