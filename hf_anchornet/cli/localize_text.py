"""Localization of texts: read from arguments, files or standard input; spans in three formats."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import tee
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from hf_anchornet.registration import TEXT_TASK, load_pipeline
from hf_anchornet.views.base import Record, summarize_answer, wrap
from hf_anchornet.views.explanation_view import render_explanation
from hf_anchornet.views.page import render_page
from hf_anchornet.views.text_view import TITLE, render_html, render_terminal

from .outputs import check_inputs, check_output, write_parts
from .shared import choose_options, measure_width, show_progress, wants_color

ANSWER_FIELD = "localization"
"""Field for the answer in an object that was read as a JSON line and is written back."""

TABLES = {".csv", ".tsv", ".parquet", ".xlsx"}
"""Ends of files that hold many texts, and are no text themselves."""

BYTE_ORDER_MARK = "\ufeff"


class Source(NamedTuple):
    """A text and the JSON object that holds it; `None` for a plain text."""

    text: str
    record: dict[str, Any] | None = None


def localize_texts(arguments: argparse.Namespace) -> None:
    """Localize the texts that the command line names and print the results."""
    write = _WRITERS.get(arguments.format)
    if write is None:
        raise ValueError(
            f"`--format` must be text, jsonl or html for texts, got {arguments.format}; choose one."
        )
    _refuse_tables(arguments.file)
    check_inputs("--file", arguments.file)
    if arguments.output is not None:
        check_output(arguments.output, arguments.file)
    localize = load_pipeline(TEXT_TASK, **choose_options(arguments, TEXT_TASK))
    sources, inputs = tee(_read_sources(arguments))
    # Given a generator, the pipeline streams; `tee` keeps only the texts that are in progress.
    answers = localize(source.text for source in inputs)
    pairs = show_progress(zip(sources, answers, strict=False), "texts", arguments.output)
    terminal = sys.stdout.isatty() and arguments.output is None
    write_parts(write(pairs, terminal), arguments.output)


def _refuse_tables(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.suffix.lower() in TABLES:
            raise ValueError(
                f"`--file` must be a text or JSON lines (.jsonl, .ndjson), got the table {path}; "
                "convert it to JSON lines, or to parquet for `--input`."
            )


def _read_sources(arguments: argparse.Namespace) -> Iterator[Source]:
    """The texts in order, with their line ends unchanged so that offsets are correct."""
    if arguments.text is not None:
        yield from _read_stream(StringIO(arguments.text, newline=""), "TEXT", arguments)
    elif not arguments.file:
        if sys.stdin.isatty():
            print("Type the text, then press Ctrl-D on a new line.", file=sys.stderr)
        yield from _read_stream(sys.stdin, "standard input", arguments)
    for path in arguments.file:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from _read_stream(stream, f"`--file` {path}", arguments, path)


def _read_stream(
    stream: TextIO, name: str, arguments: argparse.Namespace, path: Path | None = None
) -> Iterator[Source]:
    """The texts of a stream; `path` is given if it is a file."""
    named_jsonl = path is not None and path.suffix.lower() in (".jsonl", ".ndjson")
    try:
        if arguments.jsonl or (named_jsonl and not arguments.lines):
            for number, line in enumerate(stream, start=1):
                line = line.removeprefix(BYTE_ORDER_MARK if number == 1 else "")
                if line.strip():
                    yield _read_record(line, f"{name}, line {number},", arguments.text_field)
        elif arguments.lines:
            yield from (Source(line.rstrip("\r\n")) for line in stream)
        else:
            yield Source(stream.read())
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be UTF-8, got {error}; convert it with iconv.") from None


def _read_record(line: str, name: str, field: str) -> Source:
    """The text of a JSON line, and its whole object."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} must be JSON, got {error}; correct the line.") from None
    except RecursionError:
        raise ValueError(f"{name} must not be nested so deeply; correct the line.") from None
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        found = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise ValueError(
            f"{name} must be an object with a string in `{field}`, got {found}; correct "
            "the line or name its field with `--text-field`."
        )
    if ANSWER_FIELD in record:
        raise ValueError(
            f"{name} must not have a field `{ANSWER_FIELD}`, which is for the answer; rename it."
        )
    return Source(record[field], record)


def _write_text(pairs: Iterable[tuple[Source, Record]], terminal: bool) -> Iterator[str]:
    width = measure_width() if terminal else None
    for source, result in pairs:
        shown = render_terminal(source.text, result, color=wants_color(sys.stdout), width=width)
        told = wrap(summarize_answer(result), width), render_explanation(result, width)
        yield "\n\n".join(part for part in (shown, *told) if part) + "\n\n"


def _write_jsonl(pairs: Iterable[tuple[Source, Record]], terminal: bool) -> Iterator[str]:
    for source, result in pairs:
        whole = result if source.record is None else source.record | {ANSWER_FIELD: result}
        yield f"{json.dumps(whole)}\n"


def _write_html(pairs: Iterable[tuple[Source, Record]], terminal: bool) -> Iterator[str]:
    return render_page((render_html(source.text, result) for source, result in pairs), TITLE)


_WRITERS = {"text": _write_text, "jsonl": _write_jsonl, "html": _write_html}
