"""Streams of labelled texts and images, from data options to the batches of a process."""

from collections.abc import Callable
from typing import Any

from accelerate import Accelerator
from datasets import Dataset, IterableDataset
from datasets import Image as ImageFeature
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.images import collate_images, make_random_view, open_row_image
from hf_anchornet.data.splits import (
    DataOptions,
    check_input_columns,
    class_names,
    find_labels,
    number_values,
)
from hf_anchornet.data.texts import check_texts, encode_texts, make_collator
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor

from .options import CompleteOptions
from .streams import Row, StreamLoader, StreamSettings, order_rows

MakeBatch = Callable[[list[Row]], dict[str, Tensor]]


def open_training_stream(data: DataOptions, inputs: str, balance: bool = False) -> IterableDataset:
    """The training split as a stream of inputs and labels; images are not decoded.

    A shard is a row group of a parquet file, or another whole file. pyarrow decodes a parquet
    shard at once, and several are open at a time. The footers of all parquet files are read.

    Args:
        data: The source.
        inputs: Column of texts or images.
        balance: See `TrainingOptions`; it is refused.

    Raises:
        ValueError: if the split or a column is missing, or classes are to be balanced.
        ImportError: if `datasets` cannot read single row groups.
    """
    if balance:
        raise ValueError(
            "`balance` must be False with `streaming`, got True: it needs the labels of all rows "
            "before training; leave out one of them."
        )
    rows = data.source.open_stream(data.train_split)
    if not hasattr(rows, "reshard"):
        raise ImportError(
            "`streaming` needs a version of datasets that has `IterableDataset.reshard`; install "
            "it with `pip install --upgrade datasets`."
        )
    rows = check_input_columns(rows.reshard(), data, inputs)
    rows = rows.select_columns([inputs, data.label_column])
    if isinstance(rows.features[inputs], ImageFeature):
        rows = rows.cast_column(inputs, ImageFeature(decode=False))
    return rows


def load_validation(data: DataOptions, inputs: str) -> Dataset:
    """The validation split, on disk; no file of another split is read."""
    rows = data.source.open_held_out(data.validation_split)
    named: Dataset = check_input_columns(rows, data, inputs)
    return named


def take_first(rows: IterableDataset, data: DataOptions, seed: int) -> Dataset:
    """The first `data.vocabulary_rows` rows of the first pass, in memory."""
    ordered = order_rows(rows, StreamSettings(1, seed, data.shuffle_buffer), 0)
    return Dataset.from_list(list(ordered.take(data.vocabulary_rows)), features=rows.features)


def load_first_texts(
    rows: IterableDataset, data: DataOptions, seed: int
) -> tuple[Dataset, Dataset, list[str]]:
    """The first rows of a stream of texts, the validation split, and the labels of the former.

    Raises:
        TypeError: if one of the first texts is not a string.
        ValueError: see `load_validation` and `find_labels`.
    """
    first = take_first(rows, data, seed)
    check_texts(first, data.text_column)
    labels = find_labels(first, data.label_column)
    return first, load_validation(data, data.text_column), labels


def find_image_labels(rows: IterableDataset, data: DataOptions, seed: int) -> list[str]:
    """The labels of a stream of images, from a `ClassLabel` column or else from the first rows.

    Raises:
        ValueError: see `find_labels`.
    """
    names = class_names(rows, data.label_column)
    if names is not None and len(names) > 1:
        return names
    first = take_first(rows.select_columns(data.label_column), data, seed)
    return find_labels(first, data.label_column)


def make_text_batch(
    rows: IterableDataset,
    tokenizer: PreTrainedTokenizerBase,
    data: DataOptions,
    labels: list[str],
    crop_tokens: int | None,
) -> MakeBatch:
    """A function from rows of a stream to the batch that `tokenize` and `make_collator` give."""
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


def make_image_batch(
    rows: IterableDataset,
    processor: AnchorNetImageProcessor,
    data: DataOptions,
    labels: list[str],
    augmentation: AugmentationOptions,
) -> MakeBatch:
    """A function from rows of a stream to a batch of random views, as `make_training_images`."""
    view, names = make_random_view(processor, augmentation), class_names(rows, data.label_column)

    def make_batch(found: list[Row]) -> dict[str, Tensor]:
        columns = list_columns(found)
        targets = number_values(columns[data.label_column], names, data.label_column, labels)
        pictures = [
            open_row_image(file, data.image_column, row, data.allow_urls)
            for row, file in enumerate(columns[data.image_column])
        ]
        views = map(view, pictures)
        pairs = zip(views, targets, strict=True)
        items = [{"pixel_values": pixels, "labels": target} for pixels, target in pairs]
        return collate_images(processor, items)

    return make_batch


def list_columns(rows: list[Row]) -> dict[str, list[Any]]:
    """The values of each column."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def make_stream_loader(
    data: DataOptions,
    rows: IterableDataset,
    make_batch: MakeBatch,
    options: CompleteOptions,
    accelerator: Accelerator,
) -> StreamLoader:
    """The batches of this process.

    Args:
        data: The source.
        rows: From `open_training_stream`.
        make_batch: Makes a batch of rows.
        options: Options of the training.
        accelerator: From `make_accelerator`.

    Raises:
        ValueError: if `options.max_steps` is 0 and the number of rows is unknown.
    """
    settings = StreamSettings(
        batch_size=options.batch_size,
        seed=options.seed,
        shuffle_buffer=data.shuffle_buffer,
        num_processes=accelerator.num_processes,
        process=accelerator.process_index,
        num_workers=options.num_workers,
    )
    if options.max_steps:
        return StreamLoader(rows, make_batch, settings, options.max_steps)
    num_rows = data.source.count_rows(data.train_split)
    steps = _count_steps(num_rows, options, accelerator.num_processes)
    return StreamLoader(rows, make_batch, settings, steps, num_rows)


def _count_steps(num_rows: int | None, options: CompleteOptions, num_processes: int) -> int:
    step = options.batch_size * options.gradient_accumulation_steps * num_processes
    if not num_rows:
        raise ValueError(
            "`max_steps` must be at least 1 for a stream whose number of rows is unknown, got "
            f"{options.max_steps}; set it to the passes you want times rows / {step}, the rows of "
            "a step."
        )
    return -(-num_rows // step) * options.num_epochs
