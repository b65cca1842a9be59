"""`anchornet localize`: find the spans or patches behind a label."""

import argparse
from pathlib import Path
from typing import Any

from .localize_corpus import add_corpus_arguments, localize_corpora, refuse_corpus_options
from .localize_image import localize_images
from .localize_text import localize_texts
from .options import CommandParser
from .shared import hide_progress_bars, split_names

DESCRIPTION = """\
Find the spans that decide a text's label, or the patches that decide an image's.
Without TEXT, --file, --image and --input, one text is read from standard input."""
EXAMPLES = """\
  anchornet localize "The cast is superb, and only the ending is dull."
  anchornet localize --file reviews.jsonl --classifier default --format jsonl > answers.jsonl
  cat reviews.txt | anchornet localize --lines --top-k 2
  anchornet localize --image photo.jpg --format png --output patches.png
  anchornet localize --input 'reviews/*.parquet' --output answers --columns id"""


def make_parser() -> CommandParser:
    """The parser of the command."""
    parser = CommandParser("localize", DESCRIPTION, EXAMPLES, usage="[options] [TEXT]")
    _add_input_arguments(parser)
    _add_pipeline_arguments(parser)
    _add_output_arguments(parser)
    add_corpus_arguments(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    hide_progress_bars()
    if arguments.input is not None:
        localize_corpora(arguments)
        return
    refuse_corpus_options(arguments)
    arguments.output = None if arguments.output is None else Path(arguments.output)
    if arguments.image:
        localize_images(arguments)
    else:
        localize_texts(arguments)


def _add_input_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    add = source.add_argument
    add("text", nargs="?", metavar="TEXT", help="the text itself")
    many: dict[str, Any] = {"action": "append", "default": [], "metavar": "PATH"}
    what = "UTF-8 file with one text, or with JSON lines (.jsonl, .ndjson); repeatable"
    add("--file", type=Path, help=what, **many)
    add("--image", help="image file or URL; repeatable", **many)
    add("--input", metavar="PATTERN", help="parquet files of a corpus: a quoted pattern or URLs")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--lines", action="store_true", help="read each line as a text")
    form.add_argument(
        "--jsonl",
        action="store_true",
        help="read each line as a JSON object with a text; `--format jsonl` writes the object "
        "with the answer in its field `localization`",
    )
    parser.add_argument(
        "--text-field",
        default="text",
        metavar="NAME",
        help="field of the text in JSON lines (default: %(default)s)",
    )


def _add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("models and selection").add_argument
    add(
        "--model",
        dest="localizer",
        metavar="ID",
        help="localizer or cascade: Hub id or folder (default: the shipped localizer)",
    )
    add(
        "--classifier",
        metavar="ID",
        help="classifier: Hub id, folder or `default` (shipped); `none`: the localizer of a "
        "cascade alone",
    )
    add("--top-k", type=int, metavar="N", help="maximum number of spans or patches to show")
    add("--scales", type=_split_integers, metavar="N,N", help="window sizes, in tokens or pixels")
    add("--max-tokens", type=int, metavar="N", help="maximum number of tokens in all spans")
    add("--unit", metavar="UNIT", help="what spans are made of: word, clause or sentence")
    add("--max-patches", type=int, metavar="N", help="maximum number of patches to classify")
    add(
        "--full-resolution",
        action="store_const",
        const=True,
        help="read images as large as they are, tile by tile",
    )
    add("--zoom", type=int, metavar="N", help="read N places of an image again, larger and larger")
    add("--iou-threshold", type=float, metavar="X", help="maximum overlap (IoU), from 0 to 1")
    add(
        "--exit-threshold",
        type=_split_thresholds,
        metavar="X",
        help="ask the classifier only if the localizer's confidence is below this, from 0 to 1; "
        "for a cascade, one value or one for each stage but the last, separated by commas",
    )
    add(
        "--labels",
        type=split_names,
        metavar="A,B",
        help="labels to show evidence for; as JSON if one has a comma or outer blanks: "
        """'["a, b", "c"]'""",
    )
    add(
        "--explain-answer",
        action="store_const",
        const=True,
        help="also show what each part adds to the answer of the model that gave it",
    )
    add("--batch-size", type=int, metavar="N", help="inputs in one forward pass")
    add("--device", metavar="NAME", help="device of the models, for example cpu or cuda:0")
    add(
        "--backend",
        choices=("eager", "compile", "onnx", "onnx-unchecked"),
        help="torch (eager), torch.compile or ONNX Runtime; onnx-unchecked also runs a graph that "
        "somebody else exported",
    )


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--format",
        choices=("text", "jsonl", "html", "png"),
        default="text",
        help="output format (default: %(default)s); html is one page, png for images",
    )
    add(
        "--output",
        metavar="PATH",
        help="file to write instead of standard output; a folder for the png of several images "
        "and for a corpus",
    )


def _split_integers(value: str) -> list[int]:
    try:
        return [int(number) for number in value.split(",")]
    except ValueError:
        message = f"must be whole numbers separated by commas, for example 3,9, got {value!r}"
        raise argparse.ArgumentTypeError(message) from None


def _split_thresholds(value: str) -> float | list[float]:
    try:
        numbers = [float(number) for number in value.split(",")]
    except ValueError:
        message = f"must be numbers separated by commas, for example 0.9, got {value!r}"
        raise argparse.ArgumentTypeError(message) from None
    return numbers[0] if len(numbers) == 1 else numbers
