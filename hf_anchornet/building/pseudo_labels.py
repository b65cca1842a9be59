"""Labels that a classifier gives to inputs that have none."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import Dataset
from transformers import AutoConfig, pipeline

from hf_anchornet.data.holdout import write_split
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, sample_rows
from hf_anchornet.data.texts import check_texts
from hf_anchornet.training.distillation import ask_teacher

logger = logging.getLogger(__name__)

BATCH_SIZE = 16
AGREEMENT = "accuracy means agreement with it"
"""What a note says of labels that a classifier gave."""


def label_rows(
    data: DataOptions, classifier: str, modality: str, folder: Path, invented: bool = False
) -> tuple[DataOptions, str]:
    """A source whose training rows have the labels that a classifier gives them, and a note.

    The rows are written to a folder once; a build that is continued finds them there.

    Args:
        data: The source, without labels.
        classifier: Folder or Hub id of a trained classifier.
        modality: "text" or "image".
        folder: Folder for the labelled rows.
        invented: Whether to label rows in turn, for a plan that must not take long.
    """
    inputs = data.input_column(modality)
    target = folder / "train.parquet"
    rows = sample_rows(data.source.open_rows(data.train_split), data.max_rows)
    if not target.exists():
        logger.info("labels of %s for %s rows ...", classifier, f"{len(rows):,}")
        names = [*AutoConfig.from_pretrained(classifier).id2label.values()]
        found = (
            [names[row % len(names)] for row in range(len(rows))]
            if invented
            else _ask(rows, data, classifier, modality, inputs)
        )
        write_split(rows.add_column(data.label_column, found), target, inputs)
    note = (
        f"the dataset has no column `{data.label_column}`: {len(rows):,} rows got the label that "
        f"{classifier} gives them, so {AGREEMENT}"
    )
    return replace(data, dataset=str(folder), subset=None, train_split="train", max_rows=0), note


def _ask(
    rows: Dataset, data: DataOptions, classifier: str, modality: str, inputs: str
) -> list[str]:
    """The label of each row."""
    if modality == "text":
        check_texts(rows, inputs)
        names = list(AutoConfig.from_pretrained(classifier).id2label.values())
        probs = ask_teacher(classifier, rows[inputs][:], names, Accelerator())
        return [names[number] for number in probs.argmax(dim=-1).tolist()]
    ask: Any = pipeline("image-classification", model=classifier)
    items = open_pictures(rows, data)[:]
    return [answer[0]["label"] for answer in ask(items, batch_size=BATCH_SIZE, top_k=1)]
