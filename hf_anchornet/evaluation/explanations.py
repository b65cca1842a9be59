"""A model's explanations of a split, judged: from a source and options to one report."""

import logging
from functools import cache
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from hf_anchornet.data.splits import DataOptions, load_split
from hf_anchornet.explain.image_subject import ImageSubject
from hf_anchornet.explain.text_subject import TextSubject

from .calibrated_subject import calibrate
from .explain_split import ExplanationOptions, explain_rows
from .records import read_records, write_records
from .summary import ExplanationSummary

logger = logging.getLogger(__name__)


def evaluate_explanations(
    model: str,
    split: str,
    rows: Dataset,
    data: DataOptions,
    options: ExplanationOptions,
    device: torch.device,
) -> dict[str, Any]:
    """Explain the examples of a split and judge the explanations; see `ExplanationSummary.report`.

    Args:
        model: Folder or Hub id of any classifier of transformers.
        split: Name of the split.
        rows: Its rows.
        data: Its columns: texts if it has that of texts, else images.
        options: Which explainers, and how they are judged.
        device: Where to compute.

    Raises:
        ValueError: see `explain_rows` and `read_records`.
    """
    is_text = data.text_column in rows.column_names

    @cache
    def load() -> TextSubject | ImageSubject:
        """Only where it is asked: not to judge records again."""
        return TextSubject.load(model, device) if is_text else ImageSubject.load(model, device)

    temperature = 1.0
    if options.calibration_split:
        column = data.text_column if is_text else data.image_column
        calibrate(load(), load_split(data, options.calibration_split, column), data)
        temperature = load().temperature
    settings = {
        "model": model,
        "dataset": data.dataset,
        "split": split,
        "num_rows": len(rows),
        "explainers": options.explainers,
        "spans_column": options.spans_column,
        "only_labels": options.only_labels,
        "true_labels": options.true_labels,
        "max_explained": options.max_explained,
        "smoothing": options.smoothing,  # the hard rationales that the model was asked about
        "mass": options.mass,
        "faithfulness": options.faithfulness,
        "calibration_split": options.calibration_split,
        "temperature": temperature,
    }
    path = Path(options.records) if options.records else None
    if path is not None and path.exists():
        records = read_records(path, settings)
    else:
        records = explain_rows(load(), rows, data, options)
        if path is not None:
            records = write_records(records, path, settings)
    summary = ExplanationSummary(options.smoothing, options.mass)
    for record in records:
        summary.add(record)
    report = summary.report()
    if not any(row["plausibility"] for row in report["explainers"].values()):
        column = options.spans_column if is_text else data.boxes_column
        logger.warning(
            "no row has anything in `%s`: nothing is said of how the explanations agree with "
            "people, only of how faithful they are.",
            column,
        )
    return {"settings": settings, **report}
