"""The start of a training: from a trained localizer, or from an encoder with its tokenizer."""

import json
from pathlib import Path

import pytest
import torch
from compared_trainings import SMALL_IMAGES
from datasets import Dataset
from PIL import Image
from planted_texts import FAST, SMALL, plant
from safetensors.torch import load_file
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
)

from hf_anchornet.cli import train
from hf_anchornet.cli.modalities import run_for_data
from hf_anchornet.cli.options import OptionParser
from hf_anchornet.model.image_processing_anchornet import AnchorNetImageProcessor
from hf_anchornet.model.modeling_anchornet_image import AnchorNetForImageClassification
from hf_anchornet.training.start import Start
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_vocabulary import train_tokenizer

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home", "fresh_accelerator")

STILL = {"learning_rate": 0.0, "embedding_learning_rate": 0.0, "ngram_learning_rate": 0.0}
"""Learning rates with which a training changes nothing."""


@pytest.fixture
def source(tmp_path):
    """Texts with a planted word, labelled negative or positive."""
    return plant(tmp_path / "data", 96)


@pytest.fixture
def first(source, tmp_path):
    """Folder of a localizer trained on them."""
    folder = str(tmp_path / "first")
    options = {"num_epochs": 1, "gated": False, **SMALL, **FAST}
    run_for_data(train.WORKS, {"dataset": source, "output_dir": folder, **options})
    return folder


@pytest.fixture
def go_on(source, first, tmp_path):
    """A training from that localizer; its report and its weights."""

    def go_on(name="next", **options):
        given = {"dataset": source, "output_dir": str(tmp_path / name), "from_localizer": first}
        given |= {"num_epochs": 1, "batch_size": 16, "crop_tokens": 20} | options
        return run_for_data(train.WORKS, given), load_file(tmp_path / name / "model.safetensors")

    return go_on


def relabel(source, folder, names):
    """The same texts with other labels."""
    folder.mkdir()
    for split in ("train", "validation"):
        rows = Dataset.from_parquet(f"{source}/{split}.parquet", cache_dir=f"{folder}_cache")
        labels = [names[label] for label in rows["label"]]
        rows.remove_columns("label").add_column("label", labels).to_parquet(
            folder / f"{split}.parquet"
        )
    return str(folder)


def test_with_the_same_labels_everything_is_kept_n_grams_included(go_on, first):
    report, weights = go_on(
        **STILL, linear_weight=0.0, evidence_penalty=0.5, hidden_dropout_prob=0.1
    )
    before = load_file(f"{first}/model.safetensors")
    assert weights.keys() == before.keys()
    assert all(weights[name].equal(before[name]) for name in before)
    config = json.loads(Path(first, "config.json").read_text("utf-8"))
    assert report["options"]["hidden_size"] == config["hidden_size"] == 16
    assert report["options"]["gated"] is config["gated"] is False


def test_n_grams_that_are_kept_are_told_and_no_others_can_be_asked_for(go_on, first):
    report, _ = go_on()
    config = json.loads(Path(first, "config.json").read_text("utf-8"))
    assert report["options"]["ngram_sizes"] == config["ngram_sizes"]
    assert report["options"]["vocab_size"] == config["vocab_size"]
    for options in ({"ngram_sizes": [1, 2, 3, 4]}, {"ngram_min_count": 1}):
        with pytest.raises(ValueError, match=r"` must be left out to train .* further, got"):
            go_on("other", **options)


def test_what_only_training_needs_is_that_of_the_options(go_on, tmp_path):
    go_on(evidence_penalty=0.5, hidden_dropout_prob=0.1)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "next")
    assert (model.config.evidence_penalty, model.config.hidden_dropout_prob) == (0.5, 0.1)


def test_for_other_labels_the_trunk_is_kept_and_what_belongs_to_labels_is_new(
    go_on, source, first, tmp_path
):
    other = relabel(source, tmp_path / "other", {"negative": "bad", "positive": "good"})
    _, weights = go_on(dataset=other, ngram_min_count=2, linear_weight=0.0, **STILL)
    before = load_file(f"{first}/model.safetensors")
    for name in before:
        if name.startswith(("anchornet.", "aggregation.norms.")):
            assert weights[name].equal(before[name]), name
    for name in ("aggregation.heads.0.weight", "aggregation.heads.2.weight"):
        assert weights[name].shape == before[name].shape
        assert not weights[name].equal(before[name]), name
    assert before["ngrams.tables.0.weight"].any()
    assert not weights["aggregation.bias"].any()
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "next")
    assert model.config.id2label == {0: "bad", 1: "good"}


