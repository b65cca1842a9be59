"""A classifier that reads the selected spans of a text as one shorter text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TextClassificationPipeline,
)

from .backend import EAGER
from .cascade_rule import FULL, Stage
from .classifier import ClassifierKind, check_truncation, count_readable_tokens
from .costs import ShapeCosts
from .localizer import MODALITIES, register_modality
from .reader import Reader, Reading
from .text_budget import select_best_spans
from .text_growth import check_growth
from .text_localizer import LocalizedTexts, TextLocalizer
from .text_words import LocatedText, Span, Words, count_tokens, encodable

DEFAULT_MAX_TOKENS = 64
"""The most tokens that a classifier reads by default."""

TEXT_CLASSIFIER = ClassifierKind(
    "text-classification",
    TextClassificationPipeline,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    "tokenizer",
    "input_ids",
)


def select_readable_spans(
    located: LocatedText, costs: NDArray[np.int64], budget: int, scales: Sequence[int]
) -> list[Span]:
    """The spans that a classifier should read under a budget, as ranges of words.

    The value of a word is its largest absolute attribution over the labels, so that evidence
    against a label is read too. If no span of these scales fits, single tokens are chosen.

    Args:
        located: The localized text.
        costs: (words,), int64, the classifier's tokens of each word.
        budget: The classifier's tokens to spend.
        scales: Sizes of the candidate spans, in tokens of the localizer.
    """
    values = located.strength
    return select_best_spans(located.spans(scales), values, costs, budget) or select_best_spans(
        located.spans([1]), values, costs, budget
    )


def join_spans(words: Words, spans: Sequence[Span], between: str = " ") -> str:
    """The text of the spans in reading order, joined by `between`."""
    cuts = [words.span(*span) for span in spans]
    return between.join(words.text[start:end] for start, end in cuts)


class ReadableText(NamedTuple):
    """A text opened for reading.

    Attributes:
        located: The localized text.
        costs: (words,), int64, the classifier's tokens of each word.
        scales: Sizes of the candidate spans, in tokens of the localizer.
    """

    located: LocatedText
    costs: NDArray[np.int64]
    scales: Sequence[int]


@dataclass(frozen=True)
class TextPiece:
    """A text for the classifier to read, and its encoding with special tokens."""

    text: str
    encoding: BatchEncoding = field(compare=False, repr=False)

    @property
    def size(self) -> int:
        """Number of tokens, special tokens included."""
        return len(self.encoding["input_ids"])


class SpanReader(Reader):
    """Any transformers text classifier, reading selected spans instead of the whole text.

    See `Reader`; the processor is a fast tokenizer.

    Raises:
        ValueError: if the tokenizer is not a fast one, has no token for padding, keeps the end of
            texts that are too long, or could make a text so long that memory runs out, see
            `check_growth`; or if `full_size` leaves no room for text.
    """

    kind: ClassVar[ClassifierKind] = TEXT_CLASSIFIER

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        full_size: int | None = None,
        backend: str = EAGER,
        subfolder: str = "",
    ) -> None:
        if not tokenizer.is_fast:
            raise ValueError(
                f"`classifier` must have a fast tokenizer, got {type(tokenizer).__name__}; convert "
                "it or choose a checkpoint with a tokenizer.json."
            )
        if tokenizer.pad_token_id is None:
            raise ValueError(
                "`classifier` must have a tokenizer with a token for padding, got None; set its "
                "`pad_token`, and `config.pad_token_id` of the model."
            )
        check_truncation(tokenizer, "classifier")
        check_growth(tokenizer)
        self.tokenizer = tokenizer
        self.num_special_tokens = tokenizer.num_special_tokens_to_add()
        self.readable_tokens = count_readable_tokens(model, tokenizer)
        super().__init__(model, tokenizer, full_size, backend, subfolder)
        if full_size is not None:
            self.check_budget(min(full_size, self.readable_tokens), "full_size")

    def _make_costs(self) -> ShapeCosts:
        return ShapeCosts(self.model, torch.long, self.readable_tokens)

    @cached_property
    def most_tokens(self) -> int:
        """The most tokens of a full text that the classifier reads, special tokens included."""
        return min(self.full_size or self.readable_tokens, self.readable_tokens)

    def count(self, words: Words) -> NDArray[np.int64]:
        """The classifier's tokens of each word: (words,), int64."""
        encoded = self._encode(words.text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        return count_tokens(words, offsets[:, 1])

    def check_budget(self, max_tokens: int, name: str = "max_tokens") -> None:
        """Check that the classifier can read `max_tokens`, and that they leave room for text.

        Args:
            max_tokens: The budget, special tokens included.
            name: Name of the option, for errors.

        Raises:
            ValueError: if it cannot or they do not.
        """
        if max_tokens <= self.num_special_tokens:
            raise ValueError(
                f"`{name}` must be at least {self.num_special_tokens + 1} for this classifier, "
                f"got {max_tokens}; {self.num_special_tokens} special tokens go with every text."
            )
        if max_tokens > self.readable_tokens:
            raise ValueError(
                f"`{name}` must be at most {self.readable_tokens} for this classifier, got "
                f"{max_tokens}; it reads no longer text: lower it or choose another classifier."
            )

    def select(
        self,
        located: LocatedText,
        costs: NDArray[np.int64],
        max_tokens: int,
        scales: Sequence[int],
    ) -> list[Span]:
        """Spans whose joined text has at most `max_tokens` tokens, special tokens included.

        Args:
            located: The localized text.
            costs: (words,), int64, from `count`.
            max_tokens: The most tokens that the classifier may read; see `check_budget`.
            scales: Sizes of the candidate spans, in tokens of the localizer.
        """
        return self._fit(ReadableText(located, costs, scales), max_tokens)[0]

    def _fit(self, view: ReadableText, max_tokens: int) -> tuple[list[Span], TextPiece]:
        """The best spans under a budget, and the text that they make."""
        budget = max_tokens - self.num_special_tokens
        while True:
            spans = select_readable_spans(view.located, view.costs, budget, view.scales)
            piece = self.make_piece(join_spans(view.located.words, spans))
            # A word can cost more alone than in its sentence (byte-level BPE): measure and retry.
            if not spans or piece.size <= max_tokens:
                return spans, piece
            budget -= piece.size - max_tokens

    def make_piece(self, text: str, max_length: int | None = None) -> TextPiece:
        """A piece of this text, truncated to `max_length` tokens (default: not truncated)."""
        encoded = self._encode(text, truncation=max_length is not None, max_length=max_length)
        return TextPiece(text, encoded)

    def make_pieces(self, text: str) -> list[TextPiece]:
        """The text as one piece, truncated to what is read; an empty list if it has no token."""
        piece = self.make_piece(text, self.most_tokens)
        return [piece] if piece.size > self.num_special_tokens else []

    def make_nothing(self) -> list[TextPiece]:
        """An empty text with its special tokens; an empty list if the classifier cannot read it.

        Without special tokens there is nothing to read. Of all classifiers AnchorNets answer that,
        with their bias: they are given one token that is masked.
        """
        piece = self.make_piece("")
        if piece.size == 0 and self.model.config.model_type in MODALITIES:
            padding = self.tokenizer.pad_token_id or 0
            piece = TextPiece("", BatchEncoding({"input_ids": [padding], "attention_mask": [0]}))
        return [piece] if piece.size else []

    def list_stages(self, max_tokens: int | None) -> list[Stage]:
        """One stage that reads all the tokens; `None` means the default."""
        return [max_tokens or min(DEFAULT_MAX_TOKENS, self.readable_tokens)]

    def check_stages(self, stages: Sequence[Stage]) -> None:
        """Check each budget; see `check_budget`."""
        for stage in stages:
            if stage != FULL:
                self.check_budget(int(stage))

    def open(
        self, batch: LocalizedTexts, rows: Sequence[int], stages: Sequence[Stage]
    ) -> list[ReadableText]:
        """Views of some texts of a batch."""
        scales = batch.localizer.reading_scales
        return [
            ReadableText(located, self.count(located.words), scales)
            for located in batch.locate(rows)
        ]

    def cut(self, view: ReadableText, stage: Stage) -> list[TextPiece]:
        """One piece, or an empty list if the text has no token to read."""
        if stage == FULL:
            words = view.located.words
            spans = [(0, len(words))] if view.costs.sum() else []
            return self.make_pieces(join_spans(words, spans))
        _, piece = self._fit(view, int(stage))
        return [piece] if piece.size > self.num_special_tokens else []

    @torch.no_grad()
    def compute_pieces(
        self, pieces: Sequence[tuple[ReadableText | None, TextPiece]]
    ) -> tuple[Tensor, list[int]]:
        """Logits, (pieces, labels), and the number of tokens of each piece."""
        encodings = [piece.encoding for _, piece in pieces]
        inputs = self.tokenizer.pad(encodings, return_tensors="pt")
        logits: Tensor = self.network(**inputs.to(self.model.device)).logits
        return logits, [piece.size for _, piece in pieces]

    def count_multiply_adds(self, size: int) -> int:
        """Multiply-adds of the classifier for a piece of `size` tokens."""
        return self.costs.count_tokens(size)

    def full_multiply_adds(
        self, sources: Sequence[str], views: Sequence[ReadableText | None]
    ) -> list[int]:
        """Multiply-adds of the classifier for each full text, truncated to what it reads."""
        unread = [text for text, view in zip(sources, views, strict=True) if view is None]
        counted = iter(self._encode(unread)["input_ids"] if unread else [])
        lengths = [
            len(next(counted)) if view is None else int(view.costs.sum()) + self.num_special_tokens
            for view in views
        ]
        return [self.costs.count_tokens(min(length, self.most_tokens)) for length in lengths]

    def describe_pieces(self, pieces: Sequence[TextPiece]) -> dict[str, Any]:
        """The text that was read."""
        return {"text": "".join(piece.text for piece in pieces)}

    def describe_cost(self, reading: Reading, view: ReadableText) -> dict[str, Any]:
        """Tokens that were read, and tokens of the full text."""
        full_tokens = int(view.costs.sum()) + self.num_special_tokens
        return {"classifier_tokens": sum(reading.sizes), "full_tokens": full_tokens}

    def _encode(self, text: str | Sequence[str], **options: Any) -> BatchEncoding:
        """The encoding of a text or of several, not truncated unless `options` say so."""
        texts = encodable(text) if isinstance(text, str) else [encodable(one) for one in text]
        encoded: BatchEncoding = self.tokenizer(
            texts, **{"truncation": False, "verbose": False} | options
        )
        return encoded


register_modality("anchornet_text", TextLocalizer, SpanReader)
