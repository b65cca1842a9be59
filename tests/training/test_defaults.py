"""Options that were left out: by the number of rows, and by what a training starts from."""

import json
import logging

import pytest
from datasets import Dataset
from planted_texts import SMALL, plant
from torch import nn

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training.defaults import (
    LARGE,
    TEXTS_BELOW,
    Defaults,
    choose_defaults,
    choose_options,
    choose_pretrained_epochs,
    complete_options,
)
from hf_anchornet.training.options import CompleteOptions, TrainingOptions
from hf_anchornet.training.pretrained import choose_image_defaults
from hf_anchornet.training.text_options import TextLocalizerOptions
from hf_anchornet.training.text_training import train_text_localizer


def test_large_sets_and_streams_keep_the_values_of_before():
    assert choose_defaults(20_000) == choose_defaults(10**9) == choose_defaults(None) == LARGE
    assert Defaults(
        num_epochs=3,
        batch_size=32,
        patience=0,
        learning_rate=2e-3,
        embedding_learning_rate=5e-4,
        ngram_learning_rate=0.5,
        vocab_size=24_000,
        ngram_min_count=10,
        crop_tokens=250,
    ) == (LARGE)


def test_fewer_rows_have_more_epochs_smaller_batches_and_rarer_ngrams():
    chosen = [choose_defaults(rows) for rows in (300, 1_500, 5_000, 15_000, 20_000)]
    for name in ("batch_size", "ngram_min_count"):
        values = [getattr(defaults, name) for defaults in chosen]
        assert values == sorted(values)
    epochs = [defaults.num_epochs for defaults in chosen]
    assert epochs == sorted(epochs, reverse=True)
    assert all(defaults.patience > 0 for defaults in chosen[:-1])


def test_limits_rise_and_a_limit_belongs_to_the_rows_above_it():
    assert list(TEXTS_BELOW) == sorted(TEXTS_BELOW)
    for limit, defaults in TEXTS_BELOW.items():
        assert choose_defaults(limit - 1) == defaults != choose_defaults(limit)


def test_fewer_images_are_seen_more_often():
    epochs = [choose_defaults(rows, "image").num_epochs for rows in (1_000, 20_000, 50_000)]
    assert epochs == [20, 8, 3]
    assert choose_defaults(None, "image") == choose_defaults(50_000, "image") == LARGE
    rows = (2_999, 3_000, 10_000)
    assert [choose_pretrained_epochs(each, "image") for each in rows] == [10, 5, 3]
    assert choose_pretrained_epochs(100, "text") == 3


def test_a_pretrained_network_with_batch_normalisation_learns_faster(caplog):
    caplog.set_level(logging.INFO)
    plain, normalised = nn.Linear(2, 2), nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert choose_image_defaults("vit", plain, 1_000).learning_rate == 5e-5
    chosen = choose_image_defaults("mobile", normalised, 1_000)
    assert (chosen.learning_rate, chosen.num_epochs) == (1e-3, 10)
    assert "mobile is pretrained: 10 epochs, learning rate 0.001 after a warm-up" in caplog.text
    assert choose_image_defaults(None, normalised, 1_000) == choose_defaults(1_000, "image")


def test_only_what_was_left_out_is_chosen():
    options = TrainingOptions("unused", num_epochs=5, learning_rate=0.1)
    localizer = TextLocalizerOptions(ngram_min_count=7)
    localizer, complete, chosen = choose_options(localizer, options, 300)
    assert (complete.num_epochs, complete.learning_rate, localizer.ngram_min_count) == (5, 0.1, 7)
    assert (complete.batch_size, localizer.vocab_size) == (chosen["batch_size"], 24_000)
    assert set(chosen) == {"num_rows", *vars(LARGE)} - {
        "num_epochs",
        "learning_rate",
        "ngram_min_count",
    }


def test_few_texts_say_little_of_pairs_of_words_unless_asked_for():
    def choose(rows, **given):
        return choose_options(TextLocalizerOptions(**given), TrainingOptions("unused"), rows)[0]

    assert choose(299).ngram_sizes == [1]
    assert choose(300).ngram_sizes == choose(None).ngram_sizes == [1, 2, 3]
    assert choose(20, ngram_sizes=[2]).ngram_sizes == [2]
    assert choose(20, ngram_sizes=[]).ngram_sizes == []


def test_the_log_says_which_ngrams_are_known(caplog):
    with caplog.at_level(logging.INFO):
        choose_options(TextLocalizerOptions(), TrainingOptions("unused"), 300)
        choose_options(TextLocalizerOptions(ngram_sizes=[]), TrainingOptions("unused"), 300)
    known, none = caplog.messages
    assert "n-grams of 1, 2, 3 tokens seen 2 times" in known
    assert "n-grams of" not in none


def test_zero_is_a_value_and_not_left_out():
    options = complete_options(TrainingOptions("unused", patience=0), choose_defaults(300))
    assert options.patience == 0


def test_complete_options_keep_everything_else():
    options = TrainingOptions("unused", seed=5, balance=True, log_with=None, warmup_ratio=0.3)
    complete = complete_options(options)
    assert isinstance(complete, CompleteOptions)
    assert (
        vars(options).items() - {(name, None) for name in vars(options)} <= vars(complete).items()
    )
    assert complete_options(complete) is complete
    assert complete.decisive()["num_epochs"] == 3


@pytest.mark.usefixtures("cache_nothing_at_home")
def test_the_choice_is_logged_in_one_line_and_recorded(tmp_path, caplog):
    source = plant(tmp_path / "data", 32)
    localizer = TextLocalizerOptions(**SMALL)
    options = TrainingOptions(str(tmp_path / "run"), num_epochs=2, patience=1)
    with caplog.at_level(logging.INFO):
        report = train_text_localizer(DataOptions(source), localizer, options)
    defaults = choose_defaults(32)
    line = (
        f"32 rows: 2 epochs (fewer if 1 in a row bring nothing), batches of {defaults.batch_size}, "
    )
    assert [text for text in caplog.messages if line in text]
    written = json.loads((tmp_path / "run" / "training.json").read_text("utf-8"))
    assert written["chosen"] == report["chosen"]
    assert written["chosen"]["num_rows"] == 32
    assert (
        written["chosen"]["batch_size"] == written["options"]["batch_size"] == defaults.batch_size
    )
    assert "num_epochs" not in written["chosen"]


@pytest.mark.usefixtures("cache_nothing_at_home")
def test_the_number_of_rows_is_that_of_the_sample(tmp_path):
    rows = {"text": ["superb", "dreadful"] * 20, "label": [0, 1] * 20}
    Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    data = DataOptions(str(tmp_path / "data.parquet"), validation_split="train", max_rows=14)
    options = TrainingOptions(str(tmp_path / "run"), num_epochs=1)
    report = train_text_localizer(data, TextLocalizerOptions(**SMALL), options)
    assert report["chosen"]["num_rows"] == 14
