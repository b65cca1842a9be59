"""Train a classifier on spans: `accelerate launch scripts/adapt_classifier.py --help`."""

import logging

from transformers import HfArgumentParser

from hf_anchornet.adaptation import ClassifierOptions, adapt_classifier
from hf_anchornet.data import DataOptions
from hf_anchornet.training import TrainingOptions


def main() -> None:
    """Parse the options and train."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser((DataOptions, ClassifierOptions, TrainingOptions))
    adapt_classifier(*parser.parse_args_into_dataclasses())


if __name__ == "__main__":
    main()
