"""Data sources: rows on disk or as a stream, opened once however often they are asked for."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
from datasets import (
    Dataset,
    DatasetBuilder,
    Features,
    IterableDataset,
    Value,
    load_dataset_builder,
)
from datasets import Image as ImageFeature
from pyarrow import parquet

from .broken_files import BrokenFileError, explain_failures, guard, read_header
from .image_folders import group_splits
from .paths import find_format, is_local, suggest_path

SPLIT = "{split}"
"""Placeholder for the name of the split in a pattern of files."""

FIRST_ROWS = 100
"""Rows from which the columns of a stream are inferred if its reader does not know them."""


class Source:
    """A data source whose builders and splits are kept once they are opened.

    Cells of CSV files, except those of a dataset on the Hub, are read as text, as they are written.

    Args:
        name: See `DataOptions.dataset`.
        subset: Configuration of a source that has several.
    """

    def __init__(self, name: str, subset: str | None = None) -> None:
        self.name, self.subset = name, subset
        self._builders: dict[str, DatasetBuilder] = {}
        self._rows: dict[str, Dataset] = {}
        self._streams: dict[str, IterableDataset] = {}

    def open_rows(self, split: str) -> Dataset:
        """One split, downloaded to disk.

        Raises:
            ValueError: if there is no such split, it has no rows, or a file cannot be read.
            FileNotFoundError: if the source names files that do not exist.
        """
        if split not in self._rows:
            builder = self._open_builder(split)
            with explain_failures(builder):
                builder.download_and_prepare()
            if not self._choose(builder.info.splits, split).num_examples:
                raise self._refuse_empty(split)
            self._rows[split] = builder.as_dataset(split=split)
        return self._rows[split]

    def open_stream(self, split: str) -> IterableDataset:
        """One split as a stream, which is neither downloaded nor held; raises as `open_rows`."""
        if split not in self._streams:
            builder = self._open_builder(split)
            with explain_failures(builder):
                rows = self._choose(builder.as_streaming_dataset(), split)
            if builder.name == "parquet" and not any(
                _read_footers(builder.config.data_files[split])
            ):
                raise self._refuse_empty(split)
            if rows.features is None:
                first = list(rows.take(FIRST_ROWS))
                if not first:
                    raise self._refuse_empty(split)
                rows = rows.cast(Dataset.from_list(first).features)
            self._streams[split] = rows
        return self._streams[split]

    def has_split(self, split: str) -> bool:
        """Whether there is such a split; nothing is read."""
        try:
            builder = self._open_builder(split)
        except FileNotFoundError:
            if SPLIT not in self.name:
                raise
            return False
        return split in (builder.config.data_files or builder.info.splits or {})

    def open_held_out(self, split: str) -> Dataset:
        """As `open_rows`, but no file of another split is read or downloaded."""
        builder = self._open_builder(split)
        self._choose(builder.config.data_files, split)
        alone = _copy_builder(builder, [split], builder.info.features)
        with explain_failures(alone):
            alone.download_and_prepare()
        if not alone.info.splits[split].num_examples:
            raise self._refuse_empty(split)
        rows: Dataset = alone.as_dataset(split=split)
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
        return sum(_read_footers(builder.config.data_files[split]))

    def _open_builder(self, split: str) -> DatasetBuilder:
        # Splits in a pattern of files are opened one by one, all others together.
        key = split if SPLIT in self.name else ""
        if key not in self._builders:
            found = find_format(self.name)
            builder = self._find_builder() if found is None else self._open_files(split, *found)
            on_hub = found is None and not is_local(self.name)
            if builder.name == "csv" and builder.info.features is None and not on_hub:
                with explain_failures(builder):
                    columns = Features(dict.fromkeys(_read_columns(builder), Value("string")))
                builder = _copy_builder(builder, None, columns, keep_default_na=False)
            if builder.name == "imagefolder" and Path(self.name).is_dir():
                groups = group_splits(builder.config.data_files)
                for group in groups if len(groups) > 1 else ():
                    self._builders.update(dict.fromkeys(group, _copy_builder(builder, group)))
            guard(builder)
            self._builders[key] = builder
        return self._builders.get(split, self._builders[key])

    def _find_builder(self) -> DatasetBuilder:
        """The builder of a folder or of a dataset on the Hub."""
        path = Path(self.name)
        if any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
            raise ValueError(
                f"`dataset` must be a folder of data files, got {self.name}, which `save_to_disk` "
                "wrote; write it with `to_parquet`."
            )
        reason = "no Hub id has this form"
        if path.exists() or not is_local(self.name):
            try:
                # `datasets` needs the name of a folder, which "." does not have.
                name = str(path.resolve()) if path.is_dir() else self.name
                return load_dataset_builder(name, self.subset)
            except OSError as error:
                if path.exists():
                    raise
                reason = f"the Hub did not give it ({error})"
        raise FileNotFoundError(
            f"`dataset` must be a folder, a file or a Hub id, got {self.name}: there is no such "
            f"file or folder, and {reason}; check the name.{suggest_path(self.name)}"
        )

    def _open_files(self, split: str, reader: str, settings: dict[str, Any]) -> DatasetBuilder:
        if self.subset is not None:
            raise ValueError(
                f"`subset` must not be given for files, got {self.subset} with {self.name}; leave "
                "it out."
            )
        key = split if SPLIT in self.name else "train"
        files = {key: self.name.replace(SPLIT, split)}
        try:
            builder = load_dataset_builder(reader, data_files=files, **settings)
        except FileNotFoundError:
            builder = None
        if builder is None or not all(builder.config.data_files.values()):
            raise FileNotFoundError(
                f"`dataset` must be an existing file, got {self.name}, which matches no file; "
                f"check the path or the pattern.{suggest_path(files[key])}"
            )
        return builder

    def _choose(self, splits: Any, split: str) -> Any:
        if split not in splits:
            raise ValueError(
                f"split `{split}` is not in {self.name}, which has {sorted(map(str, splits))}; "
                "name one of these."
            )
        return splits[split]

    def _refuse_empty(self, split: str) -> ValueError:
        return ValueError(f"split `{split}` of {self.name} must have rows, got none; add some.")


def _copy_builder(
    builder: DatasetBuilder,
    splits: Sequence[str] | None = None,
    features: Features | None = None,
    **settings: Any,
) -> DatasetBuilder:
    """The builder of some splits only, or with other settings."""
    files = builder.config.data_files
    kept = {name: getattr(builder.config, name, None) for name in ("sep", "keep_default_na")}
    copied = type(builder)(
        dataset_name=builder.dataset_name,
        config_name=builder.config.name,
        hash=builder.hash,
        base_path=builder.base_path,
        features=features,
        data_files=type(files)({split: files[split] for split in splits or files}),
        **{name: value for name, value in (kept | settings).items() if value is not None},
    )
    guard(copied)
    return copied


def _read_footers(files: Sequence[str]) -> Iterator[int]:
    """The number of rows of each parquet file."""
    for path in files:
        with fsspec.open(path, "rb") as file:
            yield parquet.read_metadata(file).num_rows


def _read_columns(builder: DatasetBuilder) -> list[str]:
    """Names of the columns of CSV files, from the first file of each split."""
    found: list[tuple[str, list[str]]] = []
    for files in builder.config.data_files.values():
        found.append((files[0], read_header(files[0], builder.config.sep)))
        (first, columns), (file, others) = found[0], found[-1]
        if set(columns) != set(others):
            raise BrokenFileError(
                f"the files of a dataset must have the same columns, got {columns} in {first} and "
                f"{others} in {file}; drop or add those that differ."
            )
    return [name for name in found[0][1] if name]


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
