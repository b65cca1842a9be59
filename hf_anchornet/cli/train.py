"""The command line for training: localizers, classifiers behind them, calibrated cascades."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from hf_anchornet.calibration.calibrate import calibrate
from hf_anchornet.calibration.options import CalibrationOptions
from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.splits import DataOptions, detect_modality, load_split
from hf_anchornet.files import write_json
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.train.image_adaptation import ImageClassifierOptions, adapt_image_classifier
from hf_anchornet.train.image_training import ImageLocalizerOptions, train_image_localizer
from hf_anchornet.train.options import TrainingOptions
from hf_anchornet.train.text_adaptation import TextClassifierOptions, adapt_text_classifier
from hf_anchornet.train.text_training import TextLocalizerOptions, train_text_localizer

from .options import OptionParser, parse_for_data

TRAIN: dict[str, tuple[list[type], Callable[..., Any]]] = {
    "text": ([TextLocalizerOptions], train_text_localizer),
    "image": ([ImageLocalizerOptions, AugmentationOptions], train_image_localizer),
}
ADAPT: dict[str, tuple[list[type], Callable[..., Any]]] = {
    "text": ([TextClassifierOptions], adapt_text_classifier),
    "image": ([ImageClassifierOptions], adapt_image_classifier),
}

TRAIN_EXAMPLE = """  anchornet train --dataset my_data --output_dir runs/localizer
  accelerate launch -m hf_anchornet train --dataset my_data --output_dir runs/localizer
  anchornet train --dataset my_data --output_dir runs/localizer --checkpoint_steps 500 --resume
  anchornet train --dataset my_data --output_dir runs/localizer --streaming --max_steps 20000"""
ADAPT_EXAMPLE = """  anchornet adapt --dataset my_data --localizer runs/localizer \\
      --output_dir runs/classifier"""
CALIBRATE_EXAMPLE = """  anchornet calibrate --dataset my_data --localizer runs/localizer \\
      --classifier runs/classifier --output_dir runs/cascade"""


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


def run_train(argv: Sequence[str]) -> None:
    """Train a localizer from labels of texts or images."""
    _run_for_data(
        "train", TRAIN, argv, "Train a localizer from labels of {}s alone.", TRAIN_EXAMPLE
    )


def run_adapt(argv: Sequence[str]) -> None:
    """Train a classifier on what a localizer selects."""
    what = "Train a classifier on what a localizer selects of {}s."
    _run_for_data("adapt", ADAPT, argv, what, ADAPT_EXAMPLE)


def run_calibrate(argv: Sequence[str]) -> None:
    """Make a cascade of a localizer and a classifier and calibrate it on a validation split."""
    _show_log()
    parser = OptionParser(
        "calibrate",
        [DataOptions, CascadeOptions, CalibrationOptions],
        "Choose the stages and thresholds of a cascade on the validation split.",
        CALIBRATE_EXAMPLE,
    )
    data, models, options = parser.parse(argv)
    column = data.text_column if detect_modality(data) == "text" else data.image_column
    rows = load_split(data, data.validation_split, column)
    cascade = Cascade.load(models.localizer, models.classifier, [], full_size=models.full_size)
    calibrated = calibrate(cascade, rows, column, data.label_column, options)
    calibrated.save_pretrained(models.output_dir, copy_classifier=models.copy_classifier)
    write_json(Path(models.output_dir) / "calibration.json", calibrated.record)


def _run_for_data(
    command: str,
    kinds: dict[str, tuple[list[type], Callable[..., Any]]],
    argv: Sequence[str],
    description: str,
    example: str,
) -> None:
    """Parse the options of the data's modality and run what belongs to it."""
    _show_log()
    parsers = {
        modality: OptionParser(
            command,
            [DataOptions, *option_types, TrainingOptions],
            description.format(modality),
            example,
        )
        for modality, (option_types, _) in kinds.items()
    }
    modality, options = parse_for_data(argv, parsers)
    kinds[modality][1](*options)
    # A process that ends while its group still listens may be aborted.
    PartialState().destroy_process_group()


def _show_log() -> None:
    """What the package logs goes to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
