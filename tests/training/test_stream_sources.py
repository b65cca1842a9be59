"""Batches and vocabulary of streams, against those of rows on the disk."""

from types import SimpleNamespace

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, IterableDataset, List, Value
from PIL import Image
from planted_texts import plant
from pyarrow import parquet

from hf_anchornet.data.augmentation import AugmentationOptions
from hf_anchornet.data.images import collate_images, make_training_images
from hf_anchornet.data.splits import DataOptions, find_labels, is_multi_label
from hf_anchornet.data.texts import make_collator, tokenize
from hf_anchornet.training.batches import seeded
from hf_anchornet.training.defaults import complete_options
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.stream_sources import (
    find_image_labels,
    load_first_texts,
    load_validation,
    make_image_batch,
    make_stream_loader,
    make_text_batch,
    open_training_stream,
    take_first,
)

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "short_passes")

ALONE = SimpleNamespace(num_processes=1, process_index=0)
LABELS = ["negative", "positive"]


@pytest.fixture
def data(tmp_path):
    """80 planted texts in four shards."""
    return DataOptions(plant(tmp_path / "data", 80, 4), streaming=True, shuffle_buffer=16)


def assert_same_batches(one, other):
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


@pytest.mark.parametrize("crop_tokens", [None, 5])
def test_texts_become_the_batch_that_they_are_without_a_stream(data, tokenizer, crop_tokens):
    rows = open_training_stream(data, "text")
    found = list(rows.take(7))
    whole = tokenize(Dataset.from_list(found), tokenizer, data, LABELS)
    collate = make_collator(tokenizer.pad_token_id, crop_tokens)
    with seeded(0):
        expected = collate(list(whole))
    with seeded(0):
        made = make_text_batch(rows, tokenizer, data, LABELS, crop_tokens)(found)
    assert_same_batches(made, expected)


def test_images_become_the_batch_that_they_are_without_a_stream(tmp_path, image_processor):
    pictures = [Image.new("RGB", (40, 36), (50 * number, 9, 9)) for number in range(4)]
    rows = Dataset.from_dict({"image": pictures, "label": ["a", "b", "a", "b"]})
    rows.to_parquet(tmp_path / "photos.parquet")
    data = DataOptions(str(tmp_path / "photos.parquet"), streaming=True)
    augmentation = AugmentationOptions(crop_size=24)
    images = make_training_images(rows, image_processor, data, ["a", "b"], augmentation)
    with seeded(0):
        expected = collate_images(image_processor, [images[row] for row in range(4)])
    stream = open_training_stream(data, "image")
    with seeded(0):
        made = make_image_batch(stream, image_processor, data, ["a", "b"], augmentation)(
            list(stream)
        )
    assert_same_batches(made, expected)


def test_the_first_rows_are_those_of_the_first_pass(data):
    data.vocabulary_rows = 30
    first, validation, labels = load_first_texts(open_training_stream(data, "text"), data, 3)
    assert (len(first), len(validation), labels) == (30, 37, LABELS)
    loader = make_stream_loader(
        data,
        open_training_stream(data, "text"),
        lambda rows: {"texts": [row["text"] for row in rows]},
        complete_options(TrainingOptions("unused", batch_size=10, seed=3)),
        ALONE,
    )
    streamed = [text for batch in loader.take(3) for text in batch["texts"]]
    assert streamed == list(first["text"])


def test_steps_are_as_many_as_rows_need_or_as_asked_for(data):
    def count(**options):
        rows = open_training_stream(data, "text")
        given = TrainingOptions("unused", batch_size=16, num_epochs=2, **options)
        settings = complete_options(given)
        process = SimpleNamespace(num_processes=2, process_index=0)
        return make_stream_loader(data, rows, dict, settings, process).max_steps

    assert count() == 2 * 3
    assert count(gradient_accumulation_steps=2) == 2 * 2
    assert count(max_steps=17) == 17


def test_a_version_that_reads_whole_files_only_is_refused(data, monkeypatch):
    monkeypatch.delattr(IterableDataset, "reshard")
    with pytest.raises(ImportError, match=r"has `IterableDataset\.reshard`; .* --upgrade datasets"):
        open_training_stream(data, "text")


def test_a_shard_is_a_group_of_rows(tmp_path):
    rows = pa.table({"text": [f"text {row}" for row in range(50)], "label": [0, 1] * 25})
    parquet.write_table(rows, tmp_path / "a.parquet", row_group_size=8)
    stream = open_training_stream(DataOptions(str(tmp_path / "a.parquet"), streaming=True), "text")
    assert stream.num_shards == 7
    assert [row["text"] for row in stream] == rows["text"].to_pylist()


def test_a_missing_column_is_named(data):
    data.text_column = "texts"
    for open_rows in (open_training_stream, load_validation):
        with pytest.raises(ValueError, match=r"`texts` is not in .* Did you mean `text`\?"):
            open_rows(data, "texts")


def test_a_stream_holds_inputs_and_labels_only(tmp_path):
    rows = Dataset.from_dict({"text": ["a"], "label": ["b"], "weight": [1.0]})
    rows.to_parquet(tmp_path / "a.parquet")
    data = DataOptions(str(tmp_path / "a.parquet"), streaming=True)
    assert list(open_training_stream(data, "text")) == [{"text": "a", "label": "b"}]


@pytest.mark.parametrize("multi_label", [False, True])
def test_labels_of_images_are_read_off_their_names(multi_label):
    names = ClassLabel(names=["cat", "dog", "fox"])
    features = Features({"label": List(names) if multi_label else names})
    rows = Dataset.from_dict({"label": [[0] if multi_label else 0]}, features=features)
    rows = rows.to_iterable_dataset()
    assert find_image_labels(rows, DataOptions("unused"), 0) == ["cat", "dog", "fox"]
    assert is_multi_label(rows, "label") == multi_label


def test_labels_of_images_without_names_are_found_in_the_first_rows():
    features = Features({"label": Value("string")})
    rows = Dataset.from_dict({"label": ["dog", "cat"] * 5}, features=features)
    found = find_image_labels(rows.to_iterable_dataset(), DataOptions("unused"), 0)
    assert found == ["cat", "dog"]
    assert not is_multi_label(rows, "label")
    data = DataOptions("unused", shuffle_buffer=0, vocabulary_rows=3)
    assert list(take_first(rows.to_iterable_dataset(), data, 0)["label"]) == ["dog", "cat", "dog"]
    assert find_labels(rows, "label") == found
