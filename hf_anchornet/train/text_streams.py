"""Training batches of a stream of texts, and the rows in which a vocabulary is found."""

from datasets import Dataset, IterableDataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_anchornet.data.splits import DataOptions, class_names, find_labels, number_values
from hf_anchornet.data.texts import check_texts, encode_texts, make_collator

from .stream_sources import MakeBatch, list_columns, load_validation, take_first
from .streams import Row


def load_first_texts(
    rows: IterableDataset, data: DataOptions, seed: int
) -> tuple[Dataset, Dataset, list[str]]:
    """The first rows of a stream, the rows to choose the best epoch on, labels of the former.

    Raises:
        TypeError: if one of the first texts is not a string.
        ValueError: see `load_validation` and `find_labels`.
    """
    first = take_first(rows, data, seed)
    check_texts(first, data.text_column)
    labels = find_labels(first, data.label_column)
    return first, load_validation(data, data.text_column), labels


def make_text_batch(
    rows: IterableDataset,
    tokenizer: PreTrainedTokenizerBase,
    data: DataOptions,
    labels: list[str],
    crop_tokens: int | None,
) -> MakeBatch:
    """A function from rows of `rows` to what `tokenize` and `make_collator` make of them."""
    collate = make_collator(tokenizer.pad_token_id, crop_tokens)
    names = class_names(rows, data.label_column)

    def make_batch(found: list[Row]) -> dict[str, Tensor]:
        columns = list_columns(found)
        check_texts(columns, data.text_column)
        ids = encode_texts(tokenizer, columns[data.text_column])
        targets = number_values(columns[data.label_column], names, data.label_column, labels)
        pairs = zip(ids, targets, strict=True)
        return collate([{"input_ids": tokens, "labels": target} for tokens, target in pairs])

    return make_batch
