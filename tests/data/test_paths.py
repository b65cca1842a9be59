"""Names of files and folders: formats, and hints for what does not exist."""

import datasets
import pytest

from hf_anchornet.data import sources
from hf_anchornet.data.paths import find_format, is_local, refuse_data_folder, suggest_path
from hf_anchornet.data.sources import Source

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.csv", "csv"),
        ("A.CSV", "csv"),
        ("a.csv.gz", "csv"),
        ("a.b.Jsonl.BZ2", "json"),
        ("{split}-*.parquet", "parquet"),
        ("a.tar", "webdataset"),
        ("folder", None),
        ("v1.5", None),
        ("user/name", None),
        ("a.gz", None),
    ],
)
def test_the_reader_is_that_of_the_ending(name, reader):
    assert (find_format(name) or (None,))[0] == reader


def test_tabs_separate_the_cells_of_a_tsv_file():
    assert find_format("x.tsv") == ("csv", {"sep": "\t"})


def test_a_file_of_another_format_lists_the_formats(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"whose name ends in one of \.parquet, \.csv.*got .*xlsx"):
        Source(str(tmp_path / "a.xlsx")).open_rows("train")


def test_a_name_that_no_hub_id_can_have_is_a_path(tmp_path):
    assert all(map(is_local, ["/a", "./a", "../a", "~/a", "a/b/c", str(tmp_path)]))
    assert not any(map(is_local, ["a", "a/b"]))


def test_the_nearest_name_is_suggested(tmp_path):
    (tmp_path / "data" / "bbc_news").mkdir(parents=True)
    assert suggest_path(str(tmp_path / "data" / "bbc_new")).endswith("data/bbc_news`?")
    assert suggest_path(str(tmp_path / "dat" / "bbc_news")).endswith("data/bbc_news`?")
    assert suggest_path(str(tmp_path / "data" / "xyz")) == ""


@pytest.mark.parametrize("error", [ConnectionError("no network"), FileNotFoundError("no such id")])
def test_a_missing_folder_that_could_be_a_hub_id_says_both(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    (tmp_path / "data" / "bbc_news").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "load_dataset_builder", fail)
    wanted = (
        r"got data/bbc_new: there is no such file or folder, and the Hub did not give it "
        rf"\({error}\); check the name. Did you mean `data/bbc_news`\?"
    )
    with pytest.raises(FileNotFoundError, match=wanted):
        Source("data/bbc_new").open_rows("train")


def test_the_hub_is_not_asked_for_a_path(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "load_dataset_builder", None)
    with pytest.raises(FileNotFoundError, match="no such file or folder, and no Hub id has this"):
        Source(str(tmp_path / "gone")).open_rows("train")


def test_a_folder_of_save_to_disk_says_how_to_write_it(tmp_path):
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match="which `save_to_disk` wrote; write it with `to_parquet`"):
        Source(str(tmp_path / "saved")).open_rows("train")


@pytest.mark.parametrize("output", [".", "out", "a/../b/out", "scores.json"])
def test_nothing_is_written_into_the_folder_of_a_data_set(tmp_path, output):
    with pytest.raises(ValueError, match="`output` must lie outside of the folder of the data set"):
        refuse_data_folder(str(tmp_path / output), str(tmp_path), "output")


def test_beside_a_data_set_there_is_room(tmp_path):
    (tmp_path / "data").mkdir()
    for dataset in ("data", "data/{split}.parquet", "none", "user/name"):
        refuse_data_folder(str(tmp_path / "data_out"), str(tmp_path / dataset))
    refuse_data_folder(str(tmp_path / "data" / "out"), str(tmp_path / "data" / "{split}.csv"))
