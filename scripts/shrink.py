"""Copy a checkpoint with float16 weights, half the size on disk; they load as float32."""

from dataclasses import dataclass

from hf_anchornet.publish.half_precision import save_half
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


def main() -> None:
    """Parse the options and copy."""
    (folders,) = parse_options(Folders, description=__doc__)
    save_half(folders.source, folders.target)


if __name__ == "__main__":
    main()
