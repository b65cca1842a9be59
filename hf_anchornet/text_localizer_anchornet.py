"""A text localizer at work: logits and evidence of a batch of texts, their words located."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, cast

import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .classifier_anchornet import is_multi_label
from .geometry_anchornet import Window, show_evidence
from .spans_anchornet import locate_texts
from .timing import ShapeCosts
from .words_anchornet import LocatedText, encodable

Offsets = Sequence[tuple[int, int]]
"""Characters `[start, end)` of each token of a text."""


class LocalizedTexts:
    """A batch of texts and what a localizer says about them.

    Args:
        texts: The original texts.
        offsets: Of each text.
        evidence: As it is shown, one tensor a branch: (batch, positions, labels).
        logits: (batch, labels).
        localizer: Who says so.
    """

    def __init__(
        self,
        texts: Sequence[str],
        offsets: Sequence[Offsets],
        evidence: Sequence[Tensor],
        logits: Tensor,
        localizer: "TextLocalizer",
    ) -> None:
        self.texts = texts
        self.offsets = offsets
        self.evidence = evidence
        self.logits = logits
        self.localizer = localizer
        self._located: dict[int, LocatedText] = {}

    def locate(self, rows: Sequence[int] | None = None) -> list[LocatedText]:
        """The texts of these rows (default: all) with what all windows put on their words."""
        rows = range(len(self.texts)) if rows is None else rows
        missing = [row for row in rows if row not in self._located]
        if missing:
            located = locate_texts(
                [self.texts[row] for row in missing],
                [self.offsets[row] for row in missing],
                [branch[missing] for branch in self.evidence],
                self.localizer.windows,
            )
            self._located.update(zip(missing, located, strict=True))
        return [self._located[row] for row in rows]

    def multiply_adds(self) -> list[int]:
        """What the localizer computed for each text alone, padding left out."""
        return [self.localizer.costs.count_tokens(len(tokens)) for tokens in self.offsets]


class TextLocalizer:
    """A text localizer with its tokenizer.

    Args:
        model: An `AnchorNetTextForSequenceClassification`.
        tokenizer: The fast tokenizer that it was trained with.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.windows = cast(tuple[Window, ...], model.windows)
        self.reading_scales = cast(list[int], model.reading_scales)
        self.costs = ShapeCosts(model, torch.long)

    @classmethod
    def load(
        cls, source: str | PathLike[str], device: torch.device | None = None
    ) -> "TextLocalizer":
        """The localizer of a folder or Hub id."""
        model = AutoModelForSequenceClassification.from_pretrained(source)
        return cls(model.to(device or "cpu"), AutoTokenizer.from_pretrained(source))

    def save_pretrained(self, folder: str | PathLike[str], **kwargs: Any) -> None:
        """Write the model and its tokenizer."""
        self.model.save_pretrained(folder, **kwargs)
        self.tokenizer.save_pretrained(folder)

    def check_input(self, item: Any, name: str) -> str:
        """The text itself.

        Raises:
            TypeError: if it is none, naming it by `name`.
        """
        if not isinstance(item, str):
            raise TypeError(
                f"{name} must be a string, got {type(item).__name__} ({item!r:.60}); convert it, "
                "leave it out or, for a dataset, pass its text column."
            )
        return item

    def read(self, texts: Sequence[str]) -> LocalizedTexts:
        """What the localizer says of texts of any length, at least one."""
        inputs = self.tokenizer(
            [encodable(text) for text in texts],
            add_special_tokens=False,
            truncation=False,
            padding=True,
            return_offsets_mapping=True,
            return_tensors="pt",
            verbose=False,
        )
        # A batch without a token comes as floats.
        ids = inputs["input_ids"].long().to(self.model.device)
        mask = inputs["attention_mask"].long().to(self.model.device)
        offsets = [
            spots[:count].tolist()
            for spots, count in zip(inputs["offset_mapping"], mask.sum(dim=1).tolist(), strict=True)
        ]
        return self.read_tokens(texts, offsets, ids, mask)

    @torch.no_grad()
    def read_tokens(
        self, texts: Sequence[str], offsets: Sequence[Offsets], ids: Tensor, mask: Tensor
    ) -> LocalizedTexts:
        """What the localizer says of texts that are tokenized already.

        Args:
            texts: The original texts.
            offsets: Of each text.
            ids: (batch, tokens), int64.
            mask: (batch, tokens), True or 1 = a token.
        """
        output: Any = self.model(ids, mask, output_evidence=True)
        evidence = show_evidence(output.evidence, is_multi_label(self.model))
        return LocalizedTexts(texts, offsets, evidence, output.logits, self)
