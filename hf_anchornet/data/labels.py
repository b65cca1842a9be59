"""Names of labels, read from the values of a column."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

_WRITTEN_LIST = re.compile(r"\[\s*(['\"\d.+-].*)?\]|\{\s*(['\"].*)?\}", re.DOTALL)
"""A list or dictionary that was written as text, as CSV files must."""

_INTEGER = re.compile(r"-?(0|[1-9]\d*)")


def name_label(value: Any, names: Sequence[str] | None, where: str) -> str:
    """The name of one label.

    Args:
        value: A name, a whole number or a boolean.
        names: Class names, if the column is a `ClassLabel`.
        where: Row and column, for errors.

    Raises:
        ValueError: if the label is missing or is something else.
    """
    if is_missing(value) or (names is not None and value == -1):
        raise ValueError(f"{where} must have a label, got {value!r}; fill or drop the row.")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if names is not None and value in range(len(names)):
        return str(names[value])
    if not isinstance(value, str | int):
        raise ValueError(
            f"{where} must be the name or number of a label, or a list of them, got {value!r}; "
            "convert it."
        )
    if isinstance(value, str) and _WRITTEN_LIST.fullmatch(value.strip()):
        raise ValueError(
            f"{where} must be the name of a label, got {value!r}, a list written as text, which "
            "is all that CSV can hold; write the data as JSON lines or parquet."
        )
    return str(value)


def name_row(value: Any, names: Sequence[str] | None, where: str) -> list[str]:
    """The names of the labels of a row; see `name_label`."""
    items = value if isinstance(value, list) else [value]
    return [name_label(item, names, where) for item in items]


def is_missing(value: Any) -> bool:
    """Whether a row has no label: an empty cell, `None` or NaN."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def sort_labels(names: Iterable[str]) -> list[str]:
    """Names in alphabetical order, or whole numbers in the order of their size."""
    found = sorted(names)
    numbers = all(_INTEGER.fullmatch(name) for name in found)
    return sorted(found, key=int) if numbers else found


def check_label_shapes(values: Sequence[Any], column: str) -> None:
    """Check that the labels of a split are lists in all rows or in none, and not 0/1 vectors.

    Lists that are equally long and hold nothing but 0 and 1 cannot be lists of numbers of labels:
    they would repeat a number or name both labels in every row.

    Raises:
        ValueError: if they are, naming a row.
    """
    lists = [isinstance(value, list) for value in values]
    if not any(lists):
        return
    if not all(lists):
        row = next(row for row, is_list in enumerate(lists) if is_list != lists[0])
        raise ValueError(
            f"`{column}` must hold lists of labels in all rows or in none, got {values[0]!r} in "
            f"row 0 and {values[row]!r} in row {row}; convert them."
        )
    lengths = {len(value) for value in values}
    items = {
        str(int(item) if isinstance(item, bool | float) and item in (0, 1) else item)
        for value in values
        for item in value
    }
    if len(lengths) == 1 and lengths.pop() > 1 and items <= {"0", "1"}:
        raise ValueError(
            f"`{column}` must hold lists of the labels that a row has, got 0/1 vectors, "
            f"{values[0]!r} in row 0; convert them with `dataset.map(lambda row: {{{column!r}: "
            f"[str(i) for i, x in enumerate(row[{column!r}]) if x]}})`, with names for `str(i)` "
            "if you have them."
        )
