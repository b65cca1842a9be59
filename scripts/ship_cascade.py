"""Copy a calibrated cascade without its localizer, and its classifier as float16 adapters."""

from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from safetensors.torch import load_file, save_file

from hf_anchornet.model.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from hf_anchornet.model.cascade_file import CASCADE_FILE, CLASSIFIER_FOLDER, load_settings
from scripts.options import parse_options

COPIED = (ADAPTER_CONFIG, "config.json", "tokenizer.json", "tokenizer_config.json")


@dataclass
class Folders:
    """Options of the copy.

    Attributes:
        cascade: Folder of the calibrated cascade.
        adapters: Folder of the adapters that its classifier was loaded from.
        target: Folder to write; a `classifier` for pipelines of the cascade's localizer.
    """

    cascade: str
    adapters: str
    target: str


def ship_cascade(folders: Folders) -> None:
    """Copy a cascade whose localizer is shipped already, and whose checkpoint is found elsewhere.

    The adapters are rounded to float16 (relative error 5e-4) and load as float32.

    Raises:
        OSError: if one of the folders does not hold what it should.
        ValueError: if `cascade.json` is damaged.
    """
    load_settings(folders.cascade)
    source, target = Path(folders.adapters), Path(folders.target)
    classifier = target / CLASSIFIER_FOLDER
    classifier.mkdir(parents=True, exist_ok=True)
    copyfile(Path(folders.cascade, CASCADE_FILE), target / CASCADE_FILE)
    for name in COPIED:
        copyfile(source / name, classifier / name)
    weights = load_file(source / ADAPTER_WEIGHTS)
    halved = {name: each.half().contiguous() for name, each in weights.items()}
    save_file(halved, classifier / ADAPTER_WEIGHTS, {"format": "pt"})


def main() -> None:
    """Parse the options and copy."""
    ship_cascade(*parse_options(Folders, description=__doc__))


if __name__ == "__main__":
    main()
