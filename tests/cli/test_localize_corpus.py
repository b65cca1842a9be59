"""`anchornet localize --input`: its options reach the job, and wrong ones are told."""

import pytest
from corpus_shards import TEXTS, list_files, read_rows, write_corpus, write_shard

from hf_anchornet.cli.main import main
from hf_anchornet.corpora import processes as corpus_jobs
from hf_anchornet.corpora import ray_engine as corpus_ray
from hf_anchornet.corpora.job import IMAGE_TASK, TEXT_TASK, CorpusJob
from hf_anchornet.corpora.processes import JobSummary
from hf_anchornet.registration import DEFAULT_TEXT_LOCALIZER


@pytest.fixture
def asked(monkeypatch):
    """The engine and arguments of each job, which is not done."""
    calls = []

    def record(engine):
        def localize(job, num_workers):
            calls.append((engine, job, num_workers))
            return JobSummary(2, 1234, 1)

        return localize

    monkeypatch.setattr(corpus_jobs, "localize_corpus", record("local"))
    monkeypatch.setattr(corpus_ray, "localize_on_ray", record("ray"))
    return calls


def test_defaults_are_those_of_the_job_and_the_shipped_model(asked, capsys):
    assert main(["localize", "--input", "in/*.parquet", "--output", "out"]) == 0
    assert asked == [
        ("local", CorpusJob("in/*.parquet", "out", TEXT_TASK, str(DEFAULT_TEXT_LOCALIZER)), None)
    ]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "localized 1,234 rows of 2 shards into out; 1 shards were already finished\n"
    )


def test_every_option_reaches_the_job(asked):
    argv = "localize --input s3://b/*.parquet --output s3://b/out --image-column picture --model m"
    argv += " --columns id,url --answer-prefix x_ --num-workers 3 --batch-size 8 --top-k 2"
    argv += " --rows-per-group 100 --engine ray --classifier c"
    assert main(argv.split()) == 0
    job = CorpusJob(
        input="s3://b/*.parquet",
        output="s3://b/out",
        task=IMAGE_TASK,
        model="m",
        options={"top_k": 2, "classifier": "c"},
        column="picture",
        columns=("id", "url"),
        answer_prefix="x_",
        batch_size=8,
        rows_per_group=100,
    )
    assert asked == [("ray", job, 3)]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--input x", "`--input` needs `--output`, the folder for the answers"),
        ("--input x --output o --lines", "`--lines` must not be given with `--input`"),
        ("--input x --output o --jsonl", "`--jsonl` must not be given with `--input`"),
        (
            "--input x --output o --format html",
            "`--format` must not be given with `--input`, got",
        ),
        (
            "--input x --output o --text-column a --image-column b",
            "`--text-column` and `--image-column` must not both be given, got a and b",
        ),
        ("good --num-workers 2", "`--num-workers` must come with `--input`; leave it out"),
        ("good --engine ray", "`--engine` must come with `--input`; leave it out"),
        ("--input none/*.parquet --output o", "`--input` must match parquet files, got none/*.p"),
        ("--input x --output o --batch-size 0", "`--batch-size` must be at least 1, got 0;"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(capsys, argv, message):
    assert main(["localize", *argv.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_corpus_is_localized_by_the_shipped_model(tmp_path, capsys):
    write_corpus(tmp_path / "in", 2)
    argv = ["localize", "--input", str(tmp_path / "in" / "*.parquet"), "--num-workers", "1"]
    argv += ["--output", str(tmp_path / "out"), "--columns", "id,text", "--top-k", "1"]
    assert main(argv) == 0
    assert "localized 13 rows of 2 shards" in capsys.readouterr().err
    assert list_files(tmp_path / "out") == ["0.parquet", "1.parquet"]
    rows = read_rows(tmp_path / "out" / "0.parquet")
    assert [row["text"] for row in rows] == TEXTS
    assert all(len(row["spans"]) <= 1 for row in rows)
    assert main(argv) == 0
    assert "localized 0 rows of 0 shards" in capsys.readouterr().err
    assert main([*argv, "--scales", "1"]) == 2
    assert "other settings, `--scales`: null instead of [1]" in capsys.readouterr().err


def test_a_bad_row_is_told_in_one_line(tmp_path, capsys):
    write_shard(tmp_path / "in" / "a.parquet", ["good", None])
    argv = ["localize", "--input", str(tmp_path / "in" / "a.parquet"), "--num-workers", "1"]
    assert main([*argv, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"Row 1 (from 0) of {tmp_path}/in/a.parquet must be a string, got NoneType" in error
    assert error.count("\n") == 1
