"""The answers to a shard are those of the pipeline, and are written completely or not at all."""

from io import BytesIO
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import assert_same
from corpus_shards import TEXTS, list_files, make_job, read_rows, write_shard
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hf_anchornet import PatchLocalizationPipeline, SpanLocalizationPipeline
from hf_anchornet.corpora.answers import answer_rows, localize_shard, measure_shape, name_rows
from hf_anchornet.corpora.job import IMAGE_TASK, find_shards


class Echo:
    """A pipeline whose label is the text; records the batches."""

    reader = None

    def __init__(self):
        self.batches = []

    def __call__(self, texts, batch_size):
        assert batch_size == len(texts)
        self.batches.append(texts)
        return [{"label": text, "score": 1.0, "spans": [], "coverage": 0.0} for text in texts]


def localize_all(localize, job):
    reported = []
    for shard in find_shards(job):
        localize_shard(localize, shard, job, {}, reported.extend)
    return reported


@given(
    texts=st.lists(st.text(max_size=9), max_size=40),
    batch_size=st.integers(1, 9),
    rows_per_group=st.integers(1, 50),
    group=st.integers(1, 50),
)
def test_rows_keep_their_order_for_any_lengths_and_batch_sizes(
    texts, batch_size, rows_per_group, group
):
    files = fsspec.filesystem("memory")
    ids = list(range(len(texts)))
    table = pa.table({"text": pa.array(texts, pa.string()), "id": pa.array(ids, pa.int8())})
    with files.open("/in/a.parquet", "wb") as stream:
        pq.write_table(table, stream, row_group_size=group)
    job = make_job(
        Path(),
        input="memory://in/*.parquet",
        output="memory://out",
        columns=("id",),
        batch_size=batch_size,
        rows_per_group=rows_per_group,
    )
    echo = Echo()
    assert sorted(localize_all(echo, job)) == ids
    with files.open("/out/a.parquet", "rb") as stream:
        written = pq.ParquetFile(stream)
        sizes = [written.metadata.row_group(i).num_rows for i in range(written.num_row_groups)]
        answers = written.read()
    assert answers["id"].to_pylist() == ids
    assert answers["label"].to_pylist() == texts
    assert max(sizes, default=0) <= rows_per_group
    assert max(map(len, echo.batches), default=0) <= batch_size
    assert files.glob("/out/.*") == []


@given(st.lists(st.text(max_size=20), min_size=1, max_size=30), st.integers(1, 7))
def test_batches_hold_texts_of_similar_length(texts, batch_size):
    echo = Echo()
    job = make_job(Path(), batch_size=batch_size)
    answer_rows(echo, texts, range(len(texts)), "x", job, lambda rows: None)
    lengths = [len(text) for batch in echo.batches for text in batch]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("options", [{}, {"top_k": 2, "scales": [1, 3]}, {"max_tokens": 4}])
def test_the_answers_are_those_of_the_pipeline_one_text_at_a_time(
    tmp_path, model, tokenizer, options
):
    localize = SpanLocalizationPipeline(model=model, tokenizer=tokenizer, **options)
    # No text repeats itself: rounding may prefer any of several equal spans.
    texts = ["good", "", "the film was not good", "a bad film, café .", "the plot of it was thin"]
    write_shard(tmp_path / "in" / "a.parquet", texts)
    localize_all(localize, make_job(tmp_path))
    for row, text in zip(read_rows(tmp_path / "out" / "a.parquet"), texts, strict=True):
        expected = localize(text)
        del expected["cost"]
        assert_same(row, expected)
        assert all(text[s["start"] : s["end"]] == s["text"] for s in row["spans"])


