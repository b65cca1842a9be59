"""Memory over a stream: what is written, read and noted."""

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from scripts.benchmarks import streaming as benchmark_streaming
from scripts.benchmarks.streaming import StreamingOptions, measure_streaming, write_shards

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "short_passes")


@pytest.fixture
def options():
    return StreamingOptions(
        num_rows=2500,
        num_shards=2,
        num_words=5,
        shuffle_buffer=100,
        vocabulary_rows=200,
        marks=[500, 2500],
        resume_rows=1000,
    )


def test_shards_hold_all_rows_in_groups_of_a_thousand(options, tmp_path):
    write_shards(tmp_path, options)
    files = [parquet.ParquetFile(path) for path in sorted(tmp_path.iterdir())]
    assert [file.metadata.num_rows for file in files] == [1250, 1250]
    assert [file.metadata.num_row_groups for file in files] == [2, 2]
    rows = files[0].read().to_pylist()
    assert {len(row["text"].split()) for row in rows} == {5}
    assert {row["label"] for row in rows} == {"a", "b"}


def test_peaks_are_the_largest_so_far(options, monkeypatch):
    held = iter([3, 9, 4, *[5] * 100])
    mib = benchmark_streaming.MIB

    class Process:
        def memory_info(self):
            return type("Memory", (), {"rss": next(held) * mib})

    monkeypatch.setattr(benchmark_streaming.psutil, "Process", Process)
    report = measure_streaming(options)
    assert report["peak_mib"] == {"0": 3, "500": 9, "2500": 9}
    assert report["ratio"] == 1
    assert report["text_mib"] == pytest.approx(2500 * 5 * 7 / mib)
    assert report["disk_mib"] > 0
    assert min(report["rows_per_second"], report["reread_rows_per_second"]) > 0


def test_the_page_says_what_was_measured():
    root = Path(__file__).parents[3]
    report = json.loads((root / "results" / "streaming.json").read_text("utf-8"))
    page = " ".join((root / "docs" / "scale.md").read_text("utf-8").split())
    times = report["reread_rows_per_second"] / report["rows_per_second"]
    assert f"That was {times:.0f} times as fast" in page
    assert f"a million texts ({report['text_mib']:.0f} MiB of them)" in page
    assert f"was {report['ratio']:.2f} times that after 10,000 rows" in page
    assert max(report["peak_mib"].values()) == report["peak_mib"]["1000000"]
