"""A corpus of parquet shards, to be localized into shards of answers: the job, and what is done.

Each shard of the input gives one of the output, of the same name below the output folder. It is
written under another name and then renamed, so that a shard is there as a whole or not at all.
Paths are local or URLs of any file system that fsspec knows.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

TEXT_TASK, IMAGE_TASK = TASKS = ("span-localization", "patch-localization")
SETTINGS = b"anchornet"
"""Key of an output shard's metadata: JSON of what its answers depend on."""
NUM_READERS = 16  # threads that look into shards at once: it is waiting, not computing
_ANY_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


@dataclass(frozen=True)
class CorpusJob:
    """What is read, how it is localized and where the answers go.

    Attributes:
        input: Path, URL or pattern of parquet files, such as `reviews/*.parquet`.
        output: Folder or URL of the answers; made if there is none.
        task: "span-localization" or "patch-localization".
        model: Localizer, Hub id or folder.
        options: For `transformers.pipeline`: `classifier`, `top_k`, `device` and so on.
        column: Where the texts or images are. An image is the bytes of a file, its path or URL, or
            both as `datasets` stores them.
        columns: To carry along into the output.
        answer_prefix: Before the names of the answer's columns.
        batch_size: Inputs in one forward pass, at least 1.
        rows_per_group: Rows held in memory at a time, which are localized by their length and
            written as one row group, at least 1.
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

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"`task` must be one of {', '.join(TASKS)}, got {self.task!r}.")
        for name in ("batch_size", "rows_per_group"):
            check_positive(name, getattr(self, name))


@dataclass(frozen=True)
class Shard:
    """A parquet file and that of its answers.

    Attributes:
        source: Path or URL of the input.
        target: Path or URL of the output.
        num_rows: Of the input.
        num_bytes: Of the input file.
    """

    source: str
    target: str
    num_rows: int
    num_bytes: int


def check_positive(name: str, number: int) -> int:
    """The number.

    Raises:
        ValueError: if it is below 1, naming it by `name`.
    """
    if number < 1:
        raise ValueError(f"`{name}` must be at least 1, got {number}; raise it.")
    return number


def find_shards(job: CorpusJob) -> list[Shard]:
    """The shards of a corpus in the order of their names, each with the columns that it needs.

    Raises:
        ValueError: if there are none, one cannot be read, lacks a column or would be overwritten.
    """
    files, pattern = url_to_fs(job.input)
    found = sorted(path for path in files.glob(pattern) if files.isfile(path))
    if not found:
        raise ValueError(
            f"`input` must match parquet files, got {job.input}, which matches none; write a "
            "pattern such as 'folder/*.parquet', in quotes."
        )
    (fixed, *_) = re.split(r"[*?\[]", pattern, maxsplit=1)
    folder = fixed[: fixed.rfind("/") + 1]
    output = _name_whole(*url_to_fs(job.output))

    def inspect(path: str) -> Shard:
        source = _name_whole(files, path)
        target = posixpath.join(output, path.removeprefix(folder))
        if source == target:
            raise ValueError(f"`output` must not be the folder of `input`, got {job.output}.")
        with files.open(path, "rb") as stream:
            reader = open_parquet(stream, source)
            _check_columns(reader.schema_arrow, job, source)
            return Shard(source, target, reader.metadata.num_rows, files.size(path))

    with ThreadPoolExecutor(NUM_READERS) as pool:
        return list(pool.map(inspect, found))


def open_parquet(stream: Any, name: str) -> pq.ParquetFile:
    """The parquet file of a stream.

    Raises:
        ValueError: if it is none, naming it by `name`.
    """
    try:
        return pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise name_unreadable(name, error) from error


def name_unreadable(name: str, error: Exception) -> ValueError:
    """The error for a shard that is no parquet file, or a damaged one."""
    return ValueError(
        f"Shard {name} must be a parquet file that can be read, got: {error}; mend it or move it "
        "away."
    )


def _name_whole(files: Any, path: str) -> str:
    """A path that fsspec leads back to its file system; local ones stay plain."""
    return path if isinstance(files, LocalFileSystem) else str(files.unstrip_protocol(path))


def _check_columns(schema: pa.Schema, job: CorpusJob, name: str) -> None:
    """See `find_shards`."""
    for option, wanted in (("column", [job.column]), ("columns", job.columns)):
        missing = sorted(set(wanted) - set(schema.names))
        if missing:
            close = get_close_matches(missing[0], schema.names, n=1)
            guess = f"; did you mean {close[0]}?" if close else "; name one of these."
            raise ValueError(
                f"`{option}` must name columns of every shard, expected {missing} in {name}, "
                f"found {sorted(schema.names)}{guess}"
            )
    held = schema.field(job.column).type
    held = held.value_type if pa.types.is_dictionary(held) else held
    if job.task == TEXT_TASK and not any(is_text(held) for is_text in _ANY_TEXT):
        raise ValueError(
            f"`column` must hold strings, got {job.column} of type {held} in {name}; name the "
            "column of the texts."
        )


def is_finished(shard: Shard, settings: dict[str, Any]) -> bool:
    """Whether the answers of a shard are there already, all of them and by the same settings.

    Args:
        shard: The shard.
        settings: What the answers depend on, see `describe_settings`.

    Raises:
        ValueError: if its file holds something else.
    """
    files, target = url_to_fs(shard.target)
    if not files.exists(target):
        return False
    with files.open(target, "rb") as stream:
        footer = open_parquet(stream, shard.target).metadata
    written = json.loads((footer.metadata or {}).get(SETTINGS, b"{}"))
    wanted = describe_shard(shard, settings)
    differing = [key for key in wanted if written.get(key) != wanted[key]]
    if not differing and footer.num_rows == shard.num_rows:
        return True
    what = "other settings, " + ", ".join(
        f"`{key}`: {_shorten(written.get(key))} instead of {_shorten(wanted[key])}"
        for key in differing
    )
    if not written:
        what = "no mark of this command"
    elif not differing:
        what = f"{footer.num_rows} rows instead of {shard.num_rows}"
    raise ValueError(
        f"`output` must hold answers to the same input by the same model and options only, got "
        f"{shard.target} with {what}; choose another folder or move that file away."
    )


def find_waiting(shards: Sequence[Shard], settings: dict[str, Any]) -> list[Shard]:
    """The shards that are not finished, largest first; see `is_finished`."""
    with ThreadPoolExecutor(NUM_READERS) as pool:
        finished = list(pool.map(lambda shard: is_finished(shard, settings), shards))
    waiting = [shard for shard, done in zip(shards, finished, strict=True) if not done]
    return sorted(waiting, key=lambda shard: -shard.num_rows)


def describe_shard(shard: Shard, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of one shard's answers, as JSON gives them back."""
    described: dict[str, Any] = json.loads(json.dumps({**settings, "input_bytes": shard.num_bytes}))
    return described


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def name_temporary(target: str) -> str:
    """Where a shard is written before it is whole: hidden, and never the same name twice."""
    folder, name = posixpath.split(target)
    return posixpath.join(folder, f".{name}.{uuid4().hex}.tmp")


def remove_leftovers(shards: Iterable[Shard], output: str) -> None:
    """Remove what writers of these shards left behind when they died; none may be at work."""
    files, folder = url_to_fs(output)
    files.invalidate_cache()
    targets = {url_to_fs(shard.target)[1] for shard in shards}
    for path in files.find(folder):
        parent, name = posixpath.split(path)
        parts = re.fullmatch(r"\.(.+)\.[0-9a-f]{32}\.tmp", name)
        if parts and posixpath.join(parent, parts[1]) in targets:
            files.rm_file(path)
