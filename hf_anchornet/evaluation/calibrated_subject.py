"""A classifier that is as sure as it is often right: temperature scaling before it is explained."""

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from hf_anchornet.calibration.temperature import fit_temperature
from hf_anchornet.data.images import open_pictures
from hf_anchornet.data.splits import DataOptions, number_labels
from hf_anchornet.explain.image_subject import ImageSubject
from hf_anchornet.explain.text_subject import TextSubject

PICTURES_AT_ONCE = 64


def calibrate(subject: TextSubject | ImageSubject, rows: Dataset, data: DataOptions) -> None:
    """Set the temperature of a classifier to what fits a labelled split best.

    Args:
        subject: The classifier; of its own temperature nothing is left.
        rows: The split, not the one that is reported on.
        data: Its columns.

    Raises:
        ValueError: if examples have several labels, or a label is unknown.
    """
    targets = number_labels(rows, data.label_column, subject.labels)
    if any(isinstance(target, list) for target in targets):
        raise ValueError(
            '`calibration_split` must be "" for examples with several labels, got a split of '
            "them: one temperature is fitted to one label each; leave it out."
        )
    subject.temperature = 1.0
    probs = torch.from_numpy(_predict(subject, rows, data))
    # The logarithm of a softmax is its logits but for a constant.
    logits = probs.clamp(min=torch.finfo(torch.float32).tiny).log()
    subject.temperature = fit_temperature(logits, torch.tensor(targets))


def _predict(
    subject: TextSubject | ImageSubject, rows: Dataset, data: DataOptions
) -> NDArray[np.float64]:
    """Probabilities of the labels of all examples: (rows, labels)."""
    if isinstance(subject, TextSubject):
        return subject.predict(rows[data.text_column])
    pictures = open_pictures(rows, data.image_column)
    parts = []
    for start in range(0, len(rows), PICTURES_AT_ONCE):
        places = range(start, min(start + PICTURES_AT_ONCE, len(rows)))
        parts.append(subject.predict([pictures[row]["pixel_values"] for row in places]))
    return np.concatenate(parts)
