"""Data files that cannot be read: one sentence with the file and the line, streamed or not."""

import gzip
import pickle

import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

from hf_anchornet.data.broken_files import BrokenFileError
from hf_anchornet.data.sources import Source

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")

GOOD = "text,label\ngood,a\nbad,b\n"
LINES = '{"text": "good", "label": "a"}\n{"text": "bad", "label": "b"}\n'


def write_parquet(path, columns, arrays):
    parquet.write_table(pa.Table.from_arrays([pa.array(each) for each in arrays], columns), path)


def read_rows(source, split):
    return list(Source(source).open_rows(split))


def read_stream(source, split):
    return list(Source(source).open_stream(split))


def read_held_out(source, split):
    return list(Source(source).open_held_out(split))


@pytest.mark.parametrize("read", [read_rows, read_stream, read_held_out])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "text,label\ngood,a\ncafé,b\n".encode("latin-1"),
            "line 3, must be UTF-8, got",
        ),
        ("a.csv", GOOD + "so, so,a\n", r"in the row 'so, so,a', must have 2 cells .*, got 3"),
        ("a.csv", "text,label\nso, so,a\ngood,b\n", "in its first row, must have 2 cells"),
        ("a.csv", GOOD + '"open,a\nbad,b\n', "line 4, must close the quote that it opens"),
        ("a.csv", "", "must have a header and rows, got none"),
        ("a.csv", "text,label\n", "must have a header and rows, got none"),
        ("a.csv", "text,text\na,b\n", r"must name each column once, got two of \['text'\]"),
        ("a.csv.gz", GOOD, r"must be readable as csv, got: Not a gzipped file"),
        (
            "a.csv.gz",
            gzip.compress(GOOD.encode(), mtime=0)[:-9],
            "must be readable as csv, got: Compressed",
        ),
        ("a.csv", (GOOD + "so, so,a\n").replace("\n", "\r"), "must have 2 cells"),
        ("a.tsv", "text\tlabel\na\tb\tc\n", "must have 2 cells"),
        ("a.jsonl", LINES + '{"text": "open\n', "line 3, must be valid JSON, got Invalid control"),
        ("a.jsonl", LINES + "3\n", "line 3, must be a JSON object, got 3"),
        (
            "a.jsonl",
            LINES.encode() + b'{"text": "caf\xe9", "label": "a"}\n',
            "line 3, must be UTF-8",
        ),
        ("a.jsonl", "", "must .* got none"),
        ("a.json", '[{"text": "a",\n "label" 3}]', "line 2, must be valid JSON, got Expecting ':'"),
        (
            "a.jsonl",
            LINES + '{"text": "a", "label": ' + "[" * 100_000 + "]" * 100_000 + "}\n",
            "line 3, must not be nested as deeply",
        ),
        ("a.jsonl", "[" * 100_000 + "\n", "line 1, must"),
        ("a.parquet", b"PAR1 no parquet file PAR1", "must be a whole parquet file, got: "),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, name, content, message, read):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as caught:
        read(str(path), "train")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("read", [read_rows, read_stream])
def test_a_parquet_file_names_each_column_once(tmp_path, read):
    write_parquet(tmp_path / "a.parquet", ["text", "text"], [["a"], ["b"]])
    with pytest.raises(BrokenFileError, match=r"a\.parquet must name each column once"):
        read(str(tmp_path / "a.parquet"), "train")


@pytest.mark.parametrize("read", [read_rows, read_stream, read_held_out])
def test_a_parquet_file_without_rows_is_refused(tmp_path, read):
    path = str(tmp_path / "a.parquet")
    write_parquet(path, ["text", "label"], [pa.array([], pa.string())] * 2)
    with pytest.raises(ValueError, match=r"a\.parquet.* must have rows, got none"):
        read(path, "train")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_column_that_one_file_alone_has_is_named(tmp_path, ending):
    writer = {"csv": "to_csv", "jsonl": "to_json", "parquet": "to_parquet"}[ending]
    rows = {"text": ["good", "bad"], "label": ["a", "b"]}
    getattr(Dataset.from_dict(rows), writer)(tmp_path / f"train.{ending}")
    getattr(Dataset.from_dict(rows | {"extra": ["", "x"]}), writer)(
        tmp_path / f"validation.{ending}"
    )
    with pytest.raises(BrokenFileError, match=r"must have the same columns, got .*'extra'"):
        read_rows(str(tmp_path), "train")


@pytest.mark.parametrize("read", [read_rows, read_stream, read_held_out])
@pytest.mark.parametrize(("name", "content"), [("a.jsonl", LINES), ("a.csv", GOOD)])
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path, name, content, read):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert read(str(tmp_path / name), "train")[0] == {"text": "good", "label": "a"}


@pytest.mark.parametrize("read", [read_rows, read_stream, read_held_out])
def test_cells_of_csv_files_are_read_as_they_are_written(tmp_path, read):
    cells = ["None", "N/A", "NA", "null", "nan", "01", "1.0", "True", "1e3"]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{c},{c}\n" for c in cells))
    assert [row["label"] for row in read(str(tmp_path / "a.csv"), "train")] == cells
    assert [row["text"] for row in read(str(tmp_path / "a.csv"), "train")] == cells


@pytest.mark.parametrize("source", ["{split}-*.csv", "./{split}-0.csv", "."])
def test_cells_are_read_as_they_are_written_from_patterns_and_folders(
    tmp_path, monkeypatch, source
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-0.csv").write_text("text,label\nNA,01\n")
    monkeypatch.chdir(tmp_path / "data")
    for read in (read_rows, read_stream, read_held_out):
        assert read(source, "train") == [{"text": "NA", "label": "01"}]


@pytest.mark.parametrize("read", [read_rows, read_stream, read_held_out])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("A.CSV", GOOD.encode()),
        ("a.tsv", GOOD.replace(",", "\t").encode()),
        ("A.JSONL", LINES.encode()),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
    ],
)
def test_the_format_is_that_of_the_name_in_any_case_and_compressed(tmp_path, name, content, read):
    (tmp_path / name).write_bytes(content)
    assert [row["label"] for row in read(str(tmp_path / name), "train")] == ["a", "b"]


def test_a_guarded_stream_can_be_sent_to_another_process(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "good,a\n" * 20_000 + "so, so,a\n")
    stream = pickle.loads(pickle.dumps(Source(str(tmp_path / "a.csv")).open_stream("train")))
    with pytest.raises(BrokenFileError, match="must have 2 cells"):
        list(stream)
