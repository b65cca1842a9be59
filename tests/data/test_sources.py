"""Sources of rows: patterns of files, streams, held-out splits, tar shards, row counts."""

import io

import datasets
import fsspec
import pyarrow as pa
import pytest
from datasets import Dataset
from PIL import Image
from pyarrow import parquet
from tar_shards import describe, number, write_tar

from hf_anchornet.data.sources import Source, name_tar_columns
from hf_anchornet.data.splits import DataOptions, detect_modality, load_split

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "short_passes")


@pytest.fixture
def shards(tmp_path):
    """Two splits of three and one parquet files; the folder."""
    folder, start = tmp_path / "data", 0
    folder.mkdir()
    for name, size in {"train-0": 3, "train-1": 2, "train-2": 4, "validation-0": 2}.items():
        texts = [f"text {number}" for number in range(start, start + size)]
        rows = Dataset.from_dict({"text": texts, "label": ["a", "b", "a", "b"][:size]})
        rows.to_parquet(folder / f"{name}.parquet")
        start += size
    return folder


@pytest.mark.parametrize("pattern", ["", "/{split}-*.parquet", "/*{split}*.parquet"])
@pytest.mark.parametrize("open_split", [Source.open_rows, Source.open_stream, Source.open_held_out])
def test_a_folder_or_a_pattern_holds_splits_in_shards(shards, pattern, open_split):
    source = f"{shards}{pattern}"
    texts = [row["text"] for row in open_split(Source(source), "train")]
    assert texts == [f"text {number}" for number in range(9)]
    assert len(list(open_split(Source(source), "validation"))) == 2


def test_a_file_without_a_split_in_its_name_is_to_learn_from(shards):
    source = f"{shards}/train-1.parquet"
    assert [row["text"] for row in Source(source).open_stream("train")] == ["text 3", "text 4"]
    with pytest.raises(ValueError, match=r"`validation` is not in .* which has \['train'\]"):
        Source(source).open_stream("validation")


def test_a_stream_comes_from_any_file_system():
    table = pa.table({"text": ["a", "b"], "label": [0, 1]})
    for shard in range(2):
        with fsspec.open(f"memory://reviews/train-{shard}.parquet", "wb") as file:
            parquet.write_table(table, file)
    source = "memory://reviews/{split}-*.parquet"
    assert [row["text"] for row in Source(source).open_stream("train")] == ["a", "b"] * 2
    assert Source(source).count_rows("train") == 4


@pytest.fixture
def opened(monkeypatch):
    """Builders of `datasets` that are made; each resolves the files of a source anew."""
    opened, init = [], datasets.DatasetBuilder.__init__

    def count(self, *args, **kwargs):
        opened.append(type(self))
        init(self, *args, **kwargs)

    monkeypatch.setattr(datasets.DatasetBuilder, "__init__", count)
    return opened


@pytest.mark.parametrize(("pattern", "builders"), [("", 1), ("/{split}-*.parquet", 2)])
def test_options_open_their_source_once(shards, opened, pattern, builders):
    options = DataOptions(f"{shards}{pattern}")
    assert detect_modality(options) == "text"
    assert len(load_split(options, "train")) == 9
    assert len(load_split(options, "validation")) == 2
    assert len(opened) == builders


@pytest.mark.parametrize("name", ["gone.parquet", "gone-*.parquet", "{split}.tar"])
def test_files_that_are_not_there_are_named(tmp_path, name):
    source = f"{tmp_path}/{name}"
    for open_split in (Source.open_rows, Source.open_stream, Source.open_held_out):
        with pytest.raises(FileNotFoundError, match=r"`dataset` must be an existing file, got .*"):
            open_split(Source(source), "train")


@pytest.mark.parametrize("extension", ["csv", "jsonl"])
def test_columns_of_files_that_do_not_name_them_are_found_in_the_first_rows(tmp_path, extension):
    rows = Dataset.from_dict({"text": ["good", "bad"], "label": [1, 0]})
    path = tmp_path / f"reviews.{extension}"
    (rows.to_csv if extension == "csv" else rows.to_json)(path)
    stream = Source(str(path)).open_stream("train")
    assert {"text", "label"} <= set(stream.column_names)
    # Cells of CSV files are text, as they are written.
    assert [row["label"] for row in stream] == (["1", "0"] if extension == "csv" else [1, 0])
    assert Source(str(path)).count_rows("train") is None


def test_rows_are_counted_without_being_read(shards):
    assert Source(str(shards)).count_rows("train") == 9
    assert Source(f"{shards}/{{split}}-*.parquet").count_rows("validation") == 2


def test_the_modality_of_a_stream_is_that_of_its_columns(shards, tmp_path):
    assert detect_modality(DataOptions(str(shards), streaming=True)) == "text"
    write_tar(tmp_path / "a.tar", range(2), number)
    assert detect_modality(DataOptions(str(tmp_path / "a.tar"), streaming=True)) == "image"


@pytest.mark.parametrize("open_split", [Source.open_rows, Source.open_stream])
@pytest.mark.parametrize(("content", "labels"), [(number, [0, 1]), (describe, ["r", "b"])])
def test_columns_of_tar_shards_get_the_names_of_the_options(tmp_path, open_split, content, labels):
    for shard in range(2):
        write_tar(tmp_path / f"train-{shard}.tar", range(3 * shard, 3 * shard + 3), content)
    rows = open_split(Source(f"{tmp_path}/{{split}}-*.tar"), "train")
    named = list(name_tar_columns(rows, "photo", "label"))
    assert [row["label"] for row in named] == labels * 3
    assert named[4]["photo"]["path"] == "00004.png"
    assert Image.open(io.BytesIO(named[4]["photo"]["bytes"])).getpixel((0, 0)) == (4, 0, 0)


def test_tar_shards_without_labels_say_what_they_hold(tmp_path):
    write_tar(tmp_path / "a.tar", range(3), lambda row: ("json", b'{"colour": "red"}'))
    source = DataOptions(str(tmp_path / "a.tar"))
    with pytest.raises(ValueError, match=r"`label` is not in the dataset, which has .*'json'"):
        load_split(source, "train", "image")


def test_tar_shards_that_have_the_right_names_keep_them(tmp_path):
    write_tar(tmp_path / "a.tar", range(3), number)
    rows = name_tar_columns(Source(str(tmp_path / "a.tar")).open_rows("train"), "png", "cls")
    assert {"png", "cls"} <= set(rows.column_names)


def test_rows_of_other_files_are_left_alone(shards):
    rows = Source(str(shards)).open_rows("train")
    assert name_tar_columns(rows, "photo", "answer") is rows


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_rows": 5}, "`max_rows` must be 0 with `streaming`, got 5; set `max_steps`"),
        ({"shuffle_buffer": -1}, "`shuffle_buffer` must be at least 0, got -1"),
        ({"vocabulary_rows": 0}, "`vocabulary_rows` must be at least 1, got 0"),
    ],
)
def test_options_of_a_stream_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        DataOptions("unused", streaming=True, **options)


def test_negative_numbers_of_rows_are_refused():
    with pytest.raises(ValueError, match="`max_rows` must be at least 0, got -1"):
        DataOptions("unused", max_rows=-1)


def test_files_have_no_subset(shards):
    with pytest.raises(ValueError, match="`subset` must not be given for files, got x with"):
        Source(f"{shards}/train-1.parquet", "x").open_rows("train")


def test_what_needs_a_whole_split_refuses_a_stream(shards):
    with pytest.raises(ValueError, match="`streaming` must be False except for `anchornet train`"):
        load_split(DataOptions(str(shards), streaming=True), "train")
