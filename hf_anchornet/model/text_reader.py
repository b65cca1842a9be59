"""A classifier that reads the selected spans of a text as one shorter text."""

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TextClassificationPipeline,
)

from .backend import EAGER, make_network
from .cascade_rule import FULL, Stage
from .classifier import (
    Classifier,
    ClassifierKind,
    count_readable_tokens,
    load_classifier,
    name_predictions,
)
from .costs import ShapeCosts
from .text_budget import select_best_spans
from .text_localizer import LocalizedTexts
from .text_words import LocatedText, Span, Words, count_tokens, encodable

DEFAULT_MAX_TOKENS = 64
"""The most tokens that a classifier reads, unless it is said."""

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
    """The spans that a classifier should read, under a budget: ranges of words.

    A word is worth its largest absolute attribution over the labels, so that what speaks against
    a label travels too. Where no span of these scales fits, single tokens are chosen.

    Args:
        located: The text and what the localizer says about it.
        costs: (words,), int64, the classifier's tokens of each word.
        budget: The classifier's tokens to spend.
        scales: Sizes of the candidate spans, in the localizer's tokens.
    """
    values = located.strength
    return select_best_spans(located.spans(scales), values, costs, budget) or select_best_spans(
        located.spans([1]), values, costs, budget
    )


def join_spans(words: Words, spans: Sequence[Span], between: str = " ") -> str:
    """The text of the spans in reading order, by default with one blank between them."""
    cuts = [words.span(*span) for span in spans]
    return between.join(words.text[start:end] for start, end in cuts)


class ReadableText(NamedTuple):
    """A text for a classifier to read, part by part.

    Attributes:
        located: The text and what the localizer says about it.
        costs: (words,), int64, the classifier's tokens of each word.
        scales: Sizes of the candidate spans, in the localizer's tokens.
    """

    located: LocatedText
    costs: NDArray[np.int64]
    scales: Sequence[int]


