"""Corpus jobs in one process and in several: resumed, interrupted, killed."""

import resource
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from corpus_shards import (
    TEXTS,
    check_answers,
    kill_the_worker_of,
    list_files,
    make_job,
    write_corpus,
    write_shard,
)

from hf_anchornet.corpora import processes as corpus_jobs
from hf_anchornet.corpora.processes import JobSummary, localize_corpus
from hf_anchornet.files import FullDiskError


@pytest.fixture
def job(tmp_path, localizer_folder):
    write_corpus(tmp_path / "in", 3)
    return make_job(tmp_path, localizer_folder, columns=("id",))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_every_shard_is_answered_and_a_second_run_has_nothing_to_do(job, out):
    assert localize_corpus(job, 1) == JobSummary(3, 18, 0)
    check_answers(job, out)
    before = [path.stat().st_mtime_ns for path in sorted(out.iterdir())]
    assert localize_corpus(job, 1) == JobSummary(0, 0, 3)
    assert [path.stat().st_mtime_ns for path in sorted(out.iterdir())] == before


def test_an_invalid_row_stops_the_job_and_the_next_run_continues_after_the_finished_shards(
    job, out, tmp_path
):
    write_shard(tmp_path / "in" / "1.parquet", [*TEXTS[1:-1], None])
    with pytest.raises(ValueError, match=r"Row 5 \(from 0\) of .*1.parquet must be a string"):
        localize_corpus(job, 1)
    assert list_files(out) == ["0.parquet"]
    write_shard(tmp_path / "in" / "1.parquet", TEXTS[1:])
    assert localize_corpus(job, 1) == JobSummary(2, 11, 1)
    check_answers(job, out)


def test_the_temporary_files_of_a_killed_job_are_removed(job, out):
    out.mkdir()
    (out / f".0.parquet.{'0' * 32}.tmp").write_text("half a shard")
    localize_corpus(job, 1)
    check_answers(job, out)


def test_the_output_of_another_model_is_an_error_before_any_work(job, out, monkeypatch):
    localize_corpus(job, 1)
    (out / "2.parquet").unlink()
    other = {**vars(job), "options": {"top_k": 1}}
    monkeypatch.setattr(corpus_jobs, "localize_shard", None)
    with pytest.raises(ValueError, match=r"`output` must only hold .* other settings, `top_k`: 5"):
        localize_corpus(type(job)(**other), 1)


def test_a_changed_input_of_equal_size_is_an_error_before_any_work(job, out, tmp_path):
    localize_corpus(job, 1)
    size = (tmp_path / "in" / "1.parquet").stat().st_size
    write_shard(tmp_path / "in" / "1.parquet", [*TEXTS[1:-1], "eht " * 40 + "good"])
    assert (tmp_path / "in" / "1.parquet").stat().st_size == size
    with pytest.raises(ValueError, match=r"got .*1.parquet with other settings, `input_key`"):
        localize_corpus(job, 1)
    (out / "1.parquet").unlink()
    assert localize_corpus(job, 1) == JobSummary(1, 6, 2)


@contextmanager
def small_disk():
    """A limit of 100 bytes a file, which a process and its children cannot exceed.

    Not a fixture: pytest writes its report, perhaps to a file, before it ends one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("num_workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_is_named_by_the_output(job, out, num_workers):
    named = rf"the disk of {out} is full .*; free some space"
    with small_disk(), pytest.raises(FullDiskError, match=named):
        localize_corpus(job, num_workers)
    assert list_files(out) == []


@pytest.mark.slow
def test_an_output_that_a_worker_cannot_write_is_named(job, out):
    out.write_text("not a folder")
    with pytest.raises(OSError, match=str(out)):
        localize_corpus(job, 2)


def test_the_number_of_workers_is_checked(job):
    with pytest.raises(ValueError, match="`num_workers` must be at least 1, got -1;"):
        localize_corpus(job, -1)


@pytest.mark.slow
def test_two_processes_give_the_answers_of_one(job, out):
    assert localize_corpus(job, 2) == JobSummary(3, 18, 0)
    check_answers(job, out)


@pytest.mark.slow
def test_an_invalid_row_in_a_process_is_named_and_no_partial_shard_stays(job, out, tmp_path):
    write_shard(tmp_path / "in" / "2.parquet", [*TEXTS[2:-1], None])
    with pytest.raises(ValueError, match=r"^Row 4 \(from 0\) of .*2.parquet must be a string, got"):
        localize_corpus(job, 2)
    assert not [name for name in list_files(out) if name.endswith("tmp")]
    write_shard(tmp_path / "in" / "2.parquet", TEXTS[2:])
    assert localize_corpus(job, 2).num_rows >= 5
    check_answers(job, out)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to find the process")
def test_the_death_of_a_worker_names_shard_and_rows_and_the_next_run_continues(job, out, tmp_path):
    write_shard(tmp_path / "in" / "0.parquet", TEXTS * 3000)
    killer = threading.Thread(target=kill_the_worker_of, args=("0.parquet", out))
    killer.start()
    message = r"(Rows \d+.*|first rows) of .*0.parquet: the worker died by signal SIGKILL; if"
    with pytest.raises(ValueError, match=message):
        localize_corpus(job, 2)
    killer.join()
    assert set(list_files(out)) <= {"1.parquet", "2.parquet"}
    write_shard(tmp_path / "in" / "0.parquet", TEXTS)
    localize_corpus(job, 1)
    check_answers(job, out)


def test_no_process_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`num_workers` must be"):
        localize_corpus(make_job(tmp_path), num_workers=0)
