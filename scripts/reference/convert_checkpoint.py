"""Save the AnchorNet published at github winycg/AnchorNet as a folder for `from_pretrained`."""

from dataclasses import dataclass

from transformers import HfArgumentParser

from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
from scripts.reference.conversion import load_reference_checkpoint


@dataclass
class Files:
    """From where to where.

    Attributes:
        source: The authors' checkpoint, `anchornet.pth` or `.pth.tar`.
        target: Folder to write.
    """

    source: str
    target: str


def main() -> None:
    """Parse the options and convert."""
    (files,) = HfArgumentParser(Files).parse_args_into_dataclasses()
    load_reference_checkpoint(files.source).save_pretrained(files.target)
    # The scale at which the authors show images (shorter side 256 px, then a crop of 224), but the
    # whole picture: boxes are counted from its corner.
    AnchorNetImageProcessor(size={"shortest_edge": 256}).save_pretrained(files.target)


if __name__ == "__main__":
    main()
