"""Text classifiers behind a localizer: their readings, and training on them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import relabel
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.model.text_reader import SpanReader
from hf_anchornet.training import memory
from hf_anchornet.training.defaults import ADAPTERS, PRETRAINED
from hf_anchornet.training.options import TrainingOptions
from hf_anchornet.training.pretrained import load_text_classifier
from hf_anchornet.training.text_adaptation import (
    READINGS,
    TextClassifierOptions,
    adapt_text_classifier,
    choose_texts,
    encode_readings,
    make_text_classifier,
)

LONG = "the film was a film . " * 30 + "good film , not bad " + "was the café a film ? " * 30


pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture
def localizer(localizer_folder):
    return localizer_folder


@pytest.fixture
def reader(localizer, classifier_folder):  # the localizer's tokenizer first: the other adds to it
    return SpanReader.load(classifier_folder)


def encode(reader, localizer, texts, **options):
    """What the classifier reads of each text, as a data set."""
    rows = Dataset.from_dict({"text": texts, "label": ["glad"] * len(texts)})
    chosen = TextClassifierOptions(localizer, **options)
    data = DataOptions("")
    return encode_readings(chosen, reader.model, reader.tokenizer, rows, data, ["sad", "glad"])


@pytest.mark.parametrize("reading", sorted(set(READINGS) - {"full", "mix", "crops"}))
@pytest.mark.parametrize("max_tokens", [3, 12, 64])
def test_each_reading_keeps_the_budget(reader, localizer, reading, max_tokens):
    options = TextClassifierOptions(localizer, reading=reading, max_tokens=max_tokens)
    texts = [LONG, "good", "", " \t", "unhappy " * 50]
    (read,) = choose_texts(options, reader, texts)
    lengths = [len(ids) for ids in reader.tokenizer(read).input_ids]
    assert all(length <= max_tokens for length in lengths)
    assert read[1] == "good"
    assert read[2].strip() == read[3].strip() == ""
    encoded = encode(reader, localizer, texts, reading=reading, max_tokens=max_tokens)
    assert list(encoded["length"]) == lengths  # so nothing was cut off


def test_the_spans_are_those_with_the_evidence(reader, localizer):
    options = TextClassifierOptions(localizer, max_tokens=8)
    ((read,),) = choose_texts(options, reader, [LONG])
    assert {"good", "bad"} <= set(read.split())


def test_the_controls_read_where_they_say(reader, localizer):
    text = "the film was a good film not bad ."

    def read(reading):
        options = TextClassifierOptions(localizer, reading=reading, max_tokens=6)
        return choose_texts(options, reader, [text])[0][0]

    assert read("head") == "the film was a"
    assert read("head_and_tail") == "the film bad ."
    assert read("full") == text


def test_a_mix_reads_each_text_under_each_budget(reader, localizer):
    options = TextClassifierOptions(localizer, reading="mix", budgets=[4, 8, 512])
    ((small,),), ((large,),) = (
        choose_texts(TextClassifierOptions(localizer, max_tokens=size), reader, [LONG])
        for size in (4, 8)
    )
    rows = encode(reader, localizer, [LONG, "good"], reading="mix", budgets=[4, 8, 512])
    read = reader.tokenizer.batch_decode(rows["input_ids"][0::2], skip_special_tokens=True)
    assert [part.reading for part in options.split_mix()] == ["spans", "spans", "full"]
    crops = TextClassifierOptions(localizer, reading="crops", budgets=[4, 512]).split_mix()
    assert [(part.reading, part.max_tokens) for part in crops] == [("crop", 4), ("full", 512)]
    assert read[:2] == [small, large]
    assert rows["length"][4] == 128  # all that this classifier reads
    assert rows["labels"] == [1] * 6


def test_spans_need_a_localizer_and_a_head_does_not():
    assert TextClassifierOptions(reading="head").localizer is None
    with pytest.raises(ValueError, match=r'`localizer` must be .* to read "random", got'):
        TextClassifierOptions(reading="random")


def test_a_mix_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`budgets` must hold at least one"):
        TextClassifierOptions("unused", reading="mix", budgets=[])


def test_random_spans_differ_between_texts_and_stay_the_same_each_time(reader, localizer):
    options = TextClassifierOptions(localizer, reading="random", max_tokens=12)
    ((first, second),) = choose_texts(options, reader, [LONG, LONG])
    assert first != second
    assert choose_texts(options, reader, [LONG, LONG]) == [[first, second]]


def test_a_full_text_is_cut_to_what_the_classifier_can_read(reader, localizer):
    assert encode(reader, localizer, ["film " * 600], reading="full")["length"][0] == 128
    reader.model.config.max_position_embeddings = 4096
    assert encode(reader, localizer, ["film " * 600], reading="full")["length"][0] == 512


def test_an_unknown_reading_is_refused():
    with pytest.raises(ValueError, match=r"`reading` must be one of .*, got 'tail'"):
        TextClassifierOptions("unused", reading="tail")


def test_a_budget_without_room_for_text_is_refused(reader, localizer):
    with pytest.raises(ValueError, match="`max_tokens` must be at least 3 for this classifier"):
        encode(reader, localizer, ["good"], max_tokens=2)


def test_a_text_that_is_no_string_is_refused(reader, localizer):
    with pytest.raises(TypeError, match="`text` must hold strings, got NoneType in row 1"):
        encode(reader, localizer, ["good", None])


def test_a_checkpoint_is_trained_without_dropout_of_attention_weights(classifier_folder):
    before = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    assert before.config.attention_probs_dropout_prob > 0
    options = TextClassifierOptions(classifier=str(classifier_folder), reading="full")
    model, _ = make_text_classifier(options, [], ["glad", "sad"])
    assert model.config.attention_probs_dropout_prob == 0
    assert model.config.hidden_dropout_prob == before.config.hidden_dropout_prob > 0
    assert model.config.label2id == {"sad": 0, "glad": 1}  # in its own order


@pytest.mark.usefixtures("fresh_accelerator")
@pytest.mark.parametrize(("given", "expected"), [({}, (8, 2)), ({"batch_size": 4}, (4, 1))])
def test_a_step_is_made_of_batches_that_fit_in_memory(
    localizer, classifier_folder, tmp_path, monkeypatch, given, expected
):
    monkeypatch.setattr(memory, "ACTIVATIONS", 8 * memory.PER_UNIT * 16 * 128)
    rename_labels(localizer, ["sad", "glad"])
    rows = {"text": ["good film", "bad film"] * 4, "label": ["glad", "sad"] * 4}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    report = adapt_text_classifier(
        DataOptions(str(tmp_path / "data.parquet"), validation_split="train"),
        TextClassifierOptions(classifier=classifier_folder, reading="full"),
        TrainingOptions(str(tmp_path / "run"), num_epochs=1, **given),
    )
    options = report["options"]
    assert (options["batch_size"], options["gradient_accumulation_steps"]) == expected


def test_a_classifier_of_other_labels_is_refused(classifier_folder):
    options = TextClassifierOptions(classifier=classifier_folder, reading="full")
    message = r"labels of the dataset, \['no', 'yes'\], got .* with \['glad', 'sad'\]; choose one"
    with pytest.raises(ValueError, match=message):
        make_text_classifier(options, [], ["no", "yes"])


def test_an_encoder_takes_any_labels(classifier_folder, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    model.base_model.save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained(classifier_folder).save_pretrained(tmp_path / "encoder")
    options = TextClassifierOptions(classifier=str(tmp_path / "encoder"), reading="full")
    model, _ = make_text_classifier(options, [], ["no", "maybe", "yes"])
    assert model.config.id2label == {0: "no", 1: "maybe", 2: "yes"}


def test_a_new_classifier_takes_labels_sizes_and_first_embeddings(classifier_folder, localizer):
    options = TextClassifierOptions(
        localizer, embeddings=classifier_folder, vocab_size=60, hidden_size=16, num_layers=1
    )
    model, tokenizer = make_text_classifier(options, ["good film", "bad film"], ["a", "b", "c"])
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.num_hidden_layers == 1
    assert tokenizer.num_special_tokens_to_add() == 2
    assert model.get_input_embeddings().weight.shape == (len(tokenizer), 16)
    torch.testing.assert_close(
        model.get_input_embeddings().weight.std(), torch.tensor(0.02), atol=5e-3, rtol=0
    )


def rename_labels(folder, labels):
    """The folder of a localizer, which now has these labels."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    relabel(model, labels)
    model.save_pretrained(folder)
    return folder


