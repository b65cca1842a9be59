"""A job that localizes a corpus of parquet shards, its shards, and their state.

Each input shard gives an output shard of the same name below the output folder. It is written under
a temporary name and then renamed, so an output shard is always complete. Paths are local or URLs of
any file system that fsspec supports.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from hf_anchornet.model.limits import check_positive

from .inputs import (
    check_output,
    check_types,
    find_fixed_folder,
    find_real_path,
    hash_local_file,
)

TEXT_TASK, IMAGE_TASK = TASKS = ("span-localization", "patch-localization")
METADATA_KEY = b"anchornet"
"""Key in the metadata of an output shard; its value is the JSON of `describe_shard`."""
CONTENT_KEY = "input_sha256"
"""Key of the hash of a local input among the settings in that metadata."""
NUM_READERS = 16  # threads that open shards at once; they mostly wait for input
_ANY_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


@dataclass(frozen=True)
class CorpusJob:
    """The input, output, pipeline and batching of a job.

    Attributes:
        input: Path, URL or pattern of parquet files, such as `reviews/*.parquet`.
        output: Folder or URL of the answers; created if missing.
        task: "span-localization" or "patch-localization".
        model: Hub id or folder of the localizer.
        options: Options of `transformers.pipeline`: `classifier`, `top_k`, `device` and so on.
        column: Column of texts or images. An image is the content of a file, alone or as `datasets`
            stores it; or a path or URL, if these are allowed.
        columns: Columns to copy to the output.
        answer_prefix: Prefix of the names of the answer columns.
        batch_size: Inputs in one forward pass, at least 1.
        rows_per_group: Rows held in memory at a time, sorted by length and written as one row
            group, at least 1.
        allow_paths: Whether images may be paths of files of the machine that reads them.
        allow_urls: Whether images may be URLs, also of that machine and its network.
    """

    input: str
    output: str
    task: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    column: str = "text"
    columns: tuple[str, ...] = ()
    answer_prefix: str = ""
    batch_size: int = 32
    rows_per_group: int = 1024
    allow_paths: bool = False
    allow_urls: bool = False

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"`task` must be one of {', '.join(TASKS)}, got {self.task!r}.")
        for name in ("batch_size", "rows_per_group"):
            check_positive(name, getattr(self, name))
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(
                f"`columns` must name each column once, got {list(self.columns)}; leave out "
                "repeats."
            )


@dataclass(frozen=True)
class Shard:
    """An input shard and its output shard.

    Attributes:
        source: Path or URL of the input.
        target: Path or URL of the output.
        num_rows: Number of rows of the input.
        num_bytes: Size of the input file.
        key: A hash of the properties of the input file, such as its time of change.
    """

    source: str
    target: str
    num_rows: int
    num_bytes: int
    key: str = ""


def find_shards(job: CorpusJob) -> list[Shard]:
    """The shards of a corpus in the order of their names.

    Raises:
        ValueError: if there are no shards; if a shard cannot be read, lacks a column, holds a
            copied column of another type than the others, or would be overwritten; or if answers
            would become input.
    """
    files, pattern = url_to_fs(job.input)
    files.invalidate_cache()
    found = sorted(path for path in files.glob(pattern) if files.isfile(path))
    if not found:
        raise ValueError(
            f"`input` must match parquet files, got {job.input}, which matches no file; use "
            "a pattern such as 'folder/*.parquet', in quotes."
        )
    folder = find_fixed_folder(pattern)
    output = _name_location(*url_to_fs(job.output))

    def inspect(path: str) -> tuple[Shard, pa.Schema]:
        source = _name_location(files, path)
        target = posixpath.join(output, path.removeprefix(folder))
        if source == target:
            raise ValueError(
                f"`output` must not be the folder of `input`, got {job.output}; choose another."
            )
        with files.open(path, "rb") as stream:
            reader = open_parquet(stream, source)
            _check_columns(reader.schema_arrow, job, source)
            _refuse_answers(reader.metadata.metadata, files, path, job)
            shard = Shard(
                source, target, reader.metadata.num_rows, files.size(path), files.ukey(path)
            )
            return shard, reader.schema_arrow

    with ThreadPoolExecutor(NUM_READERS) as pool:
        inspected = list(pool.map(inspect, found))
    check_output(job.input, job.output, [path.removeprefix(folder) for path in found])
    check_types({shard.source: schema for shard, schema in inspected}, job.columns)
    return [shard for shard, _ in inspected]


def _refuse_answers(metadata: Any, files: Any, path: str, job: CorpusJob) -> None:
    """Raise a `ValueError` if a shard holds answers that an earlier run has written to `output`."""
    folder = find_real_path(files, url_to_fs(job.output)[1])
    if METADATA_KEY in (metadata or {}) and find_real_path(files, path).startswith(f"{folder}/"):
        raise ValueError(
            f"`input` must not match answers of this command in `output`, got {path}; choose a "
            "narrower pattern or another `output`."
        )


def open_parquet(stream: Any, name: str) -> pq.ParquetFile:
    """The parquet file in a stream.

    Raises:
        ValueError: if the stream is not a parquet file; the message includes `name`.
    """
    with naming_damage(name):
        return pq.ParquetFile(stream)


@contextmanager
def naming_damage(name: str) -> Iterator[None]:
    """Raise a `ValueError` with the shard's name if it cannot be read within."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"Shard {name} must be a readable parquet file, got: {error}; repair or remove it."
        ) from error


