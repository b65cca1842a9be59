"""Train a text localizer from document labels: `accelerate launch scripts/train.py --help`."""

import logging

from transformers import HfArgumentParser

from hf_anchornet.data import DataOptions
from hf_anchornet.training import TrainingOptions
from hf_anchornet.training_text import LocalizerOptions, train_localizer


def main() -> None:
    """Parse the options and train."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser((DataOptions, LocalizerOptions, TrainingOptions))
    train_localizer(*parser.parse_args_into_dataclasses())


if __name__ == "__main__":
    main()
