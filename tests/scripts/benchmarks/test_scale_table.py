"""The table of scale."""

from scripts.benchmarks.scale_table import make_scale_table

REPORTS = {
    "streaming": {"settings": {"marks": [10_000, 1_000_000]}, "ratio": 1.0254},
    "training_scale": {
        "speed": {"speedup": 1.75},
        "float64": {"largest_loss_difference": 1.2e-7},
    },
    "corpus": {
        "times_faster": [
            {"workers": 1, "whole": 1.5, "without_loading": 1.8},
            {"workers": 2, "whole": 2.5, "without_loading": 3.25},
        ],
        "differing_rows": 0,
    },
    "long_input": {
        "text": {"sizes": [{"size": 10_000}, {"size": 1_000_000}], "process_ratio": 1.0123},
        "image": {"sizes": [{"size": 20_000}], "work_bytes": 120e6},
    },
    "serving": {
        "long_run": {
            "clients": 8,
            "seconds": 600.4,
            "requests_per_second": 55.55,
            "p50_ms": 120.0,
            "p99_ms": 300.0,
            "errors": {"503": 2},
            "memory": {"settled_mib": 600.0, "end_mib": 601.0},
        }
    },
    "fuzzing": {"cases": 10_000_000, "failures": 0},
}


def test_each_measurement_has_a_row_in_words():
    table = make_scale_table(REPORTS)
    assert "two processes | 1.75 times the steps a second of one process; losses" in table
    assert "| 1,000,000 rows: peak memory 1.03 times that of 10,000 rows |" in table
    assert "| 2 processes: 3.2 times faster than a loop over the pipeline (2.5 with" in table
    assert "| 1,000,000 tokens: 1.01 times the memory of 10,000, besides the text; 20,000" in table
    assert "120.0 MB besides the picture" in table
    assert "| 8 clients, 10 minutes: 55.5 reviews a second, p50 / p99 120.0 / 300.0 ms, 2" in table
    assert "| 10,000,000 cases, 0 failures | [how](../docs/security.md), [numbers](" in table


def test_what_was_not_measured_is_named_as_such():
    table = make_scale_table({"fuzzing": REPORTS["fuzzing"]})
    assert len(table.splitlines()) == 2 + len(REPORTS)
    assert table.count("| not measured | [how](../docs/") == len(REPORTS) - 1
