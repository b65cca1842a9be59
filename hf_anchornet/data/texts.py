"""Texts of a split: checked, tokenized and collated into padded batches."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_anchornet.model.text_words import encodable

from .splits import DataOptions, load_labelled_rows, number_labels


def load_labelled_texts(options: DataOptions) -> tuple[Dataset, Dataset, list[str]]:
    """The training split, the validation split, and the labels of the former.

    Raises:
        TypeError: if a training text is not a string, naming its row.
        ValueError: if all are blank; see also `load_labelled_rows`.
    """
    loaded = load_labelled_rows(options, options.text_column)
    rows, column = loaded[0], options.text_column
    check_texts(rows, column)
    if not any(text.strip() for text in rows[column]):
        raise ValueError(
            f"`text_column` must be a column of texts, got {column!r} with {len(rows):,} blank "
            "ones; name another, or fill it."
        )
    return loaded


def check_texts(rows: Any, column: str) -> None:
    """Raise a `TypeError` naming the first row whose text is not a string."""
    for row, text in enumerate(rows[column]):
        if not isinstance(text, str):
            raise TypeError(
                f"`{column}` must hold strings, got {type(text).__name__} in row {row}; drop or "
                "fill that row."
            )


def tokenize(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, options: DataOptions, labels: Sequence[str]
) -> Dataset:
    """Columns `input_ids` (whole texts, no special tokens), `length` and `labels`."""
    check_texts(rows, options.text_column)

    def encode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        ids = encode_texts(tokenizer, batch[options.text_column])
        return {"input_ids": ids, "length": [len(row) for row in ids]}

    targets = number_labels(rows, options.label_column, labels)
    encoded = rows.map(encode, batched=True, remove_columns=rows.column_names, desc="tokenizing")
    return encoded.add_column("labels", targets)


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of whole texts, without special tokens."""
    found: list[list[int]] = tokenizer(
        [encodable(text) for text in texts],
        add_special_tokens=False,
        truncation=False,
        verbose=False,
    )["input_ids"]
    return found


def make_collator(
    pad_token_id: int, crop_tokens: int | None = None
) -> Callable[[list[dict[str, Any]]], dict[str, Tensor]]:
    """A function from tokenized rows to a padded batch.

    Args:
        pad_token_id: Id of the padding token; padding is added on the right.
        crop_tokens: Length of the random crop taken from each longer text, anew each time;
            `None`: whole texts.
    """

    def crop(ids: list[int]) -> list[int]:
        if crop_tokens is None or len(ids) <= crop_tokens:
            return ids
        start = int(torch.randint(len(ids) - crop_tokens + 1, ()))
        return ids[start : start + crop_tokens]

    def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        pieces = [torch.tensor(crop(row["input_ids"]), dtype=torch.long) for row in rows]
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(pieces, batch_first=True, padding_value=pad_token_id),
            "attention_mask": pad([torch.ones_like(piece) for piece in pieces], batch_first=True),
            "labels": torch.tensor([row["labels"] for row in rows]),
        }

    return collate
