"""Rows of any `datasets` source, opened whole or as a stream that nothing has to hold."""

from pathlib import Path
from typing import Any

import fsspec
from datasets import (
    Dataset,
    DatasetBuilder,
    Features,
    IterableDataset,
    load_dataset,
    load_dataset_builder,
)
from datasets import Image as ImageFeature
from pyarrow import parquet

FILE_FORMATS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".tar": "webdataset",
}
SPLIT = "{split}"
"""In a pattern of files: where the name of the split stands."""

FIRST_ROWS = 100
"""Rows that tell the columns of a stream whose files do not name them (.csv, .json)."""


def open_rows(source: str, subset: str | None, split: str) -> Dataset:
    """One split of a source, on the disk.

    Args:
        source: See `DataOptions`.
        subset: Configuration of the source, where it has several.
        split: Its name.

    Raises:
        ValueError: if there is no such split.
        FileNotFoundError: if `source` names files and there is none.
    """
    kind, files = _name_files(source, split)
    if kind is None:
        return _choose(load_dataset(source, subset), source, split)
    _open_files(source, kind, files)
    return _choose(load_dataset(kind, data_files=files), source, split)


def open_stream(source: str, subset: str | None, split: str) -> IterableDataset:
    """One split of a source as a stream: nothing is downloaded or held; see `open_rows`."""
    rows = _choose(_open_builder(source, subset, split).as_streaming_dataset(), source, split)
    if rows.features is None:
        first = list(rows.take(FIRST_ROWS))
        if not first:
            raise ValueError(f"split `{split}` of {source} must have rows, got none; add some.")
        rows = rows.cast(Dataset.from_list(first).features)
    return rows


def open_held_out(source: str, subset: str | None, split: str) -> Dataset:
    """As `open_rows`, but no file of another split is read or downloaded."""
    builder = _open_builder(source, subset, split)
    files = _choose(builder.config.data_files, source, split)
    opened: Dataset = load_dataset(
        builder.name, data_files={split: list(files)}, split=split, features=builder.info.features
    )
    return opened


def count_rows(source: str, subset: str | None, split: str) -> int | None:
    """How many rows a split has, from what is written about it; `None`: nothing is.

    A source on the Hub may tell; the footers of parquet files always do.
    """
    builder = _open_builder(source, subset, split)
    told = (builder.info.splits or {}).get(split)
    if told is not None and told.num_examples:
        return int(told.num_examples)
    if builder.name != "parquet":
        return None
    total = 0
    for path in builder.config.data_files[split]:
        with fsspec.open(path, "rb") as file:
            total += parquet.read_metadata(file).num_rows
    return total


def name_tar_columns(rows: Any, image_column: str, label_column: str) -> Any:
    """Rows of tar shards (WebDataset) with their columns named as options name them.

    The one column of images (`.jpg`, `.png`, ...) becomes `image_column`; `.cls`, or else the field
    `label_column` of `.json`, becomes `label_column`. What cannot be found stays as it is, and so
    do rows of other sources and columns that have the right name.

    Args:
        rows: A `Dataset` or an `IterableDataset`.
        image_column: See `DataOptions`.
        label_column: The same.
    """
    features = rows.features
    if not {"__key__", "__url__"} <= set(features):
        return rows
    images = [name for name, kind in features.items() if isinstance(kind, ImageFeature)]
    for name in images:  # else each would be decoded on its way
        rows = rows.cast_column(name, ImageFeature(decode=False))
    if image_column and image_column not in features and len(images) == 1:
        rows = rows.rename_column(images[0], image_column)
    described = features.get("json")
    if label_column in features:
        return rows
    if "cls" in features:
        return rows.rename_column("cls", label_column)
    if isinstance(described, dict) and label_column in described:
        known = Features({**rows.features, label_column: described[label_column]})
        return rows.map(_take_label, fn_kwargs={"column": label_column}, features=known)
    return rows


def _take_label(row: dict[str, Any], column: str) -> dict[str, Any]:
    return {column: row["json"][column]}


def _name_files(source: str, split: str) -> tuple[str | None, dict[str, str]]:
    """The format of files and where those of a split are; `None`: `datasets` finds out itself."""
    kind = FILE_FORMATS.get(Path(source).suffix)
    if SPLIT in source:
        return kind, {split: source.replace(SPLIT, split)}
    return kind, {"train": source}


def _open_builder(source: str, subset: str | None, split: str) -> DatasetBuilder:
    kind, files = _name_files(source, split)
    if kind is None:
        return load_dataset_builder(source, subset)
    return _open_files(source, kind, files)


def _open_files(source: str, kind: str, files: dict[str, str]) -> DatasetBuilder:
    try:
        builder = load_dataset_builder(kind, data_files=files)
    except FileNotFoundError:
        builder = None
    if builder is None or not all(builder.config.data_files.values()):
        raise FileNotFoundError(
            f"`dataset` must be an existing file, got {source}, which no file is and no file fits; "
            "check the path or the pattern."
        )
    return builder


def _choose(splits: Any, source: str, split: str) -> Any:
    if split not in splits:
        raise ValueError(
            f"split `{split}` is not in {source}, which has {sorted(map(str, splits))}; name one "
            "of these."
        )
    return splits[split]
