"""Corpus jobs on Ray: the same answers, each exactly once even if a worker is killed."""

import os
import subprocess
import sys
import threading

import pytest
from corpus_shards import (
    TEXTS,
    check_answers,
    kill_the_worker_of,
    list_files,
    make_job,
    read_rows,
    write_corpus,
    write_shard,
)

from hf_anchornet.corpora.job import find_shards
from hf_anchornet.corpora.processes import localize_corpus
from hf_anchornet.corpora.ray_engine import ShardLocalizer, localize_on_ray
from hf_anchornet.corpora.settings import describe_settings, load_job_pipeline


class Column(list):
    """A column of a batch with the `tolist` of a numpy array."""

    tolist = list.copy


@pytest.fixture
def job(tmp_path, localizer_folder):
    write_corpus(tmp_path / "in", 3)
    return make_job(tmp_path, localizer_folder, columns=("id",))


@pytest.fixture
def actor(job, monkeypatch):
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    return ShardLocalizer(job, describe_settings(load_job_pipeline(job), job))


def make_batch(shards):
    return {name: Column(getattr(shard, name) for shard in shards) for name in vars(shards[0])}


def test_an_actor_writes_each_shard_once(job, actor, tmp_path):
    batch = make_batch(find_shards(job))
    assert actor(batch) == {"num_rows": [7, 6, 5], "error": [""] * 3}
    check_answers(job, tmp_path / "out")
    before = [path.stat().st_mtime_ns for path in sorted((tmp_path / "out").iterdir())]
    assert actor(batch) == {"num_rows": [7, 6, 5], "error": [""] * 3}
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "out").iterdir())] == before


def test_an_actor_returns_the_error_of_a_shard(job, actor, tmp_path):
    write_shard(tmp_path / "in" / "0.parquet", [None])
    (error, *rest) = actor(make_batch(find_shards(job)))["error"]
    assert error.startswith("Row 0 (from 0) of ")
    assert rest == ["", ""]


def test_an_actor_on_a_machine_with_another_model_is_an_error(job, monkeypatch):
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    settings = describe_settings(load_job_pipeline(job), job) | {"model": "another"}
    with pytest.raises(ValueError, match=r"must be the same on every machine, got another \['mod"):
        ShardLocalizer(job, settings)


def test_without_ray_the_extra_is_named(job, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'install it with `pip install "hf-anchornet\[ray\]"`'):
        localize_on_ray(job)


@pytest.fixture
def run_on_ray(job, tmp_path):
    """Runs the job on two workers of a new Ray cluster."""
    pytest.importorskip("ray", reason="needs the extra `ray`")

    def run():
        argv = ("localize", "--input", job.input, "--output", job.output, "--columns", "id")
        options = ("--model", job.model, "--batch-size", "2", "--rows-per-group", "4")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "hf_anchornet", *argv, *options),
                *("--engine", "ray", "--num-workers", "2"),
            ],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(sys.path),
                "HOME": str(tmp_path),  # Ray stores the token of its cluster here
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": "1",
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_OVERRIDE_RESOURCES": '{"CPU": 2}',
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        return done.returncode, done.stderr

    return run


@pytest.mark.slow
def test_ray_gives_the_answers_of_one_process(job, run_on_ray, tmp_path):
    code, stderr = run_on_ray()
    assert code == 0, stderr[-3000:]
    assert "localized 18 rows of 3 shards" in stderr
    check_answers(job, tmp_path / "out")
    assert run_on_ray()[0] == 0  # nothing is left to do, so Ray is not started


@pytest.mark.slow
def test_a_killed_worker_neither_loses_nor_duplicates_a_row(job, run_on_ray, tmp_path):
    for number in range(4):
        write_shard(tmp_path / "in" / f"{number}.parquet", TEXTS * (100 + number))
    out = tmp_path / "out"
    killed = []
    killer = threading.Thread(
        target=lambda: killed.append(kill_the_worker_of("2.parquet", out)), daemon=True
    )
    killer.start()
    code, stderr = run_on_ray()
    killer.join()
    assert code == 0, stderr[-3000:]
    assert killed == [True]
    assert list_files(out) == [f"{number}.parquet" for number in range(4)]
    alone = make_job(tmp_path, job.model, columns=("id",), output=str(tmp_path / "alone"))
    localize_corpus(alone, 1)
    for number in range(4):
        rows = read_rows(out / f"{number}.parquet")
        assert [row["id"] for row in rows] == list(range(len(TEXTS) * (100 + number)))
        assert rows == read_rows(tmp_path / "alone" / f"{number}.parquet")


@pytest.mark.slow
def test_an_invalid_row_on_ray_gives_one_line_of_error(job, run_on_ray, tmp_path):
    write_shard(tmp_path / "in" / "1.parquet", ["good", None])
    code, stderr = run_on_ray()
    assert code == 2
    assert "anchornet: error: Row 1 (from 0) of " in stderr
    assert "Traceback" not in stderr
