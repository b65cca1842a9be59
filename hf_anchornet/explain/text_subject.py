"""A transformers text classifier as explainers use it: tokens, words and probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_anchornet.model.classifier import check_truncation, count_readable_tokens
from hf_anchornet.model.selection import check_count
from hf_anchornet.model.text_localizer import TextLocalizer
from hf_anchornet.model.text_reader import TEXT_CLASSIFIER
from hf_anchornet.model.text_words import LocatedText, Words, encodable

from .subject import Subject


@dataclass(frozen=True)
class ReadText:
    """A text, its words and the tokens that a model reads.

    Attributes:
        words: The words of the whole text.
        num_read: Number of leading words that the model reads.
        ids: (1, tokens), int64, the model's input, special tokens included.
        of_text: (tokens,), bool, True = a token of the text, not a special one.
        offsets: (text tokens, 2), int64, characters `[start, end)` of each text token.
    """

    words: Words
    num_read: int
    ids: Tensor
    of_text: NDArray[np.bool_]
    offsets: NDArray[np.int64]

    def score_words(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Token scores summed over words, 0 for words that are not read: (words,).

        Args:
            scores: (tokens,); special tokens are ignored.
        """
        offsets = [(start, end) for start, end in self.offsets.tolist()]
        located = LocatedText.build(self.words.text, offsets, scores[self.of_text, None])
        by_word: NDArray[np.float64] = located.attribution[:, 0]
        return by_word


class TextSubject(Subject):
    """A text classifier to explain: an AnchorNet or any other transformers model.

    An AnchorNet reads texts of any length; other models read a text up to their maximum length.

    Args:
        model: A sequence classification model.
        tokenizer: Its fast tokenizer.

    Raises:
        ValueError: if the tokenizer is not fast, has no padding token or keeps the end of texts
            that are too long.
    """

    kind = TEXT_CLASSIFIER
    anchornet_type = "anchornet_text"
    localizer_class = TextLocalizer

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.is_fast:
            raise ValueError(
                f"`tokenizer` must be a fast one, got {type(tokenizer).__name__}; convert it or "
                "choose a checkpoint with a tokenizer.json."
            )
        if tokenizer.pad_token_id is None:
            raise ValueError(
                "`tokenizer` must have a token for padding, got None; set `tokenizer.pad_token` "
                "and the model's `config.pad_token_id`."
            )
        check_truncation(tokenizer, "tokenizer")
        super().__init__(model, tokenizer)
        self.tokenizer = tokenizer

    def read(self, text: str) -> ReadText:
        """A text with its words and the tokens that the model reads."""
        encoded = self._encode(
            [text],
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_tensors="np",
        )
        words = Words.split(text)
        offsets = encoded["offset_mapping"][0].reshape(-1, 2).astype(np.int64)
        # The placeholder token of an empty text has characters that are not in the text.
        of_text = (encoded["special_tokens_mask"][0] == 0) & (offsets[:, 1] <= len(text))
        offsets = offsets[of_text]
        num_read = int(np.searchsorted(words.starts, offsets[:, 1].max(initial=0)))
        ids = torch.from_numpy(encoded["input_ids"].astype(np.int64)).to(self.model.device)
        return ReadText(words, num_read, ids, of_text, offsets)

    def locate(self, text: str) -> LocatedText:
        """A text with the attribution of its words by an AnchorNet itself, exact, in one pass.

        Raises:
            ValueError: if the model is not an AnchorNet.
        """
        located: LocatedText
        (located,) = self.localizer.read([text]).locate()
        return located

    @torch.no_grad()
    def predict(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float64]:
        """Probabilities of the labels of texts, in [0, 1]: (texts, labels).

        Texts of similar length are read together, `batch_size` at a time; they may be empty.
        """
        check_count("batch_size", batch_size)
        probs = np.zeros((len(texts), len(self.labels)))
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            logits = self.model(**self._make_inputs([texts[row] for row in rows])).logits
            probs[rows] = self.to_probs(logits)
        return probs

    def _make_inputs(self, texts: Sequence[str]) -> dict[str, Tensor]:
        inputs = self._encode(texts, padding=True, return_tensors="pt").to(self.model.device)
        if not self.is_anchornet:
            return dict(inputs)
        # Texts without any token make float tensors.
        return {name: inputs[name].long() for name in ("input_ids", "attention_mask")}

    def _encode(self, texts: Sequence[str], **options: Any) -> Any:
        if self.is_anchornet:
            options |= {"add_special_tokens": False, "truncation": False, "verbose": False}
        else:
            longest = count_readable_tokens(self.model, self.tokenizer)
            options |= {"truncation": True, "max_length": longest}
        return self.tokenizer([self._fill(encodable(text)) for text in texts], **options)

    def _fill(self, text: str) -> str:
        """The text, or a padding token for a blank text that would have no token at all."""
        if text.strip() or self.is_anchornet or self.tokenizer.num_special_tokens_to_add():
            return text
        return str(self.tokenizer.pad_token)
