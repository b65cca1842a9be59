"""Failures to read data files, described in one sentence with the file and the line."""

import csv
import gzip
import json
import logging
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
from datasets import DatasetBuilder
from datasets.exceptions import DatasetsError
from pyarrow import parquet

READ_ERRORS = (
    pa.ArrowException,
    AttributeError,
    EOFError,
    KeyError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    tarfile.TarError,
    zlib.error,
)
"""Errors by which the readers of `datasets` say that a file is not what it should be."""

MANY_BRACKETS = 1000
"""Opening brackets above which a JSON line is parsed once more, to see how deep they are nested."""


class BrokenFileError(ValueError):
    """A data file that cannot be read."""


def guard(builder: DatasetBuilder) -> None:
    """Make a builder describe its failures by `BrokenFileError`, also while it streams."""
    for name in ("_generate_tables", "_generate_examples"):
        if hasattr(type(builder), name):
            setattr(builder, name, _GuardedReader(builder, name))
    # The errors say all that the log of the reader would.
    logging.getLogger(type(builder).__module__).setLevel(logging.CRITICAL)


class _GuardedReader:
    """A generator method of a builder; unlike a nested function it can be pickled."""

    def __init__(self, builder: DatasetBuilder, method: str) -> None:
        self.builder, self.method = builder, method

    def __call__(self, *args: Any, **settings: Any) -> Iterator[Any]:
        with explain_failures(self.builder):
            if self.builder.name == "json":
                for file in _flatten(settings.get("files_iterables", [])):
                    if "://" not in file.split("::")[-1]:
                        _refuse_deep_json(file)
            found = getattr(type(self.builder), self.method)(self.builder, *args, **settings)
            for key, rows in found:
                if isinstance(rows, pa.Table):
                    rows.validate(full=True)  # else text that is not UTF-8 fails when it is used
                yield key, rows


@contextmanager
def explain_failures(builder: DatasetBuilder) -> Iterator[None]:
    """Raise a `BrokenFileError` in place of what `datasets` raises for files it cannot read."""
    try:
        yield
    except (BrokenFileError, FileNotFoundError):
        raise
    except (DatasetsError, *READ_ERRORS) as error:
        cause = error.__cause__ if isinstance(error, DatasetsError) else error
        if isinstance(cause, BrokenFileError):
            raise cause from None
        if isinstance(cause, OSError) and not isinstance(cause, gzip.BadGzipFile):
            raise cause from None  # such as a disk that is full
        raise BrokenFileError(_describe(builder, cause or error)) from error


def read_header(file: str, sep: str) -> list[str]:
    """Names of the columns of a CSV file.

    Raises:
        BrokenFileError: if there are no rows, two names are equal or the first row has more cells.
    """
    with fsspec.open(file, "rb", compression="infer") as stream:
        rows = (row for row in _read_csv(stream, file, sep) if row)
        header, first = next(rows, None), next(rows, None)
    if header is None or first is None:
        raise BrokenFileError(f"{file} must have a header and rows, got none; fill the file.")
    _check_names(header, file)
    _check_width(first, header, f"{file}, in its first row,")
    return header


def _describe(builder: DatasetBuilder, error: BaseException) -> str:
    """A sentence on the first file of a builder that is broken or has other columns."""
    checks = {"csv": _check_csv, "json": _check_json, "parquet": _check_parquet}
    files = _flatten((builder.config.data_files or {}).values())
    first: tuple[str, set[str]] | None = None
    for file in files if builder.name in checks else ():
        try:
            columns = checks[builder.name](file, builder)
        except BrokenFileError as fault:
            return str(fault)
        except READ_ERRORS as fault:
            return _describe_failure(file, builder, fault)
        first = first or (file, columns)
        if columns != first[1]:
            return (
                f"the files of a dataset must have the same columns, got {sorted(first[1])} in "
                f"{first[0]} and {sorted(columns)} in {file}; drop or add those that differ."
            )
    return _describe_failure(", ".join(files[:3]) or builder.dataset_name, builder, error)


def _describe_failure(files: str, builder: DatasetBuilder, error: BaseException) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return f"{files} must be readable as {builder.name}, got: {said}; repair the file."


