"""The command line: `anchornet localize` for your own inputs, `anchornet demo` for a first look.

Results go to standard output, everything else to standard error. The exit code is 0, or 2 after
bad usage or bad input. transformers loads only once there is work, so that `--help` is instant.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .cli_image import demonstrate_image, localize_images
from .cli_shared import PIPELINE_OPTIONS
from .cli_text import demonstrate_text, localize_texts
from .visualization import clean_line


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command line `argv`, by default that of the process."""
    arguments = _build_parser().parse_args(argv)
    _prepare_streams()
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough; nothing may fail again when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"anchornet: error: {clean_line(str(error))}", file=sys.stderr)
        return 2
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anchornet",
        description="Show which words of a text, or which patches of an image, decided its label.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="localize a review and a photo with the shipped models")
    demo.set_defaults(run=_run_demo)
    localize = commands.add_parser(
        "localize",
        help="localize texts or images",
        description="Find the spans that decide a text's label, or the patches that decide an "
        "image's. Reads a text from standard input unless TEXT, --file or --image is given.",
    )
    localize.set_defaults(run=_run_localize)
    _add_input_arguments(localize)
    _add_pipeline_arguments(localize)
    _add_output_arguments(localize)
    return parser


def _add_input_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("text", nargs="?", metavar="TEXT", help="the text itself")
    add = source.add_argument
    for name, kind, what in (
        ("--file", Path, "a UTF-8 file with one text"),
        ("--image", str, "an image file or URL"),
    ):
        help_text = f"{what}; may be repeated"
        add(name, action="append", default=[], type=kind, metavar="PATH", help=help_text)
    parser.add_argument(
        "--lines", action="store_true", help="take each line for a text of its own, as it comes"
    )


def _add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("models and selection").add_argument
    add("--model", metavar="ID", help="localizer: model id or folder; the shipped one if left out")
    add("--classifier", metavar="ID", help="classifier: model id, folder, or `default` (shipped)")
    add("--top-k", type=int, metavar="N", help="most spans or patches to show")
    add("--scales", type=_split_integers, metavar="N,N", help="window sizes, in tokens or pixels")
    add("--max-tokens", type=int, metavar="N", help="most tokens that all spans have together")
    add("--max-patches", type=int, metavar="N", help="most patches that the classifier reads")
    add("--iou-threshold", type=float, metavar="X", help="how far they may overlap, from 0 to 1")
    add("--labels", type=_split_names, metavar="A,B", help="labels to show the evidence of")
    add("--batch-size", type=int, metavar="N", help="inputs a forward pass")
    add("--device", metavar="NAME", help="where to compute, for example cpu or cuda:0")


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--format",
        choices=("text", "jsonl", "html", "png"),
        default="text",
        help="what to print (default: %(default)s); html for texts, png for images",
    )
    add(
        "--output",
        type=Path,
        metavar="PATH",
        help="write to this file, not to standard output; png of several images: to this folder",
    )


def _split_names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",")]


def _split_integers(value: str) -> list[int]:
    try:
        return [int(number) for number in value.split(",")]
    except ValueError:
        message = f"must be whole numbers with commas between, for example 3,9, got {value!r}"
        raise argparse.ArgumentTypeError(message) from None


def _run_localize(arguments: argparse.Namespace) -> None:
    if arguments.image:
        localize_images(arguments)
    else:
        localize_texts(arguments)


def _run_demo(arguments: argparse.Namespace) -> None:
    options = dict.fromkeys(("model", *PIPELINE_OPTIONS)) | {"classifier": "default"}
    demonstrate_text(argparse.Namespace(**options))
    demonstrate_image(argparse.Namespace(**options))


def _prepare_streams() -> None:
    """UTF-8 in and out on every platform, line ends untouched on the way in."""
    # A stand-in stream, as in a notebook, cannot be set up and needs no setting up.
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8", newline="")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
