"""Data sources: rows on disk or as a stream, opened once however often they are asked for."""

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
"""Placeholder for the name of the split in a pattern of files."""

FIRST_ROWS = 100
"""Rows from which the columns of a stream are inferred if its files have no schema (CSV, JSON)."""


class Source:
    """A data source whose builders and splits are kept once they are opened.

    Args:
        name: See `DataOptions.dataset`.
        subset: Configuration of a source that has several.
    """

    def __init__(self, name: str, subset: str | None = None) -> None:
        self.name, self.subset = name, subset
        self._builders: dict[str, DatasetBuilder] = {}
        self._rows: dict[str, Any] = {}
        self._streams: dict[str, IterableDataset] = {}

    def open_rows(self, split: str) -> Dataset:
        """One split, downloaded to disk.

        Raises:
            ValueError: if there is no such split.
            FileNotFoundError: if the source names files that do not exist.
        """
        key = self._key(split)
        if key not in self._rows:
            if self._file_format is None:
                self._rows[key] = load_dataset(self.name, self.subset)
            else:
                builder = self._open_builder(split)
                builder.download_and_prepare()
                self._rows[key] = builder.as_dataset()
        rows: Dataset = self._choose(self._rows[key], split)
        return rows

    def open_stream(self, split: str) -> IterableDataset:
        """One split as a stream, which is neither downloaded nor held; raises as `open_rows`."""
        if split not in self._streams:
            rows = self._choose(self._open_builder(split).as_streaming_dataset(), split)
            if rows.features is None:
                first = list(rows.take(FIRST_ROWS))
                if not first:
                    raise ValueError(
                        f"split `{split}` of {self.name} must have rows, got none; add some."
                    )
                rows = rows.cast(Dataset.from_list(first).features)
            self._streams[split] = rows
        return self._streams[split]

    def open_held_out(self, split: str) -> Dataset:
        """As `open_rows`, but no file of another split is read or downloaded."""
        builder = self._open_builder(split)
        files = self._choose(builder.config.data_files, split)
        rows: Dataset = load_dataset(
            builder.name,
            data_files={split: list(files)},
            split=split,
            features=builder.info.features,
        )
        return rows

    def count_rows(self, split: str) -> int | None:
        """Number of rows of a split if metadata states it (the Hub, parquet footers), else `None`.

        No rows are read.
        """
        builder = self._open_builder(split)
        info = (builder.info.splits or {}).get(split)
        if info is not None and info.num_examples:
            return int(info.num_examples)
        if builder.name != "parquet":
            return None
        total = 0
        for path in builder.config.data_files[split]:
            with fsspec.open(path, "rb") as file:
                total += parquet.read_metadata(file).num_rows
        return total

    @property
    def _file_format(self) -> str | None:
        """Format of the files that the source names; `None`: a folder or a Hub id."""
        return FILE_FORMATS.get(Path(self.name).suffix)

    def _key(self, split: str) -> str:
        """Splits in a pattern of files are opened one by one, all others together."""
        return split if SPLIT in self.name else ""

    def _open_builder(self, split: str) -> DatasetBuilder:
        key = self._key(split)
        if key not in self._builders:
            if self._file_format is None:
                self._builders[key] = load_dataset_builder(self.name, self.subset)
            else:
                self._builders[key] = self._open_files(split)
        return self._builders[key]

    def _open_files(self, split: str) -> DatasetBuilder:
        files = {self._key(split) or "train": self.name.replace(SPLIT, split)}
        try:
            builder = load_dataset_builder(self._file_format, data_files=files)
        except FileNotFoundError:
            builder = None
        if builder is None or not all(builder.config.data_files.values()):
            raise FileNotFoundError(
                f"`dataset` must be an existing file, got {self.name}, which matches no file; "
                "check the path or the pattern."
            )
        return builder

    def _choose(self, splits: Any, split: str) -> Any:
        if split not in splits:
            raise ValueError(
                f"split `{split}` is not in {self.name}, which has {sorted(map(str, splits))}; "
                "name one of these."
            )
        return splits[split]


def name_tar_columns(rows: Any, image_column: str, label_column: str) -> Any:
    """Rows of tar shards (WebDataset) with their columns renamed to those of the options.

    The only image column (`.jpg`, `.png`, ...) becomes `image_column`; `.cls`, or else the field
    `label_column` of `.json`, becomes `label_column`. Columns that already have the right name or
    cannot be found stay as they are, and so do rows of other sources.

    Args:
        rows: A `Dataset` or an `IterableDataset`.
        image_column: See `DataOptions`.
        label_column: See `DataOptions`.
    """
    features = rows.features
    if not {"__key__", "__url__"} <= set(features):
        return rows
    images = [name for name, kind in features.items() if isinstance(kind, ImageFeature)]
    for name in images:  # otherwise each image would be decoded on the way
        rows = rows.cast_column(name, ImageFeature(decode=False))
    if image_column and image_column not in features and len(images) == 1:
        rows = rows.rename_column(images[0], image_column)
    if label_column in features:
        return rows
    if "cls" in features:
        return rows.rename_column("cls", label_column)
    described = features.get("json")
    if isinstance(described, dict) and label_column in described:
        known = Features({**rows.features, label_column: described[label_column]})
        return rows.map(_take_label, fn_kwargs={"column": label_column}, features=known)
    return rows


def _take_label(row: dict[str, Any], column: str) -> dict[str, Any]:
    return {column: row["json"][column]}