def test_for_more_labels_there_are_larger_heads(go_on, source, tmp_path):
    other = relabel(source, tmp_path / "other", {"negative": "bad", "positive": "good"})
    rows = Dataset.from_parquet(f"{other}/train.parquet", cache_dir=str(tmp_path / "cached"))
    labels = ["none" if row % 3 == 0 else label for row, label in enumerate(rows["label"])]
    rows = rows.remove_columns("label").add_column("label", labels)
    rows.to_parquet(f"{other}/train.parquet")
    _, weights = go_on(dataset=other)
    assert weights["aggregation.heads.0.weight"].shape == (3, 16)


def test_the_tokenizer_is_that_of_the_localizer(go_on, first, source, tmp_path):
    other = relabel(source, tmp_path / "other", {"negative": "bad", "positive": "good"})
    go_on(dataset=other)
    one, two = (AutoTokenizer.from_pretrained(folder) for folder in (first, tmp_path / "next"))
    assert one.get_vocab() == two.get_vocab()


def test_labels_keep_the_numbers_that_they_have_in_the_localizer(go_on, first, tmp_path):
    start = Start.open(first, "anchornet_text")
    assert start.order_labels(["positive", "negative"]) == ["negative", "positive"]
    assert start.order_labels(["b", "a"]) == ["b", "a"]
    assert start.knows(["negative", "positive"], multi_label=False)
    assert not start.knows(["negative", "positive"], multi_label=True)


def test_a_training_from_a_localizer_is_repeated_from_its_report(go_on):
    report, _ = go_on()
    again = {**report["options"], "output_dir": report["options"]["output_dir"] + "_again"}
    repeated = run_for_data(train.WORKS, again)
    assert repeated["history"] == report["history"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 32}, "`hidden_size` must be that of `from_localizer`, 16, got 32"),
        ({"kernel_sizes": [5]}, r"`kernel_sizes` must be that of `from_localizer`, \[3, 3\], got"),
        ({"tokenizer": "other"}, "`tokenizer` must be None with `from_localizer`, got other"),
        ({"embeddings": "other"}, "`embeddings` must be None with `from_localizer`, got other"),
        ({"encoder": "other"}, "`tokenizer` must be None with `from_localizer`, got other"),
    ],
)
def test_an_option_that_contradicts_the_localizer_is_refused(go_on, options, message):
    with pytest.raises(ValueError, match=message):
        go_on(**options)


def test_a_localizer_whose_trunk_cannot_be_made_here_is_refused_for_other_labels(model, tmp_path):
    model.save_pretrained(tmp_path / "wide")
    start = Start.open(str(tmp_path / "wide"), "anchornet_text")
    new = type(model)(type(model.config)(embedding_size=16, hidden_size=16, vocab_size=80))
    with pytest.raises(ValueError, match="`from_localizer` must have `embedding_size` 16 to be"):
        start.give_trunk(new)


def test_a_localizer_of_images_cannot_learn_texts(source, image_localizer_folder, tmp_path):
    given = {"dataset": source, "output_dir": str(tmp_path / "run")}
    with pytest.raises(
        ValueError, match=r'`from_localizer` must be .* "anchornet_text", got .*image'
    ):
        run_for_data(train.WORKS, {**given, "from_localizer": image_localizer_folder})


@pytest.fixture
def image_localizer_folder(tmp_path, image_model):
    image_model.save_pretrained(tmp_path / "image")
    return str(tmp_path / "image")