def test_the_answer_of_a_classifier_is_written(tmp_path, planted, tokenizer, classifier_folder):
    localize = SpanLocalizationPipeline(
        model=planted, tokenizer=tokenizer, classifier=classifier_folder
    )
    write_shard(tmp_path / "in" / "a.parquet", TEXTS)
    localize_all(localize, make_job(tmp_path))
    rows = read_rows(tmp_path / "out" / "a.parquet")
    for row, text in zip(rows, TEXTS, strict=True):
        assert_same(row["classifier"], localize(text)["classifier"])
    assert {row["classifier"]["stage"] for row in rows} == {0, 1}


def save_image(color, size=(40, 32)):
    stream = BytesIO()
    Image.new("RGB", size, color).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("top_k", [0, 2])
def test_a_cascade_with_a_glance_answers_a_corpus(tmp_path, glance_cascade, top_k):
    localizer = glance_cascade.localizer
    localize = PatchLocalizationPipeline(
        model=localizer.model,
        image_processor=localizer.processor,
        classifier=glance_cascade,
        top_k=top_k,
    )
    files = [save_image("red"), save_image("grey", (32, 90)), save_image("blue", (64, 32))]
    write_shard(tmp_path / "in" / "a.parquet", [""] * 3, image=files)
    localize_all(localize, make_job(tmp_path, task=IMAGE_TASK, column="image"))
    rows = read_rows(tmp_path / "out" / "a.parquet")
    for row, content in zip(rows, files, strict=True):
        expected = localize(content)
        assert_same(row["classifier"], expected["classifier"])
        assert_same(row["patches"], expected["patches"])


@pytest.mark.parametrize("stored", ["bytes", "path", "datasets"])
def test_images_give_the_patches_of_the_pipeline(
    tmp_path, planted_image_model, image_processor, stored
):
    localize = PatchLocalizationPipeline(model=planted_image_model, image_processor=image_processor)
    files = [save_image("red"), save_image("blue", (32, 90)), save_image("red", (64, 32))]
    items = files
    if stored == "datasets":
        items = [{"bytes": item, "path": None} for item in files]
    elif stored == "path":
        items = [str(tmp_path / f"{number}.png") for number in range(len(files))]
        for item, content in zip(items, files, strict=True):
            (tmp_path / item).write_bytes(content)
    write_shard(tmp_path / "in" / "a.parquet", [""] * 3, image=items)
    allow = stored == "path"
    localize_all(localize, make_job(tmp_path, task=IMAGE_TASK, column="image", allow_paths=allow))
    rows = read_rows(tmp_path / "out" / "a.parquet")
    assert [row["label"] for row in rows] == ["warm", "cold", "warm"]
    for row, content in zip(rows, files, strict=True):
        expected = localize(content)
        del expected["cost"], expected["shares"]
        assert_same(row, expected)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("/etc/hostname", "got the path /etc/hostname; .* set `allow_paths`"),
        ({"bytes": None, "path": "secret.png"}, "got the path secret.png"),
        ("http://127.0.0.1:1/", "got the URL http://127.0.0.1:1/; .* set `allow_urls`"),
    ],
)
def test_paths_and_urls_of_a_corpus_are_read_only_if_the_job_allows_them(
    tmp_path, planted_image_model, image_processor, item, message
):
    localize = PatchLocalizationPipeline(model=planted_image_model, image_processor=image_processor)
    write_shard(tmp_path / "in" / "a.parquet", ["", ""], image=[None, item])
    with pytest.raises(ValueError, match=rf"Row 1 \(from 0\) of .*a.parquet: .* {message}"):
        localize_all(localize, make_job(tmp_path, task=IMAGE_TASK, column="image"))


def test_the_shape_of_an_image_is_read_from_its_header():
    assert measure_shape(save_image("red", (40, 32))) == pytest.approx(1.25, abs=0)
    assert measure_shape({"bytes": save_image("red", (32, 64))}) == pytest.approx(0.5, abs=0)
    assert {measure_shape(item) for item in (None, b"no image", "/no/file", {}, 3)} == {0.0}


