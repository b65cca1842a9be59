"""Memory and speed of a training's data path over a stream of a million rows.

Runs in one process; set OMP_NUM_THREADS=1 and TOKENIZERS_PARALLELISM=false for one thread.
"""

import os
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import psutil
import pyarrow as pa
from pyarrow import parquet

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.files import write_json
from hf_anchornet.training.stream_sources import make_text_batch, open_training_stream, take_first
from hf_anchornet.training.streams import StreamLoader, StreamSettings
from hf_anchornet.training.text_vocabulary import train_tokenizer
from scripts.benchmarks.machine import describe_hardware
from scripts.options import parse_options

MIB = 2**20
WORD = "w{:05d}"
NUM_WORDS = 20_000
"""Number of different words in the random texts."""


@dataclass
class StreamingOptions:
    """Options of the benchmark.

    Attributes:
        num_rows: Number of texts.
        num_shards: Parquet files that they are written to.
        num_words: Words of a text.
        batch_size: Texts a batch.
        shuffle_buffer: See `DataOptions`.
        vocabulary_rows: See `DataOptions`.
        marks: Numbers of rows after which the peak is noted; the last one is `num_rows`.
        resume_rows: Rows that are read again, as after a restart.
        output: JSON file to write.
    """

    num_rows: int = 1_000_000
    num_shards: int = 20
    num_words: int = 60
    batch_size: int = 32
    shuffle_buffer: int = 10_000
    vocabulary_rows: int = 10_000
    marks: list[int] = field(default_factory=lambda: [10_000, 100_000, 1_000_000])
    resume_rows: int = 100_000
    output: str = "results/streaming.json"


def measure_streaming(options: StreamingOptions) -> dict[str, Any]:
    """Write random texts to a temporary folder and stream them as a training does.

    Returns:
        `peak_mib`, the largest resident set so far, before the first batch ("0") and after each of
        `options.marks`; `ratio` of the last peak to that of the first mark; `rows_per_second`;
        `reread_rows_per_second` after a restart; `num_shards`, `disk_mib` of the shards and
        `text_mib` of the texts in them; `hardware`.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_shards(Path(folder), options)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        data = DataOptions(
            str(Path(folder, "{split}-*.parquet")),
            streaming=True,
            shuffle_buffer=options.shuffle_buffer,
            vocabulary_rows=options.vocabulary_rows,
        )
        loader = _open_loader(data, options)
        peaks, seconds = _read(loader, options)
        again = _open_loader(data, options)
        reread = _time_resume(again, options)
    return {
        "peak_mib": peaks,
        "ratio": peaks[str(options.marks[-1])] / peaks[str(options.marks[0])],
        "rows_per_second": options.num_rows / seconds,
        "reread_rows_per_second": reread,
        "num_shards": options.num_shards,
        "disk_mib": size / MIB,
        "text_mib": options.num_rows * (len(WORD.format(0)) + 1) * options.num_words / MIB,
        "hardware": describe_hardware(),
    }


def write_shards(folder: Path, options: StreamingOptions) -> None:
    """Write random texts of equal length with random labels, a thousand rows a row group."""
    words = np.array([WORD.format(number) for number in range(NUM_WORDS)])
    generator = np.random.default_rng(0)
    schema = pa.schema({"text": pa.string(), "label": pa.string()})
    for shard in range(options.num_shards):
        total = options.num_rows * (shard + 1) // options.num_shards
        left = total - options.num_rows * shard // options.num_shards
        with parquet.ParquetWriter(folder / f"train-{shard:05d}.parquet", schema) as writer:
            while left:
                count = min(left, 1000)
                drawn = words[generator.zipf(1.3, (count, options.num_words)) % NUM_WORDS]
                labels = np.array(["a", "b"])[generator.integers(2, size=count)]
                texts = [" ".join(row) for row in drawn]
                writer.write_table(pa.table([texts, labels.tolist()], schema=schema))
                left -= count


def _open_loader(data: DataOptions, options: StreamingOptions) -> StreamLoader:
    rows = open_training_stream(data, data.text_column)
    tokenizer = train_tokenizer(take_first(rows, data, 0)[data.text_column], 24_000)
    make_batch = make_text_batch(rows, tokenizer, data, ["a", "b"], None)
    settings = StreamSettings(options.batch_size, 0, options.shuffle_buffer)
    return StreamLoader(rows, make_batch, settings, 1)


def _read(loader: StreamLoader, options: StreamingOptions) -> tuple[dict[str, float], float]:
    """The peak memory at the marks, in MiB, and the seconds for all rows."""
    process = psutil.Process()
    peak = process.memory_info().rss
    peaks, marks = {"0": peak / MIB}, list(options.marks)
    seen, start = 0, time.perf_counter()
    while seen < options.num_rows:
        (batch,) = loader.take(1)
        seen += len(batch["labels"])
        peak = max(peak, process.memory_info().rss)
        while marks and seen >= marks[0]:
            peaks[str(marks.pop(0))] = peak / MIB
    return peaks, time.perf_counter() - start


def _time_resume(loader: StreamLoader, options: StreamingOptions) -> float:
    """Rows a second up to the first batch after `options.resume_rows`."""
    batches = options.resume_rows // options.batch_size
    loader.load_state_dict({"places": [[0, batches]], "turn": 0})
    start = time.perf_counter()
    list(loader.take(1))
    return batches * options.batch_size / (time.perf_counter() - start)


def main() -> None:
    """Parse the options, measure, write, print."""
    (options,) = parse_options(StreamingOptions, description=__doc__)
    settings = asdict(options) | {
        "datasets": datasets.__version__,
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
    }
    report = {"settings": settings, "load": os.getloadavg()[0], **measure_streaming(options)}
    write_json(Path(options.output), report)
    for rows, peak in report["peak_mib"].items():
        print(f"peak after {int(rows):,} rows: {peak:.0f} MiB")
    print(f"ratio {report['ratio']:.3f}, {report['rows_per_second']:.0f} rows a second")
    print(f"read again: {report['reread_rows_per_second']:.0f} rows a second")


if __name__ == "__main__":
    main()
