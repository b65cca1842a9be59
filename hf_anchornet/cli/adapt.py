"""`anchornet adapt`: train a classifier on the parts that a localizer selects."""

from collections.abc import Sequence

from hf_anchornet.training.image_adaptation import adapt_image_classifier
from hf_anchornet.training.image_readings import ImageClassifierOptions
from hf_anchornet.training.text_adaptation import TextClassifierOptions, adapt_text_classifier

from .modalities import Work, run_command

WORKS = {
    "text": Work([TextClassifierOptions], adapt_text_classifier),
    "image": Work([ImageClassifierOptions], adapt_image_classifier),
}

DESCRIPTION = "Train a classifier on the spans or patches that a localizer selects."
EXAMPLES = """\
  anchornet adapt --dataset my_data --localizer runs/localizer --output-dir runs/classifier"""


def run(argv: Sequence[str]) -> None:
    """Run the command."""
    run_command("adapt", WORKS, argv, DESCRIPTION, EXAMPLES)
