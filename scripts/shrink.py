"""Copy a checkpoint with float16 weights, half the size on disk; they load as float32."""

from dataclasses import dataclass
from pathlib import Path

from hf_anchornet.model.loading import load_whole
from hf_anchornet.publishing.modality import find_classes
from scripts.options import parse_options


@dataclass
class Folders:
    """Options of the copy.

    Attributes:
        source: Hub id or folder of a text or image classifier with its tokenizer or processor.
        target: Folder to write.
    """

    source: str
    target: str


def save_half(source: str, target: str | Path) -> None:
    """Save a classifier with float16 weights that load as float32, and its processor.

    The weights are rounded once (relative error 5e-4) and not used in float16, which is slow on a
    processor.

    Args:
        source: Hub id or folder of a text or image classifier.
        target: Folder to write.

    Raises:
        ValueError: If `source` holds another kind of model.
    """
    model_class, processor_class = find_classes(source)
    model = load_whole(model_class.from_pretrained, source)[0].half()
    model.save_pretrained(target)
    config = model.config
    config.dtype = "float32"  # what `from_pretrained` loads, whatever the file holds
    config.save_pretrained(target)
    processor_class.from_pretrained(source).save_pretrained(target)


def main() -> None:
    """Parse the options and copy."""
    (folders,) = parse_options(Folders, description=__doc__)
    save_half(folders.source, folders.target)


if __name__ == "__main__":
    main()
