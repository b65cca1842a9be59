"""A classifier that reads the selected spans of a text as one shorter text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TextClassificationPipeline,
)

from .budget_anchornet import select_best_spans
from .cascade_anchornet import Classifier, ClassifierKind, load_classifier, name_predictions
from .words_anchornet import LocatedText, Span, Words, count_tokens, encodable

TEXT_CLASSIFIER = ClassifierKind(
    "text-classification",
    TextClassificationPipeline,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    "tokenizer",
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
    values = np.abs(located.attribution).max(axis=-1, initial=0.0)
    return select_best_spans(located.spans(scales), values, costs, budget) or select_best_spans(
        located.spans([1]), values, costs, budget
    )


def join_spans(words: Words, spans: Sequence[Span]) -> str:
    """The text of the spans in reading order, one blank between them."""
    cuts = [words.span(*span) for span in spans]
    return " ".join(words.text[start:end] for start, end in cuts)


class SpanReader:
    """Any transformers text classifier, made to read spans instead of the whole text.

    Args:
        model: A sequence classification model.
        tokenizer: Its fast tokenizer.

    Raises:
        ValueError: if the tokenizer is not a fast one.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.is_fast:
            raise ValueError(
                f"`classifier` must have a fast tokenizer, got {type(tokenizer).__name__}; convert "
                "it or choose a checkpoint with a tokenizer.json."
            )
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.num_special_tokens = tokenizer.num_special_tokens_to_add()

    @classmethod
    def load(cls, classifier: Classifier, device: torch.device | None = None) -> "SpanReader":
        """Take a classifier in any of its forms; see `load_classifier`."""
        return cls(*load_classifier(classifier, TEXT_CLASSIFIER, device))

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

    @torch.no_grad()
    def classify(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Label, score and number of tokens read of each text, special tokens included.

        Args:
            texts: At least one; none without a token.
        """
        inputs = self.tokenizer(
            [encodable(text) for text in texts],
            padding=True,
            truncation=False,
            return_tensors="pt",
        )
        tokens = inputs["attention_mask"].sum(dim=1).tolist()
        logits = self.model(**inputs.to(self.model.device)).logits
        answers = name_predictions(self.model, logits)
        return [answer | {"tokens": count} for answer, count in zip(answers, tokens, strict=True)]

    def _encode(self, text: str, **kwargs: Any) -> Any:
        return self.tokenizer(
            encodable(text), add_special_tokens=False, truncation=False, verbose=False, **kwargs
        )
