"""The benchmark of corpora: what counts as equal, what is compared, and a run of it."""

import copy

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_shards import TEXTS

from scripts.benchmarks.corpus import (
    CorpusBenchmark,
    benchmark_corpus,
    compare_with_loop,
    count_differing,
    plot_growth,
    write_rows,
)

ANSWER = {"label": "a", "score": 0.5, "spans": [{"start": 1, "share": 0.25}], "cost": {"x": 1}}


def test_rounding_and_cost_make_no_difference():
    other = copy.deepcopy(ANSWER)
    del other["cost"]
    other["spans"][0]["share"] += 1e-7
    assert count_differing([ANSWER], [other]) == 0


@pytest.mark.parametrize(
    "change", [{"label": "b"}, {"score": 0.501}, {"spans": []}, {"spans": [{"start": 2}]}]
)
def test_another_answer_is_counted(change):
    spans = [ANSWER["spans"][0] | span for span in change.get("spans", ANSWER["spans"])]
    assert count_differing([ANSWER, ANSWER], [ANSWER, ANSWER | change | {"spans": spans}]) == 1


def test_times_are_compared_whole_and_without_loading():
    took = {(10, 0): [6, 4, 5], (10, 2): [4], (100, 0): [50], (100, 2): [13]}
    runs = [{"rows": r, "workers": w, "seconds": found} for (r, w), found in took.items()]
    assert compare_with_loop(runs) == [
        {"workers": 2, "whole": pytest.approx(50 / 13), "without_loading": pytest.approx(5.0)}
    ]


def test_corpora_have_the_rows_and_lengths_asked_for(tmp_path):
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "held.parquet")
    options = CorpusBenchmark(str(tmp_path / "held.parquet"), num_rows=[20], lengths=[5, 50])
    corpora = write_rows(options, tmp_path)
    texts = {name: pq.read_table(place)["text"].to_pylist() for name, place in corpora.items()}
    assert sorted(texts["rows_20"]) == sorted((TEXTS * 3)[:20])
    assert {len(text) for text in texts["length_50"]} == {50}
    assert len(texts["length_5"]) == options.length_rows


@pytest.mark.slow
def test_a_job_is_timed_against_the_loop_and_drawn(tmp_path, localizer_folder):
    pq.write_table(pa.table({"text": ["a good film", "bad"]}), tmp_path / "held.parquet")
    options = CorpusBenchmark(
        str(tmp_path / "held.parquet"),
        localizer_folder,
        num_rows=[4, 8],
        lengths=[5],
        length_rows=4,
        workers=[1],
        rounds=1,
    )
    report = benchmark_corpus(options, write_rows(options, tmp_path), tmp_path)
    assert report["differing_rows"] == 0
    assert [run["workers"] for run in report["rows"]] == [0, 1, 0, 1]
    assert all(run["seconds"][0] > 0 for run in [*report["rows"], *report["lengths"]])
    plot_growth(report, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000