def adapt_three_texts(tmp_path, options, **training):
    rows = {"text": ["good film", "bad film", "good"], "label": ["glad", "sad", "glad"]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    return adapt_text_classifier(
        DataOptions(str(tmp_path / "data.parquet"), validation_split="train"),
        options,
        TrainingOptions(str(tmp_path / "run"), num_epochs=1, **training),
    )


@pytest.mark.parametrize("reading", ["spans", "mix", "random"])
def test_a_localizer_of_other_labels_is_refused(localizer, tmp_path, reading):
    with pytest.raises(ValueError, match=r"labels of the dataset, \['glad', 'sad'\], got .* with"):
        adapt_three_texts(tmp_path, TextClassifierOptions(localizer, reading=reading))


def test_a_localizer_that_selects_nothing_may_have_other_labels(localizer, tmp_path):
    options = TextClassifierOptions(localizer, reading="head", hidden_size=16, vocab_size=60)
    assert adapt_three_texts(tmp_path, options)["data"]["reading"] == "head, at most 64 tokens"


@pytest.mark.parametrize("sizes", [{"max_tokens": 129}, {"reading": "mix", "budgets": [4, 200]}])
def test_a_budget_above_what_the_classifier_reads_is_refused(
    localizer, classifier_folder, tmp_path, sizes
):
    rename_labels(localizer, ["sad", "glad"])
    options = TextClassifierOptions(localizer, classifier=classifier_folder, **sizes)
    with pytest.raises(ValueError, match="must be at most 128 for this classifier"):
        adapt_three_texts(tmp_path, options)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_classifier_learns_from_any_number_of_texts(localizer, tmp_path, batch_size):
    rename_labels(localizer, ["sad", "glad"])
    options = TextClassifierOptions(localizer, hidden_size=16, num_layers=1, vocab_size=60)
    adapt_three_texts(tmp_path, options, batch_size=batch_size)


def test_a_classifier_learns_from_the_spans(localizer, tmp_path):
    rename_labels(localizer, ["sad", "glad"])
    texts = [f"{'the film was a film . ' * 20}{word} . film" for word in ["good", "bad"] * 40]
    labels = ["glad", "sad"] * 40
    Dataset.from_dict({"text": texts, "label": labels}).to_parquet(tmp_path / "data.parquet")
    options = TextClassifierOptions(
        localizer, max_tokens=6, hidden_size=16, num_layers=1, vocab_size=60
    )
    report = adapt_text_classifier(
        DataOptions(str(tmp_path / "data.parquet"), validation_split="train"),
        options,
        TrainingOptions(
            str(tmp_path / "run"),
            num_epochs=6,
            batch_size=16,
            learning_rate=1e-2,
            embedding_learning_rate=1e-2,
        ),
    )
    written = json.loads((tmp_path / "run" / "training.json").read_text("utf-8"))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    ((read,),) = choose_texts(options, SpanReader(model, tokenizer), texts[:1])
    logits = model(**tokenizer(read, return_tensors="pt")).logits
    assert written == report
    assert report["best"]["accuracy"] == 1.0
    assert model.config.id2label[int(logits.argmax())] == "glad"


@pytest.mark.usefixtures("fresh_accelerator")
@pytest.mark.parametrize("mixed_precision", ["no", "bf16"])
def test_an_existing_classifier_is_trained_further(
    localizer, classifier_folder, tmp_path, mixed_precision
):
    rename_labels(localizer, ["sad", "glad"])
    rows = {"text": ["good film", "bad film"] * 4, "label": ["glad", "sad"] * 4}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    report = adapt_text_classifier(
        DataOptions(str(tmp_path / "data.parquet"), validation_split="train"),
        TextClassifierOptions(localizer, classifier=classifier_folder, max_tokens=6),
        TrainingOptions(str(tmp_path / "run"), num_epochs=1, mixed_precision=mixed_precision),
    )
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    before = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    moved = model.classifier.weight - before.classifier.weight
    assert model.dtype == torch.float32  # precision is mixed in computing only
    assert 0 < moved.abs().max() < 0.1
    assert model.config.id2label == {0: "sad", 1: "glad"}
    chosen = PRETRAINED.learning_rate, PRETRAINED.embedding_learning_rate, PRETRAINED.warmup_ratio
    names = ("learning_rate", "embedding_learning_rate", "warmup_ratio")
    assert tuple(report["options"][name] for name in names) == chosen
    assert 2e-5 <= PRETRAINED.learning_rate <= 5e-5
    assert model.config.max_position_embeddings == 128


@pytest.mark.usefixtures("fresh_accelerator")
def test_adapters_are_trained_instead_of_all_weights(localizer, classifier_folder, tmp_path):
    pytest.importorskip("peft")
    rename_labels(localizer, ["sad", "glad"])
    options = TextClassifierOptions(localizer, classifier=classifier_folder, lora_rank=2)
    report = adapt_three_texts(tmp_path, options)
    assert report["options"]["learning_rate"] == ADAPTERS.learning_rate > PRETRAINED.learning_rate
    reader = SpanReader.load(str(tmp_path / "run"))
    before = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    moved = {
        name
        for name, weights in reader.model.state_dict().items()
        if not torch.equal(weights, before.state_dict()[name])
    }
    assert any("attention" in name for name in moved)
    assert any("classifier" in name for name in moved)
    assert not any("embeddings" in name or "LayerNorm" in name for name in moved)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_training_goes_on_from_a_classifier_of_adapters(localizer, classifier_folder, tmp_path):
    pytest.importorskip("peft")
    rename_labels(localizer, ["sad", "glad"])
    first = TextClassifierOptions(localizer, classifier=classifier_folder, lora_rank=2)
    (tmp_path / "first").mkdir()
    adapt_three_texts(tmp_path / "first", first)
    adapted = str(tmp_path / "first" / "run")
    loaded, _ = load_text_classifier(adapted, ["sad", "glad"])
    expected = SpanReader.load(adapted).model.state_dict()
    for name, weights in loaded.state_dict().items():
        torch.testing.assert_close(weights, expected[name])
    (tmp_path / "second").mkdir()
    adapt_three_texts(tmp_path / "second", replace(first, classifier=adapted, lora_rank=0))
    assert (tmp_path / "second" / "run" / "model.safetensors").exists()
    with pytest.raises(ValueError, match="`lora_rank` must be 0 for a `classifier` that is stored"):
        adapt_three_texts(tmp_path, replace(first, classifier=adapted))


def test_a_damaged_checkpoint_is_named(classifier_folder):
    Path(classifier_folder, "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(OSError, match="`source` must hold weights in safetensors files"):
        load_text_classifier(classifier_folder, ["sad", "glad"])


@pytest.mark.parametrize("options", [{"lora_rank": 2}, {"lora_rank": -1, "classifier": "any"}])
def test_adapters_need_a_rank_and_a_checkpoint(options):
    with pytest.raises(ValueError, match="`lora_rank` must be 0, or at least 1 with"):
        TextClassifierOptions(reading="full", **options)
