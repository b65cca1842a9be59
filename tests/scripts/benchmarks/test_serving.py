"""The load test: what clients saw and how memory went, in numbers checked by hand."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.benchmarks import serving
from scripts.benchmarks.serving import (
    Load,
    ServingBenchmark,
    benchmark_serving,
    describe_memory,
    read_texts,
    running_server,
    send_load,
)

ROOT = Path(__file__).parents[3]


def test_latencies_are_told_in_milliseconds():
    latencies = [0.001 * (number + 1) for number in range(101)]
    described = Load(2.0, latencies, Counter({"503": 4})).describe()
    expected = {"requests": 101, "requests_per_second": 50.5, "errors": {"503": 4}}
    expected |= {"p50_ms": pytest.approx(51), "p99_ms": pytest.approx(100)}
    assert described == expected | {"max_ms": pytest.approx(101)}


def test_what_was_seen_in_turns_is_one_load():
    load = Load(1.0, [0.1], Counter({"503": 1}))
    load.add(Load(2.0, [0.2, 0.3], Counter({"503": 1, "ReadError": 1})))
    assert load == Load(3.0, [0.1, 0.2, 0.3], Counter({"503": 2, "ReadError": 1}))


def test_a_server_that_answers_nothing_is_no_result():
    with pytest.raises(RuntimeError, match=r"must answer some requests, got \{'503': 4\}"):
        Load(2.0, [], Counter({"503": 4})).describe()


def test_the_slope_of_memory_leaves_out_the_time_before_it_settled():
    """1 MiB more each minute from the first minute on; before it, a jump."""
    samples = [
        (second, 500.0 if second < 60 else 600 + (second - 60) / 60) for second in range(601)
    ]
    assert describe_memory(samples) == {
        "start_mib": 500.0,
        "settled_after_seconds": 60.0,
        "settled_mib": 600.0,
        "end_mib": pytest.approx(609),
        "peak_mib": pytest.approx(609),
        "slope_mib_per_hour": pytest.approx(60),
    }


def test_a_short_run_has_settled_after_a_quarter():
    told = describe_memory([(second, 5.0) for second in range(41)])
    assert told["settled_after_seconds"] == 10
    assert told["slope_mib_per_hour"] == pytest.approx(0, abs=1e-6)


def test_texts_are_those_of_the_data_or_as_long_as_reviews(tmp_path):
    pq.write_table(pa.table({"text": ["one", "two", "three"]}), tmp_path / "x.parquet")
    assert sorted(read_texts(str(tmp_path / "x.parquet"))) == ["one", "three", "two"]
    made = read_texts(None)
    assert len(set(made)) == 2000
    assert 900 < sorted(map(len, made))[1000] < 1100


def test_requests_that_fail_are_counted_by_kind():
    load = asyncio.run(send_load("http://127.0.0.1:9", ["x"], clients=2, seconds=0.05))
    assert load.latencies == []
    assert load.errors["ConnectError"] >= 2


def test_a_server_that_ends_at_once_is_told():
    refusal = pytest.raises(RuntimeError, match="got exit code 3; see what it wrote")
    with refusal, running_server([sys.executable, "-c", "raise SystemExit(3)"]):
        pass


@pytest.mark.slow
def test_a_server_is_loaded_with_batches_and_without(localizer_folder, monkeypatch):
    options = ServingBenchmark(
        localizer=localizer_folder,
        clients=[1, 8],
        seconds=1,
        turns=2,
        warm_up_seconds=0.5,
        long_seconds=4,
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shown = []
    report = benchmark_serving(options, shown.append)
    assert shown == [*report["runs"], report["long_run"]]
    assert [(run["mode"], run["clients"]) for run in report["runs"]] == [
        (mode, clients) for clients in (1, 8) for mode in ("batched", "one_by_one")
    ]
    assert [run["errors"] for run in shown] == [{}] * 5
    assert [run["texts_per_call"] > 1 for run in report["runs"]] == [False, False, True, False]
    assert report["long_run"]["memory"]["end_mib"] > 50


def test_the_command_writes_one_json(tmp_path, monkeypatch):
    def benchmark(options, show):
        return {"runs": [options.long_seconds]}

    monkeypatch.setattr(serving, "benchmark_serving", benchmark)
    output = tmp_path / "serving.json"
    arguments = ["--output", str(output), "--long-seconds", "3", "--note", "alone"]
    monkeypatch.setattr(sys, "argv", ["serving.py", *arguments])
    serving.main()
    report = json.loads(output.read_text("utf-8"))
    assert report["runs"] == [3.0]
    assert report["note"] == "alone"
    assert "processors" in report["hardware"]
