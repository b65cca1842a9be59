"""The inputs of a split, whatever its modality."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from .images import open_pictures
from .splits import DataOptions


def open_inputs(rows: Dataset, options: DataOptions, modality: str) -> Sequence[Any]:
    """The texts of a split, or its pictures, decoded on each access."""
    return rows[options.text_column] if modality == "text" else open_pictures(rows, options)
