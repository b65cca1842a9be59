"""Copy a checkpoint with float16 weights that load as float32: half the size on disk."""

from dataclasses import dataclass

from transformers import HfArgumentParser

from hf_anchornet.publish.half_precision import save_half


@dataclass
class Folders:
    """From where to where.

    Attributes:
        source: Hub id or folder of a text or image classifier with its tokenizer or processor.
        target: Folder to write.
    """

    source: str
    target: str


def main() -> None:
    """Parse the options and copy."""
    (folders,) = HfArgumentParser(Folders).parse_args_into_dataclasses()
    save_half(folders.source, folders.target)


if __name__ == "__main__":
    main()
