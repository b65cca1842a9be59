"""The command line for texts: where they come from, how their spans are printed."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import tee
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from hf_anchornet.views.base import Record, clean_line, summarize_answer, wrap
from hf_anchornet.views.text_view import render_html, render_page, render_terminal

from .shared import (
    describe_answer,
    load_pipeline,
    measure_width,
    show_progress,
    wants_color,
    write_parts,
)

TASK = "span-localization"
ANSWER_FIELD = "localization"
"""Where the answer goes in an object that came as a JSON line: its own fields stay."""


class Source(NamedTuple):
    """One text, and the object that it came in: `None` of a plain text."""

    text: str
    record: dict[str, Any] | None = None


def localize_texts(arguments: argparse.Namespace) -> None:
    """Localize the texts that the command line names and print the results."""
    write = _WRITERS.get(arguments.format)
    if write is None:
        raise ValueError(
            f"`--format` of texts must be one of {', '.join(_WRITERS)}, got {arguments.format}."
        )
    localize = load_pipeline(TASK, arguments)
    sources, inputs = tee(_read_sources(arguments))
    # A generator makes the pipeline stream; tee holds no more than the texts under way.
    answers = localize(source.text for source in inputs)
    pairs = show_progress(zip(sources, answers, strict=False), "texts", arguments.output)
    terminal = sys.stdout.isatty() and arguments.output is None
    write_parts(write(pairs, terminal), arguments.output, arguments.file)


def _read_sources(arguments: argparse.Namespace) -> Iterator[Source]:
    """The texts in order, line ends untouched inside a text, so that offsets stay true."""
    if arguments.text is not None:
        yield from _read_stream(StringIO(arguments.text, newline=""), "TEXT", arguments)
    elif not arguments.file:
        if sys.stdin.isatty():
            print("Type the text, then end it with Ctrl-D on a new line.", file=sys.stderr)
        yield from _read_stream(sys.stdin, "standard input", arguments)
    for path in arguments.file:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from _read_stream(stream, f"`--file` {path}", arguments, path)


def _read_stream(
    stream: TextIO, name: str, arguments: argparse.Namespace, path: Path | None = None
) -> Iterator[Source]:
    """The texts of a stream; `path` is the file's, if it is one."""
    named_jsonl = path is not None and path.suffix == ".jsonl"
    try:
        if arguments.jsonl or (named_jsonl and not arguments.lines):
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _read_record(line, f"{name}, line {number},", arguments.text_field)
        elif arguments.lines:
            yield from (Source(line.rstrip("\r\n")) for line in stream)
        else:
            yield Source(stream.read())
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be UTF-8, got {error}; convert it with iconv.") from None


def _read_record(line: str, name: str, field: str) -> Source:
    """The text of a JSON line and all that came with it."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} must be JSON, got {error}; mend or drop that line.") from None
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        found = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise ValueError(
            f"{name} must be an object with a string in `{field}`, got {found}; mend or drop that "
            "line, or name its field with `--text-field`."
        )
    if ANSWER_FIELD in record:
        raise ValueError(
            f"{name} must not have a field `{ANSWER_FIELD}`, where the answer goes; rename it."
        )
    return Source(record[field], record)


def _write_text(pairs: Iterable[tuple[Source, Record]], terminal: bool) -> Iterator[str]:
    width = measure_width() if terminal else None
    for source, result in pairs:
        shown = render_terminal(source.text, result, color=wants_color(sys.stdout), width=width)
        yield f"{shown}\n\n{wrap(summarize_answer(result), width)}\n\n"


def _write_jsonl(pairs: Iterable[tuple[Source, Record]], terminal: bool) -> Iterator[str]:
    for source, result in pairs:
        whole = result if source.record is None else source.record | {ANSWER_FIELD: result}
        yield f"{json.dumps(whole)}\n"


def _write_html(pairs: Iterable[tuple[Source, Record]], terminal: bool) -> Iterator[str]:
    return render_page(render_html(source.text, result) for source, result in pairs)


_WRITERS = {"text": _write_text, "jsonl": _write_jsonl, "html": _write_html}


def demonstrate_text(arguments: argparse.Namespace) -> None:
    """Localize the sample review with the shipped models and tell what happened."""
    from hf_anchornet.registration import SAMPLE_REVIEW

    text = SAMPLE_REVIEW.read_text(encoding="utf-8").strip()
    (result,) = load_pipeline(TASK, arguments)([text])
    print(_compose_demo(text, result, color=wants_color(sys.stdout), width=measure_width()))


def _compose_demo(text: str, result: Record, *, color: bool, width: int) -> str:
    classifier, cost = result["classifier"], result["cost"]
    agrees = "agrees" if classifier["label"] == result["label"] else "disagrees"
    read, whole = cost["classifier_tokens"], cost["full_tokens"]
    return "\n\n".join(
        (
            "A film review, and the spans that decided its label:",
            render_terminal(text, result, color=color, width=width),
            wrap(f"The localizer, in one pass, says {describe_answer(result)}.", width),
            _render_table(result, width=width),
            "The classifier then read only this:",
            wrap(clean_line(classifier["text"]), width),
            wrap(
                f"It {agrees}: {describe_answer(classifier)}. "
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
