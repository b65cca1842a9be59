"""The command line: `anchornet localize` for texts of your own, `anchornet demo` for a first look.

Results go to standard output, everything else to standard error. The exit code is 0, or 2 after
bad usage or bad input. transformers loads only once there is work, so that `--help` is instant.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from io import StringIO
from itertools import tee
from pathlib import Path
from typing import Any, TextIO

from .visualization import (
    Record,
    clean_line,
    render_html,
    render_page,
    render_terminal,
    summarize,
    wrap,
)

_PIPELINE_OPTIONS = (
    "top_k",
    "scales",
    "max_tokens",
    "iou_threshold",
    "labels",
    "batch_size",
    "device",
)


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
        prog="anchornet", description="Show which words of a text decided its label."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="localize a real review with the shipped models")
    demo.set_defaults(run=_run_demo)
    localize = commands.add_parser(
        "localize",
        help="localize texts from an argument, files or standard input",
        description="Find the spans that decide a text's label. Reads standard input unless TEXT "
        "or --file is given.",
    )
    localize.set_defaults(run=_run_localize)
    _add_input_arguments(localize)
    _add_pipeline_arguments(localize)
    _add_output_arguments(localize)
    return parser


def _add_input_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("text", nargs="?", metavar="TEXT", help="the text itself")
    source.add_argument(
        "--file",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="a UTF-8 file with one text; may be repeated",
    )
    parser.add_argument(
        "--lines", action="store_true", help="take each line for a text of its own, as it comes"
    )


def _add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("models and selection").add_argument
    add("--model", metavar="ID", help="localizer: model id or folder; the shipped one if left out")
    add("--classifier", metavar="ID", help="classifier: model id, folder, or `default` (shipped)")
    add("--top-k", type=int, metavar="N", help="most spans to show")
    add("--scales", type=_split_integers, metavar="N,N", help="window sizes to use, in tokens")
    add("--max-tokens", type=int, metavar="N", help="most tokens that all spans have together")
    add("--iou-threshold", type=float, metavar="X", help="how far spans may overlap, from 0 to 1")
    add("--labels", type=_split_names, metavar="A,B", help="labels to show the evidence of")
    add("--batch-size", type=int, metavar="N", help="texts a forward pass")
    add("--device", metavar="NAME", help="where to compute, for example cpu or cuda:0")


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add("--format", choices=_WRITERS, default="text", help="what to print (default: %(default)s)")
    add("--output", type=Path, metavar="PATH", help="write to this file, not to standard output")


def _split_names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",")]


def _split_integers(value: str) -> list[int]:
    try:
        return [int(number) for number in value.split(",")]
    except ValueError:
        message = f"must be whole numbers with commas between, for example 3,9, got {value!r}"
        raise argparse.ArgumentTypeError(message) from None


def _run_localize(arguments: argparse.Namespace) -> None:
    if arguments.output and any(_is_same_file(arguments.output, path) for path in arguments.file):
        raise ValueError("`--output` must not be a file that is read; choose another name.")
    localize = _load_pipeline(arguments)
    texts, inputs = tee(_read_texts(arguments))
    # A generator makes the pipeline stream; tee holds no more than the texts under way.
    results = localize(text for text in inputs)
    opened = (
        arguments.output.open("w", encoding="utf-8", newline="")
        if arguments.output
        else nullcontext(sys.stdout)
    )
    with opened as stream:
        for part in _WRITERS[arguments.format](zip(texts, results, strict=False), stream):
            stream.write(part)
            stream.flush()


def _load_pipeline(arguments: argparse.Namespace) -> Callable[[Iterable[str]], Iterable[Record]]:
    from transformers import pipeline
    from transformers.utils.logging import disable_progress_bar

    from .hub import DEFAULT_TEXT_CLASSIFIER, DEFAULT_TEXT_LOCALIZER, register

    register()
    disable_progress_bar()
    chosen = {name: getattr(arguments, name) for name in _PIPELINE_OPTIONS}
    options: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if arguments.classifier is not None:
        shipped = arguments.classifier == "default"
        options["classifier"] = str(DEFAULT_TEXT_CLASSIFIER) if shipped else arguments.classifier
    model = str(DEFAULT_TEXT_LOCALIZER) if arguments.model is None else arguments.model
    # The stubs of transformers list its own tasks only.
    return pipeline("span-localization", model=model, **options)  # type: ignore[call-overload,no-any-return]


def _read_texts(arguments: argparse.Namespace) -> Iterator[str]:
    """The texts in order, line ends untouched inside a text, so that offsets stay true."""
    if arguments.text is not None:
        stream = StringIO(arguments.text, newline="")
        yield from _read_stream(stream, "TEXT", arguments.lines)
    elif not arguments.file:
        if sys.stdin.isatty():
            print("Type the text, then end it with Ctrl-D on a new line.", file=sys.stderr)
        yield from _read_stream(sys.stdin, "standard input", arguments.lines)
    for path in arguments.file:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from _read_stream(stream, f"`--file` {path}", arguments.lines)


def _read_stream(stream: TextIO, name: str, lines: bool) -> Iterator[str]:
    try:
        if lines:
            yield from (line.rstrip("\r\n") for line in stream)
        else:
            yield stream.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be UTF-8, got {error}; convert it with iconv.") from None


def _write_text(pairs: Iterable[tuple[str, Record]], stream: TextIO) -> Iterator[str]:
    width = _measure_width() if stream.isatty() else None
    for text, result in pairs:
        shown = render_terminal(text, result, color=_wants_color(stream), width=width)
        yield f"{shown}\n\n{wrap(summarize(result), width)}\n\n"


def _write_jsonl(pairs: Iterable[tuple[str, Record]], stream: TextIO) -> Iterator[str]:
    return (f"{json.dumps(result)}\n" for _, result in pairs)


def _write_html(pairs: Iterable[tuple[str, Record]], stream: TextIO) -> Iterator[str]:
    return render_page(render_html(text, result) for text, result in pairs)


_WRITERS = {"text": _write_text, "jsonl": _write_jsonl, "html": _write_html}


def _run_demo(arguments: argparse.Namespace) -> None:
    from .hub import SAMPLE_REVIEW

    options = argparse.Namespace(**dict.fromkeys(("model", *_PIPELINE_OPTIONS)))
    options.classifier = "default"
    text = SAMPLE_REVIEW.read_text(encoding="utf-8").strip()
    (result,) = _load_pipeline(options)([text])
    print(_compose_demo(text, result, color=_wants_color(sys.stdout), width=_measure_width()))


def _compose_demo(text: str, result: Record, *, color: bool, width: int) -> str:
    classifier, cost = result["classifier"], result["cost"]
    agrees = "agrees" if classifier["label"] == result["label"] else "disagrees"
    read, whole = cost["classifier_tokens"], cost["full_tokens"]
    return "\n\n".join(
        (
            "A film review, and the spans that decided its label:",
            render_terminal(text, result, color=color, width=width),
            wrap(f"The localizer, in one pass, says {_describe_answer(result)}.", width),
            _render_table(result, width=width),
            "The classifier then read only this:",
            wrap(clean_line(classifier["text"]), width),
            wrap(
                f"It {agrees}: {_describe_answer(classifier)}. "
                f"It read {read} of {whole} tokens, {read / whole:.1%} of the review.",
                width,
            ),
        )
    )


def _render_table(result: Record, *, width: int) -> str:
    """The spans as a plain table of at most `width` columns, the largest share first."""
    rows = [f"{'share':>7}  {'evidence':>8}  {'tokens':>6}  span"]
    for span in sorted(result["spans"], key=lambda span: -abs(span["share"])):
        label = "" if span["label"] == result["label"] else f"{span['label']}: "
        numbers = f"{span['share']:>+7.1%}  {span['evidence']:>+8.3f}  {span['scale']:>6}  "
        rows.append(numbers + clean_line(label + span["text"], width - len(numbers)))
    return "\n".join(rows)


def _describe_answer(answer: Record) -> str:
    """A label and its probability in words."""
    return f"{clean_line(answer['label'])} ({answer['score']:.1%})"


def _prepare_streams() -> None:
    """UTF-8 in and out on every platform, line ends untouched on the way in."""
    # A stand-in stream, as in a notebook, cannot be set up and needs no setting up.
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8", newline="")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _wants_color(stream: TextIO) -> bool:
    """Whether to shade: on a terminal only, and not against https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _measure_width() -> int:
    return min(100, max(40, shutil.get_terminal_size().columns))


def _is_same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
