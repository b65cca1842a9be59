"""The benchmark of long input: its inputs, its fresh processes, its numbers by hand."""

import numpy as np
import pytest
from PIL import Image
from transformers import AutoTokenizer

from scripts.benchmarks import long_input as benchmark_module
from scripts.benchmarks.long_input import (
    LongInputBenchmark,
    benchmark_long_input,
    measure_input,
    plot_long_input,
    summarize_growth,
    write_picture,
    write_text,
)

TEXT_LOCALIZER = LongInputBenchmark.text_localizer


def test_a_text_has_as_many_tokens_as_asked(tmp_path):
    write_text(tmp_path / "input.txt", 500, TEXT_LOCALIZER)
    tokenizer = AutoTokenizer.from_pretrained(TEXT_LOCALIZER)
    text = (tmp_path / "input.txt").read_text("utf-8")
    assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 500


def test_a_picture_has_the_size_asked_and_is_not_of_one_colour(tmp_path):
    write_picture(tmp_path / "input.png", 300)
    with Image.open(tmp_path / "input.png") as picture:
        assert picture.size == (300, 300)
        assert np.asarray(picture).std() > 10


def test_growth_is_that_of_a_sum_by_hand():
    rows = [
        {"units": 10, "input_bytes": 1, "baseline_bytes": 350, "peak_bytes": 50, "seconds": 2.0},
        {
            "units": 1000,
            "input_bytes": 100,
            "baseline_bytes": 340,
            "peak_bytes": 160,
            "seconds": 200.0,
        },
    ]
    growth = summarize_growth(rows)
    assert growth["time_slope"] == pytest.approx(1.0)
    assert growth["memory_ratio"] == pytest.approx(60 / 50)
    assert growth["work_bytes"] == 60
    assert growth["process_ratio"] == pytest.approx(400 / 400)


def test_a_fresh_process_tells_what_it_needed(tmp_path):
    write_picture(tmp_path / "input.png", 150)
    found = measure_input("image", tmp_path / "input.png", LongInputBenchmark.image_localizer)
    assert found["units"] == 150 * 150
    assert found["seconds"] > 0
    assert found["baseline_bytes"] > 2**26
    assert found["peak_bytes"] >= 0


def test_a_report_has_the_median_of_each_size_and_is_drawn(monkeypatch, tmp_path):
    peaks = iter([9, 5, 7, 8] * 2)

    def measure(kind, source, model):
        units = len(source.read_text().split()) if kind == "text" else source.stat().st_size
        peak = next(peaks) * 2**20
        return {"baseline_bytes": 1, "peak_bytes": peak, "seconds": units / 10, "units": units}

    monkeypatch.setattr(benchmark_module, "measure_input", measure)
    options = LongInputBenchmark(text_tokens=[50, 100], image_sides=[100, 150])
    report = benchmark_long_input(options)
    for kind in ("text", "image"):
        rows = report[kind]["sizes"]
        assert [row["rounds"] for row in rows] == [3, 1]
        assert [row["peak_bytes"] for row in rows] == [7 * 2**20, 8 * 2**20]
        assert report[kind]["time_slope"] == pytest.approx(1.0)
    assert report["image"]["sizes"][1]["input_bytes"] == 4 * 150**2
    plot_long_input(report, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_tokens": [5]}, "`text_tokens` must be two or more rising sizes"),
        ({"image_sides": [500, 100]}, "`image_sides` must be two or more rising sizes"),
        ({"rounds": 0}, "`rounds` must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        benchmark_long_input(LongInputBenchmark(**options))


def test_a_process_that_fails_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark_module, "PROGRAM", "raise OSError('no such model')")
    with pytest.raises(RuntimeError, match=r"(?s)input.txt failed.*no such model"):
        measure_input("text", tmp_path / "input.txt", LongInputBenchmark.text_localizer)
