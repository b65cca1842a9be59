"""A classifier behind a localizer: it reads the selected spans as one shorter text."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Pipeline,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TextClassificationPipeline,
)

from .budget_anchornet import select_best_spans
from .words_anchornet import (
    LocatedText,
    Span,
    Words,
    count_tokens,
    encodable,
)

Classifier = str | PathLike[str] | Pipeline | PreTrainedModel
"""A Hub id, a folder, a text-classification pipeline or a model that knows its folder."""


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
        """Take a classifier in any of its forms; `device` is for one that is loaded here.

        Raises:
            TypeError: if `classifier` is something else.
            ValueError: if a model does not say where its tokenizer is.
            OSError: if there is no model under that id or in that folder.
        """
        if isinstance(classifier, TextClassificationPipeline):
            return cls(classifier.model, cast(PreTrainedTokenizerBase, classifier.tokenizer))
        if isinstance(classifier, PreTrainedModel):
            if not classifier.name_or_path:
                raise ValueError(
                    f"`classifier` must be a model loaded from a Hub id or folder, got a "
                    f"{type(classifier).__name__} made from a config; pass "
                    '`pipeline("text-classification", model=..., tokenizer=...)` instead.'
                )
            return cls(classifier, AutoTokenizer.from_pretrained(classifier.name_or_path))
        if not isinstance(classifier, str | PathLike):
            raise TypeError(
                "`classifier` must be a Hub id, a folder, a text-classification pipeline or a "
                f"model, got {type(classifier).__name__}; load it first."
            )
        try:
            model = AutoModelForSequenceClassification.from_pretrained(classifier)
            tokenizer = AutoTokenizer.from_pretrained(classifier)
        except (OSError, ValueError) as error:
            raise OSError(
                f"`classifier` must be the Hub id or folder of a text classifier and its "
                f"tokenizer, got {str(classifier)!r}; check the path. {error}"
            ) from error
        return cls(model.to(device or "cpu"), tokenizer)

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
        logits = self.model(**inputs.to(self.model.device)).logits.float()
        multi_label = self.model.config.problem_type == "multi_label_classification"
        probs = logits.sigmoid() if multi_label else logits.softmax(dim=-1)
        scores, labels = probs.max(dim=-1)
        return [
            {"label": self.model.config.id2label[label], "score": score, "tokens": count}
            for label, score, count in zip(labels.tolist(), scores.tolist(), tokens, strict=True)
        ]

    def _encode(self, text: str, **kwargs: Any) -> Any:
        return self.tokenizer(
            encodable(text), add_special_tokens=False, truncation=False, verbose=False, **kwargs
        )