def test_a_trunk_of_any_shape_learns_other_labels(image_config, tmp_path):
    shape = {"hidden_act": "relu6", "batch_norm_eps": 1e-3, "dilations": [1, 2, 1]}
    for name, value in shape.items():  # as a localizer has that began as a pretrained network
        setattr(image_config, name, value)
    first = AnchorNetForImageClassification(image_config)
    first.save_pretrained(tmp_path / "first")
    AnchorNetImageProcessor(size={"shortest_edge": 32}).save_pretrained(tmp_path / "first")
    rows = {"image": [Image.new("RGB", (40, 36))] * 3, "label": ["wet", "dry", "icy"]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    given = {"dataset": str(tmp_path / "rows.parquet"), "validation_split": "train"}
    start = {"from_localizer": str(tmp_path / "first"), "image_size": 32, "crop_size": 24}
    run_for_data(train.WORKS, given | start | STILL | {"output_dir": str(tmp_path / "next")})
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "next")
    assert {name: getattr(model.config, name) for name in shape} == shape
    for name, weights in first.anchornet.named_parameters():
        assert model.anchornet.get_parameter(name).equal(weights), name


def test_images_start_from_a_localizer_too(tmp_path):
    folders = {}
    for name, labels in {"first": ["red", "blue"], "second": ["warm", "cold"]}.items():
        colours = [(250, 0, 0), (0, 0, 250)]
        rows = {"image": [Image.new("RGB", (40, 36), colours[row % 2]) for row in range(8)]}
        rows["label"] = [labels[row % 2] for row in range(8)]
        Dataset.from_dict(rows).to_parquet(tmp_path / f"{name}.parquet")
        folders[name] = tmp_path / f"run_{name}"
    small = {"validation_split": "train", "crop_size": 24, "batch_size": 8, "num_epochs": 1}

    def learn(data, output, **options):
        given = {"dataset": str(tmp_path / f"{data}.parquet"), "output_dir": str(output)}
        run_for_data(train.WORKS, given | small | options)
        return load_file(output / "model.safetensors")

    before = learn("first", tmp_path / "a", **SMALL_IMAGES)
    start = {"from_localizer": str(tmp_path / "a"), "image_size": 32, **STILL}
    other = learn("second", tmp_path / "b", **start)
    same = learn("first", tmp_path / "c", **start)
    convolutions = [name for name in before if name.startswith("anchornet.") and "conv" in name]
    assert convolutions
    for name in convolutions:
        if before[name].ndim == 4:
            assert torch.equal(before[name], other[name]), name
    head = "aggregation.heads.0.weight"
    assert same[head].equal(before[head])
    assert not other[head].equal(before[head])


def test_on_the_command_line_it_is_called_from():
    groups = {"options": TextLocalizerOptions}
    for flag in ("--from", "--from-localizer"):
        given = OptionParser("train", groups, "", "").parse([flag, "runs/a"])
        assert given == {"from_localizer": "runs/a"}


# An encoder


def test_an_encoder_brings_its_tokenizer_and_its_embeddings(source, tmp_path):
    stored = train_tokenizer(["good film", "bad film", "superb plot"] * 2, 60, classifies=True)
    stored.save_pretrained(tmp_path / "encoder")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    BertModel(BertConfig(vocab_size=len(stored), **sizes)).save_pretrained(tmp_path / "encoder")
    encoder, weights = str(tmp_path / "encoder"), []
    for name, options in {
        "one": {"encoder": encoder},
        "two": {"tokenizer": encoder, "embeddings": encoder},
    }.items():
        given = {"dataset": source, "output_dir": str(tmp_path / name), "hidden_size": 8}
        run_for_data(train.WORKS, {**given, "num_epochs": 1, **options})
        weights.append(load_file(tmp_path / name / "model.safetensors"))
        assert AutoTokenizer.from_pretrained(tmp_path / name).get_vocab() == stored.get_vocab()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_another_tokenizer_next_to_an_encoder_is_refused():
    with pytest.raises(
        ValueError, match="`tokenizer` must be None with `encoder`, got b: `encoder"
    ):
        TextLocalizerOptions(encoder="a", tokenizer="b")
    with pytest.raises(ValueError, match="`embeddings` must be None with `encoder`, got b"):
        TextLocalizerOptions(encoder="a", embeddings="b")


@pytest.mark.parametrize("name", ["vocab_size", "ngram_min_count"])
def test_counts_of_the_vocabulary_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
        TextLocalizerOptions(**{name: 0})
