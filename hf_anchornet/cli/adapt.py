"""`anchornet adapt`: train a classifier on the parts that a localizer selects."""

from collections.abc import Mapping
from typing import Any

from hf_anchornet.training.image_adaptation import adapt_image_classifier
from hf_anchornet.training.image_readings import ImageClassifierOptions
from hf_anchornet.training.text_adaptation import TextClassifierOptions, adapt_text_classifier

from .modalities import Work, group_options, run_command
from .options import OptionParser

WORKS = {
    "text": Work([TextClassifierOptions], adapt_text_classifier),
    "image": Work([ImageClassifierOptions], adapt_image_classifier),
}

DESCRIPTION = "Train a classifier on the spans or patches that a localizer selects."
EXAMPLES = """\
  anchornet adapt --dataset my_data --localizer runs/localizer --output-dir runs/classifier"""


def make_parser() -> OptionParser:
    """The parser of the command."""
    return OptionParser("adapt", group_options(WORKS), DESCRIPTION, EXAMPLES)


def run(given: Mapping[str, Any]) -> None:
    """Run the command with options by field name."""
    run_command("adapt", WORKS, given, make_parser())
