"""The card of a model that was trained here, and what it was trained on."""

from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.files import write_json

from .card import TRAINING_FILE, write_card


class LearnedRows(Protocol):
    """What was learned from: a `Dataset`, or a `StreamLoader`, which may not know `num_rows`."""

    @property
    def num_rows(self) -> int | None:
        """How many there are."""

    @property
    def info(self) -> Any:
        """What `datasets` knows about them."""


def document_training(
    report: dict[str, Any],
    data: DataOptions,
    rows: LearnedRows,
    accelerator: Accelerator,
    reading: str = "whole inputs",
) -> dict[str, Any]:
    """Add what was learned from to a report and its `training.json`; write the model's card.

    Args:
        report: From `train`.
        data: Where the rows are.
        rows: What was learned from.
        accelerator: From `make_accelerator`.
        reading: What the model reads of each row.

    Returns:
        The report with "data", see `describe_data`.
    """
    report = report | {"data": describe_data(data, rows) | {"reading": reading}}
    if accelerator.is_main_process:
        folder = Path(report["options"]["output_dir"])
        write_json(folder / TRAINING_FILE, report)
        write_card(folder)
    accelerator.wait_for_everyone()
    return report


def describe_data(options: DataOptions, rows: LearnedRows) -> dict[str, Any]:
    """What a card tells of the rows that were learned from; a folder's or file's own name only."""
    source = Path(options.dataset)
    return {
        "dataset": source.resolve().name if source.exists() else options.dataset,
        "subset": options.subset,
        "train_split": options.train_split,
        "validation_split": options.validation_split,
        "num_rows": rows.num_rows,
        "license": rows.info.license or None,
    }
