"""A benchmark's numbers as a table and as a picture."""

import numpy as np
from PIL import Image

from scripts.benchmarks.speed_tables import format_report, format_stages, plot_report


def make_row(accuracy, milliseconds, stages, multiply_adds=1_234_567.0):
    speed_up = {"median": 10 / milliseconds, "min": 1.0, "max": 20.0}
    times = {"threads": 1, "batch_size": 1, "milliseconds": milliseconds, "speed_up": speed_up}
    return {
        "accuracy": accuracy,
        "macro_f1": 0.5,
        "multiply_adds": multiply_adds,
        "size": 5_700_000,
        "times": [times, {**times, "threads": 0, "batch_size": 32}],
        "stages": stages,
    }


REPORT = {
    "full": make_row(0.9, 10.0, {"classify": 1.0}),
    "head_and_tail": make_row(0.8, 2.0, {"select": 0.25, "classify": 0.75}),
}


def test_the_table_has_a_row_for_each_method():
    lines = format_report(REPORT).splitlines()
    assert lines[0].startswith("| method | accuracy | macro F1 | M multiply-adds | MB | ms, batch")
    assert lines[0].endswith("times faster, batch 32, all threads |")
    assert lines[3].startswith("| head and tail | 0.8000 | 0.5000 | 1.2 | 5.7 | 2.00 | 5.0 (1.0 to")
    assert len({line.count("|") for line in lines}) == 1


def test_a_dash_stands_for_what_is_not_known():
    report = {"full": REPORT["full"], "nb_lr": make_row(0.9, 1.0, {}, None) | {"size": None}}
    line = format_report(report).splitlines()[3]
    assert line.startswith("| nb lr | 0.9000 | 0.5000 | - | - | 1.00 |")


def test_memory_has_a_column_if_it_was_measured():
    report = {"full": REPORT["full"] | {"peak_memory": 2_500_000}, "small": REPORT["full"]}
    head, _, full, small = format_report(report).splitlines()[:4]
    assert "| MB | MB at once | ms, batch" in head
    assert " 5.7 | 2.5 | " in full
    assert " 5.7 | - | " in small


def test_times_alone_make_a_table_too():
    times = {name: {key: row[key] for key in ("times", "stages")} for name, row in REPORT.items()}
    lines = format_report(times).splitlines()
    assert lines[0].startswith(
        "| method | ms, batch 1, 1 thread | times faster, batch 1, 1 thread |"
    )
    assert lines[3].startswith("| head and tail | 2.00 | 5.0 (1.0 to 20.0) |")


def test_stages_are_told_of_methods_that_have_several():
    assert format_stages(REPORT) == "- head and tail: select 0.25, classify 0.75\n"


def test_the_stages_of_a_cascade_are_told_by_name():
    row = make_row(0.9, 1.0, {}) | {"exits": {"ngrams": 0.75, "localizer": 0.2, "64": 0.05}}
    expected = "- my cascade, inputs answered by: ngrams 0.75, localizer 0.20, 64 0.05\n"
    assert format_stages({"my_cascade": row}) == expected


def test_the_picture_has_a_panel_for_each_batch_size(tmp_path):
    plot_report(REPORT, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        first = picture.size[0]
        assert first > 500
        assert len(picture.convert("L").getcolors()) > 10
    twice = {name: row | {"times": row["times"][:1] * 2} for name, row in REPORT.items()}
    plot_report(twice, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.size[0] == 2 * first


def test_a_line_joins_the_sizes_of_the_whole_image(tmp_path):
    def draw(name):
        report = {"full": make_row(0.9, 10.0, {}), name: make_row(0.5, 1.0, {})}
        plot_report(report, tmp_path / "plot.png")
        with Image.open(tmp_path / "plot.png") as picture:
            return np.asarray(picture.convert("RGB")).astype(int)

    grey = {name: (draw(name) == 127).all(axis=2).sum() for name in ("small_64", "centre")}
    assert grey["small_64"] > grey["centre"] + 200
