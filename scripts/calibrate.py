"""Make a cascade of a localizer and a classifier and calibrate it on a validation split."""

import logging
from dataclasses import dataclass
from pathlib import Path

from transformers import HfArgumentParser

from hf_anchornet import Cascade
from hf_anchornet.calibration import CalibrationOptions, calibrate
from hf_anchornet.data import DataOptions, find_modality, load_split
from hf_anchornet.training import write_json


@dataclass
class CascadeOptions:
    """Which models, and where the cascade goes.

    Attributes:
        localizer: Folder or Hub id of the localizer.
        classifier: Folder or Hub id of the classifier, of the same labels.
        output_dir: Folder of the cascade; calibration.json in it holds the record.
        full_size: Tokens that a full text is cut to or pixels of a side that a whole image is
            scaled to; default: what the classifier reads, as its processor scales.
        copy_classifier: Whether the folder holds the classifier, or only names it.
    """

    localizer: str
    classifier: str
    output_dir: str
    full_size: int | None = None
    copy_classifier: bool = True


def main() -> None:
    """Parse the options, calibrate on the validation split, save."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser((DataOptions, CascadeOptions, CalibrationOptions))
    data, models, options = parser.parse_args_into_dataclasses()
    column = data.text_column if find_modality(data) == "text" else data.image_column
    rows = load_split(data, data.validation_split, column)
    cascade = Cascade.load(models.localizer, models.classifier, [], full_size=models.full_size)
    calibrated = calibrate(cascade, rows, column, data.label_column, options)
    calibrated.save_pretrained(models.output_dir, copy_classifier=models.copy_classifier)
    write_json(Path(models.output_dir) / "calibration.json", calibrated.record)


if __name__ == "__main__":
    main()
