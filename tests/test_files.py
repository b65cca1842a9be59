"""Folders that are written whole or not at all, and JSON files."""

import pytest

from hf_anchornet.files import (
    SUMS_FILE,
    find_damage,
    finish_folder,
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


@pytest.mark.parametrize("content", [None, "", "{", "[]", "3"])
def test_a_folder_without_sound_sums_is_damaged(whole, content):
    (whole / SUMS_FILE).unlink()
    if content is not None:
        (whole / SUMS_FILE).write_text(content)
    assert f"{SUMS_FILE} cannot be read" in find_damage(whole)


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
