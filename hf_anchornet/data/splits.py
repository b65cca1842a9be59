"""From any `datasets` source to batches: columns checked, labels numbered, texts tokenized."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from datasets import ClassLabel, Dataset

from .sources import name_tar_columns, open_rows, open_stream


@dataclass
class DataOptions:
    """Where the texts or images and their labels are.

    Attributes:
        dataset: Hub id, folder of data files or of one folder of pictures a label, or one .parquet,
            .csv, .json, .jsonl or .tar (WebDataset) file, or a pattern of such files, with
            "{split}" where the name of the split stands: "s3://bucket/{split}-*.parquet".
        subset: Configuration of the dataset, where it has several.
        train_split: Split to learn from.
        validation_split: Split to choose the best epoch on.
        text_column: Column of texts.
        image_column: Column of images: files' bytes or paths.
        label_column: Column of labels: names or numbers; lists of them for multi-label sets.
        boxes_column: Column of human boxes, `[x0, y0, x1, y1]`, in pixels of the upright image;
            never learned from.
        max_rows: Draw at most this many rows of each split (0: all), always the same ones.
        streaming: Whether `anchornet train` reads the rows to learn from as a stream: they need fit
            neither in memory nor on the disk. The validation split must.
        shuffle_buffer: Rows of a stream that are shuffled among each other, in the memory of each
            process or worker; 0: rows and shards keep their order.
        vocabulary_rows: Rows of a stream, drawn from its shuffled start, in which tokenizer,
            n-grams and labels are found.
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
    streaming: bool = False
    shuffle_buffer: int = 10_000
    vocabulary_rows: int = 100_000

    def __post_init__(self) -> None:
        """Check the values that would otherwise fail late."""
        if self.streaming and self.max_rows:
            raise ValueError(
                f"`max_rows` must be 0 with `streaming`, got {self.max_rows}; set `max_steps`."
            )
        for name, least in {"shuffle_buffer": 0, "vocabulary_rows": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")


def load_split(options: DataOptions, split: str, inputs: str | None = None) -> Dataset:
    """One split of a source, with its columns checked.

    Args:
        options: Where it is.
        split: Its name.
        inputs: Column of the inputs; default: that of texts.

    Raises:
        ValueError: if the split or a column is missing; says what there is instead. Also if the
            rows are to be a stream: what needs the whole split cannot read one.
        FileNotFoundError: if the source is a path that does not exist.
    """
    if options.streaming:
        raise ValueError(
            "`streaming` must be False but for `anchornet train`, got True: this reads the whole "
            "split more than once; leave it out."
        )
    rows = name_tar_columns(
        open_rows(options.dataset, options.subset, split),
        options.image_column,
        options.label_column,
    )
    for column in (inputs or options.text_column, options.label_column):
        check_column(rows.column_names, column)
    if options.max_rows and options.max_rows < len(rows):
        rows = rows.shuffle(seed=0).select(range(options.max_rows))
    return rows


def find_modality(options: DataOptions, split: str | None = None) -> Literal["text", "image"]:
    """Whether a source holds texts or images, by the columns of a split, default that of training.

    Raises:
        ValueError: if it has both columns or none; see also `load_split`.
    """
    opened = open_stream if options.streaming else open_rows
    rows = opened(options.dataset, options.subset, split or options.train_split)
    columns = name_tar_columns(rows, options.image_column, options.label_column).column_names
    is_text, is_image = options.text_column in columns, options.image_column in columns
    if is_text and is_image:
        raise ValueError(
            f"the dataset has texts in `{options.text_column}` and images in "
            f'`{options.image_column}`; set `text_column` or `image_column` to "" to leave it out.'
        )
    if not is_image:
        check_column(columns, options.text_column or options.image_column)
    return "image" if is_image else "text"


def check_column(found: Sequence[str], column: str) -> None:
    """Raise a `ValueError` that lists the columns and guesses the slip if `column` is missing."""
    if column in found:
        return
    close = get_close_matches(column, found, n=1, cutoff=0.4)
    guess = f" Did you mean `{close[0]}`?" if close else ""
    raise ValueError(
        f"column `{column}` is not in the dataset, which has {sorted(found)}; name the right one."
        f"{guess}"
    )


def find_labels(rows: Dataset, column: str) -> list[str]:
    """Names of the labels of a split, in the order of their numbers.

    Raises:
        ValueError: if fewer than two occur.
    """
    names = class_names(rows, column)
    found = {v for row in rows[column] for v in (row if isinstance(row, list) else [row])}
    values = sorted(found - {None}, key=lambda v: (isinstance(v, str), v))
    if len(values) < 2:
        raise ValueError(
            f"`{column}` must hold at least two labels, got {values}; a classifier has nothing to "
            "tell apart: add rows of another label."
        )
    return names or [str(value) for value in values]


def class_names(rows: Any, column: str) -> list[str] | None:
    """Names of a `ClassLabel` column or a column of lists of them, `None` for plain values."""
    feature = rows.features[column]
    feature = getattr(feature, "feature", feature)  # of a list
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def number_labels(rows: Dataset, column: str, labels: Sequence[str]) -> list[Any]:
    """Targets of each row: see `number_values`."""
    return number_values(rows[column], class_names(rows, column), column, labels)


def number_values(
    values: Iterable[Any], names: Sequence[str] | None, column: str, labels: Sequence[str]
) -> list[Any]:
    """Targets of values: the label's number, or for lists a 0.0 / 1.0 vector over `labels`.

    Args:
        values: Of each row.
        names: Of the numbers in them, if the column is a `ClassLabel`.
        column: What to call them in an error.
        labels: In the order of their numbers.

    Raises:
        ValueError: for a label that is not among `labels`, naming the row.
    """
    numbers = {label: number for number, label in enumerate(labels)}

    def number(value: Any, row: int) -> int:
        # An unlabelled row of a `ClassLabel` column has the number -1 or none at all.
        name = str(value) if names is None or value not in range(len(names)) else names[value]
        if name not in numbers:
            raise ValueError(
                f"label {name!r} in row {row} of `{column}` was not seen in training, where the "
                f"labels are {list(labels)}; drop the row or add such rows to the training split."
            )
        return numbers[name]

    targets: list[Any] = []
    for row, value in enumerate(values):
        if isinstance(value, list):
            present = {number(item, row) for item in value}
            targets.append([float(index in present) for index in range(len(labels))])
        else:
            targets.append(number(value, row))
    return targets


def label_fields(labels: Sequence[str]) -> dict[str, Any]:
    """`id2label` and `label2id` of a model's config, the labels numbered in their order."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