def _name_location(files: Any, path: str) -> str:
    """A URL from which fsspec finds the file system again; local paths stay plain."""
    return path if isinstance(files, LocalFileSystem) else str(files.unstrip_protocol(path))


def _check_columns(schema: pa.Schema, job: CorpusJob, name: str) -> None:
    """Check that a shard has the columns of the job, and text in the column of texts."""
    for option, wanted in (("column", [job.column]), ("columns", job.columns)):
        missing = sorted(set(wanted) - set(schema.names))
        if missing:
            close = get_close_matches(missing[0], schema.names, n=1)
            guess = f"; did you mean {close[0]}?" if close else "; choose one of these."
            raise ValueError(
                f"`{option}` must name columns of every shard, expected {missing} in {name}, "
                f"found {sorted(schema.names)}{guess}"
            )
        twice = sorted(column for column in set(wanted) if schema.names.count(column) > 1)
        if twice:
            raise ValueError(
                f"`{option}` must name one column each, got {twice}, of which {name} has several; "
                "rename them."
            )
    held = schema.field(job.column).type
    held = held.value_type if pa.types.is_dictionary(held) else held
    if job.task == TEXT_TASK and not any(is_text(held) for is_text in _ANY_TEXT):
        raise ValueError(
            f"`column` must hold strings, got {job.column} of type {held} in {name}; choose the "
            "column of texts."
        )


def is_finished(shard: Shard, settings: dict[str, Any]) -> bool:
    """Whether the output shard exists, complete and made with the same settings.

    Raises:
        ValueError: if the output file holds anything else.
    """
    files, target = url_to_fs(shard.target)
    if not files.exists(target):
        return False
    with files.open(target, "rb") as stream:
        footer = open_parquet(stream, shard.target).metadata
    written = json.loads((footer.metadata or {}).get(METADATA_KEY, b"{}"))
    wanted = describe_shard(shard, settings)
    differing = [key for key in wanted if written.get(key) != wanted[key]]
    if "input_key" in differing and _is_unchanged(shard, written):
        differing.remove("input_key")
    if not differing and footer.num_rows == shard.num_rows:
        return True
    if not written:
        found = "no settings of this command"
    elif not differing:
        found = f"{footer.num_rows} rows instead of {shard.num_rows}"
    else:
        found = "other settings, " + ", ".join(
            f"`{key}`: {_shorten(written.get(key))} instead of {_shorten(wanted[key])}"
            for key in differing
        )
    raise ValueError(
        f"`output` must only hold answers from the same input, model and options, got "
        f"{shard.target} with {found}; choose another folder or remove that file."
    )


def _is_unchanged(shard: Shard, written: dict[str, Any]) -> bool:
    """Whether an input of other properties, such as a copy, has the content that was answered."""
    hashed = written.get(CONTENT_KEY)
    return hashed is not None and hashed == hash_local_file(shard.source)


def find_waiting(shards: Sequence[Shard], settings: dict[str, Any]) -> list[Shard]:
    """The unfinished shards, largest first; see `is_finished`."""
    with ThreadPoolExecutor(NUM_READERS) as pool:
        finished = list(pool.map(lambda shard: is_finished(shard, settings), shards))
    waiting = [shard for shard, done in zip(shards, finished, strict=True) if not done]
    return sorted(waiting, key=lambda shard: -shard.num_rows)


def describe_shard(shard: Shard, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a shard's answers, after a round trip through JSON."""
    of_input = {"input_bytes": shard.num_bytes, "input_key": shard.key}
    described: dict[str, Any] = json.loads(json.dumps(settings | of_input))
    return described


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def name_temporary(target: str) -> str:
    """A hidden, unique path at which a shard is written before it is complete."""
    folder, name = posixpath.split(target)
    return posixpath.join(folder, f".{name}.{uuid4().hex}.tmp")


def remove_leftovers(shards: Iterable[Shard], output: str) -> None:
    """Remove the temporary files of these shards; call it only when nothing writes them."""
    files, folder = url_to_fs(output)
    files.invalidate_cache()
    targets = {url_to_fs(shard.target)[1] for shard in shards}
    for path in files.find(folder):
        parent, name = posixpath.split(path)
        parts = re.fullmatch(r"\.(.+)\.[0-9a-f]{32}\.tmp", name)
        if parts and posixpath.join(parent, parts[1]) in targets:
            files.rm_file(path)
