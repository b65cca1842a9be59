"""The benchmark of long input: its inputs, its fresh processes, its numbers by hand."""

import numpy as np
import pytest
from PIL import Image
from transformers import AutoTokenizer

from hf_anchornet.bench.benchmark_long_input import (
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
    write_picture(tmp_path / "input.ppm", 300)
    with Image.open(tmp_path / "input.ppm") as picture:
        assert picture.size == (300, 300)
        assert np.asarray(picture).std() > 10


def test_growth_is_that_of_a_sum_by_hand():
    rows = [
        {"units": 10, "input_bytes": 1, "peak_bytes": 50, "seconds": 2.0},
        {"units": 1000, "input_bytes": 100, "peak_bytes": 160, "seconds": 200.0},
    ]
    growth = summarize_growth(rows)
    assert growth["time_slope"] == pytest.approx(1.0)
    assert growth["memory_ratio"] == pytest.approx(60 / 50)


def test_small_inputs_are_measured_and_drawn(tmp_path):
    options = LongInputBenchmark(text_tokens=[50, 100], image_sides=[100, 150], rounds=1)
    report = benchmark_long_input(options)
    for kind, units in (("text", [50, 100]), ("image", [100**2, 150**2])):
        rows = report[kind]["sizes"]
        assert [row["units"] for row in rows] == units
        assert all(row["seconds"] > 0 and row["baseline_bytes"] > 2**26 for row in rows)
        assert all(row["peak_bytes"] >= 0 for row in rows)
    for row in report["text"]["sizes"] + report["image"]["sizes"]:
        row["peak_bytes"] = row["input_bytes"] + 2**20
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


def test_a_process_that_fails_is_told(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)missing.txt failed.*FileNotFoundError"):
        measure_input("text", tmp_path / "missing.txt", TEXT_LOCALIZER)
