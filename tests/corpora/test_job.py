"""Shards of a corpus, their state, and the errors before any work starts."""

import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_shards import TEXTS, list_files, make_job, write_corpus, write_shard

from hf_anchornet.corpora.inputs import hash_local_file
from hf_anchornet.corpora.job import (
    CONTENT_KEY,
    IMAGE_TASK,
    METADATA_KEY,
    describe_shard,
    find_shards,
    find_waiting,
    is_finished,
    name_temporary,
    remove_leftovers,
)


def write_answers(shard, settings, num_rows=None, metadata=None):
    described = json.dumps(describe_shard(shard, settings)).encode()
    table = pa.table({"label": ["x"] * (shard.num_rows if num_rows is None else num_rows)})
    metadata = {METADATA_KEY: described} if metadata is None else metadata
    pq.write_table(table.replace_schema_metadata(metadata), shard.target)


@pytest.fixture
def shard(tmp_path):
    write_corpus(tmp_path / "in", 1)
    (tmp_path / "out").mkdir()
    (found,) = find_shards(make_job(tmp_path))
    return found


def test_each_matching_file_is_a_shard_and_shards_are_sorted_by_name(tmp_path):
    write_corpus(tmp_path / "in", 3)
    (tmp_path / "in" / "notes.txt").write_text("not a shard")
    shards = find_shards(make_job(tmp_path))
    assert [shard.num_rows for shard in shards] == [7, 6, 5]
    assert [shard.target for shard in shards] == [
        str(tmp_path / "out" / f"{number}.parquet") for number in range(3)
    ]
    assert all(shard.num_bytes > 100 for shard in shards)


def test_shards_of_the_same_name_in_several_folders_get_outputs_of_their_own(tmp_path):
    for name in ("a", "b"):
        write_corpus(tmp_path / "in" / name, 1)
    shards = find_shards(make_job(tmp_path, input=str(tmp_path / "in" / "*" / "*.parquet")))
    assert [shard.target.removeprefix(str(tmp_path)) for shard in shards] == [
        "/out/a/0.parquet",
        "/out/b/0.parquet",
    ]