def test_columns_are_copied_unchanged_and_a_prefix_keeps_names_apart(tmp_path, localize):
    write_shard(tmp_path / "in" / "a.parquet", TEXTS[:2], label=[{"x": [1]}, None])
    job = make_job(tmp_path, columns=("label", "text"), answer_prefix="found_")
    localize_all(localize, job)
    first, second = read_rows(tmp_path / "out" / "a.parquet")
    assert list(first)[:4] == ["label", "text", "found_label", "found_score"]
    assert (first["label"], second["label"]) == ({"x": [1]}, None)
    assert first["found_label"] == "positive"


def test_an_empty_shard_gives_an_empty_shard(tmp_path, localize):
    write_shard(tmp_path / "in" / "a.parquet", [])
    localize_all(localize, make_job(tmp_path, columns=("id",)))
    table = pq.read_table(tmp_path / "out" / "a.parquet")
    assert table.num_rows == 0
    assert table.schema.names == ["id", "label", "score", "spans", "coverage", "evidence_share"]


def test_a_row_without_a_text_is_named_and_nothing_is_written(tmp_path, localize):
    write_shard(tmp_path / "in" / "a.parquet", [*TEXTS, None])
    with pytest.raises(ValueError, match=r"^Row 7 \(from 0\) of .*a.parquet must be a string, got"):
        localize_all(localize, make_job(tmp_path))
    assert list_files(tmp_path / "out") == []


def test_an_image_that_cannot_be_decoded_is_named(tmp_path, planted_image_model, image_processor):
    localize = PatchLocalizationPipeline(model=planted_image_model, image_processor=image_processor)
    items = [save_image("red"), b"no image", save_image("red")]
    write_shard(tmp_path / "in" / "a.parquet", [""] * 3, image=items)
    with pytest.raises(ValueError, match=r"^Row 1 \(from 0\) of .*a.parquet: .*8 bytes"):
        localize_all(localize, make_job(tmp_path, task=IMAGE_TASK, column="image"))


def test_an_error_inside_the_model_is_traced_to_its_row(tmp_path, localize, monkeypatch):
    forward = localize._forward

    def fail(inputs, **options):
        if "bad" in str(inputs["text"]):
            raise RuntimeError("the model cannot do it")
        return forward(inputs, **options)

    monkeypatch.setattr(localize, "_forward", fail)
    write_shard(tmp_path / "in" / "a.parquet", TEXTS)
    with pytest.raises(ValueError, match=r"^Row 3 \(from 0\) of .*: the model cannot do it"):
        localize_all(localize, make_job(tmp_path))


def test_rows_that_fail_only_as_a_batch_ask_for_smaller_batches(tmp_path, localize, monkeypatch):
    forward = localize._forward

    def fail(inputs, **options):
        if isinstance(inputs["text"], list) and len(inputs["text"]) > 1:
            raise MemoryError("full")
        return forward(inputs, **options)

    monkeypatch.setattr(localize, "_forward", fail)
    write_shard(tmp_path / "in" / "a.parquet", TEXTS)
    message = r"^Rows 1, 0 \(from 0\) of .*a.parquet must fit in memory together, got: full; lower"
    with pytest.raises(ValueError, match=message):
        localize_all(localize, make_job(tmp_path))


def test_a_shard_with_damaged_pages_is_named(tmp_path, localize):
    path = write_shard(tmp_path / "in" / "a.parquet", TEXTS * 20, group=1000)
    content = bytearray(path.read_bytes())
    pages = len(content) - int.from_bytes(content[-8:-4], "little") - 12
    content[4 : pages + 4] = bytes(pages)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Shard .*a.parquet must be a readable parquet file"):
        localize_all(localize, make_job(tmp_path))
    assert list_files(tmp_path / "out") == []


def test_only_the_first_rows_of_many_are_named():
    assert name_rows(range(3)) == "Rows 0, 1, 2 (from 0)"
    assert name_rows(range(10)) == "Rows 0, 1, 2, 3, 4, 5, 6, 7 and 2 more (from 0)"