def _check_csv(file: str, builder: DatasetBuilder) -> set[str]:
    """The columns of a CSV file, all of whose rows can be read."""
    with fsspec.open(file, "rb", compression="infer") as stream:
        rows = _read_csv(stream, file, builder.config.sep)
        header = next(rows, [])
        for row in rows:
            _check_width(row, header, f"{file}, in the row {builder.config.sep.join(row)[:60]!r},")
    return set(header)


def _read_csv(stream: BinaryIO, file: str, sep: str) -> Iterator[list[str]]:
    reader = csv.reader(_decode_lines(stream, file), delimiter=sep, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise BrokenFileError(
                    f"{file}, line {start}, must close the quote that it opens, got the end of "
                    "the file; add the quote or double those inside a cell."
                ) from None


def _check_width(row: list[str], header: list[str], where: str) -> None:
    if len(row) > len(header):
        raise BrokenFileError(
            f"{where} must have {len(header)} cells as its header has, got {len(row)}; quote "
            "cells that hold the separator."
        )


def _check_json(file: str, builder: DatasetBuilder) -> set[str]:
    """The fields of a file of JSON lines, or of one JSON list of objects."""
    fields: set[str] = set()
    with fsspec.open(file, "rb", compression="infer") as stream:
        lines = list(_decode_lines(stream, file))
    if lines and lines[0].lstrip().startswith("["):
        records = _parse_json("".join(lines), file, 1)
        return set().union(*(record for record in records if isinstance(record, dict)))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _parse_json(line, file, number)
        if not isinstance(record, dict):
            raise BrokenFileError(
                f"{file}, line {number}, must be a JSON object, got {line.strip()[:60]}; write "
                "one object a line."
            )
        fields |= record.keys()
    if not fields:
        raise BrokenFileError(f"{file} must hold a JSON object a line, got none; fill it.")
    return fields


def _parse_json(text: str, file: str, line: int) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        said = "one that is nested too deeply"
    except ValueError as error:
        line += getattr(error, "lineno", 1) - 1
        said = str(error)
    raise BrokenFileError(f"{file}, line {line}, must be valid JSON, got {said}; repair it.")


def _refuse_deep_json(file: str) -> None:
    """Raise for a line that is nested so deeply that pyarrow would end the process."""
    with fsspec.open(file, "rb", compression="infer" if "::" not in file else None) as stream:
        for number, line in enumerate(stream, start=1):
            if line.count(b"[") + line.count(b"{") > MANY_BRACKETS:
                try:
                    json.loads(line)
                except RecursionError:
                    raise BrokenFileError(
                        f"{file}, line {number}, must not be nested as deeply as it is; repair it."
                    ) from None
                except ValueError:
                    continue  # for example a list over several lines


def _check_parquet(file: str, builder: DatasetBuilder) -> set[str]:
    """The columns of a parquet file, each of them once."""
    with fsspec.open(file, "rb") as stream:
        try:
            opened = parquet.ParquetFile(stream)
            names = opened.schema_arrow.names
            for group in range(opened.num_row_groups):
                opened.read_row_group(group).validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            said = str(error).splitlines()[0][:200]
            raise BrokenFileError(
                f"{file} must be a whole parquet file, got: {said}; write it again."
            ) from None
    _check_names(names, file)
    if not opened.metadata.num_rows:
        raise BrokenFileError(f"{file} must have rows, got none; fill or drop the file.")
    return set(names)


def _check_names(names: Sequence[str], file: str) -> None:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise BrokenFileError(f"{file} must name each column once, got two of {twice}; rename one.")


def _decode_lines(stream: Iterable[bytes], file: str) -> Iterator[str]:
    """The lines of a file of UTF-8, without its byte order mark."""
    lines = (part for line in stream for part in line.splitlines(keepends=True))
    for number, line in enumerate(lines, start=1):
        yield _decode(line, "utf-8-sig" if number == 1 else "utf-8", f"{file}, line {number},")


def _decode(line: bytes, encoding: str, where: str) -> str:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        raise BrokenFileError(
            f"{where} must be UTF-8, got byte {error.object[error.start]:#04x}; convert the file "
            "with `iconv -f latin1 -t utf-8`."
        ) from None


def _flatten(lists: Iterable[Iterable[Any]]) -> list[str]:
    return [str(file) for files in lists for file in files]