def test_a_single_file_is_a_corpus(tmp_path):
    path = write_shard(tmp_path / "in" / "x.parquet", TEXTS)
    (shard,) = find_shards(make_job(tmp_path, input=str(path)))
    assert shard.target == str(tmp_path / "out" / "x.parquet")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": "nowhere/*.parquet"}, r"`input` must match parquet files, got nowhere/\*.parq"),
        ({"column": "txt"}, r"`column` .* expected \['txt'\] in .*0.parquet, .*did you mean text"),
        ({"columns": ("id", "zzz")}, r"`columns` must name columns .* found \['id', 'text'\]; ch"),
        ({"column": "id"}, r"`column` must hold strings, got id of type int32 in .*0.parquet"),
    ],
)
def test_an_invalid_corpus_is_refused(tmp_path, fields, message):
    write_corpus(tmp_path / "in", 1)
    with pytest.raises(ValueError, match=message):
        find_shards(make_job(tmp_path, **fields))


def test_images_may_be_of_any_type(tmp_path):
    write_corpus(tmp_path / "in", 1)
    assert len(find_shards(make_job(tmp_path, task=IMAGE_TASK, column="id"))) == 1


@pytest.mark.parametrize("content", [b"", b"not parquet at all", b"PAR1 cut off"])
def test_a_file_that_is_not_parquet_is_named(tmp_path, content):
    write_corpus(tmp_path / "in", 1)
    (tmp_path / "in" / "broken.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"Shard .*broken.parquet must be a readable parquet file"):
        find_shards(make_job(tmp_path))


def test_the_input_is_never_overwritten(tmp_path):
    write_corpus(tmp_path / "in", 1)
    with pytest.raises(ValueError, match="`output` must not be the folder of `input`"):
        find_shards(make_job(tmp_path, output=str(tmp_path / "in")))


@pytest.mark.parametrize("name", ["batch_size", "rows_per_group"])
def test_sizes_are_at_least_one(tmp_path, name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0;"):
        make_job(tmp_path, **{name: 0})


def test_another_task_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`task` must be one of span-localization, patch-locali"):
        make_job(tmp_path, task="summarization")


def test_a_shard_with_complete_answers_is_finished(shard):
    assert not is_finished(shard, {"model": "m", "scales": (3, 5)})
    write_answers(shard, {"model": "m", "scales": (3, 5)})
    assert is_finished(shard, {"model": "m", "scales": (3, 5)})
    assert find_waiting([shard], {"model": "m", "scales": (3, 5)}) == []


def test_the_largest_shards_come_first(tmp_path):
    for number, count in enumerate([1, 4, 2]):
        write_shard(tmp_path / "in" / f"{number}.parquet", TEXTS[:count])
    waiting = find_waiting(find_shards(make_job(tmp_path)), {})
    assert [shard.num_rows for shard in waiting] == [4, 2, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_rows": 3}, "with 3 rows instead of 7; choose another folder"),
        ({"metadata": {}}, "with no settings of this command"),
        ({"settings": {"model": "m"}}, "other settings, `top_k`: null instead of 5"),
        ({"settings": {"model": "m", "top_k": 2}}, "other settings, `top_k`: 2 instead of 5"),
        ({"settings": {"model": "n", "top_k": 5}}, '`model`: "n" instead of "m"'),
    ],
)
def test_answers_made_with_other_settings_are_an_error(shard, changes, message):
    settings = {"model": "m", "top_k": 5}
    write_answers(shard, **{"settings": settings, **changes})
    with pytest.raises(ValueError, match=message):
        is_finished(shard, settings)


def test_answers_to_another_file_of_the_same_name_are_an_error(shard, tmp_path):
    write_answers(shard, {})
    write_shard(tmp_path / "in" / "0.parquet", [text + " new" for text in TEXTS])
    (changed,) = find_shards(make_job(tmp_path))
    with pytest.raises(ValueError, match=r"`input_bytes`: \d+ instead of \d+"):
        is_finished(changed, {})


def swap_words(folder, shard):
    """Change a shard but not its size, nor its time of change; the new shard."""
    path = folder / "in" / "0.parquet"
    before = path.stat()
    content = path.read_bytes()
    write_shard(path, ["doog", *TEXTS[1:]])
    swapped = path.read_bytes()
    assert (len(swapped), swapped == content) == (len(content), False)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (changed,) = find_shards(make_job(folder))
    assert changed.num_bytes == shard.num_bytes
    return changed


def test_answers_to_a_changed_input_of_equal_size_are_an_error(shard, tmp_path):
    for settings in ({}, {CONTENT_KEY: hash_local_file(shard.source)}):
        write_shard(tmp_path / "in" / "0.parquet", TEXTS)
        (shard,) = find_shards(make_job(tmp_path))
        write_answers(shard, settings)
        changed = swap_words(tmp_path, shard)
        with pytest.raises(ValueError, match=r"`input_key`: \"\w+\" instead of \"\w+\"; choose"):
            is_finished(changed, {})


def test_an_input_that_was_copied_or_touched_is_finished(shard, tmp_path):
    write_answers(shard, {CONTENT_KEY: hash_local_file(shard.source)})
    shutil.copyfile(shard.source, tmp_path / "copy")
    (tmp_path / "copy").replace(shard.source)
    (copied,) = find_shards(make_job(tmp_path))
    assert copied.key != shard.key
    assert is_finished(copied, {})


@pytest.mark.parametrize("pattern", ["**/*.parquet", "**", "*/*.parquet"])
@pytest.mark.parametrize("is_link", [False, True])
def test_answers_that_would_become_input_are_refused(tmp_path, pattern, is_link):
    write_corpus(tmp_path / "in" / "deep", 1)
    (tmp_path / "in" / "answers").mkdir()
    output = tmp_path / "in" / ("answers" if pattern.startswith("**") else "")
    if is_link:
        (tmp_path / "link").symlink_to(output)
        output = tmp_path / "link"
    job = make_job(tmp_path, input=str(tmp_path / "in" / pattern), output=str(output))
    with pytest.raises(ValueError, match="`output` must not be"):
        find_shards(job)


def test_answers_below_an_input_that_does_not_reach_them_are_fine(tmp_path):
    write_corpus(tmp_path / "in", 1)
    job = make_job(tmp_path, output=str(tmp_path / "in" / "answers"))
    assert len(find_shards(job)) == 1


def test_earlier_answers_in_the_output_are_no_input(shard, tmp_path):
    write_answers(shard, {})
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    job = make_job(tmp_path, input=str(tmp_path / "in" / "link" / "*.parquet"), column="label")
    with pytest.raises(ValueError, match=r"`output` must not be|`input` must not match answers"):
        find_shards(job)
    elsewhere = make_job(tmp_path, input=job.input, column="label", output=str(tmp_path / "more"))
    assert len(find_shards(elsewhere)) == 1


def test_a_copied_column_of_another_type_is_named_with_both_shards(tmp_path):
    write_shard(tmp_path / "in" / "0.parquet", TEXTS, year=pa.array(range(7), pa.int64()))
    write_shard(tmp_path / "in" / "1.parquet", TEXTS, year=pa.array(map(str, range(7))))
    assert len(find_shards(make_job(tmp_path, columns=("id",)))) == 2
    message = r"got year of type string in .*1.parquet and of type int64 in .*0.parquet; convert"
    with pytest.raises(ValueError, match=message):
        find_shards(make_job(tmp_path, columns=("id", "year")))


def test_only_temporary_files_of_these_shards_are_removed(shard, tmp_path):
    ours = name_temporary(shard.target)
    kept = [name_temporary(str(tmp_path / "out" / "other.parquet")), shard.target]
    for path in [ours, *kept]:
        (tmp_path / "out" / path).write_text("x")
    remove_leftovers([shard], str(tmp_path / "out"))
    assert list_files(tmp_path / "out") == sorted(path.rpartition("/")[2] for path in kept)


def test_a_temporary_name_is_hidden_and_unique():
    names = {name_temporary("s3://bucket/a/b.parquet") for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("s3://bucket/a/.b.parquet.") for name in names)


def test_a_shard_with_two_columns_of_one_name_is_refused(tmp_path):
    table = pa.table([pa.array(["good"]), pa.array(["bad"])], names=["text", "text"])
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "0.parquet")
    with pytest.raises(ValueError, match=r"`column` must name one column each, got \['text'\]"):
        find_shards(make_job(tmp_path))
