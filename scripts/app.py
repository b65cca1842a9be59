"""Serve the web demo, or write it as a folder for a Hugging Face Space."""

from dataclasses import dataclass

from transformers import HfArgumentParser

from hf_anchornet.demo.demo_app import launch
from hf_anchornet.demo.demo_space import write_space


@dataclass
class Options:
    """Where to serve, or what to write instead.

    Attributes:
        port: Port on loopback; by default the first free one from 7860 on.
        space: Folder to write a Space to instead of serving; publish it with
            `hf upload NAME FOLDER --repo-type space`.
    """

    port: int | None = None
    space: str | None = None


def main() -> None:
    """Parse the options, then serve or write."""
    (options,) = HfArgumentParser(Options).parse_args_into_dataclasses()
    if options.space is not None:
        write_space(options.space)
    else:
        launch(options.port)


if __name__ == "__main__":
    main()
