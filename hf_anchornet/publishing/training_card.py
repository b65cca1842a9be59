"""The training record of a model, with its data, and the model card made from it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from datasets import Dataset

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.files import write_json

from .card import TRAINING_FILE, write_card

EXAMPLE_LENGTHS = (20, 160)
"""Fewest and most characters of the text that a card shows as an example."""


class LearnedRows(Protocol):
    """The training rows: a `Dataset`, or a `StreamLoader`, which may not know `num_rows`."""

    @property
    def num_rows(self) -> int | None:
        """Number of rows, if known."""

    @property
    def info(self) -> Any:
        """The `DatasetInfo` of the rows."""


def document_training(
    report: dict[str, Any],
    data: DataOptions,
    rows: LearnedRows,
    accelerator: Accelerator,
    reading: str,
    validation_rows: Dataset | None = None,
) -> dict[str, Any]:
    """Add the training data to a report; write `training.json` and the model card.

    Args:
        report: From `train`.
        data: Source of the rows.
        rows: The training rows.
        accelerator: From `make_accelerator`.
        reading: The part of each row that the model reads.
        validation_rows: The validation split: its size, and a text of it as an example, go into the
            report and the card.

    Returns:
        The report with an entry "data"; see `describe_data`.
    """
    described = describe_data(data, rows) | {"reading": reading}
    if validation_rows is not None:
        described["num_validation_rows"] = len(validation_rows)
        if data.text_column in validation_rows.column_names:
            described["example"] = choose_example(validation_rows[data.text_column])
    report = report | {"data": described}
    if accelerator.is_main_process:
        folder = Path(report["options"]["output_dir"])
        write_json(folder / TRAINING_FILE, report)
        write_card(folder)
    accelerator.wait_for_everyone()
    return report


def choose_example(texts: Iterable[Any]) -> str | None:
    """The first text of a length that fits into a card, else the start of the first one."""
    least, most = EXAMPLE_LENGTHS
    cut = None
    for text in texts:
        words = " ".join(text.split()) if isinstance(text, str) else ""
        if least <= len(words) <= most:
            return words
        cut = cut or words[:most].rpartition(" ")[0] or None
    return cut


def describe_data(options: DataOptions, rows: LearnedRows) -> dict[str, Any]:
    """A description of the training rows; of a local path only the last part is kept."""
    source = Path(options.dataset)
    return {
        "dataset": source.resolve().name if source.exists() else options.dataset,
        "subset": options.subset,
        "train_split": options.train_split,
        "validation_split": options.validation_split,
        "num_rows": rows.num_rows,
        "license": rows.info.license or None,
    }
