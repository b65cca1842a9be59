"""Train a classifier on what a localizer selects: see `scripts/adapt_classifier.py --help`."""

import logging
import sys

from transformers import HfArgumentParser

from hf_anchornet.adaptation import ClassifierOptions, adapt_classifier
from hf_anchornet.adaptation_image import PatchClassifierOptions, adapt_patch_classifier
from hf_anchornet.data import DataOptions, find_modality
from hf_anchornet.training import TrainingOptions

ADAPT = {
    "text": (ClassifierOptions, adapt_classifier),
    "image": (PatchClassifierOptions, adapt_patch_classifier),
}


def make_parser(modality: str) -> HfArgumentParser:
    """The options of one modality; those of the other are unknown to it."""
    options = [DataOptions, ADAPT[modality][0], TrainingOptions]
    return HfArgumentParser(options, description=f"Options for {modality}s.", allow_abbrev=False)


def main() -> None:
    """Parse the options, look at the data and train."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if {"-h", "--help"} & set(sys.argv[1:]):
        for modality in ADAPT:
            make_parser(modality).print_help()
        sys.exit(0)
    only_data = HfArgumentParser(DataOptions, allow_abbrev=False)
    data, _ = only_data.parse_args_into_dataclasses(return_remaining_strings=True)
    modality = find_modality(data)
    _, adapt = ADAPT[modality]
    adapt(*make_parser(modality).parse_args_into_dataclasses())


if __name__ == "__main__":
    main()
