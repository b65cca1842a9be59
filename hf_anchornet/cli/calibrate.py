"""`anchornet calibrate`: make a cascade of a localizer and a classifier."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_anchornet.calibration.calibrate import calibrate, list_candidates
from hf_anchornet.calibration.options import CalibrationOptions
from hf_anchornet.calibration.summary import describe_choice, find_warnings
from hf_anchornet.data.paths import refuse_data_folder
from hf_anchornet.data.splits import DataOptions, detect_modality, load_split
from hf_anchornet.model.cascade import Cascade
from hf_anchornet.publishing.calibrated_folder import save_calibrated
from hf_anchornet.publishing.card import read_training
from hf_anchornet.publishing.leftovers import refuse_other_kind

from .options import OptionParser, build_options
from .shared import show_log
from .shipped import name_shipped

logger = logging.getLogger(__name__)

DESCRIPTION = "Choose the stages and exit thresholds of a cascade on the validation split."
EXAMPLES = """\
  anchornet calibrate --dataset my_data --localizer runs/localizer \\
      --classifier runs/classifier --output-dir runs/cascade
  anchornet calibrate --dataset my_data --localizer runs/localizer \\
      --classifier runs/classifier --stages ngrams localizer 64 full \\
      --output-dir runs/cascade
  anchornet calibrate --dataset my_photos --localizer runs/localizer \\
      --classifier runs/classifier --glance runs/classifier --glance-size 96 \\
      --output-dir runs/cascade"""


@dataclass
class CascadeOptions:
    """The models of a cascade and its folder.

    Attributes:
        localizer: Folder or Hub id of the localizer.
        classifier: Folder or Hub id of the classifier, which must have the same labels.
        output_dir: Folder for the cascade and its record, calibration.json.
        full_size: Tokens that a full text is cut to, or side in pixels of the square that a whole
            image is resized to; by default what the classifier's own processor does.
        glance: Folder or Hub id of an image classifier that may answer first, from the whole image
            made small. It may be `classifier` itself.
        glance_size: Side in pixels to which it resizes whole images; by default what its own
            processor does.
        copy_classifier: Whether to save the classifiers in the folder too, not only their names.
        keep_classifier: Whether to save a cascade even if the classifier is never asked; by
            default the folder then holds the localizer alone.
    """

    localizer: str
    classifier: str
    output_dir: str
    full_size: int | None = None
    glance: str | None = None
    glance_size: int | None = None
    copy_classifier: bool = True
    keep_classifier: bool = False


GROUPS = {"data": DataOptions, "models": CascadeOptions, "calibration": CalibrationOptions}


def make_parser() -> OptionParser:
    """The parser of the command."""
    return OptionParser("calibrate", GROUPS, DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Run the command with options by field name."""
    show_log(make_parser())
    build_cascade(given, print)


def build_cascade(given: Mapping[str, Any], show: Callable[[str], Any] = logger.info) -> Cascade:
    """A calibrated cascade, saved in the folder `output_dir`.

    A cascade that never asks its classifier is saved as a localizer.

    Args:
        given: Options by field name.
        show: Called with each line of a summary.
    """
    data, models, options = build_options([*GROUPS.values()], name_shipped(given))
    _check_output(data, models)
    column = data.input_column(detect_modality(data))
    rows = load_split(data, data.validation_split, column)
    cascade = Cascade.load(
        models.localizer,
        models.classifier,
        [],
        full_size=models.full_size,
        glance=models.glance,
        glance_size=models.glance_size,
    )
    kind = cascade.localizer.model.config.model_type
    refuse_other_kind(Path(models.output_dir), kind, may_be_cascade=True)
    calibrated = calibrate(cascade, rows, column, data.label_column, options)
    for line in describe_choice(calibrated.record, calibrated.rule):
        show(line)
    candidates = list_candidates(cascade, options)
    for warning in find_warnings(
        calibrated.record, candidates, read_training(models.classifier) or None
    ):
        logger.warning("warning: %s", warning)
    is_cascade = save_calibrated(
        calibrated,
        models.output_dir,
        models.localizer,
        models.copy_classifier,
        models.keep_classifier,
    )
    what = "a cascade" if is_cascade else "the localizer alone, without the classifier"
    show(f"saved {what} in {models.output_dir}")
    show(f"next: anchornet evaluate --dataset {data.dataset} --model {models.output_dir}")
    return calibrated


def _check_output(data: DataOptions, models: CascadeOptions) -> None:
    """Refuse an output folder whose files are still needed."""
    refuse_data_folder(models.output_dir, data.dataset)
    for name in ("classifier", "glance"):
        source = getattr(models, name)
        if source is not None and Path(source).resolve() == Path(models.output_dir).resolve():
            raise ValueError(
                f"`output_dir` must not be the folder of the `{name}`, got {models.output_dir}: "
                "its model would be replaced; choose another folder."
            )