class SpanReader:
    """Any transformers text classifier, made to read spans instead of the whole text.

    Args:
        model: A sequence classification model.
        tokenizer: Its fast tokenizer.
        full_size: Tokens that a full text is cut to; default: what the model can read.
        backend: What computes: "eager", "compile" or "onnx"; see `make_network`.
        subfolder: Where in its folder or repository the model is.

    Raises:
        ImportError: if the extra `onnx` is needed and not installed.
        ValueError: if the tokenizer is not a fast one, if there is no such backend or if it cannot
            run the model.
    """

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
        self.model = model.eval()
        self.network = make_network(model, backend, subfolder)
        self.tokenizer = tokenizer
        self.num_special_tokens = tokenizer.num_special_tokens_to_add()
        self.full_size = full_size
        self.costs = ShapeCosts(model, torch.long, count_readable_tokens(model, tokenizer))

    @classmethod
    def load(
        cls,
        classifier: Classifier,
        device: torch.device | None = None,
        subfolder: str = "",
        full_size: int | None = None,
        backend: str = EAGER,
        **hub: Any,
    ) -> "SpanReader":
        """Take a classifier in any of its forms; see `load_classifier` and the class."""
        loaded = load_classifier(classifier, TEXT_CLASSIFIER, device, subfolder, **hub)
        return cls(*loaded, full_size, backend, subfolder)

    @cached_property
    def most_tokens(self) -> int:
        """The most tokens of a full text that the classifier reads, special ones included."""
        readable = count_readable_tokens(self.model, self.tokenizer)
        return min(self.full_size or readable, readable)

    def count(self, words: Words) -> NDArray[np.int64]:
        """The classifier's tokens of each word: (words,), int64."""
        encoded = self._encode(words.text, return_offsets_mapping=True)
        offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        return count_tokens(words, offsets[:, 1])

    def check_budget(self, max_tokens: int) -> None:
        """Check that `max_tokens` leaves room for text.

        Raises:
            ValueError: if it does not.
        """
        if max_tokens <= self.num_special_tokens:
            raise ValueError(
                f"`max_tokens` must be at least {self.num_special_tokens + 1} for this classifier, "
                f"got {max_tokens}; {self.num_special_tokens} special tokens go with every text."
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
            located: The text and what the localizer says about it.
            costs: (words,), int64, from `count`.
            max_tokens: The most tokens that the classifier may read; see `check_budget`.
            scales: Sizes of the candidate spans, in the localizer's tokens.
        """
        limit = budget = max_tokens - self.num_special_tokens
        while True:
            spans = select_readable_spans(located, costs, budget, scales)
            # A word can cost more alone than in its sentence (byte-level BPE): measure, retry.
            excess = len(self._encode(join_spans(located.words, spans))["input_ids"]) - limit
            if excess <= 0:
                return spans
            budget -= excess

    def read(
        self, located: Sequence[LocatedText], max_tokens: int, scales: Sequence[int]
    ) -> list[dict[str, Any]]:
        """What the classifier says of the selected spans of each text.

        Args:
            located: The texts and what the localizer says about them.
            max_tokens: The most tokens that the classifier may read; see `check_budget`.
            scales: Sizes of the candidate spans, in the localizer's tokens.

        Returns:
            For each text a dict: the `text` of the spans, the `tokens` read and the `full_tokens`
            that the whole text would take; unless `text` is empty, also `label` and `score`.
        """
        readings: list[dict[str, Any]] = []
        for text in located:
            costs = self.count(text.words)
            chosen = join_spans(text.words, self.select(text, costs, max_tokens, scales))
            readable = len(self._encode(chosen)["input_ids"]) > 0
            full_tokens = int(costs.sum()) + self.num_special_tokens
            readings.append(
                {"text": chosen if readable else "", "tokens": 0, "full_tokens": full_tokens}
            )
        read = [reading for reading in readings if reading["text"]]
        answers = self.classify([reading["text"] for reading in read]) if read else []
        for reading, answer in zip(read, answers, strict=True):
            reading.update(answer)
        return readings

    def classify(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Label, score and number of tokens read of each text, special tokens included.

        Args:
            texts: At least one; none without a token.
        """
        logits, tokens = self._compute(texts)
        answers = name_predictions(self.model, logits)
        return [answer | {"tokens": count} for answer, count in zip(answers, tokens, strict=True)]

    # What a cascade asks of a reader.

    def list_stages(self, max_tokens: int | None) -> list[Stage]:
        """All the tokens at once; `None`: the default."""
        return [max_tokens or DEFAULT_MAX_TOKENS]

    def check_stages(self, stages: Sequence[Stage]) -> None:
        """Check that each budget leaves room for text; see `check_budget`."""
        for stage in stages:
            if stage != FULL:
                self.check_budget(int(stage))

    def open(
        self, batch: LocalizedTexts, rows: Sequence[int], stages: Sequence[Stage]
    ) -> list[ReadableText]:
        """Some texts of a batch, ready for `cut` at any of the stages."""
        scales = batch.localizer.reading_scales
        return [
            ReadableText(located, self.count(located.words), scales)
            for located in batch.locate(rows)
        ]

    def cut(self, view: ReadableText, stage: Stage) -> list[str]:
        """What there is to read of a text at a stage: one piece, or none without a token."""
        words = view.located.words
        if stage == FULL:
            spans = [(0, len(words))] if view.costs.sum() else []
        else:
            spans = self.select(view.located, view.costs, int(stage), view.scales)
        text = join_spans(words, spans)
        return [text] if self._encode(text)["input_ids"] else []

    def compute_pieces(
        self, pieces: Sequence[tuple[ReadableText, str]]
    ) -> tuple[Tensor, list[int]]:
        """Logits of pieces, (pieces, labels), and the number of tokens of each."""
        return self._compute([text for _, text in pieces], self.most_tokens)

    def count_multiply_adds(self, size: int) -> int:
        """What the classifier computes for a piece of so many tokens."""
        return self.costs.count_tokens(size)

    def full_multiply_adds(self, texts: Sequence[str]) -> list[int]:
        """What the classifier would compute for each full text, cut to what it reads."""
        encoded = self.tokenizer(
            [encodable(text) for text in texts], truncation=True, max_length=self.most_tokens
        )
        return [self.costs.count_tokens(len(ids)) for ids in encoded["input_ids"]]

    @torch.no_grad()
    def _compute(
        self, texts: Sequence[str], max_length: int | None = None
    ) -> tuple[Tensor, list[int]]:
        """Logits, (texts, labels), and the number of tokens read of each text."""
        inputs = self.tokenizer(
            [encodable(text) for text in texts],
            padding=True,
            truncation=max_length is not None,
            max_length=max_length,
            return_tensors="pt",
        )
        tokens = inputs["attention_mask"].sum(dim=1).tolist()
        return self.network(**inputs.to(self.model.device)).logits, tokens

    def save_pretrained(self, folder: str | PathLike[str], **kwargs: Any) -> None:
        """Write the model and its tokenizer."""
        self.model.save_pretrained(folder, **kwargs)
        self.tokenizer.save_pretrained(folder)

    def _encode(self, text: str, **kwargs: Any) -> Any:
        return self.tokenizer(
            encodable(text), add_special_tokens=False, truncation=False, verbose=False, **kwargs
        )
