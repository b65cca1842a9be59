"""Splits of a data source: options, checked columns, numbered labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal

from datasets import ClassLabel, Dataset

from .labels import check_label_shapes, is_missing, name_row, sort_labels
from .sources import Source, name_tar_columns


@dataclass
class DataOptions:
    """A data source and its columns.

    Attributes:
        dataset: Hub id; folder of data files, or of one folder of images per label; .parquet,
            .csv, .tsv, .json, .jsonl or .tar file; or a pattern in which "{split}" stands for the
            split, such as "s3://bucket/{split}-*.parquet".
        subset: Configuration to load from a dataset that has several.
        train_split: Split to train on.
        validation_split: Split on which the best epoch, or a cascade's thresholds, are chosen.
        text_column: Column of texts.
        image_column: Column of images: image features, file contents or paths.
        label_column: Column of labels: names or numbers, or lists of them if an input can have
            several.
        boxes_column: Column of boxes drawn by people, [x0, y0, x1, y1] in pixels of the upright
            image; used for scores only.
        max_rows: Rows to sample from each split, always the same ones; 0: all rows.
        allow_urls: Open images that the image column gives as URLs. Whoever wrote the dataset then
            chooses which addresses this machine asks.
        streaming: Read the training split as a stream, so that it need not fit in memory or on
            disk (`anchornet train` only). The validation split is still downloaded.
        shuffle_buffer: Number of streamed rows held in memory, by each process or worker, and
            shuffled among each other. Larger shuffles better and takes more memory; 0 keeps the
            order of rows and files.
        vocabulary_rows: Number of streamed rows read before training to find the labels, the
            tokenizer's vocabulary and the n-grams. Larger misses fewer and takes more memory.
    """

    dataset: str
    subset: str | None = None
    train_split: str = "train"
    validation_split: str = "validation"
    text_column: str = "text"
    image_column: str = "image"
    label_column: str = "label"
    boxes_column: str = "boxes"
    max_rows: int = 0
    allow_urls: bool = False
    streaming: bool = False
    shuffle_buffer: int = 10_000
    vocabulary_rows: int = 100_000

    def __post_init__(self) -> None:
        """Check the values that would otherwise fail late."""
        if self.streaming and self.max_rows:
            raise ValueError(
                f"`max_rows` must be 0 with `streaming`, got {self.max_rows}; set `max_steps`."
            )
        for name, least in {"max_rows": 0, "shuffle_buffer": 0, "vocabulary_rows": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")

    @cached_property
    def source(self) -> Source:
        """The data source, which these options open once."""
        return Source(self.dataset, self.subset)

    def input_column(self, modality: str) -> str:
        """Column of the inputs of a modality, "text" or "image"."""
        return self.text_column if modality == "text" else self.image_column


def load_split(options: DataOptions, split: str, inputs: str | None = None) -> Dataset:
    """One split of a source, with its columns checked.

    Args:
        options: The source.
        split: Name of the split.
        inputs: Column of inputs; the default is that of texts.

    Raises:
        ValueError: if the split or a column is missing, or with `streaming`.
        FileNotFoundError: if the source is a path that does not exist.
    """
    refuse_streams(options)
    return sample_rows(_open_split(options, split, inputs), options.max_rows)


def _open_split(options: DataOptions, split: str, inputs: str | None) -> Dataset:
    """All rows of a split, with its columns checked."""
    rows: Dataset = options.source.open_rows(split)
    checked: Dataset = check_input_columns(rows, options, inputs or options.text_column)
    return checked


def sample_rows(rows: Dataset, count: int) -> Dataset:
    """This many rows of a split, always the same ones; all of them if `count` is 0 or above."""
    return rows.shuffle(seed=0).select(range(count)) if 0 < count < len(rows) else rows


def refuse_streams(options: DataOptions) -> None:
    """Refuse a stream where a split is read more than once.

    Raises:
        ValueError: with `streaming`.
    """
    if options.streaming:
        raise ValueError(
            "`streaming` must be False except for `anchornet train`, got True: the whole split is "
            "read more than once; leave it out."
        )


def load_labelled_rows(options: DataOptions, inputs: str) -> tuple[Dataset, Dataset, list[str]]:
    """The training split, the validation split, and the labels of the former.

    Args:
        options: The source.
        inputs: Column of texts or images.

    Raises:
        ValueError: see `load_split` and `find_labels`.
    """
    train_rows = load_split(options, options.train_split, inputs)
    validation_rows = load_split(options, options.validation_split, inputs)
    column = options.label_column
    kinds = [is_multi_label(rows, column) for rows in (train_rows, validation_rows)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"`{column}` must hold single labels or lists of them in both splits, got lists only "
            f"in `{(options.train_split, options.validation_split)[kinds[1]]}`; convert one."
        )
    # A sample may lack a rare label.
    labels = find_labels(_open_split(options, options.train_split, inputs), column)
    return train_rows, validation_rows, labels


def detect_modality(options: DataOptions, split: str | None = None) -> Literal["text", "image"]:
    """Whether a source holds texts or images, by the columns of a split.

    Args:
        options: The source.
        split: Name of the split; the default is that of training.

    Raises:
        ValueError: if it has both columns or neither; see also `load_split`.
    """
    opened = options.source.open_stream if options.streaming else options.source.open_rows
    rows = opened(split or options.train_split)
    columns = name_tar_columns(rows, options.image_column, options.label_column).column_names
    is_text, is_image = options.text_column in columns, options.image_column in columns
    if is_text and is_image:
        raise ValueError(
            f"the dataset has texts in `{options.text_column}` and images in "
            f'`{options.image_column}`; set `text_column` or `image_column` to "" to ignore one.'
        )
    if not is_text and not is_image:
        given = {name: getattr(options, name) for name in ("text_column", "image_column")}
        named = " nor ".join(f"`{value}` (`{name}`)" for name, value in given.items() if value)
        raise ValueError(
            f"the dataset must have a column of texts or of images, got neither {named} among "
            f"{sorted(columns)}; name the right one by `text_column` or `image_column`."
            f"{_guess(options.text_column, columns)}"
        )
    return "image" if is_image else "text"


def check_input_columns(rows: Any, options: DataOptions, inputs: str) -> Any:
    """Rows with the columns of tar shards renamed, once inputs and labels are there.

    Raises:
        ValueError: if a column is missing.
    """
    rows = name_tar_columns(rows, options.image_column, options.label_column)
    kind = "image_column" if inputs == options.image_column else "text_column"
    for option, column in {kind: inputs, "label_column": options.label_column}.items():
        check_column(rows.column_names, column, option)
    return rows


SEPARATORS = (";", "\t", "|")
"""Of columns in files that should have commas."""


def check_column(found: Sequence[str], column: str, option: str = "") -> None:
    """Raise a `ValueError` that lists the columns, and suggests one, if `column` is missing.

    Args:
        found: Names of the columns.
        column: The one that is wanted.
        option: Name of the option that names it, for the error.
    """
    if column not in found:
        by = f" by `{option}`" if option else ""
        raise ValueError(
            f"column `{column}` is not in the dataset, which has {sorted(found)}; name the right "
            f"one{by}.{_guess(column, found)}"
        )


def _guess(column: str, found: Sequence[str]) -> str:
    """A question about the most similar name or the separator, if there is one."""
    for name in found:
        for mark in SEPARATORS:
            if mark in name and column in name.split(mark):
                return (
                    f" The file seems to separate columns by {mark!r}: write it with commas, or "
                    "with tabs as .tsv."
                )
    close = get_close_matches(column, found, n=1, cutoff=0.4)
    return f" Did you mean `{close[0]}`?" if close else ""


def find_labels(rows: Dataset, column: str) -> list[str]:
    """Names of a split's labels, in the order of their numbers.

    Raises:
        ValueError: if fewer than two occur.
    """
    names, values = class_names(rows, column), list(rows[column])
    check_label_shapes(values, column)
    found: set[str] = set()
    for row, value in enumerate(values):
        if not is_missing(value):
            found.update(name_row(value, names, f"row {row} of `{column}`"))
    if len(found) < 2:
        raise ValueError(
            f"`{column}` must hold at least two labels, got {sort_labels(found)}; add rows of "
            "another label."
        )
    return names or sort_labels(found)


def class_names(rows: Any, column: str) -> list[str] | None:
    """Names of a `ClassLabel` column or of a column of lists of them; `None` for plain values."""
    feature = rows.features[column]
    feature = getattr(feature, "feature", feature)  # of a list
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def is_multi_label(rows: Any, column: str) -> bool:
    """Whether an input can have several labels."""
    return hasattr(rows.features[column], "feature")


def number_labels(rows: Dataset, column: str, labels: Sequence[str]) -> list[Any]:
    """Targets of the rows of a split; see `number_values` and `check_label_shapes`."""
    values = list(rows[column])
    check_label_shapes(values, column)
    return number_values(values, class_names(rows, column), column, labels)


def number_values(
    values: Iterable[Any], names: Sequence[str] | None, column: str, labels: Sequence[str]
) -> list[Any]:
    """Targets of label values: the label's number, or for lists a 0.0 / 1.0 vector over `labels`.

    Args:
        values: One value per row.
        names: Class names, if the column is a `ClassLabel`.
        column: Name of the column, for errors.
        labels: Names of the labels, in the order of their numbers.

    Raises:
        ValueError: if a label is missing or not among `labels`, naming the row.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    targets: list[Any] = []
    for row, value in enumerate(values):
        found = name_row(value, names, f"row {row} of `{column}`")
        for name in found:
            if name not in numbers:
                raise ValueError(
                    f"label {name!r} in row {row} of `{column}` was not seen in training, where "
                    f"the labels are {list(labels)}; drop the row or add such rows to the "
                    "training split."
                )
        if isinstance(value, list):
            targets.append([float(label in found) for label in labels])
        else:
            targets.append(numbers[found[0]])
    return targets


def label_fields(labels: Sequence[str], multi_label: bool | None = None) -> dict[str, Any]:
    """`id2label`, `label2id` and, if `multi_label` is given, `problem_type` of a model's config."""
    fields: dict[str, Any] = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    if multi_label is not None:
        kind = "multi" if multi_label else "single"
        fields["problem_type"] = f"{kind}_label_classification"
    return fields
