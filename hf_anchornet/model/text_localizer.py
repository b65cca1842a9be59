"""A text localizer ready for inference: logits and evidence of a batch of texts, by word."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .backend import EAGER, make_network
from .cascade_rule import NGRAMS, Stage
from .classifier import is_multi_label
from .costs import ShapeCosts
from .geometry import Window, show_evidence
from .localizer import Localizer
from .text_growth import check_growth
from .text_spans import attribute_tokens, locate_texts, sum_passages
from .text_words import LocatedText, encodable

Offsets = Sequence[tuple[int, int]] | NDArray[np.int64]
"""Characters `[start, end)` of each token of a text, (tokens, 2)."""

TokenIds = Sequence[int] | NDArray[np.int64]
"""Token ids of a text, (tokens,)."""


class TokenizedTexts(NamedTuple):
    """Texts, the token ids of each and their offsets."""

    texts: Sequence[str]
    ids: Sequence[TokenIds]
    offsets: Sequence[Offsets]

    def take(self, rows: Sequence[int]) -> "TokenizedTexts":
        """Some of the texts."""
        return TokenizedTexts(
            [self.texts[row] for row in rows],
            [self.ids[row] for row in rows],
            [self.offsets[row] for row in rows],
        )


class LocalizedTexts:
    """A batch of texts with their logits and evidence, of the whole localizer or of its n-grams.

    Args:
        source: The texts.
        evidence: As it is shown, one tensor a branch: (batch, positions, labels).
        logits: (batch, labels).
        windows: One window a branch.
        localizer: The localizer that produced this batch.

    Attributes:
        deepened: Rows that the whole localizer read later, by `deepen`, and their batch.
    """

    def __init__(
        self,
        source: TokenizedTexts,
        evidence: Sequence[Tensor],
        logits: Tensor,
        windows: tuple[Window, ...],
        localizer: "TextLocalizer",
    ) -> None:
        self.source = source
        self.texts, _, self.offsets = source
        self.evidence = evidence
        self.logits = logits
        self.windows = windows
        self.localizer = localizer
        self.deepened: list[tuple[Sequence[int], LocalizedTexts]] = []
        self._located: dict[int, LocatedText] = {}

    @property
    def by_ngrams(self) -> bool:
        """Whether no more than the n-gram tables was looked up."""
        return self.windows == self.localizer.ngram_windows

    def take(self, rows: Sequence[int]) -> "LocalizedTexts":
        """Some of the texts, as if they had been read without the others."""
        return LocalizedTexts(
            self.source.take(rows),
            [branch[rows] for branch in self.evidence],
            self.logits[rows],
            self.windows,
            self.localizer,
        )

    def deepen(self, rows: Sequence[int]) -> "LocalizedTexts":
        """These rows, at least one, read by the whole localizer, without tokenizing them again."""
        self.deepened.append((rows, self.localizer.read_tokens(*self.source.take(rows))))
        return self.deepened[-1][1]

    def split(self) -> list[tuple[Sequence[int], "LocalizedTexts"]]:
        """All rows, each once, in the batch that answered last, and their place in this one."""
        deeper = {row for rows, _ in self.deepened for row in rows}
        rest = [row for row in range(len(self.texts)) if row not in deeper]
        if not deeper:
            return [(rest, self)]
        return [*self.deepened, (rest, self.take(rest))] if rest else self.deepened

    def locate(self, rows: Sequence[int] | None = None) -> list[LocatedText]:
        """The texts of these rows (default: all) with the attribution of their words."""
        rows = range(len(self.texts)) if rows is None else rows
        missing = [row for row in rows if row not in self._located]
        if missing:
            located = locate_texts(
                [self.texts[row] for row in missing],
                [self.offsets[row] for row in missing],
                [branch[missing] for branch in self.evidence],
                self.windows,
            )
            self._located.update(zip(missing, located, strict=True))
        return [self._located[row] for row in rows]

    def list_candidates(self, scales: Sequence[int]) -> tuple[Sequence[Tensor], Sequence[Window]]:
        """Evidence, one tensor a size, and windows to choose spans from.

        Args:
            scales: Sizes of the spans, in tokens: windows of this batch or, if one of them is not,
                passages of any size.
        """
        windows = self.windows
        if set(scales) - {window.size for window in windows}:
            device = self.logits.device
            lengths = torch.tensor([len(tokens) for tokens in self.offsets], device=device)
            attribution = attribute_tokens(self.evidence, windows, lengths, int(lengths.max()))
            return sum_passages(attribution, lengths, sorted(set(scales)))
        branches = [i for i, window in enumerate(windows) if window.size in scales]
        return [self.evidence[i] for i in branches], [windows[i] for i in branches]

    def multiply_adds(self) -> list[int]:
        """Multiply-adds for each text alone, without padding: 0 for tables, which are looked up."""
        if self.by_ngrams:
            return [0] * len(self.offsets)
        return [self.localizer.costs.count_tokens(len(tokens)) for tokens in self.offsets]


class TextLocalizer(Localizer):
    """A text localizer with its tokenizer.

    Args:
        model: An `AnchorNetTextForSequenceClassification`.
        tokenizer: The fast tokenizer that it was trained with.
        backend: Runtime: "eager", "compile" or "onnx"; see `make_network`.

    Raises:
        ImportError: if the extra `onnx` is needed and not installed.
        ValueError: if `backend` is unknown or cannot run the model, or if the tokenizer could make
            a text so long that memory runs out; see `check_growth`.
    """

    modality: ClassVar[str] = "text"
    model_class: ClassVar[Any] = AutoModelForSequenceClassification
    processor_class: ClassVar[Any] = AutoTokenizer

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, backend: str = EAGER
    ) -> None:
        check_growth(tokenizer)
        self.model = model.eval()
        self.network = make_network(model, backend)
        self.processor = self.tokenizer = tokenizer
        self.windows = cast(tuple[Window, ...], model.windows)
        self.ngram_windows = cast(tuple[Window, ...], model.ngram_windows)
        self.reading_scales = cast(list[int], model.reading_scales)
        self.costs = ShapeCosts(model, torch.long)

    def check_input(self, item: Any, name: str) -> str:
        """The text itself.

        Raises:
            TypeError: if it is not a string; the message calls it `name`.
        """
        if not isinstance(item, str):
            raise TypeError(
                f"{name} must be a string, got {type(item).__name__} ({item!r:.60}); convert it, "
                "leave it out or, for a dataset, pass its text column."
            )
        return item

    def measure(self, text: str) -> int:
        """The length of a text: those of a batch should be alike."""
        return len(text)

    @property
    def has_ngrams(self) -> bool:
        """Whether the model has n-gram branches, which may answer alone."""
        return bool(self.ngram_windows)

    @property
    def unknown_token_id(self) -> int:
        """The token without meaning: the unknown token or, if there is none, the padding token."""
        unknown = self.tokenizer.unk_token_id
        return cast(int, self.tokenizer.pad_token_id if unknown is None else unknown)

    def tokenize(self, texts: Sequence[str]) -> BatchEncoding:
        """`input_ids` and `offset_mapping` of whole texts, without special tokens."""
        encoded: BatchEncoding = self.tokenizer(
            [encodable(text) for text in texts],
            add_special_tokens=False,
            truncation=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        return encoded

    def read(self, texts: Sequence[str]) -> LocalizedTexts:
        """The localized batch of texts of any length, at least one."""
        encoded = self.tokenize(texts)
        return self.read_tokens(texts, encoded["input_ids"], encoded["offset_mapping"])

    def start(self, texts: Sequence[str], stages: Sequence[Stage]) -> LocalizedTexts:
        """The batch of texts, at least one, at the first stage of a cascade; see `start_tokens`."""
        encoded = self.tokenize(texts)
        return self.start_tokens(texts, encoded["input_ids"], encoded["offset_mapping"], stages)

    def start_tokens(
        self,
        texts: Sequence[str],
        ids: Sequence[TokenIds],
        offsets: Sequence[Offsets],
        stages: Sequence[Stage],
    ) -> LocalizedTexts:
        """A batch as `glance_tokens` or `read_tokens`: by what answers first of these stages."""
        first = self.glance_tokens if NGRAMS in stages else self.read_tokens
        return first(texts, ids, offsets)

    @torch.no_grad()
    def read_tokens(
        self, texts: Sequence[str], ids: Sequence[TokenIds], offsets: Sequence[Offsets]
    ) -> LocalizedTexts:
        """The localized batch of texts that are tokenized already.

        Args:
            texts: The original texts.
            ids: Token ids of each text.
            offsets: Of each text.
        """
        output = self.network(*self._pad(ids), output_evidence=True)
        return self._show(TokenizedTexts(texts, ids, offsets), output, self.windows)

    def glance_tokens(
        self, texts: Sequence[str], ids: Sequence[TokenIds], offsets: Sequence[Offsets]
    ) -> LocalizedTexts:
        """As `read_tokens`, by the n-gram branches alone, whose tables torch looks up.

        Raises:
            ValueError: if the model has no n-grams.
        """
        model: Any = self.model
        output = model.glance(*self._pad(ids))
        return self._show(TokenizedTexts(texts, ids, offsets), output, self.ngram_windows)

    def _pad(self, ids: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
        """Token ids and their mask, (batch, tokens), on the model's device."""
        rows = [torch.as_tensor(row, dtype=torch.long) for row in ids]
        tokens = pad_sequence(rows, batch_first=True)  # (batch, tokens)
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        return tokens.to(self.model.device), mask.to(self.model.device)

    def _show(
        self, source: TokenizedTexts, output: Any, windows: tuple[Window, ...]
    ) -> LocalizedTexts:
        """The batch with the model's output, evidence centred."""
        evidence = show_evidence(output.evidence, is_multi_label(self.model))
        return LocalizedTexts(source, evidence, output.logits, windows, self)
