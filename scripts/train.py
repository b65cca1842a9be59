"""Train a localizer from labels of texts or images: `accelerate launch scripts/train.py --help`."""

import logging
import sys

from transformers import HfArgumentParser

from hf_anchornet.augmentation import AugmentationOptions
from hf_anchornet.data import DataOptions, find_modality
from hf_anchornet.training import TrainingOptions
from hf_anchornet.training_image import ImageLocalizerOptions, train_image_localizer
from hf_anchornet.training_text import LocalizerOptions, train_localizer

TRAIN = {"text": train_localizer, "image": train_image_localizer}


def make_parser(modality: str) -> HfArgumentParser:
    """The options of one modality; those of the other are unknown to it."""
    text, image = [LocalizerOptions], [ImageLocalizerOptions, AugmentationOptions]
    options = [DataOptions, *(image if modality == "image" else text), TrainingOptions]
    return HfArgumentParser(options, description=f"Options for {modality}s.", allow_abbrev=False)


def main() -> None:
    """Parse the options, look at the data and train."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if {"-h", "--help"} & set(sys.argv[1:]):
        for modality in TRAIN:
            make_parser(modality).print_help()
        sys.exit(0)
    only_data = HfArgumentParser(DataOptions, allow_abbrev=False)
    data, _ = only_data.parse_args_into_dataclasses(return_remaining_strings=True)
    modality = find_modality(data)
    TRAIN[modality](*make_parser(modality).parse_args_into_dataclasses())


if __name__ == "__main__":
    main()
