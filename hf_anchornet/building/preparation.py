"""The source of a build with all three splits, checked before hours are spent on it.

What is cheap is checked first: columns and labels, then every picture.
"""

import re
from dataclasses import replace
from pathlib import Path

from datasets import Dataset
from transformers import AutoConfig

from hf_anchornet.data.fingerprint import fingerprint_rows
from hf_anchornet.data.holdout import hold_out_splits
from hf_anchornet.data.images import check_pictures
from hf_anchornet.data.sources import name_tar_columns
from hf_anchornet.data.splits import (
    DataOptions,
    detect_modality,
    find_labels,
    is_multi_label,
    load_split,
    number_labels,
    sample_rows,
)
from hf_anchornet.publishing.modality import find_model_modality
from hf_anchornet.training.pretrained import is_trained_classifier, order_labels

from .journal import Journal
from .options import BuildOptions
from .pseudo_labels import label_rows


def prepare_splits(
    data: DataOptions, options: BuildOptions, journal: Journal
) -> tuple[DataOptions, BuildOptions, list[str]]:
    """The source with all three splits, and a sentence for each thing that was made.

    Rows without labels are labelled by the classifier; splits that are missing are held out of the
    training rows.

    Args:
        data: The source.
        options: Of the build.
        journal: Of the build; it knows whether the rows are those that it began with.

    Raises:
        ValueError: if rows, labels or pictures do not suit; see `build`.
    """
    if data.streaming:
        raise ValueError("`streaming` must be False to build, got True; train on the stream.")
    _check_names(data.train_split, data.validation_split, options.test_split)
    modality = detect_modality(data)
    inputs = data.input_column(modality)
    splits = _open_splits(data, options)
    journal.keep_rows(" ".join(_fingerprint(split, data, inputs) for split in splits.values()))
    is_new = "plan" not in journal.content  # else all was checked before
    if is_new and options.classifier is not None:
        _check_classifier(options.classifier, modality)
    is_labelled = data.label_column in splits[data.train_split].column_names
    if is_labelled:
        rows = load_split(data, data.train_split, inputs)
        labels = _check_labels(rows, data, options, modality)
        for split in splits if is_new else ():
            number_labels(load_split(data, split, inputs), data.label_column, labels)
    else:
        _check_labeller(splits[data.train_split], data, options)
    if modality == "image" and is_new:
        read = {name: sample_rows(rows, data.max_rows) for name, rows in splits.items()}
        check_pictures(read, data)
    notes = list[str]()
    folder = Path(options.output_dir) / "data" / name_data(data.dataset)
    if not is_labelled:
        classifier, place = str(options.classifier), folder.parent / "labelled"
        data, note = label_rows(data, classifier, modality, place, invented=options.dry_run)
        notes.append(note)
        rows = load_split(data, data.train_split, inputs)
        _check_labels(rows, data, options, modality)
    data, test, made = hold_out_splits(data, rows, inputs, options.test_split, options.seed, folder)
    return data, replace(options, test_split=test), notes + made


def _check_names(train: str, validation: str, test: str) -> None:
    """Check that nothing is compared on rows that something was learned from or chosen on."""
    if len({train, validation, test}) < 3:
        raise ValueError(
            "`train_split`, `validation_split` and `test_split` must be three different splits, "
            f"got {train!r}, {validation!r} and {test!r}; those that the dataset lacks are held "
            "out of the training rows."
        )


def _check_classifier(classifier: str, modality: str) -> None:
    """Check that a classifier with a head is of the modality of the data."""
    config = AutoConfig.from_pretrained(classifier)
    if not is_trained_classifier(config):
        return
    found = find_model_modality(config, classifier)
    if found != modality:
        raise ValueError(
            f"`classifier` must be a classifier of {modality}s, as the dataset holds them, got one "
            f"of {found}s, {classifier}; choose another, or name the right columns."
        )


def _check_labels(
    rows: Dataset, data: DataOptions, options: BuildOptions, modality: str
) -> list[str]:
    """The labels, after a check that each row has one and that the classifier knows them."""
    if is_multi_label(rows, data.label_column):
        raise ValueError(
            f"`{data.label_column}` must hold one label a row to build, got lists; train a "
            "localizer with `anchornet train`."
        )
    labels = find_labels(rows, data.label_column)
    if options.classifier is not None and modality == "text":
        order_labels(AutoConfig.from_pretrained(options.classifier), options.classifier, labels)
    return labels


def _check_labeller(rows: Dataset, data: DataOptions, options: BuildOptions) -> None:
    """Check that there is a classifier that can label the rows."""
    if options.classifier is None or not is_trained_classifier(
        AutoConfig.from_pretrained(options.classifier)
    ):
        raise ValueError(
            f"`label_column` must be a column of the dataset, which has "
            f"{sorted(rows.column_names)}, got {data.label_column!r}; name the right one (a "
            "folder of images needs a folder for each of at least two labels), or a trained "
            "`classifier` that gives the labels."
        )


def _open_splits(data: DataOptions, options: BuildOptions) -> dict[str, Dataset]:
    """All rows of the splits that the source has, by name."""
    names = (data.train_split, data.validation_split, options.test_split)
    return {
        name: name_tar_columns(data.source.open_rows(name), data.image_column, data.label_column)
        for name in names
        if name == data.train_split or data.source.has_split(name)
    }


def _fingerprint(rows: Dataset, data: DataOptions, inputs: str) -> str:
    """Of the inputs and, if there are any, the labels of a split."""
    named = [name for name in (inputs, data.label_column) if name in rows.column_names]
    return fingerprint_rows(rows, named)


def name_data(dataset: str) -> str:
    """A name for a folder of rows of a dataset: the last part of its path or Hub id."""
    parts = [part for part in Path(dataset).parts if not set(part) & set("{*?[:")]
    return re.sub(r"[^\w.-]", "_", Path(parts[-1]).stem if parts else "") or "rows"
