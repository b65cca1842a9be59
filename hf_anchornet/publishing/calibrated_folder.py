"""The folder of a calibration: a cascade or, if it never asks its classifier, the localizer."""

import shutil
from os import PathLike
from pathlib import Path

from hf_anchornet.calibration.summary import needs_cascade
from hf_anchornet.files import write_json
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.model.cascade_file import CASCADE_FILE, CLASSIFIER_FOLDER

from .card import CALIBRATION_FILE, TRAINING_FILE, write_card
from .leftovers import drop_results


def save_calibrated(
    calibrated: Cascade,
    folder: str | PathLike[str],
    localizer: str | PathLike[str],
    copy_classifier: bool = True,
    keep_classifier: bool = False,
) -> bool:
    """Write the folder, with calibration.json, the localizer's training.json and a card.

    Args:
        calibrated: From `calibrate`.
        folder: Target folder.
        localizer: Folder or Hub id that the localizer came from.
        copy_classifier: See `Cascade.save_pretrained`.
        keep_classifier: Whether to write a cascade although its classifier is never asked.

    Returns:
        Whether the folder is a cascade.
    """
    folder = Path(folder)
    drop_results(folder, are_weights_new=folder.resolve() != Path(localizer).resolve())
    is_cascade = keep_classifier or needs_cascade(calibrated.record)
    if is_cascade:
        calibrated.save_pretrained(folder, copy_classifier=copy_classifier)
    else:
        calibrated.localizer.save_pretrained(folder)
        (folder / CASCADE_FILE).unlink(missing_ok=True)  # of an earlier calibration
        shutil.rmtree(folder / CLASSIFIER_FOLDER, ignore_errors=True)
    write_json(folder / CALIBRATION_FILE, calibrated.record)
    training = Path(localizer) / TRAINING_FILE
    if training.is_file() and training.resolve() != (folder / TRAINING_FILE).resolve():
        shutil.copyfile(training, folder / TRAINING_FILE)
    write_card(folder)
    return is_cascade
