"""Classifiers stored as low-rank adapters of a checkpoint that is found elsewhere."""

import json
import sys

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_anchornet.model import adapters
from hf_anchornet.model.adapters import ADAPTER_CONFIG, find_packaged, is_at_hand
from hf_anchornet.model.loading import load_whole
from hf_anchornet.model.text_reader import SpanReader
from hf_anchornet.training.adapters import add_adapters, name_packaged
from hf_anchornet.training.fit import save_with_processor

pytest.importorskip("peft")
LOAD = AutoModelForSequenceClassification.from_pretrained


@pytest.fixture
def adapted(classifier_folder, tmp_path):
    """A folder of adapters, and the trained model that was saved there."""
    torch.manual_seed(0)
    trained = add_adapters(LOAD(classifier_folder), rank=2)
    with torch.no_grad():
        for weights in trained.parameters():
            if weights.requires_grad:
                weights.add_(0.3 * torch.randn_like(weights))
    tokenizer = AutoTokenizer.from_pretrained(classifier_folder)
    save_with_processor(tokenizer, trained, str(tmp_path / "adapted"))
    return tmp_path / "adapted", trained.train(False)


def test_only_adapters_and_head_are_trained(classifier_folder):
    model = add_adapters(LOAD(classifier_folder), rank=2)
    names = [name for name, weights in model.named_parameters() if weights.requires_grad]
    assert names
    assert all("lora_" in name or "classifier" in name for name in names)


def test_a_loaded_classifier_answers_as_the_trained_one(adapted, classifier_folder):
    folder, trained = adapted
    reader = SpanReader.load(str(folder))
    inputs = reader.tokenizer(["good film", "bad"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected, plain = trained(**inputs).logits, LOAD(classifier_folder)(**inputs).logits
        found = reader.model(**inputs).logits
    torch.testing.assert_close(found, expected)
    assert (found - plain).abs().max() > 1e-3
    assert reader.model.config.id2label == trained.config.id2label
    assert type(reader.model) is type(trained.get_base_model())
    assert not any("lora_" in name for name, _ in reader.model.named_parameters())


def test_a_loaded_classifier_can_be_saved_whole(adapted, tmp_path):
    folder, _ = adapted
    model, _ = load_whole(LOAD, folder)
    model.save_pretrained(tmp_path / "whole")
    again, _ = load_whole(LOAD, tmp_path / "whole")
    for name, weights in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weights), name


def test_the_folder_does_not_hold_the_checkpoint(adapted):
    folder, trained = adapted
    assert not (folder / "model.safetensors").exists()
    largest = max(weights.numel() for weights in trained.get_base_model().parameters())
    assert (folder / "adapter_model.safetensors").stat().st_size < 4 * largest


@pytest.mark.filterwarnings("ignore:Could not find a config file in someone/model")
def test_the_saved_adapters_name_a_packaged_checkpoint_by_its_hub_id(
    classifier_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("hf_anchornet.training.adapters.find_packaged", lambda _: classifier_folder)
    monkeypatch.setattr("hf_anchornet.training.adapters.PACKAGED", {"someone/model": "package"})
    add_adapters(LOAD(classifier_folder), rank=2).save_pretrained(tmp_path / "named")
    saved = json.loads((tmp_path / "named" / ADAPTER_CONFIG).read_text("utf-8"))
    assert saved["base_model_name_or_path"] == "someone/model"


def test_without_peft_the_remedy_is_named(adapted, classifier_folder, monkeypatch):
    folder, _ = adapted
    model = LOAD(classifier_folder)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match="minilm"):
        load_whole(LOAD, folder)
    with pytest.raises(ImportError, match="minilm"):
        add_adapters(model, rank=2)


def test_pickled_adapters_are_not_opened(adapted):
    folder, _ = adapted
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(OSError, match=r"adapter_model\.safetensors"):
        load_whole(LOAD, folder)


def test_adapters_of_another_checkpoint_are_refused(adapted):
    folder, _ = adapted
    config = folder / "adapter_config.json"
    text = config.read_text()
    config.write_text(text.replace('"r": 2', '"r": 3'))
    with pytest.raises(OSError, match="must hold adapters that fit the checkpoint"):
        load_whole(LOAD, folder)


def test_a_packaged_checkpoint_goes_by_its_hub_id(monkeypatch):
    monkeypatch.setitem(adapters.PACKAGED, "someone/model", "hf_anchornet")
    folder = find_packaged("someone/model")
    assert folder.endswith("hf_anchornet/model")
    assert name_packaged(folder) == "someone/model"
    assert find_packaged("someone/other") == name_packaged("someone/other") == "someone/other"
    monkeypatch.setitem(adapters.PACKAGED, "someone/else", "no_such_package")
    assert find_packaged("someone/else") == "someone/else"


def test_adapters_are_at_hand_with_peft_and_a_package_of_their_checkpoint(tmp_path, monkeypatch):
    saved = json.dumps({"base_model_name_or_path": "someone/model"})
    (tmp_path / ADAPTER_CONFIG).write_text(saved, "utf-8")
    assert not is_at_hand(tmp_path)  # it would be downloaded
    monkeypatch.setitem(adapters.PACKAGED, "someone/model", "no_such_package")
    assert not is_at_hand(tmp_path)
    monkeypatch.setitem(adapters.PACKAGED, "someone/model", "hf_anchornet")
    assert is_at_hand(tmp_path)
    monkeypatch.setitem(sys.modules, "peft", None)
    assert not is_at_hand(tmp_path)
