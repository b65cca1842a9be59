"""From the options of a data source to a stream of its rows and the batches of a process."""

from collections.abc import Callable
from typing import Any

from accelerate import Accelerator
from datasets import Dataset, IterableDataset
from datasets import Image as ImageFeature
from torch import Tensor

from hf_anchornet.data.sources import count_rows, name_tar_columns, open_held_out, open_stream
from hf_anchornet.data.splits import DataOptions, check_column

from .options import TrainingOptions
from .streams import Row, StreamLoader, StreamSettings, order_rows

MakeBatch = Callable[[list[Row]], dict[str, Tensor]]


def open_training_stream(data: DataOptions, inputs: str) -> IterableDataset:
    """The rows to learn from: inputs, images as files, and labels.

    A shard is a group of rows of a parquet file, or another file: of a parquet shard pyarrow
    decodes all at once, and several are open at a time. The footers of all parquet files are read.

    Args:
        data: Where they are.
        inputs: Column of texts or images.

    Raises:
        ValueError: if the split or a column is missing; says what there is instead.
        ImportError: if `datasets` cannot read groups of rows alone.
    """
    rows = open_stream(data.dataset, data.subset, data.train_split)
    if not hasattr(rows, "reshard"):
        raise ImportError(
            "`streaming` needs a version of datasets that has `IterableDataset.reshard`; install "
            "it with `pip install --upgrade datasets`."
        )
    rows = rows.reshard()
    rows = _check_columns(rows, data, inputs).select_columns([inputs, data.label_column])
    if isinstance(rows.features[inputs], ImageFeature):
        rows = rows.cast_column(inputs, ImageFeature(decode=False))
    return rows


def load_validation(data: DataOptions, inputs: str) -> Dataset:
    """The rows to choose the best epoch on, on the disk; see `open_training_stream`."""
    rows = open_held_out(data.dataset, data.subset, data.validation_split)
    return _check_columns(rows, data, inputs)


def _check_columns(rows: Any, data: DataOptions, inputs: str) -> Any:
    rows = name_tar_columns(rows, data.image_column, data.label_column)
    for column in (inputs, data.label_column):
        check_column(rows.column_names, column)
    return rows


def take_first(rows: IterableDataset, data: DataOptions, seed: int) -> Dataset:
    """The first `data.vocabulary_rows` rows of the first pass, in memory."""
    ordered = order_rows(rows, StreamSettings(1, seed, data.shuffle_buffer), 0)
    return Dataset.from_list(list(ordered.take(data.vocabulary_rows)), features=rows.features)


def list_columns(rows: list[Row]) -> dict[str, list[Any]]:
    """The values of each column."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def make_stream_loader(
    data: DataOptions,
    rows: IterableDataset,
    make_batch: MakeBatch,
    options: TrainingOptions,
    accelerator: Accelerator,
) -> StreamLoader:
    """The batches of this process.

    Args:
        data: Where the rows are.
        rows: From `open_training_stream`.
        make_batch: From rows to a batch.
        options: How to train.
        accelerator: From `make_accelerator`.

    Raises:
        ValueError: if `options.max_steps` is 0 and nothing tells how many rows there are.
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
    num_rows = count_rows(data.dataset, data.subset, data.train_split)
    steps = _count_steps(num_rows, options, accelerator.num_processes)
    return StreamLoader(rows, make_batch, settings, steps, num_rows)


def _count_steps(num_rows: int | None, options: TrainingOptions, num_processes: int) -> int:
    step = options.batch_size * options.gradient_accumulation_steps * num_processes
    if not num_rows:
        raise ValueError(
            "`max_steps` must be at least 1 for a stream of which nothing tells how many rows it "
            f"has, got {options.max_steps}; set it to the passes you want times rows / {step}, the "
            "rows of a step."
        )
    return -(-num_rows // step) * options.num_epochs
