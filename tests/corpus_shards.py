"""Small corpora and jobs over them."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import assert_same

from hf_anchornet.corpora.job import TEXT_TASK, CorpusJob
from hf_anchornet.corpora.settings import load_job_pipeline

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
    """Shards `0.parquet`, `1.parquet` and so on, each one row shorter than the one before."""
    for number in range(num_shards):
        write_shard(folder / f"{number}.parquet", TEXTS[number:])
    return folder


def make_job(folder: Path, model: str = "unused", **fields: Any) -> CorpusJob:
    """A job from `folder`/in to `folder`/out."""
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
    """Names of all files below a folder, including hidden ones."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def check_answers(job, out, num_shards=3):
    localize = load_job_pipeline(job)
    assert list_files(out) == [f"{number}.parquet" for number in range(num_shards)]
    for number in range(num_shards):
        rows = read_rows(out / f"{number}.parquet")
        assert [row["id"] for row in rows] == list(range(len(TEXTS) - number))
        for row, expected in zip(rows, localize(TEXTS[number:]), strict=True):
            del expected["cost"]
            assert_same({key: row[key] for key in expected}, expected)


def kill_the_worker_of(name: str, out: Path) -> bool:
    """Kill the process that writes a shard; returns whether there was one."""
    deadline = time.monotonic() + 500
    while time.monotonic() < deadline:
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                opened = str(link.readlink())
            except OSError:
                continue
            pid = int(link.parts[2])
            if opened.startswith(f"{out}/.{name}.") and pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
                return True
        time.sleep(0.01)
    return False
