"""Localization of one shard: rows are batched by length and written in their original order."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from hf_anchornet.files import naming_full_disk
from hf_anchornet.model.image_files import is_url, open_file, refuse_reference
from hf_anchornet.model.pipeline_anchornet import LocalizationPipeline

from .inputs import hash_local_file
from .job import (
    CONTENT_KEY,
    METADATA_KEY,
    TEXT_TASK,
    CorpusJob,
    Shard,
    describe_shard,
    name_temporary,
    naming_damage,
    open_parquet,
)
from .settings import make_schema, name_answers

Report = Callable[[Sequence[int]], None]
"""Called with the row numbers of each batch before it is computed."""

FAILURES = (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""Errors that a pipeline may raise for an input."""
NUM_NAMED = 8  # rows listed in an error


def localize_shard(
    localize: LocalizationPipeline,
    shard: Shard,
    job: CorpusJob,
    settings: dict[str, Any],
    report: Report,
) -> None:
    """Write the answers of one shard, as a complete file or, after a failure, not at all.

    Raises:
        ValueError: if the shard or one of its rows cannot be read; the message names it.
        OSError: if the output cannot be written; the message names a disk that is full.
    """
    files, target = url_to_fs(shard.target)
    temporary = name_temporary(target)
    inputs, source = url_to_fs(shard.source)
    settings = settings | {CONTENT_KEY: hash_local_file(shard.source)}
    with naming_full_disk(job.output), removing(files, temporary):
        files.makedirs(files._parent(target), exist_ok=True)
        with inputs.open(source, "rb") as read, files.open(temporary, "wb") as written:
            reader = open_parquet(read, shard.source)
            tables = _answer_groups(localize, reader, shard, job, report)
            _write(written, next(tables), tables, shard, settings)
        files.mv(temporary, target)


@contextmanager
def removing(files: Any, path: str) -> Iterator[None]:
    """A context after which a file is gone, if it was still there."""
    try:
        yield
    finally:
        if files.exists(path):
            files.rm_file(path)


def _write(
    stream: Any, head: pa.Table, tables: Iterator[pa.Table], shard: Shard, settings: dict[str, Any]
) -> None:
    """Write tables as row groups; `head` is an empty table with their columns."""
    described = json.dumps(describe_shard(shard, settings))
    schema = head.schema.with_metadata({METADATA_KEY: described.encode()})
    num_rows = 0
    with pq.ParquetWriter(stream, schema) as writer:
        for table in tables:
            writer.write_table(table.cast(schema), row_group_size=table.num_rows)
            num_rows += table.num_rows
    if num_rows != shard.num_rows:
        raise ValueError(
            f"Shard {shard.source} must not change during the job, got {num_rows} rows instead of "
            f"{shard.num_rows}; start again."
        )


def _answer_groups(
    localize: LocalizationPipeline,
    reader: pq.ParquetFile,
    shard: Shard,
    job: CorpusJob,
    report: Report,
) -> Iterator[pa.Table]:
    """Copied columns and answers: first an empty table, then one per group of rows in order."""
    schema = make_schema(job, localize.reader is not None)
    names = name_answers(job, localize.reader is not None)

    def join(copied: pa.Table, answers: Sequence[Mapping[str, Any]]) -> pa.Table:
        found = pa.Table.from_pylist(answers, schema)
        columns = [copied.column(name) for name in job.columns] + found.columns
        return pa.table(columns, names=[*job.columns, *names])

    yield join(reader.schema_arrow.empty_table(), [])
    first = 0
    for group in _read_groups(reader, shard, job):
        items = group.column(job.column).to_pylist()
        rows = range(first, first + len(items))
        yield join(group, answer_rows(localize, items, rows, shard.source, job, report))
        first += len(items)


def _read_groups(reader: pq.ParquetFile, shard: Shard, job: CorpusJob) -> Iterator[pa.Table]:
    """The columns of the job, at most `rows_per_group` rows at a time."""
    wanted = list(dict.fromkeys((job.column, *job.columns)))
    batches = reader.iter_batches(job.rows_per_group, columns=wanted, use_threads=False)
    while True:
        with naming_damage(shard.source):
            batch = next(batches, None)
        if batch is None:
            return
        yield pa.Table.from_batches([batch])


def answer_rows(
    localize: LocalizationPipeline,
    items: Sequence[Any],
    rows: Sequence[int],
    name: str,
    job: CorpusJob,
    report: Report,
) -> list[dict[str, Any]]:
    """The pipeline's answers in the order of the inputs; batches hold inputs of similar length.

    Args:
        localize: Pipeline of the job.
        items: Texts or images.
        rows: Their row numbers in the shard, from 0.
        name: Name of the shard, for errors.
        job: The job.
        report: Callback before each batch.

    Raises:
        ValueError: if a row cannot be read; the message names it.
    """
    if job.task != TEXT_TASK:
        _refuse_references(items, rows, name, job)
    measure = measure_length if job.task == TEXT_TASK else measure_shape
    lengths = [measure(item) for item in items]
    order = sorted(range(len(items)), key=lengths.__getitem__)
    answers: list[dict[str, Any]] = [{}] * len(items)
    for start in range(0, len(order), job.batch_size):
        places = order[start : start + job.batch_size]
        report([rows[place] for place in places])
        batch = [items[place] for place in places]
        try:
            found = localize(batch, batch_size=len(batch))
        except FAILURES as error:
            _raise_for_row(localize, batch, [rows[place] for place in places], name, error)
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
    return answers


def _refuse_references(
    items: Sequence[Any], rows: Sequence[int], name: str, job: CorpusJob
) -> None:
    """Refuse paths and URLs unless the job allows them: whoever wrote the corpus chose them."""
    for row, item in zip(rows, items, strict=True):
        place = f"Row {row} (from 0) of {name}: an image"
        refuse_reference(item, job.allow_paths, job.allow_urls, place)


def _raise_for_row(
    localize: LocalizationPipeline,
    batch: Sequence[Any],
    rows: Sequence[int],
    name: str,
    failure: Exception,
) -> None:
    """Raise the error of the first row that also fails on its own."""
    for row, item in sorted(zip(rows, batch, strict=True), key=lambda pair: pair[0]):
        place = f"Row {row} (from 0) of {name}"
        try:
            localize.check_input(item, place)
            localize([item])
        except FAILURES as error:
            fault = str(error).removeprefix("item 0 of `inputs`").lstrip(" :")
            message = fault if fault.startswith(place) else f"{place}: {fault}"
            raise ValueError(message) from error
    raise ValueError(
        f"{name_rows(rows)} of {name} must fit in memory together, got: {failure}; lower "
        "`batch_size`."
    ) from failure


def name_rows(rows: Sequence[int]) -> str:
    """Row numbers in words, at most the first few."""
    named = ", ".join(map(str, rows[:NUM_NAMED]))
    more = len(rows) - NUM_NAMED
    return f"Rows {named}{f' and {more} more' if more > 0 else ''} (from 0)"


def measure_length(item: Any) -> int:
    """The number of characters of a text, 0 for other values."""
    return len(item) if isinstance(item, str) else 0


def measure_shape(item: Any) -> float:
    """Width over height from an image's header, 0 for invalid images (reported later)."""
    held = (item.get("bytes") or item.get("path")) if isinstance(item, Mapping) else item
    if not held or not isinstance(held, bytes | str) or is_url(held):
        return 0.0
    try:
        with open_file(held) as (picture, _):
            return picture.width / picture.height
    except (OSError, ValueError):
        return 0.0
