"""Explanation records: written to parquet while explainers run, and read back."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_AT_ONCE = 64
"""Records per row group, and the most that are held in memory while writing."""

Record = dict[str, Any]
"""One explanation of one example; its fields are those of `SCHEMA`."""

SETTINGS_KEY = b"hf_anchornet"

_NUMBERS = pa.list_(pa.float64())
_DEGREES = pa.struct([("without", _NUMBERS), ("only", _NUMBERS)])
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("explainer", pa.string()),
        ("label", pa.int64()),
        ("explained", pa.int64()),
        ("probs", _NUMBERS),
        ("text", pa.string()),
        ("spans", pa.list_(pa.list_(pa.int64()))),
        ("boxes", pa.list_(_NUMBERS)),
        ("size", pa.list_(pa.int64())),
        ("scores", _NUMBERS),
        ("shape", pa.list_(pa.int64())),
        ("degrees", pa.map_(pa.string(), _DEGREES)),
        ("seconds", pa.float64()),
        ("peak_mib", pa.float64()),
    ]
)
"""One record per example and explainer.

`row` of the split; `label` and `explained`, numbers of the true and the explained label; `probs`,
(labels,); for texts `text` and human `spans` in characters; for images human `boxes` in pixels and
`size`, width and height; `scores` of the words or, row by row, of a map of `shape`; `degrees`,
probabilities of the explained label as in `ErasureProbs`, by what replaces words or cells: "cut" at
ERASER's bins, "rationale" for the hard rationale, for images "blur", "mean" and "neighbours";
`seconds` and `peak_mib` of the explanation.
"""


@contextmanager
def _replace_when_whole(path: Path) -> Iterator[Path]:
    """Temporary path beside `path`, renamed to `path` if nothing fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_records(
    records: Iterable[Record], path: Path, settings: dict[str, Any]
) -> Iterator[Record]:
    """The same records, written to a file as they pass; it appears when all are written.

    Args:
        records: Fields that a record lacks become null.
        path: Parquet file.
        settings: Settings that the records were made with, plain values; stored in the file.
    """
    schema = SCHEMA.with_metadata({SETTINGS_KEY: json.dumps(settings).encode()})
    with _replace_when_whole(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        waiting: list[Record] = []
        for record in records:
            waiting.append(record)
            if len(waiting) == ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []
            yield record
        writer.write_table(pa.Table.from_pylist(waiting, schema))


def read_records(path: Path, settings: dict[str, Any]) -> Iterator[Record]:
    """The records of a file, read one row group at a time.

    Args:
        path: File written by `write_records`.
        settings: Settings that the records must have been made with.

    Raises:
        ValueError: if they were made with other settings, such as another model.
    """
    with pq.ParquetFile(path) as file:
        stored = json.loads((file.schema_arrow.metadata or {}).get(SETTINGS_KEY, b"{}"))
        for name, value in json.loads(json.dumps(settings)).items():
            if stored.get(name) != value:
                raise ValueError(
                    f"`records` must be a new file or records of the same `{name}`, {value!r}, got "
                    f"{path} with {stored.get(name)!r}; name another file or delete this one."
                )
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group).to_pylist(maps_as_pydicts="strict")
