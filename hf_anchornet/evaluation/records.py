"""What explainers said, example by example: written as parquet while they work, read again."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_AT_ONCE = 64
"""Records in a row group: no more are kept in memory while they are written."""

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
"""One record an example and explainer.

`row` of the split; `label` and `explained`, numbers of the true label and of the explained one;
`probs`, (labels,); of texts `text` and human `spans` in characters; of images human `boxes` in
pixels and `size`, width and height; `scores` of the words or, row by row, of a map of `shape`;
`degrees`, probabilities of the explained label without the best words or cells and with only them,
by how they are replaced: "cut" at ERASER's bins, "rationale" of the hard rationale, "blur", "mean",
"neighbours" of images; `seconds` and `peak_mib` of the explanation.
"""


@contextmanager
def _replace_when_whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` if nothing fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_records(
    records: Iterable[dict[str, Any]], path: Path, settings: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Pass the records on and write them; the file appears when all are written.

    Args:
        records: Each has the fields of `SCHEMA`, or some: the others are null.
        path: Where they go.
        settings: What they were made with, plain values; kept in the file.
    """
    schema = SCHEMA.with_metadata({SETTINGS_KEY: json.dumps(settings).encode()})
    with _replace_when_whole(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        waiting: list[dict[str, Any]] = []
        for record in records:
            waiting.append(record)
            if len(waiting) == ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []
            yield record
        writer.write_table(pa.Table.from_pylist(waiting, schema))


def read_records(path: Path, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a file, a row group at a time.

    Args:
        path: A file that `write_records` wrote.
        settings: What they must have been made with.

    Raises:
        ValueError: if they were made with something else, such as another model.
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
