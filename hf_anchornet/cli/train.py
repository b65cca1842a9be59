"""`anchornet train`: train a localizer on labelled texts or images."""

from collections.abc import Mapping
from typing import Any

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.training.image_options import ImageLocalizerOptions
from hf_anchornet.training.image_training import train_image_localizer
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer

from .modalities import Work, group_options, run_command
from .options import OptionParser

WORKS = {
    "text": Work([TextLocalizerOptions], train_text_localizer),
    "image": Work([ImageLocalizerOptions, AugmentationOptions], train_image_localizer),
}

DESCRIPTION = "Train a localizer from the labels of whole texts or images."
EXAMPLES = """\
  anchornet train --dataset my_data --output-dir runs/localizer
  accelerate launch -m hf_anchornet train --dataset my_data --output-dir runs/localizer
  anchornet train --dataset my_data --output-dir runs/localizer --checkpoint-steps 500 --resume
  anchornet train --dataset my_data --output-dir runs/localizer --streaming --max-steps 20000"""


def make_parser() -> OptionParser:
    """The parser of the command."""
    return OptionParser("train", group_options(WORKS), DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Run the command with options by field name."""
    run_command("train", WORKS, given, make_parser())
