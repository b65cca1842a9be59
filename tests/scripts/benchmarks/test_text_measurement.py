"""The numbers of README and cards, on tiny models."""

import json

import pytest
from datasets import Dataset
from transformers import BertConfig, BertForSequenceClassification

from hf_anchornet.data.splits import DataOptions
from hf_anchornet.training.text_adaptation import TextClassifierOptions
from scripts.benchmarks.text_measurement import (
    TextMeasurement,
    check_contract,
    count_token_multiply_adds,
    measure_classifier,
    measure_text,
)

pytestmark = pytest.mark.usefixtures("cache_nothing_at_home")


@pytest.fixture
def localizer(planted, tokenizer, tmp_path):
    """Folder of the localizer for which "good" and "bad" decide."""
    planted.save_pretrained(tmp_path / "localizer")
    tokenizer.save_pretrained(tmp_path / "localizer")
    return str(tmp_path / "localizer")


def test_multiply_adds_of_a_bert_are_those_of_its_products_and_its_attention():
    config = BertConfig(
        vocab_size=10,
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=2,
    )
    model = BertForSequenceClassification(config)
    tokens = 20
    layer = tokens * (4 * 8 * 8 + 2 * 8 * 16) + 2 * tokens * tokens * 8
    pooler_and_head = 8 * 8 + 8 * 2
    assert count_token_multiply_adds(model, tokens) * tokens == 3 * layer + pooler_and_head


def test_multiply_adds_of_a_localizer_are_those_of_its_layers(model):
    tokens, width = 50, 16
    projection = tokens * 8 * width
    layers = (48 + 46 + 42) * 3 * width * width  # positions left by kernels 3, 3 and 3 (dilated)
    heads = (50 + 48 + 46 + 42) * width * 2
    assert count_token_multiply_adds(model, tokens) * tokens == projection + layers + heads


def test_the_contract_holds_on_texts_of_any_length(model):
    ids = [[2, 3, 4], [5], list(range(2, 60)) * 5]
    errors = check_contract(model, Dataset.from_dict({"input_ids": ids}))
    assert 0 < errors["additive_error"] < 1e-5
    assert errors["chunked_error"] < 1e-5
    assert model.config.chunk_size == 16384


def test_a_broken_contract_shows_in_the_errors(model, monkeypatch):
    forward = model.forward

    def break_it(ids, output_evidence=None):
        output = forward(ids, output_evidence=output_evidence)
        largest = output.logits.abs().max()
        output.bias = output.bias + 0.5 * largest
        output.logits = output.logits + (largest if model.config.chunk_size else 0)
        return output

    monkeypatch.setattr(model, "forward", break_it)
    errors = check_contract(model, Dataset.from_dict({"input_ids": [[2, 3, 4]]}))
    assert errors["additive_error"] == pytest.approx(0.5, abs=1e-4)
    assert errors["chunked_error"] == pytest.approx(1.0, abs=1e-4)


def test_all_numbers_of_a_localizer_and_its_classifiers(localizer, classifier_folder, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rows = {"text": ["good film", "a bad film"] * 3, "label": ["positive", "negative"] * 3}
    Dataset.from_dict(rows).to_parquet(folder / "test.parquet")
    report = measure_text(TextMeasurement(localizer, str(folder), max_tokens=4))
    assert report["num_rows"] == 6
    assert report["localizer"]["accuracy"] == 1.0
    assert report["classifiers"] == {}
    json.dumps(report)


def test_a_classifier_is_judged_by_the_names_of_its_labels(localizer, classifier_folder):
    def measure(names):
        rows = Dataset.from_dict({"text": ["good film", "bad"], "label": names})
        options = TextClassifierOptions(localizer, reading="head", max_tokens=4)
        return measure_classifier(options, classifier_folder, rows, DataOptions(""))

    results = [measure(["glad", "glad"]), measure(["sad", "sad"])]
    assert results[0]["accuracy"] + results[1]["accuracy"] == 1.0
    assert results[0]["tokens_read"] == 3.5
    assert results[0]["multiply_adds"] > 0
