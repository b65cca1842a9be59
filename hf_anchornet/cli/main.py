"""The command line: what to do is the first word, `anchornet localize` for example.

Results go to standard output, everything else to standard error. A command is loaded once it is
asked for: the options of those in `TOOLS` are dataclasses of the package, the rest are here.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hf_anchornet.version import __version__
from hf_anchornet.views.base import clean_line

from .localize_corpus import add_corpus_arguments, localize_corpora, refuse_corpus_options
from .localize_image import demonstrate_image, localize_images
from .localize_text import demonstrate_text, localize_texts
from .shared import EXIT_CODES, PIPELINE_OPTIONS, split_names

EPILOG = f"""\
`anchornet COMMAND --help` lists the options of a command and shows an example.

{EXIT_CODES}"""

LOCALIZE_EPILOG = f"""\
examples:
  anchornet localize "The cast is superb, and only the ending is dull."
  anchornet localize --file reviews.jsonl --classifier default --format jsonl > answers.jsonl
  cat reviews.txt | anchornet localize --lines --top-k 2
  anchornet localize --image photo.jpg --format png --output patches.png
  anchornet localize --input 'reviews/*.parquet' --output answers --columns id

{EXIT_CODES}"""

DEMO_EPILOG = f"""\
example:
  anchornet demo

{EXIT_CODES}"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command line `argv`, by default that of the process."""
    argv = sys.argv[1:] if argv is None else list(argv)
    _prepare_streams()
    try:
        if argv and argv[0] in TOOLS:
            TOOLS[argv[0]][0](argv[1:])
        else:
            arguments = _build_parser().parse_args(argv)
            arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough; nothing may fail again when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    except (FloatingPointError, ImportError, OSError, TypeError, ValueError) as error:
        print(f"anchornet: error: {clean_line(str(error))}", file=sys.stderr)
        return 2
    return 0


def _train(argv: Sequence[str]) -> None:
    from .train import run_train

    run_train(argv)


def _adapt(argv: Sequence[str]) -> None:
    from .train import run_adapt

    run_adapt(argv)


def _calibrate(argv: Sequence[str]) -> None:
    from .train import run_calibrate

    run_calibrate(argv)


def _evaluate(argv: Sequence[str]) -> None:
    from .evaluate import run_evaluate

    run_evaluate(argv)


def _export(argv: Sequence[str]) -> None:
    from .publish import run_export

    run_export(argv)


def _publish(argv: Sequence[str]) -> None:
    from .publish import run_publish

    run_publish(argv)


def _serve(argv: Sequence[str]) -> None:
    from .serve import run_serve

    run_serve(argv)


TOOLS: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
    "train": (_train, "train a localizer on texts or images with labels"),
    "adapt": (_adapt, "train a classifier on what a localizer selects"),
    "calibrate": (_calibrate, "make a cascade of both that exits early"),
    "evaluate": (_evaluate, "score them on a labelled split, as JSON"),
    "export": (_export, "write an ONNX graph"),
    "publish": (_publish, "put a model on the Hub, with code and card"),
    "serve": (_serve, "answer over HTTP, with batches and limits"),
}
"""Commands whose options are dataclasses, and what they do."""


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anchornet",
        description="Classifiers of texts and images that show which part of the input decided.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, title="commands", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="localize a review and a photo with the shipped models",
        description="Localize a review and a photo with the shipped models and tell the story.",
        epilog=DEMO_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.set_defaults(run=_run_demo)
    localize = commands.add_parser(
        "localize",
        help="find the spans or patches that decide a label",
        description="Find the spans that decide a text's label, or the patches that decide an "
        "image's. Reads a text\nfrom standard input unless TEXT, --file or --image is given.",
        epilog=LOCALIZE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    localize.set_defaults(run=_run_localize)
    _add_input_arguments(localize)
    _add_pipeline_arguments(localize)
    _add_output_arguments(localize)
    add_corpus_arguments(localize)
    for name, (_, what) in TOOLS.items():
        commands.add_parser(name, help=what)
    return parser


def _add_input_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("text", nargs="?", metavar="TEXT", help="the text itself")
    add = source.add_argument
    for name, kind, what in (
        ("--file", Path, "a UTF-8 file with one text, or with JSON lines if named *.jsonl"),
        ("--image", str, "an image file or URL"),
    ):
        help_text = f"{what}; may be repeated"
        add(name, action="append", default=[], type=kind, metavar="PATH", help=help_text)
    add("--input", metavar="PATTERN", help="parquet files of a corpus, a pattern in quotes or URLs")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--lines", action="store_true", help="take each line for a text of its own, as it comes"
    )
    form.add_argument(
        "--jsonl",
        action="store_true",
        help="take each line for a JSON object with a text; with `--format jsonl` it comes back "
        "whole, the answer in its field `localization`",
    )
    parser.add_argument(
        "--text-field",
        default="text",
        metavar="NAME",
        help="field of JSON lines that holds the text (default: %(default)s)",
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
    add(
        "--exit-threshold",
        type=_split_thresholds,
        metavar="X",
        help="ask the classifier only where the localizer is less sure than this, from 0 to 1; of "
        "a cascade also one for each stage, with commas between",
    )
    add("--labels", type=split_names, metavar="A,B", help="labels to show the evidence of")
    add("--batch-size", type=int, metavar="N", help="inputs a forward pass")
    add("--device", metavar="NAME", help="where to compute, for example cpu or cuda:0")
    add(
        "--backend",
        choices=("eager", "compile", "onnx"),
        help="what computes: torch (eager), torch.compile or ONNX Runtime",
    )


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
        metavar="PATH",
        help="write to this file, not to standard output; png of several images: to this folder",
    )


def _split_integers(value: str) -> list[int]:
    try:
        return [int(number) for number in value.split(",")]
    except ValueError:
        message = f"must be whole numbers with commas between, for example 3,9, got {value!r}"
        raise argparse.ArgumentTypeError(message) from None


def _split_thresholds(value: str) -> float | list[float]:
    try:
        numbers = [float(number) for number in value.split(",")]
    except ValueError:
        message = f"must be a number or several with commas between, for example 0.9, got {value!r}"
        raise argparse.ArgumentTypeError(message) from None
    return numbers[0] if len(numbers) == 1 else numbers


def _run_localize(arguments: argparse.Namespace) -> None:
    if arguments.input is not None:
        localize_corpora(arguments)
        return
    refuse_corpus_options(arguments)
    arguments.output = None if arguments.output is None else Path(arguments.output)
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
