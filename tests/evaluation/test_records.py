"""Records of explainers on disk."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from hf_anchornet.evaluation.records import ROWS_AT_ONCE, read_records, write_records

SETTINGS = {"model": "runs/localizer", "num_rows": 3, "smoothing": 0.5, "records": None}


def make_record(row):
    degrees = {"cut": {"without": [0.1 * row, 0.2], "only": np.array([0.9, 1.0])}}
    return {"row": row, "explainer": "lime", "scores": [0.5, -1.0], "degrees": degrees}


def test_records_come_back_as_they_were_and_are_passed_on(tmp_path):
    path = tmp_path / "new" / "records.parquet"
    made = [make_record(row) for row in range(ROWS_AT_ONCE + 3)]
    assert list(write_records(iter(made), path, SETTINGS)) == made
    found = list(read_records(path, SETTINGS))
    assert [record["row"] for record in found] == list(range(ROWS_AT_ONCE + 3))
    assert found[7]["scores"] == [0.5, -1.0]
    assert found[7]["degrees"] == {"cut": {"without": [0.7000000000000001, 0.2], "only": [0.9, 1]}}
    assert found[7]["text"] is None


def test_a_file_appears_only_when_all_records_are_written(tmp_path):
    path = tmp_path / "records.parquet"

    def fail():
        yield make_record(0)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(write_records(fail(), path, SETTINGS))
    assert list(tmp_path.iterdir()) == []


def test_no_more_than_a_group_is_kept_in_memory(tmp_path):
    path = tmp_path / "records.parquet"
    list(write_records(map(make_record, range(3 * ROWS_AT_ONCE)), path, SETTINGS))
    assert pq.ParquetFile(path).metadata.row_group(0).num_rows == ROWS_AT_ONCE


@pytest.mark.parametrize(
    ("name", "value"), [("model", "runs/other"), ("smoothing", 0.6), ("split", "test")]
)
def test_records_of_another_model_or_setting_are_refused(tmp_path, name, value):
    path = tmp_path / "records.parquet"
    list(write_records([make_record(0)], path, SETTINGS))
    with pytest.raises(ValueError, match=f"records of the same `{name}`.* delete this one"):
        list(read_records(path, SETTINGS | {name: value}))


def test_a_table_of_something_else_is_refused(tmp_path):
    path = tmp_path / "records.parquet"
    list(write_records([make_record(0)], path, {}))
    with pytest.raises(ValueError, match="records of the same `model`"):
        list(read_records(path, SETTINGS))
