"""Small corpora and jobs over them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hf_anchornet.corpora.corpus import TEXT_TASK, CorpusJob

TEXTS = [
    "good",
    "",
    "the film was not good",
    "a bad film . " * 9,
    "café",
    "bad , bad , good",
    "the " * 40 + "good",
]


def write_shard(path: Path, texts: list[Any], group: int = 3, **columns: list[Any]) -> Path:
    """A parquet file with the columns `id`, `text` and others, `group` rows a row group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = pa.array(range(len(texts)), pa.int32())
    table = pa.table({"id": ids, "text": pa.array(texts, pa.string()), **columns})
    pq.write_table(table, path, row_group_size=group)
    return path


def write_corpus(folder: Path, num_shards: int = 2) -> Path:
    """Shards `0.parquet`, `1.parquet` and so on, the later the shorter."""
    for number in range(num_shards):
        write_shard(folder / f"{number}.parquet", TEXTS[number:])
    return folder


def make_job(folder: Path, model: str = "unused", **fields: Any) -> CorpusJob:
    """Localize the shards of `folder`/in into `folder`/out."""
    given = {
        "input": str(folder / "in" / "*.parquet"),
        "output": str(folder / "out"),
        "task": TEXT_TASK,
        "model": model,
        "batch_size": 2,
        "rows_per_group": 4,
    }
    return CorpusJob(**given | fields)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a parquet file."""
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def list_files(folder: Path) -> list[str]:
    """Names of all files below a folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
