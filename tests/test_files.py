"""Folders that are written whole or not at all, and JSON files."""

import errno

import pytest
from safetensors import SafetensorError

from hf_anchornet.files import (
    SUMS_FILE,
    FullDiskError,
    find_damage,
    finish_folder,
    naming_full_disk,
    read_json,
    start_folder,
    write_json,
)


@pytest.fixture
def whole(tmp_path):
    """A finished folder of two files, one in a folder below."""
    target = tmp_path / "deep" / "whole"
    partial = start_folder(target)
    (partial / "inner").mkdir()
    (partial / "inner" / "a.bin").write_bytes(bytes(range(256)) * 9000)
    (partial / "b.txt").write_text("b")
    assert not target.exists()
    finish_folder(partial, target)
    return target


def test_a_finished_folder_holds_its_files_and_is_sound(whole):
    names = sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*.*"))
    assert names == ["b.txt", "inner/a.bin", SUMS_FILE]
    assert find_damage(whole) is None
    assert not list(whole.parent.glob("*.partial"))


def test_one_changed_bit_is_found(whole):
    content = bytearray((whole / "inner" / "a.bin").read_bytes())
    content[123_456] ^= 1
    (whole / "inner" / "a.bin").write_bytes(content)
    assert find_damage(whole) == "inner/a.bin differs from what was written"


def test_a_missing_file_is_found(whole):
    (whole / "b.txt").unlink()
    assert find_damage(whole) == "b.txt is missing"


@pytest.mark.parametrize("content", [None, "", "{", "[]", "3", "[" * 100_000])
def test_a_folder_without_sound_sums_is_damaged(whole, content):
    (whole / SUMS_FILE).unlink()
    if content is not None:
        (whole / SUMS_FILE).write_text(content)
    assert f"{SUMS_FILE} cannot be read" in find_damage(whole)


def test_sums_of_no_file_do_not_make_a_folder_whole(whole):
    (whole / SUMS_FILE).write_text("{}")
    assert find_damage(whole) == f"{SUMS_FILE} does not list b.txt"
    empty = whole.parent / "empty"
    empty.mkdir()
    (empty / SUMS_FILE).write_text("{}")
    assert find_damage(empty) == f"{SUMS_FILE} does not list any file"


def test_a_file_that_was_added_later_is_found(whole):
    (whole / "inner" / "c.txt").write_text("c")
    assert find_damage(whole) == f"{SUMS_FILE} does not list inner/c.txt"


def test_an_interrupted_folder_is_not_whole(tmp_path):
    partial = start_folder(tmp_path / "whole")
    (partial / "a.txt").write_text("a")
    assert f"{SUMS_FILE} cannot be read" in find_damage(partial)
    assert f"{SUMS_FILE} cannot be read" in find_damage(tmp_path / "whole")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "no room"),
        OSError(errno.EDQUOT, "no room"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"),
    ],
)
def test_a_full_disk_is_named_whatever_library_finds_it(error):
    outer, inner = naming_full_disk("elsewhere"), naming_full_disk("runs/a")
    with pytest.raises(FullDiskError, match="the disk of runs/a is full"), outer, inner:
        raise error


def test_other_errors_than_a_full_disk_stay_as_they_are():
    with pytest.raises(PermissionError, match="not yours"), naming_full_disk("runs/a"):
        raise PermissionError(errno.EACCES, "not yours")


def test_json_that_cannot_be_written_leaves_the_earlier_file(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_folder_that_was_not_finished_is_started_anew(tmp_path):
    (start_folder(tmp_path / "x") / "old").write_text("old")
    partial = start_folder(tmp_path / "x")
    assert list(partial.iterdir()) == []


def test_a_folder_replaces_the_one_of_its_name(whole):
    partial = start_folder(whole)
    (partial / "c.txt").write_text("c")
    finish_folder(partial, whole)
    assert sorted(path.name for path in whole.iterdir()) == ["c.txt", SUMS_FILE]
    assert find_damage(whole) is None


def test_a_link_is_damage_whatever_it_leads_to(tmp_path):
    partial = start_folder(tmp_path / "whole")
    (partial / "a.txt").write_text("a")
    finish_folder(partial, tmp_path / "whole")
    assert find_damage(tmp_path / "whole") is None
    (tmp_path / "elsewhere").write_text("a")
    (tmp_path / "whole" / "a.txt").unlink()
    (tmp_path / "whole" / "a.txt").symlink_to(tmp_path / "elsewhere")
    assert find_damage(tmp_path / "whole") == "a.txt is a link"


def test_json_is_read_as_it_was_written_in_a_new_folder(tmp_path):
    path = tmp_path / "new" / "scores.json"
    write_json(path, {"café": [0.5, None, "a"]})
    assert read_json(path) == {"café": [0.5, None, "a"]}
