"""Evaluation of the explanations of a split: from a model and options to a report."""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from hf_anchornet.calibration.temperature import fit_temperature
from hf_anchornet.data.fingerprint import fingerprint_rows
from hf_anchornet.data.inputs import open_inputs
from hf_anchornet.data.splits import DataOptions, load_split, number_labels
from hf_anchornet.explain.cascade_subject import load_cascade_subject
from hf_anchornet.explain.image_explainers import IMAGE_EXPLAINERS
from hf_anchornet.explain.image_subject import ImageSubject
from hf_anchornet.explain.text_explainers import TEXT_EXPLAINERS
from hf_anchornet.explain.text_subject import TextSubject
from hf_anchornet.files import hash_file
from hf_anchornet.model.localizer import load_localizer

from .explain_split import ExplanationOptions, explain_rows
from .intervals import import_bootstrap
from .records import read_records, write_records
from .summary import ExplanationSummary

IMAGES_AT_ONCE = 64

OWN_EXPLAINERS = ("evidence", "refined_evidence")
"""Explainers that only an AnchorNet has."""

logger = logging.getLogger(__name__)


def evaluate_explanations(
    model: str,
    split: str,
    rows: Dataset,
    data: DataOptions,
    options: ExplanationOptions,
    device: torch.device,
    subject: TextSubject | ImageSubject | None = None,
) -> dict[str, Any]:
    """Report on the explanations of a split: `settings` and see `ExplanationSummary.report`.

    Args:
        model: Folder or Hub id of any transformers classifier, for "answer" of a cascade.
        split: Name of the split.
        rows: Its rows.
        data: Its columns: texts if it has the text column, else images.
        options: Which explainers, and how they are evaluated.
        device: Device of the model.
        subject: The model, if it is not to be loaded; `model` is then only its name.

    Raises:
        ValueError: see `explain_rows` and `read_records`.
        ImportError: see `import_bootstrap`.
    """
    is_text = data.text_column in rows.column_names
    _check_explainers(options.explainers, is_text)
    if options.resamples:
        import_bootstrap()  # before the hours that the explainers may take

    @cache
    def load() -> TextSubject | ImageSubject:
        """The model, loaded on first use: existing records need none."""
        return _load_subject(model, is_text, options, device) if subject is None else subject

    temperature = 1.0
    if options.calibration_split:
        column = data.input_column("text" if is_text else "image")
        scale_temperature(load(), load_split(data, options.calibration_split, column), data)
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
        "smoothing": options.smoothing,  # it decides the hard rationales in the records
        "mass": options.mass,
        "faithfulness": options.faithfulness,
        "calibration_split": options.calibration_split,
        "temperature": temperature,
    }
    if options.parts_localizer is not None:
        settings["parts_localizer"] = options.parts_localizer
    path = Path(options.records) if options.records else None
    if path is not None:
        settings |= _fingerprint(model, rows, data, options)
    if path is not None and path.exists():
        records = read_records(path, settings)
    else:
        records = explain_rows(load(), rows, data, options)
        if path is not None:
            records = write_records(records, path, settings)
    summary = ExplanationSummary(options.smoothing, options.mass, options.resamples)
    for record in records:
        summary.add(record)
    report = summary.report()
    if not any(row["plausibility"] for row in report["explainers"].values()):
        logger.warning(
            "no row has parts marked by people in `%s`: whether explanations agree with people is "
            "not measured.",
            options.spans_column if is_text else data.boxes_column,
        )
    return {"settings": settings, **report}


def _fingerprint(
    model: str, rows: Dataset, data: DataOptions, options: ExplanationOptions
) -> dict[str, Any]:
    """What records must be made again for, besides other settings: other weights or rows."""
    names = (data.text_column, data.image_column, data.label_column, data.boxes_column)
    columns = [name for name in (*names, options.spans_column) if name in rows.column_names]
    weights = sorted(Path(model).rglob("*.safetensors")) if Path(model).is_dir() else []
    digests = [hash_file(path) for path in weights]
    return {"columns": columns, "rows": fingerprint_rows(rows, columns), "weights": digests}


def _check_explainers(explainers: Sequence[str], is_text: bool) -> None:
    """Raise a `ValueError` that names the first explainer of the other modality."""
    known = TEXT_EXPLAINERS if is_text else IMAGE_EXPLAINERS
    for name in explainers:
        if name not in known:
            raise ValueError(
                f"`explainers` must be among {sorted(known)} for {'texts' if is_text else 'images'}"
                f", got {name!r}; choose from these."
            )


def _load_subject(
    model: str, is_text: bool, options: ExplanationOptions, device: torch.device
) -> TextSubject | ImageSubject:
    """The classifier or, for "answer", the cascade, and what proposes its parts."""
    loaded: TextSubject | ImageSubject
    if "answer" in options.explainers:
        loaded = load_cascade_subject(model, is_text, device)
    else:
        loaded = (TextSubject if is_text else ImageSubject).load(model, device)
    own = [name for name in options.explainers if name in OWN_EXPLAINERS]
    if own and not loaded.is_anchornet:
        raise ValueError(
            f'`model` must be an AnchorNet for "{own[0]}", got {model}; choose other '
            "`explainers`, such as lime."
        )
    if options.parts_localizer is not None:
        loaded.proposer = load_localizer(options.parts_localizer, device)
    return loaded


def scale_temperature(
    subject: TextSubject | ImageSubject, rows: Dataset, data: DataOptions
) -> None:
    """Set the temperature of a classifier to the one that fits a labelled split best.

    Args:
        subject: The classifier; its previous temperature is ignored.
        rows: A split other than the one that is reported on.
        data: Its columns.

    Raises:
        ValueError: if examples have several labels, or a label is unknown.
    """
    targets = number_labels(rows, data.label_column, subject.labels)
    if any(isinstance(target, list) for target in targets):
        raise ValueError(
            '`calibration_split` must be "" for examples with several labels, got a split of '
            "them; leave it out: a temperature is fitted to single labels."
        )
    subject.temperature = 1.0
    is_text = isinstance(subject, TextSubject)
    inputs = open_inputs(rows, data, "text" if is_text else "image")
    size = len(rows) if is_text else IMAGES_AT_ONCE
    starts = range(0, len(rows), size)
    probs = np.concatenate([subject.predict(inputs[start : start + size]) for start in starts])
    # The logarithm of a softmax equals the logits up to a constant.
    logits = torch.from_numpy(probs).clamp(min=torch.finfo(torch.float32).tiny).log()
    subject.temperature = fit_temperature(logits, torch.tensor(targets))
